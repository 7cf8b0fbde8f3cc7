"""``POST /v1/models/{name}/reload``: take up a bundle whose file was replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service


def reload_routes(service: Service) -> Sequence[BaseRoute]:
    """The route, for one service."""

    async def reload(request: Request) -> Response:
        """Load the model's file again, and let it take over once it is ready."""
        name = request.path_params["name"]
        told = await asyncio.get_running_loop().run_in_executor(None, service.models.reload, name)
        return json_answer(told.to_dict())

    return [route("/v1/models/{name}/reload", reload, scope=Scope.ADMIN, methods=("POST",))]
