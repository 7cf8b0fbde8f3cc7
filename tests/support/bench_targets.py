"""Targets whose truth is known, for ``python:bench_targets:NAME@option=value``: what the harness says of them can be checked.

Each answers a frame with its true class, ``class_of(frame)``, unless it is one that lies.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgevision.bench.targets.base import Allowance, Answer, Identity

CLASSES = 1000


def class_of(frame: Any) -> int:
    """A number that depends on the frame's first bytes alone: quick, and another for another frame (mostly)."""
    data = frame[:64] if isinstance(frame, bytes) else np.ascontiguousarray(frame[0, :64]).tobytes()
    return int.from_bytes(data, "little") % (2**31 - 1) % CLASSES


class KnownTarget:
    """Answers with the frame itself, which ``read`` then looks at. ``work(n)`` is called for each request, with its place."""

    parallel = False

    def __init__(self, allowance: Allowance, name: str, work: Callable[[int], object] | None = None) -> None:
        self.identity = Identity(
            kind="python", file="", sha256="", bytes=0, task="classify", precision="none", engine=f"known {name}",
            provider="python", threads=allowance.threads, input_shape=(1, 3, 8, 8),
            versions={"python": ".".join(map(str, sys.version_info[:3]))}, notes=("made for tests",),
        )  # fmt: skip
        self.requests = 0
        self._work = work

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        place = self.requests
        self.requests = place + 1
        if self._work is not None:
            began = time.perf_counter_ns()
            self._work(place)
            if stages is not None:
                stages["infer"] = stages.get("infer", 0) + time.perf_counter_ns() - began
        return frames

    def read(self, result: Any) -> Answer:
        return Answer(np.array([class_of(result)]), np.array([0.75]))

    def close(self) -> None:
        pass


class Null(KnownTarget):
    """Does nothing at all: what is measured is the harness."""

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        return frames


class Liar(KnownTarget):
    """Says something else of every ``every``-th request, once ``honest`` requests were answered."""

    def __init__(self, allowance: Allowance, honest: int, every: int) -> None:
        super().__init__(allowance, "liar")
        self._honest, self._every = honest, every

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        place = self.requests
        self.requests = place + 1
        wrong = place >= self._honest and place % self._every == 0
        return [255 - frame for frame in frames] if wrong else frames


class Cached(KnownTarget):
    """Sleeps for a frame that it has not seen, and answers from its memory one that it has."""

    def __init__(self, allowance: Allowance, seconds: float) -> None:
        super().__init__(allowance, "cached")
        self._seconds = seconds
        self._seen: dict[int, Any] = {}

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        for frame in frames:
            if id(frame) not in self._seen:
                time.sleep(self._seconds)
                self._seen[id(frame)] = frame
        return frames


class Streaming(KnownTarget):
    """Serves cameras by a thread of its own: the newest frame of each in turn, each in ``seconds``."""

    def __init__(self, allowance: Allowance, seconds: float) -> None:
        super().__init__(allowance, "streaming", lambda _: time.sleep(seconds))
        self._seconds = seconds

    def open_stream(self, cameras: int, fps: float, served: Callable[[int, int], None]) -> _Stream:
        return _Stream(cameras, self._seconds, served)


class _Stream:
    def __init__(self, cameras: int, seconds: float, served: Callable[[int, int], None]) -> None:
        self._newest: list[int | None] = [None] * cameras
        self._seconds, self._served = seconds, served
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def push(self, camera: int, number: int, frame: Any) -> None:
        with self._changed:
            self._newest[camera] = number
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        camera = 0
        while True:
            with self._changed:
                while not self._closed and not any(number is not None for number in self._newest):
                    self._changed.wait()
                if self._closed:
                    return
                while self._newest[camera] is None:
                    camera = (camera + 1) % len(self._newest)
                number, self._newest[camera] = self._newest[camera], None
            time.sleep(self._seconds)
            assert number is not None
            self._served(camera, number)
            camera = (camera + 1) % len(self._newest)


def null(allowance: Allowance) -> Null:
    return Null(allowance, "null")


def sleeps(allowance: Allowance, ms: str = "2", jitter_ms: str = "0", seed: str = "0") -> KnownTarget:
    """``ms`` milliseconds for each request, plus up to ``jitter_ms``, evenly spread."""
    random = np.random.default_rng(int(seed))
    return KnownTarget(
        allowance, "sleeps", lambda _: time.sleep((float(ms) + float(jitter_ms) * random.random()) / 1e3)
    )


def two_modes(
    allowance: Allowance, ms: str = "1", slow_ms: str = "4", slow_share: str = "0.3", seed: str = "0"
) -> KnownTarget:
    random = np.random.default_rng(int(seed))
    return KnownTarget(
        allowance, "two modes",
        lambda _: time.sleep((float(slow_ms) if random.random() < float(slow_share) else float(ms)) / 1e3),
    )  # fmt: skip


def drifts(allowance: Allowance, ms: str = "1", step_us: str = "20") -> KnownTarget:
    """Each request takes ``step_us`` microseconds longer than the one before."""
    return KnownTarget(allowance, "drifts", lambda place: time.sleep(float(ms) / 1e3 + place * float(step_us) / 1e6))


def allocates(allowance: Allowance, mb: str = "8") -> KnownTarget:
    """New memory for each request, every page of it written to."""
    size = int(float(mb) * 1e6)

    def work(_: int) -> None:
        import mmap

        with mmap.mmap(-1, size) as memory:  # given back to the system each time, whatever the allocator keeps
            memory[:: mmap.PAGESIZE] = bytes(len(range(0, size, mmap.PAGESIZE)))

    return KnownTarget(allowance, "allocates", work)


def lies(allowance: Allowance, honest: str = "32", every: str = "3") -> Liar:
    return Liar(allowance, int(honest), int(every))


def cached(allowance: Allowance, ms: str = "5") -> Cached:
    return Cached(allowance, float(ms) / 1e3)


def streaming(allowance: Allowance, ms: str = "5") -> Streaming:
    return Streaming(allowance, float(ms) / 1e3)


def fails(allowance: Allowance, after: str = "20") -> KnownTarget:
    """Raises at its request number ``after``."""

    def work(place: int) -> None:
        if place >= int(after):
            raise RuntimeError(f"no answer for request {place}")

    return KnownTarget(allowance, "fails", work)


def dies(allowance: Allowance, after: str = "20", status: str = "7") -> KnownTarget:
    """Ends its process at its request number ``after``: by an exit status, or a signal where ``status`` is negative."""

    def work(place: int) -> None:
        if place >= int(after):
            print("about to end", flush=True)
            if int(status) < 0:
                os.kill(os.getpid(), -int(status))
            os._exit(int(status))

    return KnownTarget(allowance, "dies", work)


def hangs(allowance: Allowance, after: str = "20") -> KnownTarget:
    """Never answers its request number ``after``."""

    def work(place: int) -> None:
        if place >= int(after):
            threading.Event().wait()

    return KnownTarget(allowance, "hangs", work)


def chatters(allowance: Allowance, text: str = "busy") -> KnownTarget:
    """Prints to standard output at each request, from Python and from below it."""

    def work(_: int) -> None:
        print(text, flush=True)
        os.write(1, f"{text} from below\n".encode())

    return KnownTarget(allowance, "chatters", work)


def refuses(allowance: Allowance, how: str = "missing") -> KnownTarget:
    """Cannot be opened: for a package that is ``missing``, an ``input``, a fault of its own, or because its process ``dies``."""
    from edgevision.errors import InputError, MissingExtraError

    if how == "missing":
        raise MissingExtraError("nosuchpackage", "compile", "this target")
    if how == "input":
        raise InputError("the file is none")
    if how == "dies":
        os._exit(9)
    if how == "hangs":
        threading.Event().wait()
    raise ZeroDivisionError("by itself")
