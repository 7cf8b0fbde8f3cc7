"""Frames of cameras, as sources of the streaming runtime give them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgevision.errors import ImageError
from edgevision.frames import Frame
from edgevision.streams.captured import Captured
from edgevision.streams.encoded import EncodedFrame, EncodedPicture

PIXELS = np.zeros((2, 2, 3), np.uint8)


def captured(sequence: int, received_s: float = 0.0, *, camera: str = "till", age_s: float = 0.0) -> Captured:
    """A frame that was captured ``age_s`` before it was received."""
    frame = Frame.from_array(PIXELS, camera=camera, sequence=sequence)
    return Captured(frame, received_s, received_s - age_s)


class Pictures:
    """Frames that are still to be decoded, each a grey level. ``decoded``: sequences, in the order in which decoding began. ``before``: called with
    each in the thread that decodes; what it raises is what the decoder raises."""

    def __init__(self, before: Callable[[int], None] = lambda sequence: None) -> None:
        self.decoded: list[int] = []
        self.before = before

    def captured(
        self, sequence: int, received_s: float = 0.0, *, camera: str = "till", level: int | None = None
    ) -> Captured:
        level = sequence % 256 if level is None else level
        picture = EncodedPicture(lambda: self._decode(sequence, level), lambda: bytes([level]) * 40)
        return Captured(EncodedFrame(picture, camera, sequence), received_s, received_s)

    def _decode(self, sequence: int, level: int) -> Frame:
        self.decoded.append(sequence)
        self.before(sequence)
        return Frame.from_array(np.full((2, 2, 3), level, np.uint8))


def damaged(*sequences: int) -> Callable[[int], None]:
    """For ``Pictures``: these cannot be decoded."""

    def refuse(sequence: int) -> None:
        if sequence in sequences:
            raise ImageError("the JPEG file is truncated or damaged")

    return refuse
