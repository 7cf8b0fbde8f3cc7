"""Targets in their processes: what they answer, how they fail, and that nothing of them is left."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bench_targets import class_of

from edgevision.bench.process import remote as remote_module
from edgevision.bench.process.remote import RemoteTarget
from edgevision.bench.scenarios.base import Scenario
from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance
from edgevision.errors import TargetError

KNOWN = "python:bench_process_targets:"
ASK = Scenario("plain", {"requests": 40}, 1)


def gone(pid: int) -> bool:
    """Whether a process ended, waited for a moment."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_target_is_opened_asked_and_closed(remote, workload):
    target = remote(KNOWN + "sleeps@ms=0.5", Allowance(threads=2))
    assert target.identity.engine == "known sleeps"
    assert target.identity.threads == 2
    assert not target.parallel
    for answer, frame in zip(target.answers(), workload.frames, strict=True):
        assert (list(answer.classes), list(answer.scores)) == ([class_of(frame)], [0.75])
    block = target.run(ASK, 3, "mine")
    assert (block.target, block.scenario, block.round) == ("mine", ASK, 3)
    assert list(block.frames) == [place % 5 for place in range(40)]
    assert (block.latency_ns >= 500_000).all()
    assert (block.latency_ns >= block.stages["infer"]).all()
    assert (block.dropped, block.offered, block.wrong) == ((1, 2), (3, 4), (0,))
    assert block.counters.cpu_ns > 0
    assert block.counters.memory_bytes > 1e6
    assert block.counters.minor_faults >= 0
    target.close()
    target.close()
    assert gone(target.pid)
    with pytest.raises(TargetError, match="has ended; open it again"):
        target.run(ASK, 0, "mine")


def test_blocks_count_pages_and_processor_time(remote):
    quiet = remote(KNOWN + "sleeps@ms=0.2").run(ASK, 0, "a").counters
    busy = remote(KNOWN + "allocates@mb=4").run(ASK, 0, "a").counters
    assert busy.minor_faults > 40 * 4e6 / 4096 * 0.9 > quiet.minor_faults
    assert busy.cpu_ns > quiet.cpu_ns


@pytest.mark.parametrize(
    ("target", "said", "output"),
    [
        (
            "fails@after=3",
            "failed while it was measured in plain: RuntimeError: no answer for request 3",
            "work(place)",
        ),
        (
            "dies@after=3",
            "ended with status 7 while it was measured in plain; the last it printed: about to end",
            "about to end",
        ),
        ("dies@after=3,status=-11", "was ended by SIGSEGV while", "Segmentation fault"),
        ("dies@after=3,status=-9", "was ended by SIGKILL while", "about to end"),
    ],
)
def test_a_target_that_fails_in_the_middle(remote, target, said, output):
    one = remote(KNOWN + target)
    with pytest.raises(TargetError) as caught:
        one.run(ASK, 0, "a")
    assert said in str(caught.value)
    assert str(caught.value).startswith(KNOWN + target)
    assert output in caught.value.output
    assert not caught.value.unsupported


def test_a_target_that_raised_goes_on(remote):
    one = remote(KNOWN + "fails@after=3")
    with pytest.raises(TargetError):
        one.run(ASK, 0, "a")
    assert len(one.run(Scenario("plain", {"requests": 0}), 1, "a").latency_ns) == 0


def test_a_target_that_hangs_is_ended_and_says_where(remote):
    one = remote(KNOWN + "hangs@after=3")
    with pytest.raises(
        TargetError, match=r"did not come back within 0\.3 s and was ended while it was measured in plain"
    ) as caught:
        one.run(ASK, 0, "a", limit_s=0.3)
    assert "bench_targets.py" in caught.value.output
    assert gone(one.pid)


def test_a_process_that_does_not_even_end_itself_is_ended(remote, monkeypatch):
    monkeypatch.setattr(remote_module, "GRACE_S", 0.2)
    one = remote(KNOWN + "sleeps")
    os.kill(one.pid, signal.SIGSTOP)
    with pytest.raises(TargetError, match=r"did not come back within 0\.1 s"):
        one.run(ASK, 0, "a", limit_s=0.1)
    assert gone(one.pid)


@pytest.mark.parametrize(
    ("how", "unsupported", "said"),
    [
        ("missing", True, "pip install 'edgevision[compile]'"),
        ("input", True, "refuses@how=input: the file is none"),
        ("dies", False, "ended with status 9 while it was opened"),
        ("fault", False, "failed while it was opened: ZeroDivisionError: by itself"),
    ],
)
def test_a_target_that_cannot_be_opened(remote, how, unsupported, said):
    with pytest.raises(TargetError) as caught:
        remote(f"{KNOWN}refuses@how={how}")
    assert said in str(caught.value)
    assert caught.value.unsupported == unsupported


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("python:no_such_module:make", "there is no module no_such_module"),
        ("python:bench_targets:nothing", "has no nothing"),
        ("python:bench_targets:class_of", "failed while it was opened|no target"),
        ("python:bench_targets:null@python=/no/such/python", "no process can be started with /no/such/python"),
        (f"python:bench_targets:null@python={os.devnull}", "no process can be started with /dev/null"),
    ],
)
def test_addresses_that_lead_nowhere(remote, address, said):
    with pytest.raises(TargetError, match=said):
        remote(address)


def test_a_target_that_hangs_while_it_is_opened(remote, workload_path):
    with pytest.raises(TargetError, match=r"did not come back within .* s and was ended while it was opened"):
        remote(KNOWN + "refuses@how=hangs", open_limit_s=1.0)


def test_what_a_target_prints_is_kept_apart_and_bounded(remote):
    one = remote(KNOWN + "chatters@text=hello")
    block = one.run(Scenario("plain", {"requests": 2000}), 0, "a")
    assert len(block.latency_ns) == 2000
    one.close()
    lines = one.output.splitlines()
    assert len(lines) == remote_module.KEPT_LINES
    assert set(lines) == {"hello", "hello from below"}


def test_an_interruption_ends_the_block_early_and_keeps_it(remote):
    one = remote(KNOWN + "sleeps@ms=2")
    timer = threading.Timer(0.2, one.interrupt)
    timer.start()
    block = one.run(Scenario("plain", {"requests": 100_000}), 0, "a")
    timer.join()
    assert 0 < len(block.latency_ns) < 100_000
    assert len(one.run(ASK, 1, "a").latency_ns) == 40  # and the next block is whole


def test_an_interruption_from_a_handler_of_the_thread_that_writes_is_sent_by_it(remote):
    one = remote(KNOWN + "sleeps@ms=2")
    with one._writing:  # as if the signal came in the middle of a message
        one.interrupt()
    assert one._interrupting
    one._asked += 1
    one._send({"do": "run", "limit_s": 60, "question": one._asked, "round": 0, "name": "a",
               "scenario": {"name": "plain", "parameters": {"requests": 30_000}, "seed": 0}})  # fmt: skip
    reply = one._reply_within(60, "was measured")
    assert len(reply.arrays["latency_ns"]) < 30_000


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(remote):
    one = remote(KNOWN + "sleeps@ms=1")
    one._send({"do": "answers", "limit_s": 60, "question": 999})  # as if Ctrl-C had ended the waiting
    assert len(one.run(ASK, 0, "a").latency_ns) == 40


def test_ctrl_c_reaches_the_run_alone(remote):
    one = remote(KNOWN + "sleeps")
    assert os.getsid(one.pid) != os.getsid(0)
    os.kill(one.pid, signal.SIGINT)
    assert len(one.run(ASK, 0, "a").latency_ns) == 40


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to cores")
def test_the_process_is_bound_to_its_cores_and_its_libraries_to_threads(remote):
    core = max(os.sched_getaffinity(0))
    one = remote(KNOWN + "tells", Allowance(threads=3), cores=(core,))
    assert os.sched_getaffinity(one.pid) == {core}
    told = dict(one.identity.versions)
    assert (told["OMP_NUM_THREADS"], told["OPENBLAS_NUM_THREADS"], told["cores"]) == ("3", "3", str([core]))
    assert not any("bound to cores" in note for note in one.identity.notes)


def test_where_it_is_bound_to_nothing_that_is_noted(remote):
    one = remote(KNOWN + "tells@threads=4")
    assert one.allowance.threads == 4
    assert one.identity.versions["OMP_NUM_THREADS"] == "4"
    assert any("not bound to cores" in note for note in one.identity.notes)
    assert "a warning of the target" in one.identity.notes


def test_cores_that_are_not_there(remote):
    with pytest.raises(TargetError):
        remote(KNOWN + "tells", cores=(4000,))


ORPHAN = """
import os, sys
from edgevision.bench.process.remote import RemoteTarget
from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance
from edgevision.bench.scenarios.base import Scenario
if __name__ == "__main__":
    one = RemoteTarget(parse_address(sys.argv[1]), Allowance(), sys.argv[2])
    print(one.pid, flush=True)
    if sys.argv[3] == "busy":
        one.run(Scenario("plain", {"requests": 10**6}), 0, "a")
    sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_the_process_ends_when_the_run_is_killed(workload_path, state):
    path = os.pathsep.join(place for place in sys.path if place)
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, KNOWN + "sleeps", str(workload_path), state], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert gone(pid)


def test_what_the_target_started_ends_with_it(remote):
    one = remote(KNOWN + "starts")
    child = int(one.identity.versions["started"])
    assert not gone_now(child)
    one.close()
    assert gone(child)


def gone_now(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory):
    """An environment of its own that has NumPy and nothing else of ours."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    for name in ("numpy", "numpy.libs"):
        if (home.parent / name).exists():
            (site / name).symlink_to(home.parent / name)
    support = Path(__file__).parents[2] / "support"
    for name in ("bench_targets.py", "bench_asking.py", "bench_process_targets.py"):
        (site / name).symlink_to(support / name)
    return folder / "bin" / "python"


def test_a_target_runs_in_an_environment_without_edgevision(remote, bare_python, workload, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(place for place in sys.path if place))  # must not reach it
    one = remote(f"{KNOWN}tells@python={bare_python}")
    assert one.identity.versions["python"] == str(bare_python)
    assert one.identity.versions["cv2"] == "False"
    assert set(one.identity.versions["ours"].split()) <= {
        "edgevision", "edgevision.errors", "edgevision.bench",
        *(f"edgevision.bench.{name}" for name in (
            "process", "process.child", "process.pinning", "process.messages", "process.plain", "scenarios", "scenarios.base",
            "targets", "targets.base", "targets.address", "targets.registry", "targets.own", "targets.interruption",
            "workload", "workload.workload")),
    }  # fmt: skip
    assert len(one.answers()) == len(workload.frames)
    assert len(one.run(ASK, 0, "a").latency_ns) == 40


def test_one_that_writes_into_the_pipe_is_refused(workload_path, monkeypatch):
    monkeypatch.setattr(remote_module, "_PROGRAM", "print('Hello, this is no message at all')")
    with pytest.raises(TargetError, match="wrote what is no message while it was opened"):
        RemoteTarget(parse_address(KNOWN + "null"), Allowance(), workload_path)


def test_arrays_that_are_none_are_refused(workload_path, monkeypatch):
    program = """
import sys
sys.path[:] = __import__("json").loads(sys.argv[1])["path"]
from edgevision.bench.process.messages import Message, write_message
write_message(sys.stdout.buffer, Message({"is": "open", "identity": {"kind": "x"}}))
"""
    monkeypatch.setattr(remote_module, "_PROGRAM", program)
    with pytest.raises(TargetError, match="answered with something else than was asked"):
        RemoteTarget(parse_address(KNOWN + "null"), Allowance(), workload_path)


def test_frames_cannot_be_written_to(remote):
    one = remote(KNOWN + "scribbles")
    with pytest.raises(TargetError, match="read-only"):
        one.answers()
    assert np.isfinite(one.pid)
