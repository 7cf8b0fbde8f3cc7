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
from collections.abc import Iterator
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
    dropped = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _again_later()
        else:
            dropped(unraisable)

    sys.unraisablehook = hook
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = dropped


def leave_at_once(status: int) -> NoReturn:
    """End the process with what ``atexit`` has to do, and without the rest of Python's end: threads that were left inside C++ when
    the command was interrupted would be torn out of it, and C++ aborts then."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        _again_later()
    else:
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False


def _again_later() -> None:
    """The same signal once more, a moment later; nobody hears it where the command is over by then."""
    timer = threading.Timer(_AGAIN_S, _thread.interrupt_main)
    timer.daemon = True
    timer.start()
