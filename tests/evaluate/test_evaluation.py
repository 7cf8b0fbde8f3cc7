"""What `eval` reports of a predictor whose every answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.evaluate.dataset import read_dataset
from edgevision.evaluate.evaluation import compare, evaluate
from edgevision.tasks.results import Label

LABELS = (Label(0, "dark"), Label(1, "light"))


class ByLightness:
    """Sure of itself by how light or dark a picture is."""

    labels = LABELS

    def __init__(self, threshold: float | None) -> None:
        self.threshold = threshold

    def probabilities(self, images):
        light = np.array([image.mean() / 255 for image in images])
        return np.stack([1 - light, light], axis=1)


@pytest.fixture
def photos(tmp_path):
    """Two dark ones and two light ones, and among them one that is called the other."""
    for name, grey in (("dark", 10), ("dark", 100), ("light", 140), ("light", 250), ("light", 90)):
        path = tmp_path / "known" / name / f"{grey}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((4, 4, 3), grey, np.uint8)))
    return read_dataset(tmp_path / "known")


@pytest.fixture
def unknown(tmp_path):
    (tmp_path / "unknown").mkdir()
    for grey in (120, 130, 5, 245):
        (tmp_path / "unknown" / f"{grey}.png").write_bytes(encode_png(np.full((4, 4, 3), grey, np.uint8)))
    return read_dataset(tmp_path / "unknown")


def test_shares_that_can_be_counted(photos, unknown):
    made = evaluate("m", ByLightness(0.9), photos, unknown)
    assert made.metrics.top1 == 80.0
    assert made.unknown.kept == 0.5  # 10 and 250; 100 and 140 are right and below the threshold
    assert made.unknown.false_accepts == 0.5  # 5 and 245


def test_without_a_threshold_nothing_is_said_of_keeping(photos, unknown):
    made = evaluate("m", ByLightness(None), photos, unknown)
    assert (made.unknown.threshold, made.unknown.kept, made.unknown.false_accepts) == (None, None, None)
    assert made.unknown.auroc is not None
    assert made.to_dict()["unknown"]["kept"] is None


def test_comparing_is_by_photo(photos):
    made = evaluate("m", ByLightness(None), photos)
    paired = compare(made, made)
    assert (paired.n, paired.drop, paired.lost) == (5, 0.0, 0)


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize("threshold", [None, 0.9])
def test_the_page(photos, unknown, threshold):
    from edgevision.evaluate.evaluation_page import evaluation_page

    made = evaluate("m", ByLightness(threshold), photos, unknown)
    page = evaluation_page([made, made], compare(made, made))
    assert ("threshold 0.90" in page) == (threshold is not None)
    assert "m against m on the same 5 photos" in page
