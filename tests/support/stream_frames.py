"""Frames of cameras, as sources of the streaming runtime give them."""

from __future__ import annotations

import numpy as np

from edgevision.frames import Frame
from edgevision.streams.captured import Captured

PIXELS = np.zeros((2, 2, 3), np.uint8)


def captured(sequence: int, received_s: float = 0.0, *, camera: str = "till", age_s: float = 0.0) -> Captured:
    """A frame that was captured ``age_s`` before it was received."""
    frame = Frame.from_array(PIXELS, camera=camera, sequence=sequence)
    return Captured(frame, received_s, received_s - age_s)
