"""The bytes that the CUDA benchmark counts, against a count pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.frames import PixelFormat
from edgevision.preprocess import Fit, PreprocessSpec, make_plan

pytestmark = pytest.mark.requires("native")


def test_exact_thirds_read_every_sector_of_a_third_of_the_rows():
    from benchmarks.preprocess_cuda import moved_bytes

    plan = make_plan(PreprocessSpec(640, 640, Fit.LETTERBOX), 1080, 1920, PixelFormat.NV12)
    read, written = moved_bytes(plan, [1920, 1920])
    assert read == 2 * 360 * 1920  # luma rows 1, 4, 7, … and each its own chroma row
    assert written == 3 * 640 * 640 * 4


@pytest.mark.parametrize(("height", "width", "pitch"), [(64, 98, 100), (40, 600, 640), (2, 2, 2)])
def test_sectors_counted_pixel_by_pixel(height, width, pitch):
    from benchmarks.preprocess_cuda import moved_bytes

    spec = PreprocessSpec(24, 20, Fit.LETTERBOX)
    plan = make_plan(spec, height, width, PixelFormat.NV12)
    luma, chroma = set(), set()
    for y0 in np.frombuffer(plan.native.rows["first"], np.int32):
        for x0 in np.frombuffer(plan.native.columns["first"], np.int32):
            for y in range(y0, y0 + plan.native.rows["taps"]):
                for x in range(x0, x0 + plan.native.columns["taps"]):
                    luma.add((y * pitch + x) // 32)
                    chroma.add((y // 2 * pitch + x // 2 * 2) // 32)
    assert moved_bytes(plan, [pitch, pitch]) == ((len(luma) + len(chroma)) * 32, 3 * 24 * 20 * 4)
