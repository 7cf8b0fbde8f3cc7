"""Answers that refuse a request, in words that the caller can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException


def refused(status: int, words: str, headers: Mapping[str, str] | None = None) -> HTTPException:
    """To be raised in a route; the app answers with ``{"error": words}``. ``words`` hold no path and nothing secret."""
    from starlette.exceptions import HTTPException

    return HTTPException(status, words, headers)
