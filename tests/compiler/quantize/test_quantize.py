from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgevision.compiler.quantize.dialects import OPENVINO, OPENVINO_VNNI, X86, X86_VNNI, Dialect
from edgevision.compiler.quantize.emitter import quantizable_nodes, quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.targets import exact_engines
from edgevision.errors import InputError, ModelFileError

pytestmark = pytest.mark.requires("onnx")

# OpenVINO has no way around a CPU whose u8 × s8 sums saturate: there, the dialects with weights within ±64 stand for all.
in_openvino = pytest.mark.parametrize(
    "dialect",
    [d for d in (X86_VNNI, OPENVINO_VNNI, X86, OPENVINO) if "openvino" in exact_engines(d, {"openvino"})],
    ids=lambda dialect: dialect.name,
)
S8 = dataclasses.replace(X86_VNNI, name="s8", activation_dtype="int8", activation_symmetric=True)


@pytest.fixture(scope="module")
def ranges(mixed, photos):
    return estimate(collect_ranges(mixed, photos), "minmax")


def parse(graph: bytes):
    model = onnx.load_model_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    producer = {name: node for node in model.graph.node for name in node.output}
    return model, constants, nodes, producer


def every_range(graph: bytes, low: float, high: float) -> dict[str, tuple[float, float]]:
    model = onnx.load_model_from_string(graph)
    return dict.fromkeys(["x", *(name for node in model.graph.node for name in node.output)], (low, high))


def weights(b, inputs: int, outputs: int) -> np.ndarray:
    return (b.random.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)


def sqnr(reference: np.ndarray, values: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - values) ** 2)))


@pytest.fixture(scope="module")
def exact(builder):
    """Of a dialect: (float graph, its int8 graph, inputs) whose weights, inputs and all activations lie on the int8 grid:
    quantization may not change a bit of it."""

    def make(dialect: Dialect):
        b = builder(4, 4)
        limit = dialect.weight_limit
        weight = np.zeros((4, 4, 1, 1))
        weight[np.arange(4), [2, 0, 3, 1]] = 1  # permutes the channels; 1 = limit × (1/limit)
        branch = b.node("Relu", [b.conv("x", weight, np.full(4, 3 / 16))])
        summed = b.node("Add", [branch, "x"])
        flat = b.node("Flatten", [b.node("MaxPool", [summed], kernel_shape=[2, 2], strides=[2, 2])])
        head = b.random.integers(-limit, limit + 1, size=(5, 16)) / 64
        head[:, 0] = limit / 64
        graph = b.build(b.gemm(flat, head, b.random.integers(-999, 999, size=5) / 1024))
        x = (np.random.default_rng(5).integers(0, 120, size=(6, 4, 4, 4)) / 16).astype(np.float32)
        return graph, quantize(graph, every_range(graph, 0, 255 / 16), dialect).graph, x

    return make


class TestNumerics:
    @pytest.mark.parametrize("dialect", [X86_VNNI, X86], ids=lambda dialect: dialect.name)
    @pytest.mark.parametrize("optimize", [False, True])
    def test_exact_graph_in_onnxruntime(self, exact, run_ort, optimize, dialect):
        graph, int8, x = exact(dialect)
        np.testing.assert_allclose(run_ort(int8, x, optimize)[0], run_ort(graph, x)[0], rtol=1e-5, atol=1e-5)

    @pytest.mark.requires("openvino")
    @in_openvino
    def test_exact_graph_in_openvino(self, exact, run_ort, openvino, dialect):
        graph, int8, x = exact(dialect)
        run, _ = openvino(int8, x.shape)
        np.testing.assert_allclose(run(x), run_ort(graph, x)[0], rtol=1e-5, atol=1e-5)

    def test_error_of_one_layer_is_bounded(self, builder, run_ort):
        """|error| ≤ input step/2 · Σ|w| + weight step/2 · Σ|x| + output step/2, plus the product of the first two."""
        b = builder(8, 6, seed=2)
        out = b.random_conv("x", 8, 8, 3)
        graph = b.build(out)
        x = np.random.default_rng(1).uniform(-2, 2, size=(3, 8, 6, 6)).astype(np.float32)
        reference = run_ort(graph, x)[0]
        ranges = {"x": (-2.0, 2.0), out: (float(reference.min()), float(reference.max()))}
        got = run_ort(quantize(graph, ranges, X86_VNNI).graph, x)[0]
        weight = b.weights["constant_0"]
        per_channel = (
            np.abs(weight).sum((1, 2, 3)) * (4 / 255 / 2) + np.abs(weight).max((1, 2, 3)) / 127 / 2 * 72 * 2.01
        )
        bound = per_channel + (ranges[out][1] - ranges[out][0]) / 255 * 0.51
        assert (np.abs(got - reference).max((0, 2, 3)) <= bound).all()

    @pytest.mark.requires("openvino")
    @in_openvino
    def test_engines_agree(self, mixed, ranges, photos, run_ort, openvino, dialect):
        graph = quantize(mixed, ranges, dialect).graph
        x = photos[0]
        run, _ = openvino(graph, x.shape)
        reference, ours, theirs = run_ort(mixed, x)[0], run_ort(graph, x)[0], run(x)
        assert sqnr(reference, ours) > 25
        assert sqnr(ours, theirs) > 25
        top_two = np.sort(reference, axis=1)[:, -2:]
        clear = top_two[:, 1] - top_two[:, 0] > 0.1
        assert clear.any()
        np.testing.assert_array_equal(ours.argmax(1)[clear], reference.argmax(1)[clear])
        np.testing.assert_array_equal(theirs.argmax(1)[clear], reference.argmax(1)[clear])

    @pytest.mark.requires("openvino")
    @in_openvino
    def test_dead_channels(self, builder, run_ort, openvino, dialect):
        b = builder(3, 4)
        weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1))
        weight[1], weight[2] = 0, 1e-25
        out = b.conv("x", weight, [0, 2.5, -1.5, 0])
        graph = b.build(b.gemm(b.node("Flatten", [out]), np.random.default_rng(1).normal(size=(3, 64)), np.zeros(3)))
        x = np.random.default_rng(2).uniform(-1, 1, size=(2, 3, 4, 4)).astype(np.float32)
        int8 = quantize(graph, {"x": (-1, 1), out: (-4, 4), "flatten_1": (-4, 4)}, dialect).graph
        reference = run_ort(graph, x)[0]
        assert sqnr(reference, run_ort(int8, x)[0]) > 25
        assert sqnr(reference, openvino(int8, x.shape)[0](x)) > 25

    def test_constant_activation(self, builder, run_ort):
        b = builder(2, 4)
        out = b.node("Relu", [b.conv("x", np.zeros((2, 2, 1, 1)), [1.5, 1.5])])
        graph = b.build(b.gemm(b.node("Flatten", [out]), np.ones((2, 32)) / 32, [0, 1]))
        x = np.zeros((2, 2, 4, 4), np.float32)
        ranges = estimate(collect_ranges(graph, [x]), "mse")
        np.testing.assert_allclose(run_ort(quantize(graph, ranges, X86_VNNI).graph, x)[0], [[1.5, 2.5]] * 2, rtol=1e-3)


class TestFusion:
    def test_onnxruntime_runs_all_of_it_in_int8(self, mixed, ranges, ort_graph):
        ops = Counter(node.op_type for node in ort_graph(quantize(mixed, ranges, X86_VNNI).graph).graph.node)
        assert ops == {
            "QuantizeLinear": 1, "QLinearConv": 7, "QLinearAdd": 1, "QLinearMul": 1, "QLinearConcat": 1,
            "QLinearAveragePool": 1, "QLinearGlobalAveragePool": 2, "MaxPool": 1, "Flatten": 1, "QGemm": 1,
        }  # fmt: skip

    @pytest.mark.requires("openvino")
    def test_openvino_runs_all_of_it_in_int8(self, mixed, ranges, openvino):
        _, layers = openvino(quantize(mixed, ranges, X86_VNNI).graph, (1, 3, 16, 16))
        busy = {"Convolution", "FullyConnected", "Eltwise", "Pooling", "Reduce", "Concatenation", "Math"}
        assert {kind for kind, precision in layers if kind in busy and precision not in {"u8", "i8"}} == set()
        assert sum(count for (kind, _), count in layers.items() if kind == "Convolution") == 7
        assert layers["FullyConnected", "u8"] == 1

    def test_constant_matmul_runs_in_int8(self, builder, photos, run_ort, ort_graph):
        b = builder(3, 16)
        hidden = b.node("Relu", [b.node("MatMul", [b.node("Flatten", ["x"]), b.constant(weights(b, 768, 16))])])
        graph = b.build(b.node("MatMul", [hidden, b.constant(weights(b, 16, 4))]))
        int8 = quantize(graph, estimate(collect_ranges(graph, photos), "minmax"), X86_VNNI).graph
        ops = {node.op_type for node in ort_graph(int8).graph.node}
        assert "MatMul" not in ops
        assert ops >= {"QLinearMatMul", "MatMulIntegerToFloat"}
        assert sqnr(run_ort(graph, photos[0])[0], run_ort(int8, photos[0])[0]) > 30

    def test_emitted_graph_is_small_and_reports_its_nodes(self, mixed, ranges):
        made = quantize(mixed, ranges, X86_VNNI)
        model, constants, nodes, _ = parse(made.graph)
        assert made.float_nodes == ()
        assert set(made.int8_nodes) == set(quantizable_nodes(mixed, X86_VNNI))
        weights = [values for values in constants.values() if values.ndim >= 2]
        assert {values.dtype for values in weights} == {np.dtype(np.int8)}
        assert not any(node.op_type in {"Relu", "Clip"} for node in nodes.values())  # u8 saturates there by itself
        assert {(e.domain, e.version) for e in model.opset_import} == {("", 17)}

    def test_logits_are_not_rounded(self, mixed, ranges):
        model, _, _, producer = parse(quantize(mixed, ranges, X86_VNNI).graph)
        assert producer[model.graph.output[0].name].op_type == "Gemm"

    def test_scales_in_the_graph(self, mixed, ranges):
        _, constants, nodes, producer = parse(quantize(mixed, ranges, X86_VNNI).graph)
        float_weights = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(mixed).graph.initializer}
        originals = {n.name: n for n in onnx.load_model_from_string(mixed).graph.node}
        checked = 0
        for name, node in nodes.items():
            if node.op_type != "Conv":
                continue
            x, w, b = (producer[i] for i in node.input)
            weight = float_weights[originals[name].input[1]]
            expected = np.abs(weight).max((1, 2, 3)) / 127
            np.testing.assert_allclose(constants[w.input[1]], expected, rtol=1e-6)
            np.testing.assert_allclose(constants[b.input[1]], constants[x.input[1]] * constants[w.input[1]], rtol=1e-6)
            assert constants[b.input[0]].dtype == np.int32
            assert onnx.helper.get_node_attr_value(w, "axis") == 0
            checked += 1
        assert checked == 7

    def test_no_two_nodes_read_one_weight_or_its_zero_point(self, mixed, ranges):
        """ONNX Runtime gives each a new name where the CPU's sums saturate, and refuses the second of one name."""
        import onnxruntime as ort

        graph = quantize(mixed, ranges, X86_VNNI).graph
        options = ort.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", "1")
        ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model, constants, _, _ = parse(graph)
        dequantized = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
        weights = [node for node in dequantized if constants.get(node.input[0], np.empty(0)).dtype == np.int8]
        for position in (0, 2):
            assert len({node.input[position] for node in weights}) == len(weights) == 8

    def test_deterministic(self, mixed, ranges):
        shuffled = dict(sorted(ranges.items(), reverse=True))
        assert quantize(mixed, ranges, X86_VNNI).graph == quantize(mixed, shuffled, X86_VNNI).graph


class TestPlacement:
    def test_kept_nodes_stay_float_in_onnxruntime(self, mixed, ranges, photos, run_ort, ort_graph):
        """Between DQ and Q, ONNX Runtime would make the float weights int8 with one scale for the tensor."""
        convs = [name for name in quantizable_nodes(mixed, X86_VNNI) if name.startswith("conv")]
        kept_names = {convs[1], convs[4]}  # each between int8 tensors on both sides
        made = quantize(mixed, ranges, X86_VNNI, keep_float=frozenset(kept_names))
        assert set(made.float_nodes) >= kept_names
        assert not set(made.int8_nodes) & kept_names
        optimized = ort_graph(made.graph)
        ops = Counter(node.op_type for node in optimized.graph.node)
        assert ops["QLinearConv"] == 5
        assert ops["Conv"] + ops["FusedConv"] == 2
        constants = {t.name: t.data_type for t in optimized.graph.initializer}
        kept = [node for node in optimized.graph.node if node.op_type in {"Conv", "FusedConv"}]
        assert [constants[node.input[1]] for node in kept] == [onnx.TensorProto.FLOAT] * 2
        x = photos[0]
        assert sqnr(run_ort(made.graph, x, optimize=False)[0], run_ort(made.graph, x)[0]) > 30

    def test_kept_node_without_bias(self, builder, run_ort, ort_graph):
        b = builder(4, 4)
        first = b.random_conv("x", 4, 4)
        second = b.conv(first, b.random.normal(size=(4, 1, 1, 1)) * [[[[1e-3]]], [[[1]]], [[[30]]], [[[1]]]], group=4)
        third = b.random_conv(second, 4, 4)
        graph = b.build(b.random_gemm(b.node("Flatten", [third]), 64, 3))
        x = b.random.normal(size=(4, 4, 4, 4)).astype(np.float32)
        made = quantize(graph, estimate(collect_ranges(graph, [x]), "minmax"), X86_VNNI, keep_float=frozenset({second}))
        assert Counter(node.op_type for node in ort_graph(made.graph).graph.node)["Conv"] == 1
        assert sqnr(run_ort(made.graph, x, optimize=False)[0], run_ort(made.graph, x)[0]) > 35

    @pytest.mark.requires("openvino")
    def test_kept_nodes_stay_float_in_openvino(self, mixed, ranges, openvino):
        convs = [name for name in quantizable_nodes(mixed, X86_VNNI) if name.startswith("conv")]
        made = quantize(mixed, ranges, X86_VNNI, keep_float=frozenset(convs[:1]))
        _, layers = openvino(made.graph, (1, 3, 16, 16))
        assert layers["Convolution", "u8"] == 6
        assert layers["Convolution", "f32"] == 1

    def test_keeping_everything_gives_the_float_graph(self, mixed, ranges, photos, run_ort):
        made = quantize(mixed, ranges, X86_VNNI, keep_float=frozenset(quantizable_nodes(mixed, X86_VNNI)))
        _, _, nodes, _ = parse(made.graph)
        assert made.int8_nodes == ()
        assert not any("Quantize" in node.op_type for node in nodes.values())
        np.testing.assert_array_equal(run_ort(made.graph, photos[0])[0], run_ort(mixed, photos[0])[0])

    def test_keeping_a_fused_activation_keeps_its_producer(self, mixed, ranges):
        made = quantize(mixed, ranges, X86_VNNI, keep_float=frozenset({"clip_1"}))
        assert {"conv_0", "clip_1"} <= set(made.float_nodes)

    def test_clip_that_int8_does_not_enforce_stays(self, builder):
        b = builder(3, 4)
        clipped = b.relu6(b.random_conv("x", 3, 3))
        graph = b.build(b.random_conv(clipped, 3, 3))
        for high, clips in ((6.0, 0), (5.0, 0), (9.0, 1)):
            made = quantize(graph, {**every_range(graph, -1, 1), clipped: (0, high)}, X86_VNNI)
            assert sum(node.op_type == "Clip" for node in parse(made.graph)[0].graph.node) == clips
        symmetric = quantize(graph, {**every_range(graph, -1, 1), clipped: (0, 6)}, S8)
        assert sum(node.op_type == "Clip" for node in parse(symmetric.graph)[0].graph.node) == 1

    def test_pass_through_and_concat_share_scales(self, builder):
        b = builder(4, 8)
        left, right = b.random_conv("x", 4, 4), b.random_conv("x", 4, 4)
        pooled = b.node("MaxPool", [right], kernel_shape=[1, 1])
        both = b.node("Concat", [left, pooled], axis=1)
        graph = b.build(b.random_conv(both, 8, 4))
        ranges = {**every_range(graph, -1, 1), left: (-1, 1), right: (-2, 4), pooled: (-2, 3), both: (-2, 4)}
        _, constants, nodes, _ = parse(quantize(graph, ranges, X86_VNNI).graph)
        scales = {constants[nodes[f"{name}_QuantizeLinear"].input[1]].item() for name in (left, right, pooled, both)}
        assert scales == {np.float32(6 / 255)}

    def test_concat_does_not_untie_a_clip_from_its_convolution(self, builder):
        b = builder(4, 8)
        left, right = b.relu6(b.random_conv("x", 4, 4)), b.random_conv("x", 4, 4)
        both = b.node("Concat", [left, right], axis=1)
        graph = b.build(b.random_conv(both, 8, 4))
        ranges = {**every_range(graph, -1, 1), left: (0, 6), right: (-9, 9), both: (-9, 9)}
        model, constants, nodes, _ = parse(quantize(graph, ranges, X86_VNNI).graph)
        assert not any(node.op_type == "Clip" for node in model.graph.node)
        assert constants[nodes[f"{left}_QuantizeLinear"].input[1]].item() == np.float32(6 / 255)

    @pytest.mark.parametrize(("dialect", "rounded"), [(X86_VNNI, True), (OPENVINO_VNNI, False)])
    @pytest.mark.parametrize("int8_reader", [False, True])
    def test_a_concat_before_float_nodes(self, builder, run_ort, dialect, rounded, int8_reader):
        """A dense layer: what is joined goes through a float operator before the next convolution."""
        b = builder(4, 8)
        left, right = b.random_conv("x", 4, 4), b.random_conv("x", 4, 4)
        both = b.node("Concat", [left, right], axis=1)
        ends = [b.random_conv(b.node("Softsign", [both]), 8, 4)]
        if int8_reader:
            ends.append(b.random_conv(both, 8, 4))
        graph = b.build(*ends)
        ranges = every_range(graph, -1, 1)
        made = quantize(graph, ranges, dialect)
        nodes = parse(made.graph)[2]
        assert (f"{both}_QuantizeLinear" in nodes) == (rounded or int8_reader)
        # What is joined was rounded with one scale, so rounding it once more changes nothing.
        x = np.random.default_rng(5).uniform(-1, 1, (2, 4, 8, 8)).astype(np.float32)
        other = quantize(graph, ranges, dataclasses.replace(dialect, quantize_concat_for_float=not rounded))
        for own, same in zip(
            run_ort(made.graph, x, optimize=False), run_ort(other.graph, x, optimize=False), strict=True
        ):
            np.testing.assert_array_equal(own, same)

    def test_what_follows_the_last_weights_stays_float(self, builder):
        b = builder(4, 8)
        boxes, scores = b.random_conv("x", 4, 4), b.node("Sigmoid", [b.random_conv("x", 4, 2)])
        graph = b.build(b.node("Concat", [boxes, scores], axis=1))
        made = quantize(graph, every_range(graph, -1, 1), X86_VNNI)
        assert "Concat" in {parse(made.graph)[2][name].op_type for name in made.float_nodes}

    def test_quantized_graph_outputs_keep_their_names(self, builder, run_ort):
        b = builder(4, 8)
        inner = b.relu6(b.random_conv("x", 4, 4))
        graph = b.build(b.random_conv(inner, 4, 4), inner)
        x = b.random.normal(size=(2, 4, 8, 8)).astype(np.float32)
        ranges = estimate(collect_ranges(graph, [x]), "minmax")
        for expected, got in zip(run_ort(graph, x), run_ort(quantize(graph, ranges, X86_VNNI).graph, x), strict=True):
            assert sqnr(expected, got) > 30

    def test_shape_arithmetic_is_left_alone(self, builder, photos, run_ort):
        b = builder(3, 16)
        features = b.node("GlobalAveragePool", [b.random_conv("x", 3, 8)])
        batch = b.node("Slice", [b.node("Shape", ["x"]), b.constant([0]), b.constant([1])])
        shape = b.node("Concat", [batch, b.node("Add", [batch, b.node("Sub", [b.constant([8]), batch])])], axis=0)
        graph = b.build(b.random_gemm(b.node("Reshape", [features, shape]), 8, 3))
        table = collect_ranges(graph, photos)
        assert shape not in table.tensors
        int8 = quantize(graph, estimate(table, "minmax"), X86_VNNI).graph
        assert sqnr(run_ort(graph, photos[0])[0], run_ort(int8, photos[0])[0]) > 25

    @pytest.mark.parametrize(
        ("change", "limit"),
        [({"weight_limit": 64}, 64), ({"weight_per_channel": False}, 127), ({"int32_bias": False}, 127)],
    )
    def test_a_dialect_is_a_value(self, mixed, ranges, photos, run_ort, change, limit):
        dialect: Dialect = dataclasses.replace(X86_VNNI, **change)
        made = quantize(mixed, ranges, dialect)
        _, constants, nodes, producer = parse(made.graph)
        convs = [node for node in nodes.values() if node.op_type == "Conv"]
        weights = [constants[producer[node.input[1]].input[0]] for node in convs]
        assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) == limit
        if not dialect.int32_bias:
            assert all(constants[node.input[2]].dtype == np.float32 for node in convs)
        assert sqnr(run_ort(mixed, photos[0])[0], run_ort(made.graph, photos[0])[0]) > 15

    def test_symmetric_s8(self, mixed, ranges, photos, run_ort):
        graph = quantize(mixed, ranges, S8).graph
        _, constants, nodes, _ = parse(graph)
        zero_points = [constants[n.input[2]] for n in nodes.values() if n.op_type == "QuantizeLinear"]
        assert all(zero.dtype == np.int8 and zero == 0 for zero in zero_points)
        assert sqnr(run_ort(mixed, photos[0])[0], run_ort(graph, photos[0], optimize=False)[0]) > 20


class TestRefusals:
    def test_missing_range(self, mixed, ranges):
        short = {name: bounds for name, bounds in ranges.items() if name != "x"}
        with pytest.raises(InputError, match="no range for 1 tensors, first 'x'"):
            quantize(mixed, short, X86_VNNI)

    def test_unknown_node(self, mixed, ranges):
        with pytest.raises(InputError, match=r"keep_float names nodes .* nothing"):
            quantize(mixed, ranges, X86_VNNI, keep_float=frozenset({"nothing"}))

    def test_bad_range(self, mixed, ranges):
        with pytest.raises(InputError, match="finite"):
            quantize(mixed, {**ranges, "x": (0, math.nan)}, X86_VNNI)

    def test_quantized_already(self, mixed, ranges):
        with pytest.raises(ModelFileError, match="quantized already"):
            quantize(quantize(mixed, ranges, X86_VNNI).graph, ranges, X86_VNNI)

    def test_old_opset(self, builder):
        b = builder(opset=11)
        graph = b.build(b.random_conv("x", 3, 2))
        with pytest.raises(ModelFileError, match="opset 13 or later, got 11"):
            quantize(graph, {}, X86_VNNI)

    def test_nan_weight(self, builder):
        b = builder()
        graph = b.build(b.conv("x", np.full((2, 3, 1, 1), np.nan)))
        with pytest.raises(ModelFileError, match="NaN or infinite"):
            quantize(graph, every_range(graph, 0, 1), X86_VNNI)
