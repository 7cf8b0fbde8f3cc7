"""``POST /v1/feedback``: what the shopper says it is, with the picture: the next training set."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevision.decode import read_image
from edgevision.errors import EdgeVisionError, ImageError
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import Budget, read_body
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.picture_folder import PictureFolder, QuotaError, label_folders
from edgevision.kiosk.service.products import picture_type
from edgevision.kiosk.service.route import Scope, route
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/v1/feedback"
MAX_BODY_BYTES = 4 << 20
MAX_DECODE_BYTES = 64_000_000  # of one picture: some 10 megapixels
_AT_ONCE = 2  # pictures that are decoded: however many come, their memory is bounded
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
_ID = re.compile(r"-?\d{1,18}", re.ASCII)
_PLACEMENT = re.compile(r"\d{1,18}", re.ASCII)
_STATION = re.compile(r"[^\x00-\x1f\x7f]{1,80}")


def feedback_routes(
    folder: PictureFolder | None, model: Callable[[], ServedDescription],
    said: Callable[[int, str | None], Mapping[str, Any] | None], budget: Budget,
) -> list[BaseRoute]:  # fmt: skip
    """The route that takes corrections. ``folder``: where they are kept; None: they are refused. ``model``: what answers now.
    ``said``: what the model had said of a placement (of a Station), if that is known. ``budget``: of the bytes that requests may hold."""

    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="edgevision feedback")

    async def feedback(request: Request) -> Response:
        from starlette.responses import JSONResponse

        if folder is None:
            raise RefusedError(404, "feedback is off, and no picture is kept; start the service with --feedback DIR")
        now = model()
        label = _label(request.query_params.get("label"), now.labels)
        placement = _placement(request.query_params.get("placement"))
        station = request.query_params.get("station")
        if station is not None and _STATION.fullmatch(station) is None:
            raise RefusedError(400, "station is the name of a Station, as its events have it")
        with budget.share() as share:
            data = await read_body(request, share)
            told = None if placement is None else said(placement, station)
            fields = _fields(label, placement, station, now, told)
            work = partial(_keep, folder, data, label_folders(now.labels)[label.id], fields, JSONResponse)
            return await asyncio.get_running_loop().run_in_executor(threads, work)

    return [route(PATH, feedback, scope=Scope.INFER, methods=("POST",), max_body_bytes=MAX_BODY_BYTES)]


def _keep(
    folder: PictureFolder, data: bytes, label_folder: str, fields: Mapping[str, Any], answer: Callable[..., Response]
) -> Response:
    """Look at the picture and keep it. Takes a thread: it decodes, and it writes to the disk."""
    suffix = _SUFFIX.get(picture_type(data) or "")
    if suffix is None:
        raise RefusedError(415, "expected a JPEG, PNG or WebP picture as the body")
    try:
        height, width = read_image(data, max_decode_bytes=MAX_DECODE_BYTES).shape[:2]
    except ImageError as error:
        raise RefusedError(422, str(error)) from None
    try:
        kept = folder.keep(data, suffix, label_folder, {**fields, "height": height, "width": width})
    except QuotaError as error:
        raise RefusedError(507, str(error)) from error
    except EdgeVisionError as error:
        raise RefusedError(500, str(error)) from error
    return answer({"kept": kept.name, "again": kept.again}, 200 if kept.again else 201)


def _fields(
    label: Label, placement: int | None, station: str | None, model: ServedDescription, told: Mapping[str, Any] | None
) -> dict[str, Any]:  # fmt: skip
    """A line of the manifest, as far as it is not about the file."""
    product = (told or {}).get("product") or next(iter((told or {}).get("choices", ())), None)
    return {
        "label": label.id,
        "name": label.name,
        "model": model.id,
        "score": None if product is None else product["score"],
        "placement": placement,
        "station": station if told is None else told["station"],
        "said": None if told is None else dict(told),
    }


def _label(given: str | None, labels: tuple[Label, ...]) -> Label:
    if given is None or _ID.fullmatch(given) is None:
        raise RefusedError(400, "label is the id of the product, such as ?label=7")
    found = next((label for label in labels if label.id == int(given)), None)
    if found is None:
        raise RefusedError(404, f"the model knows no product with the id {int(given)}; /v1/products lists them")
    return found


def _placement(given: str | None) -> int | None:
    if given is None:
        return None
    if _PLACEMENT.fullmatch(given) is None:
        raise RefusedError(400, "placement is the number of the placement, as the events have it")
    return int(given)
