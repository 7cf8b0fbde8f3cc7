"""What a process takes of the machine, as Linux tells it in ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from edgevision.errors import DeviceError

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICKS_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Usage(NamedTuple):
    """``memory_bytes``: resident, without pages of files; ``cpu_s``: so far, of all threads."""

    memory_bytes: int
    threads: int
    descriptors: int
    cpu_s: float


def read_usage(process_id: int) -> Usage:
    """As of now. Raises DeviceError where there is no such process (any more), or no ``/proc``.

    >>> read_usage(os.getpid()).threads >= 1
    True
    """
    folder = Path("/proc") / str(process_id)
    try:
        resident, shared = (int(word) for word in (folder / "statm").read_text().split()[1:3])
        # The name, in brackets, may hold spaces; see proc(5) for the fields behind it.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(folder / "fd"))  # noqa: PTH208 - Path.iterdir would be a descriptor more
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot see what process {process_id} uses: {error}; soak needs Linux") from error
    return Usage(
        (resident - shared) * _PAGE_BYTES, int(fields[17]), descriptors, (int(fields[11]) + int(fields[12])) / _TICKS_S
    )
