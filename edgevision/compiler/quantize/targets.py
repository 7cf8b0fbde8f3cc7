"""Targets: which int8 graphs a compile is to make, and which engines of this machine can tell about each.

A target is a kind of device. ``auto`` is this machine. A graph for another kind of device may still run here: then its
answers can be compared here, not its speed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from edgevision.compiler.quantize.dialects import ARM, OPENVINO, OPENVINO_VNNI, TENSORRT, X86, X86_VNNI, Dialect
from edgevision.errors import InputError
from edgevision.machine import Machine, cpu_kind, describe_machine


@dataclass(frozen=True)
class Target:
    """A kind of device. ``dialects``: the int8 graphs for it, the one for ONNX Runtime first where it has that."""

    name: str
    dialects: tuple[Dialect, ...]


X86_VNNI_TARGET = Target("x86-vnni", (X86_VNNI, OPENVINO_VNNI))
X86_TARGET = Target("x86", (X86, OPENVINO))
ARM_TARGET = Target("arm", (ARM,))
TENSORRT_TARGET = Target("tensorrt", (TENSORRT,))
TENSORRT_RTX_TARGET = Target("tensorrt-rtx", (TENSORRT,))
AUTO = "auto"

_TARGETS = {
    target.name: target for target in (X86_VNNI_TARGET, X86_TARGET, ARM_TARGET, TENSORRT_TARGET, TENSORRT_RTX_TARGET)
}
TARGET_NAMES = (AUTO, *_TARGETS)

# The engines that each dialect is written for. What they run in int8 there, and nowhere else.
DIALECT_ENGINES: dict[str, tuple[str, ...]] = {
    "x86-vnni": ("onnxruntime", "openvino"),
    "x86": ("onnxruntime", "openvino"),
    "openvino-vnni": ("openvino",),
    "openvino": ("openvino",),
    "arm": ("onnxruntime",),
    "tensorrt": ("tensorrt", "tensorrt-rtx"),
}


def cpu_target(machine: Machine | None = None) -> Target:
    """The target that the machine's CPU is (this machine's, when None); see ``machine.cpu_kind``.

    Raises:
        InputError: neither x86 nor 64-bit ARM.
    """
    machine = machine or describe_machine()
    kind = cpu_kind(machine.architecture, machine.features)
    if kind is None:
        raise InputError(
            f"no int8 dialect is made for this CPU ('{machine.architecture}'); name a target, one of {', '.join(_TARGETS)}"
        )
    return _TARGETS[kind]


def parse_targets(names: str | Iterable[str], machine: Machine | None = None) -> tuple[Target, ...]:
    """Targets by name, each once, in the order given; ``auto`` is ``cpu_target(machine)``.

    ``names``: as the command line has them (``"auto,arm"``), or one by one.

    Raises:
        InputError: no name, or an unknown one.
    """
    listed = names.split(",") if isinstance(names, str) else list(names)
    found: dict[str, Target] = {}
    for name in (entry.strip().lower() for entry in listed):
        if name != AUTO and name not in _TARGETS:
            raise InputError(f"unknown target '{name}'; choose among {', '.join(TARGET_NAMES)}")
        target = cpu_target(machine) if name == AUTO else _TARGETS[name]
        found[target.name] = target
    if not found:
        raise InputError(f"at least one target is needed; choose among {', '.join(TARGET_NAMES)}")
    return tuple(found.values())


def exact_engines(dialect: Dialect, engines: Collection[str], machine: Machine | None = None) -> frozenset[str]:
    """Those of the installed ``engines`` whose answers on this machine (``machine``) are those of the dialect's graphs,
    by the kernels of the target or by slower ones.

    Left out are engines whose answers would say nothing about the target, such as OpenVINO with 8-bit weights on a CPU
    that saturates.
    """
    machine = machine or describe_machine()
    saturates = cpu_kind(machine.architecture, machine.features) == "x86" and dialect.weight_limit > X86.weight_limit
    written_for = {engine for engine in engines if engine in DIALECT_ENGINES[dialect.name]}
    # Our ONNX Runtime engine asks for exact sums everywhere.
    return frozenset({"onnxruntime"} & set(engines) | (set() if saturates else written_for))
