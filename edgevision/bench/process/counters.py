"""What the operating system counted of this process over a block."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edgevision.bench.scenarios.base import Counters


@dataclass(frozen=True)
class Counted:
    """Counts since the process began: see ``Counters``. None where the system does not tell."""

    switches: int | None
    minor_faults: int | None
    cpu_ns: int

    @classmethod
    def now(cls) -> Counted:
        """As they stand."""
        try:
            import resource
        except ImportError:  # Windows
            return cls(None, None, time.process_time_ns())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return cls(usage.ru_nivcsw, usage.ru_minflt, time.process_time_ns())

    def until_now(self) -> Counters:
        """What was counted since, and the memory that the process has now."""
        now = Counted.now()
        return Counters(
            switches=_difference(self.switches, now.switches),
            minor_faults=_difference(self.minor_faults, now.minor_faults),
            cpu_ns=now.cpu_ns - self.cpu_ns,
            memory_bytes=resident_bytes(),
        )


def resident_bytes() -> int | None:
    """Memory of this process that lies in RAM, in bytes; None where the system does not tell it (all but Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        text = Path("/proc/self/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
