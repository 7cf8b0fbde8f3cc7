"""A target's address, as it is typed: which kind of target, what it is, and its options.

``[kind:]what[@key=value[,key=value…]]``, such as ``model.edge@variant=openvino-int8`` or
``ultralytics:yolo11n.onnx@python=/opt/yolo/bin/python,conf=0.4``. A target's own process reads it too, so it needs NumPy alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgevision.bench.targets.base import Allowance
from edgevision.errors import InputError

# Options that every kind takes: the Python of the environment that it runs in, and threads of its own.
COMMON = frozenset({"python", "threads"})
# What each kind takes besides. None: whatever its maker takes.
KINDS: Mapping[str, frozenset[str] | None] = {
    "bundle": frozenset({"variant", "engine", "then", "threshold"}),
    "onnx": frozenset({"as", "conf", "iou"}),
    "openvino": frozenset({"as", "conf", "iou", "precision"}),
    "torch": frozenset({"as", "conf", "iou"}),
    "torch-compile": frozenset({"as", "conf", "iou"}),
    "ultralytics": frozenset({"conf", "iou", "size"}),
    "http": frozenset({"as", "conf", "iou", "model"}),
    "python": None,
}
_BY_ENDING = {".edge": "bundle", ".onnx": "onnx", ".xml": "openvino"}
_FIRST_OPTION = re.compile(r"@(?=[a-z][a-z_]*=)")
_ALL_VARIANTS = "all"


@dataclass(frozen=True)
class TargetAddress:
    """``kind``: one of ``KINDS``; ``what``: a path, a URL, or ``module:attribute``; ``text``: as it was typed."""

    kind: str
    what: str
    options: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


def parse_address(text: str) -> TargetAddress:
    """Read an address. Raises InputError for what is none, saying what it may be.

    What has no kind is told by its ending: ``.edge`` is a bundle, ``.onnx`` runs on ONNX Runtime, ``.xml`` on OpenVINO. A ``.pt``
    may be anybody's, so its kind must be given. ``http://…`` is short for ``http:http://…``. A path with ``@word=`` in it cannot be
    given: rename the file.

    >>> parse_address("ultralytics:yolo11n.pt@conf=0.4").options
    {'conf': '0.4'}
    """
    place = _FIRST_OPTION.search(text)
    body, tail = (text, "") if place is None else (text[: place.start()], text[place.end() :])
    kind, what = _kind_of(body, text)
    if not what:
        raise InputError(f"'{text}' names no target; expected [kind:]what, such as model.edge or onnx:model.onnx")
    if kind == "python" and not re.fullmatch(r"[\w.]+:[\w.]+", what):
        raise InputError(f"'{text}' is no maker of a target; expected python:module:attribute")
    return TargetAddress(kind, what, _options_of(tail, kind, text), text)


def format_address(address: TargetAddress) -> str:
    """The address as it would be typed, its kind always given.

    >>> format_address(parse_address("model.edge@threads=2"))
    'bundle:model.edge@threads=2'
    """
    options = ",".join(f"{key}={value}" for key, value in address.options.items())
    return f"{address.kind}:{address.what}" + (f"@{options}" if options else "")


def with_option(address: TargetAddress, key: str, value: str) -> TargetAddress:
    """The address with one option set, its ``text`` made anew."""
    changed = replace(address, options={**address.options, key: value})
    return replace(changed, text=format_address(changed))


def allowance_of(address: TargetAddress, allowance: Allowance) -> Allowance:
    """What this target may use: as the run allows, but for threads of its own (``@threads=``). Raises InputError."""
    text = address.options.get("threads")
    if text is None:
        return allowance
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise InputError(f"'{address.text}': threads is a whole number from 1 to 1024, got {text!r}")
    return replace(allowance, threads=int(text))


def number_option(address: TargetAddress, key: str, default: float, low: float = 0.0, high: float = 1.0) -> float:
    """A number among the options, or ``default``. Raises InputError for one outside ``low`` … ``high``."""
    text = address.options.get(key)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(f"'{address.text}': {key} is a number from {low:g} to {high:g}, got {text!r}")
    return value


def expand(address: TargetAddress) -> list[TargetAddress]:
    """One address for each variant of a bundle where ``@variant=all`` is asked; else the address alone.

    Variants for other devices are among them: whether one runs here is seen when it is opened. Raises BundleError.
    """
    if address.kind != "bundle" or address.options.get("variant") != _ALL_VARIANTS:
        return [address]
    from edgevision.bundle.reader import open_bundle

    bundle = open_bundle(address.what)
    try:
        return [with_option(address, "variant", entry.id) for entry in bundle.manifest.variants]
    finally:
        bundle.close()


def existing_file(path: str, address: TargetAddress) -> Path:
    """The file or folder at ``path``. Raises InputError where there is none."""
    found = Path(path)
    if not found.exists():
        raise InputError(f"'{address.text}': there is no file {path}")
    return found


def _kind_of(body: str, text: str) -> tuple[str, str]:
    word, colon, rest = body.partition(":")
    if colon and word in ("http", "https") and rest.startswith("//"):
        return "http", body
    if colon and word in KINDS:
        return word, rest
    kind = _BY_ENDING.get(Path(body).suffix.lower())
    if kind is not None:
        return kind, body
    kinds = ", ".join(sorted(KINDS))
    if Path(body).suffix.lower() in (".pt", ".pth", ".pt2"):
        raise InputError(f"'{text}': a .pt file may be of any library; say which: torch:{body} or ultralytics:{body}")
    raise InputError(f"'{text}' is no target: expected *.edge, *.onnx, *.xml or KIND:WHAT, with KIND one of {kinds}")


def _options_of(tail: str, kind: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    own = KINDS[kind]
    for part in tail.split(",") if tail else ():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise InputError(f"'{text}': expected key=value after @, got {part!r}")
        if own is not None and key not in own | COMMON:
            known = ", ".join(sorted(own | COMMON))
            raise InputError(f"'{text}': {kind} has no option {key!r}; it has {known}")
        if key in options:
            raise InputError(f"'{text}': the option {key!r} is given twice")
        options[key] = value
    return options
