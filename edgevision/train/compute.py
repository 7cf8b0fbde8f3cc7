"""Where and in which precision the arithmetic is done."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from edgevision.errors import InputError
from edgevision.machine import cpu_features

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclass(frozen=True)
class Compute:
    """``bfloat16``: convolutions and matrix products run in bfloat16 (autocast); weights stay in float32."""

    device: torch.device
    bfloat16: bool

    def put(self, tensor: Tensor) -> Tensor:
        """On the device; pictures (four axes) with channels last, which is what CPU and tensor cores like best."""
        if tensor.ndim == 4:
            return tensor.to(self.device, memory_format=torch.channels_last)
        return tensor.to(self.device)

    @contextlib.contextmanager
    def precision(self, *, exact: bool = False) -> Iterator[None]:
        """Autocast within, unless ``exact``."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16 and not exact):
            yield


def choose_compute(device: str) -> Compute:
    """The device by name (``auto`` = CUDA where there is one), with bfloat16 where its arithmetic units have it.

    Emulated bfloat16 is slower than float32. Raises InputError when CUDA is asked for and missing.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise InputError("device is cuda, but PyTorch finds no CUDA device; use --device cpu")
    if cuda and device != "cpu":
        return Compute(torch.device("cuda"), torch.cuda.is_bf16_supported(including_emulation=False))
    return Compute(torch.device("cpu"), cpu_has_bfloat16())


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    return not {"avx512bf16", "amxbf16"}.isdisjoint(cpu_features())


@contextlib.contextmanager
def training_process(threads: int, seed: int) -> Iterator[None]:
    """What a run sets for the whole process, and puts back: threads of PyTorch and OpenCV, PyTorch's generator.

    Memory thresholds of glibc stay as they were set: large blocks are kept for the next step and not given back to
    the system and cleared anew, which makes training on a CPU about a fifth quicker.
    """
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # pictures are prepared in one thread beside the network's
    _keep_large_blocks()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _keep_large_blocks() -> None:
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
