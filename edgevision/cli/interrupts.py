"""Ctrl-C while a command runs: it raises KeyboardInterrupt where that can be caught, and waits where it cannot.

It cannot while a module is being imported: C++ that initialises itself ends the process at an exception ("terminate called"),
and a package that is imported by half cannot be imported again. Nor where Python drops exceptions: in ``__del__`` and callbacks
of weak references.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_AGAIN_S = 0.05
_IMPORTING = "<frozen importlib"  # how the frames of an import are called


@contextlib.contextmanager
def raised_where_it_can_be_caught() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt in the main thread, as soon as it can be caught there.

    Does nothing in other threads, where no handler can be set, and where SIGINT is ignored.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return
    own = _Interrupts(sys.unraisablehook)
    sys.unraisablehook = own.hook
    signal.signal(signal.SIGINT, own.handler)
    try:
        yield
    finally:
        own.end()
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = own.dropped


class _Interrupts:
    """SIGINT's handler while a command runs. ``dropped``: who heard before of exceptions that Python drops."""

    def __init__(self, dropped: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self.dropped = dropped
        self._ending = False  # set first of all: no exception may come between the steps of ``end``
        self._ended = False
        self._lock = threading.Lock()

    def handler(self, number: int, frame: FrameType | None) -> None:
        if self._ending:
            return
        if _is_importing(frame):
            self._again_later()
        else:
            raise KeyboardInterrupt

    def hook(self, unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._again_later()
        else:
            self.dropped(unraisable)

    def end(self) -> None:
        """No signal comes again after this: whoever handles them next was not meant."""
        self._ending = True
        with self._lock:
            self._ended = True

    def _again_later(self) -> None:
        """The same signal once more, a moment later."""
        timer = threading.Timer(_AGAIN_S, self._again)
        timer.daemon = True
        timer.start()

    def _again(self) -> None:
        with self._lock:
            if not self._ended:
                _thread.interrupt_main()


def leave_at_once(status: int) -> NoReturn:
    """End the process with what ``atexit`` has to do, and without the rest of Python's end: threads that were left inside C++ when
    the command was interrupted would be torn out of it, and C++ aborts then."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False
