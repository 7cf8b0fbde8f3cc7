from __future__ import annotations

import numpy as np
import pytest
from detectors import SIDE, answers, digest, photos, spec

from edgevision.errors import UnreadableOutputError
from edgevision.evaluate.tasks.detect import DetectEvaluator

TRUTHS = photos(0, n=60, classes=4)


def doubts(found, truths=TRUTHS, classes=4):
    return DetectEvaluator(spec(classes)).doubts(found, truths)


def changed(boxes=lambda b: b, classes=lambda c: c, **damage):
    found = {role: np.asarray(array, np.float64) for role, array in answers(TRUTHS, classes=4, **damage).items()}
    real = found["classes"] >= 0
    return {
        "boxes": boxes(found["boxes"]),
        "scores": found["scores"],
        "classes": np.where(real, classes(found["classes"]), -1),
    }


def centre_and_size(b):
    return np.concatenate([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], axis=-1)


@pytest.mark.parametrize(
    ("boxes", "reading"),
    [
        (lambda b: b / SIDE, "in shares of the picture, 0…1"),
        (lambda b: b[..., [1, 0, 3, 2]], "as y1 x1 y2 x2"),
        (lambda b: b[..., [1, 0, 3, 2]] / SIDE, "in shares of the picture, as y1 x1 y2 x2"),
        (centre_and_size, "as a centre and a size"),
        (lambda b: centre_and_size(b / SIDE), "in shares of the picture, as a centre and a size"),
        (lambda b: np.concatenate([b[..., :2], b[..., 2:] - b[..., :2]], axis=-1), "as a corner and a size"),
        (lambda b: b * SIDE, "in pixels, not in shares of the picture"),
    ],
)
def test_boxes_in_another_unit_or_order_are_named(boxes, reading):
    (doubt,) = doubts(changed(boxes))
    assert f"with the boxes read {reading}:" in doubt.text
    assert doubt.explained


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (lambda c: 3 - c, "the labels backwards"),
        (lambda c: (c + 1) % 4, "in another order"),
        (lambda c: np.where(c < 2, 1 - c, 5 - c), "'product 0' stands where 'product 1' belongs"),
    ],
)
def test_labels_in_another_order_are_named(classes, text):
    (doubt,) = doubts(changed(classes=classes))
    assert text in doubt.text
    assert "give the labels in the order of the outputs" in doubt.text


@pytest.mark.parametrize(
    "damage",
    [{}, {"missing": 0.5}, {"shift": 0.3}, {"wrong_class": 0.4}, {"fade": 0.05}, {"missing": 0.9}],
)
def test_an_honest_detector_however_weak_is_not_doubted(damage):
    assert doubts(changed(**damage)) == ()


def test_a_detector_that_calls_everything_by_one_name_has_its_labels_in_order():
    assert doubts(changed(classes=np.zeros_like)) == ()
    mostly = [photo._replace(boxes=tuple(b._replace(label=1) for b in photo.boxes)) for photo in TRUTHS]
    (doubt,) = doubts(
        changed(classes=np.zeros_like), mostly
    )  # it is right about nothing, and no order is blamed for it
    assert (doubt.explained, "the labels" in doubt.text) == (False, False)


def test_a_detector_that_finds_nothing_is_doubted_without_a_reading():
    nowhere = changed(lambda b: np.broadcast_to([0.0, 0.0, 3.0, 3.0], b.shape))
    (doubt,) = doubts(nowhere)
    assert not doubt.explained
    assert "marked boxes 0 are found" in doubt.text


def test_too_few_boxes_say_nothing():
    few = photos(0, n=8, classes=4)
    assert doubts(digest([[]] * 8), few) == ()
    assert doubts(digest([[]] * 8), [None] * 8) == ()


def test_photos_without_a_truth_do_not_count():
    found = changed(lambda b: b / SIDE)
    assert len(doubts(found, [*TRUTHS[:40], *[None] * 20])) == 1


def test_what_is_no_number_is_no_answer():
    with pytest.raises(UnreadableOutputError, match="NaN or infinite values for 60 of 60 photos"):
        doubts(changed(lambda b: b + np.inf))


@pytest.mark.parametrize("seed", range(3))
def test_a_detector_that_throws_boxes_about_is_doubted(seed):
    """Random weights cover the picture with boxes, some of which lie on products by chance."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, SIDE, (len(TRUTHS), 300, 2, 2)), axis=2).reshape(-1, 300, 4)
    thrown = {
        "boxes": corners,
        "scores": np.sort(rng.uniform(0.001, 0.02, corners.shape[:2]))[:, ::-1],
        "classes": rng.integers(0, 4, corners.shape[:2]).astype(float),
    }
    (doubt,) = doubts(thrown)
    assert not doubt.explained
    assert "the mAP50-95 of these 60 photos is 0." in doubt.text
