"""The file of the demo's gallery: an earlier demo's is replaced, and nothing else."""

from __future__ import annotations

from pathlib import Path

from edgevision.demo.unseen import unseen_products
from edgevision.errors import GalleryError, InputError
from edgevision.gallery.gallery import open_gallery


def check_replaceable(path: Path) -> None:
    """Raise InputError where something is at ``path`` that no demo left there."""
    if (path.exists() or path.is_symlink()) and not _is_of_a_demo(path):
        raise InputError(
            f"{path} is not of an earlier demo, and would be replaced; move it, or give another folder with -o"
        )


def _is_of_a_demo(path: Path) -> bool:
    """Whether it is a gallery in which nobody added products, or changed any."""
    if not path.is_file():
        return False
    try:
        found = open_gallery(path).products
    except GalleryError:
        return False
    known = {one.id: one.to_gallery() for one in unseen_products()}
    return all(one == known.get(one.id) for one in found)
