"""``GET /v1/status``: for the operator: cameras, models and their proof, what waits, and what went wrong last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.gallery.shop_gallery import GalleryUse
from edgevision.kiosk.service.live.hub import EventsHub
from edgevision.kiosk.service.picture_folder import FolderUse
from edgevision.kiosk.service.route import Scope, route
from edgevision.kiosk.service.watching import ErrorsSeen
from edgevision.streams.sink_status import Health

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.streams.stream import Stream

PATH = "/v1/status"
_HALF = 0.5


@dataclass(frozen=True)
class CameraReport:
    """One camera as of now. ``camera``: its state, such as ``live``; ``since_s``: for how long; ``words``: why it is not well, empty
    where it is. ``fps``: None until enough frames came. ``age_ms``: of the newest frame, None before the first. ``place``: the state of
    what it looks at, of a Station's."""

    name: str
    camera: str
    since_s: float
    words: str
    fps: float | None
    age_ms: float | None
    place: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name, "camera": self.camera, "since_s": round(self.since_s, 1), "words": self.words,
            "fps": None if self.fps is None else round(self.fps, 1),
            "age_ms": None if self.age_ms is None else round(self.age_ms, 1), "place": self.place,
        }  # fmt: skip


def _none() -> None:
    return None


def _no_batches() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class StatusSources:
    """What is read when somebody asks. ``counts``: more numbers by name, such as what each model served."""

    models: Callable[[], Sequence[ServedDescription]] = tuple
    cameras: Callable[[], Sequence[CameraReport]] = tuple
    errors: ErrorsSeen | None = None
    hub: EventsHub | None = None
    in_flight: Callable[[], int] = int
    pages: Callable[[], int] = int
    feedback: Callable[[], FolderUse | None] = _none
    receipts: Callable[[], Health | None] = _none
    gallery: Callable[[], GalleryUse | None] = _none
    counts: Callable[[], dict[str, Any]] = _no_batches


def status_routes(sources: StatusSources) -> list[BaseRoute]:
    """The route that tells how the service is."""
    began_s = time.monotonic()
    began = datetime.now(timezone.utc).isoformat(timespec="seconds")

    async def status(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        fields = await run_in_threadpool(_fields, sources, began, time.monotonic() - began_s)
        return JSONResponse(fields, headers={"Cache-Control": "no-store"})

    return [route(PATH, status, scope=Scope.READ, max_body_bytes=0)]


def _fields(sources: StatusSources, began: str, uptime_s: float) -> dict[str, Any]:
    from edgevision import __version__

    errors, hub, use, post = sources.errors, sources.hub, sources.feedback(), sources.receipts()
    gallery = sources.gallery()
    return {
        "edgevision": __version__,
        "began": began,
        "uptime_s": round(uptime_s, 1),
        "models": [one.to_dict() for one in sources.models()],
        "cameras": [one.to_dict() for one in sources.cameras()],
        "pages": sources.pages(),
        "requests": {
            "answered": 0 if errors is None else errors.requests,
            "failed": 0 if errors is None else errors.failed,
            "in_flight": sources.in_flight(),
        },
        "events": None if hub is None else {"told": hub.told, "lost": hub.lost, "subscribers": hub.subscribers},
        "feedback": None if use is None else use.to_dict(),
        "receipts": None if post is None else _post(post),
        "gallery": None if gallery is None else gallery.to_dict(),
        "counts": sources.counts(),
        "errors": [] if errors is None else errors.last,
    }


def _post(health: Health) -> dict[str, Any]:
    return {
        "up": not health.fault,
        "fault": health.fault,
        "spool": None if health.spool is None else health.spool.to_dict(),
    }


def stream_cameras(stream: Stream) -> list[CameraReport]:
    """The cameras of a stream: ``age_ms`` is that of half of its results."""
    now_s = time.monotonic()
    reports = []
    for name, one in stream.cameras.items():
        measured = stream.metrics.cameras.get(name)
        age_s = None if measured is None else measured.stages["age"].read().quantile(_HALF)
        reports.append(
            CameraReport(
                name=name,
                camera=one.state.state.value,
                since_s=max(0.0, now_s - one.state.since_s),
                words=one.state.words,
                fps=None if not one.period_s else 1 / one.period_s,
                age_ms=None if age_s is None or age_s == float("inf") else 1000 * age_s,
            )
        )
    return reports
