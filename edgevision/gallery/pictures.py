"""The pictures of examples, where their files still lie somewhere: a gallery keeps their hashes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from edgevision.gallery.examples import Example
from edgevision.gallery.sources import source_of_file


@dataclass(frozen=True)
class FoundPictures:
    """``paths``: source → the picture's file. ``missing``: examples whose picture was not among the files, such as all that came
    of a camera."""

    paths: dict[str, Path]
    missing: tuple[Example, ...]


def find_pictures(examples: Iterable[Example], files: Iterable[Path]) -> FoundPictures:
    """Look for the examples' pictures among ``files``. Only the very same bytes count; files that cannot be read are passed over.

    Files that are called as an example's note says are looked at first, and no more than needed.
    """
    examples = tuple(examples)
    wanted = {example.source for example in examples}
    names = {PurePath(example.note).name for example in examples if example.note}
    paths: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: file.name not in names):
        if len(paths) == len(wanted):
            break
        source = source_of_file(file)
        if source in wanted and source is not None:
            paths.setdefault(source, file)
    return FoundPictures(paths, tuple(example for example in examples if example.source not in paths))
