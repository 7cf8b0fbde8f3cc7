"""Photos in folders. Links are followed, as data sets are often laid out with them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import DataError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jfif"})
_SYSTEMS_OWN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")


@dataclass(frozen=True)
class FolderPhotos:
    """Photos of a folder, sorted by path. ``broken_links``: named like photos or folders, but lead to nothing.

    ``skipped`` counts what is no photo: hidden files, other suffixes, links that lead back to where they lie.
    """

    photos: tuple[Path, ...] = ()
    broken_links: tuple[Path, ...] = ()
    skipped: int = 0


def photos_in(folder: Path) -> FolderPhotos:
    """Photos directly in ``folder``. Raises DataError where it cannot be read."""
    return _gather(folder, recurse=False)


def photos_below(folder: Path) -> FolderPhotos:
    """Photos in ``folder`` and all folders in it, each real folder once. Raises DataError where one cannot be read."""
    return _gather(folder, recurse=True)


def class_folders(folder: Path) -> tuple[list[Path], int]:
    """The folders directly inside, sorted by name, and how many links were skipped because they lead back to ``folder``."""
    found, skipped = [], 0
    around = _ancestors(folder)
    for child in sorted(folder.iterdir()):
        if _ignored(child.name) or not child.is_dir():
            continue
        if child.resolve() in around:
            skipped += 1
        else:
            found.append(child)
    return found, skipped


def _gather(folder: Path, *, recurse: bool) -> FolderPhotos:
    photos: list[Path] = []
    broken: list[Path] = []
    skipped = 0
    visited = {folder.resolve()}

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        around = _ancestors(Path(here))
        kept = []
        for name in sorted(folders) if recurse else ():
            target = Path(here, name).resolve()
            if _ignored(name):
                continue
            if target in visited or target in around:  # round in a circle, or the same way twice
                skipped += 1
                continue
            visited.add(target)
            kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path = Path(here, name)
            suffix = path.suffix.lower()
            if not name.startswith(".") and _leads_nowhere(path) and suffix in PHOTO_SUFFIXES | {""}:
                broken.append(path)
            elif not name.startswith(".") and suffix in PHOTO_SUFFIXES and path.is_file():
                photos.append(path)
            else:
                skipped += 1
    return FolderPhotos(tuple(photos), tuple(broken), skipped)


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)  # noqa: PTH110 - unlike Path.exists, False for a loop of links


def _ancestors(folder: Path) -> set[Path]:
    """The real folder and all that it lies in."""
    real = folder.resolve()
    return {real, *real.parents}


def _ignored(name: str) -> bool:
    return name.startswith((".", *_SYSTEMS_OWN))
