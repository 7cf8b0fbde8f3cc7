"""The precision check: what engines run is compared with what a graph claims; an engine that lies is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevision.compiler.quantize.dialects import X86_VNNI
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.select.precision_check import check, int8_nodes
from edgevision.engines import EngineOptions, available_engines, open_engine
from edgevision.engines.base import Layer

pytestmark = pytest.mark.requires("onnx")

DATA = Path(__file__).parents[2] / "data"


def net() -> bytes:
    """conv1 → relu → conv2 → global mean → linear, 8 → 16 → 16 → 4 channels."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.1, (16, 8, 3, 3)), "b1": np.zeros(16), "w2": rng.normal(0, 0.1, (16, 16, 3, 3)),
        "b2": np.zeros(16), "w3": rng.normal(0, 0.1, (16, 4)), "b3": np.zeros(4),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["input", "w1", "b1"], ["c1"], "conv1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["output"], "linear"),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ("batch", 8, 12, 12))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ("batch", 4))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


RANGES = dict.fromkeys(("input", "c1", "c2", "p", "f", "output"), (-3.0, 3.0)) | {"r1": (0.0, 3.0)}


def quantized(keep_float: tuple[str, ...] = ()) -> bytes:
    return quantize(net(), RANGES, X86_VNNI, keep_float=frozenset(keep_float)).graph


def test_what_a_graph_claims() -> None:
    assert int8_nodes(net()) == ()
    assert int8_nodes(quantized()) == ("conv1", "conv2", "linear")
    assert int8_nodes(quantized(("conv2",))) == ("conv1", "linear")


@pytest.mark.parametrize("keep_float", [(), ("conv2",), ("conv1", "linear")])
@pytest.mark.parametrize("engine_name", ["onnxruntime", "openvino"])
def test_real_engines_confirm_our_graphs(engine_name: str, keep_float: tuple[str, ...]) -> None:
    if engine_name not in available_engines():
        pytest.skip(f"{engine_name} is not installed")
    graph = quantized(keep_float)
    with open_engine(engine_name, graph, EngineOptions()) as engine:
        found = check(graph, engine.layers())
    assert set(found.confirmed) == {"conv1", "conv2", "linear"} - set(keep_float)
    assert found.holds
    assert found.note() == ""


def test_an_engine_that_lies_is_found_out() -> None:
    graph = quantized()
    with open_engine("onnxruntime", graph, EngineOptions()) as engine:
        honest = engine.layers()
    lying = tuple(replace(layer, precision="float32") for layer in honest)
    found = check(graph, lying)
    assert not found.holds
    assert found.confirmed == ()
    assert [name for name, _ in found.refuted] == ["conv1", "conv2", "linear"]
    assert found.note().startswith("3 of 3 layers written in int8 do not run in it: conv1 (float32)")


def test_one_layer_in_float_is_named_and_does_not_break_the_claim() -> None:
    graph = quantized()
    layers = [
        Layer("a", "Conv", "int8", ("conv1",)),
        Layer("b", "Conv", "float32", ("conv2",)),
        Layer("c", "FC", "int8", ("linear",)),
    ]
    found = check(graph, layers)
    assert found.holds
    assert found.refuted == (("conv2", "float32"),)
    assert "1 of 3" in found.note()


def test_layers_that_cannot_be_found_are_not_taken_for_int8() -> None:
    found = check(quantized(), [Layer("x", "Convolution", "int8", ("conv1/WithoutBiases",))])
    assert found.confirmed == ("conv1",)
    assert found.missing == ("conv2", "linear")
    assert not found.holds
    assert "2 of 3 int8 layers could not be found" in found.note()


def test_a_float_graph_claims_nothing_and_is_not_int8() -> None:
    graph = onnx.load(DATA / "color.onnx").SerializeToString()
    assert not check(graph, [Layer("conv", "Conv", "int8", ("conv",))]).holds
