"""``POST /v1/search``: what in the gallery is like a picture (the body), or like words: ``{"text": …, "where": …, "top": …}``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.errors import InputError
from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.asked import AskPicture
from edgevision.kiosk.service.gallery.json_body import count_of, read_object
from edgevision.kiosk.service.gallery.listing import filter_of, product_fields
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.route import MAX_JSON_BYTES, Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.products import GalleryProduct

PATH = "/v1/search"
MOST = 100  # products in an answer
_USUAL = 10
_MOST_TEXT = 1000  # characters
_KEYS = frozenset({"text", "where", "top"})


class Hit(Protocol):
    """A product that words mean. ``score``: higher is better; of one search only."""

    @property
    def product(self) -> GalleryProduct:
        """Which."""

    @property
    def score(self) -> float:
        """How well it fits."""


WordSearch = Callable[
    ["Gallery", str, int, "Callable[[GalleryProduct], bool] | None"], Sequence[Hit]
]  # gallery, text, top, where


def search_routes(
    shop: ShopGallery, ask: AskPicture, words: WordSearch, catalogue: Callable[[], Catalogue], budget: Budget, max_picture_bytes: int
) -> list[BaseRoute]:  # fmt: skip
    """The route, for one gallery. ``ask``: embeds the body of a request; ``words``: searches by text; ``catalogue``: prices and pictures."""

    async def search(request: Request) -> Response:
        if _is_json(request):
            return await _by_words(request)
        return await _by_picture(request)

    async def _by_picture(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        gallery, top = shop.now, _top(count_of(request, "top", _USUAL, MOST))
        where = filter_of(request.query_params.get("where", ""), gallery.products)
        asked = await ask(request)
        (matches,) = await run_in_threadpool(gallery.match, asked.embedding.vector[None], top=top, where=where)
        found = [
            {
                **product_fields(one.product, catalogue(), _count(gallery, one.product)),
                "score": one.score, "similarity": one.similarity, "example": one.example.to_dict(),
            }
            for one in matches.top
        ]  # fmt: skip
        return json_answer({"found": found, "known": matches.known, "ms": round(asked.ms, 3)})

    async def _by_words(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        began_s = time.monotonic()
        given = await read_object(request, budget, _KEYS)
        text, top = _text(given), _top(given.get("top", _USUAL))
        gallery, filter = shop.now, given.get("where", "")
        if not isinstance(filter, str):
            raise InputError("where is a filter as text, such as 'price < 3 and kind = apple'")
        where = filter_of(filter, gallery.products)
        hits = await run_in_threadpool(words, gallery, text, top, where)
        found = [
            {
                **product_fields(one.product, catalogue(), _count(gallery, one.product)),
                "score": one.score, "similarity": None, "example": None,
            }
            for one in hits
        ]  # fmt: skip
        return json_answer({"found": found, "known": None, "ms": round(1e3 * (time.monotonic() - began_s), 3)})

    return [route(PATH, search, scope=Scope.INFER, methods=("POST",), max_body_bytes=max(max_picture_bytes, MAX_JSON_BYTES))]


def by_name(
    gallery: Gallery, text: str, top: int, where: Callable[[GalleryProduct], bool] | None
) -> Sequence[Hit]:
    """Search by words where no text model is there: BM25 over names and fields."""
    from edgevision.gallery.search import search_fields

    found: Sequence[Hit] = search_fields(gallery, text, top=top, where=where)
    return found


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"


def _text(given: dict[str, Any]) -> str:
    text = given.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > _MOST_TEXT:
        raise InputError(f"text is what is looked for, in 1 to {_MOST_TEXT} characters")
    return text


def _top(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise InputError(f"top is a whole number, 1 … {MOST}")
    return value


def _count(gallery: Gallery, product: GalleryProduct) -> int:
    return sum(one.product == product.id for one in gallery.examples)
