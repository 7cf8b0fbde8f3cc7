"""A graph in segments is the same graph: its answers, and what one rewritten node makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from measures import measure_of

from edgevision.compiler.answers import run_graph
from edgevision.compiler.quantize.dialects import ARM, OPENVINO_VNNI, TENSORRT, X86_VNNI
from edgevision.compiler.quantize.emitter import quantizable_nodes, quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.placement import Graph
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.segments import LARGE_WEIGHT_BYTES, SegmentedGraph
from edgevision.compiler.quantize.sensitivity import measurable_nodes, measure_nodes

pytestmark = pytest.mark.requires("onnx")


def long_skips(builder) -> bytes:
    """As in a detector's neck: three tensors cross everything in the middle, and the graph has two outputs."""
    b = builder(3, 16, seed=2)
    first = b.relu6(b.random_conv("x", 3, 8, 3))
    second = b.node("Relu", [b.random_conv(first, 8, 8, 3)])
    x = second
    for _ in range(7):
        x = b.relu6(b.random_conv(x, 8, 8, 3))
    joined = b.node("Concat", [x, first, second], axis=1)
    head = b.random_gemm(b.node("Flatten", [b.node("GlobalAveragePool", [b.random_conv(joined, 24, 16)])]), 16, 5)
    return b.build(head, second)


@pytest.fixture(scope="module", params=["mixed", "swish", "long skips"])
def graph(request, builder):
    return long_skips(builder) if request.param == "long skips" else request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def segmented(graph):
    return SegmentedGraph(graph)


def test_every_node_is_in_one_segment_together_with_its_activation(graph, segmented):
    view = Graph.parse(graph)
    names = [node.name for node in view.model.graph.node]
    assert len(segmented.segments) > 1
    assert sorted(name for segment in segmented.segments for name in segment.nodes) == sorted(names)
    for node in view.model.graph.node:
        activation = view.activation_of(node)
        if activation is not None:
            assert segmented.segment_of(node.name) == segmented.segment_of(activation.name)


def test_the_segments_one_after_another_are_the_graph(graph, segmented, photos):
    values = segmented.run(photos[0])
    assert len(values) == len(segmented.segments) + 1
    (expected,) = run_graph(graph, photos[:1])
    answer = segmented.answer(values[-1])
    assert list(answer) == list(expected)  # all outputs, in the graph's order
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-4, atol=1e-5)
    read = {name for segment in segmented.segments for name in segment.inputs} | segmented.view.outputs
    assert all(set(kept) <= read for kept in values)  # nothing is kept that nobody reads


@pytest.mark.parametrize("dialect", [X86_VNNI, OPENVINO_VNNI, ARM, TENSORRT], ids=lambda dialect: dialect.name)
def test_loss_of_each_node_is_that_of_the_whole_graph_with_it_alone_in_int8(graph, photos, dialect):
    ranges = estimate(collect_ranges(graph, photos), "mse")
    measure = measure_of(graph)
    measured = measure_nodes(graph, ranges, dialect, photos, measure)
    everything = frozenset(quantizable_nodes(graph, dialect))
    assert measured
    assert set(measured) == set(measurable_nodes(graph, dialect)) <= everything
    reference = measure.run(graph, photos)
    for name, loss in measured.items():
        alone = quantize(graph, ranges, dialect, keep_float=everything - {name}).graph
        # Kernels may round the last bit by where a graph begins, and int8 may then round to the next level.
        assert loss == pytest.approx(measure.divergence(reference, measure.run(alone, photos)), rel=0.02, abs=1e-8), (
            name
        )


def test_hollow_graphs_hold_the_weights_of_one_segment(builder, photos):
    b = builder(3, 16, seed=1)
    x = b.random_conv("x", 3, 64, 1)
    for _ in range(20):
        x = b.node("Relu", [b.random_conv(x, 64, 64, 3)])
    graph = b.build(b.random_gemm(b.node("Flatten", [b.node("GlobalAveragePool", [x])]), 64, 3))
    segmented = SegmentedGraph(graph)
    view = Graph.parse(graph)
    for place, segment in enumerate(segmented.segments):
        own = {name for node in view.model.graph.node if node.name in segment.nodes for name in node.input}
        hollow = onnx.load_model_from_string(segmented.without_other_weights(place))
        for tensor, whole in zip(hollow.graph.initializer, view.model.graph.initializer, strict=True):
            assert (tensor.name, list(tensor.dims)) == (whole.name, list(whole.dims))
            assert bool(tensor.raw_data) == (tensor.name in own or whole.ByteSize() <= LARGE_WEIGHT_BYTES)


def test_time_limits_keep_what_all_nodes_were_measured_on(mixed, photos, monkeypatch):
    from edgevision.compiler.quantize import sensitivity

    ranges = estimate(collect_ranges(mixed, photos), "minmax")
    names = measurable_nodes(mixed, X86_VNNI)
    measure = measure_of(mixed)
    clock = [0.0]
    monkeypatch.setattr(sensitivity.time, "monotonic", lambda: clock[0])

    def tick(done: int, total: int) -> None:
        clock[0] += 1

    first = measure_nodes(mixed, ranges, X86_VNNI, [photos[0][:8]], measure)
    clock[0] = 0.0
    batches = [photos[0][:8], photos[1][:8]]
    cut = measure_nodes(mixed, ranges, X86_VNNI, batches, measure, time_limit_s=len(names) + 3.5, progress=tick)
    assert cut == first  # the second eight photos, begun, count for nothing
    clock[0] = 0.0
    begun = measure_nodes(mixed, ranges, X86_VNNI, batches, measure, time_limit_s=3.5, progress=tick)
    assert 0 < len(begun) < len(names)
    assert all(begun[name] == first[name] for name in begun)


# ---- where the cuts are ----


def chain(b, x, count):
    """``count`` nodes one after another, none of which belongs to the one before it."""
    for _ in range(count):
        x = b.node("Sigmoid", [x])
    return x


def sizes(graph):
    return [len(segment.nodes) for segment in SegmentedGraph(graph).segments]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(1, [1]), (12, [12]), (13, [4, 9]), (16, [4, 12]), (17, [4, 4, 9]), (25, [4, 4, 4, 4, 9])],
)
def test_of_places_that_are_alike_the_nearest_is_cut(builder, nodes, expected):
    """A segment has 4 nodes or more, and what 12 nodes hold is left whole."""
    b = builder()
    assert sizes(b.build(chain(b, "x", nodes))) == expected


@pytest.mark.parametrize(("last", "expected"), [(7, [8, 6]), (10, [11, 3]), (11, [12, 2]), (12, [4, 10])])
def test_a_cut_goes_where_the_fewest_tensors_cross_it(builder, last, expected):
    """The first node's output is added by node ``last``: two tensors cross every place up to it, and one those behind."""
    b = builder()
    first = chain(b, "x", 1)
    joined = b.node("Add", [chain(b, first, last - 1), first])
    assert sizes(b.build(chain(b, joined, 13 - last))) == expected


@pytest.mark.parametrize(("before", "expected"), [(0, [4, 10]), (1, [5, 10]), (2, [4, 12])])
def test_no_cut_goes_between_a_convolution_and_its_activation(builder, before, expected):
    b = builder(3, 4)
    x = chain(b, "x", before)
    for _ in range(7):
        x = b.node("Relu", [b.random_conv(x, 3, 3)])
    assert sizes(b.build(x)) == expected


def test_where_only_shapes_would_cross_too_a_segment_is_longer(builder):
    """The shape, which is no float, is read by the fifteenth node."""
    b = builder(3, 4)
    shape = b.node("Shape", ["x"])
    whole = b.node("Reshape", [chain(b, "x", 13), shape])
    assert sizes(b.build(chain(b, whole, 3))) == [15, 3]


def test_segments_hand_on_what_is_read_later_and_the_outputs(builder):
    b = builder()
    first = chain(b, "x", 1)
    shown = chain(b, first, 3)
    last = b.node("Add", [chain(b, shown, 9), first])
    segments = SegmentedGraph(b.build(last, shown)).segments
    assert [set(segment.outputs) for segment in segments] == [{first, shown}, {last}]
    assert [set(segment.inputs) for segment in segments] == [{"x"}, {first, shown}]


def test_a_graph_that_does_not_say_the_types_of_its_tensors(builder):
    """As exporters write it that infer no shapes."""
    b = builder(3, 4)
    model = onnx.load_model_from_string(b.build(chain(b, b.node("Relu", [b.random_conv("x", 3, 3)]), 14)))
    del model.graph.value_info[:]
    graph = model.SerializeToString()
    photo = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    segmented = SegmentedGraph(graph)
    assert len(segmented.segments) == 2
    (expected,) = run_graph(graph, [photo])
    answer = segmented.answer(segmented.run(photo)[-1])
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-5, atol=1e-6)
