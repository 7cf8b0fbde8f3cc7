"""YOLO's text labels: one file beside each photo, a row for each product.

    class x y w h                 a box: its centre and its size
    class x1 y1 x2 y2 x3 y3 …     an outline of four points or more: its bounding box is taken, with the outline's area

Numbers are shares of the photo's sides, 0…1; classes count from 0. The labels of ``…/images/a.jpg`` are in
``…/labels/a.txt``, as Ultralytics has it (the last folder called ``images``); where no folder is called so, beside the photo.
A photo without a label file shows no product, and so does one whose file is empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import DataError
from edgevision.evaluate.data.boxed import (
    TOLERANCE,
    BadBoxError,
    BoxedPhotos,
    Faults,
    Remarks,
    cut_to_photo,
    each_once,
    photo_boxes,
    size_or_none,
)
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.folders import FolderPhotos, photos_below
from edgevision.evaluate.data.text import read_text
from edgevision.tasks.results import Label

MAX_CLASSES = 100_000
_NO_FILE = "photos without a label file, which count as photos without a product"
_EMPTY = "photos with an empty label file, which show no product"


@dataclass(frozen=True)
class _Row:
    """One row: its line (from 1), class, corners in shares of the photo, and the outline's area as such a share, if it is one."""

    line: int
    label: int
    corners: tuple[float, float, float, float]
    area: float | None


def labels_file(photo: Path) -> Path:
    """Where the labels of a photo are.

    >>> labels_file(Path("shop/images/train/a.jpg")).as_posix()
    'shop/labels/train/a.txt'
    """
    parts = list(photo.parts if "images" in photo.parts[:-1] else photo.absolute().parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def has_labels(folder: Path, photos: Sequence[Path]) -> bool:
    """Whether a folder of photos has YOLO's labels: in a folder ``labels``; or beside them, with a ``classes.txt``."""
    beside = (folder / "classes.txt").is_file()
    return any(
        (beside or file.absolute().parent != photo.absolute().parent) and file.is_file()
        for photo, file in ((photo, labels_file(photo)) for photo in photos)
    )


def read_yolo_folder(folder: Path) -> BoxedPhotos:
    """Photos below ``folder`` with their labels. Names of classes are those of a ``classes.txt``, one a line; without one, they
    are known by number alone.

    Raises DataError for bad labels, naming file and line.
    """
    names = _names_beside(folder)
    found = photos_below(folder / "images" if (folder / "images").is_dir() else folder)
    return read_yolo_photos(found, names, str(folder))


def read_yolo_photos(found: FolderPhotos, names: Sequence[str] | None, source: str) -> BoxedPhotos:
    """``found`` photos with their labels. ``names`` of the classes; None = known by number alone.

    Raises DataError for bad labels, naming file and line, and where no photo has a label file.
    """
    faults, remarks = Faults(), Remarks()
    rows: dict[Path, list[_Row]] = {}
    without: list[Path] = []
    for photo in found.photos:
        file = labels_file(photo)
        if not file.is_file():
            without.append(photo)
            continue
        rows[photo] = read_rows(file, None if names is None else len(names), faults)
        if not rows[photo] and not faults.found:
            remarks.count(_EMPTY)
    if without and not rows:
        raise DataError(
            f"{source}: none of {len(without)} photos has a label file; expected such as {labels_file(without[0])} for {without[0]}. "
            "Labels belong into a folder 'labels' beside 'images'"
        )
    for _ in without:
        remarks.count(_NO_FILE)
    photos: list[tuple[Path, PhotoBoxes | None]] = []
    for photo in found.photos:
        size = size_or_none(photo)
        if size is None:
            photos.append((photo, None))
            continue
        boxes = _boxes(labels_file(photo), rows.get(photo, []), size, faults)
        photos.append((photo, photo_boxes(each_once(boxes, remarks), size, remarks)))
    faults.refuse()
    count = 1 + max((row.label for some in rows.values() for row in some), default=-1)
    labels = tuple(Label(i, name) for i, name in enumerate(names if names is not None else map(str, range(count))))
    return BoxedPhotos(tuple(photos), labels, source, remarks.texts(source), found.broken_links)


def read_rows(file: Path, classes: int | None, faults: Faults) -> list[_Row]:
    """The rows of a label file; what is wrong with one goes to ``faults``. ``classes``: how many there are, None = not known.

    Raises DataError for what is no text.
    """
    rows = []
    for line, text in enumerate(read_text(file, "YOLO labels").split("\n"), 1):
        if not text.strip():
            continue
        try:
            rows.append(_row(line, text.split(), classes))
        except BadBoxError as error:
            faults.add(file, line, str(error))
    return rows


def _row(line: int, words: Sequence[str], classes: int | None) -> _Row:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise BadBoxError(f"expected numbers, got {' '.join(words)[:60]!r}") from None
    if not all(math.isfinite(number) for number in numbers):
        raise BadBoxError(f"a number is not finite: {' '.join(words)[:60]}")
    _check_count(len(numbers))
    label = _class(numbers[0], classes)
    values = numbers[1:]
    if min(values) < -TOLERANCE or max(values) > 1 + TOLERANCE:
        worst = max(values, key=lambda value: abs(value - 0.5))
        hint = "; these look like pixels" if max(values) > 2 else ""
        raise BadBoxError(
            f"numbers are shares of the photo's sides, 0…1 (± {TOLERANCE:g} for rounding), got {worst:g}{hint}"
        )
    if len(values) == 4:
        x, y, w, h = values
        if w < 0 or h < 0:
            raise BadBoxError(f"the box has a negative size: {w:g} × {h:g}")
        return _Row(line, label, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), None)
    xs, ys = values[::2], values[1::2]
    return _Row(line, label, (min(xs), min(ys), max(xs), max(ys)), _outline_area(xs, ys))


def _check_count(count: int) -> None:
    """Raises BadBoxError unless so many numbers, the class among them, can be read in one way."""
    if count < 5:
        raise BadBoxError(f"expected 'class x y w h', or a class and an outline, got {count} numbers")
    if count == 6:
        raise BadBoxError(
            "6 numbers are neither a box (5) nor an outline (an odd number); this looks like a prediction with a score behind "
            "it: remove the score"
        )
    if count == 7:
        raise BadBoxError(
            "7 numbers may be an outline of three points, or a box with a score and a track: repeat the last point of an "
            "outline, or remove the last two of a box"
        )
    if count % 2 == 0:
        raise BadBoxError(
            f"an outline is a class and an x and a y for each point, got an odd number of coordinates ({count - 1})"
        )


def _class(number: float, classes: int | None) -> int:
    if number != int(number) or number < 0:
        raise BadBoxError(f"a class is a whole number from 0, got {number:g}")
    if classes is not None and number >= classes:
        raise BadBoxError(f"class {number:g} is not one of the {classes} classes 0…{classes - 1}")
    if number >= MAX_CLASSES:
        raise BadBoxError(f"class {number:g} is more than the {MAX_CLASSES} that are read")
    return int(number)


def _outline_area(xs: Sequence[float], ys: Sequence[float]) -> float:
    """By the shoelace formula, as a share of the photo."""
    turned = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(math.fsum(x * next_y - next_x * y for x, y, next_x, next_y in turned)) / 2


def _boxes(file: Path, rows: Sequence[_Row], size: tuple[int, int], faults: Faults) -> list[Box]:
    height, width = size
    boxes = []
    for row in rows:
        x1, y1, x2, y2 = row.corners
        try:
            corners = cut_to_photo((x1 * width, y1 * height, x2 * width, y2 * height), height, width)
        except BadBoxError as error:
            faults.add(file, row.line, str(error))
            continue
        area = None if row.area is None else row.area * width * height
        boxes.append(Box(row.label, *corners, area=area))
    return boxes


def _names_beside(folder: Path) -> list[str] | None:
    """The names of a ``classes.txt`` in the folder, in its ``labels``, or in the ``labels`` beside it; None where there is none."""
    beside = labels_file(folder / "images" / "x.jpg").parent if (folder / "images").is_dir() else None
    for place in (folder, beside, labels_file(folder / "x.jpg").parent):
        file = None if place is None else place / "classes.txt"
        if file is not None and file.is_file():
            return [line.strip() for line in read_text(file, "names of classes").split("\n") if line.strip()]
    return None
