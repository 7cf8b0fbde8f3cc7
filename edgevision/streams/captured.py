"""One frame of one camera, and when it was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevision.frames import Frame
from edgevision.streams.encoded import EncodedFrame


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame as its source gives it: still YUV where the source has YUV, and not decoded yet where it came as a file (JPEG).

    ``frame``: ``camera`` is its name; ``sequence``, None until it is counted in the ledger, counts the frames of this camera from 0 and
    never restarts while the process lives; ``captured_ns`` is the camera's own clock (UTC), or None until it is known.
    ``received_s``: when it came, in seconds of the monotonic clock. ``captured_s``: the best estimate of when it was
    captured, on the same clock; equal to ``received_s`` where the camera tells nothing. ``deadline_s``: when somebody waits for the result
    no longer, on that clock; infinite: as long as its camera's ``max_age`` allows.
    """

    frame: Frame | EncodedFrame
    received_s: float
    captured_s: float
    deadline_s: float = math.inf

    @property
    def must_be_decoded(self) -> bool:
        """Whether its pixels are still to be made."""
        return isinstance(self.frame, EncodedFrame) and not self.frame.picture.is_decoded

    def decoded(self) -> Frame:
        """The frame with its pixels, the same object each time: decoded now where it was not. Raises DamagedFrameError, and SourceError for what
        else keeps it from being decoded."""
        return self.frame.decoded() if isinstance(self.frame, EncodedFrame) else self.frame

    @property
    def camera(self) -> str:
        """The camera's name."""
        assert self.frame.camera is not None  # every source names its frames
        return self.frame.camera

    @property
    def sequence(self) -> int:
        """The frame's number among those of its camera."""
        assert self.frame.sequence is not None  # it was counted when it came
        return self.frame.sequence
