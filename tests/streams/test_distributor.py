"""One stream, several sinks: each gets everything, with the events that follow from it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from stream_items import change, classified, detected, event, result, threads_named, wait_until

from edgevision.frames import Frame
from edgevision.streams.distributor import Distributor
from edgevision.streams.inventory.counting import InventoryCounter
from edgevision.streams.sinks.callback import CallbackSink
from edgevision.streams.sinks.runner import CAPACITY_WITH_FRAMES, SinkRunner
from edgevision.tracking.events import InventoryEvent
from edgevision.tracking.places import Zone
from edgevision.tracking.tracker import TrackerOptions

FRAME = Frame.from_array(np.zeros((4, 4, 3), np.uint8))
EVERYWHERE = Zone("all", [(0, 0), (900, 0), (900, 900), (0, 900)])


def standing(count: int):
    return [result(n, answer=detected((100, 100, 200, 200))) for n in range(count)]


def test_every_sink_gets_every_item_and_a_broken_one_harms_no_other():
    first, second, watched = [], [], []

    def broken(item: object) -> None:
        raise ZeroDivisionError

    distributor = Distributor(
        [CallbackSink(first.append), CallbackSink(broken, name="broken"), CallbackSink(second.append)],
        watch=watched.append,
    )
    runner = SinkRunner(distributor)
    runner.start()
    items = [result(0), change(), event(1), result(1)]
    for item in items:
        runner.put(item)
    wait_until(lambda: len(second) == 4)
    assert runner.close(5.0)
    assert first == second == watched == items
    counts = [one.counts for one in distributor.runners]
    assert [one.written for one in counts] == [4, 0, 4]
    assert all(one.put == 4 for one in counts)
    assert not threads_named("edgevision sink")


def test_frames_reach_those_alone_who_want_them():
    plain, drawing = [], []
    artist = CallbackSink(drawing.append, name="artist")
    artist.wants_frames = True
    distributor = Distributor([CallbackSink(plain.append), artist])
    distributor.open()
    frame = Frame.from_array(np.zeros((4, 4, 3), np.uint8))
    distributor.write(replace(result(0), frame=frame))
    distributor.close(5.0)
    assert plain[0].frame is None
    assert drawing[0].frame is frame


def test_events_come_after_the_result_that_they_follow_from_and_the_zone_is_emptied_at_the_end():
    seen = []
    distributor = Distributor([CallbackSink(seen.append)], InventoryCounter({"till": [EVERYWHERE]}))
    distributor.open()
    for item in standing(20):
        distributor.write(item)
    distributor.close(5.0)
    kinds = ["event" if isinstance(one, InventoryEvent) else one.sequence for one in seen]
    assert kinds.count("event") == 2
    assert kinds[-1] == "event"
    assert [one for one in kinds if one != "event"] == list(range(20))
    assert [one.delta for one in seen if isinstance(one, InventoryEvent)] == [1, -1]


def test_other_zones_are_taken_up_and_the_old_ones_are_closed():
    seen = []
    distributor = Distributor([CallbackSink(seen.append)], InventoryCounter({"till": [EVERYWHERE]}))
    distributor.open()
    for item in standing(10):
        distributor.write(item)
    other = Zone("other", EVERYWHERE.corners)
    distributor.count_with(InventoryCounter({"till": [other]}))
    for item in standing(30)[10:]:
        distributor.write(item)
    distributor.count_with(None)
    distributor.write(result(30))
    distributor.close(5.0)
    assert [(one.place, one.delta) for one in seen if isinstance(one, InventoryEvent)] == [
        ("all", 1), ("all", -1), ("other", 1), ("other", -1),
    ]  # fmt: skip


OTHER = Zone("other", EVERYWHERE.corners)


@pytest.mark.parametrize(
    ("counter", "ends"),
    [
        (InventoryCounter({"till": [EVERYWHERE], "door": [OTHER]}), {"door"}),
        (InventoryCounter({"till": [EVERYWHERE], "door": [EVERYWHERE], "roof": [OTHER]}), set()),
        (InventoryCounter({"till": [EVERYWHERE]}), {"door"}),
        (InventoryCounter({"till": [OTHER], "door": [EVERYWHERE]}, TrackerOptions()), {"till"}),
        (InventoryCounter({"till": [EVERYWHERE], "door": [EVERYWHERE]}, TrackerOptions(lost_s=9.0)), {"till", "door"}),
        (None, {"till", "door"}),
    ],
)
def test_cameras_that_keep_their_zones_are_counted_without_a_break(counter, ends):
    seen = []
    before = InventoryCounter({"till": [EVERYWHERE], "door": [EVERYWHERE]}, TrackerOptions())
    distributor = Distributor([CallbackSink(seen.append)], before)
    distributor.open()

    def stand(since: int) -> None:
        for n in range(since, since + 10):
            for camera, name in (("till", "cola"), ("door", "tea")):
                answer = detected((100, 100, 200, 200), name=name)
                distributor.write(result(n, camera, answer))

    stand(0)
    distributor.count_with(counter)
    stand(10)
    distributor.close(5.0)
    events = [one for one in seen if isinstance(one, InventoryEvent)]
    middle = events[2:] if counter is None else events[2 : 2 + len(ends)]
    assert {(one.camera, one.product, one.delta) for one in events[:2]} == {("till", "cola", 1), ("door", "tea", 1)}
    assert {one.camera for one in middle} == ends
    assert all(one.delta == -1 for one in middle)
    assert {one.product for one in events if one.camera == "till"} == {"cola"}
    assert len(events) == 4 + 2 * len(ends & set(counter.places if counter else ()))


def test_answers_that_cannot_be_counted_reach_the_sinks_and_close_none():
    seen = []
    distributor = Distributor([CallbackSink(seen.append)], InventoryCounter({"till": [EVERYWHERE]}))
    runner = SinkRunner(distributor)
    runner.start()
    items = [result(n, answer=classified()) for n in range(5)]
    for item in items:
        runner.put(item)
    assert runner.close(5.0)
    assert seen == items
    assert "finds boxes" in distributor.fault


def test_frames_are_wanted_where_a_sink_wants_them():
    plain, pictures = CallbackSink(print), CallbackSink(print, frames=True)
    assert not Distributor([plain]).wants_frames
    assert Distributor([plain, pictures]).wants_frames


def test_results_wait_for_the_tracker_and_few_of_them_with_their_pictures():
    """A sink that wants pictures must not cost the others results."""
    seen = []
    runner = SinkRunner(Distributor([CallbackSink(seen.append, frames=True)]))  # not started: everything waits
    for number in range(500):
        runner.put(replace(result(number), frame=FRAME))
    assert runner.counts.waiting == 500
    runner.start()
    assert runner.close(5.0)
    assert [one.sequence for one in seen][-CAPACITY_WITH_FRAMES:] == list(range(500 - CAPACITY_WITH_FRAMES, 500))
    with_pictures = [one.sequence for one in seen if one.frame is not None]
    assert with_pictures == list(range(500 - CAPACITY_WITH_FRAMES, 500))


def test_closing_is_bounded_together():
    slow = [CallbackSink(lambda item: time.sleep(3.0), name=f"slow {n}") for n in range(3)]
    distributor = Distributor(slow)
    distributor.open()
    distributor.write(result(0))
    wait_until(lambda: all(not runner._queue for runner in distributor.runners))
    began_s = time.monotonic()
    distributor.close(0.2)
    assert time.monotonic() - began_s < 2.0  # not 3 × 0.2, nor 9
    wait_until(lambda: not threads_named("edgevision sink"))


def test_sinks_that_want_to_see_the_stream_do():
    class Seeing(CallbackSink):
        def observe(self, *given: object) -> None:
            self.given = given

    sink = Seeing(print)
    ledger, metrics = object(), object()
    Distributor([CallbackSink(print), sink]).observe(ledger, metrics)
    assert sink.given == (ledger, metrics)
