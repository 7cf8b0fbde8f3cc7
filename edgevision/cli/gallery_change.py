"""``edgevision gallery remove``, ``rename``, ``set`` and ``merge``: changes that need no bundle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter

_LEAST_DIGITS = 4


def remove(arguments: argparse.Namespace) -> int:
    """Remove a product, or some of its examples."""
    with _changing(arguments.gallery) as (gallery, writer):
        product = gallery.find(arguments.id)
        sources = _sources_of(arguments, gallery, product.id)
        if sources:
            writer.remove_examples(product.id, sources)
        else:
            writer.remove(product.id)
    count = len(sources) or len(gallery.examples_of(product.id))
    examples = output.counted(count, "example")
    what = f"{examples} of {product.name} ({product.id})"
    if not sources:
        what = f"{product.name} ({product.id}) and its {examples}"
    return _tell(arguments, f"removed {what}", {"id": product.id, "removed_examples": count})


def rename(arguments: argparse.Namespace) -> int:
    """Give a product another name."""
    with _changing(arguments.gallery) as (gallery, writer):
        product = gallery.find(arguments.id)
        writer.rename(product.id, arguments.name)
    return _tell(
        arguments, f"{product.name} ({product.id}) is now {arguments.name}", {"id": product.id, "name": arguments.name}
    )


def set(arguments: argparse.Namespace) -> int:
    """Change a product's fields."""
    from edgevision.cli.gallery_add import read_fields
    from edgevision.gallery.checks import merged_fields

    given = read_fields(arguments.field)
    if not given:
        raise InputError("give at least one --field NAME=VALUE")
    with _changing(arguments.gallery) as (gallery, writer):
        product = gallery.find(arguments.id)
        kept = merged_fields(product.fields, given)
        writer.set_fields(product.id, kept)
    told = ", ".join(f"{name} = {value}" for name, value in kept.items()) or "no fields"
    return _tell(arguments, f"{product.name} ({product.id}): {told}", {"id": product.id, "fields": kept})


def merge(arguments: argparse.Namespace) -> int:
    """Give examples to another product."""
    with _changing(arguments.gallery) as (gallery, writer):
        product, into = gallery.find(arguments.id), gallery.find(arguments.into)
        sources = _sources_of(arguments, gallery, product.id)
        if sources:
            writer.move_examples(product.id, sources, into.id)
        else:
            writer.merge(product.id, into.id)
    what = f"moved {output.counted(len(sources), 'example')} of {product.name} ({product.id})"
    if not sources:
        what = f"{product.name} ({product.id}) is gone; its examples went"
    return _tell(arguments, f"{what} to {into.name} ({into.id})", {"id": product.id, "into": into.id})


def _sources_of(arguments: argparse.Namespace, gallery: Gallery, product_id: int) -> list[str]:
    """The sources of a product's examples, by the first digits of each. Raises InputError where they do not say which."""
    found = []
    for beginning in arguments.example:
        word = beginning.strip().lower()
        if len(word) < _LEAST_DIGITS:
            raise InputError(
                f"--example takes at least {_LEAST_DIGITS} digits of an example's source, got {beginning!r}"
            )
        fitting = [one.source for one in gallery.examples_of(product_id) if one.source.startswith(word)]
        if len(fitting) != 1:
            raise InputError(
                f"{len(fitting)} examples of the product {product_id} begin with {beginning}; see them with: edgevision gallery show "
                f"{arguments.gallery} --id {product_id}"
            )
        found += fitting
    return found


@contextmanager
def _changing(path: Path) -> Iterator[tuple[Gallery, GalleryWriter]]:
    """The gallery, as it is while no other program writes to it, and its writer."""
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.writer import GalleryWriter

    found = open_gallery(path)  # tells whose it is
    with GalleryWriter(path, bundle_id=found.bundle_id, dimension=found.dimension) as writer:
        yield open_gallery(path), writer


def _tell(arguments: argparse.Namespace, text: str, data: dict[str, Any]) -> int:
    if arguments.json:
        output.show_json({"gallery": str(arguments.gallery), **data})
    else:
        output.say(text)
    return 0
