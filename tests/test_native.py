"""The native module: what it says of the CPU agrees with what the kernel says."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

pytestmark = pytest.mark.requires("native")

X86 = {
    "sse41": "sse4_1", "f16c": "f16c", "fma": "fma", "avx": "avx", "avx2": "avx2", "avxvnni": "avx_vnni",
    "avx512f": "avx512f", "avx512bw": "avx512bw", "avx512vl": "avx512vl", "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16", "amxbf16": "amx_bf16", "amxint8": "amx_int8",
}  # fmt: skip
ARM = {name: name for name in ("asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16")}


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc/cpuinfo is Linux's")
def test_features_agree_with_proc_cpuinfo():
    from edgevision import _native

    names = X86 if platform.machine() == "x86_64" else ARM
    text = Path("/proc/cpuinfo").read_text()
    line = next(line for line in text.splitlines() if line.startswith(("flags", "Features")))
    flags = set(line.partition(":")[2].split())
    assert _native.cpu_features() == sorted(name for name, flag in names.items() if flag in flags)


def test_features_are_sorted_and_the_same_each_time():
    from edgevision import _native

    features = _native.cpu_features()
    assert features == sorted(set(features))
    assert features == _native.cpu_features()


def test_the_version_is_the_projects():
    from edgevision import _native

    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'\nversion = "{_native.__version__}"\n' in project
