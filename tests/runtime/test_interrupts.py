"""Signal handlers that raise, or close the model, while the main thread predicts."""

from __future__ import annotations

import gc
import random
import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from colors import plain

import edgevision as ev
from edgevision.engines.guard import engine_errors, raised_by_handler
from edgevision.errors import EngineError

ENGINES = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


def bundle_for(color_bundle, engine):
    return color_bundle(variants=((f"{engine}-float", engine, "float"),))


class Interrupted(Exception):  # noqa: N818 - not an error
    """An Exception as engines raise them, so that it can be mistaken for one."""


class Stopped(BaseException):
    """As KeyboardInterrupt is."""


@pytest.fixture
def interrupt():
    """Calls a function again and again until an alarm raises in the main thread, so many times, at random moments of at
    most so many seconds. Gives how often the exception came through.

    Python swallows what is raised within a weak reference's callback, so it may be fewer than alarms.
    """
    random_ = random.Random(4)
    rung = []

    def handler(signum, frame):
        rung.append(signum)
        raise random_.choice((Interrupted, Stopped))

    def until_it_rings(use, longest):
        signal.setitimer(signal.ITIMER_REAL, random_.uniform(1e-6, longest))
        while not rung:
            use()

    def interrupt(use, times, longest):
        came = 0
        for _ in range(times):
            rung.clear()
            try:
                until_it_rings(use, longest)  # called, for Python 3.13 leaves the jump back of a loop out of its try
            except (Interrupted, Stopped):
                came += 1
        return came

    gc.collect()
    gc.freeze()  # what tests before have left is not to be freed meanwhile: other packages' code may not bear it
    before = signal.signal(signal.SIGALRM, handler)
    yield interrupt
    signal.signal(signal.SIGALRM, before)
    gc.unfreeze()


@pytest.mark.timeout(240, method="thread")  # the other method needs SIGALRM
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # raised within a weak reference's callback
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("batch", "times"), [(1, 4500), (5, 500)])
def test_ten_thousand_interrupts_leave_the_model_sound(color_bundle, interrupt, engine, batch, times):
    """5,000 for each engine. They come out as they are, and afterwards all slots work, and closing ends."""
    with ev.load(bundle_for(color_bundle, engine), max_batch=2) as model:
        pictures = [plain((255, 0, 0))] * batch
        assert interrupt(lambda: model.predict(pictures), times, 4e-4 * batch) > 0.9 * times
        done = []

        def work():
            done.extend(result.best.name for _ in range(20) for result in model.predict(pictures))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert done == ["red"] * (4 * 20 * batch)
        closer = threading.Thread(target=model.close, daemon=True)
        closer.start()
        closer.join(60)
        assert not closer.is_alive()


@pytest.mark.timeout(240, method="thread")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("engine", ENGINES)
def test_interrupted_submissions_leave_no_wrong_answers(color_bundle, interrupt, engine):
    """A slot that the engine still works on must not be lent to the next batch."""
    with ev.load(bundle_for(color_bundle, engine)) as model:
        runner = model._runner
        colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
        frames = [ev.Frame.from_array(plain(rgb)) for rgb in colors]
        futures = []

        def use():
            index = len(futures) % 3
            futures.append((index, runner.submit([frames[index]])))

        assert interrupt(use, 1000, 1e-3) > 900
        for index, future in futures:
            np.testing.assert_allclose(future.result(60).outputs["output"], [8 * np.eye(3)[index]], atol=1e-4)


HANDLER = """
import signal, sys, threading
import numpy as np, edgevision as ev

def handler(signum, frame):
    model.close()
    if how == "exit":
        sys.exit()

if __name__ == "__main__":
    path, how = sys.argv[1:]
    model = ev.load(path)
    picture = np.zeros((24, 32, 3), np.uint8)
    signal.signal(signal.SIGTERM, handler)
    for _ in range(4):
        threading.Thread(target=lambda: [model.predict(picture) for _ in iter(int, 1)], daemon=True).start()
    threading.excepthook = lambda args: None  # of the threads: the model is closed
    print("ready", flush=True)
    try:
        while True:
            model.predict(picture)
    except ev.errors.EdgeVisionError as error:
        print(error)
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ["exit", "return"])
def test_a_handler_may_close_what_its_thread_is_using(color_bundle, tmp_path, engine, how):
    script = tmp_path / "handler.py"
    script.write_text(HANDLER)
    command = [sys.executable, str(script), str(bundle_for(color_bundle, engine)), how]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            assert program.stdout.readline() == "ready\n"
            program.terminate()
            try:
                output, errors = program.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                program.kill()
                raise
        assert (program.returncode, errors) == (0, "")
        assert output == ("" if how == "exit" else "the model is closed; load it again to predict\n")


class Handler:
    """Handlers come as functions, methods, partials and objects."""

    def method(self, signum, frame):
        raise Interrupted

    def __call__(self, signum, frame):
        self.method(signum, frame)


@pytest.mark.parametrize(
    "handler",
    [lambda signum, frame: Handler().method(signum, frame), Handler().method, Handler(), partial(Handler().method)],
    ids=["function", "method", "object", "partial"],
)
def test_what_a_handler_raises_is_told_from_what_an_engine_raises(handler):
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Interrupted) as caught, engine_errors(lambda error: EngineError(str(error))):
            signal.raise_signal(signal.SIGUSR1)
        assert raised_by_handler(caught.value)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # as a handler does that serves once
        assert raised_by_handler(caught.value)
        with pytest.raises(EngineError), engine_errors(lambda error: EngineError(str(error))):
            raise RuntimeError
    finally:
        signal.signal(signal.SIGUSR1, before)
