"""``POST /v1/gallery/{id}/examples``: the body is a photo of the product, and the gallery learns it, unless it would spoil it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.decode import to_frame
from edgevision.errors import InputError
from edgevision.gallery.blur import blur_of
from edgevision.gallery.photos import EmbeddedPhoto, choose_photos
from edgevision.gallery.sources import source_of_bytes
from edgevision.gallery.view_choice import Verdict
from edgevision.kiosk.service.answers import RefusedError, json_answer
from edgevision.kiosk.service.gallery.asked import AskedPicture, AskPicture
from edgevision.kiosk.service.gallery.json_body import check_query, path_id
from edgevision.kiosk.service.gallery.listing import PATH, found_in
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.route import Scope, route
from edgevision.tracking.luma import luma

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter

_MOST_NOTE = 200  # characters
_ANYWAY = {"true": True, "false": False}


def photo_routes(shop: ShopGallery, ask: AskPicture, max_picture_bytes: int) -> list[BaseRoute]:
    """The route, for one gallery. ``ask``: embeds the body of a request."""
    # One at a time: a decoded photo is large, and however many come, the memory that they take is bounded.
    thread = ThreadPoolExecutor(1, thread_name_prefix="edgevision blur")

    async def enrol(request: Request) -> Response:
        check_query(request, ("note", "anyway"))
        id, note, anyway = path_id(request), request.query_params.get("note", ""), _anyway(request)
        if len(note) > _MOST_NOTE:
            raise InputError(f"note has at most {_MOST_NOTE} characters")
        found_in(shop.now.gallery, id)  # before the body is read
        asked = await ask(request)
        blur = 0.0 if anyway else await asyncio.get_running_loop().run_in_executor(thread, blur_in, asked)
        told = await shop.change_soon(partial(_enrol, id, note, asked, blur, anyway))
        return json_answer(told, 200 if told["again"] else 201)

    return [
        route(
            f"{PATH}/{{id}}/examples", enrol, scope=Scope.ADMIN, methods=("POST",), max_body_bytes=max_picture_bytes
        )
    ]  # fmt: skip


def blur_in(asked: AskedPicture) -> float:
    """How blurred the product is, see ``blur_of``."""
    brightness = luma(to_frame(asked.data))
    if asked.box is None:
        return blur_of(brightness)
    left, top, right, bottom = (max(0, round(one)) for one in asked.box)
    return blur_of(brightness[top:bottom, left:right])


def _enrol(
    id: int, note: str, asked: AskedPicture, blur: float, anyway: bool, gallery: Gallery, writer: GalleryWriter
) -> Mapping[str, Any]:
    found_in(gallery, id)  # it may have gone while the picture came
    source, vector = source_of_bytes(asked.data), asked.embedding.vector
    before = [one for one in gallery.examples if one.product == id]
    again = any(one.source == source for one in before)
    if not again and not anyway:
        _check(EmbeddedPhoto(Path(note), source, vector, blur), gallery, id)
    (matches,) = gallery.match(vector[None], top=1)
    writer.add_examples(id, vector[None], [source], [note])
    best = matches.best
    return {
        "id": id, "source": source, "again": again, "examples": len(before) + int(not again),
        "before": None if best is None else {"known": matches.known, **best.to_dict()}, "ms": round(asked.ms, 3),
    }  # fmt: skip


def _check(photo: EmbeddedPhoto, gallery: Gallery, id: int) -> None:
    """Judge a photo as ``edgevision gallery add`` does. Raises RefusedError, 409, for one that is not to be learnt. One that is nearly the
    same as another does no harm, and is."""
    (outcome,) = choose_photos([photo], gallery, id).outcomes
    if outcome.verdict is Verdict.BLURRED:
        raise RefusedError(
            409, "the photo is blurred, and was not learnt; send a sharp one, or this one with ?anyway=true"
        )
    if outcome.like is not None:
        raise RefusedError(
            409,
            f"the photo looks like {outcome.like.name} ({outcome.like.id}), and was not learnt; where it is the product {id}, send it with ?anyway=true",
        )


def _anyway(request: Request) -> bool:
    text = request.query_params.get("anyway", "false")
    if text not in _ANYWAY:
        raise InputError(f"anyway is true or false, got {text[:20]!r}")
    return _ANYWAY[text]
