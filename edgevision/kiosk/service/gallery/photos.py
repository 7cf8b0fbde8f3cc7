"""``POST /v1/gallery/{id}/examples``: the body is a photo of the product, and the gallery learns it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.gallery.asked import AskedPicture, AskPicture
from edgevision.kiosk.service.gallery.json_body import path_id
from edgevision.kiosk.service.gallery.listing import PATH, found_in
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter

_MOST_NOTE = 200  # characters


def photo_routes(shop: ShopGallery, ask: AskPicture, max_picture_bytes: int) -> list[BaseRoute]:
    """The route, for one gallery. ``ask``: embeds the body of a request."""

    async def enrol(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        id, note = path_id(request), request.query_params.get("note", "")
        if len(note) > _MOST_NOTE:
            raise InputError(f"note has at most {_MOST_NOTE} characters")
        found_in(shop.now.gallery, id)  # before the body is read
        asked = await ask(request)
        told = await run_in_threadpool(shop.change, partial(_enrol, id, note, asked))
        return json_answer(told, 200 if told["again"] else 201)

    return [
        route(
            f"{PATH}/{{id}}/examples", enrol, scope=Scope.ADMIN, methods=("POST",), max_body_bytes=max_picture_bytes
        )
    ]  # fmt: skip


def _enrol(id: int, note: str, asked: AskedPicture, gallery: Gallery, writer: GalleryWriter) -> Mapping[str, Any]:
    found_in(gallery, id)  # it may have gone while the picture came
    source = hashlib.sha256(asked.data).hexdigest()
    before = [one for one in gallery.examples if one.product == id]
    (matches,) = gallery.match(asked.embedding.vector[None], top=1)
    writer.add_examples(id, asked.embedding.vector[None], [source], [note])
    again = any(one.source == source for one in before)
    best = matches.best
    return {
        "id": id, "source": source, "again": again, "examples": len(before) + int(not again),
        "before": None if best is None else {"known": matches.known, **best.to_dict()}, "ms": round(asked.ms, 3),
    }  # fmt: skip
