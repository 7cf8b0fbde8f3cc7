from __future__ import annotations

import numpy as np
import pytest
from detectors import answers, digest, photos, spec

from edgevision.errors import InputError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.tasks.detect import DetectEvaluator
from edgevision.evaluate.tasks.detect_fit import best_threshold
from edgevision.evaluate.tasks.detect_scores import counts, f1


def fit(own, truth, reference=None, trained=None, **parameters):
    evaluator = DetectEvaluator(spec(**parameters))
    known = trained if trained is not None else [None] * len(truth)
    return evaluator.fit(own if reference is None else reference, own, truth, known, 0.95)


def seen(found, truths, **parameters) -> float:
    evaluator = DetectEvaluator(spec(**parameters))
    c = counts(evaluator.scores(found, truths))
    return float(f1(c.right.sum(), c.found.sum(), c.marked.sum()))


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_is_better_than_the_best(seed):
    """Against all thresholds on a grid, each tried by counting."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(60), 2)  # some are equal
    right = rng.random(60) < scores
    marked = int(right.sum()) + 5

    def f1_at(threshold: float) -> float:
        kept = scores > threshold
        return float(f1((right & kept).sum(), kept.sum(), marked))

    found = best_threshold(scores, right, marked, near=0.5)
    assert f1_at(found) == pytest.approx(max(f1_at(t) for t in np.arange(0.001, 1, 0.001)))


@pytest.mark.parametrize(
    ("scores", "right", "marked", "near", "expected"),
    [
        ([0.9, 0.5], [True, True], 2, 0.25, 0.25),  # near is good itself
        ([0.9, 0.5], [True, False], 1, 0.25, 0.6),  # a quarter away from the score below
        ([0.9, 0.5], [True, False], 1, 0.99, 0.8),
        ([0.9, 0.9], [True, False], 1, 0.25, 0.25),  # equal scores cannot be parted
        ([], [], 3, 0.25, 0.25),
        ([0.5], [False], 3, 0.25, 0.25),  # nothing is right: nothing to choose by
    ],
)
def test_where_the_threshold_lies(scores, right, marked, near, expected):
    found = best_threshold(np.array(scores, float), np.array(right, bool), marked, near)
    assert found == pytest.approx(expected)


def test_a_variant_that_is_less_sure_gets_lower_thresholds():
    truths = photos(0, n=60)
    float_, faded = answers(truths), answers(truths, fade=0.4)
    before, after = fit(float_, truths), fit(faded, truths, float_)
    assert all(a < b for a, b in zip(after.parameters["thresholds"], before.parameters["thresholds"], strict=True))
    assert seen(faded, truths) < 0.8
    assert seen(faded, truths, **after.parameters) == 1.0
    assert seen(float_, truths, **before.parameters) == 1.0
    assert (before.note, after.note) == ("", "")


def test_a_class_that_is_less_sure_gets_a_threshold_of_its_own():
    truths = photos(1, n=200)
    found, low = answers(truths), answers(truths, fade=0.3)
    first = found["classes"] == 0
    found["scores"] = np.where(first, low["scores"], found["scores"])
    thresholds = fit(found, truths).parameters["thresholds"]
    assert thresholds[0] < min(thresholds[1:])
    assert seen(found, truths, thresholds=thresholds) > seen(found, truths, threshold=0.25)


def test_few_boxes_lean_on_the_common_threshold():
    """Class 2 has one box, whose score says little: its threshold is nearly the others'."""
    many = [PhotoBoxes(320, 320, (Box(0, 0.0, 0.0, 50.0, 50.0),)) for _ in range(60)]
    one = PhotoBoxes(320, 320, (Box(2, 0.0, 0.0, 50.0, 50.0),))
    box = (0, 0, 50, 50)
    found = digest([[(box, 0.9, 0), ((100, 100, 150, 150), 0.6, 0)]] * 60 + [[(box, 0.1, 2)]])
    fitted = fit(found, [*many, one])
    common = fitted.parameters["threshold"]
    assert common == pytest.approx(0.675, abs=0.01)
    assert common - 0.03 < fitted.parameters["thresholds"][2] < common
    assert fitted.parameters["thresholds"][1] == common  # no box at all
    assert "2 of 3 classes have fewer than 20 boxes" in fitted.note


def test_photos_that_were_not_trained_on_count_where_there_are_enough():
    truths = photos(2, n=120)
    sure, unsure = answers(truths), answers(truths, fade=0.4)
    # On the photos it was trained on the model is sure.
    half = {role: np.concatenate([sure[role][:60], unsure[role][60:]]) for role in sure}
    trained = [True] * 60 + [False] * 60
    fitted = fit(half, truths, trained=trained)
    alone = fit({role: array[60:] for role, array in half.items()}, truths[60:])
    assert fitted.parameters == alone.parameters
    assert fitted.note == ""
    everything = fit(half, truths, trained=[True] * 120)
    assert "photos that the model was trained on" in everything.note


def test_without_marked_boxes_thresholds_follow_float():
    truths = photos(3, n=60)
    float_, faded = answers(truths), answers(truths, fade=0.4)
    fitted = fit(faded, [None] * 60, float_)
    assert "0 marked boxes are too few" in fitted.note
    assert seen(faded, truths, **fitted.parameters) == 1.0
    same = fit(float_, [None] * 60)  # float with itself: nothing moves
    assert same.parameters["threshold"] == pytest.approx(0.25, abs=0.05)
    assert seen(float_, truths, **same.parameters) == 1.0


def test_where_nothing_is_known_nothing_is_fitted():
    fitted = fit(digest([[], []]), [None, PhotoBoxes(9, 9, ())])
    assert fitted.parameters == {}
    assert "no box is marked, and float finds none" in fitted.note


def test_other_photos_are_refused():
    with pytest.raises(InputError, match="same photos, got"):
        fit(digest([[]]), [None, None])
