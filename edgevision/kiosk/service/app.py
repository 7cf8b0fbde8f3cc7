"""The service as an ASGI app: by itself, or mounted into an app of your own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from edgevision.errors import EdgeVisionError, InputError, MissingExtraError
from edgevision.kiosk.service.access.asgi import request_id
from edgevision.kiosk.service.access.log_lines import Throttle
from edgevision.kiosk.service.answers import RefusedError, error_answer, refusal_answer
from edgevision.kiosk.service.protocol.routes import protocol_routes
from edgevision.kiosk.service.recognise import recognise_routes
from edgevision.kiosk.service.reload import reload_routes

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service

_CLOSE_S = 2.0  # at the end all requests are answered: only a model that hangs takes longer

_log = logging.getLogger("edgevision.service")
_log.addFilter(Throttle())  # a disk that is full fails as often as clients ask


def need_serve(purpose: str = "edgevision serve") -> None:
    """Raise MissingExtraError unless what ``edgevision[serve]`` brings is installed."""
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "h11", "wsproto"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve", purpose)


def make_app(service: Service, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """An ASGI app that serves ``service``: the Open Inference Protocol under ``/v2``, and ``/v1/recognise``. ``routes``: more of them.

    It runs alone, under any ASGI server, or mounted into an app of FastAPI or Starlette. It sets up no logging and no signal handlers, and
    asks nobody who they are: that is what ``access.guarded`` adds, or your own app. Where it runs alone, its lifespan closes the service; where
    it is mounted, the service is yours to close.

    Raises MissingExtraError.

    >>> app = FastAPI()  # doctest: +SKIP
    >>> app.mount("/edge", make_app(Service(["shelf.edge"])))  # doctest: +SKIP
    """
    need_serve("edgevision.kiosk.service")
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, service.close, _CLOSE_S)

    handlers: dict[Any, Any] = {
        HTTPException: _on_http_error, RefusedError: _on_refusal, InputError: _on_input_error, EdgeVisionError: _on_model_error,
        Exception: _on_fault,
    }  # fmt: skip
    own = [*recognise_routes(service), *protocol_routes(service), *reload_routes(service)]
    app = Starlette(routes=[*own, *routes], exception_handlers=handlers, lifespan=lifespan)
    app.state.service = service
    app.router.redirect_slashes = False
    return app


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    """Starlette's own: there is no such route, or not for this method."""
    return error_answer(error.status_code, str(error.detail), error.headers)


async def _on_refusal(request: Request, error: RefusedError) -> Response:
    """What fails here is logged, under the id that the client is told; 503 is no failure, but too much to do."""
    if error.status < 500 or error.status == 503:
        return refusal_answer(error)
    number = request_id(request.scope)
    _log.error("request %s was answered with %d: %s", number, error.status, error, exc_info=error.__cause__)
    return refusal_answer(error, request=number)


async def _on_input_error(request: Request, error: InputError) -> Response:
    return error_answer(400, str(error))


async def _on_model_error(request: Request, error: EdgeVisionError) -> Response:
    _log.error("request %s failed: %s", request_id(request.scope), type(error).__name__, exc_info=error)
    return _fault_answer(request)


async def _on_fault(request: Request, error: Exception) -> Response:
    """What raises goes on to the server, which logs the whole of it; here its id is put beside that."""
    _log.error("request %s failed: %s", request_id(request.scope), type(error).__name__)
    return _fault_answer(request)


def _fault_answer(request: Request) -> Response:
    """Nothing of the program's inside is told."""
    words = "the service failed on this request; its log says how"
    return error_answer(500, words, request=request_id(request.scope))
