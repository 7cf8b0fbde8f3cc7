"""Where products are in a photo, as somebody marked them: the truth of detection."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """One marked product. ``label``: its class, a place in the data set's labels. Corners in the photo's pixels, continuous
    (pixel ``i`` covers ``i … i + 1``). ``crowd``: marks a heap, which may be found any number of times or not at all (COCO's
    ``iscrowd``). ``area``: in square pixels, of the product's outline where that is known, else of the box.

    >>> Box(0, 10.0, 20.0, 30.0, 60.0).pixels
    800.0
    """

    label: int
    x1: float
    y1: float
    x2: float
    y2: float
    crowd: bool = False
    area: float | None = None

    @property
    def pixels(self) -> float:
        """``area``, or that of the box."""
        return (self.x2 - self.x1) * (self.y2 - self.y1) if self.area is None else self.area


class PhotoBoxes(NamedTuple):
    """All products of a photo of ``height`` × ``width`` pixels; may be none. A value that can be hashed."""

    height: int
    width: int
    boxes: tuple[Box, ...]
