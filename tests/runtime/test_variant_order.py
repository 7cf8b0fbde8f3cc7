"""The order in which a machine that nobody has tuned tries the variants of a bundle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevision.bundle.manifest import Environment
from edgevision.bundle.reader import open_bundle
from edgevision.machine import Machine, describe_machine
from edgevision.runtime.variant_order import suited_first

VNNI, PLAIN, ARM = ("x86_64", ("avx2", "avx512vnni")), ("x86_64", ("avx2",)), ("aarch64", ("asimd",))
# A bundle made on a CPU with VNNI for everything there is: (variant, engine, target), the chosen one first.
PACKED = (
    ("openvino-int8", "openvino", "x86-vnni"),
    ("onnxruntime-float", "onnxruntime", ""),
    ("onnxruntime-x86-int8", "onnxruntime", "x86"),
    ("onnxruntime-arm-int8", "onnxruntime", "arm"),
    ("tensorrt-int8", "tensorrt", "tensorrt"),
)


@pytest.mark.parametrize(
    ("machine", "gpu_engines", "first", "last"),
    [
        (VNNI, set(), ["openvino-int8", "onnxruntime-float"], "tensorrt-int8"),
        # 8-bit weights saturate in OpenVINO there: such a graph comes after everything that is right.
        (
            PLAIN,
            set(),
            ["onnxruntime-x86-int8", "onnxruntime-float", "onnxruntime-arm-int8", "openvino-int8"],
            "tensorrt-int8",
        ),
        (ARM, set(), ["onnxruntime-arm-int8", "openvino-int8", "onnxruntime-float"], "tensorrt-int8"),
        (ARM, {"tensorrt"}, ["tensorrt-int8", "onnxruntime-arm-int8"], "onnxruntime-x86-int8"),
        (("riscv64", ()), {"tensorrt-rtx"}, ["openvino-int8", "onnxruntime-float"], "tensorrt-int8"),
    ],
)
def test_what_is_for_this_machine_comes_first(color_bundle, machine, gpu_engines, first, last):
    def made(manifest):
        entries = tuple(
            replace(manifest.variants[0], id=id, engine=engine, target=target) for id, engine, target in PACKED
        )
        where = Environment("a CPU", *VNNI, 2, "Linux", {})
        return replace(manifest, variants=entries, chosen=PACKED[0][0], environment=where)

    with open_bundle(color_bundle(manifest=made)) as bundle:
        order = suited_first(bundle.manifest, Machine("a CPU", *machine, 2, "Linux"), gpu_engines)
    names = [variant.id for variant in order]
    assert sorted(names) == sorted(id for id, *_ in PACKED)
    assert names[: len(first)] == first
    assert names[-1] == last


def test_where_it_was_made_the_chosen_one_comes_first(color_bundle):
    variants = (("b", "onnxruntime", "int8"), ("a", "onnxruntime", "float"))
    with open_bundle(color_bundle(variants=variants, manifest=lambda m: replace(m, chosen="a"))) as bundle:
        order = suited_first(bundle.manifest, describe_machine(), ())
    assert [variant.id for variant in order] == ["a", "b"]
