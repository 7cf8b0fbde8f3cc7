"""In a target's process: bind it to its cores, open the target, and answer the run's messages until it closes the pipe.

It may run in the Python of another environment, so it needs NumPy alone. ``process.remote`` is its other side; messages are in
``process.messages``. Whatever the target prints goes to standard error, which the run keeps the last lines of.
"""

from __future__ import annotations

import faulthandler
import io
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

# Nothing heavy here: ``main`` binds the process to its cores first, and threads that libraries start inherit that.

LATE_EXIT = 1  # the status with which faulthandler ends a process that is over its time


def main(config: Mapping[str, Any]) -> None:
    """Serve until the pipe is closed. ``config``: as ``process.remote`` makes it, JSON values."""
    faulthandler.enable()
    commands, answers = _take_pipes()
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's: it ends blocks early and keeps them
    from edgevision.bench.process.pinning import pin

    note = pin(config["cores"])
    _Child(config, commands, answers, note).serve()


class _Child:
    def __init__(self, config: Mapping[str, Any], commands: int, answers: BinaryIO, note: str) -> None:
        self._config = config
        self._commands = commands
        self._answers = answers
        self._note = note
        self._asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._target: Any = None
        self._workload: Any = None

    def serve(self) -> None:
        threading.Thread(target=self._read_commands, name="commands", daemon=True).start()
        while True:
            message = self._asked.get()
            does: dict[str, Callable[[Mapping[str, Any]], Any]] = {
                "open": self._open, "answers": self._answer_all, "run": self._run, "close": self._close,
            }  # fmt: skip
            work = message.head["do"]
            # Should it hang, Python's watchdog prints where, and ends the process: even where a library never gives the
            # interpreter's lock back, and where the run that waits for it is gone.
            faulthandler.dump_traceback_later(float(message.head["limit_s"]), exit=True)
            try:
                reply = does[work](message.head)
            except Exception as error:
                reply = _failure(error)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.flush()
            sys.stderr.flush()
            self._send(replace(reply, head={**reply.head, "question": message.head.get("question")}))
            if work == "close":
                return

    def _open(self, head: Mapping[str, Any]) -> Any:
        from edgevision.bench.process.messages import Message
        from edgevision.bench.process.plain import identity_to_plain
        from edgevision.bench.targets.address import parse_address
        from edgevision.bench.targets.base import Allowance
        from edgevision.bench.targets.registry import open_target
        from edgevision.bench.workload.workload import load

        self._workload = load(self._config["workload"], check=False)  # the run has just written it
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            self._target = open_target(parse_address(self._config["address"]), Allowance(**self._config["allowance"]))
        notes = [str(one.message) for one in warned if issubclass(one.category, UserWarning)]
        identity = self._target.identity
        notes = [*identity.notes, *dict.fromkeys(notes), *filter(None, [self._note])]
        identity = replace(identity, notes=tuple(notes))
        return Message({"is": "open", "identity": identity_to_plain(identity), "parallel": bool(self._target.parallel)})

    def _answer_all(self, head: Mapping[str, Any]) -> Any:
        from edgevision.bench.process.plain import answers_to_message
        from edgevision.bench.scenarios.checks import remember

        read, answer, frames = self._target.read, self._target.answer, self._workload.frames
        answers = [read(answer([frame], None)[0]) for frame in frames]
        remember(self._target, frames, answers)  # under the clock it is held to what it says here
        return answers_to_message(answers)

    def _run(self, head: Mapping[str, Any]) -> Any:
        from edgevision.bench.process.counters import Counted
        from edgevision.bench.process.plain import block_to_message, scenario_from_plain
        from edgevision.bench.scenarios.asking import run_scenario

        scenario = scenario_from_plain(head["scenario"])
        before = Counted.now()
        block = run_scenario(scenario, self._target, self._workload, int(head["round"]), str(head["name"]))
        if block.counters.cpu_ns is None:  # a scenario may count nearer to its clock
            block = replace(block, counters=before.until_now())
        return block_to_message(block)

    def _close(self, head: Mapping[str, Any]) -> Any:
        from edgevision.bench.process.messages import Message

        if self._target is not None:
            self._target.close()
        return Message({"is": "closed"})

    def _send(self, message: Any) -> None:
        from edgevision.bench.process.messages import MessageError, write_message

        try:
            write_message(self._answers, message)
        except MessageError as error:
            failure = _failure(error)
            write_message(
                self._answers, replace(failure, head={**failure.head, "question": message.head.get("question")})
            )
        except OSError:  # the run is gone
            os._exit(0)

    def _read_commands(self) -> None:
        """In a thread of its own, which sleeps in the read: interruptions come while a block runs, and so does the run's end."""
        from edgevision.bench.process.messages import MessageError, read_message
        from edgevision.bench.targets.interruption import INTERRUPTION

        while True:
            try:
                message = read_message(lambda size: os.read(self._commands, size))
            except (MessageError, OSError):
                message = None
            if message is None:  # the run is gone, or gives this process up: whatever hangs must not outlive it
                os._exit(0)
            if message.head["do"] == "interrupt":
                INTERRUPTION.asked = True
                continue
            if message.head["do"] == "run":
                INTERRUPTION.asked = False  # here, so that an interruption that follows at once is not lost
            self._asked.put(message)


def _take_pipes() -> tuple[int, BinaryIO]:
    """Standard input and output become the run's alone: what a library reads gets nothing, what it prints goes to standard error."""
    commands, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed just before a fault is not lost
    return commands, os.fdopen(answers, "wb")


def _failure(error: Exception) -> Any:
    """What the run tells of an error: its text where EdgeVision raised it on purpose, else its type too and where it came from."""
    from edgevision.bench.process.messages import Message
    from edgevision.errors import EdgeVisionError

    meant = isinstance(error, EdgeVisionError)
    if not meant:
        traceback.print_exception(type(error), error, error.__traceback__)  # to standard error, which the run keeps
    missing = isinstance(error, ImportError)
    text = str(error) if meant else f"{type(error).__name__}: {error}"
    return Message({"is": "failed", "text": text, "meant": meant, "missing": missing})
