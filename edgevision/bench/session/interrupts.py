"""Ctrl-C while targets are measured: the running block ends early and is kept, and the run ends in order."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol


class Interruptible(Protocol):
    """What a block runs in: ``process.remote.RemoteTarget``."""

    def interrupt(self) -> None:
        """End the running block early."""


class Interrupts:
    """A context manager. ``asked``: whether the run is to end; ``running``: what a block runs in at this moment, None between blocks.

    The first Ctrl-C while a block runs ends that block. The first at another time, or else the second, raises KeyboardInterrupt. Those
    that follow, and any after ``over``, do nothing: what is left then is to write down what was measured. In other threads than the
    main one nothing is caught.
    """

    def __init__(self) -> None:
        self.asked = False
        self.running: Interruptible | None = None
        self._over = False
        self._before: Any = None
        self._caught = False

    def __enter__(self) -> Interrupts:
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(
            before
        ):  # where it is ignored, it stays so
            self._before = before
            signal.signal(signal.SIGINT, self._handle)
            self._caught = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._caught:
            signal.signal(signal.SIGINT, self._before)

    def over(self) -> None:
        """Nothing is measured any more, and nothing can be interrupted."""
        self._over = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            return
        running, again = self.running, self.asked
        self.asked = True
        if running is None or again:
            self._over = True
            self._before(number, frame)
            return
        # Of a thread: the one that was interrupted may hold the lock that is needed to write to the process.
        threading.Thread(target=running.interrupt, daemon=True).start()
