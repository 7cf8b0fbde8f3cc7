"""``edgevision gallery new``, ``add``, ``explain`` and ``reembed``: what needs the bundle that embeds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads
from edgevision.cli.progress import step_progress
from edgevision.errors import GalleryError, InputError

if TYPE_CHECKING:
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.listing import ListedProduct
    from edgevision.gallery.photos import ChosenPhotos, EmbeddedPhoto
    from edgevision.gallery.products import GalleryProduct

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
        raise GalleryError(f"{path} is there already; add to it with: edgevision gallery add {path}")
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
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.photos import choose_photos, embed_photos

    path: Path = arguments.gallery
    with embedder(arguments) as model, step_progress(not arguments.json) as tell:
        gallery = open_gallery(path, bundle_id=model.id) if path.exists() else None
        listed = _listed(arguments, () if gallery is None else gallery.products)
        photos = [photo for one in listed for photo in one.photos]
        embedded = list(embed_photos(model, photos, lambda done: tell("embed", done, len(photos))))
        dimension = len(embedded[0].vector) if embedded else dimension_of(model)
        parts = _parted(embedded, [len(one.photos) for one in listed])
        chosen = [
            choose_photos(part, gallery, one.product.id, anyway=arguments.anyway)
            for one, part in zip(listed, parts, strict=True)
        ]
        new_examples = _write(path, model.id, dimension, listed, chosen)
    if arguments.json:
        output.show_json({"gallery": str(path), "products": _added_data(listed, chosen, new_examples)})
    else:
        _say_added(path, listed, chosen, new_examples)
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Recognise photos, and say by which examples."""
    from edgevision.gallery.explanation import explain as explanation_of
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.listing import photos_of
    from edgevision.gallery.photos import embed_photos

    with embedder(arguments) as model, step_progress(not arguments.json) as tell:
        gallery = open_gallery(arguments.gallery, bundle_id=model.id)
        photos = photos_of(arguments.photos)
        embedded = embed_photos(model, photos, lambda done: tell("embed", done, len(photos)))
        answers = [(photo.path, explanation_of(gallery, gallery.match(photo.vector, top=2)[0])) for photo in embedded]
    if arguments.json:
        output.show_json([{"photo": str(path), **({} if one is None else one.to_dict())} for path, one in answers])
        return 0
    for path, one in answers:
        sentences = ("The gallery has no examples.",) if one is None else one.sentences
        output.say(f"{path}\n  " + "\n  ".join(sentences))
    return 0


def reembed(arguments: argparse.Namespace) -> int:
    """Make the gallery anew for another bundle."""
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.listing import photos_of
    from edgevision.gallery.reembed import find_pictures
    from edgevision.gallery.reembed import reembed as write_anew

    gallery = open_gallery(arguments.gallery)
    found = find_pictures(gallery, photos_of(arguments.photos))
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
        output.say(f"wrote {arguments.output}: {len(gallery.products)} products, {count} examples")
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


def _listed(arguments: argparse.Namespace, known: Sequence[GalleryProduct]) -> list[ListedProduct]:
    from edgevision.gallery.listing import products_in_csv, products_in_folder

    if arguments.id is not None or arguments.name is not None:
        return [_one_product(arguments, known)]
    if arguments.field:
        raise InputError("--field is of one product; give --id or --name too, or fields as columns of a CSV")
    (first, *others) = arguments.photos
    if others or not first.exists():
        raise InputError("expected --id or --name with photos of one product, or one folder or CSV of many products")
    return products_in_folder(first, known) if first.is_dir() else products_in_csv(first, known)


def _one_product(arguments: argparse.Namespace, known: Sequence[GalleryProduct]) -> ListedProduct:
    from edgevision.gallery.checks import checked_name
    from edgevision.gallery.listing import ListedProduct, photos_of
    from edgevision.gallery.products import GalleryProduct

    name = None if arguments.name is None else checked_name(arguments.name)
    photos = photos_of(arguments.photos)
    if arguments.id is None:
        same = [product for product in known if product.name == name]
        if len(same) > 1:
            raise InputError(f"{len(same)} products are called {name!r}; say which by --id")
        number = same[0].id if same else max((product.id for product in known), default=0) + 1
    else:
        number = arguments.id
    old = next((product for product in known if product.id == number), None)
    if old is None:
        if name is None:
            raise InputError(f"the gallery has no product {number}; give a new one its --name")
        return ListedProduct(GalleryProduct(number, name, read_fields(arguments.field)), photos, is_new=True)
    if name not in (None, old.name):
        raise InputError(
            f"the product {number} is called {old.name!r}; leave out --name, or give a new product another --id"
        )
    if arguments.field:
        raise InputError("--field is of a new product; change those of one that is there with: edgevision gallery set")
    return ListedProduct(old, photos, is_new=False)


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


def _parted(embedded: Sequence[EmbeddedPhoto], counts: Sequence[int]) -> list[list[EmbeddedPhoto]]:
    parts, start = [], 0
    for count in counts:
        parts.append(list(embedded[start : start + count]))
        start += count
    return parts


def _write(
    path: Path, bundle_id: str, dimension: int, listed: Sequence[ListedProduct], chosen: Sequence[ChosenPhotos]
) -> list[int]:
    """How many examples of each product were new. A new product of which no photo was taken is not added."""
    from edgevision.gallery.photos import vectors_of
    from edgevision.gallery.writer import GalleryWriter

    counts = []
    with GalleryWriter(path, bundle_id=bundle_id, dimension=dimension) as writer:
        for one, photos in zip(listed, chosen, strict=True):
            if one.is_new and (photos.taken or not one.photos):
                writer.add_product(one.product)
            if not photos.taken:
                counts.append(0)
                continue
            vectors = vectors_of(photos.taken, dimension)
            notes = [photo.path.name for photo in photos.taken]
            counts.append(writer.add_examples(one.product.id, vectors, [photo.source for photo in photos.taken], notes))
    return counts


def _added_data(
    listed: Sequence[ListedProduct], chosen: Sequence[ChosenPhotos], counts: Sequence[int]
) -> list[dict[str, Any]]:
    return [
        {
            "product": one.product.to_dict(),
            "is_new": one.is_new and bool(photos.taken or not one.photos),
            "examples": count,
            "photos": [outcome.to_dict() for outcome in photos.outcomes],
        }
        for one, photos, count in zip(listed, chosen, counts, strict=True)
    ]


def _say_added(
    path: Path, listed: Sequence[ListedProduct], chosen: Sequence[ChosenPhotos], counts: Sequence[int]
) -> None:
    from edgevision.gallery.view_choice import Verdict

    refused = False
    for one, photos, count in zip(listed, chosen, counts, strict=True):
        known = len(photos.taken) - count
        more = f", {known} were there already" if known else ""
        output.say(f"{one.product.name} ({one.product.id}): {count} of {len(one.photos)} photos are new examples{more}")
        for outcome in photos.outcomes:
            if outcome.verdict is Verdict.NOTHING_NEW:
                output.say(f"  {outcome.path}: left out, nearly the same as another example")
            elif outcome.verdict is not Verdict.TAKEN:
                refused = True
                looks = f"it looks like {outcome.like.name} ({outcome.like.id})" if outcome.like else "it is blurred"
                output.say(f"  {outcome.path}: left out, {looks}")
    if refused:
        output.say("What was left out is taken with --anyway.")
    output.say(f"What may be wrong with the gallery now: edgevision gallery audit {path}", style="dim")


def _missing_words(gallery: Gallery, missing: int) -> str:
    return (
        f"the pictures of {missing} of {len(gallery.examples)} examples are not among these photos (examples from a camera have none). "
        f"Give the folders that hold them, or --skip-missing, and enrol those products again: {_GONE}"
    )
