"""Pascal VOC's XML: one file for each photo, an ``object`` for each product.

VOC counts pixels from 1, and ``xmax``, ``ymax`` belong to the box: one over a whole photo is 1 1 W H. Here edges are continuous,
so that box becomes 0 0 W H: 1 is taken from ``xmin`` and ``ymin``. Many tools write the format and count from 0. A 0 tells:
where one ``xmin`` or ``ymin`` of a data set is 0, all its numbers are taken as they are, and that is said.
``difficult`` boxes count neither way, as crowds do.

The files are read by expat alone, without document types and entities, so that a small file cannot grow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from edgevision.errors import DataError
from edgevision.evaluate.data.boxed import (
    BadBoxError,
    BoxedPhotos,
    Faults,
    Remarks,
    cut_to_photo,
    photo_boxes,
    size_or_none,
)
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.coco import size_fault
from edgevision.evaluate.data.folders import FolderPhotos, photos_below, photos_in
from edgevision.tasks.results import Label

_MAX_BYTES = 16 * 2**20  # of one photo's annotation
_MAX_DEPTH = 32
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_NO_FILE = "photos without an annotation file, which count as photos without a product"
_FROM_ZERO = "boxes read as counted from 0, because one has a 0"


@dataclass
class _Element:
    """An XML element: ``line`` where it begins, from 1."""

    tag: str
    line: int
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    def child(self, tag: str) -> _Element | None:
        return next((one for one in self.children if one.tag == tag), None)

    def said(self, tag: str) -> str:
        """The text of a child; "" where there is none."""
        found = self.child(tag)
        return "" if found is None else found.text.strip()


@dataclass(frozen=True)
class _Object:
    """One marked product as the file has it. ``sides``: xmin ymin xmax ymax."""

    line: int
    name: str
    sides: tuple[float, float, float, float]
    difficult: bool


def is_voc_folder(folder: Path) -> bool:
    """Whether a folder has ``Annotations`` and ``JPEGImages``, or annotation files beside its photos."""
    if (folder / "Annotations").is_dir():
        return (folder / "JPEGImages").is_dir()
    stems = {file.stem for file in folder.glob("*.xml")}
    return bool(stems) and any(photo.stem in stems for photo in photos_in(folder).photos)


def read_voc(folder: Path, part: str | None = None) -> BoxedPhotos:
    """The photos of a Pascal VOC folder. ``part``: those listed in ``ImageSets/Main/PART.txt``; None = ``val`` where there is such
    a list, else ``train``, else all.

    Raises DataError for whatever does not fit, naming file and line.
    """
    layout = (folder / "Annotations").is_dir()
    found = photos_below(folder / "JPEGImages" if layout else folder)
    found, source = _of_part(folder, found, part)
    faults, remarks = Faults(), Remarks()
    files = {photo: _file(folder, photo, layout) for photo in found.photos}
    objects = {photo: _objects(file, photo, faults) for photo, file in files.items() if file.is_file()}
    faults.refuse()
    if not objects:
        raise DataError(f"{source}: none of {len(found.photos)} photos has an annotation file (.xml)")
    names = sorted({one.name for some in objects.values() for one in some})
    label_of = {name: place for place, name in enumerate(names)}
    from_zero = any(min(one.sides[:2]) == 0 for some in objects.values() for one in some)
    photos: list[tuple[Path, PhotoBoxes | None]] = []
    for photo, file in files.items():
        size = size_or_none(photo)
        if size is None:
            photos.append((photo, None))
            continue
        if photo not in objects:
            remarks.count(_NO_FILE)
        boxes = _boxes(file, objects.get(photo, []), size, label_of, 0 if from_zero else 1, faults)
        if from_zero:
            for _ in boxes:
                remarks.count(_FROM_ZERO)
        photos.append((photo, photo_boxes(boxes, size, remarks)))
    faults.refuse()
    labels = tuple(Label(place, name) for place, name in enumerate(names))
    return BoxedPhotos(tuple(photos), labels, source, remarks.texts(source), found.broken_links)


def _of_part(folder: Path, found: FolderPhotos, part: str | None) -> tuple[FolderPhotos, str]:
    lists = folder / "ImageSets" / "Main"
    chosen = part or next((name for name in ("val", "train") if (lists / f"{name}.txt").is_file()), None)
    if chosen is None:
        return found, str(folder)
    file = lists / f"{chosen}.txt"
    try:
        stems = [line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read which photos are '{chosen}': {file}: {error}") from error
    by_stem = {photo.stem: photo for photo in found.photos}
    faults = Faults()
    for line, stem in enumerate(stems, 1):
        if stem not in by_stem:
            faults.add(file, line, f"there is no photo {stem!r} in {folder / 'JPEGImages'}")
    faults.refuse()
    return FolderPhotos(tuple(by_stem[stem] for stem in stems)), f"{folder} ({chosen})"


def _file(folder: Path, photo: Path, layout: bool) -> Path:
    return folder / "Annotations" / f"{photo.stem}.xml" if layout else photo.with_suffix(".xml")


def _objects(file: Path, photo: Path, faults: Faults) -> list[_Object]:
    """The products of one file; what is wrong goes to ``faults``."""
    try:
        root = _parse(file)
    except BadBoxError as error:
        faults.add(file, None, str(error))
        return []
    if root.tag != "annotation":
        faults.add(file, root.line, f"expected <annotation>, got <{root.tag[:40]}>")
        return []
    _check_size(file, photo, root, faults)
    found = []
    for one in (child for child in root.children if child.tag == "object"):
        try:
            found.append(_object(one))
        except BadBoxError as error:
            faults.add(file, one.line, str(error))
    return found


def _check_size(file: Path, photo: Path, root: _Element, faults: Faults) -> None:
    """The photo has to be as large as the file says; 0 × 0, which some tools write, says nothing."""
    said = root.child("size")
    sides = ("", "") if said is None else (said.said("height"), said.said("width"))
    size = size_or_none(photo)
    if said is None or size is None or not all(side.isdigit() for side in sides):
        return
    declared = int(sides[0]), int(sides[1])
    if declared not in (size, (0, 0)):
        faults.add(file, said.line, size_fault(photo, declared, size))


def _object(element: _Element) -> _Object:
    name = element.said("name")
    if not name:
        raise BadBoxError("an object needs a name")
    box = element.child("bndbox")
    if box is None:
        raise BadBoxError(f"the object {name!r} has no bndbox")
    try:
        sides = tuple(float(box.said(side)) for side in _SIDES)
    except ValueError:
        said = ", ".join(f"{side} {box.said(side)[:20]!r}" for side in _SIDES)
        raise BadBoxError(f"expected the numbers xmin, ymin, xmax and ymax of {name!r}, got {said}") from None
    if not all(math.isfinite(side) for side in sides):
        raise BadBoxError(f"a number of the box of {name!r} is not finite")
    difficult = element.said("difficult") or "0"
    if difficult not in ("0", "1"):
        raise BadBoxError(f"difficult is 0 or 1, got {difficult[:20]!r}")
    return _Object(element.line, name, (sides[0], sides[1], sides[2], sides[3]), difficult == "1")


def _boxes(
    file: Path, objects: Sequence[_Object], size: tuple[int, int], label_of: dict[str, int], first: int, faults: Faults
) -> list[Box]:
    """``first``: the number of the first pixel, 0 or 1."""
    boxes = []
    for one in objects:
        x1, y1, x2, y2 = one.sides
        try:
            corners = cut_to_photo((x1 - first, y1 - first, x2, y2), *size)
        except BadBoxError as error:
            faults.add(file, one.line, str(error))
            continue
        boxes.append(Box(label_of[one.name], *corners, crowd=one.difficult))
    return boxes


def _parse(file: Path) -> _Element:
    """The root element. Raises BadBoxError for what is no such XML, and DataError for a file that cannot be read."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise BadBoxError(f"{file.stat().st_size / 2**20:.0f} MB are more than an annotation has")
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    parser = expat.ParserCreate()
    top = _Element("", 0)
    opened = [top]

    def start(tag: str, _: object) -> None:
        if len(opened) > _MAX_DEPTH:
            raise BadBoxError("elements are nested deeper than in any annotation")
        element = _Element(tag, parser.CurrentLineNumber)
        opened[-1].children.append(element)
        opened.append(element)

    def end(_: str) -> None:
        opened.pop()

    def text(data: str) -> None:
        opened[-1].text += data

    def document_type(*_: object) -> None:
        raise BadBoxError("a document type (<!DOCTYPE>) is not read: it could make a small file grow without end")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, document_type
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadBoxError(
            f"line {error.lineno}: this is no XML that can be read: {expat.ErrorString(error.code)}"
        ) from None
    except BadBoxError:
        raise
    except (ValueError, LookupError) as error:  # of encodings that expat does not know
        raise BadBoxError(f"its encoding cannot be read ({error}); save it as UTF-8") from None
    return top.children[0]
