"""Counting boxes and crossings against the truth of a rendered world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from edgevision.demo.world.truth import Crossing, Seen
from edgevision.evaluate.statistics.average_precision import iou_matrix
from edgevision.tasks.detections import Detections
from edgevision.tracking.events import InventoryEvent

LEAST_IOU = 0.5  # of a box with a product, for the product to be found


@dataclass
class BoxTally:
    """A detector's answers on one belt, frame by frame, and what a counting line made of them.

    ``products``: views of products that had to be found, in all frames together; ``found`` by a box, ``named`` by a box with the
    right name; ``false``: boxes without a product. ``counted`` and ``crossed``: of each product, how many passed the line, as
    counted and in truth.
    """

    frames: int = 0
    products: int = 0
    found: int = 0
    named: int = 0
    false: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    crossed: Counter[str] = field(default_factory=Counter)
    frame_ms: list[float] = field(default_factory=list)

    def add(self, seen: Sequence[Seen], answer: Detections, frame_ms: float) -> None:
        """Count one frame: the best box first, each with the product that it overlaps most and that no better one has.

        Products that need not be found are neither found nor missed, and a box on one is not false.
        """
        self.frames += 1
        self.frame_ms.append(frame_ms)
        self.products += sum(not one.crowd for one in seen)
        overlaps = iou_matrix(answer.boxes, np.array([one.box for one in seen]).reshape(-1, 4))
        for row, place in zip(overlaps, answer.classes.tolist(), strict=True):
            if row.max(initial=0) < LEAST_IOU:
                self.false += 1
                continue
            column = int(row.argmax())
            overlaps[:, column] = 0  # it is taken
            one = seen[column]
            if not one.crowd:
                self.found += 1
                self.named += one.label == place

    def add_events(self, events: Iterable[InventoryEvent]) -> None:
        """What the line counted in a frame; what went back is taken off."""
        for event in events:
            self.counted[event.product] += event.delta

    def set_truth(self, crossings: Iterable[Crossing], names: Sequence[str]) -> None:
        """What truly passed the line up to now."""
        self.crossed = Counter(names[one.label] for one in crossings)

    @property
    def rows(self) -> list[tuple[str, int, int]]:
        """Each product with what was counted and what truly passed, most first. Without those that were counted and taken off again."""
        there = {name for tally in (self.counted, self.crossed) for name, count in tally.items() if count}
        names = sorted(there, key=lambda name: (-self.crossed[name], name))
        return [(name, self.counted[name], self.crossed[name]) for name in names]

    @property
    def count_errors(self) -> int:
        """Products too many and too few, each product for itself."""
        return sum(abs(counted - crossed) for _, counted, crossed in self.rows)

    @property
    def median_ms(self) -> float:
        """Time of a frame, median: detection, tracking, counting."""
        return median(self.frame_ms) if self.frame_ms else 0.0

    def percent(self, count: int) -> float:
        """Share of the products that had to be found."""
        return 100 * count / max(1, self.products)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "frames": self.frames,
            "products": self.products,
            "found_percent": self.percent(self.found),
            "named_percent": self.percent(self.named),
            "false_boxes": self.false,
            "counted": self.counted.total(),
            "crossed": self.crossed.total(),
            "count_errors": self.count_errors,
            "by_product": {name: {"counted": counted, "crossed": crossed} for name, counted, crossed in self.rows},
            "frame_ms_p50": self.median_ms,
        }
