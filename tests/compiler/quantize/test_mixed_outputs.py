"""One output that holds boxes of 0…640 pixels and scores of 0…1: the case that breaks one scale per tensor."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch", "onnx")
BOXES, SCORES, PLACES = 4, 5, 64


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The graph of a detector in little, its path, and the photos (noise) that it is calibrated and compared on."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.quiet import quiet

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU())
            self.boxes, self.scores = nn.Conv2d(32, BOXES, 1), nn.Conv2d(32, SCORES, 1)
            self.register_buffer("grid", torch.linspace(0, 620, PLACES).view(1, 1, PLACES))

        def forward(self, x):
            seen = self.stem(x)
            boxes = torch.sigmoid(self.boxes(seen)).flatten(2) * 20 + self.grid
            return torch.cat([boxes, torch.sigmoid(8 * self.scores(seen)).flatten(2)], 1)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detector") / "float.onnx"
    photos = torch.rand(32, 3, 32, 32)
    with quiet():
        batch = torch.export.Dim("batch")
        torch.onnx.export(
            Detector().eval(), (photos[:2],), path, input_names=["input"], output_names=["output"],
            dynamic_shapes=({0: batch},), dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
    return path.read_bytes(), path, photos.numpy()


def errors(graph: bytes, reference: bytes, photos: np.ndarray) -> tuple[float, float]:
    """Largest error of a box, in pixels, and of a score."""
    from edgevision.compiler.answers import run_graph

    made, expected = (next(iter(run_graph(g, [photos])))["output"] for g in (graph, reference))
    assert made.shape == (len(photos), BOXES + SCORES, PLACES)
    error = np.abs(made - expected)
    return float(error[:, :BOXES].max()), float(error[:, BOXES:].max())


@pytest.mark.parametrize("name", ["x86-vnni", "openvino-vnni", "x86", "openvino", "arm", "tensorrt"])
def test_boxes_and_scores_both_survive(name, detector):
    from measures import RawEvaluator, raw_spec

    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.quantize.dialects import DIALECTS
    from edgevision.compiler.quantize.recipes import calibrate, int8_candidate
    from edgevision.compiler.select.precision_check import int8_nodes

    graph, _, photos = detector
    measure = AnswerMeasure(RawEvaluator(raw_spec("output")))
    candidate = int8_candidate(calibrate(graph, [photos], measure, 1, dialect=DIALECTS[name]))
    assert len(int8_nodes(candidate.graph)) == 4  # all of the convolutions: it is no float graph that is compared
    box, score = errors(candidate.graph, graph, photos)
    assert box < 0.25
    assert score < 0.03


def test_one_scale_for_both_would_lose_the_scores(detector, tmp_path):
    """What the test above is worth: the usual quantization of the same graph gives no score at all."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    graph, path, photos = detector

    class Reader(CalibrationDataReader):
        left = iter([{"input": photos}])

        def get_next(self):
            return next(self.left, None)

    logging.disable(logging.WARNING)
    try:
        quantize_static(path, tmp_path / "int8.onnx", Reader())
    finally:
        logging.disable(logging.NOTSET)
    box, score = errors((tmp_path / "int8.onnx").read_bytes(), graph, photos)
    assert box > 1
    assert score > 0.5
