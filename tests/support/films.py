"""Films made by PyAV: what streams' tests decode, known to the pixel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import av
import numpy as np


def noise(count: int, height: int, width: int, *, seed: int = 0) -> list[np.ndarray]:
    """Luma that differs from frame to frame, smooth enough for codecs: ``count`` × [height, width] uint8."""
    random = np.random.default_rng((seed, height, width))
    coarse = random.integers(0, 256, (count, -(-height // 8), -(-width // 8)), dtype=np.uint8)
    return [np.kron(one, np.ones((8, 8), np.uint8))[:height, :width] for one in coarse]


def i420(luma: np.ndarray, blue: int = 90, red: int = 170) -> np.ndarray:
    """PyAV's array of an I420 picture with that luma: [3/2 H, W]."""
    height, width = luma.shape
    chroma = [np.full(height * width // 4, value, np.uint8).reshape(-1, width) for value in (blue, red)]
    return np.concatenate([luma, *chroma])


def encoded(
    pictures: Sequence[np.ndarray], *, codec: str = "libx264", container: str = "h264", format: str = "yuv420p", fps: int = 25,
    options: dict[str, str] | None = None,
) -> bytes:  # fmt: skip
    """A film of these arrays, which are as PyAV wants them for ``format``."""
    written = io.BytesIO()
    with av.open(written, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=fps)
        first = av.VideoFrame.from_ndarray(pictures[0], format=format)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, format
        stream.options = options or {}
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format=format)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return written.getvalue()


LOSSLESS = {"qp": "0", "preset": "ultrafast", "tune": "zerolatency", "g": "5"}
QUICK = {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}
