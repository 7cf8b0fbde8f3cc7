"""COCO's JSON: images, categories and annotations of one part of a data set.

A box is ``[x, y, width, height]`` in pixels of the image, from its top left corner. Category ids may have gaps; classes stand in the order of
their ids, and keep them. Of outlines (``segmentation``) only the ``area`` is read, which the file says.
"""

from __future__ import annotations

import json
import reprlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgevision.errors import DataError
from edgevision.evaluate.data.boxed import (
    BadBoxError,
    BoxedPhotos,
    Faults,
    Remarks,
    check_names,
    cut_to_photo,
    photo_boxes,
    size_or_none,
)
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.names import spellings
from edgevision.evaluate.data.text import first_three
from edgevision.tasks.results import Label

ROBOFLOW = "_annotations.coco.json"  # what it is called inside a folder of photos
_MAX_BYTES = 2**30  # instances_train2017.json has 470 MB
_FORM = "a COCO file has lists of images, annotations and categories"


def read_coco(path: Path) -> BoxedPhotos:
    """The photos of a COCO file, with their boxes.

    Photos are looked for beside the file, in a folder ``images`` there, and the same beside its folder, there also in the folder
    that the file is called after (``annotations/instances_val2017.json`` → ``val2017``); the first place that has them all.

    Raises DataError for whatever does not fit, naming the annotation by its id and its place in the file.
    """
    content = _content(path)
    labels, place_of = _labels(path, content["categories"])
    images = _images(path, content["images"])
    root = _root(path, [name for name, _ in images.values()])
    faults, remarks = Faults(), Remarks()
    boxes: dict[Any, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for place, annotation in enumerate(content["annotations"]):
        where = _where(place, annotation)
        id = annotation.get("image_id") if isinstance(annotation, dict) else None
        if not _is_id(id) or id not in images:
            faults.add(path, None, f"{where}: its image_id is not among the images")
        else:
            boxes[id].append((where, annotation))
    photos = []
    for id, (name, declared) in images.items():
        photo = _locate(root, name)
        photos.append((photo, _photo(path, photo, declared, boxes[id], place_of, faults, remarks)))
    faults.refuse()
    return BoxedPhotos(tuple(photos), labels, str(path), remarks.texts(str(path)))


def _content(path: Path) -> dict[str, list[Any]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size / 2**20:.0f} MB, the limit is {_MAX_BYTES / 2**20:.0f}")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        at = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{path}{at}: this is no JSON that can be read: {error}") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        got = first_three(content) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: {_FORM}, got {got}")
    return content


def _labels(path: Path, categories: list[Any]) -> tuple[tuple[Label, ...], dict[int, int]]:
    """The classes, and the place of each category id among them."""
    for place, one in enumerate(categories):
        if not isinstance(one, dict) or not _is_whole(one.get("id")) or not isinstance(one.get("name"), str):
            raise DataError(
                f"{path}: categories[{place}] needs an id (a whole number) and a name, got {reprlib.repr(one)}"
            )
    labels = tuple(sorted((Label(one["id"], one["name"]) for one in categories), key=lambda label: label.id))
    place_of = {label.id: place for place, label in enumerate(labels)}
    if len(place_of) < len(labels):
        raise DataError(f"{path}: two categories have one id")
    check_names(path, None, (label.name for label in labels))
    return labels, place_of


def _images(path: Path, images: list[Any]) -> dict[Any, tuple[str, tuple[int, int] | None]]:
    """File name and (height, width), where they are said, by image id."""
    found: dict[Any, tuple[str, tuple[int, int] | None]] = {}
    for place, one in enumerate(images):
        if not isinstance(one, dict) or not isinstance(one.get("file_name"), str) or not _is_id(one.get("id")):
            raise DataError(f"{path}: images[{place}] needs an id and a file_name, got {reprlib.repr(one)}")
        if one["id"] in found:
            raise DataError(f"{path}: images[{place}] has the id {one['id']}, which another has too")
        height, width = one.get("height"), one.get("width")
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        found[one["id"]] = one["file_name"], size
    if not found:
        raise DataError(f"{path}: {_FORM}, and this one has no images")
    return found


def _root(path: Path, names: list[str]) -> Path:
    """The folder that the names are relative to."""
    places = list(_places(path))
    for place in places:
        if all(_find(place, name) is not None for name in names):
            return place
    best = max(places, key=lambda place: sum(_find(place, name) is not None for name in names[:1000]))
    missing = [name for name in names if _find(best, name) is None]
    raise DataError(
        f"{path}: {len(missing)} of {len(names)} images are not there: {first_three(missing)}. Looked for in "
        f"{', '.join(map(str, places))}"
    )


def _places(path: Path) -> Iterator[Path]:
    after = path.stem.split("_", 1)[1] if "_" in path.stem else path.stem  # instances_val2017 → val2017
    for folder in dict.fromkeys((path.parent, path.absolute().parent.parent)):
        yield from (folder, folder / "images", folder / after, folder / "images" / after)


def _find(root: Path, name: str) -> Path | None:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return None  # a file from elsewhere does not read what lies outside the data set
    return next((root / one for one in spellings(name) if (root / one).is_file()), None)


def _locate(root: Path, name: str) -> Path:
    found = _find(root, name)
    assert found is not None  # _root has seen it
    return found


def _photo(
    path: Path, photo: Path, declared: tuple[int, int] | None, annotations: list[tuple[str, Mapping[str, Any]]],
    place_of: Mapping[int, int], faults: Faults, remarks: Remarks,
) -> PhotoBoxes | None:  # fmt: skip
    size = size_or_none(photo)
    if size is None:
        return None
    if declared is not None and declared != size:
        faults.add(path, None, size_fault(photo, declared, size))
        return None
    boxes = []
    for where, annotation in annotations:
        try:
            boxes.append(_box(annotation, size, place_of))
        except BadBoxError as error:
            faults.add(path, None, f"{where}: {error}")
    return photo_boxes(boxes, size, remarks)


def size_fault(photo: Path, declared: tuple[int, int], size: tuple[int, int]) -> str:
    """What to say of a photo whose size (height, width) is not what its annotations were made for."""
    turned = (
        "; the photo is turned by its EXIF orientation, which the boxes do not know of"
        if declared == size[::-1]
        else ""
    )
    return (
        f"{photo.name} has {size[1]}×{size[0]} px, but its boxes were marked on {declared[1]}×{declared[0]} px{turned}"
    )


def _box(annotation: Mapping[str, Any], size: tuple[int, int], place_of: Mapping[int, int]) -> Box:
    category = annotation.get("category_id")
    if not isinstance(category, int) or category not in place_of:
        raise BadBoxError(f"category_id {reprlib.repr(category)} is not among the {len(place_of)} categories")
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        raise BadBoxError(f"a bbox is [x, y, width, height], got {reprlib.repr(box)}")
    x, y, w, h = map(float, box)
    if w < 0 or h < 0:
        raise BadBoxError(f"the box has a negative size: {w:g} × {h:g}")
    area = annotation.get("area")
    if area is not None and (not _is_number(area) or not 0 <= area < float("inf")):
        raise BadBoxError(f"area is a number of square pixels, got {reprlib.repr(area)}")
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise BadBoxError(f"iscrowd is 0 or 1, got {reprlib.repr(crowd)}")
    corners = cut_to_photo((x, y, x + w, y + h), *size)
    return Box(place_of[category], *corners, crowd=bool(crowd), area=None if area is None else float(area))


def _where(place: int, annotation: Any) -> str:
    id = annotation.get("id") if isinstance(annotation, dict) else None
    return f"annotations[{place}] (id {id})"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_id(value: object) -> bool:
    return _is_whole(value) or isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
