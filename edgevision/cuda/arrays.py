"""Arrays in device memory as other libraries hand them over: address, shape and strides, without copying.

DLPack (PyTorch, CuPy, CV-CUDA, TensorRT) is asked first, because its producer orders its own stream before ours; then
the CUDA array interface (Numba, PyCUDA), where that is left to the caller.

DLPack comes in two ways. ``__dlpack__`` makes a capsule and orders the streams at every call: 20 µs a tensor of PyTorch.
The C exchange API of DLPack 1.3 (``Exchange``; PyTorch has it) reads a tensor in a tenth of that, and leaves the
ordering to us, once for a whole batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from edgevision.errors import InputError

_CUDA_MEMORY = (2, 3, 13)  # dlpack.h: kDLCUDA, kDLCUDAHost, kDLCUDAManaged
_DLPACK_KINDS = {0: "int", 1: "uint", 2: "float"}  # dlpack.h: DLDataTypeCode
_INTERFACE_KINDS = {"i": "int", "u": "uint", "f": "float"}


@dataclass(eq=False, slots=True)
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
    return _are_packed(array.shape[axis:], array.strides[axis:], array.dtype)


@lru_cache(maxsize=256)
def _are_packed(shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> bool:
    packed = _packed_strides(shape, _item_bytes(dtype))
    return all(size <= 1 or got == want for size, got, want in zip(shape, strides, packed, strict=True))


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
    return _described(_Tensor.from_address(get_pointer(capsule, b"dltensor")), (array, capsule))


def _described(tensor: _Tensor, owner: object) -> DeviceArray:
    dtype, item = f"{_DLPACK_KINDS.get(tensor.code, 'other')}{tensor.bits}", tensor.bits // 8
    count = tensor.ndim
    shape = tuple(tensor.shape[:count])
    if tensor.strides:
        strides = tuple([stride * item for stride in tensor.strides[:count]])
    else:
        strides = _packed_strides(shape, item)
    address = (tensor.data or 0) + tensor.byte_offset
    return DeviceArray(address, shape, strides, dtype, tensor.device_id, False, owner)


class _ExchangeApi(ctypes.Structure):  # dlpack.h: DLPackExchangeAPI, as far as it is used
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("managed_from_object", ctypes.c_void_p),
        ("managed_to_object", ctypes.c_void_p),
        ("tensor_from_object", ctypes.c_void_p),  # may be null
        ("current_work_stream", ctypes.c_void_p),
    )


class Exchange:
    """DLPack's C exchange API of one type of arrays. Its functions hold the GIL and raise what the library raises."""

    def __init__(self, api: _ExchangeApi) -> None:
        read = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_Tensor))
        current = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))
        self._read: Callable[..., int] = read(api.tensor_from_object)
        self._current: Callable[..., int] = current(api.current_work_stream)

    def device_array(self, array: Any, what: str) -> DeviceArray:
        """As the function ``device_array``, but it orders no streams. Raises InputError where it is not in CUDA memory."""
        tensor = _Tensor()
        self._read(array, ctypes.byref(tensor))
        if tensor.device_type not in _CUDA_MEMORY:
            raise InputError(
                f"{what}: expected an array in CUDA memory, got one of DLPack device type {tensor.device_type}"
            )
        return _described(tensor, array)

    def current_stream(self, device: int) -> int:
        """The CUstream on which the arrays' library works now, in this thread; 0: the default stream."""
        stream = ctypes.c_void_p()
        self._current(_CUDA_MEMORY[0], device, ctypes.byref(stream))
        return stream.value or 0


@lru_cache(maxsize=64)
def exchange_of(kind: type) -> Exchange | None:
    """The exchange API of arrays of ``kind``, where it has one that we know."""
    capsule = getattr(kind, "__dlpack_c_exchange_api__", None)
    if type(capsule).__name__ != "PyCapsule":
        return None
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    api = _ExchangeApi.from_address(get_pointer(capsule, b"dlpack_exchange_api"))
    return Exchange(api) if api.major == 1 and api.tensor_from_object else None


@lru_cache(maxsize=256)
def _packed_strides(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    strides: list[int] = []
    for size in reversed(shape):
        strides.insert(0, item)
        item *= size
    return tuple(strides)


@lru_cache(maxsize=64)
def _item_bytes(dtype: str) -> int:
    return int("".join(c for c in dtype if c.isdigit())) // 8
