"""What the machine was like before, during and after a run, as plain values for the record."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from edgevision.bench.conditions import heat, memory, processor
from edgevision.bench.conditions.energy import energy_values, find_meters
from edgevision.bench.conditions.gpu import Gpus
from edgevision.bench.conditions.roots import Roots, text_of
from edgevision.machine import cgroup_cpus, describe_machine, package_versions

PACKAGES = (
    "edgevision",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "onnxruntime",
    "openvino",
    "torch",
    "tensorrt",
    "ultralytics",
)


class Watcher:
    """Watches the machine while it is open; a thread of its own looks every few seconds, for a millisecond.

    >>> with Watcher(settle_s=0.05) as watcher:
    ...     pass
    >>> "steal_share" in watcher.values()
    True
    """

    def __init__(
        self,
        roots: Roots | None = None,
        interval_s: float = 2.0,
        settle_s: float = 0.5,
        packages: Sequence[str] = PACKAGES,
        nvml: Any | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``roots``: where the kernel's files are. ``settle_s``: how long to look, before the run, what others do. ``packages``: whose
        versions are noted. ``nvml``: the module ``pynvml``; None imports it. ``clock``: seconds."""
        self._roots, self._interval_s, self._settle_s = roots or Roots(), interval_s, settle_s
        self._packages, self._nvml, self._clock = tuple(packages), nvml, clock
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._end: dict[str, Any] | None = None

    def __enter__(self) -> Watcher:
        roots = self._roots
        self._began = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._load_before = processor.load(roots)
        self._others_before = self._others_while_idle()
        self._first = self._counters()
        self._gpus = Gpus(self._nvml)
        self._meters = find_meters(roots, self._gpus)
        self._frequencies = processor.Frequencies(roots)
        self._heat_before = heat.temperatures(roots)
        self._hottest = dict(self._heat_before)
        self._memory_before = memory.memory(roots)
        self._least_available = self._memory_before.get("available")
        self._poll()
        self._thread = threading.Thread(target=self._watch, name="bench-watcher", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._end = self._values()
        self._gpus.close()

    def values(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold: until now while it is open, of the whole run afterwards."""
        return self._end if self._end is not None else self._values()

    def _values(self) -> dict[str, Any]:
        with self._lock:
            self._poll_unlocked()
            return self._collect()

    def _collect(self) -> dict[str, Any]:
        roots, machine = self._roots, describe_machine()
        last = self._counters()
        seconds = last["at"] - self._first["at"]
        quota = cgroup_cpus(text_of(roots.proc / "self" / "cgroup") or "", roots.sys / "fs" / "cgroup")
        available = {"available_least": self._least_available} if self._least_available is not None else {}
        return {
            "machine": {**asdict(machine), "features": list(machine.features)},
            "versions": package_versions(self._packages),
            "began": self._began,
            "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": seconds,
            "load": {"before": _listed(self._load_before), "after": _listed(processor.load(roots))},
            "others_before_cores": self._others_before,
            "others_cores": _others(self._first, last),
            "steal_share": _share(self._first, last, "steal"),
            "busy_share": _share(self._first, last, "busy"),
            "frequency_mhz": self._frequencies.values(),
            "throttled": _counted(self._first["throttled"], last["throttled"]),
            "quota_cores": quota if quota is not None else "none",
            "quota_throttled": _counted_number(self._first["quota_throttled"], last["quota_throttled"]),
            "temperature_c": {
                name: {"before": self._heat_before.get(name), "highest": highest}
                for name, highest in self._hottest.items()
            }
            or "not readable",
            "memory": {**self._memory_before, **available},
            "huge_pages": memory.huge_pages(roots),
            "malloc": memory.malloc_settings(os.environ),
            "gpus": self._gpus.values(),
            "energy": energy_values(self._meters, seconds),
            **processor.fixed(roots),
        }

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._poll()

    def _poll(self) -> None:
        with self._lock:
            self._poll_unlocked()

    def _poll_unlocked(self) -> None:
        self._frequencies.poll()
        self._gpus.poll()
        for meter in self._meters.found:
            meter.poll(self._clock())
        for name, celsius in heat.temperatures(self._roots).items():
            self._hottest[name] = max(celsius, self._hottest.get(name, celsius))
        available = memory.memory(self._roots).get("available")
        if available is not None and self._least_available is not None:
            self._least_available = min(available, self._least_available)

    def _others_while_idle(self) -> float | None:
        """Cores that others keep busy while this process sleeps."""
        before = self._counters()
        self._stop.wait(self._settle_s)
        return _others(before, self._counters())

    def _counters(self) -> dict[str, Any]:
        return {
            "at": self._clock(),
            "ticks": processor.ticks(self._roots),
            "family": processor.ticks_of_family(self._roots, os.getpid()),
            "throttled": processor.throttle_counts(self._roots),
            "quota_throttled": processor.quota_throttled(self._roots),
        }


def _others(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """Cores kept busy between two counts by processes that are not ours; None where the system does not tell."""
    first, last = before["ticks"].get("cpu"), after["ticks"].get("cpu")
    if (
        first is None
        or last is None
        or last.total <= first.total
        or before["family"] is None
        or after["family"] is None
    ):
        return None
    threads = max(1, len(after["ticks"]) - 1)
    stolen = last.steal - first.steal
    theirs = (last.busy - first.busy) - stolen - (after["family"] - before["family"])
    return max(0.0, float(theirs * threads / (last.total - first.total)))


def _share(before: dict[str, Any], after: dict[str, Any], what: str) -> float | None:
    first, last = before["ticks"].get("cpu"), after["ticks"].get("cpu")
    if first is None or last is None or last.total <= first.total:
        return None
    return float((getattr(last, what) - getattr(first, what)) / (last.total - first.total))


def _counted(before: dict[str, int] | None, after: dict[str, int] | None) -> dict[str, int] | str:
    if before is None or after is None:
        return "not readable"
    return {kind: after[kind] - before.get(kind, 0) for kind in after}


def _counted_number(before: int | None, after: int | None) -> int | str:
    return "not readable" if before is None or after is None else after - before


def _listed(values: tuple[float, ...] | None) -> list[float] | str:
    return "not readable" if values is None else list(values)
