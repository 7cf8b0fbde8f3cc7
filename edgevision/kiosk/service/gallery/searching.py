"""``POST /v1/search``: what in the gallery is like a picture (the body), or that words or a filter mean:
``{"text": …, "where": …, "top": …}``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.asked import AskPicture
from edgevision.kiosk.service.gallery.json_body import check_query, count_of, read_object
from edgevision.kiosk.service.gallery.listing import filter_of, product_fields
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.gallery.snapshot import Snapshot
from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.route import MAX_JSON_BYTES, Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/v1/search"
MOST = 100  # products in an answer
_USUAL = 10
_MOST_TEXT = 1000  # characters
_KEYS = frozenset({"text", "where", "top"})


def search_routes(
    shop: ShopGallery, ask: AskPicture, catalogue: Callable[[], Catalogue], budget: Budget, max_picture_bytes: int
) -> list[BaseRoute]:
    """The route, for one gallery. ``ask``: embeds the body of a request; ``catalogue``: prices and pictures, as of now."""

    async def search(request: Request) -> Response:
        return await (_by_words(request) if _is_json(request) else _by_picture(request))

    async def _by_picture(request: Request) -> Response:
        check_query(request, ("top", "where"))
        top = _top(count_of(request, "top", _USUAL, MOST))
        snapshot, text = shop.now, request.query_params.get("where", "")
        where = filter_of(text, snapshot.gallery.products)
        asked = await ask(request)
        return await _answer(
            snapshot, time.monotonic() - asked.ms / 1e3, picture=asked.embedding.vector, where=where, top=top
        )

    async def _by_words(request: Request) -> Response:
        began_s = time.monotonic()
        check_query(request)
        given = await read_object(request, budget, _KEYS)
        snapshot, text = shop.now, given.get("where", "")
        if not isinstance(text, str):
            raise InputError("where is a filter as text, such as 'price < 3 and kind = apple'")
        where = filter_of(text, snapshot.gallery.products)
        if where is None and "text" not in given:
            raise InputError("expected text, where, or both: what is looked for")
        words = _text(given) if "text" in given else None
        return await _answer(snapshot, began_s, text=words, where=where, top=_top(given.get("top", _USUAL)))

    async def _answer(snapshot: Snapshot, began_s: float, **asked: Any) -> Response:
        from starlette.concurrency import run_in_threadpool

        result = await run_in_threadpool(lambda: snapshot.searcher.search(**asked))
        known = catalogue()
        found = [
            {**one.to_dict(), "product": product_fields(one.product, known, snapshot.examples.get(one.product.id, 0))}
            for one in result.top
        ]
        return json_answer({"known": result.known, "top": found, "ms": round(1e3 * (time.monotonic() - began_s), 3)})

    limit = max(max_picture_bytes, MAX_JSON_BYTES)
    return [route(PATH, search, scope=Scope.INFER, methods=("POST",), max_body_bytes=limit)]


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"


def _text(given: dict[str, Any]) -> str:
    text = given["text"]
    if not isinstance(text, str) or not text.strip() or len(text) > _MOST_TEXT:
        raise InputError(f"text is what is looked for, in 1 to {_MOST_TEXT} characters")
    return text


def _top(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise InputError(f"top is a whole number, 1 … {MOST}")
    return value
