"""edgevision.engines.child: a graph in a process of its own, and how that process may end."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from edgevision.engines import child
from edgevision.engines.base import EngineOptions
from edgevision.engines.child import EngineDiedError, run_in_child
from edgevision.errors import EngineError

COLOR = (Path(__file__).parents[1] / "data" / "color.onnx").read_bytes()


def test_what_loading_and_one_run_cost():
    found = run_in_child("onnxruntime", COLOR, EngineOptions(1), 60)
    assert 1 < found.load_ms < 60_000
    assert 1_000_000 < found.rss_bytes < 2_000_000_000  # importing ONNX Runtime alone takes tens of megabytes


@pytest.mark.parametrize(("batches", "refused"), [((1, 2), False), ((1, 3), True), ((3, 1), True)])
def test_every_batch_is_run(batches, refused):
    """The graph takes one item and two; a reshape refuses three."""
    onnx = pytest.importorskip("onnx")
    body = """<ir_version: 8, opset_import: ["": 18]> net (float[batch,4] x) => (float[batch,4] y) {
        one = Constant<value = int64[1] {0}>() s = Shape(x) n = Gather(s, one) z = Constant<value = int64[1] {-2}>()
        four = Constant<value = int64[1] {4}>() two = Constant<value = int64[1] {2}>() big = Greater(n, two)
        flag = Cast<to = 7>(big) k = Mul(flag, z) m = Add(n, k) shape = Concat<axis = 0>(m, four) y = Reshape(x, shape) }"""
    graph = onnx.parser.parse_model(body).SerializeToString()
    if not refused:
        assert run_in_child("onnxruntime", graph, EngineOptions(1), 60, batches).run_ms > 0
        return
    with pytest.raises(EngineError, match="Reshape"):
        run_in_child("onnxruntime", graph, EngineOptions(1), 60, batches)


def test_a_fixed_batch_is_the_only_one_that_is_run():
    onnx = pytest.importorskip("onnx")
    body = '<ir_version: 8, opset_import: ["": 18]> net (float[4,3] x) => (float[4,3] y) { y = Relu(x) }'
    graph = onnx.parser.parse_model(body).SerializeToString()
    assert run_in_child("onnxruntime", graph, EngineOptions(1), 60, (1, 8)).load_ms > 0


@pytest.mark.parametrize(
    ("engine", "graph", "expected"),
    [
        ("onnxruntime", b"no graph", "onnx"),
        ("onnxruntime", COLOR[:200], "onnx"),
        ("tflite", COLOR, "engines are"),
    ],
)
def test_a_refusal_is_told_in_the_engines_words(engine, graph, expected):
    with pytest.raises(EngineError, match=expected) as caught:
        run_in_child(engine, graph, EngineOptions(1), 60)
    assert not isinstance(caught.value, EngineDiedError)
    assert "Traceback" not in str(caught.value)


KILL = "import os, signal; os.kill(os.getpid(), signal.{})"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("program", "message", "always"),
    [
        (KILL.format("SIGSEGV"), "died of a segmentation fault", True),
        ("import ctypes; ctypes.string_at(0)", "died of a segmentation fault", True),
        ("import os; os.abort()", "was ended by SIGABRT", False),
        (KILL.format("SIGILL"), "died of an illegal instruction", True),
        (KILL.format("SIGKILL"), "was ended by SIGKILL over this graph, perhaps for want of memory", False),
        (KILL.format("SIGTERM"), "was ended by SIGTERM", False),
        ("import time; time.sleep(60)", "had not opened and run the graph after 0.5 s", False),
    ],
)
def test_a_death_is_an_error(monkeypatch, program, message, always):
    monkeypatch.setattr(child, "_PROGRAM", program)
    with pytest.raises(EngineDiedError, match=message) as caught:
        run_in_child("openvino", COLOR, EngineOptions(1), 0.5 if "sleep" in program else 60)
    assert caught.value.always is always
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.always) == (str(caught.value), always)


def test_a_program_that_ends_by_itself_has_not_died(monkeypatch):
    monkeypatch.setattr(child, "_PROGRAM", "import sys; sys.exit('out of luck')")
    with pytest.raises(EngineError, match=r"status 1\): out of luck$") as caught:
        run_in_child("openvino", COLOR, EngineOptions(1), 60)
    assert not isinstance(caught.value, EngineDiedError)


def test_nothing_of_the_working_directory_is_imported(monkeypatch, tmp_path):
    for name in ("json", "numpy", "edgevision", "resource", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert run_in_child("onnxruntime", COLOR, EngineOptions(1), 60).load_ms > 0


@pytest.mark.skipif(sys.platform == "win32", reason="core dumps")
def test_no_core_dump_is_left(monkeypatch, tmp_path):
    import resource

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        child, "_PROGRAM", child._PROGRAM.replace("from edgevision", "import os; os.abort()\nfrom edgevision")
    )
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("this process may leave none anyway")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with pytest.raises(EngineDiedError):
            run_in_child("onnxruntime", COLOR, EngineOptions(1), 60)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("executable", "frozen", "usable"),
    [
        ("/usr/bin/python3.12", False, True),
        ("C:/Python/python.exe", False, True),
        ("/opt/pypy3", False, True),
        ("/opt/kiosk/kiosk", True, False),
        ("/opt/kiosk/python", True, False),  # PyInstaller's program may be called anything
        ("/usr/bin/uwsgi", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_hosts_that_are_no_python_are_not_started_again(monkeypatch, executable, frozen, usable):
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    assert child.interpreter() == (executable if usable else None)
    if not usable:
        with pytest.raises(OSError, match="no Python"):
            run_in_child("onnxruntime", COLOR, EngineOptions(1), 60)
