"""Bias correction against the mean errors of the int8 network, measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgevision.compiler.quantize.bias_correction import correct_biases
from edgevision.compiler.quantize.dialects import DIALECTS, X86, X86_VNNI
from edgevision.compiler.quantize.emitter import quantizable_nodes, quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges

pytestmark = pytest.mark.requires("onnx")


def initializers(graph: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(graph).graph.initializer}


def mean_error(reference: np.ndarray, values: np.ndarray) -> float:
    """Root of the mean square, over output channels, of the mean difference."""
    axes = (0, *range(2, reference.ndim))
    return float(np.sqrt(np.mean((values.astype(np.float64) - reference).mean(axes) ** 2)))


@pytest.mark.parametrize("kind", ["conv", "depthwise", "grouped", "gemm"])
@pytest.mark.parametrize("dialect", [X86, dataclasses.replace(X86_VNNI, weight_limit=7)], ids=["7 bits", "4 bits"])
def test_takes_the_mean_error_of_one_layer_back(builder, run_ort, kind, dialect):
    b = builder(8, 8)
    if kind == "gemm":
        out = b.random_gemm(b.node("Flatten", ["x"]), 512, 6)
        names = ["x", "flatten_0", out]
    else:
        group = {"conv": 1, "depthwise": 8, "grouped": 2}[kind]
        weight = b.random.normal(size=(16, 8 // group, 3, 3))
        out = b.conv("x", weight, b.random.normal(size=16), group=group)  # no padding: the formula is exact
        names = ["x", out]
    graph = b.build(out)
    x = np.random.default_rng(0).uniform(0.5, 2, size=(16, 8, 8, 8)).astype(np.float32)
    reference = run_ort(graph, x)[0]
    bounds = {"x": (0, 2), "flatten_0": (0, 2), out: (float(reference.min()), float(reference.max()))}
    ranges = {name: bounds[name] for name in names}
    # The output in float: what is left of the error is that of weights and input.
    form = dataclasses.replace(dialect, quantize_conv_outputs=False)
    plain, corrected = (
        run_ort(quantize(model, ranges, form).graph, x, optimize=False)[0]
        for model in (graph, correct_biases(graph, ranges, form, [x]))
    )
    assert mean_error(reference, corrected) < mean_error(reference, plain) / 5


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_only_biases_change(mixed, photos, dialect):
    ranges = estimate(collect_ranges(mixed, photos), "minmax")
    before, after = initializers(mixed), initializers(correct_biases(mixed, ranges, dialect, photos))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(before[name].ndim == 1 for name in changed)
    assert correct_biases(mixed, ranges, dialect, photos) == correct_biases(mixed, ranges, dialect, photos)


def test_kept_nodes_keep_their_bias(mixed, photos):
    ranges = estimate(collect_ranges(mixed, photos), "minmax")
    convs = [name for name in quantizable_nodes(mixed, X86) if name.startswith("conv")]
    kept = next(n for n in onnx.load_model_from_string(mixed).graph.node if n.name == convs[1])
    before = initializers(mixed)
    made = correct_biases(mixed, ranges, X86, photos, keep_float=frozenset({kept.name}))
    np.testing.assert_array_equal(initializers(made)[kept.input[2]], before[kept.input[2]])
    everything = frozenset(quantizable_nodes(mixed, X86))
    after = initializers(correct_biases(mixed, ranges, X86, photos, keep_float=everything))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_whole_net_gets_better(mixed, photos, run_ort):
    """With 4-bit weights, where the effect is large, on photos that did not correct it."""
    coarse = dataclasses.replace(X86_VNNI, weight_limit=7)
    ranges = estimate(collect_ranges(mixed, photos), "minmax")
    reference = np.concatenate([run_ort(mixed, batch)[0] for batch in photos[2:]])
    errors = []
    for model in (mixed, correct_biases(mixed, ranges, coarse, photos[:2])):
        graph = quantize(model, ranges, coarse).graph
        outputs = np.concatenate([run_ort(graph, batch, optimize=False)[0] for batch in photos[2:]])
        errors.append(float(np.mean((outputs - reference) ** 2)))
    assert errors[1] < 0.7 * errors[0]
