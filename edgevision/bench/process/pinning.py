"""Which cores a target's process runs on, and how many threads its libraries start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgevision.errors import InputError

# Read once, by each library when it is loaded: OpenMP, OpenBLAS, MKL, Accelerate, numexpr, Rayon, TBB.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TBB_NUM_THREADS",
)


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that keep the libraries of a new process to ``threads`` threads.

    >>> thread_variables(2)["OMP_NUM_THREADS"]
    '2'
    """
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def choose_cores(threads: int) -> tuple[int, ...]:
    """``threads`` of the processors that this process may use, from the last down; all of them where there are fewer.

    Each is on a physical core of its own as long as there are such: two hardware threads of one core share its multipliers. The last,
    because interrupts and what else runs gather on the first. Empty where a system binds no process to cores.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    first_of_core: dict[str, int] = {}
    for cpu in allowed:
        first_of_core.setdefault(_siblings(cpu), cpu)
    first = sorted(first_of_core.values(), reverse=True)
    rest = [cpu for cpu in allowed if cpu not in first]
    return tuple(sorted([*first, *rest][:threads]))


def pin(cores: Sequence[int]) -> str:
    """Bind this process, and all threads that it will start, to ``cores``. "" when done; else why not, a sentence.

    Raises InputError for cores that this process may not use.
    """
    if not cores:
        return "its process was not bound to cores: none were given"
    if not hasattr(os, "sched_setaffinity"):
        return "its process is not bound to cores: this system has no way to"
    try:
        os.sched_setaffinity(0, set(cores))
    except (OSError, ValueError) as error:
        raise InputError(
            f"a process cannot run on cores {list(cores)} here ({error}); give cores that are there"
        ) from None
    return ""


def _siblings(cpu: int) -> str:
    """What names the physical core of a processor: the list of its hardware threads."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return f"cpu {cpu}"
