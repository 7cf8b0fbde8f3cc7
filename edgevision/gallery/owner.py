"""Whose gallery it is: vectors of one bundle say nothing to another."""

from __future__ import annotations

import os

from edgevision.errors import GalleryError


def check_owner(
    path: str | os.PathLike[str], own_id: str, own_dimension: int, bundle_id: str, dimension: int | None = None
) -> None:
    """Raise GalleryError, with the cure, where the gallery was made for another bundle, or its vectors are of another dimension."""
    if own_id != bundle_id:
        raise GalleryError(
            f"{os.fspath(path)} was made for the bundle {own_id[:12]}…, and this is {bundle_id[:12]}…: their vectors cannot be compared. "
            "Use that bundle, or make the gallery anew from its pictures: edgevision gallery reembed"
        )
    if dimension is not None and own_dimension != dimension:
        raise GalleryError(
            f"{os.fspath(path)} has vectors of {own_dimension} numbers, and these have {dimension}; give vectors of its bundle"
        )
