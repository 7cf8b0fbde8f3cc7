"""predict with a deadline, and as an awaitable: on the classifier of ``color_bundle``, whose answers are known."""

from __future__ import annotations

import asyncio
import gc
import io
import math
import pickle
import threading
import time

import numpy as np
import pytest
from colors import plain
from spots import spot_picture, write_spot_finder

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.errors import BusyError, DeadlineError, EdgeVisionError, ImageError, InputError

RED, BLUE = plain((255, 0, 0)), plain((0, 0, 255))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(color_bundle):
    with ev.load(color_bundle()) as loaded:
        yield loaded


@pytest.fixture
def cascade(tmp_path, color_bundle):
    with ev.load(write_spot_finder(tmp_path / "spots.edge"), then=color_bundle()) as loaded:
        yield loaded


class SlowFile(io.BytesIO):
    """A picture that takes a while to read."""

    def __init__(self, content: bytes, seconds: float = 0.0, go: threading.Event | None = None) -> None:
        super().__init__(content)
        self.begun = threading.Event()
        self._seconds, self._go = seconds, go

    def read(self, size: int | None = -1) -> bytes:
        self.begun.set()
        if self._go is not None:
            assert self._go.wait(60)
        time.sleep(self._seconds)
        return super().read(size)


class Runs:
    """Counts what a model's engine runs; ``seconds``: how long each run takes besides."""

    def __init__(self, model: ev.Model, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> None:
        self.count = 0
        run = model._runner.engine.run

        def counted(*arguments):
            self.count += 1
            time.sleep(seconds)
            return run(*arguments)

        monkeypatch.setattr(model._runner.engine, "run", counted)


class Busy:
    """All slots of a model taken, as by calls that hang."""

    def __init__(self, model: ev.Model) -> None:
        self._pool = model._runner._pool
        self._slots = [self._pool.take() for _ in range(self._pool._capacity)]

    def end(self) -> None:
        while self._slots:
            self._pool.give_back(self._slots.pop())
            self._pool.call_next()


# ---- in the calling thread ----


@pytest.mark.parametrize("deadline_s", [60, 60.0, np.float32(60), None])
def test_an_answer_in_time_is_the_same(model, deadline_s):
    assert model.predict(RED, deadline_s=deadline_s).best.name == "red"
    assert [one.best.name for one in model.predict([RED, BLUE] * 9, deadline_s=deadline_s)] == ["red", "blue"] * 9


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, True, "1", [1], object()])
def test_what_is_no_deadline_is_refused(model, cascade, wrong):
    for one in (model, cascade):
        with pytest.raises(InputError, match="deadline_s is a number of seconds"):
            one.predict(RED, deadline_s=wrong)
        with pytest.raises(InputError, match="deadline_s is a number of seconds"):
            asyncio.run(one.predict_async(RED, deadline_s=wrong))


def learn(model, seconds):
    """As if a call had just taken so long."""
    model._calls.cost.add(seconds, pictures=1, others=0, now_s=time.monotonic())


@pytest.mark.parametrize("call", ["predict", "predict_async"])
def test_a_deadline_under_what_calls_take_is_refused_before_the_work(model, monkeypatch, call):
    learn(model, 50.0)
    runs = Runs(model, monkeypatch)
    picture = SlowFile(encode_png(RED))

    def ask(picture, deadline_s):
        if call == "predict":
            return model.predict(picture, deadline_s=deadline_s)
        return asyncio.run(model.predict_async(picture, deadline_s=deadline_s))

    with pytest.raises(DeadlineError, match=r"expected to take 50000 ms; the model was not run") as refused:
        ask(picture, 40)
    assert runs.count == 0
    assert not picture.begun.is_set()
    assert refused.value.result is None
    assert isinstance(refused.value, TimeoutError)
    assert ask(picture, 60).best.name == "red"


def test_a_list_is_expected_to_take_as_long_as_its_pictures(model, monkeypatch):
    learn(model, 10.0)
    runs = Runs(model, monkeypatch)
    for several in ([RED] * 5, np.stack([RED] * 5)):
        with pytest.raises(DeadlineError, match="50000 ms"):
            model.predict(several, deadline_s=40)
    assert runs.count == 0


def test_calls_under_way_count(model, monkeypatch):
    monkeypatch.setattr(model._calls.cost, "_at_once", 1)
    learn(model, 10.0)
    go = threading.Event()
    pictures = [SlowFile(encode_png(RED), go=go) for _ in range(3)]
    threads = [threading.Thread(target=model.predict, args=(picture,)) for picture in pictures]
    for thread, picture in zip(threads, pictures, strict=True):
        thread.start()
        assert picture.begun.wait(60)
    try:
        with pytest.raises(DeadlineError, match="40000 ms beside 3 that are under way"):
            model.predict(RED, deadline_s=39)
        assert model.predict(RED, deadline_s=60).best.name == "red"
    finally:
        go.set()
        for thread in threads:
            thread.join()
    assert model.predict(RED, deadline_s=30).best.name == "red"


def test_calls_are_learnt_from(model, monkeypatch):
    Runs(model, monkeypatch, seconds=0.05)
    model.predict(RED)
    with pytest.raises(DeadlineError, match="not run"):
        model.predict(RED, deadline_s=0.04)


def test_a_deadline_that_passes_while_the_picture_is_read_ends_before_the_engine(model, monkeypatch):
    runs = Runs(model, monkeypatch)
    with pytest.raises(DeadlineError, match="while its picture was read"):
        model.predict(SlowFile(encode_png(RED), seconds=0.05), deadline_s=0.02)
    assert runs.count == 0


def test_a_deadline_that_passes_while_others_run_ends_the_wait(model, monkeypatch):
    busy = Busy(model)
    runs = Runs(model, monkeypatch)
    with pytest.raises(DeadlineError, match="while others were before it"):
        model.predict(RED, deadline_s=0.05)
    busy.end()
    assert runs.count == 0
    assert model.predict(RED, deadline_s=60).best.name == "red"


def test_an_answer_that_comes_late_is_in_the_error(model, monkeypatch):
    Runs(model, monkeypatch, seconds=0.1)
    with pytest.raises(DeadlineError, match="within 80 ms and came later") as late:
        model.predict(RED, deadline_s=0.08)
    assert late.value.result.best.name == "red"
    again = pickle.loads(pickle.dumps(late.value))
    assert again.result.best.name == "red"
    assert str(again) == str(late.value)


def test_a_list_stops_between_batches(model, monkeypatch):
    runs = Runs(model, monkeypatch, seconds=0.06)
    with pytest.raises(DeadlineError):
        model.predict((RED for _ in range(model.max_batch * 50)), deadline_s=0.1)
    assert 1 <= runs.count <= 2


# ---- cascades ----


@pytest.mark.requires("onnx")
def test_a_cascade_has_the_same(cascade, monkeypatch):
    picture = spot_picture({(1, 2): (255, 10, 10), (3, 4): (10, 10, 230)})
    names = [one.result.best.name for one in cascade.predict(picture, deadline_s=60)]
    assert sorted(names) == ["blue", "red"]
    found = asyncio.run(cascade.predict_async(picture, deadline_s=60))
    assert [one.result.best.name for one in found] == names
    learn(cascade, 50.0)
    learn(cascade, 50.0)
    learn(cascade, 50.0)
    with pytest.raises(DeadlineError, match="not run"):
        cascade.predict(picture, deadline_s=40)


@pytest.mark.requires("onnx")
def test_the_second_model_does_not_run_for_nobody(cascade, monkeypatch):
    Runs(cascade.finder, monkeypatch, seconds=0.06)
    second = Runs(cascade.recogniser, monkeypatch)
    with pytest.raises(DeadlineError, match="while products were looked for"):
        cascade.predict(spot_picture({(1, 2): (255, 10, 10)}), deadline_s=0.05)
    assert second.count == 0


# ---- awaited ----


def test_many_awaited_calls_give_what_predict_gives(model):
    async def ask():
        return await asyncio.gather(*(model.predict_async(RED if i % 3 else BLUE) for i in range(60)))

    assert [one.best.name for one in asyncio.run(ask())] == ["red" if i % 3 else "blue" for i in range(60)]
    listed = asyncio.run(model.predict_async([RED, BLUE]))
    assert [one.best.name for one in listed] == ["red", "blue"]


def test_the_event_loop_goes_on(model):
    """The call can only end if the loop runs meanwhile."""
    busy = Busy(model)

    async def ask():
        call = asyncio.ensure_future(model.predict_async(RED))
        await asyncio.sleep(0.05)
        assert not call.done()
        busy.end()
        return await call

    assert asyncio.run(ask()).best.name == "red"


def test_errors_are_raised_where_it_is_awaited(model):
    async def ask():
        with pytest.raises(ImageError):
            await model.predict_async(b"no picture")
        return await model.predict_async(RED)

    assert asyncio.run(ask()).best.name == "red"


def test_a_cancelled_call_that_waits_is_never_begun(model, monkeypatch):
    go = threading.Event()
    lanes = model._calls._threads
    running = [SlowFile(encode_png(RED), go=go) for _ in range(lanes)]
    waiting = SlowFile(encode_png(BLUE))

    async def ask():
        calls = [asyncio.ensure_future(model.predict_async(picture)) for picture in running]
        while not all(picture.begun.is_set() for picture in running):
            await asyncio.sleep(0.001)
        cancelled = asyncio.ensure_future(model.predict_async(waiting))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        go.set()
        names = [(await call).best.name for call in calls]
        return [*names, (await model.predict_async(RED)).best.name]

    assert asyncio.run(ask()) == ["red"] * (lanes + 1)
    assert not waiting.begun.is_set()


@pytest.mark.parametrize("answer", [encode_png(RED), b"no picture"], ids=["a result", "an error"])
def test_a_cancelled_call_that_runs_is_finished_and_dropped(model, caplog, answer):
    go = threading.Event()
    picture = SlowFile(answer, go=go)

    async def ask():
        call = asyncio.ensure_future(model.predict_async(picture))
        while not picture.begun.is_set():
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go.set()
        return await model.predict_async(RED)

    assert asyncio.run(ask()).best.name == "red"
    gc.collect()
    assert not caplog.records  # asyncio and concurrent.futures report what nobody looks at
    model.close(timeout_s=60)
    assert model._visits.is_empty


def test_a_hanging_model_is_not_waited_for(model):
    busy = Busy(model)

    async def ask():
        with pytest.raises(DeadlineError, match=r"no answer within 50 ms|others were before it"):
            await model.predict_async(RED, deadline_s=0.05)

    asyncio.run(ask())
    busy.end()
    assert model.predict(RED).best.name == "red"


def test_calls_that_wait_are_bounded(model, monkeypatch):
    monkeypatch.setattr("edgevision.calls.background.MAX_WAITING", 3)
    busy = Busy(model)

    async def ask():
        calls = [asyncio.ensure_future(model.predict_async(RED)) for _ in range(model._calls._threads)]
        while model._calls._background is None or model._calls._background.waiting:
            await asyncio.sleep(0.001)
        calls += [asyncio.ensure_future(model.predict_async(RED)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="3 calls wait"):
            await model.predict_async(RED)
        busy.end()
        return [(await call).best.name for call in calls]

    assert set(asyncio.run(ask())) == {"red"}


def test_closing_ends_what_waits(model):
    busy = Busy(model)

    async def ask():
        calls = [asyncio.ensure_future(model.predict_async(RED)) for _ in range(10)]
        await asyncio.sleep(0.02)
        model.refuse()
        busy.end()
        return await asyncio.gather(*calls, return_exceptions=True)

    assert {str(error) for error in asyncio.run(ask())} == {"the model is closed; load it again to predict"}
    model.close()
    with pytest.raises(EdgeVisionError, match="the model is closed"):
        asyncio.run(model.predict_async(RED))


def test_each_event_loop_may_use_it(model):
    names = []
    threads = [
        threading.Thread(target=lambda: names.append(asyncio.run(model.predict_async(BLUE)).best.name))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["blue"] * 4
