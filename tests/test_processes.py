"""Models and processes: fork, forkserver, spawn, pickling, and programs that end while threads predict."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from colors import plain
from house import ROOT

import edgevision as ev
from edgevision import errors
from edgevision.errors import BundleError, EdgeVisionError
from edgevision.frames import ColorEncoding, Frame, PixelFormat
from edgevision.preprocess import Preprocessor, PreprocessSpec, make_plan
from edgevision.streams.reasons import Reason

ENGINES = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run_script(tmp_path):
    """Runs a program within a minute; gives its exit status, output and error output."""

    def run(text, *arguments):
        script = tmp_path / "program.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(script), *map(str, arguments)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


FORK = """
import asyncio, os, sys, threading, time
import numpy as np, edgevision as ev

def answer(model):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[..., 2] = 255
    return model.predict(picture, deadline_s=50).best.name

async def awaited(model):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[..., 2] = 255
    return [one.best.name for one in await asyncio.gather(*(model.predict_async(picture, deadline_s=50) for _ in range(3)))]

def child(what):
    if what == "predict":
        assert answer(model) == "red"
        assert answer(model) == "red"
    if what == "threads":
        names = []
        threads = [threading.Thread(target=lambda: names.append(answer(model))) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert names == ["red"] * 4
    if what == "await":
        assert asyncio.run(awaited(model)) == ["red"] * 3
    if what == "close":
        model.close()
    if what == "grandchild":
        pid = os.fork()
        if not pid:
            child("predict")
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

model = ev.load(sys.argv[1], threads=int(sys.argv[2]))
assert answer(model) == "red"
assert asyncio.run(awaited(model)) == ["red"] * 3  # its threads are not in the children
busy = threading.Thread(target=lambda: [answer(model) for _ in iter(int, 1)], daemon=True)
threading.excepthook = lambda args: None  # of that thread, once the model is closed
if sys.argv[3] == "busy":
    busy.start()  # so that slots and locks are in use at the fork
for what in ("nothing", "predict", "threads", "await", "close", "grandchild"):
    pid = os.fork()
    if not pid:
        child(what)
        sys.exit(7)  # as a worker of gunicorn --preload leaves: the interpreter ends, not only the process
    deadline = time.monotonic() + 50
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            sys.exit(f"{what}: the child hangs")
        time.sleep(0.01)
    if os.waitstatus_to_exitcode(done[1]) != 7:
        sys.exit(f"{what}: exit status {done[1]}")
assert answer(model) == "red"
print("sound")
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("parent", ["idle", "busy"])
def test_a_child_of_fork_opens_the_engine_again(color_bundle, run_script, engine, threads, parent):
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    assert run_script(FORK, bundle, threads, parent) == (0, "sound\n", "")


OPENING = """
import os, sys, threading, time
import numpy as np, edgevision as ev

def load():
    for _ in range(3):
        ev.load(sys.argv[1], threads=1).close()

def answer(model):
    return model.predict(np.zeros((24, 32, 3), np.uint8)).best.name

model = ev.load(sys.argv[1], threads=1)
expected = answer(model)
for _ in range(4):
    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(0.02)
    pid = os.fork()
    if not pid:
        sys.exit(7 if answer(model) == expected else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    thread.join()
print("sound")
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fork_waits_for_engines_that_are_being_opened(color_bundle, run_script, engine):
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    assert run_script(OPENING, bundle) == (0, "sound\n", "")


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np, edgevision as ev

def answer(model, color):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[..., color] = 255
    return model.predict(picture).best.name

def inherited(color):
    return answer(inherited.model, color)

def missing(_):
    raise ev.errors.MissingExtraError("openvino", "openvino", "running on OpenVINO")

if __name__ == "__main__":
    inherited.model = model = ev.load(sys.argv[1], threads=int(sys.argv[2]))
    context = multiprocessing.get_context(sys.argv[3])
    with ProcessPoolExecutor(2, context) as pool:
        print(*pool.map(answer, [model] * 3, range(3)))
        print(*pool.map(inherited, range(3)) if sys.argv[3] == "fork" else ["blue", "green", "red"])
        print(type(pool.submit(missing, 0).exception()).__name__)
        print(*pool.map(answer, [model] * 3, range(3)))
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_process_pools_take_models(color_bundle, run_script, engine, method):
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    expected = "blue green red\nblue green red\nMissingExtraError\nblue green red\n"
    assert run_script(POOL, bundle, 2, method) == (0, expected, "")


LEAVING = """
import os, signal, sys, threading, time
import numpy as np, edgevision as ev

model = ev.load(sys.argv[1], threads=2)
how = sys.argv[2]
told = []

def work():
    pictures = [np.zeros((240, 320, 3), np.uint8)] * 20
    try:
        while True:
            model.predict(pictures)
    except ev.errors.EdgeVisionError as error:
        told.append(str(error))

for _ in range(6):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
if how == "sigterm":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    os.kill(os.getpid(), signal.SIGTERM)
if how == "error":
    sys.excepthook = lambda *_: None
    raise ValueError
sys.exit(5)
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("how", "status"), [("exit", 5), ("sigterm", 5), ("error", 1)])
def test_a_program_may_end_while_threads_predict(color_bundle, run_script, engine, how, status):
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    for _ in range(3):
        assert run_script(LEAVING, bundle, how) == (status, "", "")


def test_models_are_pickled_by_what_they_were_made_of(color_bundle, monkeypatch, tmp_path):
    path = color_bundle()
    monkeypatch.chdir(path.parent)
    with ev.load(path.name, threshold=0.9, max_batch=3, variant="onnxruntime-float") as model:
        monkeypatch.chdir(tmp_path.parent)
        data = pickle.dumps(model)
        assert len(data) < 2000
        with pickle.loads(data) as again:
            assert (again.variant, again.threads, again.threshold) == (model.variant, model.threads, 0.9)
            assert again._runner.max_batch == 3
            assert again.predict(plain((255, 0, 0))).best.name == "red"
        assert model.predict(plain((255, 0, 0))).best.name == "red"
    color_bundle(manifest={"name": "newer"})
    with pytest.raises(BundleError, match="was replaced since the model was pickled"):
        pickle.loads(data)
    with ev.load(path.read_bytes()) as model, pickle.loads(pickle.dumps(model)) as again:
        assert again.manifest == model.manifest


def test_preprocessors_and_plans_are_pickled_by_what_they_were_made_of():
    spec = PreprocessSpec(20, 30)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    nv12 = Frame(
        (image[:, :, 0].copy(), image[:24, :32, :2].copy()), 48, 64, PixelFormat.NV12, ColorEncoding.BT709_FULL
    )
    prepare = Preprocessor(spec, capacity=3)
    expected = prepare.run(nv12)
    again = pickle.loads(pickle.dumps(prepare))
    np.testing.assert_array_equal(again.run(nv12), expected)
    assert again._capacity == 3
    plan = make_plan(spec, 48, 64, PixelFormat.NV12, ColorEncoding.BT709_FULL, (4, 6, 40, 20))
    out, out_again = (np.empty(spec.tensor_shape, np.float32) for _ in range(2))
    plan.run(nv12, out)
    pickle.loads(pickle.dumps(plan)).run(nv12, out_again)
    np.testing.assert_array_equal(out_again, out)


@pytest.mark.parametrize(
    "error",
    [
        *(kind(f"a {kind.__name__}") for kind in vars(errors).values()
          if isinstance(kind, type) and issubclass(kind, EdgeVisionError) and not issubclass(kind, (errors.MissingExtraError, errors.SourceError))),
        errors.SourceError(Reason.SILENT, "a SourceError"),
        errors.DamagedFrameError(Reason.CORRUPT, "a DamagedFrameError"),
        errors.MissingExtraError("openvino", "openvino", "running on OpenVINO"),
        errors.BudgetError("over", report={"drop": 1.5}),
        errors.UnwrittenRecordError("full", {"id": "1"}, Path("elsewhere.json")),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_status) == (type(error), str(error), error.exit_status)
    assert {**vars(again)} == {**vars(error)}


PRELOADED = """
import os
import numpy as np, edgevision as ev

model = ev.load(os.environ["BUNDLE"], threads=2)  # once, in gunicorn's own process: the workers are its children
picture = np.zeros((24, 32, 3), np.uint8)
picture[..., 2] = 255
assert model.predict(picture).best.name == "red"

def app(environ, start_response):
    answer = f"{model.predict(picture, deadline_s=60).best.name} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""


@pytest.mark.requires("gunicorn")
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_of_gunicorn_use_a_model_that_was_loaded_before_them(color_bundle, tmp_path, engine):
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    command = [
        sys.executable, "-W", "ignore", "-m", "gunicorn", "--preload", "--workers", "2", "--timeout", "60", "--log-level", "error",
        "--bind", f"127.0.0.1:{port}", "preloaded:app",
    ]  # fmt: skip
    environment = {**os.environ, "BUNDLE": str(bundle), "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        answers = set()
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                    answers.add(tuple(answer.read().decode().split()))
            except OSError:
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
            if len(answers) == 2:
                break
        assert {name for name, _ in answers} == {"red"}
        assert len({pid for _, pid in answers}) == 2
        assert str(server.pid) not in {pid for _, pid in answers}
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, server.stderr.read()
    finally:
        server.kill()
        server.stderr.close()
