"""The processes of ``serve_load``: servers, each in an environment of its own, and those that ask them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READY_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Asker:
    """A process that answers lines of JSON with lines of JSON."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def read(self) -> Any:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with status {self.process.wait()}")
        return json.loads(line)

    def begin(self, **request: Any) -> None:
        """Ask, and go on: the answer is to be read."""
        assert self.process.stdin is not None
        print(json.dumps(request, default=str), file=self.process.stdin, flush=True)

    def ask(self, **request: Any) -> Any:
        """Ask, and read the answer."""
        self.begin(**request)
        return self.read()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Server:
    """A server that was started, with all its processes. ``probe``: a path that answers with less than 400 when it is ready."""

    def __init__(
        self, name: str, command: Sequence[str], port: int, probe: str, environment: dict[str, str], folder: Path
    ) -> None:
        self.name, self.port = name, port
        self._log = (folder / f"{name}.log").open("wb")
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment, start_new_session=True, cwd=folder
        )
        until_s = time.monotonic() + READY_S
        while not self._answers(probe):
            if self.process.poll() is not None or time.monotonic() > until_s:
                self.stop()
                raise RuntimeError(f"{name} does not come up; see {self._log.name}")
            time.sleep(0.1)

    def pause(self) -> None:
        """Stop all its processes, so that they take nothing from those that are measured."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``pause``."""
        self._send(signal.SIGCONT)

    def stop(self) -> int:
        """Its exit status."""
        self.go_on()
        children = self._pids()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for pid in children:  # those that a server left behind
            if _parent(pid) == 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._log.close()
        return status

    def resident_bytes(self) -> int:
        """Of all its processes; pages that they share count for each."""
        return sum(_status(pid, "VmRSS:") for pid in self._pids()) * 1024

    def processor_s(self) -> float:
        """What all its processes have used since they began."""
        total = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _answers(self, path: str) -> bool:
        try:
            return self.get(path)[0] < 400
        except (OSError, http.client.HTTPException):
            return False

    def _send(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """Its own, and those of all that it started, however they call their sessions."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
        found = [self.process.pid]
        for pid in found:  # grows meanwhile
            found += children.get(pid, [])
        return found


def _parent(pid: int) -> int:
    """0 for one that is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[1])
    return 0


def _status(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0
