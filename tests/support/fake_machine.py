"""Made-up /proc and /sys: what a kernel would show, in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from edgevision.bench.conditions.roots import Roots


class FakeMachine:
    """A machine of two hardware threads whose files a test writes. ``work`` lets time pass."""

    def __init__(self, folder: Path) -> None:
        self.roots = Roots(folder / "proc", folder / "sys")
        self._ticks = {"cpu0": [0] * 8, "cpu1": [0] * 8}
        self._used: dict[int, tuple[int, int]] = {}  # pid → parent, ticks
        self.write("proc/loadavg", "0.50 0.40 0.30 1/100 999")
        self.write(
            "proc/meminfo",
            "MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\nHugePages_Total: 0",
        )
        self.work()
        self.process(os.getpid(), 1, 0)

    def write(self, path: str, text: object) -> None:
        """A file, with its folders."""
        file = self.roots.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")

    def work(
        self, busy: tuple[int, int] = (0, 0), idle: tuple[int, int] = (0, 0), steal: tuple[int, int] = (0, 0)
    ) -> None:
        """Ticks that each thread spent so."""
        for i, ticks in enumerate(self._ticks.values()):
            ticks[0] += busy[i]
            ticks[3] += idle[i]
            ticks[7] += steal[i]
        whole = [sum(column) for column in zip(*self._ticks.values(), strict=True)]
        lines = [f"{name} {' '.join(map(str, ticks))} 0 0" for name, ticks in (("cpu ", whole), *self._ticks.items())]
        self.write("proc/stat", "\n".join([*lines, "intr 1 2 3"]))

    def process(self, pid: int, parent: int, ticks: int, name: str = "python") -> None:
        """A process that has used so many ticks, half of them in the kernel and in children that ended."""
        quarter = ticks // 4
        fields = [
            str(pid),
            f"({name})",
            "S",
            str(parent),
            *["0"] * 9,
            str(ticks - 3 * quarter),
            str(quarter),
            str(quarter),
            str(quarter),
            "20",
        ]
        self.write(f"proc/{pid}/stat", " ".join(fields))
