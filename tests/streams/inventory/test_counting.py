"""Results of a stream → inventory events, of products that move as the test says."""

from __future__ import annotations

import numpy as np
import pytest
from stream_items import T0_NS, TIMING, classified, detected, result

from edgevision.errors import InputError
from edgevision.streams.inventory.counting import InventoryCounter, closing_events
from edgevision.streams.inventory.stock import StockRow
from edgevision.streams.results import StreamResult
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, Prediction
from edgevision.tracking.events import Cause, InventoryEvent
from edgevision.tracking.places import Line, Zone

GATE = Line("gate", (200, 400), (200, 0))  # drawn upwards: what goes right is +1
SHELF = Zone("shelf", [(300, 0), (600, 0), (600, 400), (300, 400)])
FRAME_NS = 100_000_000


def box(x: float) -> tuple[float, float, float, float]:
    return (x - 20, 100, x + 20, 160)


def passing(camera: str = "till", frames: int = 30, **changed) -> list[StreamResult]:
    """A cola from x = 50 to the right, 15 pixels a frame, ten frames a second: over the gate at 200, into the shelf at 300."""
    return [
        result(
            n, camera, detected(box(50 + 15 * n), name=changed.get("name", "cola")), captured_ns=T0_NS + FRAME_NS * n
        )
        for n in range(frames)
    ]


def told(events: list[InventoryEvent]) -> list[tuple[str, str, int, str]]:
    return [(one.place, one.product, one.delta, one.cause.value) for one in events]


def counted(counter: InventoryCounter, results: list[StreamResult]) -> list[InventoryEvent]:
    return [event for one in results for event in counter.update(one)]


def test_a_product_crosses_the_line_and_comes_into_the_zone():
    events = counted(InventoryCounter({"till": [GATE, SHELF]}), passing())
    assert told(events) == [("gate", "cola", 1, "crossed"), ("shelf", "cola", 1, "crossed")]
    assert events[0].time_s == pytest.approx(T0_NS / 1e9 + 1.1, abs=0.11)  # over 208, with its margin
    assert events[0].camera == "till"


def test_each_camera_is_counted_apart_and_others_are_not():
    counter = InventoryCounter({"till": [GATE], "dock": [GATE], "bare": []})
    mixed = [one for three in zip(passing("till"), passing("dock"), passing("roof"), strict=True) for one in three]
    events = counted(counter, mixed)
    assert sorted((one.camera, one.place) for one in events) == [("dock", "gate"), ("till", "gate")]
    assert set(counter.places) == {"till", "dock"}


def test_the_same_frames_give_the_same_events_in_another_run():
    first = counted(InventoryCounter({"till": [GATE, SHELF]}), passing())
    second = counted(InventoryCounter({"till": [GATE, SHELF]}), passing())
    assert [one.event_id for one in first] == [one.event_id for one in second]


def cascaded(n: int, known: bool, x: float | None = None) -> StreamResult:
    found = detected(box(50 + 15 * n if x is None else x), name="box")
    answer = Classification((Prediction(3, "milk", 0.8), Prediction(4, "tea", 0.1)), known, TIMING)
    return result(n, answer=Products(found, (answer,)), captured_ns=T0_NS + FRAME_NS * n)


@pytest.mark.parametrize(("known", "product"), [(True, "milk"), (False, "unknown")])
def test_of_a_cascade_the_second_model_s_names_count(known, product):
    events = counted(InventoryCounter({"till": [GATE]}), [cascaded(n, known) for n in range(30)])
    assert told(events) == [("gate", product, 1, "crossed")]


@pytest.mark.parametrize(
    ("is_known", "product"),
    [
        (
            lambda n: n >= 8,
            "milk",
        ),  # turned to the camera late: over the gate in frame 11, when 4 of 12 views are known
        (lambda n: n in (3, 7), "milk"),  # 2 views against 10 of a tenth each
        (lambda n: False, "unknown"),
    ],
)
def test_views_that_the_second_model_does_not_know_weigh_little(is_known, product):
    events = counted(InventoryCounter({"till": [GATE]}), [cascaded(n, is_known(n)) for n in range(30)])
    assert told(events) == [("gate", product, 1, "crossed")]


def test_one_view_of_many_gives_no_name():
    standing = [cascaded(n, known=n == 3, x=50) for n in range(20)]
    moving = [cascaded(20 + n, known=False, x=50 + 15 * n) for n in range(30)]
    events = counted(InventoryCounter({"till": [GATE]}), standing + moving)
    assert told(events) == [("gate", "unknown", 1, "crossed")]


def turned(n: int, at: int) -> StreamResult:
    """Taken for tea until frame ``at``, then surely for milk. It moves 15 pixels a frame, over the gate in frame 11."""
    score, name, other = (0.6, "tea", "milk") if n < at else (0.95, "milk", "tea")
    top = (Prediction(3, name, score), Prediction(4, other, 1 - score))
    answer = Products(detected(box(50 + 15 * n), name="box"), (Classification(top, True, TIMING),))
    return result(n, answer=answer, captured_ns=T0_NS + FRAME_NS * n)


RENAMED = [("gate", "tea", 1, "crossed"), ("gate", "tea", -1, "renamed"), ("gate", "milk", 1, "renamed")]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (12, RENAMED),
        (4, [("gate", "milk", 1, "crossed")]),  # by then most says milk already
        (27, [("gate", "tea", 1, "crossed")]),  # three views of 30 do not outweigh the others
    ],
)
@pytest.mark.parametrize("ends_with", ["track", "stream"])
def test_the_views_after_the_crossing_name_it_too(at, expected, ends_with):
    """When its track ends, or the stream, a crossing that was counted under another name is counted anew, at the time when it was."""
    counter = InventoryCounter({"till": [GATE]})
    events = counted(counter, [turned(n, at) for n in range(30)])
    if ends_with == "track":
        events += counted(
            counter, [result(n, "till", detected(), captured_ns=T0_NS + FRAME_NS * n) for n in range(30, 45)]
        )
        assert told(events) == expected
    events += counter.end_all()
    assert told(events) == expected
    assert len({one.time_s for one in events}) == 1
    assert len({one.event_id for one in events}) == len(events)


def test_what_is_renamed_has_the_same_ids_in_another_run():
    runs = []
    for _ in range(2):
        counter = InventoryCounter({"till": [GATE]})
        runs.append(counted(counter, [turned(n, 12) for n in range(30)]) + counter.end_all())
    assert told(runs[0]) == RENAMED
    assert [one.event_id for one in runs[0]] == [one.event_id for one in runs[1]]


def test_one_that_comes_back_is_renamed_both_ways():
    """Over the gate and back: +1 and −1 under the first name, and both again under the last one."""
    counter = InventoryCounter({"till": [GATE]})
    there = [turned(n, 99) for n in range(14)]
    back = [
        result(
            14 + n, answer=Products(detected(box(245 - 15 * n), name="box"), turned(0, 0).result.results),
            captured_ns=T0_NS + FRAME_NS * (14 + n),
        )
        for n in range(14)
    ]  # fmt: skip
    events = counted(counter, there + back) + counter.end_all()
    assert [one.cause.value for one in events].count("crossed") == 2
    totals = {name: [one.delta for one in events if one.product == name] for name in ("tea", "milk")}
    assert all(sum(deltas) == 0 for deltas in totals.values())


def test_a_box_on_a_part_of_a_product_counts_nothing():
    def frame(n: int, name: str) -> StreamResult:
        x1, y1, x2, y2 = box(50 + 15 * n)
        found = detected((x1, y1, x2, y2), (x1, y1, x1 + 18, y2), name=name)
        found.scores[1] = 0.7
        return result(n, "till", found, captured_ns=T0_NS + FRAME_NS * n)

    once = counted(InventoryCounter({"till": [GATE]}), [frame(n, "cola") for n in range(30)])
    assert told(once) == [("gate", "cola", 1, "crossed")]
    both = counted(InventoryCounter({"till": [GATE]}, nested_share=1.0), [frame(n, "cola") for n in range(30)])
    assert len(both) == 2


def test_a_name_that_comes_later_is_counted_too():
    results = passing() + [
        result(100 + n, "till", detected(box(50 + 15 * n), name="tea"), captured_ns=T0_NS + FRAME_NS * (100 + n))
        for n in range(30)
    ]
    assert told(counted(InventoryCounter({"till": [GATE]}), results)) == [
        ("gate", "cola", 1, "crossed"), ("gate", "tea", 1, "crossed"),
    ]  # fmt: skip


def test_cameras_without_a_clock_are_counted_by_the_wall_clock():
    now_s = [1000.0]
    counter = InventoryCounter({"till": [GATE]}, now_s=lambda: now_s[0])
    events = []
    for n in range(30):
        now_s[0] = 1000.0 + n / 10
        events += counter.update(result(n, "till", detected(box(50 + 15 * n)), captured_ns=None, age_s=0.25))
    assert told(events) == [("gate", "cola", 1, "crossed")]
    assert 1000.0 < events[0].time_s + 0.25 < 1002.0


@pytest.mark.parametrize(
    "untold", [range(9, 13), range(20, 30)]
)  # over the gate in frame 11, and in the shelf from 18 on
@pytest.mark.parametrize("wrong_s", [-3600.0, 0.0, 0.4, 3600.0])
def test_a_new_connection_to_a_camera_whose_clock_is_wrong_changes_no_count(wrong_s, untold):
    """Its first frames tell no time: the next sender report does."""
    now_s = [0.0]
    counter = InventoryCounter({"till": [GATE, SHELF]}, now_s=lambda: now_s[0])
    events = []
    for n in range(40):
        seen_s = T0_NS / 1e9 + n / 10
        now_s[0] = seen_s + 0.05 + 0.01 * (n % 3)
        captured_ns = None if n in untold else int((seen_s + wrong_s) * 1e9)
        events += counter.update(
            result(n, "till", detected(box(min(50 + 15 * n, 450))), captured_ns=captured_ns, age_s=0.05)
        )
    assert told(events) == [("gate", "cola", 1, "crossed"), ("shelf", "cola", 1, "crossed")]
    assert events[0].time_s == pytest.approx(T0_NS / 1e9 + 1.2 + wrong_s, abs=0.15)


def test_a_camera_that_tells_no_clock_any_more_is_counted_by_the_wall_clock():
    """Another one under its name, which is an hour behind no more."""
    now_s = [0.0]
    counter = InventoryCounter({"till": [GATE]}, now_s=lambda: now_s[0])
    events = []
    for n in range(1000):
        now_s[0] = T0_NS / 1e9 + n / 10
        captured_ns = int((now_s[0] - 3600) * 1e9) if n < 10 else None
        answer = detected(box(50 + 15 * (n - 900))) if n >= 900 else detected()
        events += counter.update(result(n, "till", answer, captured_ns=captured_ns, age_s=0.0))
    assert [one.time_s for one in events] == pytest.approx([T0_NS / 1e9 + 91.2], abs=0.15)


@pytest.mark.parametrize("shift_s", [-0.5, 0.0, 0.3, -3600.0, 3600.0])
def test_a_clock_that_is_set_in_the_middle_loses_no_stock(shift_s):
    """Small steps are nothing; after large ones, what is there is seen anew: what comes in adds up all the same."""
    counter = InventoryCounter({"till": [SHELF]})
    events = []
    for n in range(60):
        shift_ns = int(shift_s * 1e9) if n >= 30 else 0
        x = min(50 + 15 * n, 450)
        events += counter.update(result(n, "till", detected(box(x)), captured_ns=T0_NS + FRAME_NS * n + shift_ns))
    assert sum(one.delta for one in events) == 1
    assert max(sum(one.delta for one in events[:k]) for k in range(len(events) + 1)) == 1
    assert len({one.event_id for one in events}) == len(events)


def test_frames_with_equal_times_do_not_stop_the_count():
    counter = InventoryCounter({"till": [GATE]})
    results = [
        result(n, "till", detected(box(50 + 15 * n)), captured_ns=T0_NS + FRAME_NS * (n // 2 * 2)) for n in range(30)
    ]
    assert told(counted(counter, results)) == [("gate", "cola", 1, "crossed")]


def test_at_the_end_what_is_inside_leaves_once():
    counter = InventoryCounter({"till": [GATE, SHELF], "dock": [SHELF]})
    events = counted(counter, passing(frames=25) + passing("dock", frames=25))
    assert sum(one.delta for one in events if one.place == "shelf") == 2
    ended = counter.end("till")
    assert told(ended) == [("shelf", "cola", -1, "lost")]
    assert ended[0].time_s >= events[0].time_s
    assert counter.end("till") == counter.end("nobody") == []
    assert [one.camera for one in counter.end_all()] == ["dock"]
    assert counter.end_all() == []


def test_of_products_that_have_left_nothing_is_kept():
    counter = InventoryCounter({"till": [GATE, SHELF]})
    events = []
    for n in range(5 * 60):
        answer = detected(box(50 + 15 * (n % 60))) if n % 60 < 40 else detected()  # then nothing, until its track ends
        events += counter.update(result(n, "till", answer, captured_ns=T0_NS + FRAME_NS * n))
    assert [one.delta for one in events if one.place == "gate"] == [1] * 5
    assert [one.delta for one in events if one.place == "shelf"] == [1, -1] * 5
    assert {
        name: kept for name, kept in vars(counter._cameras["till"]).items() if isinstance(kept, dict) and kept
    } == {}
    assert counter.end("till") == []


def test_results_without_boxes_are_refused_where_there_are_places():
    counter = InventoryCounter({"till": [GATE]})
    assert counter.update(result(0, "roof", classified())) == []
    with pytest.raises(InputError, match="finds boxes"):
        counter.update(result(0, "till", classified()))


def test_two_places_with_one_name_are_refused_at_once():
    with pytest.raises(InputError, match="name of its own"):
        InventoryCounter({"till": [GATE, Line("gate", (0, 0), (5, 5))]})


def test_closing_events_empty_what_is_full_and_have_the_same_ids_when_asked_again():
    rows = [
        StockRow("till", "shelf", "cola", 5, 2, 1000.0), StockRow("till", "shelf", "tea", 1, 1, 1000.0),
        StockRow("till", "shelf", "x", 0, 2, 1000.0),
    ]  # fmt: skip
    events = closing_events(rows, 2000.0)
    assert [(one.product, one.delta, one.cause, one.time_s) for one in events] == [("cola", -1, Cause.LOST, 2000.0)] * 3
    assert len({one.event_id for one in events}) == 3
    assert [one.event_id for one in closing_events(rows, 3000.0)] == [one.event_id for one in events]
    later = closing_events([StockRow("till", "shelf", "cola", 8, 5, 2500.0)], 3000.0)
    assert not {one.event_id for one in later} & {one.event_id for one in events}
    assert np.isfinite([one.time_s for one in later]).all()
