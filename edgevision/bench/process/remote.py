"""A target in a process of its own, as the run sees it: asked over a pipe, each question with a time limit, ended with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import edgevision
from edgevision.bench.process.messages import Message, MessageError, read_message, write_message
from edgevision.bench.process.pinning import thread_variables
from edgevision.bench.process.plain import (
    answers_from_message,
    block_from_message,
    identity_from_plain,
    scenario_to_plain,
)
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.address import TargetAddress, allowance_of, format_address
from edgevision.bench.targets.base import Allowance, Answer, Identity
from edgevision.errors import InputError, TargetError

_T = TypeVar("_T")

OPEN_LIMIT_S = 900.0  # an engine that is built for a device first takes minutes
RUN_LIMIT_S = 600.0
CLOSE_LIMIT_S = 20.0
GRACE_S = 3.0  # how long a process that is over its time has to say where it hangs
KEPT_LINES = 40  # of what a target prints
SHOWN_LINES = 8

# In the same environment, the child imports from where this process does. In another one, only this package is added: its
# neighbours on the path may be other packages of ours, built for this Python.
_PROGRAM = """
import json, sys
config = json.loads(sys.argv[1])
if config["path"] is not None:
    sys.path[:] = config["path"]
else:
    import importlib.util
    sys.path[:] = [place for place in sys.path if place]
    sys.path += config["last"]
    spec = importlib.util.spec_from_file_location("edgevision", config["file"], submodule_search_locations=config["package"])
    package = importlib.util.module_from_spec(spec)
    sys.modules["edgevision"] = package
    spec.loader.exec_module(package)
from edgevision.bench.process.child import main
main(config)
"""
# Of our own Python: in another environment they would name the wrong packages.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PYTHONSTARTUP")


class RemoteTarget:
    """A target, opened in a process of its own. A context manager; used by one thread, but for ``interrupt``.

    ``address``: what to open; ``@python=`` names the interpreter of another environment. ``allowance``: what it may use (an address's
    own ``@threads=`` goes before it). ``workload_path``: a workload that ``Workload.save`` wrote. ``cores``: processors to bind it to.
    ``open_limit_s``: the longest that opening may take.

    ``identity``: what was opened, as found inside; ``parallel``: whether several threads may ask it at once.

    Raises TargetError where it cannot be opened: ``unsupported`` where something is missing or refused.
    """

    def __init__(
        self, address: TargetAddress, allowance: Allowance, workload_path: str | os.PathLike[str], cores: Sequence[int] = (),
        *, open_limit_s: float = OPEN_LIMIT_S,
    ) -> None:  # fmt: skip
        self.address = address
        self.allowance = allowance_of(address, allowance)
        self.identity: Identity
        self.parallel = False
        self._name = address.text or format_address(address)
        self._messages: queue.SimpleQueue[Message | Exception | None] = queue.SimpleQueue()
        self._printed: deque[str] = deque(maxlen=KEPT_LINES)
        self._writing = threading.Lock()
        self._interrupting = False
        self._asked = (
            0  # questions, which are numbered: an answer that nobody waited for any more is told from the next
        )
        self._ended = False
        self._child = self._start(workload_path, cores)
        commands, answers, lines = self._child.stdin, self._child.stdout, self._child.stderr
        assert commands is not None
        assert answers is not None
        assert lines is not None
        self._commands = commands
        self._readers = (
            threading.Thread(target=self._read_answers, args=(answers.fileno(),), daemon=True),
            threading.Thread(target=self._read_lines, args=(lines.fileno(),), daemon=True),
        )
        for thread in self._readers:
            thread.start()
        try:
            head = self._ask("open", open_limit_s, "was opened").head
            self.identity = self._read(lambda: identity_from_plain(head["identity"]))
            self.parallel = bool(head.get("parallel"))
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the target's process, for what the system counts."""
        return self._child.pid

    @property
    def output(self) -> str:
        """The last lines that the target printed."""
        return "\n".join(self._printed)

    def answers(self, limit_s: float = RUN_LIMIT_S) -> list[Answer]:
        """What it says of each frame of the workload, asked once each, outside any clock. Raises TargetError."""
        message = self._ask("answers", limit_s, "answered each frame once")
        return self._read(lambda: answers_from_message(message))

    def run(self, scenario: Scenario, round: int, target_name: str, limit_s: float = RUN_LIMIT_S) -> Block:
        """One block. After ``limit_s`` seconds the process is ended. Raises TargetError where the target fails in the middle."""
        message = self._ask(
            "run", limit_s, f"was measured in {scenario.name}",
            scenario=scenario_to_plain(scenario), round=round, name=target_name,
        )  # fmt: skip
        return self._read(lambda: block_from_message(message))

    def interrupt(self) -> None:
        """The running block ends after its present request, and ``run`` gives what it has. From any thread or a signal handler."""
        # A signal handler may come while its own thread writes, which then sends it.
        self._interrupting = True
        if self._writing.acquire(blocking=False):
            try:
                self._write_interruption()
            finally:
                self._writing.release()

    def close(self) -> None:
        """Let the target give everything back, then end its process and all that this started. Closing twice is allowed."""
        if self._ended:
            return
        with contextlib.suppress(TargetError):  # it was measured; how it leaves is no figure
            self._ask("close", CLOSE_LIMIT_S, "was closed")
        with contextlib.suppress(OSError):
            self._commands.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End its process at once, with all that it started."""
        if self._ended:
            return
        self._ended = True
        _kill_group(self._child)
        for thread in self._readers:
            thread.join(GRACE_S)
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> RemoteTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteTarget {self._name}: {'ended' if self._ended else f'process {self._child.pid}'}>"

    def _start(self, workload_path: str | os.PathLike[str], cores: Sequence[int]) -> subprocess.Popen[bytes]:
        python = self.address.options.get("python")
        foreign = python is not None
        here = str(Path.cwd())
        config = {
            "address": format_address(self.address),
            "allowance": asdict(self.allowance),
            "workload": os.path.abspath(workload_path),  # noqa: PTH100  # keeps what a link is called
            "cores": list(cores),
            "path": None if foreign else [place or here for place in sys.path],
            "last": [here],  # where a user's own target may lie
            "file": edgevision.__file__,
            "package": [os.path.abspath(place) for place in edgevision.__path__],  # noqa: PTH100
        }
        environment = {key: value for key, value in os.environ.items() if not (foreign and key in _OURS)}
        environment |= thread_variables(self.allowance.threads)
        command = [python or sys.executable, "-c", _PROGRAM, json.dumps(config)]
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            text = f"{self._name}: no process can be started with {command[0]} ({error.strerror or error}); name a Python with @python="
            raise TargetError(text, unsupported=True) from None

    def _ask(self, work: str, limit_s: float, purpose: str, **values: Any) -> Message:
        """Send a question, wait for its answer. ``purpose``: for the error, what was under way."""
        if self._ended:
            raise TargetError(f"{self._name}: its process has ended; open it again", output=self.output)
        self._asked += 1
        self._interrupting = False
        self._send({"do": work, "limit_s": limit_s, "question": self._asked, **values})
        reply = self._reply_within(limit_s, purpose)
        if isinstance(reply, Exception):
            self.kill()
            text = f"{self._name} wrote what is no message while it {purpose} ({reply}); let it print to standard output or error only"
            raise TargetError(text, output=self.output)
        if reply is None:
            raise self._ended_error(purpose, limit_s, hung=False)
        if reply.head.get("is") == "failed":
            raise self._failure(reply.head, work, purpose)
        return reply

    def _send(self, head: Mapping[str, Any]) -> None:
        """Where the process is gone, nothing is sent, and what waits for an answer learns it from the other pipe."""
        with self._writing, contextlib.suppress(OSError, ValueError):
            write_message(self._commands, Message(head))
            if self._interrupting:
                self._write_interruption()

    def _write_interruption(self) -> None:
        self._interrupting = False
        with contextlib.suppress(OSError, ValueError):
            write_message(self._commands, Message({"do": "interrupt"}))

    def _reply_within(self, limit_s: float, purpose: str) -> Message | Exception | None:
        """The answer to the last question; None where the process closed its pipe. Raises TargetError where it does not come in time."""
        until = time.monotonic() + limit_s + GRACE_S  # later than the child's own watchdog, which can say where it hung
        while True:
            try:
                reply = self._messages.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise self._ended_error(purpose, limit_s, hung=True) from None
            if not isinstance(reply, Message) or reply.head.get("question", self._asked) == self._asked:
                return reply

    def _read(self, read: Callable[[], _T]) -> _T:
        """What ``read`` makes of a message. Raises TargetError for a message that is none of ours."""
        try:
            return read()
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.kill()
            text = f"{self._name}: its process answered with something else than was asked ({type(error).__name__}: {error})"
            raise TargetError(text, output=self.output) from None

    def _failure(self, head: Mapping[str, Any], work: str, purpose: str) -> TargetError:
        """A target that raised. Its process goes on, unless it was to be opened."""
        opening = work == "open"
        text = str(head.get("text"))
        if not head.get("meant"):
            time.sleep(0.01)  # its traceback comes by another pipe
            text = f"{self._name} failed while it {purpose}: {text}"
        elif self._name not in text:
            text = f"{self._name}: {text}"
        return TargetError(
            text, unsupported=opening and bool(head.get("meant") or head.get("missing")), output=self.output
        )

    def _ended_error(self, purpose: str, limit_s: float, *, hung: bool) -> TargetError:
        """The process is gone, or does not answer any more: end it, and say what can be said."""
        if not hung:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(GRACE_S)
        status = self._child.poll()
        self.kill()
        late = hung or any("Timeout (" in line for line in self._printed)
        how = f"did not come back within {limit_s:.3g} s and was ended" if late else _status_text(status)
        lines = [line for line in self._printed if line.strip()][-SHOWN_LINES:]
        last = f"; the last it printed: {' | '.join(lines)}" if lines else ""
        return TargetError(f"{self._name}: its process {how} while it {purpose}{last}", output=self.output)

    def _read_answers(self, descriptor: int) -> None:
        while True:
            try:
                message = read_message(lambda size: os.read(descriptor, size))
            except (MessageError, OSError) as error:
                self._messages.put(error if isinstance(error, MessageError) else None)
                return
            self._messages.put(message)
            if message is None:
                return

    def _read_lines(self, descriptor: int) -> None:
        """Keeps the last lines of what the target prints. What it prints without end of line is cut, not kept growing."""
        rest = ""
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, 1 << 16):
                *lines, rest = (rest + data.decode(errors="replace")).replace("\r", "\n").split("\n")
                self._printed.extend(line[:500] for line in lines)
                rest = rest[-500:]
        if rest:
            self._printed.append(rest)


def _status_text(status: int | None) -> str:
    if status is None:
        return "closed its pipe"
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"was ended by {names.get(-status, f'signal {-status}')}"
    return f"ended with status {status}"


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """The process and what it started: it leads a session of its own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def check_python(address: TargetAddress) -> None:
    """Raise InputError where ``@python=`` names no file, before anything is started."""
    python = address.options.get("python")
    if python is not None and not Path(python).is_file():
        raise InputError(
            f"'{address.text}': there is no Python {python}; give the interpreter of an environment, such as venv/bin/python"
        )
