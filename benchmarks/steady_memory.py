"""Memory over many calls of ``predict``: resident bytes after the warm-up and at the end, and the slope between.

    .venv/bin/python -m benchmarks.steady_memory classifier.edge [--engine onnxruntime] [--calls 100000]

Calls take turns: a JPEG's bytes, arrays of three sizes, an NV12 frame, a list of eight, an awaited call with a deadline, and one with bytes that are
no picture (an error). The slope is by least squares over the second half, with its 95 % interval from a block bootstrap, in bytes a call.
Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import edgevision as ev
from benchmarks.common import write_result
from edgevision.demo.scene import SceneKind, render, sample_scene

SAMPLES = 200
BLOCK = 10  # samples that are drawn together, for neighbours are alike


def resident_bytes() -> int:
    """Of this process."""
    status = Path("/proc/self/status").read_text("ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def inputs() -> list[Any]:
    rng = np.random.default_rng(5)
    pictures = [render(sample_scene(rng, SceneKind.LISTED, side_px=side)) for side in (320, 640, 480)]
    jpeg = cv2.imencode(".jpg", pictures[1])[1].tobytes()
    luma, chroma = rng.integers(0, 256, (480, 640), np.uint8), rng.integers(0, 256, (240, 320, 2), np.uint8)
    nv12 = ev.Frame((luma, chroma), 480, 640, ev.PixelFormat.NV12, ev.ColorEncoding.BT601_LIMITED)
    return [jpeg, *pictures, nv12]


def slope(x: npt.NDArray[Any], y: npt.NDArray[Any], resamples: int = 2000) -> tuple[float, float, float]:
    """Least squares, and its 95 % interval by a block bootstrap of what the line leaves."""
    fitted = np.polyfit(x, y, 1)
    left = y - np.polyval(fitted, x)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(resamples):
        starts = rng.integers(0, len(x) - BLOCK, -(-len(x) // BLOCK))
        drawn = np.concatenate([left[start : start + BLOCK] for start in starts])[: len(x)]
        found.append(np.polyfit(x, np.polyval(fitted, x) + drawn, 1)[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(fitted[0]), float(low), float(high)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("--engine")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--calls", type=int, default=100_000)
    p.add_argument("--out", help="name of the file under benchmarks/results")
    given = p.parse_args()
    warnings.simplefilter("ignore")
    pictures = inputs()
    loop = asyncio.new_event_loop()
    counts: list[int] = []
    memory: list[int] = []
    with ev.load(given.bundle, engine=given.engine, threads=given.threads) as model:
        began_s = time.monotonic()
        for number in range(given.calls):
            turn = number % 8
            if turn < 5:
                model.predict(pictures[turn])
            elif turn == 5:
                loop.run_until_complete(model.predict_async(pictures[0], deadline_s=60))
            elif turn == 6:
                with contextlib.suppress(ev.errors.ImageError):
                    model.predict(b"\xff\xd8 no picture")
            elif number % 64 == 7:
                model.predict(pictures[1:4] * 2)
            if number % max(1, given.calls // SAMPLES) == 0:
                counts.append(number)
                memory.append(resident_bytes())
        seconds = time.monotonic() - began_s
        described = {"variant": model.variant.id, "threads": model.threads, "bundle": given.bundle.name}
    half = len(counts) // 2
    per_call, low, high = slope(np.array(counts[half:], float), np.array(memory[half:], float))
    gc.collect()
    warm = memory[len(memory) // 10]
    result = {
        **described, "calls": given.calls, "seconds": round(seconds, 1), "warm_mb": warm / 1e6, "end_mb": memory[-1] / 1e6,
        "greatest_after_warm_up_mb": max(memory[len(memory) // 10 :]) / 1e6, "bytes_a_call": per_call,
        "bytes_a_call_95": [low, high], "samples": [counts, memory],
    }  # fmt: skip
    print(
        f"{described['variant']}: {given.calls} calls in {seconds:.0f} s; {warm / 1e6:.2f} MB after a tenth, {memory[-1] / 1e6:.2f} MB at the "
        f"end; second half {per_call:+.2f} bytes a call (95 %: {low:+.2f} to {high:+.2f})"
    )
    if given.out:
        write_result(given.out, result)


if __name__ == "__main__":
    main()
