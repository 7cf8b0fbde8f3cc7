"""A camera's frames, one after the other: NV12 planes straight into the model, and how long each took.

python examples/02_camera_loop/main.py [BUNDLE [FRAMES]]

The camera is drawn (320×320 pixels); yours gives the same two planes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

import cv2

import edgevision as ev
from edgevision.demo.scene import render
from edgevision.demo.stream import stream


def camera(frames: int) -> Iterator[ev.Frame]:
    """Frames as a camera's driver gives them: a luma plane, and a plane of U and V samples, taken turn about."""
    for shot in stream(seed=1, frames=frames):
        image = render(shot.scene)
        height, width = image.shape[:2]
        i420 = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        luma = i420[:height]
        u, v = i420[height:].reshape(2, height // 2, width // 2)
        yield ev.Frame(
            (luma, cv2.merge([u, v])),  # Y [H, W], UV [H/2, W/2, 2]
            height,
            width,
            ev.PixelFormat.NV12,
            ev.ColorEncoding.BT601_LIMITED,  # as most cameras encode; HD ones often BT709_LIMITED
            camera="till-1",
            sequence=shot.index,
            captured_ns=time.time_ns(),
        )


def main(bundle: str = "runs/demo/model.edge", frames: str = "60") -> None:
    spent_ms, age_ms, shown = [], [], None
    with ev.load(bundle) as model:
        for frame in camera(int(frames)):
            started = time.perf_counter()
            result = model.predict(frame)
            spent_ms.append(1e3 * (time.perf_counter() - started))
            # The result says which frame it belongs to, so its age can be told wherever it is used.
            if result.frame.captured_ns is not None:
                age_ms.append((time.time_ns() - result.frame.captured_ns) / 1e6)
            answer = result.best.name if result.known else "not known"
            if answer != shown:  # say only what changes
                print(f"{result.frame.camera}, frame {result.frame.sequence}: {answer}")
                shown = answer
    p50, p95 = statistics.median(spent_ms), statistics.quantiles(spent_ms, n=20)[-1]
    print(f"{len(spent_ms)} frames: half within {p50:.2f} ms, 95 % within {p95:.2f} ms")
    print(f"median age of a result: {statistics.median(age_ms):.2f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
