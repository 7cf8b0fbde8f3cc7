"""Which product of a gallery is meant: by its id, by its name, or a new one. The same rules for photos, folders and CSVs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.checks import checked_fields, checked_product
from edgevision.gallery.listing import ListedProduct
from edgevision.gallery.products import FieldValue, GalleryProduct


@dataclass(frozen=True)
class PlacedProduct:
    """A product and its photos. ``product``: as it will be. ``is_new``: the gallery does not have it. ``new_fields``: names of the fields that
    a product of the gallery did not have."""

    product: GalleryProduct
    photos: tuple[Path, ...]
    is_new: bool
    new_fields: tuple[str, ...] = ()


def place_products(
    listed: Sequence[ListedProduct], known: Sequence[GalleryProduct], last_id: int = 0
) -> list[PlacedProduct]:
    """Each with an id, beside the products that the gallery has (``known``). One of the same id, or without an id of the same name,
    gets the photos, and the fields that it does not have; others without an id get the next ones, over ``last_id`` (``Gallery.last_id``) too:
    that of a product that was removed may still stand in a price list.

    Raises InputError where an id is that of a product of another name, where a field has another value, and where two want to be one.
    """
    taken = {product.id for product in known} | {one.id for one in listed if one.id is not None}
    following = max(taken | {last_id}) + 1
    placed: dict[int, PlacedProduct] = {}
    unnumbered: set[str] = set()
    for one in listed:
        old = _meant(one, known)
        if old is not None:
            here = _known(one, old)
        elif one.name is None:
            raise GalleryError(f"{_at(one)}the gallery has no product {one.id}; give a new one its name")
        else:
            if one.id is None and one.name in unnumbered:
                raise GalleryError(f"{_at(one)}{one.name!r} is listed twice; put its photos together, or give ids")
            number = following if one.id is None else one.id
            if one.id is None:
                unnumbered.add(one.name)
                following += 1
            product = checked_product(GalleryProduct(number, one.name, one.fields))
            here = PlacedProduct(product, tuple(one.photos), is_new=True)
        before = placed.get(here.product.id)
        if before is not None:
            raise GalleryError(
                f"{_at(one)}the product {here.product.id} is listed twice, as {before.product.name!r} and as {here.product.name!r}; put its "
                "photos together, or give another id"
            )
        placed[here.product.id] = here
    return list(placed.values())


def _meant(one: ListedProduct, known: Sequence[GalleryProduct]) -> GalleryProduct | None:
    """The product of the gallery that the list means."""
    if one.id is None:
        same = [product for product in known if product.name == one.name]
        if len(same) > 1:
            ids = ", ".join(str(product.id) for product in same[:10])
            raise InputError(f"{_at(one)}{len(same)} products are called {one.name!r}; say by its id which: {ids}")
        return same[0] if same else None
    old = next((product for product in known if product.id == one.id), None)
    # Folders are often named with underscores for spaces, and read without them.
    if old is not None and one.name is not None and _spaced(one.name) != _spaced(old.name):
        raise InputError(
            f"{_at(one)}the product {old.id} is called {old.name!r} in the gallery, and {one.name!r} here; leave out the name, or give a new "
            "product another id"
        )
    return old


def _known(one: ListedProduct, old: GalleryProduct) -> PlacedProduct:
    """A product of the gallery, with the fields that it did not have."""
    fields = dict(old.fields)
    new = []
    for name, value in checked_fields(one.fields).items():
        if value is None or _same(fields.get(name), value):
            continue
        if fields.get(name) is not None:
            raise InputError(
                f"{_at(one)}{name} of {old.name!r} ({old.id}) is {fields[name]!r} in the gallery, and {value!r} here; change it with: edgevision "
                "gallery set"
            )
        fields[name] = value
        new.append(name)
    product = checked_product(GalleryProduct(old.id, old.name, fields)) if new else old
    return PlacedProduct(product, tuple(one.photos), is_new=False, new_fields=tuple(new))


def _same(a: FieldValue, b: FieldValue) -> bool:
    """Equal, and both true or false or neither: to Python, 1 is true."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _at(one: ListedProduct) -> str:
    return f"{one.where}: " if one.where else ""
