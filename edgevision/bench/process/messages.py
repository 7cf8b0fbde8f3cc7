"""Messages over a pipe between the run and a target's process: JSON and arrays, never code.

A message is eight bytes ``EVB1`` + the length of its head (uint32, little-endian), the head (JSON, UTF-8), and the arrays that the head
lists, one behind the other: C order, little-endian. What reads it trusts nothing: lengths, types and shapes are bounded first.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

MAX_HEAD_BYTES = 16 << 20
MAX_ARRAY_BYTES = 4 << 30  # of all arrays of a message together
MAX_ARRAYS = 100_000
MAX_AXES = 8
_MAGIC = b"EVB1"
_PREFIX = struct.Struct("<4sI")
_TYPES = {name: np.dtype(name) for name in ("|b1", "|u1", "|i1", "<i4", "<i8", "<f4", "<f8")}
_ARRAYS = "arrays"  # the key of the head that lists them

Array = npt.NDArray[Any]


class MessageError(ValueError):
    """Bytes that are no message: the other side is no program of ours, or printed into the pipe."""


@dataclass(frozen=True, eq=False)
class Message:
    """``head``: JSON values by name. ``arrays``: by name, each of one of the types bool, (u)int8, int32, int64, float32, float64."""

    head: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def write_message(stream: IO[bytes], message: Message) -> None:
    """Write and flush. Raises MessageError for what the other side would refuse, OSError where it is gone."""
    arrays = {name: _plain(name, array) for name, array in message.arrays.items()}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    head = json.dumps({**message.head, _ARRAYS: listed}, allow_nan=True).encode()
    _check_limits(len(head), len(listed), sum(array.nbytes for array in arrays.values()))
    stream.write(_PREFIX.pack(_MAGIC, len(head)) + head)
    for array in arrays.values():
        if array.size:
            stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def read_message(read: Callable[[int], bytes]) -> Message | None:
    """The next message; None where the other side has closed. ``read(n)``: 1 to n bytes, none at the end.

    Raises MessageError for what is no message, or ends within one.
    """
    prefix = _read_all(read, _PREFIX.size, may_end=True)
    if not prefix:
        return None
    magic, length = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise MessageError(f"expected a message, got {bytes(prefix)!r}")
    _check_limits(length, 0, 0)
    try:
        head = json.loads(_read_all(read, length))
        listed = [_listed(one) for one in head.pop(_ARRAYS)]
    except MessageError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"a message has a damaged head ({type(error).__name__}: {error})") from None
    _check_limits(length, len(listed), sum(math.prod(shape) * dtype.itemsize for _, dtype, shape in listed))
    return Message(head, {name: _read_array(read, dtype, shape) for name, dtype, shape in listed})


def _plain(name: str, array: Array) -> Array:
    """In C order and little-endian. Raises MessageError for a type that is not sent."""
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _TYPES:
        raise MessageError(
            f"an array of type {array.dtype} cannot be sent ({name}); expected one of {', '.join(_TYPES)}"
        )
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _listed(one: Any) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    name, dtype, shape = one
    if dtype not in _TYPES or not isinstance(name, str) or not isinstance(shape, list) or len(shape) > MAX_AXES:
        raise MessageError(f"a message has an array that is not taken: {str(one)[:200]}")
    if not all(isinstance(side, int) and 0 <= side <= MAX_ARRAY_BYTES for side in shape):
        raise MessageError(f"a message has an array of shape {str(shape)[:200]}")
    return name, _TYPES[dtype], tuple(shape)


def _read_array(read: Callable[[int], bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    data = _read_all(read, math.prod(shape) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape)


def _read_all(read: Callable[[int], bytes], size: int, may_end: bool = False) -> bytearray:
    """Exactly ``size`` bytes. It grows with what comes: a length that lies takes no memory."""
    data = bytearray()
    while len(data) < size:
        part = read(min(size - len(data), 1 << 20))
        if not part:
            if may_end and not data:
                return data
            raise MessageError(f"a message ended after {len(data)} of {size} bytes")
        data += part
    return data


def _check_limits(head: int, arrays: int, array_bytes: int) -> None:
    if head > MAX_HEAD_BYTES or arrays > MAX_ARRAYS or array_bytes > MAX_ARRAY_BYTES:
        raise MessageError(
            f"a message of {head} bytes with {arrays} arrays of {array_bytes} bytes is over the limits "
            f"({MAX_HEAD_BYTES}, {MAX_ARRAYS}, {MAX_ARRAY_BYTES}); ask for less at once"
        )
