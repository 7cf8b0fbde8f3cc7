"""A record as a JSON file, written whole and read with care.

Arrays of up to ``READABLE`` numbers are lists, so that a person can read a density search or a slow target's latencies; longer ones are
``{"int64": n, "zlib": "…"}``, little-endian bytes, compressed, as base64: a list of a million numbers takes ten times the space, and twenty
times as long to read. Numbers that JSON does not have (infinite bounds) are the words "inf", "-inf" and "nan".

Reading is bounded: the file, what is decompressed, and all numbers together. Nothing is written that reading would refuse.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import math
import os
import types
import typing
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.bench.record import SCHEMA, Record
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.errors import InputError
from edgevision.files import atomic_write, ensure_writable, read_regular

FORMAT = "edgevision-bench"
_BEGIN = f'{{"format":"{FORMAT}"'.encode()
READABLE = 64  # numbers of an array that is written as a list
MOST_BYTES = 128 << 20  # of the file
MOST_NUMBERS = 24_000_000  # in all arrays together
# What a run may measure: as base64 of bytes that do not get smaller at all, so many numbers stay below ``MOST_BYTES``.
ROOM = MOST_BYTES * 9 // 10 // 11
_LEVEL = 3  # of zlib: latencies hardly get smaller above
_TYPES: dict[str, Any] = {"int64": np.int64, "bool": np.bool_, "float64": np.float64}


def write_record(path: str | Path, record: Record) -> None:
    """Write a record, so that ``path`` is at every instant the old file or the whole new one.

    Raises InputError where ``path`` cannot be a file, or the record is larger than ``read_record`` takes; EdgeVisionError where
    writing fails, such as on a full disk. The old file stays then.
    """
    numbers = sum(numbers_of(block) for result in record.results for block in result.blocks)
    data = dumps(record) if numbers <= MOST_NUMBERS else b""
    if numbers > MOST_NUMBERS or len(data) > MOST_BYTES:
        size = f"{len(data) >> 20} MiB with {numbers} numbers"
        raise InputError(
            f"cannot write {path}: the record has {size}, and at most {MOST_BYTES >> 20} MiB and {MOST_NUMBERS} are read again; "
            "measure fewer rounds, or fewer targets and scenarios in one run"
        )
    atomic_write(path, data)


def ensure_place(path: str | Path) -> None:
    """See, before long work, that ``write_record`` can write to ``path`` and replaces nothing but a record or an empty file.

    Raises InputError, or what ``write_record`` would raise.
    """
    ensure_writable(path)
    try:
        with Path(path).open("rb") as file:
            begin = file.read(len(_BEGIN))
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"cannot read {path}, which would be replaced: {error.strerror or error}") from None
    if begin not in (b"", _BEGIN):
        raise InputError(f"{path} is there, and is no record: it would be replaced; give another name, or delete it")


def read_record(path: str | Path) -> Record:
    """Read a record. Raises InputError for what is none, is damaged, too large, or of another schema; OSError never."""
    try:
        data = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; give a record that 'edgevision bench -o' wrote") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return loads(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def numbers_of(block: Block) -> int:
    """How many numbers of a block's arrays a record will hold."""
    arrays = (block.latency_ns, block.frames, block.switched, block.due_ns, block.streams, *block.stages.values())
    return sum(len(array) for array in arrays)


def dumps(record: Record) -> bytes:
    """The record as JSON."""
    values = {"format": FORMAT, "schema": record.schema, **_plain(record)}
    return (json.dumps(values, allow_nan=False, separators=(",", ":")) + "\n").encode()


def loads(data: bytes) -> Record:
    """A record from JSON. Raises InputError."""
    try:
        values = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no JSON ({_brief(error)}); give a record that 'edgevision bench -o' wrote") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(
            "this is JSON, but no record of 'edgevision bench'; give a file that 'edgevision bench -o' wrote"
        )
    schema = values.get("schema")
    if schema != SCHEMA:
        cure = f"measure again with this version, or use the version that wrote it{_writer(values)}"
        raise InputError(f"the record has the schema {schema!r}, and this version reads {SCHEMA}; {cure}")
    values.pop("format")
    try:
        record = _Reader().value(Record, values, "record")
    except RecursionError:
        raise InputError("its values are nested too deep; it was not written by 'edgevision bench'") from None
    assert isinstance(record, Record)
    return record


def _writer(values: Mapping[str, Any]) -> str:
    conditions = values.get("conditions")
    versions = conditions.get("versions") if isinstance(conditions, dict) else None
    version = versions.get("edgevision") if isinstance(versions, dict) else None
    return f" (edgevision {version})" if isinstance(version, str) else ""


def _brief(error: object) -> str:
    return " ".join(str(error).split())[:120]


# ---- writing ----


def _plain(value: Any) -> Any:
    """As JSON has it. ``value``: dataclasses, mappings, sequences, arrays, numbers, text and None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # inf, -inf, nan
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a record holds plain values, got {type(value).__name__}")


def _array(array: Any) -> Any:
    name = array.dtype.name
    if array.ndim != 1 or name not in _TYPES:
        raise TypeError(f"a record holds arrays [n] of {', '.join(_TYPES)}, got {name} {array.shape}")
    if len(array) <= READABLE:
        return _plain(array.tolist())
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return {name: len(array), "zlib": base64.b64encode(zlib.compress(data, _LEVEL)).decode("ascii")}


# ---- reading ----


# Parameters that figures are made of, by scenario.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "multi-stream": ("samples",), "server": ("rate",), "offline": ("batch",), "fixed-rate": ("cameras", "fps"), "density": ("fps",),
}  # fmt: skip
_OF_RULES: Mapping[str, tuple[str, ...]] = {"mean": ("least_mean",), "every-stream": ("share", "age_ms", "repeats")}


def _contradiction(value: Any) -> str:
    """What of a block or a scenario cannot be, though each of its values can; empty where nothing is."""
    if isinstance(value, Block):
        n = len(value.latency_ns)
        each = {"switched": value.switched, "due_ns": value.due_ns, "streams": value.streams, **value.stages}
        odd = [name for name, array in each.items() if len(array) not in (0, n)]
        if len(value.frames) != n or odd:
            return f"has {n} latencies, and another number of {odd[0] if odd else 'frames'}"
        if len(value.offered) != len(value.dropped):
            return "tells of another number of cameras what was offered than what was dropped"
    if isinstance(value, Scenario):
        rule = value.parameters.get("rule")
        names = _PARAMETERS.get(value.name, ()) + (_OF_RULES.get(str(rule), ()) if value.name == "density" else ())
        if value.name == "density" and rule not in _OF_RULES:
            return f"has the rule {_brief(rule)!r}, which is none"
        odd = [name for name in names if not _is_positive(value.parameters.get(name))]
        return f"has no number for {odd[0]!r}" if odd else ""
    return ""


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e12


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


class _Reader:
    """Reads values as the dataclasses' annotations say, and counts what it has read."""

    def __init__(self) -> None:
        self._numbers = 0

    def value(self, kind: Any, value: Any, where: str) -> Any:
        """``value`` as ``kind``. Raises InputError that names the place."""
        if kind is Any:
            return value  # JSON's own: ``conditions``, a scenario's parameters
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._dataclass(kind, value, where)
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            if value is None and type(None) in inner:
                return None
            (only,) = (one for one in inner if one is not type(None))
            return self.value(only, value, where)
        if origin is np.ndarray:
            (dtype,) = typing.get_args(inner[1])
            return self._read_array(np.dtype(dtype), value, where)
        if origin is tuple:
            items = self._checked(list, value, where)
            return tuple(self.value(inner[0], item, f"{where}[{place}]") for place, item in enumerate(items))
        if origin is not None and issubclass(origin, Mapping):
            entries = self._checked(dict, value, where)
            return {key: self.value(inner[1], item, f"{where}.{key}") for key, item in entries.items()}
        if kind is float:
            return self._float(value, where)
        return self._checked(kind, value, where)

    def _dataclass(self, kind: type, value: Any, where: str) -> Any:
        entries = self._checked(dict, value, where)
        hints = _hints(kind)
        if entries.keys() != hints.keys():
            odd = sorted(entries.keys() ^ hints.keys())
            raise InputError(
                f"{where} has other fields than a record of schema {SCHEMA} ({', '.join(odd)[:120]}); the file is damaged"
            )
        made = kind(**{name: self.value(hint, entries[name], f"{where}.{name}") for name, hint in hints.items()})
        if reason := _contradiction(made):
            raise InputError(f"{where} {reason}; the file is damaged")
        return made

    def _checked(self, kind: type, value: Any, where: str) -> Any:
        # bool is an int for Python, and no number for us.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InputError(f"{where} is {type(value).__name__}, expected {kind.__name__}; the file is damaged")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise InputError(f"{where} does not fit into 64 bits; the file is damaged")
        return value

    def _float(self, value: Any, where: str) -> float:
        if isinstance(value, str) and value in ("inf", "-inf", "nan"):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{where} is {type(value).__name__}, expected a number; the file is damaged")
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where} is no number of 64 bits; the file is damaged") from None

    def _read_array(self, dtype: np.dtype[Any], value: Any, where: str) -> Any:
        if isinstance(value, list):
            self._count(len(value), where)
            kind: Any = {"i": int, "b": bool, "f": float}[dtype.kind]
            return np.array([self.value(kind, item, where) for item in value], dtype)
        entries = self._checked(dict, value, where)
        if entries.keys() != {dtype.name, "zlib"}:
            raise InputError(f"{where} is no array of {dtype.name}; the file is damaged")
        n: int = self._checked(int, entries[dtype.name], where)
        text: str = self._checked(str, entries["zlib"], where)
        if n < 0:
            raise InputError(f"{where} has {n} numbers; the file is damaged")
        self._count(n, where)
        size = n * dtype.itemsize
        try:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
        except (ValueError, zlib.error) as error:
            raise InputError(f"{where} cannot be unpacked ({_brief(error)}); the file is damaged") from None
        if len(data) != size or not unpacker.eof:
            raise InputError(f"{where} holds another number of bytes than the {size} it says; the file is damaged")
        if dtype.kind == "b" and data.strip(b"\0\1"):
            raise InputError(f"{where} holds bytes that are neither true nor false; the file is damaged")
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)

    def _count(self, n: int, where: str) -> None:
        self._numbers += n
        if self._numbers > MOST_NUMBERS:
            raise InputError(
                f"{where}: more than {MOST_NUMBERS} numbers in all; records of 'edgevision bench' are smaller"
            )
