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
    from edgevision.compiler.data.photos import prepared, random_pictures
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
    from edgevision.compiler.answers import run_graph

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
    (expected,), (found,) = run_graph(graph, [tensor]), run_graph(fixed, [tensor])
    np.testing.assert_array_equal(found["output"], expected["output"])


@pytest.mark.parametrize(("noise", "expected_db"), [(0.0, np.inf), (0.1, 20.0), (1.0, 0.0)])
def test_sqnr(noise, expected_db):
    from benchmarks.never_slower import sqnr_db

    reference = np.full((2, 5), 3.0, np.float32)
    assert sqnr_db(reference, reference * np.float32(1 + noise)) == pytest.approx(expected_db, abs=1e-4)


def test_detector_answers_are_all_of_its_output():
    """Boxes and scores both count in the divergence, and are found again in the digest."""
    from benchmarks.networks import CLASSES, measure_of
    from benchmarks.never_slower import BOXES, parts_of
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label

    measure = measure_of(classify_spec([Label(i, str(i)) for i in range(CLASSES)]), is_detector=True)
    output = np.random.default_rng(0).normal(size=(2, BOXES + CLASSES, 6)).astype(np.float32)
    reference = measure.digest({"output": output})
    boxes, scores = parts_of(reference)
    np.testing.assert_array_equal(boxes, output[:, :BOXES])
    np.testing.assert_array_equal(scores, output[:, BOXES:])
    assert measure.divergence(reference, reference) == 0
    for channel in (0, BOXES):  # a box's side, a class's score
        changed = output.copy()
        changed[0, channel, 3] += 1
        powers, others = (np.exp(x.astype(np.float64).reshape(2, -1)) for x in (output, changed))
        p, q = (x / x.sum(1, keepdims=True) for x in (powers, others))
        expected = np.mean(np.sum(p * np.log(p / q), axis=1))
        assert measure.divergence(reference, measure.digest({"output": changed})) == pytest.approx(expected)


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (1, True), (3, False)])
def test_verdict_counts_wrong_answers_by_the_default_budget(wrong, passed):
    """One of 400 is within half a point, three are not; how sure the answers are counts for nothing."""
    from benchmarks.networks import measure_of
    from benchmarks.never_slower import verdict_on
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label

    truth = [photo % 4 for photo in range(400)]
    measure = measure_of(classify_spec([Label(i, str(i)) for i in range(4)]), is_detector=False)
    sure = 20 * np.eye(4, dtype=np.float32)[truth]
    unsure = 0.1 * np.eye(4, dtype=np.float32)[[(c + 1) % 4 if i < wrong else c for i, c in enumerate(truth)]]
    reference, own = measure.digest({"output": sure}), measure.digest({"output": unsure})
    found = verdict_on(measure, reference, own, truth)
    assert (found.value, found.drop) == (100 - wrong / 4, wrong / 4)
    assert found.passed is passed
