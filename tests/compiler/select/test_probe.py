"""What a few runs say int8 promises, and what there is to do: counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgevision.compiler.variants import Candidate, Variant

pytestmark = pytest.mark.requires("torch", "onnx")


def opened(missing: dict[str, str] | None = None, **run_ms: float) -> Any:
    """Variants that ran, by id (``onnxruntime_float``), each loaded in two seconds."""
    from edgevision.compiler.select.measure import RunsHere
    from edgevision.engines.child import Footprint

    variants = []
    for name in run_ms:
        engine, key = name.split("_")
        precision = "bfloat16" if key == "bf16" else "float32"
        variants.append(Variant(f"{engine}-{key}", Candidate(key, b"", "float32", "any"), engine, precision))
    prints = {one.id: Footprint(2000.0, 1, ms) for one, ms in zip(variants, run_ms.values(), strict=True)}
    return RunsHere(tuple(variants), prints, missing or {})


@pytest.mark.parametrize(
    ("int8_ms", "pays", "said"),
    [
        (20.0, True, "5.00 times quicker than float: 20 ms (onnxruntime) against 100 ms (openvino-float)"),
        (100.0, True, "1.00 times slower"),
        (105.0, True, "1.05 times slower"),  # a few runs are not many
        (106.0, False, "1.06 times slower"),
        (300.0, False, "3.00 times slower"),
    ],
)
def test_int8_pays_unless_it_is_slower_beyond_what_a_few_runs_vary(int8_ms: float, pays: bool, said: str) -> None:
    from edgevision.compiler.select.probe import _promise

    floating = opened(onnxruntime_float=140.0, openvino_float=100.0)
    promise = _promise(floating, opened(openvino_int8=400.0, onnxruntime_int8=int8_ms))
    assert promise.pays == pays
    assert said in promise.said


def test_the_float_that_int8_has_to_beat_may_be_bfloat16() -> None:
    from edgevision.compiler.select.probe import _promise

    promise = _promise(opened(openvino_float=100.0, openvino_bf16=40.0), opened(openvino_int8=80.0))
    assert not promise.pays
    assert "2.00 times slower than bfloat16: 80 ms (openvino) against 40 ms (openvino-bf16)" in promise.said


def test_int8_that_runs_nowhere_pays_nothing() -> None:
    from edgevision.compiler.select.probe import _promise

    promise = _promise(opened(onnxruntime_float=100.0), opened({"onnxruntime-int8": "no kernel"}))
    assert not promise.pays
    assert promise.said == "no int8 graph of the network runs here (onnxruntime-int8: no kernel)"


def two_convolutions(group: int) -> bytes:
    """A first one of 4 channels in ``group`` groups, a Relu, and a second one."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], group=group),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["y"]),
    ]
    weights = {"w1": np.ones((4, 4 // group, 1, 1), np.float32), "w2": np.ones((2, 4, 1, 1), np.float32)}
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(
    ("dialects", "int8", "plain", "with_depthwise"),
    [
        (0, 0, 0, 0),
        (1, 2, 5 + 1, 5 + 3),  # five estimators; bias correction; with depthwise, equalization without and with it
        (2, 3, 6 + 2 + 1, 8 + 2 + 3),  # a second dialect tries two estimators
        (3, 4, 6 + 2 * 3, 8 + 2 * 5),
    ],
)
def test_what_there_is_to_do(depthwise: bool, dialects: int, int8: int, plain: int, with_depthwise: int) -> None:
    from edgevision.compiler.select.probe import _load

    graph = two_convolutions(4 if depthwise else 1)
    job = SimpleNamespace(
        calibration=range(50), splits=SimpleNamespace(validation=range(30)), settings=((2, 1), (1, 1)),
        options=SimpleNamespace(rounds=40),
    )  # fmt: skip
    load = _load(job, graph, [None] * dialects, opened(onnxruntime_float=1.0, openvino_float=1.0), 0.2)  # type: ignore[arg-type, list-item]
    assert (load.calibration, load.validation, load.settings, load.rounds) == (50, 30, 2, 40)
    assert (load.photo_s, load.open_s) == (0.2, 3.0)  # a process takes a second, and each loads in two
    assert (load.variants, load.int8) == (2 + int8, int8)
    assert load.recipes == (with_depthwise if depthwise else plain)
    assert load.nodes == (2 if dialects else 0)
    assert load.observations == ((2 if depthwise else 1) if dialects else 0)
