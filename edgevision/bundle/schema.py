"""``manifest.json`` → ``Manifest``: exact keys and types, every value's place named in the error.

The dataclasses of ``manifest.py`` are the schema; their type hints are read here. A key that has a default may be
missing, so that a later version may add one; a key that is not known is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edgevision.bundle.archive import MAX_ENTRY_BYTES, is_entry_name
from edgevision.bundle.manifest import SCHEMA_VERSION, Manifest, Verdict
from edgevision.errors import BundleError, InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.registry import find_task

MANIFEST_ENTRY = "manifest.json"
DIGEST_ENTRY = "manifest.sha256"
MAX_GOLDEN_FRAMES = 64
_LATER_PREPROCESS_KEYS = ("rounding",)  # a bundle without them means what was the only way before they came
_ROUNDING = 1e-9  # points: what adding and dividing may have moved a drop

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_T = TypeVar("_T")


class UnknownSchemaError(BundleError):
    """The bundle has a schema version that this edgevision does not read; the message says what to do."""


def manifest_json(manifest: Manifest) -> bytes:
    """The bytes of ``manifest.json``: the same for equal manifests, indented for people to read.

    Raises BundleError for values that JSON does not have (NaN, arrays, …).
    """
    try:
        text = json.dumps(manifest.to_dict(), ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
        return text.encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"the manifest holds a value that JSON does not have: {error}") from None


def read_manifest(data: bytes) -> Manifest:
    """Parse the bytes of ``manifest.json``. Raises BundleError for what is not strict JSON, or not a manifest."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite_number,
        )
    except (ValueError, RecursionError) as error:  # covers UnicodeDecodeError and JSONDecodeError
        raise BundleError(f"{MANIFEST_ENTRY} is not valid JSON: {error}") from None
    return parse_manifest(value)


def parse_manifest(data: object) -> Manifest:
    """Check what ``Manifest.to_dict`` gives, as JSON brings it back, and make the manifest of it.

    Raises BundleError, which names the place: ``variants[0].temperature: expected a number, got 'x'``; before all else
    UnknownSchemaError for another schema version.
    """
    if not isinstance(data, dict):
        raise BundleError(f"manifest: expected an object, got {_shown(data)}")
    _check_version(data)
    values = dict(data)
    if data["schema"] == 1:
        from edgevision.bundle.schema1 import as_schema_2

        values = as_schema_2(data)
    proven = values.pop("proven", None)  # told apart for those who read the JSON; it follows from the verdict
    try:
        manifest = _read_dataclass(Manifest, values, "")
    except RecursionError:
        raise BundleError("manifest: its lists and objects are nested too deeply") from None
    if proven is not manifest.proven:
        raise BundleError(f"proven: expected {manifest.proven} as in verdict.proven, got {_shown(proven)}")
    _check(manifest)
    return manifest


def _check_version(data: dict[str, Any]) -> None:
    version = data.get("schema")
    if type(version) is not int or version < 1:
        raise UnknownSchemaError(f"schema: expected a version number, got {_shown(version)}; compile the model again")
    if version > SCHEMA_VERSION:
        raise UnknownSchemaError(
            f"schema: the bundle has version {version} (made by edgevision {_shown(data.get('edgevision'))}), this "
            f"edgevision reads up to {SCHEMA_VERSION}. Run: pip install --upgrade edgevision; or compile the model "
            "again with this version"
        )


# ---- values of any type, by their type hints ----


def _read(hint: Any, value: object, where: str) -> Any:
    """``value`` as an instance of the type ``hint``; ``where`` is its JSON path."""
    if hint is Any:
        return _read_json(value, where)
    if hint is str:
        return _read_str(value, where)
    if hint is bool:
        return value if type(value) is bool else _refuse(where, "true or false", value)
    if hint is int:
        return value if type(value) is int else _refuse(where, "a whole number", value)
    if hint is float:
        return _read_float(value, where)
    if hint is PreprocessSpec:
        return _read_preprocess(value, where)
    if hint is TaskSpec:
        return _read_task(value, where)
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(cast("type[Any]", hint), value, where)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
        inner = arguments[0] if arguments[1] is NoneType else arguments[1]
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is dict and arguments[0] is str:
        if not isinstance(value, dict):
            return _refuse(where, "an object", value)
        return {_read_str(k, where): _read(arguments[1], v, _below(where, k)) for k, v in value.items()}
    raise TypeError(f"the manifest's schema has a type that is not read here: {hint}")


def _read_dataclass(kind: type[_T], value: object, where: str) -> _T:
    if not isinstance(value, dict):
        return _refuse(where or "manifest", "an object", value)
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(cast("Any", kind))}
    if unknown := sorted(set(value) - set(fields)):
        raise BundleError(f"{_below(where, unknown[0])}: no such key; the keys here are {', '.join(sorted(fields))}")
    read = {}
    for name, field in fields.items():
        if name in value:
            read[name] = _read(hints[name], value[name], _below(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BundleError(f"{_below(where, name)}: the key is missing")
    return kind(**read)


def _read_tuple(arguments: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        return _refuse(where, "a list", value)
    if arguments[-1] is Ellipsis:
        hints = [arguments[0]] * len(value)
    elif len(value) == len(arguments):
        hints = list(arguments)
    else:
        return _refuse(where, f"a list of {len(arguments)}", value)
    return tuple(_read(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(hints, value, strict=True)))


def _read_preprocess(value: object, where: str) -> PreprocessSpec:
    if isinstance(value, dict):  # a user's spec may leave keys out, a bundle's may not: defaults must not drift
        names = [field.name for field in dataclasses.fields(PreprocessSpec) if field.name not in _LATER_PREPROCESS_KEYS]
        if missing := [name for name in names if name not in value]:
            raise BundleError(f"{_below(where, missing[0])}: the key is missing")
    try:
        return PreprocessSpec.from_dict(value)
    except InputError as error:
        raise BundleError(f"{where}: {error}") from None
    except TypeError:  # an unhashable value where a word is expected
        return _refuse(where, "a preprocess spec", value)


def _read_task(value: object, where: str) -> TaskSpec:
    try:
        return TaskSpec.from_dict(_read_json(value, where))
    except InputError as error:
        raise error if isinstance(error, BundleError) else BundleError(f"{where}: {error}") from None


def _read_str(value: object, where: str) -> str:
    if not isinstance(value, str):
        return _refuse(where, "a string", value)
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can write half a surrogate pair, which nothing can print
        raise BundleError(f"{where}: expected Unicode text, got {value[:40]!a}") from None
    return value


def _read_float(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _refuse(where, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return number if math.isfinite(number) else _refuse(where, "a finite number", value)


def _read_json(value: object, where: str) -> Any:
    """Any JSON value, for the parts whose keys are free (``source``, ``data``)."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _read_str(value, where)
    if isinstance(value, (int, float)):
        _read_float(value, where)
        return value
    if isinstance(value, (list, tuple)):
        return [_read_json(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {_read_str(k, where): _read_json(v, _below(where, k)) for k, v in value.items()}
    return _refuse(where, "a JSON value", value)


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = ascii(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _refuse(where: str, expected: str, got: object) -> NoReturn:
    raise BundleError(f"{where}: expected {expected}, got {_shown(got)}")


# ---- JSON that every reader understands alike ----


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"the key {_first_repeated([key for key, _ in pairs])!r} is there twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number


# ---- what must hold between values ----


def _check(m: Manifest) -> None:
    for name, entry in m.entries.items():
        if not is_entry_name(name) or name in (MANIFEST_ENTRY, DIGEST_ENTRY):
            raise BundleError(f"entries: no entry may have the name {_shown(name)}")
        if not _DIGEST.fullmatch(entry.sha256):
            raise BundleError(f"entries.{name}.sha256: expected 64 hexadecimal digits, got {_shown(entry.sha256)}")
        _within(f"entries.{name}.size", entry.size, 0, MAX_ENTRY_BYTES)
    _at_least_one("graphs", m.graphs)
    for id, graph in m.graphs.items():
        _listed(m, f"graphs.{id}.entry", graph.entry)
    _at_least_one("variants", m.variants)
    _unique("variants", "id", [variant.id for variant in m.variants])
    for i, variant in enumerate(m.variants):
        where = f"variants[{i}]"
        _one_of(f"{where}.graph", variant.graph, m.graphs)
        _check_golden(m, f"{where}.golden", variant.golden)
        for j, latency in enumerate(variant.latency):
            _within(f"{where}.latency[{j}].threads", latency.threads, 1)
            _within(f"{where}.latency[{j}].batch", latency.batch, 1)
            _within(f"{where}.latency[{j}].p50_ms", latency.p50_ms, 0)
            _within(f"{where}.latency[{j}].p90_ms", latency.p90_ms, latency.p50_ms)
    _one_of("chosen", m.chosen, [variant.id for variant in m.variants])
    _at_least_one("golden_frames", m.golden_frames)
    _within("golden_frames: number of frames", len(m.golden_frames), 1, MAX_GOLDEN_FRAMES)
    _unique("golden_frames", "name", list(m.golden_frames))
    for i, name in enumerate(m.golden_frames):
        _listed(m, f"golden_frames[{i}]", name)
    _check_golden(m, "golden_reference", m.golden_reference)
    _check_task(m)
    if m.verdict is not None:
        _check_verdict("verdict", m.verdict)
    for i, variant in enumerate(m.variants):
        if variant.verdict is not None:
            _check_verdict(f"variants[{i}].verdict", variant.verdict)
            if variant.id == m.chosen and variant.verdict != m.verdict:
                raise BundleError(
                    f"variants[{i}].verdict: expected the same as 'verdict', for it is the chosen variant"
                )


def _check_golden(m: Manifest, where: str, entries: dict[str, str]) -> None:
    _at_least_one(where, entries)
    for role, entry in entries.items():
        _listed(m, f"{where}.{role}", entry)


def _check_task(m: Manifest) -> None:
    """The spec makes a task, with the parameters of each variant too. Of a task that is not known here nothing is said:
    such a bundle can be inspected and verified, and ``load`` says what is missing."""
    task = find_task(m.task.kind)
    if task is None:
        return
    for where, parameters in (
        ("task", {}),
        *((f"variants[{i}].parameters", v.parameters) for i, v in enumerate(m.variants)),
    ):
        try:
            task.make(m.task.with_parameters(parameters))
        except InputError as error:
            raise BundleError(f"{where}: {error}") from None


def _check_verdict(where: str, v: Verdict) -> None:
    """A verdict that its own figures bear out: nothing is passed or proven by saying so."""
    for key in ("n", "lost", "gained"):
        if (count := getattr(v, key)) is not None:
            _within(f"{where}.{key}", count, 0)
    _within(f"{where}.confidence", v.confidence, 0, 1)
    if v.interval[0] > v.interval[1]:
        raise BundleError(f"{where}.interval: expected its lower end first, got {list(v.interval)}")
    if v.passed and v.drop > v.max_drop + _ROUNDING:
        raise BundleError(f"{where}.passed: expected false, because the drop of {v.drop:g} is above {v.max_drop:g}")
    if v.proven:
        against = "" if v.passed else "passed is false"
        if not against and v.n == 0:
            against = "no photo was shown"
        if not against and v.interval[1] > v.max_drop + _ROUNDING:
            against = f"the interval's upper end of {v.interval[1]:g} is above {v.max_drop:g}"
        if against:
            raise BundleError(f"{where}.proven: expected false, because {against}")


def _one_of(where: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        known = ", ".join(list(allowed)[:10])
        raise BundleError(f"{where}: expected one of {known}, got {_shown(value)}")


def _at_least_one(where: str, values: Collection[object]) -> None:
    if not values:
        raise BundleError(f"{where}: expected at least one, got none")


def _unique(where: str, what: str, values: list[Any]) -> None:
    if len(set(values)) != len(values):
        raise BundleError(f"{where}: expected a different {what} each, got {_shown(_first_repeated(values))} twice")


def _first_repeated(values: list[Any]) -> Hashable:
    return cast("Hashable", Counter(values).most_common(1)[0][0])


def _listed(m: Manifest, where: str, name: str) -> None:
    if name not in m.entries:
        raise BundleError(f"{where}: expected an entry of the bundle, got {_shown(name)}, which is not in 'entries'")


def _within(where: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        bounds = f"{low}…{high}" if high < math.inf else f"at least {low}"
        raise BundleError(f"{where}: expected {bounds}, got {value}")
