"""``stream``, with its threads: the loop, cameras that come and go, ends, and stopping."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import defaultdict

import numpy as np
import pytest
from stream_frames import PIXELS, captured
from stream_models import Gate, ToyModel

import edgevision as ev
from edgevision.errors import EdgeVisionError, EngineError, InputError, SourceError
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.distributor import Distributor
from edgevision.streams.fates import Fate
from edgevision.streams.options import EVERY, CameraOptions, StreamOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sinks.callback import CallbackSink
from edgevision.streams.sources.push import PushSource
from edgevision.streams.stream import Stream

QUICK = StreamOptions(warm_up=False)


class ScriptedSource:
    """Gives ``count`` frames, as fast as they are taken; a live one then waits until it is interrupted. ``fails``: raised by ``open``."""

    def __init__(
        self, name: str, count: int, *, live: bool = False, fails: Exception | None = None, hangs: bool = False
    ) -> None:
        self.live = live
        self.name = name
        self.open_now = False
        self._count = count
        self._fails = fails
        self._hangs = hangs
        self._next = 0
        self._interrupted = threading.Event()

    def open(self) -> None:
        if self._fails is not None:
            raise self._fails
        self.open_now = True

    def read(self):
        if self._next == self._count:
            if not self.live:
                return None
            while not self._interrupted.wait(30) or self._hangs:
                pass
            raise SourceError(Reason.GONE, "interrupted")
        self._next += 1
        return captured(self._next - 1, time.monotonic(), camera=self.name)

    def close(self) -> None:
        self.open_now = False

    def interrupt(self) -> None:
        self._interrupted.set()


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("edgevision")}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threads()
    yield
    deadline = time.monotonic() + 10
    while threads() - before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not threads() - before


def scripted(model, counts: dict[str, int], **more) -> Stream:
    stream = Stream(model, options=QUICK, **more)
    for name, count in counts.items():
        stream.add(CameraOptions(name, "scripted:"), source=ScriptedSource(name, count))
    return stream


# ---- reading ----


def test_every_frame_of_files_is_served_in_order():
    counts = {"a": 120, "b": 30, "c": 0}
    got = defaultdict(list)
    with scripted(ToyModel(max_batch=4), counts) as stream:
        for result in stream:
            assert result.result == (result.camera, result.sequence)
            assert result.gap == {}
            assert result.frame is None
            got[result.camera].append(result.sequence)
        assert {name: one.state.state for name, one in stream.cameras.items()} == dict.fromkeys(counts, State.ENDED)
    assert got == {"a": list(range(120)), "b": list(range(30))}
    assert {one.camera: one.fates for one in stream.ledger.accounts()} == {
        "a": {Fate.SERVED: 120},
        "b": {Fate.SERVED: 30},
    }


def test_an_async_loop_gets_the_same():
    async def read() -> list[int]:
        with scripted(ToyModel(), {"a": 50}) as stream:
            return [result.sequence async for result in stream]

    assert asyncio.run(read()) == list(range(50))


def test_an_async_loop_that_is_cancelled_leaves_nothing_behind():
    async def read(stream) -> None:
        async for _ in stream:
            pass

    async def cancel() -> None:
        with Stream(ToyModel(), options=QUICK) as stream:
            till = PushSource("till")
            stream.add(till)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(read(stream), 0.02)
            till.put(PIXELS)
            assert (await stream.__anext__()).camera == "till"

    asyncio.run(cancel())


def test_waiting_for_a_result_for_a_short_time_again_and_again_leaves_nothing_behind():
    async def read() -> None:
        with Stream(ToyModel(), options=QUICK) as stream:
            stream.add(PushSource("till"))
            for _ in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(stream.__anext__(), 0.001)
            assert stream._outlet._tell == []

    asyncio.run(read())


def test_no_result_is_lost_where_the_source_ends_while_it_is_handed_over():
    """The camera comes to its end between the model's answer and its way to the loop, which must wait for it."""
    telling, ended = threading.Event(), threading.Event()

    class EndsThen(ScriptedSource):
        def read(self):
            if self._next == self._count:
                assert telling.wait(30)
            return super().read()

        def close(self) -> None:
            super().close()
            if telling.is_set():
                ended.set()

    def late(result) -> None:
        telling.set()
        assert ended.wait(30)
        time.sleep(0.02)  # its thread tells that it is at its end
        put(result)

    stream = Stream(ToyModel(), options=QUICK)
    stream.add(CameraOptions("a", "scripted:"), source=EndsThen("a", 1))
    put, stream._outlet.put = stream._outlet.put, late
    with stream:
        assert [one.sequence for one in stream] == [0]


def test_frames_are_kept_where_they_are_asked_for():
    with scripted(ToyModel(), {"a": 1}, keep_frames=True) as stream:
        (result,) = stream
    assert result.frame.planes[0] is PIXELS


def test_nothing_is_computed_before_the_loop_asks():
    """What a slow loop leaves out is superseded; what it gets is the newest."""
    model, till = ToyModel(), PushSource("till", max_age_s=1000)
    with ev.stream([till], model, options=QUICK) as stream:
        for _ in range(5):
            till.put(PIXELS)
        assert model.calls == []
        first = next(stream)
        assert (first.sequence, first.gap) == (4, {Fate.SUPERSEDED: 4})
        for _ in range(3):
            till.put(PIXELS)
        time.sleep(0.02)
        assert len(model.calls) == 1
        assert next(stream).sequence == 7


def test_a_slow_loop_gets_small_batches():
    """At 0.2 s a result, four results of one batch would be up to 0.6 s old."""
    model, cameras = ToyModel(), [PushSource(str(i), max_age_s=1000) for i in range(4)]
    with ev.stream(cameras, model, options=QUICK) as stream:
        for _ in range(6):
            for camera in cameras:
                camera.put(PIXELS)
            next(stream)
            time.sleep(0.2)
    assert len(model.calls[0]) == 4
    assert {len(call) for call in model.calls[-2:]} == {1}


def test_sinks_get_every_result_and_a_loop_the_newest():
    written, done = [], threading.Event()

    class Sink:
        name, wants_frames = "list", True

        def open(self) -> None: ...

        def write(self, item) -> None:
            written.append(item)
            if hasattr(item, "sequence") and item.sequence == 9:
                done.set()

        def close(self, timeout_s: float) -> None: ...

    till = PushSource("till", mode=EVERY, max_age_s=1000)
    with ev.stream({"till": till}, ToyModel(), options=QUICK, sinks=[Sink()]) as stream:
        for _ in range(10):
            assert till.put(PIXELS, wait_s=10)
        assert done.wait(10)
        newest = next(stream)
    assert newest.sequence == 9
    assert newest.frame is None
    assert [one.sequence for one in written] == list(range(10))
    assert all(one.frame.planes[0] is PIXELS for one in written)


def test_wait_ends_when_all_files_are_at_their_end():
    written = []

    class Sink:
        name, wants_frames = "list", False

        def open(self) -> None: ...

        def write(self, item) -> None:
            written.append(item)

        def close(self, timeout_s: float) -> None: ...

    stream = scripted(ToyModel(), {"a": 40}, sinks=[Sink()])
    assert stream.wait(30)
    assert stream.stop()
    assert [one.sequence for one in written if hasattr(one, "sequence")] == list(range(40))
    assert State.ENDED in {one.state for one in written if hasattr(one, "state")}


# ---- cameras ----


def test_sinks_are_closed_at_the_same_time_and_a_camera_that_hangs_takes_no_time_of_theirs():
    """One after the other, the first would wait for the others in vain; and what waits for them is not dropped."""
    together = threading.Barrier(3)
    written: list[int] = []
    given_s: list[float] = []

    def made(name: str) -> CallbackSink:
        sink = CallbackSink(lambda item: written.append(1), name=name)

        def close(timeout_s: float) -> None:
            given_s.append(timeout_s)
            together.wait(20.0)

        sink.close = close
        return sink

    stream = Stream(ToyModel(), options=QUICK, sinks=[made("a"), Distributor([made("b"), made("c")])])
    source = ScriptedSource("hung", 0, live=True, hangs=True)
    stream.add(CameraOptions("hung", "-"), source=source)
    stream.start()
    while not source.open_now:
        time.sleep(0.001)
    for number in range(100):
        stream.emit(StateChange("hung", State.LIVE, None, str(number), 0))
    assert not stream.stop(2.0)  # the camera is left behind
    assert not together.broken
    assert min(given_s) > 0
    assert len(written) >= 300
    assert [one.name for one in stream.sinks] == ["a", "distributor", "b", "c"]
    assert all(one.up and not one.lost for one in stream.sinks)
    source._hangs = False


def test_it_starts_with_no_camera_and_takes_them_as_they_come():
    with Stream(ToyModel(), options=QUICK) as stream:
        assert stream.cameras == {}
        source = ScriptedSource("late", 3, live=True)
        assert stream.add(CameraOptions("late", "scripted:", mode=EVERY), source=source) == "late"
        assert [next(stream).sequence for _ in range(3)] == [0, 1, 2]
        assert stream.cameras["late"].account.captured == 3
        assert stream.remove("late", timeout_s=10)
        assert not source.open_now
        assert stream.cameras == {}


def test_cameras_come_and_go_fifty_times():
    with Stream(ToyModel(), options=QUICK) as stream:
        before = threads()
        for i in range(50):
            stream.add(CameraOptions("a", "scripted:", mode=EVERY), source=ScriptedSource("a", 2, live=True))
            assert [next(stream).sequence for _ in range(2)] == [2 * i, 2 * i + 1]  # numbers go on
            assert stream.remove("a", timeout_s=10)
        assert threads() == before
    account = stream.ledger.account("a")
    assert (account.captured, account.in_flight, account.fates) == (100, 0, {Fate.SERVED: 100})


def test_a_removed_camera_that_hangs_says_nothing_after_its_successor():
    """It is told to be at its end when it is removed; what its thread says later is for nobody."""
    said = []

    class Sink:
        name, wants_frames = "list", False

        def open(self) -> None: ...

        def write(self, item) -> None:
            if isinstance(item, StateChange):
                said.append((item.camera, item.state))

        def close(self, timeout_s: float) -> None: ...

    with Stream(ToyModel(), options=QUICK, sinks=[Sink()]) as stream:
        hangs = ScriptedSource("a", 0, live=True, hangs=True)
        stream.add(CameraOptions("a", "scripted:"), source=hangs)
        while not hangs.open_now:
            time.sleep(0.001)
        assert not stream.remove("a", timeout_s=0.01)
        stream.add(CameraOptions("a", "scripted:"), source=ScriptedSource("a", 1, live=True))
        next(stream)
        hangs._hangs = False
        while hangs.open_now:
            time.sleep(0.001)
        time.sleep(0.02)
        assert stream.remove("a", timeout_s=10)
    assert said == [("a", State.ENDED), ("a", State.LIVE), ("a", State.ENDED)]


def test_a_state_keeps_its_beginning_while_only_its_reason_changes():
    fails = SourceError(Reason.UNREACHABLE, "nothing answers")
    with Stream(ToyModel(), options=QUICK) as stream:
        stream.add(CameraOptions("a", "scripted:"), source=ScriptedSource("a", 0, live=True, fails=fails))
        while stream.cameras["a"].state.state is not State.BACKOFF:
            time.sleep(0.001)
        capture = stream._cameras["a"].capture
        assert stream.cameras["a"].state is capture.state


def test_a_camera_that_is_down_stops_no_other():
    fails = SourceError(Reason.UNREACHABLE, "nothing answers")
    with Stream(ToyModel(), options=QUICK) as stream:
        stream.add(CameraOptions("down", "scripted:"), source=ScriptedSource("down", 0, live=True, fails=fails))
        stream.add(CameraOptions("up", "scripted:", mode=EVERY), source=ScriptedSource("up", 5, live=True))
        assert [next(stream).sequence for _ in range(5)] == list(range(5))
        while stream.cameras["down"].state.state is not State.BACKOFF:
            time.sleep(0.001)
        assert stream.cameras["down"].state.reason is Reason.UNREACHABLE


def test_where_all_cameras_are_disabled_the_loop_says_why():
    stream = Stream(ToyModel(), options=QUICK)
    stream.add(
        CameraOptions("till", "scripted:"),
        source=ScriptedSource("till", 0, live=True, fails=InputError("its URL cannot be one")),
    )
    with (
        stream,
        pytest.raises(SourceError, match=r"no camera is left .* till: its URL cannot be one"),
    ):
        next(stream)


@pytest.mark.parametrize(
    ("names", "expected"), [(["a"], ["a"]), ([None, None], ["cam1", "cam2"]), (["cam1", None], ["cam1", "cam2"])]
)
def test_cameras_without_a_name_are_numbered(names, expected, tmp_path):
    (tmp_path / "shelf.png").touch()
    stream = Stream(ToyModel(), options=QUICK)
    assert [stream.add(tmp_path, name=name) for name in names] == expected
    assert list(stream.cameras) == expected
    stream.stop()


def test_wrong_cameras_are_refused(tmp_path):
    (tmp_path / "shelf.png").touch()
    stream = Stream(ToyModel(), options=QUICK)
    stream.add(tmp_path, name="a")
    with pytest.raises(InputError, match="a camera 'a' already"):
        stream.add(tmp_path, name="a")
    with pytest.raises(InputError, match=r"no camera 'b'; there are \['a'\]"):
        stream.remove("b")
    with pytest.raises(InputError, match="no file or folder"):
        stream.add(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="has the name 'till' already, got 'door'"):
        stream.add(PushSource("till"), name="door")
    with pytest.raises(InputError, match="sources are a list, got one str"):
        ev.stream("rtsp://camera", ToyModel())
    stream.stop()


@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning", "ignore::edgevision.errors.DeviceWarning")
def test_pictures_of_a_folder_go_through_a_loaded_model(tmp_path):
    import cv2

    for i, color in enumerate([(0, 0, 200), (200, 0, 0)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 40, 3), color, np.uint8))
    with (
        ev.load("tests/data/schema1.edge", engine="onnxruntime", threads=1) as model,
        ev.stream({"shelf": tmp_path}, model) as stream,
    ):
        results = list(stream)
    assert [(one.camera, one.sequence) for one in results] == [("shelf", 0), ("shelf", 1)]
    assert results[0].result.best.name == "red"
    assert results[0].to_dict()["result"]["top"][0]["name"] == "red"


# ---- ends ----


def test_a_stream_that_was_stopped_is_over():
    stream = scripted(ToyModel(), {"a": 1})
    assert stream.stop()
    assert stream.stop()
    assert list(stream_results(stream)) == []
    for call in (stream.start, lambda: stream.add("x"), lambda: iter(stream)):
        with pytest.raises(EdgeVisionError, match="the stream was stopped"):
            call()


def stream_results(stream):
    while True:
        try:
            yield next(stream)
        except StopIteration:
            return


def test_stopping_from_another_thread_ends_the_loop():
    with Stream(ToyModel(), options=QUICK) as stream:
        stream.add(PushSource("till"))
        stopper = threading.Timer(0.02, stream.stop)
        stopper.start()
        assert list(stream_results(stream)) == []  # it may have been stopped before
        stopper.join()


def test_stop_is_bounded_where_a_camera_hangs():
    source = ScriptedSource("a", 0, live=True, hangs=True)
    stream = Stream(ToyModel(), options=QUICK)
    stream.add(CameraOptions("a", "scripted:"), source=source)
    stream.start()
    while not source.open_now:
        time.sleep(0.001)
    assert not stream.stop(0.1)
    source._hangs = False  # let its thread go


def test_a_model_that_hangs_for_good_is_told_to_the_loop():
    gate = Gate()
    options = StreamOptions(warm_up=False, model_timeout_s=0.02)
    till = PushSource("till", max_age_s=1000)
    stream = ev.stream([till], ToyModel(before=gate), options=options)
    stopped = threading.Event()

    def put() -> None:
        while not stopped.wait(0.002):
            till.put(PIXELS)

    putter = threading.Thread(target=put)
    putter.start()
    with pytest.raises(EngineError, match=r"did not come back within 0\.02 s"):
        next(iter(stream))
    stopped.set()
    putter.join()
    assert len(stream.troubles) == 2
    gate.let_go(9)  # where one comes back before the stream is stopped, another is made
    assert stream.stop(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_has_no_stream():
    with Stream(ToyModel(), options=QUICK) as stream:
        stream.add(PushSource("till"))
        child = os.fork()
        if not child:
            try:
                stream.add(PushSource("other"))
            except EdgeVisionError as error:
                os._exit(0 if stream.stop() and "before fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
