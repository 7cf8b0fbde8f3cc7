"""The machine this process runs on: CPU, instruction sets, and how many cores it may really use."""

from __future__ import annotations

import functools
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# The instruction sets that kernels/cpu_features.cpp reports, by the names of /proc/cpuinfo without '_'.
_FEATURES = frozenset({
    "sse41", "f16c", "fma", "avx", "avx2", "avxvnni", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bf16",
    "amxbf16", "amxint8", "asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16",
})  # fmt: skip

# Any of these sums u8 × s8 products in 32 bits. An x86 CPU without them adds pairs in 16 bits, and clamps (PMADDUBSW).
EXACT_U8S8 = frozenset({"avx512vnni", "avxvnni", "amxint8"})


@dataclass(frozen=True)
class Machine:
    """What decides int8 results and speed. ``features`` are sorted; ``cores`` is ``usable_cores()``."""

    cpu: str
    architecture: str
    features: tuple[str, ...]
    cores: int
    system: str


@functools.lru_cache(maxsize=1)
def describe_machine() -> Machine:
    """Describe this machine, as it was when this was first called."""
    return Machine(
        # Windows tells it in its environment. Never platform.processor(): it starts a process (uname).
        cpu=_cpu_model(_read(Path("/proc/cpuinfo"))) or os.environ.get("PROCESSOR_IDENTIFIER") or "unknown",
        architecture=platform.machine(),
        features=cpu_features(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.release()}",
    )


@functools.lru_cache(maxsize=1)
def cpu_features() -> tuple[str, ...]:
    """Instruction sets that matter for int8 and preprocessing, sorted: ``("avx2", "avx512vnni", "fma", …)``.

    Asked of the CPU by the native module; where that is not built, read from /proc/cpuinfo; empty where neither exists.
    """
    try:
        from edgevision import _native
    except ImportError:
        return _cpuinfo_features(_read(Path("/proc/cpuinfo")))
    return tuple(_native.cpu_features())


def cpu_kind(architecture: str, features: Iterable[str]) -> str | None:
    """The kind of CPU that int8 graphs are written for: ``x86-vnni``, ``x86``, ``arm`` (64 bit), None for another.

    An x86 CPU whose instruction sets are not known counts as one without VNNI: its graphs are right everywhere.
    """
    if architecture.lower() in ("aarch64", "arm64"):
        return "arm"
    if architecture.lower() in ("x86_64", "amd64", "i686", "x86"):
        return "x86-vnni" if EXACT_U8S8 & set(features) else "x86"
    return None


def usable_cores() -> int:
    """Physical cores this process may keep busy, at least 1: the default number of threads.

    The least of: physical cores among those it may run on (two hardware threads of one core count once, for they share
    its multipliers), and the CPU quota of its cgroups (v2 ``cpu.max``, v1 ``cpu.cfs_quota_us``), rounded down.
    """
    allowed = _allowed_cpus()
    cores = _physical_cores(allowed, Path("/sys/devices/system/cpu"))
    quota = cgroup_cpus(_read(Path("/proc/self/cgroup")), Path("/sys/fs/cgroup"))
    return max(1, min(cores, math.floor(quota)) if quota is not None else cores)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of those ``names`` (as on PyPI) that are installed, without importing them."""
    from importlib import metadata  # costs as much as all of this package

    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _allowed_cpus() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _physical_cores(allowed: frozenset[int], cpus: Path) -> int:
    """How many different cores the ``allowed`` hardware threads belong to; ``cpus`` is sysfs's folder of them."""
    cores = set()
    for cpu in allowed:
        # The list of threads that share a core names the core.
        siblings = _read(cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list")
        cores.add(siblings or f"cpu {cpu}")
    return len(cores)


def cgroup_cpus(membership: str, root: Path) -> float | None:
    """The tightest CPU quota of the cgroups in ``membership`` (/proc/self/cgroup) and above them; None = no limit.

    A container often sees its own group as the root although ``membership`` names the host's path, so folders that do
    not exist are passed over and the root is always looked at.
    """
    quotas = []
    for line in membership.splitlines() or ["0::/"]:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        bases = [root / "cpu", root / "cpu,cpuacct"] if controllers else [root, root / "unified"]
        for base in bases:
            group = Path(path.strip("/"))
            for folder in (base / group, *(base / parent for parent in group.parents)):
                quota = _v1_quota(folder) if controllers else _v2_quota(folder)
                if quota is not None:
                    quotas.append(quota)
    return min(quotas, default=None)


def _v2_quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")  # "200000 100000" or "max 100000", microseconds
    return _ratio(quota, period)


def _v1_quota(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))  # -1 = no limit


def _ratio(quota: str, period: str) -> float | None:
    try:
        ratio = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return ratio if ratio > 0 else None


def _cpu_model(cpuinfo: str) -> str:
    """Name of the CPU in /proc/cpuinfo: x86 writes "model name"; ARM boards "Hardware" or "Model", or nothing."""
    fields = _fields(cpuinfo)
    if implementer := fields.get("CPU implementer"):
        fallback = f"ARM implementer {implementer} part {fields.get('CPU part', 'unknown')}"
    else:
        fallback = ""
    return fields.get("model name") or fields.get("Model") or fields.get("Hardware") or fallback


def _cpuinfo_features(cpuinfo: str) -> tuple[str, ...]:
    fields = _fields(cpuinfo)
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return tuple(sorted({flag.replace("_", "") for flag in flags} & _FEATURES))


def _fields(cpuinfo: str) -> dict[str, str]:
    """First value of each ``name : value`` line."""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            found.setdefault(name.strip(), value.strip())
    return found
