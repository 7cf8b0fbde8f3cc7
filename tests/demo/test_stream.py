from collections import Counter

import numpy as np
import pytest

from edgevision.demo.scene import SceneKind, render
from edgevision.demo.stream import FRAMES_PER_VISIT, stream
from edgevision.demo.tally import Tally
from edgevision.errors import InputError
from edgevision.tasks.results import Classification, Prediction, Timing


def test_kinds_come_in_their_shares():
    shots = list(stream(3, 10 * FRAMES_PER_VISIT))
    visits = {shot.visit: shot.scene.kind for shot in shots}
    assert Counter(visits.values()) == {SceneKind.LISTED: 7, SceneKind.UNLISTED: 2, SceneKind.EMPTY: 1}
    assert [shot.index for shot in shots] == list(range(60))


def test_a_stream_is_its_seed():
    shots = [[shot.scene for shot in stream(seed, 14)] for seed in (1, 1, 2)]
    assert shots[0] == shots[1]
    assert shots[0] != shots[2]
    assert len(shots[0]) == 14


def test_a_visit_moves():
    frames = [render(shot.scene).astype(int) for shot in stream(4, 3)]
    assert np.abs(frames[0] - frames[1]).mean() > 1


def test_no_frames_are_refused():
    with pytest.raises(InputError, match="at least 1 frame"):
        next(stream(0, 0))


def answer(label: int, known: bool) -> Classification:
    return Classification((Prediction(label, "x", 0.9),), known, Timing(0, 2.0, 0))


@pytest.mark.parametrize(
    ("kind", "label", "given", "right"),
    [
        (SceneKind.LISTED, 3, answer(3, True), True),
        (SceneKind.LISTED, 3, answer(3, False), False),
        (SceneKind.LISTED, 3, answer(4, True), False),
        (SceneKind.UNLISTED, None, answer(4, True), False),
        (SceneKind.UNLISTED, None, answer(4, False), True),
        (SceneKind.EMPTY, None, answer(4, False), True),
    ],
)
def test_what_counts_as_right(kind, label, given, right):
    tally = Tally("int8")
    assert tally.add(kind, label, given) is right
    assert tally.right_percent == 100 * right


def test_counts_add_up():
    tally = Tally("int8")
    tally.add(SceneKind.LISTED, 3, answer(3, True))
    tally.add(SceneKind.LISTED, 3, answer(3, False))
    tally.add(SceneKind.LISTED, 3, answer(5, True))
    tally.add(SceneKind.EMPTY, None, answer(5, True))
    assert tally.to_dict() == {
        "frames": 4,
        "right": 1,
        "right_percent": 25.0,
        "listed": {"frames": 3, "top1_percent": pytest.approx(200 / 3), "answered_unknown": 1, "mistaken": 1},
        "empty": {"frames": 1, "false_accepts": 1},
        "infer_ms_p50": 2.0,
    }
