"""The page's routes: its static files, which travel in the package, and its settings."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.kiosk.page.settings import PageSettings
from edgevision.kiosk.service.access.security_headers import page_headers
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
PAGES = {"/": "index.html", "/operator": "operator.html", "/products": "products.html"}
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_ASKED_FOR_AGAIN = "no-cache"  # kept, but asked for each time: after an upgrade no old module meets a new one
_READ = ("GET", "HEAD")
Endpoint = Callable[["Request"], Awaitable["Response"]]


def page_routes(settings: PageSettings | None = None) -> list[Route]:
    """Routes of the page, all open to everybody: ``/``, ``/operator``, ``/static/…``, and ``/page.json`` with ``settings``.

    The files are read once, here, and found by their names: no path of a request reaches the disk.
    """
    told = settings or PageSettings()
    headers = {**page_headers(told.allow_frames), "Cache-Control": _ASKED_FOR_AGAIN}
    paths = {path: FOLDER / name for path, name in PAGES.items()}
    paths |= {f"/static/{name}": path for name, path in static_files().items()}
    routes = [
        route(at, _file(path.read_bytes(), MEDIA_TYPES[path.suffix], headers), scope=Scope.OPEN, methods=_READ)
        for at, path in paths.items()
    ]
    return [*routes, route("/page.json", _settings(told, headers), scope=Scope.OPEN, methods=_READ)]


def static_files() -> dict[str, Path]:
    """The page's files by their names under ``/static/``: all in the folder of a kind in ``MEDIA_TYPES``."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    return {path.relative_to(FOLDER).as_posix(): path for path in found}


def _file(body: bytes, media_type: str, common: Mapping[str, str]) -> Endpoint:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**common, "ETag": tag}
    if media_type == MEDIA_TYPES[".svg"]:
        headers["Cache-Control"] = "max-age=3600"  # each icon that is drawn asks for it, also while the service is away

    async def answer(request: Request) -> Response:
        from starlette.responses import Response

        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return answer


def _settings(settings: PageSettings, common: Mapping[str, str]) -> Endpoint:
    async def answer(request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse(settings.to_dict(), headers={**common, "Cache-Control": "no-store"})

    return answer
