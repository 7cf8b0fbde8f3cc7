"""The networks of the speed comparison, and what it does to graphs, against truth by construction."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.requires("torch")]


def test_detector_decodes_boxes_and_scores():
    """Where every head says nothing, each side is the mean bin from its anchor, and scores are sigmoid(-3)."""
    import torch
    from torch import nn

    from benchmarks.networks import BINS, CLASSES, STRIDES, Detector

    torch.manual_seed(0)
    detector = Detector().eval()
    assert 3.0e6 < sum(p.numel() for p in detector.parameters()) < 3.3e6
    for heads in (detector.boxes, detector.classes):
        for head in heads:
            nn.init.zeros_(head[-1].weight)
    with torch.no_grad():
        output = detector(torch.zeros(1, 3, 640, 640)).numpy()
    anchors = [(640 // s, s) for s in STRIDES]
    assert output.shape == (1, 4 + CLASSES, sum(side * side for side, _ in anchors))
    expected = [
        [(column + 0.5) * s, (row + 0.5) * s, (BINS - 1) * s, (BINS - 1) * s]
        for side, s in anchors
        for row in range(side)
        for column in range(side)
    ]
    np.testing.assert_allclose(output[0, :4].T, expected, atol=1e-2)
    np.testing.assert_allclose(output[0, 4:], 1 / (1 + np.exp(3)), rtol=1e-5)


def test_norms_are_those_of_the_photos():
    import torch
    from torch import nn

    from benchmarks.networks import NORM_BATCH, estimate_norms
    from edgevision.compiler.photos import prepared, random_pictures
    from edgevision.preprocess import PreprocessSpec

    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5))
    spec, photos = PreprocessSpec(16, 16), random_pictures(NORM_BATCH)
    estimate_norms(module, photos, spec)
    assert not any(layer.training for layer in module.modules())
    with torch.no_grad():
        output = module(torch.from_numpy(next(prepared(photos, spec, NORM_BATCH)))).double()
    np.testing.assert_allclose(output.mean((0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(output.var((0, 2, 3)), 1, rtol=1e-2)


@pytest.mark.parametrize("batch", [1, 8])
def test_static_batch_changes_no_answer(batch):
    import onnx

    from benchmarks.peers_int8 import with_static_batch
    from edgevision.compiler.agreement import graph_outputs

    weight = onnx.numpy_helper.from_array(np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32), "w")
    nodes = [onnx.helper.make_node("Conv", ["input", "w"], ["y"]), onnx.helper.make_node("Flatten", ["y"], ["output"])]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("input", ["batch", 3, 8, 8]), ("output", ["batch", 4 * 36]))
    ]
    made = onnx.helper.make_graph(nodes, "small", values[:1], values[1:], [weight])
    opset = onnx.helper.make_opsetid("", 18)
    graph = onnx.helper.make_model(made, opset_imports=[opset], ir_version=10).SerializeToString()
    fixed = with_static_batch(graph, batch)
    body = onnx.load_from_string(fixed).graph
    shapes = [value.type.tensor_type.shape for value in (*body.input, *body.output)]
    assert [shape.dim[0].dim_value for shape in shapes] == [batch, batch]
    tensor = np.random.default_rng(0).random((batch, 3, 8, 8), np.float32)
    np.testing.assert_array_equal(graph_outputs(fixed, [tensor]), graph_outputs(graph, [tensor]))


@pytest.mark.parametrize(("noise", "expected_db"), [(0.0, np.inf), (0.1, 20.0), (1.0, 0.0)])
def test_sqnr(noise, expected_db):
    from benchmarks.never_slower import sqnr_db

    reference = np.full((2, 5), 3.0, np.float32)
    assert sqnr_db(reference, reference * np.float32(1 + noise)) == pytest.approx(expected_db, abs=1e-4)
