"""What engines throw, and an engine that hangs: with engines that tests play."""

from __future__ import annotations

import importlib
import signal
import threading
import time

import pytest

from edgevision import engines
from edgevision.engines import EngineOptions, open_engine
from edgevision.engines.guard import DEFAULT_LIMIT_S, TIMEOUT_VARIABLE, run_with_timeout, time_limit_s
from edgevision.errors import EngineError

THROWN = [
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), MemoryError(), RuntimeError("a\nb"),
    KeyError("x"), ValueError("negative dimensions"), OverflowError("too large"), TypeError("t"), AssertionError(),
    StopIteration(), SystemError("error return without exception set"),
]  # fmt: skip


@pytest.fixture(params=THROWN, ids=lambda error: type(error).__name__)
def throw(request):
    def thrower(*arguments, **options):
        raise request.param

    return thrower


def one_line(caught):
    return "\n" not in str(caught.value) and caught.value.__cause__ is not None


def test_what_is_thrown_while_opening(engine_name, graph, throw, monkeypatch):
    opener, call = {"onnxruntime": ("InferenceSession", "__init__"), "openvino": ("Core", "read_model")}[engine_name]
    monkeypatch.setattr(getattr(importlib.import_module(engine_name), opener), call, throw)
    with pytest.raises(EngineError, match=f"^{engine_name} cannot load the graph: ") as caught:
        open_engine(engine_name, graph("color"))
    assert one_line(caught)


def test_what_is_thrown_while_reading_tensors(engine_name, graph, throw, monkeypatch):
    monkeypatch.setattr(importlib.import_module(f"edgevision.engines.{engine_name}"), "_tensor_info", throw)
    with pytest.raises(EngineError, match=f"^{engine_name} cannot load the graph: ") as caught:
        open_engine(engine_name, graph("color"))
    assert one_line(caught)


def test_what_is_thrown_while_making_slots(engine, throw, monkeypatch):
    monkeypatch.setattr("edgevision.engines.host.aligned_zeros", throw)
    with pytest.raises(EngineError, match="no memory for 1 slots of 4 items: ") as caught:
        engine.slots(4)
    assert one_line(caught)


def test_what_is_thrown_while_preparing(engine, throw, monkeypatch):
    (slot,) = engine.slots(1)
    monkeypatch.setattr(engine, "_prepare", throw)
    for use in (engine.run, engine.submit):
        with pytest.raises(EngineError, match=f"{engine.name} cannot prepare 1 items: ") as caught:
            use(slot)
        assert one_line(caught)


def test_what_is_thrown_while_running(engine, throw, monkeypatch):
    (slot,) = engine.slots(1)
    monkeypatch.setattr(engine, "_prepare", lambda *_: throw)
    with pytest.raises(EngineError, match=f"{engine.name} failed while running") as caught:
        engine.run(slot)
    assert one_line(caught)


def test_what_is_thrown_while_telling_layers(engine, engine_name, throw, monkeypatch):
    if engine_name == "onnxruntime":
        monkeypatch.setattr("edgevision.engines.onnxruntime._open_session", throw)
    else:
        monkeypatch.setattr(engine, "_compile", throw)
    with pytest.raises(EngineError, match=f"{engine.name} does not tell its layers: ") as caught:
        engine.layers()
    assert one_line(caught)


# ---- time ----


@pytest.fixture
def hanging(engine_name, monkeypatch):
    """An engine that opens a graph only when the test ends. The event is set when it has begun."""
    begun, end = threading.Event(), threading.Event()

    def wait(*arguments):
        begun.set()
        end.wait(60)
        raise EngineError("the test has ended")

    monkeypatch.setattr(engines, "_open_host_engine", wait)
    yield begun
    end.set()


@pytest.mark.usefixtures("hanging")
def test_an_engine_that_hangs_is_not_waited_for(engine_name, graph, monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.2")
    with pytest.raises(EngineError, match=rf"{engine_name} has not opened the graph after 0\.2 s.*{TIMEOUT_VARIABLE}"):
        open_engine(engine_name, graph("color"))


def test_ctrl_c_ends_the_waiting(engine_name, graph, hanging):
    def press():
        hanging.wait(60)
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        open_engine(engine_name, graph("color"))
    thread.join()


def test_what_work_gives_and_raises_comes_back():
    assert run_with_timeout(60, "x", lambda: 5) == 5
    assert run_with_timeout(float("inf"), "x", threading.current_thread) is not threading.main_thread()
    with pytest.raises(ZeroDivisionError):
        run_with_timeout(60, "x", lambda: 1 // 0)


@pytest.mark.parametrize(("text", "seconds"), [("", DEFAULT_LIMIT_S), ("5", 5.0), ("0.5", 0.5), ("0", float("inf"))])
def test_the_limit_is_set_by_the_environment(text, seconds, monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, text)
    assert time_limit_s() == seconds


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf", "1e300"])
def test_a_limit_that_is_none_is_refused(text, monkeypatch, graph):
    monkeypatch.setenv(TIMEOUT_VARIABLE, text)
    with pytest.raises(EngineError, match="is a number of seconds"):
        open_engine("onnxruntime", graph("color"), EngineOptions())
