from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgevision
from edgevision import machine

X86 = """processor\t: 0
model name\t: AMD EPYC 9R45
flags\t\t: fpu sse4_1 avx avx2 fma f16c avx512f avx512_vnni avx512_bf16 avx512vl amx_int8 avx_vnni syscall

processor\t: 1
model name\t: AMD EPYC 9R45
flags\t\t: fpu
"""
ARM = """processor\t: 0
Features\t: fp asimd evtstrm aes asimdhp cpuid asimddp i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


def test_describing_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the system does not tell the name of the CPU."""
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **_: started.append(arguments))
    monkeypatch.setattr(machine, "_read", lambda path: "")
    monkeypatch.setattr(platform, "_uname_cache", None, raising=False)
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    described = machine.describe_machine.__wrapped__()
    assert not started
    assert described.cpu == "unknown"


def test_this_machine() -> None:
    found = machine.describe_machine()
    assert found is machine.describe_machine()
    assert found.architecture == platform.machine()
    assert found.cpu
    assert found.features == tuple(sorted(found.features))
    assert 1 <= found.cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cpuinfo", "model", "features"),
    [
        (
            X86, "AMD EPYC 9R45",
            ("amxint8", "avx", "avx2", "avx512bf16", "avx512f", "avx512vl", "avx512vnni", "avxvnni", "f16c", "fma", "sse41"),
        ),
        (ARM, "ARM implementer 0x41 part 0xd0c", ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")),
        (ARM + "Model\t\t: Raspberry Pi 5\n", "Raspberry Pi 5", ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")),
        ("", "", ()),
    ],
    ids=["x86", "arm", "arm-named", "empty"],
)  # fmt: skip
def test_cpuinfo(cpuinfo: str, model: str, features: tuple[str, ...]) -> None:
    assert machine._cpu_model(cpuinfo) == model
    assert machine._cpuinfo_features(cpuinfo) == features


@pytest.mark.requires("native")
def test_the_native_module_and_the_kernel_agree_on_features() -> None:
    from edgevision import _native

    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("needs /proc/cpuinfo")
    assert tuple(_native.cpu_features()) == machine._cpuinfo_features(cpuinfo.read_text())


@pytest.mark.parametrize(
    ("siblings", "allowed", "cores"),
    [
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1, 2, 3}, 2),  # two threads a core
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0, 2}, 1),  # affinity holds both threads of one core
        ({0: "0", 1: "1"}, {0, 1}, 2),
        ({}, {0, 1, 2}, 3),  # no topology: each thread counts
    ],
)
def test_threads_of_one_core_count_once(
    siblings: dict[int, str], allowed: set[int], cores: int, tmp_path: Path
) -> None:
    for cpu, text in siblings.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text + "\n")
    assert machine._physical_cores(frozenset(allowed), tmp_path) == cores


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/pod/box", {"pod/cpu.max": "200000 100000", "pod/box/cpu.max": "max 100000"}, 2.0),  # a parent limits
        ("0::/pod/box", {"cpu.max": "50000 100000"}, 0.5),  # a container sees its own group as the root
        ("4:cpu,cpuacct:/box", {"cpu,cpuacct/box/cpu.cfs_quota_us": "300000",
                                "cpu,cpuacct/box/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:cpu:/\n3:memory:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/x\n1:cpu:/", {"unified/x/cpu.max": "100000 100000"}, 1.0),  # both versions at once
        ("", {}, None),
        ("0::/", {"cpu.max": "nonsense"}, None),
        ("0::/", {"cpu.max": "100000 0"}, None),
    ],
)  # fmt: skip
def test_quota_of_cgroups(membership: str, files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert machine.cgroup_cpus(membership, tmp_path) == quota


@pytest.mark.parametrize(
    ("cores", "quota", "usable"), [(8, None, 8), (8, 2.5, 2), (8, 0.5, 1), (2, 16.0, 2), (1, None, 1)]
)
def test_usable_cores(cores: int, quota: float | None, usable: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_physical_cores", lambda *_: cores)
    monkeypatch.setattr(machine, "cgroup_cpus", lambda *_: quota)
    assert machine.usable_cores() == usable


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_honoured() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_versions_of_installed_packages_only() -> None:
    assert machine.package_versions(["numpy", "no-such-package-of-ours"]) == {"numpy": np.__version__}


def test_features_without_the_native_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgevision._native", None)  # importing it now fails
    monkeypatch.delattr(edgevision, "_native", raising=False)
    monkeypatch.setattr(machine, "_read", lambda path: X86)
    machine.cpu_features.cache_clear()
    try:
        assert machine.cpu_features() == machine._cpuinfo_features(X86)
    finally:
        machine.cpu_features.cache_clear()
