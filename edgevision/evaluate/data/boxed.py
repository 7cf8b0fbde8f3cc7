"""What readers of marked photos have in common: what they give, sizes of photos, boxes that are cut to the photo, bad lines.

A reader never guesses. Whatever is wrong in the files is gathered, and named with file and line; what is only left out, such
as a box without area, is counted and said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.decode import image_size
from edgevision.errors import DataError, ImageError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.text import first_three
from edgevision.tasks.results import Label

# As a share of the photo's side: what rounding to three decimals may move an edge. Boxes that stick out so little are cut.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class BoxedPhotos:
    """Photos with their boxes, as a reader gives them. ``boxes`` is None for a photo whose size cannot be read: it is damaged,
    and ``photo_check`` says so. ``source``: for messages. ``remarks``: what to tell the user."""

    photos: tuple[tuple[Path, PhotoBoxes | None], ...]
    labels: tuple[Label, ...]
    source: str
    remarks: tuple[str, ...] = ()
    broken_links: tuple[Path, ...] = ()


@dataclass
class Faults:
    """Bad lines of many files, to be named together."""

    found: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)

    def add(self, path: Path, line: int | None, text: str) -> None:
        """``text`` is wrong in ``line`` (from 1) of the file."""
        self.files.add(path)
        self.found.append(f"{path}{'' if line is None else f' line {line}'}: {text}")

    def refuse(self) -> None:
        """Raise DataError that names the first three, if there are any."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise DataError(self.found[0])
        files = f"{len(self.files)} files" if len(self.files) > 1 else "one file"
        raise DataError(f"{len(self.found)} faults in {files}: {first_three(self.found)}")


@dataclass
class Remarks:
    """What is left out, counted."""

    counts: Counter[str] = field(default_factory=Counter)

    def count(self, what: str) -> None:
        """Once more ``what``, such as "boxes without area, left out"."""
        self.counts[what] += 1

    def texts(self, source: str) -> tuple[str, ...]:
        """A sentence for each."""
        return tuple(f"{source}: {what}: {number}" for what, number in self.counts.items())


NO_AREA = "boxes without area, which were left out"
TWICE = "boxes marked twice in one photo, which were taken once"


class BadBoxError(ValueError):
    """What is wrong with one box, in a few words."""


def size_or_none(path: Path) -> tuple[int, int] | None:
    """Height and width of a photo as it is decoded; None where it cannot be read."""
    try:
        return image_size(path)
    except ImageError:
        return None


def cut_to_photo(
    corners: tuple[float, float, float, float], height: int, width: int
) -> tuple[float, float, float, float]:
    """Corners x1 y1 x2 y2 in pixels, cut to the photo where they stick out by no more than ``TOLERANCE`` of its side.

    Raises BadBoxError for numbers that are none, for a negative size, and for what lies outside the photo.

    >>> cut_to_photo((-0.1, 0.0, 50.0, 50.0), 100, 200)
    (0.0, 0.0, 50.0, 50.0)
    """
    x1, y1, x2, y2 = corners
    if not all(math.isfinite(value) for value in corners):
        raise BadBoxError(f"a number of the box is not finite: {shown(corners)}")
    if x2 < x1 or y2 < y1:
        raise BadBoxError(f"the box has a negative size: {x2 - x1:g} × {y2 - y1:g}")
    out_x, out_y = max(-x1, x2 - width), max(-y1, y2 - height)
    if out_x > TOLERANCE * width or out_y > TOLERANCE * height:
        raise BadBoxError(
            f"the box reaches {max(out_x, out_y):.1f} px outside the photo of {width}×{height} px: {shown(corners)}"
        )
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def shown(numbers: Iterable[float]) -> str:
    """Numbers for a message: ``1 2.5 3 4``."""
    return " ".join(f"{number:.6g}" for number in numbers)


def photo_boxes(boxes: Iterable[Box], size: tuple[int, int], remarks: Remarks) -> PhotoBoxes:
    """The boxes of one photo of ``size`` (height, width); those without area are left out and counted."""
    kept = []
    for box in boxes:
        if box.x2 <= box.x1 or box.y2 <= box.y1:
            remarks.count(NO_AREA)
        else:
            kept.append(box)
    return PhotoBoxes(*size, tuple(kept))


def each_once(boxes: Iterable[Box], remarks: Remarks) -> tuple[Box, ...]:
    """The boxes without exact repetitions, which are counted."""
    listed = list(boxes)
    once = tuple(dict.fromkeys(listed))
    for _ in range(len(listed) - len(once)):
        remarks.count(TWICE)
    return once


def check_names(path: Path, line: int | None, names: Iterable[str]) -> None:
    """Raise DataError where two classes have one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        at = "" if line is None else f" line {line}"
        raise DataError(f"{path}{at}: each name of a class may occur once, repeated: {first_three(map(repr, twice))}")
