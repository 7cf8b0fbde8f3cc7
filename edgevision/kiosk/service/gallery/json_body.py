"""JSON that callers send to the gallery's routes: read, and checked for its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import Budget, read_body

if TYPE_CHECKING:
    from starlette.requests import Request

_ID = re.compile(r"-?\d{1,16}", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)


async def read_object(request: Request, budget: Budget, known: frozenset[str]) -> dict[str, Any]:
    """The body, an object with some of the keys ``known``. Raises InputError; RefusedError as ``read_body`` does."""
    with budget.share() as share:
        body = await read_body(request, share)
        return parse_object(body, known)


def parse_object(body: bytes | str, known: frozenset[str]) -> dict[str, Any]:
    """The same of a text that is there already.

    >>> parse_object('{"top": 3}', frozenset({"top"}))
    {'top': 3}
    """
    try:
        given = json.loads(body if isinstance(body, str) else body.decode())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError("expected JSON in UTF-8") from None
    except ValueError:  # Python reads no whole number of thousands of digits
        raise InputError("a number has too many digits; give it as text") from None
    if not isinstance(given, dict):
        raise InputError(f"expected a JSON object with {', '.join(sorted(known))}")
    if strange := sorted(given.keys() - known):
        raise InputError(f"{strange[0][:40]!r} is not known here; known are {', '.join(sorted(known))}")
    return given


def check_query(request: Request, known: Collection[str] = ()) -> None:
    """Raise InputError where the query has another key than ``known``: what is not understood is not left out in silence."""
    if strange := sorted(set(request.query_params) - set(known)):
        words = f"known are {', '.join(sorted(known))}" if known else "none is known"
        raise InputError(f"?{strange[0][:40]}= is not known here; {words}")


def path_id(request: Request) -> int:
    """The product's id in the path. Raises RefusedError, 404, for what is no id."""
    text = request.path_params["id"]
    if _ID.fullmatch(text) is None:
        raise RefusedError(404, "a product's id is a whole number; /v1/gallery lists them")
    return int(text)


def count_of(request: Request, name: str, default: int, most: int) -> int:
    """A number of the query, 0 … ``most``. Raises InputError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if _COUNT.fullmatch(text) is None or int(text) > most:
        raise InputError(f"{name} is a whole number, 0 … {most}, got {text[:20]!r}")
    return int(text)
