"""Detection heads in every dialect: boxes are decoded in float, the network before them runs in int8, and scores survive."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import constant, node

from edgevision.compiler.answers import run_graph
from edgevision.compiler.quantize.dialects import DIALECTS
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.recipes import describe_nodes
from edgevision.evaluate.tasks.detect_nodes import decoding_nodes

pytestmark = pytest.mark.requires("onnx")

CELLS, BINS, CLASSES, STRIDE = 16, 8, 3, 8  # a level of 4 × 4 cells; distances of 8 bins
HEAD = ("box", "cls")  # the last convolutions: these may be int8


def _convolution(name: str, source: str, into: int, out: int, rng: np.random.Generator, bias: float = 0.0):
    weight = rng.normal(0, 1.5 / np.sqrt(into * 9), (out, into, 3, 3))
    nodes = [node("Conv", (source, f"{name}.w", f"{name}.b"), (name,), name=name, pads=[1, 1, 1, 1])]
    return nodes, [constant(f"{name}.w", weight, np.float32), constant(f"{name}.b", np.full(out, bias), np.float32)]


def _trunk(box_channels: int):
    """Two layers and the two last convolutions of a head."""
    rng = np.random.default_rng(0)
    parts = [
        _convolution("stem", "input", 3, 16, rng),
        _convolution("body", "stem.r", 16, 16, rng),
        _convolution("box", "body.r", 16, box_channels, rng),
        _convolution("cls", "body.r", 16, CLASSES, rng, bias=-3.0),  # few scores are high
    ]
    nodes = [one for nodes, _ in parts for one in nodes]
    nodes.insert(1, node("Relu", ("stem",), ("stem.r",), name="stem.r"))
    nodes.insert(3, node("Relu", ("body",), ("body.r",), name="body.r"))
    return nodes, [one for _, weights in parts for one in weights]


def _yolo_dfl():
    """YOLO v8 to v12: both outputs in one tensor, distances read from distributions by a convolution."""
    nodes, weights = _trunk(4 * BINS)
    nodes += [
        node("Concat", ("box", "cls"), ("level",), name="level", axis=1),
        node("Reshape", ("level", "flat"), ("all",), name="all"),
        node("Split", ("all", "parts"), ("dist", "logit"), name="split", axis=1),
        node("Reshape", ("dist", "four"), ("d4",), name="d4"),
        node("Transpose", ("d4",), ("dt",), name="dt", perm=[0, 2, 1, 3]),
        node("Softmax", ("dt",), ("share",), name="share", axis=1),
        node("Conv", ("share", "numbers"), ("dfl",), name="dfl"),
        node("Reshape", ("dfl", "sides"), ("lt",), name="lt"),
        node("Mul", ("lt", "stride"), ("px",), name="px"),
        node("Sigmoid", ("logit",), ("score",), name="score"),
        node("Concat", ("px", "score"), ("output",), name="out", axis=1),
    ]
    weights += [
        constant("flat", [0, 4 * BINS + CLASSES, CELLS]),
        constant("parts", [4 * BINS, CLASSES]),
        constant("four", [0, 4, BINS, CELLS]),
        constant("sides", [0, 4, CELLS]),
        constant("numbers", np.arange(BINS).reshape(1, BINS, 1, 1), np.float32),
        constant("stride", 80.0, np.float32),  # as of a large picture: boxes to 560, scores to 1
    ]
    return nodes, weights


def _yolox():
    """Exponentials of sizes, and everything in one tensor."""
    nodes, weights = _trunk(4)
    nodes += [
        node("Sigmoid", ("cls",), ("score",), name="score"),
        node("Concat", ("box", "score"), ("level",), name="level", axis=1),
        node("Reshape", ("level", "flat"), ("all",), name="all"),
        node("Split", ("all", "parts"), ("xy", "wh", "s"), name="split", axis=1),
        node("Exp", ("wh",), ("e",), name="e"),
        node("Mul", ("e", "stride"), ("size",), name="size"),
        node("Add", ("xy", "grid"), ("centre",), name="centre"),
        node("Concat", ("centre", "size", "s"), ("output",), name="out", axis=1),
    ]
    weights += [
        constant("flat", [0, 4 + CLASSES, CELLS]),
        constant("parts", [2, 2, CLASSES]),
        constant("stride", 80.0, np.float32),
        constant("grid", np.arange(2 * CELLS).reshape(1, 2, CELLS) * 20.0, np.float32),
    ]
    return nodes, weights


def _refined():
    """RT-DETR's way: a box goes through the inverse of a sigmoid, and on into more weights."""
    nodes, weights = _trunk(CLASSES)
    rng = np.random.default_rng(1)
    more, own = _convolution("pos", "ref", CLASSES, CLASSES, rng)
    last, last_own = _convolution("delta", "pos.r", CLASSES, CLASSES, rng)
    nodes += [
        node("Sigmoid", ("box",), ("ref",), name="ref"),
        *more,
        node("Relu", ("pos",), ("pos.r",), name="pos.r"),
        *last,
        node("Clip", ("ref", "least"), ("some",), name="some"),
        node("Sub", ("one", "ref"), ("rest",), name="rest"),
        node("Div", ("some", "rest"), ("ratio",), name="ratio"),
        node("Log", ("ratio",), ("inverse",), name="inverse"),
        node("Add", ("delta", "inverse"), ("moved",), name="moved"),
        node("Add", ("moved", "cls"), ("output",), name="out"),
    ]
    weights += [*own, *last_own, constant("least", 1e-5, np.float32), constant("one", 1.0, np.float32)]
    return nodes, weights


# family → (the graph, nodes that decode, outputs' shape)
FAMILIES = {
    "yolo with distributions": (
        _yolo_dfl,
        {"level", "all", "split", "d4", "dt", "share", "dfl", "lt", "px", "score", "out"},
    ),
    "yolox": (_yolox, {"score", "level", "all", "split", "e", "size", "centre", "out"}),
    "refinement": (_refined, {"ref", "some", "rest", "ratio", "inverse", "moved", "out"}),
}


def _graph(make) -> bytes:
    from onnx import helper

    nodes, weights = make()
    picture = helper.make_tensor_value_info("input", 1, ["batch", 3, 4, 4])
    output = helper.make_tensor_value_info("output", 1, None)
    graph = helper.make_graph(nodes, "head", [picture], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize("family", FAMILIES)
def test_decoding_is_float_in_every_dialect(family, dialect):
    make, decoding = FAMILIES[family]
    graph = _graph(make)
    pictures = np.random.default_rng(3).normal(size=(64, 3, 4, 4)).astype(np.float32)
    ranges = estimate(collect_ranges(graph, [pictures]), "minmax")
    kept = decoding_nodes(describe_nodes(graph))
    assert kept == decoding
    made = quantize(graph, ranges, DIALECTS[dialect], keep_float=kept)
    assert not decoding & set(made.int8_nodes)
    assert {"stem", "body", *HEAD} <= set(made.int8_nodes)
    (before,), (after,) = (list(run_graph(one, [pictures])) for one in (graph, made.graph))
    reference, own = before["output"], after["output"]
    for part in (slice(0, 4), slice(4, None)) if family != "refinement" else (slice(None),):  # boxes, scores
        assert np.corrcoef(reference[:, part].ravel(), own[:, part].ravel())[0, 1] > 0.98
    if family != "refinement":
        assert np.abs(own[:, 4:] - reference[:, 4:]).max() < 0.1  # one scale over boxes and scores would leave no score


def test_without_the_walk_the_network_would_decode_in_int8():
    """What the walk is for: else the distributions and what is beside them share one scale, because a convolution follows."""
    graph = _graph(_yolo_dfl)
    pictures = np.random.default_rng(3).normal(size=(64, 3, 4, 4)).astype(np.float32)
    ranges = estimate(collect_ranges(graph, [pictures]), "minmax")
    int8 = set(quantize(graph, ranges, DIALECTS["x86-vnni"]).int8_nodes)
    assert {"level", "dfl"} <= int8
