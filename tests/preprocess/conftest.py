"""Frames of every format, in buffers with padding, as cameras deliver them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgevision.frames import Frame, PixelFormat, plane_shapes

MakeFrame = Callable[..., Frame]


@pytest.fixture
def make_frame() -> MakeFrame:
    """``make_frame(rng, format, height, width, padded=False, **known)`` gives random samples; ``padded`` strides."""

    def make(
        rng: np.random.Generator, format: PixelFormat, height: int, width: int, padded: bool = False, **known: Any
    ) -> Frame:
        planes = []
        for shape in plane_shapes(format, height, width):
            margin = 5 if padded else 0
            buffer = rng.integers(0, 256, (shape[0] + margin, shape[1] + margin, *shape[2:]), dtype=np.uint8)
            planes.append(buffer[margin:, : shape[1]])
        return Frame(tuple(planes), height, width, format, **known)

    return make
