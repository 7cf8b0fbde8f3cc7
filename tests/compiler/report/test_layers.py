"""Layer by layer: what graphs say that they write, against how they were made."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevision.compiler.quantize.dialects import DIALECTS, X86_VNNI
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.report.layers import graph_nodes, ran_in
from edgevision.compiler.select.precision_check import check
from edgevision.compiler.variants import Candidate, CompiledVariant, PrecisionCheck, VariantMeasurement
from edgevision.engines import EngineOptions, available_engines, open_engine
from edgevision.engines.base import Layer

pytestmark = pytest.mark.requires("onnx")


def net() -> bytes:
    """A stem, a depthwise and a pointwise convolution with a skip, a head; and arithmetic of shapes, which is no layer."""
    rng = np.random.default_rng(0)
    weights = {
        "stem.conv.weight": rng.normal(0, 0.3, (8, 3, 3, 3)), "block.depthwise.weight": rng.normal(0, 0.3, (8, 1, 5, 5)),
        "val_12": rng.normal(0, 0.3, (8, 8, 1, 1)), "head.weight": rng.normal(0, 0.3, (4, 8)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["input", "stem.conv.weight"], ["c1"], "node_Conv_1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "node_relu"),
        helper.make_node("Conv", ["r1", "block.depthwise.weight"], ["c2"], "node_Conv_2", pads=[2] * 4, group=8),
        helper.make_node("Conv", ["c2", "val_12"], ["c3"], "node_Conv_3"),
        helper.make_node("Add", ["r1", "c3"], ["s"], "node_add_4"),
        helper.make_node("GlobalAveragePool", ["s"], ["p"], "node_mean"),
        helper.make_node("Shape", ["p"], ["shape"], "node_shape"),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], "node_batch"),
        helper.make_node("Concat", ["batch", "rest"], ["flat"], "node_concat", axis=0),
        helper.make_node("Reshape", ["p", "flat"], ["f"], "node_flatten"),
        helper.make_node("Gemm", ["f", "head.weight"], ["output"], "node_linear", transB=1),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    tensors += [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("zero", 0), ("rest", 8))]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ("batch", 3, 12, 12))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ("batch", 4))], tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


RANGES = {**dict.fromkeys(("input", "c1", "c2", "c3", "s", "p", "f"), (-3.0, 3.0)), "r1": (0.0, 3.0)}
EXPECTED = [
    ("node_Conv_1", "stem.conv", "Conv 3×3"),
    ("node_Conv_2", "block.depthwise", "Conv 5×5, depthwise"),
    ("node_Conv_3", "Conv_3", "Conv 1×1"),  # the weight's name says nothing
    ("node_add_4", "add_4", "Add"),
    ("node_mean", "mean", "GlobalAveragePool"),
    ("node_linear", "head", "Gemm"),
]


def test_a_float_graph():
    nodes = graph_nodes(Candidate("float", net(), "float32", "float"))
    assert [(n.name, n.layer, n.operator) for n in nodes] == EXPECTED
    assert {n.written for n in nodes} == {"float32"}


@pytest.mark.parametrize("kept", [(), ("node_Conv_2",), ("node_Conv_1", "node_linear")])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_an_int8_graph_writes_what_the_emitter_says(dialect, kept):
    made = quantize(net(), RANGES, dialect, keep_float=frozenset(kept))
    nodes = graph_nodes(Candidate("int8", made.graph, "int8", dialect.name, "minmax", kept))
    assert [(n.name, n.layer, n.operator) for n in nodes] == EXPECTED
    weighted = {n.name: n.written for n in nodes if n.operator.startswith(("Conv", "Gemm"))}
    assert weighted == {name: "int8" if name in made.int8_nodes else "float32" for name in weighted}
    assert {n.name for n in nodes if n.is_fallback} == set(kept)


def test_float16_is_said():
    from edgevision.compiler.quantize.float16 import to_float16

    nodes = graph_nodes(Candidate("float16", to_float16(net(), ranges=RANGES).graph, "float16", "float"))
    assert {n.written for n in nodes} == {"float16"}
    assert [n.name for n in nodes] == [name for name, _, _ in EXPECTED]


def variant(layers: tuple[Layer, ...], found: PrecisionCheck | None) -> CompiledVariant:
    return CompiledVariant(VariantMeasurement("x", "int8", "x", "float32", 1, layers=layers, precision_check=found))


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))])
def test_what_engines_ran(engine):
    assert engine in available_engines()
    graph = quantize(net(), RANGES, X86_VNNI, keep_float=frozenset({"node_Conv_2"})).graph
    with open_engine(engine, graph, EngineOptions(1)) as opened:
        layers = opened.layers()
    ran = ran_in(variant(layers, check(graph, layers)))
    assert {ran[name] for name in ("node_Conv_1", "node_Conv_3", "node_linear")} == {"int8"}
    assert ran["node_Conv_2"] == "float32"


def test_the_precision_check_has_the_word():
    layers = (Layer("a", "Conv", "int8", ("a",)), Layer("b", "Add", "int8", ("b",)))
    assert ran_in(variant(layers, PrecisionCheck(("c",), (("a", "float32"),), ("d",)))) == {
        "a": "float32", "b": "int8", "c": "int8",
    }  # fmt: skip
    assert ran_in(variant(layers, None)) == {"a": "int8", "b": "int8"}
