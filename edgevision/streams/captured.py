"""One decoded frame of one camera, and when it was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevision.frames import Frame


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame as its source gives it: still YUV where the source has YUV.

    ``frame``: ``camera`` is its name; ``sequence``, None until it is counted in the ledger, counts the frames of this camera from 0 and
    never restarts while the process lives; ``captured_ns`` is the camera's own clock (UTC), or None until it is known.
    ``received_s``: when it was decoded, in seconds of the monotonic clock. ``captured_s``: the best estimate of when it was
    captured, on the same clock; equal to ``received_s`` where the camera tells nothing. ``deadline_s``: when somebody waits for the result
    no longer, on that clock; infinite: as long as its camera's ``max_age`` allows.
    """

    frame: Frame
    received_s: float
    captured_s: float
    deadline_s: float = math.inf

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
