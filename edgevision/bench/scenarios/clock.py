"""The clock of a block: when it ends, how to wait for a moment, and quiet from Python's garbage collector meanwhile.

It runs in the target's process: this module needs no package at all.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

from edgevision.bench.targets.interruption import INTERRUPTION

# On Linux and macOS the monotonic clock that all processes share; on Windows the one with the finer steps, shared as well.
now_ns: Callable[[], int] = time.perf_counter_ns

LOOK_NS = 20_000  # what is not the target's work (see ``SwitchCounter``) is done at most once in this time
_WAKES_LATE_NS = 150_000  # a sleep ends some 60 µs late: the last part of a wait is spent looking at the clock
_SLICE_S = 0.05  # a wait looks this often whether the run was interrupted


def whole_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1e9)


def wait_until(due_ns: int) -> bool:
    """Wait for a moment of ``now_ns``, to a few microseconds; False where the run was interrupted meanwhile."""
    while True:
        if INTERRUPTION.asked:
            return False
        left = due_ns - now_ns()
        if left <= _WAKES_LATE_NS:
            break
        time.sleep(min((left - _WAKES_LATE_NS) / 1e9, _SLICE_S))
    while now_ns() < due_ns:
        pass
    return True


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, Python's garbage collector rests. It looks through what is young before, and never through everything: with a
    large framework in memory that would take longer than some blocks."""
    collecting = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def switch_counter() -> Callable[[], int] | None:
    """Counts how often this thread was taken off its core so far; None where the system does not tell."""
    try:
        import resource

        who = resource.RUSAGE_THREAD
    except (ImportError, AttributeError):  # Windows; macOS
        return None
    return lambda: resource.getrusage(who).ru_nivcsw
