"""Golden frames of detectors: what passes on another device, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tasks.detect.golden import OTHER_DEVICE, SAME_DEVICE, compare_golden
from edgevision.tasks.detect.task import DetectTask, detect_spec
from edgevision.tasks.results import Label

K = 6
A, B, C = (10, 10, 50, 50), (100, 10, 150, 90), (60, 60, 70, 70)
EMPTY = [(-1, 0.0, (0, 0, 0, 0))]


def digest(*frames):
    """Of frames of (class, score, box)."""
    rows = [[*frame, *EMPTY * (K - len(frame))] for frame in frames]
    return {
        "boxes": np.array([[box for _, _, box in row] for row in rows], np.float32),
        "scores": np.array([[score for _, score, _ in row] for row in rows], np.float32),
        "classes": np.array([[label for label, _, _ in row] for row in rows], np.float32),
    }


FLOAT = [(0, 0.9, A), (1, 0.8, B), (0, 0.3, C)]
INT8 = [(0, 0.85, A), (1, 0.78, (102, 11, 151, 88)), (0, 0.28, C)]


def moved(box, by):
    return tuple(side + by for side in box)


TASK = DetectTask(
    detect_spec([Label(i, str(i)) for i in range(3)], "yolo", {"boxes_and_scores": "y"}, height=256, width=256)
)


def compared(now, *, same, stored=INT8, reference=FLOAT):
    """Of whole digests; what a bundle stores of them says the same."""
    result = compare_golden(digest(reference), digest(stored), digest(now), iou=0.7, same_device=same)
    kept = [TASK.golden(digest(one)) for one in (reference, stored)]
    assert compare_golden(*kept, digest(now), iou=0.7, same_device=same) == result
    return result


def test_a_bundle_stores_the_rows_that_matter():
    faint = [(0, 0.03, (5 * i, 0, 5 * i + 4, 4)) for i in range(4)]
    whole = digest(FLOAT, [FLOAT[0], *faint])
    kept = TASK.golden(whole)
    assert {role: array.shape for role, array in kept.items()} == {
        "boxes": (2, 3, 4),
        "scores": (2, 3),
        "classes": (2, 3),
    }
    for role, array in kept.items():
        np.testing.assert_array_equal(array, whole[role][:, :3])
    assert TASK.golden(digest([]))["scores"].shape == (1, 1)  # arrays without numbers cannot be stored


SAME_PASSES = {
    "itself": INT8,
    "the order of sums": [(0, 0.8500004, A), (1, 0.7799999, (102, 11, 151, 88)), (0, 0.28, C)],
    "another order": [INT8[1], INT8[0], INT8[2]],
    "a faint box more": [*INT8, (2, 0.04, (200, 200, 220, 220))],
}
OTHER_PASSES = {
    **SAME_PASSES,
    "scores of another rounding": [(0, 0.75, A), (1, 0.9, B), (0, 0.4, C)],
    "boxes of another rounding": [(0, 0.85, moved(A, 4)), (1, 0.78, B), (0, 0.28, moved(C, 1))],
    "no box that was not clear": INT8[:2],
    "a box more that is not clear": [*INT8, (2, 0.6, (200, 200, 220, 220))],
}
OTHER_FAILS = {
    "nothing": [],
    "a clear box is missing": INT8[1:],
    "it is of another class": [(2, 0.85, A), *INT8[1:]],
    "it is elsewhere": [(0, 0.85, moved(A, 20)), *INT8[1:]],
    "axes swapped": [(label, score, (y1, x1, y2, x2)) for label, score, (x1, y1, x2, y2) in INT8],
    "its score fell": [(0, 0.6, A), *INT8[1:]],
    "all scores rose": [(label, min(1.0, score + 0.2), box) for label, score, box in INT8],
    "a clear box has come": [*INT8, (2, 0.7, (200, 200, 220, 220))],
}
SAME_FAILS = {
    **OTHER_FAILS,
    "a score differs": [INT8[0], (1, 0.75, (102, 11, 151, 88)), INT8[2]],
    "a box differs": [(0, 0.85, moved(A, 2)), *INT8[1:]],
    "a box is missing": INT8[:2],
    "a box has come": [*INT8, (2, 0.07, (200, 200, 220, 220))],
}


@pytest.mark.parametrize("now", SAME_PASSES.values(), ids=SAME_PASSES)
def test_passes_on_the_same_device(now):
    found = compared(now, same=True)
    assert found.passed, found.message
    assert found.worst <= SAME_DEVICE.score


@pytest.mark.parametrize("now", OTHER_PASSES.values(), ids=OTHER_PASSES)
def test_passes_on_another_device(now):
    found = compared(now, same=False)
    assert found.passed, found.message
    assert "1 golden frames with 2 clear boxes agree" in found.message


@pytest.mark.parametrize("now", SAME_FAILS.values(), ids=SAME_FAILS)
def test_fails_on_the_same_device(now):
    found = compared(now, same=True)
    assert not found.passed
    assert found.worst > SAME_DEVICE.score
    assert found.message.startswith("golden frame 1 of 1: ")


@pytest.mark.parametrize("now", OTHER_FAILS.values(), ids=OTHER_FAILS)
def test_fails_on_another_device(now):
    found = compared(now, same=False)
    assert not found.passed
    assert found.worst > OTHER_DEVICE.score


def test_the_message_says_what_and_where():
    frames = digest(FLOAT, []), digest(INT8, []), digest(INT8, [(2, 0.9, A)])
    assert "golden frame 2 of 2: a box of class 2 with the score 0.90 was not there before on another" in (
        compare_golden(*frames, iou=0.7, same_device=False).message
    )
    assert "a box of class 0 with the score 0.85 is not found again with an IoU of 0.9 where it was compiled" in (
        compared(INT8[1:], same=True).message
    )
    assert "a score differs by 0.1 from the stored one, 0.01 is allowed" in compared(
        [(0, 0.75, A), *INT8[1:]], same=True).message  # fmt: skip


def test_what_this_variant_never_found_is_not_asked_for():
    """Float is sure of C; this variant lost it within its budget, on every device."""
    sure = [*FLOAT[:2], (0, 0.9, C)]
    assert compared(INT8[:2], stored=INT8[:2], reference=sure, same=False).passed
    assert not compared(INT8[:2], stored=[*INT8[:2], (0, 0.7, C)], reference=sure, same=False).passed


def test_boxes_at_the_edge_of_suppression_may_come_and_go():
    """A second box on A overlaps it by 0.69; with an IoU of 0.7 rounding decides whether it is kept."""
    near = (10, 10, 50, 37.6)
    two = [*INT8, (0, 0.6, near)]
    for same in (True, False):
        assert compared(INT8, stored=two, reference=two, same=same).passed
        assert compared(two, stored=INT8, reference=two, same=same).passed
        assert not compared(INT8, stored=[*INT8, (2, 0.7, near)], reference=[*FLOAT, (2, 0.7, near)], same=same).passed


def test_nothing_in_any_frame_passes():
    for same in (True, False):
        assert compared([], stored=[], reference=[], same=same).passed
        assert not compared([(0, 0.9, A)], stored=[], reference=[], same=same).passed


def test_digests_of_another_model_are_refused():
    other = {
        "fewer frames": digest(),
        "columns of different lengths": {**digest(INT8), "scores": digest(INT8)["scores"][:, :3]},
        "boxes of five numbers": {**digest(INT8), "boxes": np.zeros((1, K, 5), np.float32)},
    }
    for stored in other.values():
        with pytest.raises(InputError, match="three digests of the same frames"):
            compare_golden(digest(FLOAT), stored, digest(INT8), iou=0.7, same_device=True)
    with pytest.raises(InputError, match="three digests of the same frames"):
        compare_golden(digest(), digest(), digest(), iou=0.7, same_device=True)
