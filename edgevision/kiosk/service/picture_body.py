"""A request whose body is a picture: checked, and given to the model that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.requests import answers
from edgevision.kiosk.service.versions import Retired, ServedVersion

if TYPE_CHECKING:
    from starlette.requests import Request

    from edgevision.kiosk.service.service import Service


def check_media_type(request: Request) -> None:
    """Raise RefusedError, 415, for a body that says it is something else than a picture."""
    given = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not (given.startswith("image/") or given in ("application/octet-stream", "")):
        raise RefusedError(
            415,
            f"expected the picture itself as the body, as image/… or application/octet-stream, got {given[:80]!r}",
            close=True,
        )


async def recognised_by(
    service: Service, request: Request, picture: bytes, deadline_s: float | None, name: str | None = None, number: str | None = None
) -> tuple[ServedVersion, Any]:  # fmt: skip
    """What the model says of the picture, and which version said it. ``name``, ``number``: as ``ServedModels.get`` takes them.

    Raises RefusedError.
    """
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
    return version, result
