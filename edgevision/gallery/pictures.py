"""The pictures of examples, where their files still lie somewhere: a gallery keeps their hashes alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from edgevision.evaluate.data.folders import PHOTO_SUFFIXES
from edgevision.gallery.examples import Example

MAX_BYTES = 256 << 20  # of one file
_MAX_FILES = 200_000  # looked at in a folder


def find_pictures(examples: Iterable[Example], folder: Path) -> dict[str, Path]:
    """The file of each example's picture below ``folder``, by the example's ``source``. Only the very same bytes count; what is not
    found is left out. Files that are called as an example's note says are looked at first."""
    wanted = {example.source for example in examples}
    names = {PurePath(example.note).name for example in examples if example.note}
    found: dict[str, Path] = {}
    for path in sorted(_photos(folder), key=lambda path: path.name not in names):
        if len(found) == len(wanted):
            break
        source = _hash_of(path)
        if source in wanted and source not in found:
            found[source] = path
    return found


def _photos(folder: Path) -> Iterator[Path]:
    seen = 0
    for inside, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            seen += 1
            if seen > _MAX_FILES:
                return
            if PurePath(name).suffix.lower() in PHOTO_SUFFIXES:
                yield Path(inside, name)


def _hash_of(path: Path) -> str | None:
    """SHA-256 of a file; None for what cannot be read, or is too large."""
    from edgevision.files import read_regular

    try:
        return hashlib.sha256(read_regular(path, MAX_BYTES)).hexdigest()
    except OSError:
        return None
