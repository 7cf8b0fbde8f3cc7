"""The protocol's datatypes, and numbers and texts in and out of its two forms: JSON, and bytes in little-endian order."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

BYTES = "BYTES"
# NumPy's name → the protocol's.
NAMES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8", "int16": "INT16",
    "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
DTYPES = {name: np.dtype(numpy_name).newbyteorder("<") for numpy_name, name in NAMES.items()}
DATATYPES = (*DTYPES, BYTES)
_LENGTH = struct.Struct("<I")  # before each text of BYTES


def from_bytes(raw: memoryview, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """A tensor of numbers in the binary form: not copied. Raises InputError where its length is another than datatype and shape make."""
    dtype = DTYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise InputError(f"expected {expected} bytes for {datatype} of shape {list(shape)}, got {len(raw)}")
    if datatype == "BOOL" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise InputError("expected bytes 0 and 1 for BOOL, got others")
    return np.frombuffer(raw, dtype).reshape(shape)


def texts_from_bytes(raw: memoryview, count: int) -> list[bytes]:
    """``count`` texts in the binary form: each after its length, 4 bytes. Raises InputError where they do not fill ``raw`` exactly."""
    texts, place = [], 0
    for number in range(count):
        if place + _LENGTH.size > len(raw):
            raise InputError(f"expected {count} elements of BYTES, the data end before element {number}")
        (length,) = _LENGTH.unpack_from(raw, place)
        place += _LENGTH.size
        if length > len(raw) - place:
            raise InputError(f"element {number} of BYTES is to have {length} bytes, {len(raw) - place} are left")
        texts.append(bytes(raw[place : place + length]))
        place += length
    if place != len(raw):
        raise InputError(f"expected {count} elements of BYTES, {len(raw) - place} bytes are left over")
    return texts


def from_json(data: object, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """A tensor of numbers in the JSON form: flat, or nested as its shape. Raises InputError for what the datatype cannot hold."""
    if datatype == "FP16":
        raise InputError("FP16 has no form in JSON; send it as binary data")
    values = _flat(data, shape)
    kinds = set(map(type, values))
    if datatype == "BOOL":
        return np.array(_all_of(values, kinds, {bool}, datatype), DTYPES[datatype]).reshape(shape)
    dtype = DTYPES[datatype]
    if dtype.kind == "f":
        return _floats(_all_of(values, kinds, {int, float}, datatype), dtype, datatype).reshape(shape)
    limits = np.iinfo(dtype)
    _all_of(values, kinds, {int}, datatype)
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        raise InputError(f"expected numbers of {datatype}, {limits.min} … {limits.max}, got others")
    return np.array(values, dtype).reshape(shape)


def texts_from_json(data: object, shape: Sequence[int]) -> list[bytes]:
    """Texts in the JSON form. Raises InputError."""
    values = _flat(data, shape)
    return [text.encode("utf-8", "replace") for text in _all_of(values, set(map(type, values)), {str}, BYTES)]


def to_bytes(tensor: npt.NDArray[Any]) -> bytes:
    """The binary form of a tensor of numbers."""
    return tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()


def texts_to_bytes(texts: Iterable[bytes]) -> bytes:
    """The binary form of BYTES."""
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def to_json(tensor: npt.NDArray[Any], name: str) -> list[Any]:
    """The JSON form, flat. Raises InputError for FP16, and for numbers that JSON does not have."""
    if tensor.dtype == np.float16:
        raise InputError(f"output '{name}' is FP16, which has no form in JSON; ask for it as binary data")
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise InputError(
            f"output '{name}' holds numbers that JSON does not have (infinite, or none); ask for it as binary data"
        )
    values: list[Any] = tensor.ravel().tolist()
    return values


def _flat(data: object, shape: Sequence[int]) -> list[Any]:
    """The elements, of a flat list or of lists in lists as ``shape`` says."""
    count = math.prod(shape)
    if not isinstance(data, list):
        raise InputError(f"expected data as a list, got {type(data).__name__}")
    if len(data) == count and not (data and isinstance(data[0], list)):
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(type(one) is list and len(one) == size for one in level):
            raise InputError(
                f"expected data of shape {list(shape)}: {count} elements in one list, or lists in lists of that shape"
            )
        level = list(itertools.chain.from_iterable(level))
    return level


def _all_of(values: list[Any], kinds: set[type], allowed: set[type], datatype: str) -> list[Any]:
    if not kinds <= allowed:
        wrong = sorted(kind.__name__ for kind in kinds - allowed)
        raise InputError(f"expected data of {datatype}, got {', '.join(wrong)}")
    return values


def _floats(values: list[Any], dtype: np.dtype[Any], datatype: str) -> npt.NDArray[Any]:
    try:
        wide = np.array(values, np.float64)
    except OverflowError:
        wide = np.array([math.inf])
    if not (np.abs(wide) <= np.finfo(dtype).max).all():
        raise InputError(f"expected numbers within {datatype}, got larger ones")
    return wide.astype(dtype)
