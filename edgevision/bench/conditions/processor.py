"""The processor: how busy, by whom, at which frequency, and what held it back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgevision.bench.conditions.roots import Roots, number_of, text_of


@dataclass(frozen=True)
class Ticks:
    """Counters of /proc/stat for one hardware thread or all: clock ticks since the machine started. ``busy`` includes what the host gave to
    others while this machine wanted it (``steal``); guests are within."""

    busy: int
    idle: int
    steal: int

    @property
    def total(self) -> int:
        """All ticks."""
        return self.busy + self.idle


def ticks(roots: Roots) -> dict[str, Ticks]:
    """By name: "cpu" for all hardware threads together, "cpu0", "cpu1", …; empty where /proc/stat cannot be read."""
    found = {}
    for line in (text_of(roots.proc / "stat") or "").splitlines():
        name, *rest = line.split()
        if not name.startswith("cpu"):
            break
        values = [int(word) for word in rest[:8]] + [0] * (8 - len(rest[:8]))
        user, nice, system, idle, waiting, irq, softirq, steal = values
        found[name] = Ticks(user + nice + system + irq + softirq + steal, idle + waiting, steal)
    return found


def load(roots: Roots) -> tuple[float, ...] | None:
    """Processes that ran or wanted to, averaged over 1, 5 and 15 minutes; None where the system does not tell."""
    words = (text_of(roots.proc / "loadavg") or "").split()[:3]
    return tuple(float(word) for word in words) if len(words) == 3 else None


def ticks_of_family(roots: Roots, pid: int) -> int | None:
    """Clock ticks that the process ``pid``, its children and theirs have used so far, ended ones included; None where nobody tells.

    A child that ended counts in its parent (``cutime``, ``cstime``), once that has asked for its end.
    """
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for folder in roots.proc.glob("[0-9]*"):
        # The name, in brackets, may hold spaces and brackets: fields are counted from the last one.
        fields = (text_of(folder / "stat") or "").rpartition(")")[2].split()
        if len(fields) > 14:
            parents[int(folder.name)] = int(fields[1])
            used[int(folder.name)] = sum(int(field) for field in fields[11:15])
    if pid not in used:
        return None
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(used[member] for member in family)


def frequency_mhz(roots: Roots, cpu: int) -> float | None:
    """At what frequency a hardware thread runs now, as the kernel has it; None where it does not tell, as in most virtual machines."""
    kilohertz = number_of(roots.cpus / f"cpu{cpu}" / "cpufreq" / "scaling_cur_freq")
    return None if kilohertz is None else kilohertz / 1000


def throttle_counts(roots: Roots) -> dict[str, int] | None:
    """How often the processor slowed down because it was hot, since the machine started: "core" and "package". None where unknown."""
    found: dict[str, int] = {}
    for kind in ("core", "package"):
        files = roots.cpus.glob(f"cpu[0-9]*/thermal_throttle/{kind}_throttle_count")
        counts = [count for file in files if (count := number_of(file)) is not None]
        if counts:
            # Each thread tells its core's count, and all of them the same one of the package.
            found[kind] = sum(counts) if kind == "core" else max(counts)
    return found or None


def quota_throttled(roots: Roots) -> int | None:
    """In how many periods the processes of this cgroup had used up their quota; None where there is no count."""
    for line in (text_of(roots.proc / "self" / "cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = roots.sys / "fs" / "cgroup" / ("cpu" if controllers else "")
        for folder in (base / path.strip("/"), base):
            for entry in (text_of(folder / "cpu.stat") or "").splitlines():
                if entry.startswith("nr_throttled "):
                    return int(entry.split()[1])
    return None


def fixed(roots: Roots) -> dict[str, object]:
    """What does not change in a run: "governor", "frequency_limit_mhz", "microcode", "hypervisor", "affinity". What cannot be read says so."""
    cpuinfo: Mapping[str, str] = dict(
        reversed(
            [(name.strip(), value.strip()) for name, separator, value in _lines(roots) if separator]
        )  # the first of a name counts
    )
    governors = {
        text for file in sorted(roots.cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")) if (text := text_of(file))
    }
    limits = [limit for file in roots.cpus.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq") if (limit := number_of(file))]
    return {
        "governor": ", ".join(sorted(governors)) or "not readable",
        "frequency_limit_mhz": max(limits) / 1000 if limits else "not readable",
        "microcode": cpuinfo.get("microcode", "not readable"),
        "hypervisor": "hypervisor" in cpuinfo.get("flags", "").split() if "flags" in cpuinfo else "not readable",
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "not readable",
    }


def _lines(roots: Roots) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in (text_of(roots.proc / "cpuinfo") or "").splitlines()]


class Frequencies:
    """Frequencies of hardware threads while they are busy. An idle one runs slowly on purpose, which says nothing."""

    def __init__(self, roots: Roots, busy_share: float = 0.5) -> None:
        self._roots, self._busy_share = roots, busy_share
        self._before = ticks(roots)
        self._seen: list[float] = []

    def poll(self) -> None:
        """Note the mean frequency of the threads that were busy since the last poll, where there is one."""
        now = ticks(self._roots)
        busy = []
        for name, after in now.items():
            before = self._before.get(name)
            if name == "cpu" or before is None or after.total <= before.total:
                continue
            if (after.busy - before.busy) / (after.total - before.total) >= self._busy_share:
                busy.append(int(name.removeprefix("cpu")))
        self._before = now
        found = [mhz for cpu in busy if (mhz := frequency_mhz(self._roots, cpu)) is not None]
        if found:
            self._seen.append(float(np.mean(found)))

    def values(self) -> dict[str, float] | str:
        """ "lowest", "median" and "highest" MHz, "first" and "last": medians of the first and last third; or why there are none."""
        if not self._seen:
            readable = any(self._roots.cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
            return (
                "not readable (no thread was busy when it was looked)"
                if readable
                else "not readable (the system does not tell)"
            )
        third = max(1, len(self._seen) // 3)
        return {
            "lowest": min(self._seen),
            "median": float(np.median(self._seen)),
            "highest": max(self._seen),
            "first": float(np.median(self._seen[:third])),
            "last": float(np.median(self._seen[-third:])),
        }
