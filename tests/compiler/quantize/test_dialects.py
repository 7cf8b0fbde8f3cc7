"""What each dialect writes, and that the engines it is meant for run it in int8."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgevision.compiler.quantize.dialects import (
    ARM,
    DIALECTS,
    OPENVINO,
    OPENVINO_VNNI,
    SATURATION_PROOF,
    TENSORRT,
    X86,
    X86_VNNI,
)
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.targets import exact_engines

pytestmark = pytest.mark.requires("onnx")


@pytest.fixture(scope="module", params=["mixed", "swish"])
def net(request, photos):
    """(float graph, its ranges)."""
    graph = request.getfixturevalue(request.param)
    return graph, estimate(collect_ranges(graph, photos), "minmax")


@pytest.fixture(scope="module")
def swish_ranges(swish, photos):
    return estimate(collect_ranges(swish, photos), "minmax")


class Parsed:
    """An int8 graph: constants by name, nodes by name, producers by tensor."""

    def __init__(self, graph: bytes) -> None:
        self.model = onnx.load_model_from_string(graph)
        onnx.checker.check_model(self.model, full_check=True)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}
        self.nodes = {node.name: node for node in self.model.graph.node}
        self.producer = {name: node for node in self.model.graph.node for name in node.output}

    def of_type(self, *ops: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes.values() if node.op_type in ops]

    def is_quantized(self, name: str) -> bool:
        return name in self.producer and self.producer[name].op_type == "DequantizeLinear"


def sqnr(reference: np.ndarray, values: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - values) ** 2)))


# What each engine's documentation (or parser) asks of the form, whatever the network.
FORMS = {
    "x86-vnni": (np.uint8, 127, np.int32, False),
    "openvino-vnni": (np.uint8, 127, np.int32, False),
    "x86": (np.uint8, 64, np.int32, False),
    "openvino": (np.uint8, 64, np.int32, False),
    "arm": (np.int8, 127, np.int32, False),
    "tensorrt": (np.int8, 127, np.float32, True),
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
class TestForms:
    def test_types(self, net, dialect):
        activation, limit, bias, symmetric = FORMS[dialect.name]
        made = Parsed(quantize(*net, dialect).graph)
        zero_points = [made.constants[node.input[2]] for node in made.of_type("QuantizeLinear")]
        assert zero_points
        assert {zero.dtype for zero in zero_points} == {np.dtype(activation)}
        assert not symmetric or not any(zero.any() for zero in zero_points)
        for node in made.of_type("Conv", "Gemm"):
            weight = made.constants[made.producer[node.input[1]].input[0]]
            assert weight.dtype == np.int8
            assert np.abs(weight.astype(int)).max() == limit
            assert made.constants[made.producer[node.input[1]].input[1]].ndim == 1  # a scale per channel
            stored = node.input[2] if bias is np.float32 else made.producer[node.input[2]].input[0]
            assert made.constants[stored].dtype == bias

    def test_answers(self, net, dialect, photos, run_ort):
        """Run as it is written, each operator in float between Q and DQ: the meaning of the graph."""
        reference = run_ort(net[0], photos[0])[0]
        assert sqnr(reference, run_ort(quantize(*net, dialect).graph, photos[0], optimize=False)[0]) > 20

    def test_loads_where_the_cpu_has_no_exact_sums(self, net, dialect, photos, run_ort):
        """ONNX Runtime turns int8 constants to u8 there, and refuses a graph in which two nodes read one of them."""
        made = Parsed(quantize(*net, dialect).graph)
        read = [
            node.input[place]
            for node in made.of_type("DequantizeLinear")
            if getattr(made.constants.get(node.input[0]), "dtype", None) == np.int8
            for place in (0, 2)
        ]
        assert len(read) == len(set(read)) > 0
        written = {node.input[2] for node in made.of_type("QuantizeLinear")}
        assert not written & set(read)
        reference = run_ort(net[0], photos[0])[0]
        assert sqnr(reference, run_ort(made.model.SerializeToString(), photos[0])[0]) > 20


def test_dialects_differ_only_where_they_must():
    same = {"name", "weight_limit"}
    assert {f.name for f in dataclasses.fields(X86) if getattr(X86, f.name) != getattr(X86_VNNI, f.name)} == same
    same = {"name", "activation_dtype"}
    assert {f.name for f in dataclasses.fields(ARM) if getattr(ARM, f.name) != getattr(X86_VNNI, f.name)} == same


def test_no_pair_of_products_overflows():
    assert 2 * 255 * SATURATION_PROOF <= 2**15 - 1 < 2 * 255 * (SATURATION_PROOF + 1)


class TestHardSigmoid:
    @pytest.mark.parametrize(("alpha", "beta"), [(1 / 6, 0.5), (0.2, 0.5), (0.5, -0.25), (1.0, 0.0)])
    @pytest.mark.parametrize("dialect", [X86_VNNI, ARM, dataclasses.replace(X86_VNNI, activation_symmetric=True)])
    def test_within_rounding(self, builder, run_ort, alpha, beta, dialect):
        b = builder(1, 16)
        x = b.conv("x", np.ones((1, 1, 1, 1)))
        gate = b.node("HardSigmoid", [x], alpha=alpha, beta=beta)
        out = b.conv(gate, np.ones((1, 1, 1, 1)))
        graph = b.build(out)
        values = np.linspace(-8, 8, 256, dtype=np.float32).reshape(1, 1, 16, 16)
        made = quantize(graph, {"x": (-8, 8), x: (-8, 8), gate: (0, 1), out: (0, 1)}, dialect).graph
        assert not Parsed(made).of_type("HardSigmoid")
        expected = np.clip(alpha * values.astype(np.float64) + beta, 0, 1)
        # Rounding of the input, and of the sum in steps of the output (one more step where it is symmetric).
        step = 16 / 255 * alpha + 2 / 255
        for optimize in (False, True):
            assert np.abs(run_ort(made, values, optimize)[0] - expected).max() <= step

    def test_hard_swish_within_rounding(self, builder, run_ort):
        b = builder(1, 16)
        x = b.conv("x", np.ones((1, 1, 1, 1)))
        swish = b.hard_swish(x)
        out = b.conv(swish, np.ones((1, 1, 1, 1)))
        graph = b.build(out)
        values = np.linspace(-6, 6, 256, dtype=np.float32).reshape(1, 1, 16, 16)
        made = quantize(graph, {"x": (-6, 6), x: (-6, 6), swish: (-0.375, 6), out: (-0.375, 6)}, X86_VNNI)
        assert made.float_nodes == ()
        expected = values * np.clip(values.astype(np.float64) / 6 + 0.5, 0, 1)
        step = 12 / 255 * 1.25 + 6 / 255 / 2 + 2 * 6.375 / 255  # of x (slope up to 1.25), of the gate, of the products
        for optimize in (False, True):
            assert np.abs(run_ort(made.graph, values, optimize)[0] - expected).max() <= step

    def test_becomes_one_int8_addition(self, swish, swish_ranges, ort_graph):
        ops = Counter(node.op_type for node in ort_graph(quantize(swish, swish_ranges, X86_VNNI).graph).graph.node)
        assert ops == {
            "QuantizeLinear": 1, "QLinearConv": 12, "QLinearAdd": 10, "QLinearMul": 8, "QLinearGlobalAveragePool": 3,
            "Flatten": 1, "QGemm": 1,
        }  # fmt: skip

    def test_kept_float(self, swish, swish_ranges, photos, run_ort):
        gates = [n.name for n in onnx.load_model_from_string(swish).graph.node if n.op_type == "HardSigmoid"]
        made = quantize(swish, swish_ranges, X86_VNNI, keep_float=frozenset(gates[:1]))
        assert gates[0] in made.float_nodes
        assert len(Parsed(made.graph).of_type("HardSigmoid")) == 1
        assert sqnr(run_ort(swish, photos[0])[0], run_ort(made.graph, photos[0])[0]) > 20


class TestTensorRt:
    """Inputs of weighted operators, and the residual input of an Add: the toolkit's ResNet case that dialects.py names."""

    def test_residual(self, builder):
        b = builder(8, 8)
        stem = b.node("Relu", [b.random_conv("x", 8, 8)])
        branch = b.random_conv(b.node("Relu", [b.random_conv(stem, 8, 8, 3)]), 8, 8)
        joined = b.node("Relu", [b.node("Add", [branch, stem])])
        graph = b.build(b.random_conv(joined, 8, 4))
        made = Parsed(quantize(graph, self.wide(graph), TENSORRT).graph)
        (add,) = made.of_type("Add")
        assert made.producer[add.input[0]].op_type == "Conv"  # fused: nothing between
        assert made.is_quantized(add.input[1])
        (last,) = (node for node in made.of_type("Conv") if node.output[0] == made.model.graph.output[0].name)
        assert made.is_quantized(last.input[0])
        assert len(made.of_type("QuantizeLinear")) == 4  # input, stem, inner, joined

    def test_projection_shortcut(self, builder):
        """Two convolutions meet: one takes the Add in, the other's output is quantized."""
        b = builder(8, 8)
        shortcut, branch = b.random_conv("x", 8, 8), b.random_conv("x", 8, 8, 3)
        graph = b.build(b.random_conv(b.node("Relu", [b.node("Add", [branch, shortcut])]), 8, 4))
        made = Parsed(quantize(graph, self.wide(graph), TENSORRT).graph)
        (add,) = made.of_type("Add")
        assert sorted(made.is_quantized(name) for name in add.input) == [False, True]
        assert add.input[0] == branch  # the later one

    def test_what_it_would_not_fuse_stays_float(self, net):
        made = quantize(*net, TENSORRT)
        int8 = {Parsed(net[0]).nodes[name].op_type for name in made.int8_nodes}
        assert int8 <= {"Conv", "Gemm", "Add"}
        graph = Parsed(made.graph)
        for node in graph.of_type("Mul", "Concat", "GlobalAveragePool", "AveragePool", "Sigmoid", "HardSigmoid"):
            for name in node.output:
                readers = [n for n in graph.nodes.values() if name in n.input]
                assert all(n.op_type == "QuantizeLinear" or not n.op_type.startswith("Dequ") for n in readers)

    def test_an_add_without_a_convolution_stays_float(self, builder):
        b = builder(8, 8)
        one = b.node("Relu", [b.random_conv("x", 8, 8)])
        other = b.node("Relu", [b.random_conv("x", 8, 8)])
        total = b.node("Add", [one, other])
        graph = b.build(b.random_conv(total, 8, 4))
        made = quantize(graph, self.wide(graph), TENSORRT)
        assert total in made.float_nodes

    @staticmethod
    def wide(graph: bytes) -> dict[str, tuple[float, float]]:
        nodes = onnx.load_model_from_string(graph).graph.node
        return dict.fromkeys(["x", *(name for node in nodes for name in node.output)], (-4.0, 4.0))


@pytest.mark.requires("openvino")
class TestOpenVino:
    def test_swish_runs_inside_the_convolutions(self, swish, swish_ranges, openvino):
        """Six hard swishes: six layers of their own where their parts have Q/DQ, none where they have not."""

        def elementwise(layers: Counter[tuple[str, str]]) -> int:
            return sum(count for (kind, _), count in layers.items() if kind in {"Eltwise", "Math", "Subgraph"})

        _, ours = openvino(quantize(swish, swish_ranges, OPENVINO_VNNI).graph, (1, 3, 16, 16))
        _, other = openvino(quantize(swish, swish_ranges, X86_VNNI).graph, (1, 3, 16, 16))
        # The two gates of squeeze-excite are Math layers here; there they are within the product's.
        assert elementwise(ours) - 2 <= elementwise(other) - 6
        assert ours["Convolution", "u8"] == other["Convolution", "u8"] == 12

    def test_answers(self, swish, swish_ranges, photos, run_ort, openvino):
        """With the dialect for this machine's kind of CPU: where u8 × s8 saturates, the other one is not OpenVINO's to run."""
        x = photos[0]
        own = next(d for d in (OPENVINO_VNNI, OPENVINO) if "openvino" in exact_engines(d, {"openvino"}))
        run, _ = openvino(quantize(swish, swish_ranges, own).graph, x.shape)
        assert sqnr(run_ort(swish, x)[0], run(x)) > 20
