"""A gallery for another bundle: its pictures are embedded anew, found by their hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgevision.errors import GalleryError
from edgevision.gallery.examples import Example
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.photos import EmbeddedPhoto, Embedder, embed_photos, vectors_of
from edgevision.gallery.pictures import FoundPictures
from edgevision.gallery.writer import GalleryWriter


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
        writer.keep_last_id(gallery.last_id)
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
