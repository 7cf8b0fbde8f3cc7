"""What the service answers with: JSON, and for what it refuses ``{"error": text}`` with the status that says whose turn it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgevision.errors import EdgeVisionError

if TYPE_CHECKING:
    from starlette.responses import Response

_MOST_WORDS = 1000  # characters of an error: it may repeat what the client sent


class RefusedError(EdgeVisionError):
    """To be raised in a route: a request that gets no answer but why. The message holds no path and nothing secret. ``status``: of HTTP. ``retry_after_s``: when to try again, where that helps.
    ``close``: whether the connection is closed after it, for what is left of the request is not read."""

    def __init__(self, status: int, message: str, *, retry_after_s: float | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.close = close

    @property
    def headers(self) -> dict[str, str]:
        """Those that go with the status."""
        found = {}
        if self.retry_after_s is not None:
            found["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.close:
            found["Connection"] = "close"
        return found


def json_answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``data`` as JSON, with null in place of numbers that JSON does not have."""
    from starlette.responses import Response

    try:
        text = _dumped(data)
    except ValueError:
        text = _dumped(finite(data))
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")


def _dumped(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def error_answer(
    status: int, message: str, headers: Mapping[str, str] | None = None, *, request: str | None = None
) -> Response:
    """``{"error": message}``. Control characters are not repeated. ``request``: the id that the log has of it, told as ``id``."""
    if len(message) > _MOST_WORDS:
        message = message[: _MOST_WORDS - 1] + "…"
    words = "".join(one if one.isprintable() else "\ufffd" for one in message)
    told = {"error": words} if request is None else {"error": words, "id": request}
    return json_answer(told, status, {"Cache-Control": "no-store", **(headers or {})})


def refusal_answer(refusal: RefusedError, *, request: str | None = None) -> Response:
    """The answer to a request that is refused. ``request``: as in ``error_answer``."""
    return error_answer(refusal.status, str(refusal), refusal.headers, request=request)


def finite(data: Any) -> Any:
    """Plain JSON values, with null in place of numbers that JSON does not have."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): finite(value) for key, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, (list, tuple)) else data
