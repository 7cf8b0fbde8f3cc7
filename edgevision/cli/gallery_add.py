"""``edgevision gallery new``, ``add``, ``explain`` and ``reembed``: what needs the bundle that embeds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads
from edgevision.cli.progress import step_progress
from edgevision.errors import GalleryError, ImageError, InputError

if TYPE_CHECKING:
    from edgevision.cli.gallery_told import AddedProduct
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.listing import ListedProduct
    from edgevision.gallery.photos import EmbeddedPhoto
    from edgevision.gallery.placing import PlacedProduct
    from edgevision.gallery.writer import GalleryWriter

_SHOWN = 10  # examples or photos in a message
_GONE = "edgevision gallery add GALLERY --model BUNDLE --id N PHOTO"


@contextmanager
def embedder(arguments: argparse.Namespace) -> Iterator[Any]:
    """The bundle of ``--model``, loaded. Raises GalleryError where it does not embed."""
    import edgevision as ev
    from edgevision.gallery.photos import check_embedder

    check_threads(arguments.threads)
    with ev.load(arguments.model, threads=arguments.threads) as model:
        check_embedder(model)
        yield model


def new(arguments: argparse.Namespace) -> int:
    """Make an empty gallery."""
    from edgevision.gallery.writer import GalleryWriter

    path: Path = arguments.gallery
    if path.exists():
        raise GalleryError(
            f"{path} is there already; add to it with: edgevision gallery add {path} --model {arguments.model} --name NAME PHOTO …"
        )
    with embedder(arguments) as model:
        dimension = dimension_of(model)
        with GalleryWriter(path, bundle_id=model.id, dimension=dimension):
            pass
    if arguments.json:
        output.show_json({"gallery": str(path), "bundle_id": model.id, "dimension": dimension})
    else:
        output.say(f"made {path}, for the bundle {arguments.model}: vectors of {dimension} numbers")
    return 0


def add(arguments: argparse.Namespace) -> int:
    """Learn products from photos."""
    from edgevision.cli.gallery_told import added_data, say_added

    path: Path = arguments.gallery
    listed = _listed(arguments)
    with embedder(arguments) as model, step_progress(not arguments.json) as tell:
        was_there = path.exists()
        _placed(arguments, listed, _opened(path, model.id))  # what is wrong is said before the long work
        readable = _embedded(model, listed, tell)
        dimension = len(next(iter(readable.photos.values())).vector) if readable.photos else dimension_of(model)
        try:
            added = _write(arguments, model.id, dimension, listed, readable)
        except GalleryError:
            if was_there or not path.exists():
                raise
            added = _write(arguments, model.id, dimension, listed, readable)  # another program made it meanwhile
    if arguments.json:
        output.show_json({"gallery": str(path), **added_data(added, readable.bad)})
    else:
        say_added(path, added, readable.bad)
    return 1 if readable.bad else 0


def explain(arguments: argparse.Namespace) -> int:
    """Recognise photos, and say by which examples."""
    from edgevision.cli.gallery_told import say_unreadable
    from edgevision.gallery.explanation import explain as explanation_of
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.listing import photos_of
    from edgevision.gallery.photos import embed_photos

    with embedder(arguments) as model, step_progress(not arguments.json) as tell:
        gallery = open_gallery(arguments.gallery, bundle_id=model.id)
        photos = photos_of(arguments.photos)
        bad: list[tuple[Path, ImageError]] = []
        embedded = embed_photos(
            model, photos, lambda done: tell("embed", done, len(photos)), lambda path, error: bad.append((path, error))
        )
        answers = [(photo.path, explanation_of(gallery, gallery.match(photo.vector, top=2)[0])) for photo in embedded]
    if bad and not answers:
        raise bad[0][1]
    if arguments.json:
        told = [{"photo": str(path), **({} if one is None else one.to_dict())} for path, one in answers]
        output.show_json([*told, *({"photo": str(path), "error": str(error)} for path, error in bad)])
        return 1 if bad else 0
    for path, one in answers:
        sentences = ("The gallery has no examples.",) if one is None else one.sentences
        output.say(f"{path}\n  " + "\n  ".join(sentences))
    say_unreadable(bad)
    return 1 if bad else 0


def reembed(arguments: argparse.Namespace) -> int:
    """Make the gallery anew for another bundle."""
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.listing import photos_of
    from edgevision.gallery.pictures import find_pictures
    from edgevision.gallery.reembed import reembed as write_anew

    gallery = open_gallery(arguments.gallery)
    found = find_pictures(gallery.examples, photos_of(arguments.photos))
    if found.missing and not arguments.skip_missing:
        raise GalleryError(_missing_words(gallery, len(found.missing)))
    with embedder(arguments) as model, step_progress(not arguments.json) as tell:
        total = len(found.paths)
        count = write_anew(gallery, found, model, arguments.output, lambda done: tell("embed", done, total))
    told = {
        "gallery": str(arguments.output),
        "products": len(gallery.products),
        "examples": count,
        "missing": [one.to_dict() for one in found.missing],
    }
    if arguments.json:
        output.show_json(told)
    else:
        output.say(
            f"wrote {arguments.output}: {output.counted(len(gallery.products), 'product')}, {output.counted(count, 'example')}"
        )
        for one in found.missing[:_SHOWN]:
            output.say(
                f"  left out, for its picture was not found: {one.note or one.source[:12]} of the product {one.product}"
            )
    return 0


def dimension_of(model: Any) -> int:
    """How long the model's vectors are: as its graph says, or as it does."""
    import numpy as np

    length = model.outputs[0].shape[-1] if model.outputs and model.outputs[0].shape else None
    if isinstance(length, int) and length > 1:
        return length
    grey = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    return len(model.predict([grey])[0].vector)


def _listed(arguments: argparse.Namespace) -> list[ListedProduct]:
    from edgevision.gallery.listing import products_in_csv, products_in_folder

    if arguments.id is not None or arguments.name is not None:
        return [_one_product(arguments)]
    if arguments.field:
        raise InputError("--field is of one product; give --id or --name too, or fields as columns of a CSV")
    (first, *others) = arguments.photos
    if others or not first.exists():
        raise InputError("expected --id or --name with photos of one product, or one folder or CSV of many products")
    return products_in_folder(first) if first.is_dir() else products_in_csv(first)


def _one_product(arguments: argparse.Namespace) -> ListedProduct:
    from edgevision.gallery.checks import checked_id, checked_name
    from edgevision.gallery.listing import ListedProduct, photos_of

    number = None if arguments.id is None else checked_id(arguments.id)
    name = None if arguments.name is None else checked_name(arguments.name)
    return ListedProduct(number, name, read_fields(arguments.field), list(photos_of(arguments.photos)))


def read_fields(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as fields. Raises InputError."""
    from edgevision.gallery.listing import field_value

    fields = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InputError(f"--field is NAME=VALUE, such as price=1.29, got {text!r}")
        fields[name.strip()] = field_value(value)
    return fields


@dataclass(frozen=True)
class _Readable:
    """Photos by their path, and those that cannot be read."""

    photos: dict[Path, EmbeddedPhoto]
    bad: list[tuple[Path, ImageError]]


def _embedded(model: Any, listed: Sequence[ListedProduct], tell: Callable[[str, int, int], object]) -> _Readable:
    """Raises ImageError where none of the photos can be read."""
    from edgevision.gallery.photos import embed_photos

    paths = list(dict.fromkeys(photo for one in listed for photo in one.photos))
    bad: list[tuple[Path, ImageError]] = []
    embedded = embed_photos(
        model, paths, lambda done: tell("embed", done, len(paths)), lambda path, error: bad.append((path, error))
    )
    photos = {photo.path: photo for photo in embedded}
    if bad and not photos:
        raise bad[0][1]
    return _Readable(photos, bad)


def _opened(path: Path, bundle_id: str) -> Gallery | None:
    from edgevision.gallery.gallery import open_gallery

    return open_gallery(path, bundle_id=bundle_id) if path.exists() else None


def _write(
    arguments: argparse.Namespace, bundle_id: str, dimension: int, listed: Sequence[ListedProduct], readable: _Readable
) -> list[AddedProduct]:
    """Place, choose and write, in one transaction: what another program added while the photos were embedded counts. A new product of
    which no photo was taken is not added."""
    from edgevision.cli.gallery_told import AddedProduct
    from edgevision.gallery.photos import choose_photos, owners_of_pictures
    from edgevision.gallery.writer import GalleryWriter

    added = []
    with GalleryWriter(arguments.gallery, bundle_id=bundle_id, dimension=dimension) as writer:
        gallery = _opened(arguments.gallery, bundle_id)
        owners = owners_of_pictures(gallery)
        for one in _placed(arguments, listed, gallery):
            photos = [readable.photos[path] for path in one.photos if path in readable.photos]
            chosen = choose_photos(photos, gallery, one.product.id, anyway=arguments.anyway, owners=owners)
            for photo in chosen.taken:
                owners.setdefault(photo.source, []).append(one.product)
            added.append(AddedProduct(one, chosen, _write_product(writer, one, chosen.taken, dimension)))
    return added


def _placed(
    arguments: argparse.Namespace, listed: Sequence[ListedProduct], gallery: Gallery | None
) -> list[PlacedProduct]:
    from edgevision.gallery.placing import place_products

    known, last_id = ((), 0) if gallery is None else (gallery.products, gallery.last_id)
    placed = place_products(listed, known, last_id)
    if arguments.field and not all(one.is_new for one in placed):
        raise InputError("--field is of a new product; change those of one that is there with: edgevision gallery set")
    return placed


def _write_product(writer: GalleryWriter, one: PlacedProduct, taken: Sequence[EmbeddedPhoto], dimension: int) -> int:
    """How many examples were new."""
    from edgevision.gallery.photos import vectors_of

    if one.is_new and (taken or not one.photos):
        writer.add_product(one.product)
    if one.new_fields:
        writer.set_fields(one.product.id, one.product.fields)
    if not taken:
        return 0
    sources, notes = [photo.source for photo in taken], [photo.path.name for photo in taken]
    return writer.add_examples(one.product.id, vectors_of(taken, dimension), sources, notes)


def _missing_words(gallery: Gallery, missing: int) -> str:
    return (
        f"the pictures of {missing} of {len(gallery.examples)} examples are not among these photos (examples from a camera have none). "
        f"Give the folders that hold them, or --skip-missing, and enrol those products again: {_GONE}"
    )
