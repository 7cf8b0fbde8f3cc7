"""A picture of a request as the embedder sees it: one vector, with what it was made of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import read_body
from edgevision.kiosk.service.deadlines import deadline_of
from edgevision.kiosk.service.gallery.recognition import embeddings_in
from edgevision.kiosk.service.picture_body import check_media_type, recognised_by
from edgevision.kiosk.station.looks import Box
from edgevision.tasks.products import Products

if TYPE_CHECKING:
    from starlette.requests import Request

    from edgevision.kiosk.service.service import Service
    from edgevision.tasks.embedding import Embedding


@dataclass(frozen=True)
class AskedPicture:
    """``data``: the picture's bytes. ``embedding``: of what it shows. ``ms``: since the request came. ``box``: x1 y1 x2 y2 in pixels, where
    the product was found; None: the whole picture."""

    data: bytes
    embedding: Embedding
    ms: float
    box: Box | None = None


AskPicture = Callable[["Request"], Awaitable[AskedPicture]]


def asker_of(service: Service) -> AskPicture:
    """What embeds the body of a request, by the model that answers where none is named."""

    async def ask(request: Request) -> AskedPicture:
        began_s = time.monotonic()
        check_media_type(request)
        deadline_s = deadline_of(request)
        with service.budget.share() as share:
            picture = await read_body(request, share)
            _, result = await recognised_by(service, request, picture, deadline_s)
        return AskedPicture(picture, the_one_in(result), 1e3 * (time.monotonic() - began_s), box_in(result))

    return ask


def the_one_in(result: Any) -> Embedding:
    """The embedding of a picture; of several products the largest one's. Raises RefusedError, 422, where no product was found."""
    found = embeddings_in(result)
    if not found:
        raise RefusedError(422, "no product was found in this picture; show one, large and alone")
    if len(found) == 1 or not isinstance(result, Products):
        return found[0]
    largest: Embedding = result.results[_largest(result)]
    return largest


def box_in(result: Any) -> Box | None:
    """Where the product of ``the_one_in`` is: x1 y1 x2 y2 in pixels; None where the whole picture is it."""
    if not isinstance(result, Products) or len(result) == 0:
        return None
    left, top, right, bottom = (float(one) for one in _boxes(result)[_largest(result)])
    return left, top, right, bottom


def _largest(products: Products) -> int:
    sizes = [(box[2] - box[0]) * (box[3] - box[1]) for box in _boxes(products)]
    return sizes.index(max(sizes))


def _boxes(products: Products) -> list[Box]:
    return [one.detection.box for one in products]
