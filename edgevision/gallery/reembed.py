"""A gallery for another bundle: its pictures are embedded anew, found by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import GalleryError
from edgevision.files import read_regular
from edgevision.gallery.examples import Example
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.photos import MAX_PHOTO_BYTES, EmbeddedPhoto, Embedder, embed_photos, vectors_of
from edgevision.gallery.writer import GalleryWriter


@dataclass(frozen=True)
class FoundPictures:
    """``paths``: source → the picture's file. ``missing``: examples whose picture was not among the files, such as all that came
    of a camera."""

    paths: dict[str, Path]
    missing: tuple[Example, ...]


def find_pictures(gallery: Gallery, photos: Iterable[Path]) -> FoundPictures:
    """Look for the gallery's pictures among ``photos``, by the SHA-256 of their bytes. Files that cannot be read are passed over."""
    wanted = {example.source for example in gallery.examples}
    paths: dict[str, Path] = {}
    for photo in photos:
        source = _digest(photo)
        if source in wanted:
            paths.setdefault(source, photo)
    missing = tuple(example for example in gallery.examples if example.source not in paths)
    return FoundPictures(paths, missing)


def reembed(
    gallery: Gallery,
    found: FoundPictures,
    embedder: Embedder,
    target: Path,
    tell: Callable[[int], object] = lambda done: None,
) -> int:
    """Write a gallery like this one for another bundle; how many examples it has. Examples whose picture is missing are left out.

    Raises GalleryError where ``target`` is there already.
    """
    if target.exists():
        raise GalleryError(f"{target} is there already; give the new gallery another name, and the old one stays")
    sources = list(found.paths)
    photos = list(embed_photos(embedder, [found.paths[source] for source in sources], tell))
    if not photos:
        raise GalleryError("none of the gallery's pictures was found, so there is nothing to embed")
    vector_of = dict(zip(sources, photos, strict=True))
    dimension = len(photos[0].vector)
    count = 0
    with GalleryWriter(target, bundle_id=embedder.id, dimension=dimension) as writer:
        for product in gallery.products:
            writer.add_product(product)
            examples = [one for one in gallery.examples_of(product.id) if one.source in vector_of]
            if examples:
                count += _add(writer, product.id, examples, [vector_of[one.source] for one in examples], dimension)
    return count


def _add(
    writer: GalleryWriter, product_id: int, examples: Sequence[Example], photos: Sequence[EmbeddedPhoto], dimension: int
) -> int:
    return writer.add_examples(
        product_id,
        vectors_of(photos, dimension),
        [one.source for one in examples],
        [one.note for one in examples],
        added=[one.added for one in examples],
    )


def _digest(photo: Path) -> str:
    try:
        return hashlib.sha256(read_regular(photo, MAX_PHOTO_BYTES)).hexdigest()
    except OSError:
        return ""
