"""A workload of photos: files of a folder, in the order of their names, as they are."""

from __future__ import annotations

import os
from pathlib import Path

from edgevision.bench.workload.workload import BGR, JPEG, MAX_FRAMES, Workload
from edgevision.decode import image_size, read_image
from edgevision.errors import ImageError, InputError

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif"}
_JPEG = {".jpg", ".jpeg"}
COUNT = 64  # frames, where nobody says: larger than any cache, and soon decoded


def from_folder(folder: str | os.PathLike[str], count: int = COUNT, encoded: bool = False) -> Workload:
    """Photos of a folder and its folders, never resized. ``count``: at most so many, evenly spread over the sorted files, so that
    folders by class are all among them.

    ``encoded``: the bytes of the JPEG files, to be decoded by each target; else BGR arrays, decoded here.
    Raises InputError where there are none, ImageError, with its name, for a photo that cannot be read.

    >>> from_folder("photos", count=16).describe()["count"]  # doctest: +SKIP
    16
    """
    if not 1 <= count <= MAX_FRAMES:
        raise InputError(f"a workload has 1 to {MAX_FRAMES} frames, got {count}")
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; give one with photos")
    endings = _JPEG if encoded else _ENDINGS
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in endings and path.is_file())
    if not paths:
        what = "JPEG files, which encoded frames are" if encoded else "photos"
        raise InputError(f"{root} has no {what} ({', '.join(sorted(endings))}); give another folder")
    taken = min(count, len(paths))
    chosen = [paths[place * len(paths) // taken] for place in range(taken)]
    read = [_encoded(path) if encoded else _decoded(path) for path in chosen]
    frames, sizes = zip(*read, strict=True)
    return Workload(f"photos of {root.name}", list(frames), tuple(sizes), JPEG if encoded else BGR)


def _encoded(path: Path) -> tuple[object, tuple[int, int]]:
    data = _read(path)
    if data[:2] != b"\xff\xd8":
        raise ImageError(f"{path} is no JPEG, as its name says; rename it, or measure decoded frames")
    height, width = image_size(path)
    return data, (width, height)


def _decoded(path: Path) -> tuple[object, tuple[int, int]]:
    try:
        picture = read_image(_read(path))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    return picture, (picture.shape[1], picture.shape[0])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror or error})") from None
