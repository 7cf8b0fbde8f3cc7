"""The wire format of protobuf, read strictly and without copying: what ONNX files are written in.

A message is a sequence of fields, each a number, a wire type and a value
(https://protobuf.dev/programming-guides/encoding). Nothing here allocates by what a length says: a field that does not
lie within its message is an error. Stricter than protobuf itself: a field that the schema does not know, one of another
wire type, and a second value of a single field are errors too, so that no two readers see different messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, TypeAlias

from edgevision.errors import EngineError

Span: TypeAlias = tuple[int, int]  # first byte, and the one after the last

_MAX_VARINT_BYTES = 10


class WireType(IntEnum):
    """How the value of a field is written. Groups, 3 and 4, are not read."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2  # behind its length: text, messages, packed numbers
    FIXED32 = 5


class Kind(IntEnum):
    """How a field is read. Plurals are repeated fields, and give a list."""

    INT = 0  # signed, 64 bits
    INTS = 1
    FLOAT = 2
    TEXT = 3  # UTF-8
    TEXTS = 4
    SPAN = 5  # a message or bytes: where they lie
    SPANS = 6
    NUMBERS = 7  # packed, or one by one: wire type and span of each run
    SKIPPED = 8  # text or messages without a meaning for us


Schema: TypeAlias = Mapping[int, tuple[str, Kind]]
_SINGLE = {Kind.INT, Kind.FLOAT, Kind.TEXT, Kind.SPAN}
_LENGTH_DELIMITED = {Kind.TEXT, Kind.TEXTS, Kind.SPAN, Kind.SPANS, Kind.SKIPPED}


def read_message(data: bytes, span: Span, schema: Schema, what: object) -> dict[str, Any]:
    """The fields of the message at ``span``, by name; those that are not there are not in it.

    Raises EngineError, which calls the message ``str(what)``.
    """
    found: dict[str, Any] = {}
    for number, wire, first, last in fields(data, span, what):
        entry = schema.get(number)
        if entry is None:
            raise EngineError(f"{what} has a field {number}, which is none of ONNX; export the model again")
        name, kind = entry
        if name in found and kind in _SINGLE:
            raise EngineError(f"{what} has '{name}' twice; export the model again")
        if kind in _LENGTH_DELIMITED:
            if wire != WireType.BYTES:
                raise damaged(what)
            if kind is Kind.SPANS:
                found.setdefault(name, []).append((first, last))
            elif kind is Kind.SPAN:
                found[name] = (first, last)
            elif kind is Kind.TEXT:
                found[name] = _text(data, first, last, what)
            elif kind is Kind.TEXTS:
                found.setdefault(name, []).append(_text(data, first, last, what))
        elif kind is Kind.INT:
            if wire != WireType.VARINT:
                raise damaged(what)
            found[name] = first
        elif kind is Kind.INTS:
            found.setdefault(name, []).extend(_ints(data, wire, first, last, what))
        elif kind is Kind.FLOAT:
            if wire != WireType.FIXED32:
                raise damaged(what)
            (found[name],) = struct.unpack_from("<f", data, first)
        else:
            found.setdefault(name, []).append((wire, first, last))
    return found


def fields(data: bytes, span: Span, what: object) -> Iterator[tuple[int, int, int, int]]:
    """Number and wire type of each field, and its value, of a varint (signed, 64 bits), or the span of its bytes."""
    at, end = span
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(data, at - 1, end, what)
        wire, number = key & 7, key >> 3
        if wire == WireType.BYTES:
            if at >= end:
                raise damaged(what)
            size = data[at]
            at += 1
            if size >= 0x80:
                size, at = _varint(data, at - 1, end, what)
            first, at = at, at + size
        elif wire == WireType.VARINT:
            first, at = _varint(data, at, end, what)
            yield number, wire, _signed(first), at
            continue
        elif wire in (WireType.FIXED32, WireType.FIXED64):
            first, at = at, at + (4 if wire == WireType.FIXED32 else 8)
        else:  # groups, which ONNX never had, and nothing
            raise damaged(what)
        if at > end or number == 0:
            raise damaged(what)
        yield number, wire, first, at


def packed_ints(data: bytes, span: Span, what: object) -> list[int]:
    """Varints one after another, as signed 64-bit numbers."""
    at, end = span
    found = []
    while at < end:
        value, at = _varint(data, at, end, what)
        found.append(_signed(value))
    return found


def _ints(data: bytes, wire: int, first: int, last: int, what: object) -> list[int]:
    if wire == WireType.VARINT:
        return [first]
    if wire != WireType.BYTES:
        raise damaged(what)
    return packed_ints(data, (first, last), what)


def _varint(data: bytes, at: int, end: int, what: object) -> tuple[int, int]:
    """The unsigned number that begins at ``at``, and where it ends."""
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise damaged(what)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(data: bytes, first: int, last: int, what: object) -> str:
    try:
        return data[first:last].decode()
    except UnicodeDecodeError:
        raise EngineError(f"{what} is damaged: a name in it is not UTF-8; copy or export the model again") from None


def damaged(what: object) -> EngineError:
    """What to raise where ``what`` is no protobuf, or none as ONNX has it."""
    return EngineError(f"{what} is damaged: not protobuf as ONNX has it; copy or export the model again")
