"""What two models say of a frame, one after the other: where products are, and what each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgevision.tasks.detections import Detection, Detections
from edgevision.tasks.results import fields_of


@dataclass(frozen=True)
class Product:
    """One product. ``detection``: where it is, by the first model; ``result``: what it is, by the second, such as a
    ``Classification``."""

    detection: Detection
    result: Any

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        detection = fields_of(self.detection)
        return {"detection": {**detection, "box": list(self.detection.box)}, "result": self.result.to_dict()}


@dataclass(frozen=True, eq=False)
class Products:
    """The products in a frame, as the detections stand. ``results``: one for each detection.

    >>> for product in products:  # doctest: +SKIP
    ...     print(product.detection.box, product.result.best.name)
    """

    detections: Detections
    results: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Product]:
        return (Product(detection, result) for detection, result in zip(self.detections, self.results, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = self.detections
        return {
            "products": [product.to_dict() for product in self],
            "timing": fields_of(found.timing),
            "frame": fields_of(found.frame),
        }
