"""``POST /v1/models/{name}/reload``: take up a bundle whose file was replaced."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service


_T = TypeVar("_T")


def reload_routes(service: Service) -> Sequence[BaseRoute]:
    """The route, for one service."""

    async def reload(request: Request) -> Response:
        """Load the model's file again, and let it take over once it is ready."""
        name = request.path_params["name"]
        told = await _in_thread(partial(service.models.reload, name))
        return json_answer(told.to_dict())

    return [route("/v1/models/{name}/reload", reload, scope=Scope.ADMIN, methods=("POST",))]


async def _in_thread(call: Callable[[], _T]) -> _T:
    """What ``call`` gives, in a thread that a program which ends does not wait for: loading takes as long as it takes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def tell(answer: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if future.done() else answer())

    def run() -> None:
        try:
            given = call()
        except Exception as error:
            raised = error
            tell(lambda: future.set_exception(raised))
        else:
            tell(lambda: future.set_result(given))

    threading.Thread(target=run, name="edgevision-reload", daemon=True).start()
    return await future
