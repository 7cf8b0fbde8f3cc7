"""The kernels by themselves, without Python: builds the programs of this folder, and runs them on this CPU, on an
emulated ARM, and under sanitizers.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)  # the first test of a build compiles it

ROOT = Path(__file__).parents[2]

ARM = f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/cmake/aarch64-linux-gnu.cmake"
QEMU = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
CLANG = "-DCMAKE_CXX_COMPILER=clang++"
O1 = "-DCMAKE_CXX_FLAGS_RELEASE=-O1"  # compiles in half the time
ASAN = "-DCMAKE_CXX_FLAGS=-fsanitize=address"

# Build → the requirement it has, what sets it apart, and what runs its programs.
BUILDS: dict[str, tuple[str, list[str], list[str]]] = {
    "host": ("compiler", [], []),
    "clang": ("clang", [CLANG], []),
    "aarch64": ("aarch64", [ARM], QEMU),
    "sanitizers": ("sanitizers", [CLANG, O1, "-DEDGEVISION_FUZZ=ON"], []),  # AddressSanitizer, UBSan, and the fuzzer
    # AddressSanitizer alone. Its leak detector stops its own program to look at it, which QEMU does not offer.
    "aarch64-sanitizers": ("aarch64", [ARM, O1, ASAN], ["env", "ASAN_OPTIONS=detect_leaks=0", *QEMU]),
}


SLOW_BUILDS = ("clang",)  # those with sanitizers are Clang's too, and in every run


def on(build: str, *values: Any) -> Any:
    """A case for one build."""
    slow = (pytest.mark.slow,) if build in SLOW_BUILDS else ()
    return pytest.param(build, *values, marks=(pytest.mark.requires(BUILDS[build][0]), *slow), id=build)


def at_length(build: str, *values: Any) -> Any:
    """The same with more draws than a change to anything else should wait for."""
    marks = (pytest.mark.requires(BUILDS[build][0]), pytest.mark.slow)
    return pytest.param(build, *values, marks=marks, id=f"{build}-at-length")


def run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("CXX", "CXXFLAGS", "MAKEFLAGS")}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def build_target(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Makes a target of a build; gives the build's folder."""
    folders: dict[str, Path] = {}

    def make(build: str, target: str) -> Path:
        if build not in folders:
            folder = tmp_path_factory.mktemp(build)
            generator = ["-G", "Ninja"] if shutil.which("ninja") else []
            options = ["-DEDGEVISION_PYTHON=OFF", "-DEDGEVISION_CHECKS=ON", *BUILDS[build][1]]
            run(["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *options])
            folders[build] = folder
        run(["cmake", "--build", str(folders[build]), "--target", target, "--parallel", "2"])
        return folders[build]

    return make


@pytest.fixture(scope="module")
def program(build_target: Callable[[str, str], Path]) -> Callable[..., str]:
    """Runs a program of a build; gives what it prints."""

    def start(build: str, name: str, *arguments: str) -> str:
        return run([*BUILDS[build][2], str(build_target(build, name) / "tests/native" / name), *arguments])

    return start


def host_loops() -> str:
    """The loops that this CPU must be given, as Linux sees it."""
    if platform.machine() in ("aarch64", "arm64"):
        return "neon "
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    found = ["avx2 "] if {"avx2", "fma", "f16c"} <= flags else []
    return "".join([*found, "sse41 "] if "sse4_1" in flags else found)


@pytest.mark.parametrize(
    ("build", "plans", "loops"),
    [
        on("host", 1000, host_loops()),
        on("clang", 500, host_loops()),
        on("aarch64", 400, "neon "),
        on("sanitizers", 200, host_loops()),
        on("aarch64-sanitizers", 40, "neon "),
        at_length("host", 10_000, host_loops()),
        at_length("aarch64", 3000, "neon "),
        at_length("sanitizers", 2000, host_loops()),
    ],
)
def test_the_loops_of_this_cpu_equal_the_scalar_ones(program, build, plans, loops):
    output = program(build, "check_loops", str(plans))
    assert output.startswith(f"{plans} plans, loops {loops}")
    assert output.endswith(f"loops {loops}scalar: equal\n")


def host_scans() -> str:
    """The scans that this CPU must be given, as Linux sees it."""
    if platform.machine() in ("aarch64", "arm64"):
        return ""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    needs = {
        "avx512vnni": {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"},
        "avxvnni": {"avx2", "avx_vnni"},
        "avx2": {"avx2"},
    }
    return "".join(f"{name} " for name, needed in needs.items() if needed <= flags)


@pytest.mark.parametrize(
    ("build", "tables", "scans"),
    [
        on("host", 1000, host_scans()),
        on("clang", 300, host_scans()),
        on("aarch64", 100, "dotprod neon "),
        on("sanitizers", 100, host_scans()),
        on("aarch64-sanitizers", 15, "dotprod neon "),
    ],
)
def test_a_search_finds_what_looking_at_every_row_finds(program, build, tables, scans):
    output = program(build, "check_search", str(tables))
    assert output.startswith(f"{tables} tables, scans {scans}")
    assert output.endswith("scalar: equal\n")


@pytest.mark.requires("compiler")
@pytest.mark.parametrize("build", [on("clang"), on("aarch64"), on("sanitizers")])
def test_other_compilers_and_cpus_find_the_same_rows_with_the_same_bits(program, build):
    assert program(build, "check_search", "digest", "100") == program("host", "check_search", "digest", "100")


@pytest.mark.parametrize(
    ("build", "plans"),
    [on("sanitizers", 25), at_length("host", 1000), at_length("sanitizers", 200)],
)
def test_the_threads_of_the_cuda_kernel_equal_the_scalar_loops(program, build, plans):
    output = program(build, "check_cuda_host", str(plans))
    assert output.startswith(f"{plans} plans")
    assert output.endswith(": equal\n")


@pytest.mark.parametrize(("build", "millions"), [on("host", 20), on("clang", 5), on("aarch64", 2), on("sanitizers", 2)])
def test_multiply_add_half_and_rounding_equal_the_instructions(program, build, millions):
    output = program(build, "check_pixel", str(millions))
    assert output.startswith(f"{millions} million multiply-adds")
    assert output.endswith(": equal\n")


@pytest.mark.requires("compiler")
@pytest.mark.parametrize("build", [on("clang"), on("aarch64"), on("sanitizers")])
def test_other_compilers_and_cpus_give_the_same_tensors(program, build):
    assert program(build, "check_loops", "digest", "400") == program("host", "check_loops", "digest", "400")


@pytest.mark.parametrize("build", [on("sanitizers")])
def test_the_fuzzer_finds_nothing_at_once(program, build):
    output = program(build, "fuzz_plan", "-runs=4000", "-seed=1", "-max_len=256", "-malloc_limit_mb=16", "-timeout=20")
    assert "Done 4000 runs" in output


@pytest.mark.parametrize("build", [on("host"), on("clang")])
def test_files_for_one_instruction_set_share_no_function_with_others(build_target, build):
    """A function that several object files hold is kept once. From a file compiled for AVX2, it would end the program on
    a CPU that has none: so each such function has to belong to the instruction set's own namespace.
    """
    sets = {path.parent.name for path in (ROOT / "kernels").glob("*/scan.cpp")} - {"scalar"}
    sets |= {path.parent.name for path in (ROOT / "kernels").glob("*/vector.h")}
    objects = [path for path in build_target(build, "edgevision_kernels").rglob("*.o") if path.parent.name in sets]
    assert objects
    for path in objects:
        symbols = [line.split(maxsplit=2) for line in run(["nm", "-C", "--defined-only", str(path)]).splitlines()]
        shared = [name for _, kind, name in symbols if kind in "WVu"]
        assert [name for name in shared if f"edgevision::{path.parent.name}::" not in name] == [], path
