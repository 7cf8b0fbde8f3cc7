"""What is shown of a Station's source, and the model that is asked: whichever is served now."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from station_frames import ScriptedModel
from stream_frames import Pictures, damaged

from edgevision.errors import EdgeVisionError
from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.service.live.current_model import CurrentModel
from edgevision.kiosk.service.live.own_camera import OwnCamera, ShownSource
from edgevision.streams.captured import Captured


class Source:
    live = True
    announced_fps = 15.0

    def __init__(self, times: list[float]) -> None:
        self.times = times
        self.did: list[str] = []

    def open(self) -> None:
        self.did.append("open")

    def read(self) -> Captured | None:
        if not self.times:
            return None
        at_s = self.times.pop(0)
        return Captured(Frame.from_array(np.full((4, 4, 3), int(at_s), np.uint8)), at_s, at_s)

    def close(self) -> None:
        self.did.append("close")

    def interrupt(self) -> None:
        self.did.append("interrupt")


def test_a_shown_source_gives_every_frame_and_remembers_the_newest():
    source = Source([10.0, 10.5, 11.0])
    shown = ShownSource(source, now_s=lambda: 11.25)
    assert (shown.newest, shown.fps, shown.age_s) == (None, None, None)
    shown.open()
    found = [shown.read() for _ in range(4)]
    assert [one and one.captured_s for one in found] == [10.0, 10.5, 11.0, None]
    assert shown.newest is found[2].frame  # type: ignore[union-attr]
    assert (shown.fps, shown.age_s) == (2.0, 0.25)
    assert (shown.live, shown.announced_fps) == (True, 15.0)
    shown.interrupt()
    shown.close()
    assert shown.newest is None  # nobody is shown an old picture
    assert source.did == ["open", "interrupt", "close"]
    with pytest.raises(AttributeError):
        _ = shown.stamp_speed


def test_who_looks_at_a_picture_that_came_as_a_file_has_it_decoded():
    pictures = Pictures(damaged(2))
    source = Source([])
    frames = [pictures.captured(1), pictures.captured(2)]
    source.read = lambda: frames.pop(0)
    shown = ShownSource(source, now_s=lambda: 0.0)
    shown.open()
    shown.read()
    assert pictures.decoded == []
    first = shown.newest
    assert int(first.planes[0][0, 0, 0]) == 1
    assert shown.newest is first  # who looks again knows that nothing is new
    shown.read()
    assert shown.newest is None
    assert pictures.decoded == [1, 2]


def test_events_are_told_and_do_not_wait_with_their_pictures_for_a_reader(monkeypatch):
    film = Source([])
    film.live = False  # it is at its end at once, of which the Station tells
    monkeypatch.setattr("edgevision.streams.sources.registry.make_source", lambda options: film)
    told, came = [], threading.Event()

    def tell(event: StationEvent) -> None:
        told.append(event.kind)
        came.set()
        raise RuntimeError("the service's own trouble")

    one = OwnCamera(ScriptedModel(lambda frame: None), "rtsp://till/main", "till", tell)
    one.start()
    assert came.wait(20)
    one.close(20)
    assert told == ["blocked"]
    assert one.troubles == ["RuntimeError: the service's own trouble"]
    assert one._station.poll() == []


class FakeServed:
    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.parts = (model,)

    def predict_frames(self, frames):
        if self.model.closed:
            raise EdgeVisionError("the model is closed; load it again to predict")
        return [self.model.name for _ in frames]


class FakeModel:
    def __init__(self, name: str, labels: int) -> None:
        self.name = name
        self.closed = False
        self.labels = tuple(range(labels))

        class spec:  # noqa: N801
            kind = "classify"

        class task:  # noqa: N801
            pass

        self.task = task
        self.task.spec = spec  # type: ignore[attr-defined]


@pytest.fixture
def served(monkeypatch) -> Callable[[], None]:
    monkeypatch.setattr("edgevision.kiosk.service.live.current_model.ServedModel", FakeServed)
    return lambda: None


def test_the_model_that_is_served_now_is_asked(served):
    models = [FakeModel("old", 3), FakeModel("new", 5)]
    now = [models[0]]
    current = CurrentModel(lambda: now[0])  # type: ignore[arg-type, return-value]
    frame = Frame.from_array(np.zeros((4, 4, 3), np.uint8))
    assert (current.finds_boxes, current.classes) == (False, 3)
    assert current.predict_frames([frame, frame]) == ["old", "old"]
    now[0] = models[1]
    models[0].closed = True
    assert current.predict_frames([frame]) == ["new"]
    assert current.classes == 5


def test_a_model_that_is_closed_while_it_is_asked_is_not_the_answer(served):
    old, new = FakeModel("old", 3), FakeModel("new", 3)
    given = iter([old, old, new])  # it is swapped between being looked up and being asked
    old.closed = True
    current = CurrentModel(lambda: next(given))  # type: ignore[arg-type, return-value]
    assert current.predict_frames([None]) == ["new"]  # type: ignore[list-item]


def test_a_model_that_fails_fails_and_is_told_once(served):
    broken, troubles = FakeModel("broken", 3), []
    current = CurrentModel(lambda: broken, troubles.append)  # type: ignore[arg-type, return-value]
    broken.closed = True
    for _ in range(3):
        with pytest.raises(EdgeVisionError, match="closed"):
            current.predict_frames([None])  # type: ignore[list-item]
    assert len(troubles) == 1
    assert "the model is closed" in troubles[0]
    broken.closed = False
    current.predict_frames([None])  # type: ignore[list-item]
    broken.closed = True
    with pytest.raises(EdgeVisionError):
        current.predict_frames([None])  # type: ignore[list-item]
    assert len(troubles) == 2
