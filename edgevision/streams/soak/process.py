"""The judged process, from outside: what is asked of it, and what it takes of the machine."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import edgevision
from edgevision.errors import EdgeVisionError, InputError
from edgevision.streams.soak.subject import STOP_S, Settings
from edgevision.streams.soak.usage import Usage, read_usage

_START_S = 120.0  # a model may be checked and tuned at its first start
_ANSWER_S = 30.0


class SubjectProcess:
    """Runs ``subject`` in a process of its own. A context manager; leaving it ends the process."""

    def __init__(self, settings: Settings) -> None:
        """Returns when the stream has begun. Raises InputError with the process's own words where it does not."""
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close; nobody reads a pipe all the time
        root = Path(edgevision.__file__).parents[1]
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); from {__package__}.subject import main; main()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="soak reader", daemon=True)
        self._reader.start()
        try:
            self._ask(json.dumps(asdict(settings)), _START_S)
        except EdgeVisionError as error:
            self.close()
            raise InputError(f"the stream does not start: {error}") from None

    def usage(self) -> Usage:
        """As of now. Raises DeviceError where the process has ended."""
        return read_usage(self._process.pid)

    def look(self) -> dict[str, Any]:
        """See ``Subject.look``. Raises EdgeVisionError where it does not answer."""
        return self._ask("look", _ANSWER_S)

    def swap(self, path: Path) -> None:
        """Begin a model swap. Raises EdgeVisionError where it does not answer."""
        self._ask(f"swap {path}", _ANSWER_S)

    def stop(self) -> dict[str, Any]:
        """See ``Subject.stop``; then the process is waited for: ``status`` is how it ended, None where it did not.

        Raises EdgeVisionError where it does not answer.
        """
        answer = self._ask("stop", STOP_S + _ANSWER_S)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            status: int | None = self._process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            status = None
        return {**answer, "status": status}

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._messages.close()

    def __enter__(self) -> SubjectProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, line: str, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            told = self._lines.get(timeout=timeout_s)
        except OSError:
            told = ""
        except queue.Empty:
            raise EdgeVisionError(f"it does not answer within {timeout_s:g} s") from None
        if not told:
            status = self._process.wait()
            raise EdgeVisionError(f"it ended with status {status}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(told)
        return answer

    def _read(self) -> None:
        """Pass its lines on; an empty one where there will be no more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
