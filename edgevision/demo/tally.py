"""Counting answers against the truth: what was recognised, what was rightly not, and what was mistaken."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from edgevision.demo.scene import SceneKind
from edgevision.tasks.results import Classification

RECENT = 40


@dataclass
class Tally:
    """Answers of one variant. ``right``: listed and named rightly, or not listed and answered "unknown"."""

    name: str
    frames: int = 0
    right: int = 0
    listed: int = 0
    top1: int = 0  # listed, and the best class is the truth, whatever its score
    rejected: int = 0  # listed, yet answered "unknown"
    mistaken: int = 0  # listed, answered with another product's name
    accepted: dict[SceneKind, int] = field(default_factory=dict)  # not listed, yet answered with a name
    others: dict[SceneKind, int] = field(default_factory=dict)  # frames without a listed product
    infer_ms: list[float] = field(default_factory=list)
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, kind: SceneKind, label: int | None, answer: Classification) -> bool:
        """Count one answer; ``label`` is the true class, None where nothing listed is shown. Whether it was right."""
        self.frames += 1
        self.infer_ms.append(answer.timing.infer_ms)
        if label is not None:
            hit = answer.best.id == label
            right = hit and answer.known
            self.listed += 1
            self.top1 += hit
            self.rejected += not answer.known
            self.mistaken += answer.known and not hit
        else:
            right = not answer.known
            self.others[kind] = self.others.get(kind, 0) + 1
            self.accepted[kind] = self.accepted.get(kind, 0) + answer.known
        self.right += right
        self.recent.append(right)
        return right

    @property
    def right_percent(self) -> float:
        """Share of all frames answered rightly."""
        return 100 * self.right / max(1, self.frames)

    @property
    def top1_percent(self) -> float | None:
        """Top-1 on the frames that show a listed product; None before the first."""
        return 100 * self.top1 / self.listed if self.listed else None

    @property
    def median_ms(self) -> float:
        """Engine time of one frame, median over the stream."""
        return median(self.infer_ms) if self.infer_ms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "frames": self.frames,
            "right": self.right,
            "right_percent": self.right_percent,
            "listed": {"frames": self.listed, "top1_percent": self.top1_percent, "answered_unknown": self.rejected,
                       "mistaken": self.mistaken},
            **{kind.value: {"frames": n, "false_accepts": self.accepted[kind]} for kind, n in self.others.items()},
            "infer_ms_p50": self.median_ms,
        }  # fmt: skip
