"""What an embedder says of a picture: a vector, whose direction tells what the picture shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.tasks.results import FrameId, Timing, fields_of


@dataclass(frozen=True, eq=False)
class Embedding:
    """``vector``: [dimension] float32, of length 1. Pictures of the same product point in nearly the same direction."""

    vector: npt.NDArray[np.float32]
    timing: Timing
    frame: FrameId = field(default_factory=FrameId)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "vector": [float(number) for number in self.vector],
            "timing": fields_of(self.timing),
            "frame": fields_of(self.frame),
        }
