"""Compile the CUDA kernel with a CUDA 12 NVRTC into one fatbin: machine code for each architecture it knows, and PTX.

CUDA 12 ships no nvcc as a Python package, but its NVRTC, which is the same compiler as a library and needs neither a
driver nor a GPU:

    pip install nvidia-cuda-nvrtc-cu12==12.2.140
    python compile_nvrtc.py --nvrtc …/nvidia/cuda_nvrtc/lib/libnvrtc.so.12 preprocess-cuda12.fatbin

A driver loads machine code of its own major version, whatever the minor one: so take the oldest that knows the
architectures wanted (12.2: 50…90, Orin's 87 among them). Cards that it does not know compile the PTX.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = 53  # Jetson Nano; what is older has no driver of CUDA 12 that matters here

# What the kernel needs of the C headers, which NVRTC does not have. memcpy is built in.
HEADERS = {
    "math.h": "",
    "string.h": "",
    "stdint.h": (
        "typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t;"
        "typedef unsigned short uint16_t; typedef int int32_t; typedef unsigned int uint32_t;"
        "typedef long int64_t; typedef unsigned long uint64_t; typedef unsigned long uintptr_t;"
    ),
    "tile.h": (HERE / "tile.h").read_text(encoding="utf-8"),
    "../pixel.h": (HERE.parent / "pixel.h").read_text(encoding="utf-8"),
    "row_job.h": (HERE.parent / "row_job.h").read_text(encoding="utf-8"),
}


class Nvrtc:
    """The few calls of libnvrtc that compile one source."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)

    def architectures(self) -> list[int]:
        """Compute capabilities that this NVRTC knows, times ten, ascending."""
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", found)
        return sorted(found)

    def compile(self, source: str, target: str) -> bytes:
        """Machine code for a ``target`` such as sm_87, PTX for one such as compute_53. Raises RuntimeError with the log."""
        program = ctypes.c_void_p()
        texts = (ctypes.c_char_p * len(HEADERS))(*(text.encode() for text in HEADERS.values()))
        names = (ctypes.c_char_p * len(HEADERS))(*(name.encode() for name in HEADERS))
        self._call(
            "nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"preprocess.cu", len(HEADERS), texts, names
        )
        options = [f"--gpu-architecture={target}", "--std=c++17", "--fmad=false"]
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        try:
            self._call("nvrtcCompileProgram", program, len(options), arguments)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self._get('ProgramLog', program).decode(errors='replace')}") from None
        else:
            return self._get("PTX" if target.startswith("compute") else "CUBIN", program)
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _get(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def _call(self, name: str, *arguments: object) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise RuntimeError(f"{name} failed with status {status}")


def main() -> None:
    """Compile for every architecture, and join the results with CUDA's own fatbinary."""
    parser = argparse.ArgumentParser(description="Compile the CUDA kernel with a CUDA 12 NVRTC into one fatbin.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--nvrtc", required=True, help="libnvrtc.so.12")
    parser.add_argument("--fatbinary", default="fatbinary", help="program of any CUDA toolkit")
    parser.add_argument(
        "--architectures", type=int, nargs="*", help="such as 87 90; all that NVRTC knows where left out"
    )
    options = parser.parse_args()

    nvrtc = Nvrtc(options.nvrtc)
    source = (HERE / "preprocess.cu").read_text(encoding="utf-8")
    wanted = options.architectures or [arch for arch in nvrtc.architectures() if arch >= OLDEST]
    targets = {f"sm_{arch}": f"kind=elf,sm={arch}" for arch in wanted}
    targets[f"compute_{wanted[0]}"] = f"kind=ptx,sm={wanted[0]}"

    with tempfile.TemporaryDirectory() as folder:
        images = []
        with ThreadPoolExecutor(2) as pool:
            for target, code in zip(targets, pool.map(lambda t: nvrtc.compile(source, t), targets), strict=True):
                file = Path(folder) / target
                file.write_bytes(code)
                images.append(f"--image3={targets[target]},file={file}")
        # Not compressed: drivers of CUDA 12 read only what the fatbinary of their time wrote.
        command = [options.fatbinary, f"--create={options.output}", "-64", "--compress=false", *images]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
