"""``POST /v1/recognise``: the body is a picture, the answer what it shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevision.kiosk.service.answers import RefusedError, json_answer
from edgevision.kiosk.service.bodies import read_body
from edgevision.kiosk.service.deadlines import deadline_of
from edgevision.kiosk.service.requests import answers
from edgevision.kiosk.service.route import Scope, route
from edgevision.kiosk.service.versions import Retired

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service


def recognise_routes(service: Service) -> Sequence[BaseRoute]:
    """The route, for one service."""

    async def recognise(request: Request) -> Response:
        """What a picture shows."""
        began_s = time.monotonic()
        _check_media_type(request)
        deadline_s = deadline_of(request)
        name, number = request.query_params.get("model"), request.query_params.get("version")
        service.models.get(name, number)  # before the body is read
        with service.budget.share() as share:
            picture = await read_body(request, share)
            if not picture:
                raise RefusedError(400, "expected a picture as the body, got no bytes")
            while True:
                version = service.models.get(name, number)
                try:
                    reply = version.recognise([picture], deadline_s=deadline_s)
                    break
                except Retired:  # replaced a moment ago: the next one is there
                    continue
            (result,) = await answers(reply, request.receive)
        told = result.to_dict()
        told["model"] = {"name": version.name, "version": version.version, "id": version.id}
        told["ms"] = round(1e3 * (time.monotonic() - began_s), 3)
        return json_answer(told)

    return [
        route(
            "/v1/recognise", recognise, scope=Scope.INFER, methods=("POST",), max_body_bytes=service.options.max_picture_bytes
        )
    ]  # fmt: skip


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not (given.startswith("image/") or given in ("application/octet-stream", "")):
        raise RefusedError(
            415,
            f"expected the picture itself as the body, as image/… or application/octet-stream, got {given[:80]!r}",
            close=True,
        )
