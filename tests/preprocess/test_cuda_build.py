"""The CUDA kernel compiles for every architecture, and holds nothing that could round differently. Needs no GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.requires("nvcc")

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "kernels/cuda/preprocess.cu"


def nvcc(*arguments: str) -> str:
    done = subprocess.run(
        ["nvcc", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def architectures() -> list[str]:
    """What this nvcc knows, such as 75, 87 and 120."""
    return re.findall(r"compute_(\d+)", nvcc("--list-gpu-arch"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has nothing but kernels/cuda."""
    source = tmp_path_factory.mktemp("fatbin")
    (source / "kernels").mkdir(parents=True)
    for name in ("row_job.h", "pixel.h"):
        shutil.copy(ROOT / "kernels" / name, source / "kernels")
    shutil.copytree(ROOT / "kernels/cuda", source / "kernels/cuda")
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(fatbin LANGUAGES NONE)\nadd_subdirectory(kernels/cuda)\n"
    )
    return source


class Built(NamedTuple):
    """The fatbin that CMake builds, for which architectures, and what the compiler said of its code."""

    file: Path
    architectures: list[str]
    said: str


def build(project: Path, folder: Path, architectures: list[str], *options: str) -> Built:
    environment = {**os.environ, "NVCC_APPEND_FLAGS": "-Xptxas -v"}
    said = ""
    for command in (["cmake", "-S", str(project), "-B", str(folder), *options], ["cmake", "--build", str(folder)]):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, env=environment
        )
        said = done.stdout
    (file,) = (project / "edgevision/preprocess/kernels").glob("*.fatbin")
    return Built(file, architectures, said)


def fatbin_entries(file: Path) -> list[tuple[str, int]]:
    """(kind, architecture) of each piece of code, by the container's own headers: a file header of 16 bytes, then for
    each piece kind (1 PTX, 2 machine code) at 0, header size at 4, payload size at 8, architecture at 28.
    """
    data = file.read_bytes()
    assert int.from_bytes(data[:4], "little") == 0xBA55ED50
    entries, at = [], 16
    while at < len(data):
        kind, header = (int.from_bytes(data[at + o : at + o + n], "little") for o, n in ((0, 2), (4, 4)))
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        entries.append(({1: "ptx", 2: "elf"}[kind], int.from_bytes(data[at + 28 : at + 32], "little")))
        at += header + size
    return entries


def check_entries(file: Path, machine_code: list[str], oldest: str) -> None:
    entries = fatbin_entries(file)
    assert sorted(arch for kind, arch in entries if kind == "elf") == sorted(map(int, machine_code))
    assert [arch for kind, arch in entries if kind == "ptx"] == [int(oldest)]
    assert file.stat().st_size < 4_000_000


@pytest.fixture(scope="module")
def built(project, architectures, tmp_path_factory) -> Built:
    """For what it is made for, Jetson Orin and Hopper, where the compiler knows these."""
    named = [one for one in ("87", "90") if one in architectures] or architectures[:1]
    return build(project, tmp_path_factory.mktemp("built"), named, f"-DEDGEVISION_CUDA_ARCHITECTURES={';'.join(named)}")


def test_the_fatbin_has_code_for_the_architectures_named_and_ptx_for_the_next(built, architectures):
    check_entries(built.file, built.architectures, architectures[0])


def test_unless_some_are_named_all_that_the_compiler_knows_are_asked_for(project, architectures, tmp_path):
    subprocess.run(["cmake", "-S", str(project), "-B", str(tmp_path)], capture_output=True, check=True)
    asked = {found for file in tmp_path.rglob("build.make") for found in re.findall(r"code=sm_(\d+)", file.read_text())}
    assert asked == set(architectures)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_architecture_compiles(project, architectures, tmp_path):
    check_entries(build(project, tmp_path, architectures).file, architectures, architectures[0])


def test_without_nvcc_the_build_says_what_is_missing(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        f'cmake_minimum_required(VERSION 3.20)\nproject(x LANGUAGES NONE)\nadd_subdirectory("{SOURCE.parent}" cuda)\n'
    )
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), "-DEDGEVISION_NVCC=OFF"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nvcc not found" in done.stdout
    assert "preprocessing runs on the CPU" in done.stdout


@pytest.fixture(scope="module")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compiled without -fmad=false: the source alone has to keep products and sums from being contracted."""
    file = tmp_path_factory.mktemp("ptx") / "preprocess.ptx"
    nvcc("-ptx", "-std=c++17", "-O3", "-arch=compute_75", "-o", str(file), str(SOURCE))
    return file.read_text()


def test_no_multiplication_is_left_that_could_be_contracted(ptx):
    wrong = re.findall(r"\b(?:mul|mad)\.(?:\w+\.)*(?:f32|f64|f16x2|f16)\b.*", ptx)
    assert not wrong
    assert "fma.rn.f32" in ptx
    assert not re.findall(r"\b(?:fma|add|sub)\.(?:rz|rm|rp|ftz|rn\.ftz)\S*", ptx)
    assert not re.findall(r"\.approx|\.full\.f32", ptx)


def test_bytes_come_through_the_read_only_cache_and_go_to_global_memory(ptx):
    assert "ld.global.nc.u8" in ptx
    assert "ld.global.nc.u16" in ptx
    assert "st.global.u64" in ptx


def test_nothing_spills(built):
    """Where lines are interpolated."""
    assert "warning" not in built.said
    spills: dict[str, list[int]] = {}  # by function: bytes, for each architecture
    for name, bytes_ in re.findall(r"Function properties for (\S+)\n.*?(\d+) bytes spill stores", built.said):
        spills.setdefault(name, []).append(int(bytes_))
    assert spills.pop("edgevision_preprocess") == [0] * len(built.architectures)
    # The wide filter and unaligned frames have a function of their own, which is no slower for what it spills.
    assert spills
    assert all(max(bytes_) <= 64 for bytes_ in spills.values()), spills
