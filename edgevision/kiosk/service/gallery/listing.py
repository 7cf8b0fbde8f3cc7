"""``GET /v1/gallery``: its products, page by page; ``GET /v1/gallery/{id}``: one of them with its examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import RefusedError, json_answer
from edgevision.kiosk.service.gallery.json_body import check_query, count_of, path_id
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.gallery.snapshot import Snapshot
from edgevision.kiosk.service.money import shown
from edgevision.kiosk.service.products import PATH as PRODUCTS
from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.route import Scope, route
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.filters import Filter
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.products import GalleryProduct

PATH = "/v1/gallery"
MOST_LISTED = 1000  # in one answer
_LISTED = 100
_MOST_OFFSET = 10**9 - 1


def listing_routes(shop: ShopGallery, catalogue: Callable[[], Catalogue]) -> list[BaseRoute]:
    """The routes that tell what is in the gallery. ``catalogue``: prices and pictures, as of now."""

    async def products(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        check_query(request, ("q", "where", "offset", "limit"))
        offset = count_of(request, "offset", 0, _MOST_OFFSET)
        limit = count_of(request, "limit", _LISTED, MOST_LISTED)
        words, where = request.query_params.get("q", ""), request.query_params.get("where", "")
        told = await run_in_threadpool(_page, shop.now, catalogue(), words, where, offset, limit)
        return json_answer(told, headers={"Cache-Control": "no-store"})

    async def product(request: Request) -> Response:
        check_query(request)
        gallery, id = shop.now.gallery, path_id(request)
        found = found_in(gallery, id)
        examples = gallery.examples_of(id)
        told = product_fields(found, catalogue(), len(examples))
        told["shown"] = [one.to_dict() for one in examples]
        return json_answer(told, headers={"Cache-Control": "no-store"})

    return [
        route(PATH, products, scope=Scope.READ, max_body_bytes=0),
        route(f"{PATH}/{{id}}", product, scope=Scope.READ, max_body_bytes=0),
    ]


def found_in(gallery: Gallery, id: int) -> GalleryProduct:
    """The product with that id. Raises RefusedError, 404."""
    found = next((one for one in gallery.products if one.id == id), None)
    if found is None:
        raise RefusedError(404, f"the gallery has no product with the id {id}; /v1/gallery lists them")
    return found


def product_fields(product: GalleryProduct, catalogue: Catalogue, examples: int) -> dict[str, Any]:
    """A product as the gallery's routes tell it. ``examples``: how many it has."""
    label = Label(product.id, product.name)
    price = catalogue.price_of(label)
    picture = None if catalogue.pictures.path_of(label) is None else f"{PRODUCTS}/{product.id}/picture"
    return {
        **product.to_dict(), "examples": examples, "price": None if price is None else shown(price),
        "currency": catalogue.prices.currency, "picture": picture,
    }  # fmt: skip


def filter_of(where: str, products: Sequence[GalleryProduct]) -> Filter | None:
    """What ``where`` means, such as ``price < 3 and kind = apple``; None for an empty one. Raises InputError, also for a field that none of
    ``products`` has."""
    if not where.strip():
        return None
    from edgevision.gallery.filters import read_filter

    found = read_filter(where)
    found.check(products)
    return found


def _page(snapshot: Snapshot, catalogue: Catalogue, words: str, where: str, offset: int, limit: int) -> dict[str, Any]:
    gallery = snapshot.gallery
    found = _chosen(gallery.products, words, where)
    return {
        "products": [
            product_fields(one, catalogue, snapshot.examples.get(one.id, 0)) for one in found[offset : offset + limit]
        ],
        "found": len(found),
        "offset": offset,
        "counts": {"products": len(gallery.products), "examples": len(gallery.examples)},
        "bundle": gallery.bundle_id,
        "currency": catalogue.prices.currency,
    }


def _chosen(products: Sequence[GalleryProduct], words: str, where: str) -> list[GalleryProduct]:
    """Those whose names hold all the words, and that the filter means; by name."""
    means = filter_of(where, products)
    parts = words.casefold().split()
    found = [one for one in products if all(part in one.name.casefold() for part in parts)]
    return sorted((one for one in found if means is None or means(one)), key=lambda one: (one.name.casefold(), one.id))
