"""Which graphs a target needs, and what running them on a given machine shows."""

from __future__ import annotations

import pytest

from edgevision.compiler.quantize.dialects import ARM, DIALECTS, OPENVINO, OPENVINO_VNNI, TENSORRT, X86, X86_VNNI
from edgevision.compiler.quantize.targets import (
    DIALECT_ENGINES,
    TARGET_NAMES,
    cpu_target,
    exact_engines,
    parse_targets,
)
from edgevision.errors import InputError
from edgevision.machine import Machine


def machine(architecture: str, *features: str) -> Machine:
    return Machine("a CPU", architecture, features, 2, "Linux")


VNNI = machine("x86_64", "avx2", "avx512vnni")
OLD = machine("AMD64", "avx2", "fma")
PHONE = machine("aarch64", "asimd")
OTHER = machine("riscv64")


@pytest.mark.parametrize(
    ("here", "name"),
    [
        (VNNI, "x86-vnni"), (machine("x86_64", "avxvnni"), "x86-vnni"), (machine("x86_64", "amxint8"), "x86-vnni"),
        (OLD, "x86"), (machine("x86_64"), "x86"), (PHONE, "arm"), (machine("arm64"), "arm"),
    ],
)  # fmt: skip
def test_auto_is_what_the_cpu_says(here, name):
    assert cpu_target(here).name == name
    assert [target.name for target in parse_targets("auto", here)] == [name]


def test_auto_on_an_unknown_cpu():
    with pytest.raises(InputError, match=r"'riscv64'.*name a target"):
        parse_targets("auto", OTHER)
    assert [target.name for target in parse_targets("arm", OTHER)] == ["arm"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("auto,arm", ["x86-vnni", "arm"]), ("x86-vnni, AUTO", ["x86-vnni"]), (["tensorrt", "x86"], ["tensorrt", "x86"]),
        ("tensorrt-rtx", ["tensorrt-rtx"]),
    ],
)  # fmt: skip
def test_names(names, expected):
    assert [target.name for target in parse_targets(names, VNNI)] == expected


@pytest.mark.parametrize("names", ["", "x86,,arm", "gpu"])
def test_bad_names(names):
    with pytest.raises(InputError, match="choose among auto, x86-vnni"):
        parse_targets(names, VNNI)


def test_no_names():
    with pytest.raises(InputError, match="at least one target"):
        parse_targets([])


def test_every_dialect_has_a_target_and_an_engine():
    assert (
        {d.name for target in parse_targets(TARGET_NAMES, VNNI) for d in target.dialects}
        == set(DIALECTS)
        == set(DIALECT_ENGINES)
    )


@pytest.mark.parametrize(
    ("dialect", "here", "expected"),
    [
        (X86_VNNI, VNNI, {"onnxruntime", "openvino"}),
        (OPENVINO_VNNI, VNNI, {"onnxruntime", "openvino"}),
        (X86, VNNI, {"onnxruntime", "openvino"}),
        (OPENVINO, VNNI, {"onnxruntime", "openvino"}),
        (X86_VNNI, OLD, {"onnxruntime"}),  # exact, but by slower kernels; OpenVINO would clamp
        (OPENVINO_VNNI, OLD, {"onnxruntime"}),
        (X86, OLD, {"onnxruntime", "openvino"}),
        (ARM, VNNI, {"onnxruntime"}),
        (ARM, PHONE, {"onnxruntime"}),
        (X86, PHONE, {"onnxruntime", "openvino"}),
        (TENSORRT, VNNI, {"onnxruntime", "tensorrt"}),
        (TENSORRT, OTHER, {"onnxruntime", "tensorrt"}),
    ],
)
def test_whose_answers_are_the_graphs(dialect, here, expected):
    assert exact_engines(dialect, ["onnxruntime", "openvino", "tensorrt"], here) == expected
    assert exact_engines(dialect, [], here) == frozenset()
