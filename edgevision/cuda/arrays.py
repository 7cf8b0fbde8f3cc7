"""Arrays in device memory as other libraries hand them over: address, shape and strides, without copying.

DLPack (PyTorch, CuPy, CV-CUDA, TensorRT) is asked first, because its producer orders its own stream before ours; then
the CUDA array interface (Numba, PyCUDA), where that is left to the caller.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from edgevision.errors import InputError

_CUDA_MEMORY = (2, 3, 13)  # dlpack.h: kDLCUDA, kDLCUDAHost, kDLCUDAManaged
_DLPACK_KINDS = {0: "int", 1: "uint", 2: "float"}  # dlpack.h: DLDataTypeCode
_INTERFACE_KINDS = {"i": "int", "u": "uint", "f": "float"}


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """``strides`` are in bytes. Keep the object as long as its memory is in use."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str  # as NumPy names it
    device: int | None  # its ordinal, where the producer says it
    read_only: bool  # as far as the producer says it
    owner: object = field(repr=False)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after another, in C order."""
        return packed_from(self, 0)


def packed_from(array: DeviceArray, axis: int) -> bool:
    """Whether the axes from ``axis`` on lie one after another, in C order."""
    expected = _item_bytes(array.dtype)
    for size, stride in reversed(list(zip(array.shape, array.strides, strict=True))[axis:]):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


class _Tensor(ctypes.Structure):  # dlpack.h: DLTensor, the first field of DLManagedTensor
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def device_array(array: Any, what: str, stream: int | None = None) -> DeviceArray:
    """What ``array`` says of itself. ``what`` names it in errors; ``stream`` is the one that will use it (a CUstream).

    Raises InputError for anything that is not in CUDA memory.
    """
    if hasattr(array, "__dlpack__"):
        return _from_dlpack(array, what, stream)
    interface = getattr(array, "__cuda_array_interface__", None)
    if not isinstance(interface, dict):
        raise InputError(
            f"{what}: expected an array in CUDA memory (DLPack or __cuda_array_interface__), got {type(array).__name__}"
        )
    code = interface["typestr"]
    dtype = f"{_INTERFACE_KINDS.get(code[1], code[1])}{int(code[2:]) * 8}"
    shape = tuple(int(size) for size in interface["shape"])
    strides = interface.get("strides") or _packed_strides(shape, _item_bytes(dtype))
    return DeviceArray(
        int(interface["data"][0]), shape, tuple(int(s) for s in strides), dtype, None, bool(interface["data"][1]), array
    )


def _from_dlpack(array: Any, what: str, stream: int | None) -> DeviceArray:
    kind = int(array.__dlpack_device__()[0])
    if kind not in _CUDA_MEMORY:
        raise InputError(f"{what}: expected an array in CUDA memory, got one of DLPack device type {kind}")
    capsule = array.__dlpack__(stream=1 if stream == 0 else stream)  # DLPack's name for the default stream
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # The capsule is kept, not taken over: when it goes, it gives the memory back to its producer.
    tensor = _Tensor.from_address(get_pointer(capsule, b"dltensor"))
    dtype = f"{_DLPACK_KINDS.get(tensor.code, 'other')}{tensor.bits}"
    item = tensor.bits // 8
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] * item for i in range(tensor.ndim)) if tensor.strides else None
    address = (tensor.data or 0) + int(tensor.byte_offset)
    packed = _packed_strides(shape, item)
    return DeviceArray(address, shape, strides or packed, dtype, int(tensor.device_id), False, (array, capsule))


def _packed_strides(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    strides: list[int] = []
    for size in reversed(shape):
        strides.insert(0, item)
        item *= size
    return tuple(strides)


def _item_bytes(dtype: str) -> int:
    return int("".join(c for c in dtype if c.isdigit())) // 8
