"""From an address to a target, in the target's own process. The module of a kind is imported only where it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from edgevision.bench.targets.address import KINDS, TargetAddress
from edgevision.bench.targets.base import Allowance, Target
from edgevision.errors import InputError

# The module of each kind; each has ``open(address, allowance) -> Target``.
_MODULES: Mapping[str, str] = {
    "bundle": "edgevision.bench.targets.bundle",
    "onnx": "edgevision.bench.targets.onnx",
    "openvino": "edgevision.bench.targets.openvino",
    "torch": "edgevision.bench.targets.torch",
    "torch-compile": "edgevision.bench.targets.torch",
    "ultralytics": "edgevision.bench.targets.ultralytics",
    "http": "edgevision.bench.targets.http",
    "python": "edgevision.bench.targets.own",
}


def open_target(address: TargetAddress, allowance: Allowance) -> Target:
    """Open what ``address`` names, to use no more than ``allowance``.

    Raises InputError for an address or file that is not what was expected, MissingExtraError where its package is missing, and
    whatever the target itself raises.
    """
    if address.kind not in _MODULES:
        raise InputError(f"there is no kind of target {address.kind!r}; expected one of {', '.join(sorted(KINDS))}")
    target: Target = importlib.import_module(_MODULES[address.kind]).open(address, allowance)
    return target
