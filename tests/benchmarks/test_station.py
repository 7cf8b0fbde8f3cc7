"""The measurement of Stations: how it judges, and a short form of it on rendered placements."""

from __future__ import annotations

import numpy as np
import pytest
from demo_model import demo_model

from benchmarks.station import Naive, Run, count_naive, judged, summary, watch
from benchmarks.station_scenes import CYCLE, EMPTY, FPS, Kind, Session, Visit
from edgevision.kiosk.events import Blocked, BlockedReason, Placed, Recognised, Removed, Unblocked, Unknown, Unsure
from edgevision.kiosk.station.options import StationOptions
from edgevision.tasks.results import Prediction

PICTURE = np.zeros((2, 2, 3), np.uint8)
ONE, OTHER = Prediction(1, "one", 0.999), Prediction(2, "other", 0.001)


def visit(*labels, kind=Kind.PLAIN) -> Visit:
    return Visit(kind, labels, 0.0, 1.0, 5.0, ((1.0, 2.0), (3.5, 4.4)))


def recognised(product=ONE, at_s=2.2):
    return Recognised("s", at_s, 1, PICTURE, 0.2, product, ())


PLACED, REMOVED = Placed("s", 2.1, 1), Removed("s", 4.8, 1)
UNSURE, UNKNOWN = Unsure("s", 2.7, 1, PICTURE, 0.7, (ONE, OTHER)), Unknown("s", 2.5, 1, PICTURE, 0.5)


@pytest.mark.parametrize(
    ("one", "events", "chain", "verdict", "offered", "waited_s"),
    [
        (visit(1), [PLACED, recognised(), REMOVED], True, "right", None, 0.21),
        (visit(2), [PLACED, recognised(), REMOVED], True, "wrong", None, 0.21),
        (visit(None), [PLACED, recognised(), REMOVED], True, "wrong", None, 0.21),
        (visit(1, 2), [PLACED, recognised(), REMOVED], True, "wrong", None, 0.21),  # one of two is not what lies there
        (visit(1, 2), [PLACED, UNSURE, REMOVED], True, "asked", True, 0.71),
        (visit(3), [PLACED, UNSURE, REMOVED], True, "asked", False, 0.71),
        (visit(None), [PLACED, UNKNOWN, REMOVED], True, "right", None, 0.51),
        (visit(1), [PLACED, UNKNOWN, REMOVED], True, "helped", None, 0.51),
        (visit(1), [PLACED, REMOVED], False, "none", None, None),
        (visit(1), [], False, "none", None, None),
        (visit(1), [PLACED, recognised(), REMOVED, PLACED, recognised(OTHER), REMOVED], False, "wrong", None, 0.21),
        (visit(1), [PLACED, recognised(at_s=1.9), REMOVED], True, "right", None, None),  # while something moved
        (visit(kind=Kind.HAND), [], True, "none", None, None),
        (visit(kind=Kind.HAND), [PLACED, REMOVED], False, "none", None, None),
        (visit(kind=Kind.DARK), [], False, "none", None, None),
        (visit(kind=Kind.DARK), [Blocked("s", 2, BlockedReason.DARK, ""), Unblocked("s", 4)], True, "none", None, None),
    ],
)  # fmt: skip
def test_visits_are_judged(one, events, chain, verdict, offered, waited_s):
    outcome = judged(0, one, [(event, 0.01) for event in events])
    assert (outcome.chain, outcome.verdict, outcome.offered) == (chain, verdict, offered)
    assert outcome.waited_s == (None if waited_s is None else pytest.approx(waited_s))


@pytest.mark.parametrize(
    ("labels", "frames", "exact", "wrong", "items"),
    [
        ((1,), [None, 1, 1, None], 1, 0, 1),
        ((1,), [None, 1, 2, 1, None], 0, 1, 3),
        ((1,), [1, None, 1], 0, 0, 2),
        ((None,), [None, None], 1, 0, 0),
        ((None,), [None, 4], 0, 1, 1),
        ((1, 2), [2, 2, 1], 1, 0, 2),
    ],
)
def test_the_argmax_of_each_frame_is_counted(labels, frames, exact, wrong, items):
    naive = Naive()
    count_naive(visit(*labels), frames, naive)
    assert (naive.exact, naive.wrong, naive.items, naive.frames) == (exact, wrong, items, len(frames))


def test_sessions_come_in_their_shares_and_always_the_same():
    kinds = [one.kind for seed in range(4) for one in Session(seed, 10).visits if one.labels]
    assert sorted(kind.name for kind in kinds) == sorted(kind.name for kind in CYCLE * 2)
    one, again = Session(3, 2), Session(3, 2)
    assert one.visits == again.visits
    assert {one.kind for seed in range(3) for one in Session(seed, 1).visits if not one.labels} == set(EMPTY)
    for number, ((at_s, picture), (_, same)) in enumerate(zip(one.frames(), again.frames(), strict=True)):
        assert at_s == number / FPS
        if number % 40 == 0:
            assert np.array_equal(picture, same)


@pytest.mark.slow
@pytest.mark.requires("torch", "onnx")
@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning")  # the demo's bundle has few validation photos
def test_a_short_form_of_it(tmp_path_factory):
    """Of all kinds but the hardest: one chain each, nothing wrong; blocked where it is dark or covered, and no placement there."""
    import edgevision as ev

    run = Run()
    with ev.load(demo_model(tmp_path_factory)) as model:
        kinds = (Kind.PLAIN, Kind.NUDGED, Kind.JUMP, Kind.UNLISTED, Kind.TWO)
        watch(Session(7, 5, kinds), model, StationOptions(), run, naive=True)
    told = summary(run)
    assert (told["placements"], told["one_chain"], told["wrong_and_unasked"], told["no_answer"]) == (5, 1.0, 0.0, 0.0)
    assert told["visits_without_a_product_that_made_no_placement"] == [1, 1]
    assert told["misses"] == []
    assert told["argmax_of_each_frame"]["items"] > 0
