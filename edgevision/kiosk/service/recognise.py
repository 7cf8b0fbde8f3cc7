"""``POST /v1/recognise``: the body is a picture, the answer what it shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.bodies import read_body
from edgevision.kiosk.service.deadlines import deadline_of
from edgevision.kiosk.service.gallery.recognition import recognised
from edgevision.kiosk.service.picture_body import check_media_type, recognised_by
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.gallery.gallery import Gallery
    from edgevision.kiosk.service.service import Service


def recognise_routes(service: Service) -> Sequence[BaseRoute]:
    """The route, for one service."""

    async def recognise(request: Request) -> Response:
        """What a picture shows."""
        from starlette.concurrency import run_in_threadpool

        began_s = time.monotonic()
        check_media_type(request)
        deadline_s = deadline_of(request)
        name, number = request.query_params.get("model"), request.query_params.get("version")
        service.models.get(name, number)  # before the body is read
        with service.budget.share() as share:
            picture = await read_body(request, share)
            version, result = await recognised_by(service, request, picture, deadline_s, name, number)
        gallery = service.gallery_of(version)
        told: dict[str, Any] = (
            result.to_dict() if gallery is None else await run_in_threadpool(_from_gallery, result, gallery)
        )
        told["model"] = {"name": version.name, "version": version.version, "id": version.id}
        told["ms"] = round(1e3 * (time.monotonic() - began_s), 3)
        return json_answer(told)

    return [
        route(
            "/v1/recognise", recognise, scope=Scope.INFER, methods=("POST",), max_body_bytes=service.options.max_picture_bytes
        )
    ]  # fmt: skip


def _from_gallery(result: Any, gallery: Gallery) -> dict[str, Any]:
    """What a classifier would say, and of each product the stored views that it is like."""
    (answer,) = recognised([result], gallery)
    told: dict[str, Any] = answer.to_dict()
    return told
