"""Frames become events: whole stories of a place, with models that answer as they are told."""

from __future__ import annotations

import numpy as np
import pytest
from station_frames import (
    HEIGHT,
    WIDTH,
    ScriptedModel,
    classification,
    detections,
    frame,
    place,
    play,
    with_hand,
    with_product,
)

from edgevision.errors import InputError
from edgevision.kiosk.events import BlockedReason, Recognised, StationEvent, Unknown, Unsure
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.placements import Placements

SURE = classification(0.999, 0.0005)
EMPTY = (1.0, place)


def lies(index: int) -> np.ndarray:
    return with_product(place(index))


def brings(index: int) -> np.ndarray:
    return with_hand(with_product(place(index), 60, 40 + index % 4), 20 + 9 * (index % 5))


def run(placements: Placements, script, start_s: float = 0.0) -> list[StationEvent]:
    return [event for at_s, one in play(script, start_s) for event in placements.step(one, at_s)]


def words(events: list[StationEvent]) -> list[str]:
    return [event.kind for event in events]


def classifier(answer=SURE) -> ScriptedModel:
    return ScriptedModel(lambda one: answer)


# ---- a model that classifies ----


def test_one_product_is_one_chain():
    model = classifier()
    model.answer = lambda one: classification(0.1, 0.1, known=False) if one.width == WIDTH else SURE
    placements = Placements(model, station="till")
    events = run(placements, [EMPTY, (0.6, brings), (2.0, lies), (0.5, brings), EMPTY])
    assert words(events) == ["placed", "recognised", "removed"]
    placed, answer, removed = events
    assert {event.placement for event in events} == {1}
    assert {event.station for event in events} == {"till"}
    assert 1.6 <= placed.at_s <= 1.6 + 0.12 + 2 / 15
    assert isinstance(answer, Recognised)
    assert (answer.product.id, [one.id for one in answer.alternatives]) == (0, [1])
    assert answer.product.score >= 0.997
    assert 0.12 <= answer.waited_s <= 0.3
    assert removed.at_s >= 4.1 + 0.3
    assert placements.state == "empty"
    assert max(answer.picture.shape[:2]) < 50  # the product, not the place
    assert len(model.shown) < 10  # asked when needed, not for each frame


def test_the_empty_place_is_learnt_and_costs_no_looks():
    model = classifier(classification(0.2, 0.2, known=False))
    placements = Placements(model)
    assert run(placements, [(20.0, place)]) == []
    assert model.shown == [(HEIGHT, WIDTH)]  # once, to see whether a product lies there already


def test_a_product_that_lies_there_at_first_is_told():
    model = classifier()
    placements = Placements(model)
    events = run(placements, [(2.0, lies)])
    assert words(events) == ["placed", "recognised"]
    model.answer = lambda one: classification(0.3, 0.3, known=False)
    assert words(run(placements, [(0.5, brings), (2.0, place)], 2.0)) == ["removed"]
    model.answer = lambda one: SURE
    assert words(run(placements, [(0.5, brings), (1.0, lies)], 5.0)) == ["placed", "recognised"]


@pytest.mark.parametrize(
    ("answer", "kind", "ids", "after_s"),
    [
        (classification(0.5, 0.47, 0.01), Unsure, [0, 1], 0.7),
        (classification(0.34, 0.33, 0.32), Unsure, [0, 1, 2], 0.7),
        (classification(0.3, 0.2, 0.2, 0.15, 0.15), Unsure, [0, 1, 2, 3], 0.7),
        (classification(0.8, 0.1, known=False), Unknown, None, 0.4),
        (classification(0.985, 0.001), Recognised, None, 0.12),  # not sure at once; together the looks are
    ],
)
def test_what_is_not_sure_is_asked(answer, kind, ids, after_s):
    model = ScriptedModel(lambda one: answer if one.width < WIDTH else classification(0.3, known=False))
    events = run(Placements(model), [EMPTY, (0.6, brings), (2.0, lies)])
    assert words(events) == ["placed", kind.kind]
    assert isinstance(events[1], kind)
    assert after_s <= events[1].waited_s + 1e-6 <= after_s + 0.25
    if ids is not None:
        assert [one.id for one in events[1].choices] == ids


def test_more_looks_at_the_same_side_make_nobody_sure():
    """Each look says 0.9: a hundred of them added up as if they were independent would be certain."""
    model = ScriptedModel(
        lambda one: classification(0.9, 0.09) if one.width < WIDTH else classification(0.3, known=False)
    )
    assert words(run(Placements(model), [EMPTY, (0.6, brings), (5.0, lies)])) == ["placed", "unsure"]


def test_a_strange_look_or_two_do_not_make_it_unknown():
    answers = iter([False, True] + [True] * 100)
    model = ScriptedModel(
        lambda one: (
            classification(0.99, 0.004, known=next(answers)) if one.width < WIDTH else classification(0.3, known=False)
        )
    )
    assert words(run(Placements(model), [EMPTY, (0.6, brings), (2.0, lies)])) == ["placed", "recognised"]


def test_noise_light_and_a_hand_that_brings_nothing_are_no_placement():
    placements = Placements(ScriptedModel(lambda one: classification(0.3, known=False)))
    script = [EMPTY, (1.0, lambda i: with_hand(place(i), 10 + 11 * (i % 8))), (1.0, lambda i: place(i, light=0.7)),
              (1.0, lambda i: place(i, light=1.2)), EMPTY]  # fmt: skip
    assert run(placements, script) == []


def test_a_nudged_product_stays_the_same_placement():
    model = classifier()
    model.answer = lambda one: SURE if one.width < WIDTH else classification(0.3, known=False)
    script = [
        EMPTY,
        (0.6, brings),
        (1.0, lies),
        (0.7, brings),
        (1.5, lambda i: with_product(place(i), 75, 50)),
        (0.5, brings),
        EMPTY,
    ]
    assert words(run(Placements(model), script)) == ["placed", "recognised", "removed"]


@pytest.mark.parametrize(("then", "chain"), [(classification(0.0005, 0.999), ["removed", "placed", "recognised"]),
                                             (classification(0.5, 0.4), []), (classification(0.1, 0.1, known=False), [])])  # fmt: skip
def test_only_what_is_surely_another_product_is_a_new_placement(then, chain):
    """A hand that takes one and puts another down without leaving the place empty."""
    model = ScriptedModel(lambda one: SURE if one.width < WIDTH else classification(0.3, known=False))
    placements = Placements(model)
    assert words(run(placements, [EMPTY, (0.6, brings), (1.0, lies)])) == ["placed", "recognised"]
    model.answer = lambda one: then
    events = run(placements, [(0.6, brings), (2.0, lies)], 3.0)
    assert words(events) == chain
    if chain:
        assert [event.placement for event in events] == [1, 2, 2]
        assert events[2].product.id == 1


def test_two_products_at_once_ask_with_both():
    def both(index: int) -> np.ndarray:
        return with_product(with_product(place(index), 20, 40), 104, 44)

    def answer(one):
        if one.width == WIDTH:
            return classification(0.3, known=False)
        return SURE if answer.turn() else classification(0.0005, 0.999)

    turns = iter([True, True, False, False] * 100)
    answer.turn = lambda: next(turns)
    events = run(Placements(ScriptedModel(answer)), [EMPTY, (0.6, brings), (2.0, both), (0.5, brings), EMPTY])
    assert words(events) == ["placed", "unsure", "removed"]
    assert {one.id for one in events[1].choices} == {0, 1}


def test_two_of_the_same_product_are_asked_too():
    both = lambda i: with_product(with_product(place(i), 20, 40), 104, 44)  # noqa: E731
    model = ScriptedModel(lambda one: SURE if one.width < WIDTH else classification(0.3, known=False))
    assert words(run(Placements(model), [EMPTY, (0.6, brings), (2.0, both)])) == ["placed", "unsure"]


def test_a_model_that_fails_asks_a_person():
    def fails(one):
        raise RuntimeError("no memory")

    model = ScriptedModel(lambda one: classification(0.3, known=False))
    placements = Placements(model)
    run(placements, [EMPTY])
    model.answer = fails
    events = run(placements, [(0.6, brings), (1.5, lies)], 1.0)
    assert words(events) == ["placed", "unknown"]
    assert isinstance(placements.trouble, RuntimeError)


def test_what_stays_unknown_for_long_becomes_part_of_the_place():
    model = ScriptedModel(lambda one: classification(0.3, known=False))
    placements = Placements(model, options=StationOptions(absorb_s=5.0))
    events = run(placements, [EMPTY, (0.6, brings), (8.0, lies)])
    assert words(events) == ["placed", "unknown", "removed"]
    assert 6.6 <= events[2].at_s <= 7.5
    assert placements.state == "empty"


def test_the_place_is_learnt_anew_when_asked():
    model = ScriptedModel(lambda one: SURE if one.width < WIDTH else classification(0.3, known=False))
    placements = Placements(model)
    assert words(run(placements, [EMPTY, (0.6, brings), (1.0, lies)])) == ["placed", "recognised"]
    placements.learn_empty()
    assert words(run(placements, [(1.0, lies)], 3.0)) == ["removed"]
    assert placements.state == "empty"


def test_whole_pictures_are_shown_when_asked():
    model = ScriptedModel(lambda one: classification(0.3, known=False))
    placements = Placements(model, options=StationOptions(crop=False))
    run(placements, [EMPTY, (0.6, brings), (1.0, lies)])
    assert set(model.shown) == {(HEIGHT, WIDTH)}
    assert len(model.shown) > 2


# ---- what blocks the view ----


@pytest.mark.parametrize(
    ("draw", "reason", "wait_s"),
    [
        (lambda i: place(i, light=0.01, noise=1.0), BlockedReason.DARK, 1.0),
        (lambda i: np.full((HEIGHT, WIDTH, 3), 70.0, np.float32), BlockedReason.COVERED, 1.0),
        (lambda i: with_hand(place(i), 10 + 11 * (i % 8)), BlockedReason.HAND, 5.0),
    ],
)
def test_what_blocks_the_view_is_told_after_a_while_and_its_end(draw, reason, wait_s):
    model = ScriptedModel(lambda one: SURE if one.width < WIDTH else classification(0.3, known=False))
    placements = Placements(model)
    script = [EMPTY, (0.6, brings), (1.0, lies)]
    assert words(run(placements, script)) == ["placed", "recognised"]
    short = run(placements, [(wait_s - 0.4, draw), (1.0, lies)], 3.0)
    assert short == []
    long = run(placements, [(wait_s + 1.0, draw), (2.0, lies)], 20.0)
    assert words(long) == ["blocked", "unblocked"]
    assert long[0].reason is reason
    assert 20.0 + wait_s - 0.1 <= long[0].at_s <= 20.0 + wait_s + 0.3
    assert 0.3 <= long[1].at_s - (21.0 + wait_s) <= 0.7
    assert placements.state == "still"
    taken = run(placements, [(wait_s + 1.0, draw), (1.5, place)], 40.0)  # gone while nobody could see
    assert words(taken) == ["blocked", "unblocked", "removed"]


def test_no_frames_are_told():
    placements = Placements(classifier(classification(0.3, known=False)))
    run(placements, [EMPTY])
    (event,) = placements.no_frame(5.0)
    assert event.reason is BlockedReason.CAMERA_GONE
    assert placements.state == "blocked"
    assert placements.no_frame(6.0) == []
    assert words(run(placements, [EMPTY], 7.0)) == ["unblocked"]


def test_times_go_up():
    placements = Placements(classifier())
    placements.step(frame(place()), 5.0)
    for wrong in (4.9, float("nan"), float("inf")):
        with pytest.raises(InputError, match="the time of frames goes up"):
            placements.step(frame(place()), wrong)


# ---- a model that finds boxes ----

LEFT, RIGHT = (20.0, 40.0, 56.0, 76.0), (104.0, 44.0, 140.0, 80.0)


def detector(*rows) -> ScriptedModel:
    return ScriptedModel(lambda one: detections(*rows), finds_boxes=True)


def two(index: int) -> np.ndarray:
    return with_product(with_product(place(index), 20, 40), 104, 44)


def left(index: int) -> np.ndarray:
    return with_product(place(index), 20, 40)


def test_each_box_is_a_placement_of_its_own():
    model = detector()
    placements = Placements(model)
    assert run(placements, [(2.0, place)]) == []
    model.answer = lambda one: detections((LEFT, 0, 0.99), (RIGHT, 1, 0.99))
    events = run(placements, [(0.6, brings), (1.5, two)], 2.0)
    assert sorted(words(events)) == ["placed", "placed", "recognised", "recognised"]
    assert {(event.placement, event.product.id) for event in events if isinstance(event, Recognised)} == {
        (1, 0),
        (2, 1),
    }
    model.answer = lambda one: detections((LEFT, 0, 0.99))
    events = run(placements, [(0.6, brings), (1.5, left)], 5.0)
    assert [(event.kind, event.placement) for event in events] == [("removed", 2)]
    model.answer = lambda one: detections()
    events = run(placements, [(0.6, brings), (1.5, place)], 8.0)
    assert [(event.kind, event.placement) for event in events] == [("removed", 1)]


def test_a_box_that_one_frame_shows_or_lacks_changes_nothing():
    model, count = detector(), iter(range(1000))
    placements = Placements(model)
    run(placements, [(2.0, place)])

    def answer(one):
        turn = next(count)
        if turn == 1:
            return detections((LEFT, 0, 0.99), (RIGHT, 1, 0.9))  # a ghost, once
        if turn == 3:
            return detections()  # and once nothing
        return detections((LEFT, 0, 0.99))

    model.answer = answer
    events = run(placements, [(0.6, brings), (2.0, left)], 2.0)
    assert words(events) == ["placed", "recognised"]


def test_a_product_that_was_pushed_elsewhere_is_the_same():
    model = detector()
    placements = Placements(model)
    run(placements, [(2.0, place)])
    model.answer = lambda one: detections((LEFT, 0, 0.99))
    assert words(run(placements, [(0.6, brings), (1.5, left)], 2.0)) == ["placed", "recognised"]
    model.answer = lambda one: detections((RIGHT, 0, 0.99))
    assert run(placements, [(0.6, brings), (1.5, lambda i: with_product(place(i), 104, 44))], 5.0) == []


def test_what_no_box_shows_is_unknown_once():
    model = detector()
    placements = Placements(model)
    run(placements, [(2.0, place)])
    events = run(placements, [(0.6, brings), (4.0, left), (0.6, brings), (1.5, place)], 2.0)
    assert words(events) == ["placed", "unknown", "removed"]
