"""Equalization leaves the float network as it is, and its int8 form much the better."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from measures import measure_of
from onnx import numpy_helper

from edgevision.compiler.quantize.channels import channel_statistics
from edgevision.compiler.quantize.dialects import TENSORRT, X86, X86_VNNI
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.equalize import CLIP_MARGIN, equalize, equalize_by
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.errors import DataError, InputError

pytestmark = pytest.mark.requires("onnx")


def depthwise_net(builder, activation: str, spread: float, seed: int = 0):
    """Pointwise, depthwise, pointwise: channels between them differ in size by up to ``spread``, and matter alike."""
    b = builder(8, 8, seed=seed)
    sizes = np.exp(b.random.uniform(-np.log(spread), 0, size=32))
    sizes[0] = 1

    def activate(x: str) -> str:
        return {"relu": lambda: b.node("Relu", [x]), "relu6": lambda: b.relu6(x), "none": lambda: x}[activation]()

    expand = b.random.normal(size=(32, 8, 1, 1)) / np.sqrt(8) * sizes.reshape(-1, 1, 1, 1)
    wide = activate(b.conv("x", expand, b.random.normal(size=32) * sizes / 4))
    deep = activate(b.conv(wide, b.random.normal(size=(32, 1, 3, 3)) / 3, np.zeros(32), group=32, pads=[1] * 4))
    project = b.random.normal(size=(8, 32, 1, 1)) / sizes.reshape(1, -1, 1, 1) / np.sqrt(32)
    out = b.node("Relu", [b.conv(deep, project, b.random.normal(size=8) / 4)])
    return b.build(b.random_gemm(b.node("Flatten", [b.node("GlobalAveragePool", [out])]), 8, 5))


def batches(scale: float = 1.0, seed: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(scale=scale, size=(6, 8, 8, 8)).astype(np.float32) for _ in range(2)]


def sqnr(reference: np.ndarray, values: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - values) ** 2)))


@pytest.mark.parametrize("activation", ["relu", "relu6", "none"])
@pytest.mark.parametrize("spread", [4.0, 100.0])
class TestFloat:
    def test_equal_to_the_last_bit(self, builder, run_ort, activation, spread):
        graph = depthwise_net(builder, activation, spread)
        x = batches()
        made = equalize(graph, x)
        assert made != graph
        for photos in x:
            np.testing.assert_array_equal(
                run_ort(made, photos, optimize=False)[0], run_ort(graph, photos, optimize=False)[0]
            )

    def test_channels_come_closer(self, builder, activation, spread):
        graph = depthwise_net(builder, activation, spread)
        names = [node.output[0] for node in onnx.load_model_from_string(graph).graph.node if node.op_type == "Conv"][:2]

        def unevenness(model: bytes) -> float:
            peaks = channel_statistics(model, names, batches())
            return sum(float(np.log(peaks[name].peak.max() / peaks[name].peak).mean()) for name in names)

        assert unevenness(equalize(graph, batches())) < 0.95 * unevenness(graph)


@pytest.mark.parametrize("dialect", [X86_VNNI, X86, TENSORRT], ids=lambda dialect: dialect.name)
def test_badly_scaled_channels_quantize_much_better(builder, run_ort, dialect):
    graph = depthwise_net(builder, "relu", 300.0)
    x = batches()
    answers = [run_ort(graph, photos)[0] for photos in x]
    made = equalize(graph, x)
    quality = []
    for model in (graph, made):
        int8 = quantize(model, estimate(collect_ranges(model, x), "minmax"), dialect).graph
        quality.append(sqnr(np.concatenate(answers), np.concatenate([run_ort(int8, p, optimize=False)[0] for p in x])))
    assert quality[1] > quality[0] + 10  # a tenth of the error's power


class TestClip:
    def test_holds_up_to_the_margin(self, builder, run_ort):
        """On photos twice as bright as those of the calibration, which make the clips act that acted before."""
        graph = depthwise_net(builder, "relu6", 100.0)
        made = equalize(graph, batches())
        names = [node.output[0] for node in onnx.load_model_from_string(graph).graph.node if node.op_type == "Conv"][:2]
        peaks = channel_statistics(graph, names, batches())
        for photos in batches(scale=1.3, seed=11):
            now = channel_statistics(graph, names, [photos])
            within = all((now[name].peak <= CLIP_MARGIN * peaks[name].peak).all() for name in names)
            assert within
            np.testing.assert_array_equal(
                run_ort(made, photos, optimize=False)[0], run_ort(graph, photos, optimize=False)[0]
            )

    def test_channels_that_clip_are_left_alone(self, builder):
        graph = depthwise_net(builder, "relu6", 4.0)
        conv = onnx.load_model_from_string(graph).graph.node[0]
        peaks = {"conv_0": np.full(32, 3.5), "conv_2": np.full(32, 7.0)}  # beyond 6 / CLIP_MARGIN
        assert conv.output[0] == "conv_0"
        assert equalize_by(graph, peaks) == graph


class TestWhatIsLeftAlone:
    def test_pairs_that_others_read(self, builder):
        b = builder(8, 8)
        wide = b.node("Relu", [b.random_conv("x", 8, 16)])
        one, other = b.random_conv(wide, 16, 8), b.random_conv(wide, 16, 8)
        graph = b.build(b.node("Add", [one, other]))
        assert equalize(graph, batches()) == graph

    def test_clip_with_another_lower_bound(self, builder):
        b = builder(8, 8)
        bounds = [b.constant(np.float32(value)) for value in (-1, 1)]
        graph = b.build(b.random_conv(b.node("Clip", [b.random_conv("x", 8, 16), *bounds]), 16, 8))
        assert equalize(graph, batches()) == graph

    def test_shared_weights(self, builder):
        b = builder(8, 8)
        b.constant((b.random.normal(size=(8, 8, 1, 1))).astype(np.float32), "w")
        graph = b.build(b.node("Conv", [b.node("Relu", [b.node("Conv", ["x", "w"])]), "w"]))
        assert equalize(graph, batches()) == graph

    def test_swish_is_not_homogeneous(self, swish, photos):
        """Only the squeeze's ReLU is; what lies between hard swishes stays."""
        before, after = (onnx.load_model_from_string(graph).graph for graph in (swish, equalize(swish, photos)))
        changed = [
            a.name
            for a, b in zip(before.initializer, after.initializer, strict=True)
            if not np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))
        ]
        convs = [node for node in before.node if node.op_type == "Conv"]
        squeezing = [relu for relu in before.node if relu.op_type == "Relu"]
        expected = set()
        for relu in squeezing:
            (first,) = (conv for conv in convs if conv.output[0] == relu.input[0])
            (second,) = (conv for conv in convs if conv.input[0] == relu.output[0])
            expected |= {*first.input[1:], second.input[1]}
        assert len(squeezing) == 2  # one a block
        assert set(changed) == expected

    def test_dead_channels(self, builder, run_ort):
        b = builder(8, 8)
        weight = b.random.normal(size=(16, 8, 1, 1))
        weight[3] = 0
        graph = b.build(b.random_conv(b.node("Relu", [b.conv("x", weight, np.zeros(16))]), 16, 8))
        made = equalize(graph, batches())
        (photos, _) = batches()
        np.testing.assert_array_equal(
            run_ort(made, photos, optimize=False)[0], run_ort(graph, photos, optimize=False)[0]
        )


def test_grouped_second_convolution(builder, run_ort):
    """Groups of four channels: each group's weights take the factors of its own channels."""
    b = builder(8, 8)
    sizes = np.geomspace(1, 200, 16).reshape(-1, 1, 1, 1)
    wide = b.node("Relu", [b.conv("x", b.random.normal(size=(16, 8, 1, 1)) * sizes)])
    graph = b.build(b.random_conv(wide, 16, 32, 3, group=4))
    made = equalize(graph, batches())
    assert made != graph
    for photos in batches(seed=5):
        np.testing.assert_array_equal(
            run_ort(made, photos, optimize=False)[0], run_ort(graph, photos, optimize=False)[0]
        )


def test_missing_peaks(builder):
    graph = depthwise_net(builder, "relu", 4.0)
    with pytest.raises(InputError, match="peaks of the 32 channels of 'conv_0'"):
        equalize_by(graph, {})
    with pytest.raises(InputError, match="peaks of the 32 channels"):
        equalize_by(graph, {"conv_0": np.ones(3), "conv_2": np.ones(32)})


class TestStatistics:
    def test_against_numpy(self, builder, run_ort):
        b = builder(8, 8)
        wide = b.random_conv("x", 8, 16)
        graph = b.build(wide)
        photos = batches()
        got = channel_statistics(graph, ["x", wide], photos)
        for name, values in (
            ("x", np.concatenate(photos)),
            (wide, np.concatenate([run_ort(graph, p)[0] for p in photos])),
        ):
            np.testing.assert_allclose(got[name].mean, values.mean((0, 2, 3), dtype=np.float64), rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(got[name].peak, np.abs(values).max((0, 2, 3)), rtol=1e-5)

    def test_bad_requests(self, builder):
        b = builder(8, 8)
        graph = b.build(b.random_conv("x", 8, 4))
        with pytest.raises(InputError, match="no tensors"):
            channel_statistics(graph, ["nothing"], batches())
        with pytest.raises(DataError, match="at least one photo"):
            channel_statistics(graph, ["x"], [])


def test_calibration_chooses_it_where_it_helps(builder):
    """By divergence on calibration photos: for badly scaled channels, and not for a network without depthwise ones."""
    from edgevision.compiler.quantize.recipes import calibrate, int8_candidate

    uneven = depthwise_net(builder, "relu", 300.0)
    bad = calibrate(uneven, batches(), measure_of(uneven), 1)
    assert bad.recipe.equalization
    assert bad.recipes[bad.recipe] == min(bad.recipes.values()) < min(bad.estimators.values()) / 2
    assert "equalization" in int8_candidate(bad).recipe
    assert bad.float_graph != bad.plain.graph
    b = builder(8, 8)
    dense = b.node("Relu", [b.random_conv("x", 8, 16)])
    flat = b.build(b.random_gemm(b.node("Flatten", [b.random_conv(dense, 16, 4)]), 256, 5))
    other = calibrate(flat, batches(), measure_of(flat), 1)
    assert other.equalized is None
    assert len(other.recipes) == len(other.estimators) + 1
