"""What changes the gallery's products: ``POST``, ``PUT``, ``PATCH``, ``DELETE`` and ``merge`` under ``/v1/gallery``. Each is done whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.checks import MAX_ID, checked_fields, checked_id, checked_name, merged_fields
from edgevision.gallery.products import FieldValue, GalleryProduct
from edgevision.kiosk.service.answers import RefusedError, json_answer
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.json_body import check_query, path_id, read_object
from edgevision.kiosk.service.gallery.listing import PATH, found_in
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter

_PRODUCT = frozenset({"id", "name", "fields"})
_CHANGE = frozenset({"name", "fields"})
_MERGE = frozenset({"product", "into"})


def change_routes(shop: ShopGallery, budget: Budget) -> list[BaseRoute]:
    """The routes, for one gallery. ``budget``: of the bytes that requests may hold."""

    async def done(work: Callable[[Gallery, GalleryWriter], Mapping[str, Any]], status: int = 200) -> Response:
        return json_answer(await shop.change_soon(work), status)

    async def add(request: Request) -> Response:
        check_query(request)
        wished = wished_product(await read_object(request, budget, _PRODUCT))
        return await done(partial(_add, wished), 201)

    async def replace_whole(request: Request) -> Response:
        check_query(request)
        id, given = path_id(request), await read_object(request, budget, _CHANGE)
        if "name" not in given:
            raise InputError("name is missing: PUT replaces the whole product; to change a part of it, send PATCH")
        return await done(partial(_replace, GalleryProduct(id, checked_name(given["name"]), _set_fields(given))))

    async def change(request: Request) -> Response:
        check_query(request)
        id, given = path_id(request), await read_object(request, budget, _CHANGE)
        if not given:
            raise InputError("expected name, fields, or both: what is to be changed")
        name = checked_name(given["name"]) if "name" in given else None
        fields = _fields(given) if "fields" in given else None
        return await done(partial(_change, id, name, fields))

    async def remove(request: Request) -> Response:
        check_query(request)
        return await done(partial(_remove, path_id(request)))

    async def remove_example(request: Request) -> Response:
        check_query(request)
        return await done(partial(_remove_example, path_id(request), request.path_params["source"]))

    async def merge(request: Request) -> Response:
        check_query(request)
        given = await read_object(request, budget, _MERGE)
        product, into = _id(given, "product"), _id(given, "into")
        if product == into:
            raise InputError(f"the product {product} cannot be merged into itself; give two products")
        return await done(partial(_merge, product, into))

    admin = Scope.ADMIN
    return [
        route(f"{PATH}/merge", merge, scope=admin, methods=("POST",)),
        route(PATH, add, scope=admin, methods=("POST",)),
        route(f"{PATH}/{{id}}", replace_whole, scope=admin, methods=("PUT",)),
        route(f"{PATH}/{{id}}", change, scope=admin, methods=("PATCH",)),
        route(f"{PATH}/{{id}}", remove, scope=admin, methods=("DELETE",), max_body_bytes=0),
        route(
            f"{PATH}/{{id}}/examples/{{source}}", remove_example, scope=admin, methods=("DELETE",), max_body_bytes=0
        ),
    ]  # fmt: skip


def free_id(gallery: Gallery) -> int:
    """An id that no product has or had: that of one that was removed may still stand in a price list, and in a basket."""
    return gallery.last_id + 1


@dataclass(frozen=True)
class WishedProduct:
    """A product that a caller describes, as a gallery keeps it: texts trimmed, and in NFC. ``id``: None for the next free one."""

    id: int | None
    name: str
    fields: dict[str, FieldValue]


def wished_product(given: Mapping[str, Any]) -> WishedProduct:
    """The product that a caller describes by ``name``, and perhaps ``fields`` and ``id``. Raises InputError."""
    if "name" not in given:
        raise InputError("name is missing: what people call the product")
    id = checked_id(_id(given, "id")) if "id" in given else None
    return WishedProduct(id, checked_name(given["name"]), _set_fields(given))


def new_product(gallery: Gallery, wished: WishedProduct) -> GalleryProduct:
    """That product, with an id that the gallery has not. Raises RefusedError, 409, for one that is taken."""
    id = free_id(gallery) if wished.id is None else wished.id
    if id > MAX_ID:
        raise RefusedError(409, "the highest id that there may be was given once; give the product an id of its own")
    if any(one.id == id for one in gallery.products):
        raise RefusedError(
            409, f"the gallery has a product with the id {id} already; leave the id out, or give another"
        )
    return GalleryProduct(id, wished.name, wished.fields)


def _add(wished: WishedProduct, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    product = new_product(gallery, wished)
    writer.add_product(product)
    return product.to_dict()


def _replace(wished: GalleryProduct, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    found_in(gallery, wished.id)
    writer.rename(wished.id, wished.name)
    writer.set_fields(wished.id, wished.fields)
    return wished.to_dict()


def _change(
    id: int, name: str | None, fields: dict[str, FieldValue] | None, gallery: Gallery, writer: GalleryWriter
) -> Mapping[str, Any]:
    """``name``: None where it stays. ``fields``: those to change, see ``merged_fields``; None: none."""
    product = found_in(gallery, id)
    if name is not None:
        writer.rename(id, name)
        product = replace(product, name=name)
    if fields is not None:
        merged = _merged(product.fields, fields)
        writer.set_fields(id, merged)
        product = replace(product, fields=merged)
    return product.to_dict()


def _remove(id: int, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    gone = found_in(gallery, id)
    writer.remove(id)
    return {"removed": gone.to_dict(), "examples": sum(one.product == id for one in gallery.examples)}


def _remove_example(id: int, source: str, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    found_in(gallery, id)
    if not any(one.product == id and one.source == source for one in gallery.examples):
        raise RefusedError(404, f"the product {id} has no such example; /v1/gallery/{id} lists them")
    writer.remove_examples(id, [source])
    return {"id": id, "removed": source}


def _merge(id: int, into: int, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    gone, kept = found_in(gallery, id), found_in(gallery, into)
    writer.merge(id, into)
    return {"removed": gone.to_dict(), "into": kept.to_dict()}


def _fields(given: Mapping[str, Any]) -> dict[str, FieldValue]:
    fields = given.get("fields", {})
    if not isinstance(fields, dict):
        raise InputError('fields is an object of names and values, such as {"price": 1.29}')
    return checked_fields(fields)


def _set_fields(given: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Those that have a value: a field that is null is not there, for ``POST`` and ``PUT`` as for ``PATCH``."""
    return {name: value for name, value in _fields(given).items() if value is not None}


def _merged(old: Mapping[str, FieldValue], given: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """As ``merged_fields``. Raises InputError: too many fields are the caller's trouble, not the file's."""
    try:
        return merged_fields(old, given)
    except GalleryError as error:
        raise InputError(str(error)) from None


def _id(given: Mapping[str, Any], name: str) -> int:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is the id of a product, a whole number")
    return value
