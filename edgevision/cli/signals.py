"""Signals that end or change a program that runs for long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Signals:
    """``stop``: SIGTERM or Ctrl-C came; ``reload``: SIGHUP."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()


@contextmanager
def signals_caught() -> Iterator[Signals]:
    """Inside, signals end or change the stream. A second Ctrl-C interrupts as usual."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signals.stop.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before: dict[int, Any] = {signal.SIGINT: signal.signal(signal.SIGINT, stop)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, frame: signals.reload.set())
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does, so that processes that were started are ended, and folders removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGINT)
    if not callable(ours):  # Ctrl-C is ignored, as in a shell's background; SIGTERM never is
        ours = signal.default_int_handler
    before = signal.signal(signal.SIGTERM, ours)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
