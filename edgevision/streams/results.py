"""What the stream gives for each frame that was served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.frames import Frame
from edgevision.streams.fates import Fate


@dataclass(frozen=True, eq=False)
class StreamResult:
    """The model's answer for one frame of one camera. Those of a camera come in the order of their ``sequence``.

    ``result``: what the model gives: ``Classification``, ``Detections`` or ``Products``. ``captured_ns``: the camera's own clock
    (UTC nanoseconds since 1970), or None where it told none; of a video file, the film's time. ``age_s``: seconds from the capture to this result.
    ``gap``: what became of the camera's frames between its last result and this one; empty where none was lost.
    ``model_id``: which model answered. ``frame``: kept where somebody asked for pictures.
    """

    camera: str
    sequence: int
    result: Any
    captured_ns: int | None
    age_s: float
    gap: Mapping[Fate, int] = field(default_factory=dict)
    model_id: str = ""
    frame: Frame | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the frame. A result without ``to_dict`` is taken as it is."""
        result = self.result.to_dict() if hasattr(self.result, "to_dict") else self.result
        return {
            "camera": self.camera,
            "sequence": self.sequence,
            "captured_ns": self.captured_ns,
            "age_s": self.age_s,
            "gap": {fate.value: count for fate, count in self.gap.items()},
            "model_id": self.model_id,
            "result": result,
        }
