"""The Station's thread: events for a loop, ``async for``, a callback and a timer; and nothing that blocks, hangs or spins."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time

import numpy as np
import pytest
from station_frames import FPS, WIDTH, ScriptedModel, classification, frame, place, play, with_hand, with_product

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.errors import EdgeVisionError, InputError
from edgevision.kiosk import Station
from edgevision.kiosk.events import BlockedReason
from edgevision.streams.captured import Captured
from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate

CHAIN = ["placed", "recognised", "removed"]
FILM = [*CHAIN, "blocked"]  # at its end there is nothing to be seen any more
SCRIPT = [
    (1.0, place), (0.6, lambda i: with_hand(with_product(place(i), 60, 40 + i % 4), 20 + 9 * (i % 5))),
    (1.0, lambda i: with_product(place(i))), (0.5, lambda i: with_hand(place(i), 20 + 9 * (i % 5))), (1.0, place),
]  # fmt: skip


class Film:
    """A source that plays a script as quickly as it is taken, with camera time of its own."""

    live = False

    def __init__(self, script=SCRIPT) -> None:
        self._frames = play(script)

    def open(self) -> None:
        pass

    def read(self) -> Captured | None:
        try:
            at_s, one = next(self._frames)
        except StopIteration:
            return None
        return Captured(one, at_s, at_s)

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        pass


def model() -> ScriptedModel:
    return ScriptedModel(
        lambda one: classification(0.999, 0.0005) if one.width < WIDTH else classification(0.3, known=False)
    )


def kinds(events) -> list[str]:
    return [event.kind for event in events]


def settled(station: Station) -> None:
    """Wait until no frame is in flight."""
    deadline = time.monotonic() + 30
    while station.ledger.in_flight(station.name):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def put_all(station: Station, clock: FakeClock, script=SCRIPT) -> None:
    for _, one in play(script):
        clock.advance(1 / FPS)
        assert station.put(one)
        settled(station)


def test_a_loop_reads_events_until_the_camera_ends():
    with Station(model(), source=Film(), name="till") as station:
        events = list(station)
    assert kinds(events) == FILM
    assert events[-1].reason is BlockedReason.CAMERA_GONE
    assert "film is at its end" in events[-1].words
    assert 0 <= events[-1].at_s - events[-2].at_s < 2  # in the film's own time
    assert station.state == "blocked"
    assert {event.station for event in events} == {"till"}
    assert station.camera_state.state.value == "ended"
    assert not station.troubles
    account = station.ledger.account("till")
    assert account.balanced
    assert account.fates == {Fate.SERVED: 62}


def test_async_for_reads_the_same():
    async def main() -> list[str]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(tick())
        with Station(model(), source=Film()) as station:
            found = [event.kind async for event in station]
        beside.cancel()
        assert ticks > 0  # the loop ran meanwhile
        return found

    assert asyncio.run(main()) == FILM


def test_a_callback_is_called_and_may_fail_or_close():
    told = []

    def on_event(event) -> None:
        told.append(event.kind)
        if event.kind == "recognised":
            raise RuntimeError("no printer")
        if event.kind == "removed":
            station.close()

    station = Station(model(), source=Film(), on_event=on_event)
    assert kinds(station) == CHAIN
    station.close()
    assert told == CHAIN
    assert [str(one) for one in station.troubles] == ["no printer"]


def test_frames_are_put_and_events_polled():
    clock = FakeClock(now_s=100.0)
    with Station(model(), clock=clock) as station:
        assert station.poll() == []
        put_all(station, clock)
        events = station.poll()
    assert kinds(events) == CHAIN
    assert events[0].at_s > 100
    assert station.camera_state is None
    assert not station.put(frame(place()))  # closed


def test_the_newest_frame_wins():
    entered, free = threading.Event(), threading.Event()
    slow = model()
    answer = slow.answer

    def waits(one):
        entered.set()
        assert free.wait(30)
        return answer(one)

    slow.answer = waits
    clock = FakeClock()
    with Station(slow, clock=clock) as station:
        for _, one in play([(0.8, place)]):  # the model is asked once the place may be learnt
            clock.advance(1 / FPS)
            station.put(one)
            if not entered.is_set():
                time.sleep(0.02)
        assert entered.wait(30)
        for _ in range(5):
            clock.advance(1 / FPS)
            station.put(frame(place()))  # never waits for the model
        free.set()
        settled(station)
    fates = station.ledger.account("station").fates
    assert fates[Fate.SUPERSEDED] >= 4


def test_no_frames_block_and_cost_nothing():
    clock = FakeClock()
    with Station(model(), clock=clock) as station:
        put_all(station, clock, [(1.0, place)])
        clock.wait_for_sleepers(1)
        clock.advance(2.5)
        event = next(iter(station))
        assert event.reason is BlockedReason.CAMERA_GONE
        clock.wait_for_sleepers(1)
        assert clock.next_deadline_s() is None  # it sleeps until a frame comes
        put_all(station, clock, [(1.0, place)])
        assert kinds(station.poll()) == ["unblocked"]


def test_closing_does_not_wait_for_a_model_that_hangs():
    free = threading.Event()
    hangs = ScriptedModel(lambda one: free.wait(60))
    station = Station(hangs, source=Film())
    station.start()
    while not hangs.shown:
        time.sleep(0.001)
    station.close(timeout_s=0.05)
    assert list(station) == []  # readers end
    assert station._thread.daemon
    free.set()
    station._thread.join(30)
    assert not station._thread.is_alive()


def test_closed_before_it_began():
    station = Station(model())
    station.close()
    station.close()
    assert list(station) == []
    assert station.poll() == []
    assert not station._thread.is_alive()


def test_a_frame_that_is_none_is_a_trouble_and_the_next_is_taken():
    clock = FakeClock()
    with Station(model(), clock=clock) as station:
        with pytest.raises(InputError):
            station.put("apple")
        from edgevision.frames import Frame, MemoryKind

        clock.advance(0.1)
        station.put(Frame(frame(place()).planes, *frame(place()).planes[0].shape[:2], memory=MemoryKind.CUDA))
        settled(station)
        assert "host memory" in str(station.troubles[0])
        put_all(station, clock)
        assert kinds(station.poll()) == CHAIN
    assert station.ledger.account("station").fates[Fate.POISON] == 1


def test_pictures_that_come_as_files_are_decoded_and_damaged_ones_have_their_name():
    clock = FakeClock()
    with Station(model(), clock=clock, name="till") as station:
        for _, one in play(SCRIPT):
            clock.advance(1 / FPS)
            assert station.put(encode_png(one.planes[0]))
            settled(station)
        assert station.put(encode_png(one.planes[0])[:-30])
        settled(station)
        events = station.poll()
    assert kinds(events) == CHAIN
    assert station.ledger.counts("till") == {Fate.SERVED: 62, Fate.CORRUPT: 1}
    assert not station.troubles


def test_learn_empty_reaches_the_thread():
    clock = FakeClock()
    with Station(model(), clock=clock) as station:
        put_all(station, clock, SCRIPT[:3])
        assert kinds(station.poll()) == CHAIN[:2]
        station.learn_empty()
        put_all(station, clock, [(0.5, SCRIPT[2][1])])
        assert kinds(station.poll()) == ["removed"]
        assert station.state == "empty"
        assert station.blocked is None


def test_a_child_of_fork_is_told():
    station = Station(model())
    station.start()
    pid = os.fork()
    if pid == 0:
        wrong = 1
        try:
            assert station.poll.__self__._inherited
            assert next(station, None) is None
            station.close()
            try:
                station.put(frame(place()))
            except EdgeVisionError as error:
                wrong = 0 if "made before fork" in str(error) else 2
        finally:
            os._exit(wrong)
    assert os.waitpid(pid, 0)[1] == 0
    station.close()


def test_cameras_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        Station(model(), tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="expected a model"):
        Station("model.edge")
    station = Station(model(), source=Film())
    with pytest.raises(EdgeVisionError, match="reads a camera"):
        station.put(frame(place()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"camera": 0}, "v4l2:NAME"), ({"camera": b"rtsp://till"}, "is a URL, a path or CameraOptions"), ({"options": {}}, "are StationOptions"),
        ({"name": 5}, "printable text, got 5"), ({"name": ""}, "printable text"), ({"name": "a\n"}, "printable text"),
        ({"on_event": []}, "is called with each event"),
    ],
)  # fmt: skip
def test_what_no_station_can_be_made_of_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        Station(model(), **given)


@pytest.mark.parametrize("age_s", ["1", -0.1, math.nan, math.inf, None, True])
def test_an_age_that_cannot_be_is_refused(age_s):
    station = Station(model())
    with pytest.raises(InputError, match="age_s is seconds since the frame was captured"):
        station.put(frame(place()), age_s=age_s)
    assert station.put(frame(place()), age_s=np.float32(0.5))
    station.close()


def test_a_model_that_is_closed_is_refused(color_bundle):
    closed = ev.load(color_bundle(), engine="onnxruntime")
    assert not closed.is_closed
    Station(closed).close()
    closed.close()
    assert closed.is_closed
    with pytest.raises(InputError, match="the model is closed"):
        Station(closed)


def test_a_camera_that_can_never_be_ends_the_station():
    class Never(Film):
        def open(self) -> None:
            raise EdgeVisionError("the package for this camera is not installed")

    with Station(model(), source=Never()) as station:
        (event,) = list(station)
    assert event.reason is BlockedReason.CAMERA_GONE
    assert event.words == "the camera cannot be used: the package for this camera is not installed"
    assert (station.blocked, station.state) == (BlockedReason.CAMERA_GONE, "blocked")
    assert station.camera_state.state.value == "disabled"
    assert "not installed" in station.camera_state.words


def test_a_camera_that_was_told_to_be_gone_before_it_ended_is_told_once():
    class Goes(Film):
        live = True

        def __init__(self) -> None:
            super().__init__([])
            self.free = threading.Event()

        def read(self) -> Captured | None:
            captured = super().read()
            if captured is None:
                assert self.free.wait(30)
            return captured

    clock, source = FakeClock(), Goes()
    with Station(model(), source=source, clock=clock) as station:
        clock.wait_for_sleepers(1)
        clock.advance(2.5)
        assert next(station).reason is BlockedReason.CAMERA_GONE
        source.free.set()
        assert list(station) == []


def test_a_station_that_is_closed_does_not_blame_its_camera():
    class Waits(Film):
        live = True

        def __init__(self) -> None:
            super().__init__([(0.2, place)])
            self.free = threading.Event()

        def read(self) -> Captured | None:
            captured = super().read()
            if captured is None:
                self.free.wait(30)
            return captured

        def interrupt(self) -> None:
            self.free.set()

    station = Station(model(), source=Waits())
    station.start()
    station.close()
    assert list(station) == []
