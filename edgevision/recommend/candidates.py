"""Candidates that a search found, to be ranked for a shopper: what ``edgevision search --json`` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from edgevision.errors import InputError

MOST = 10_000


def read_candidates(text: str) -> dict[int, float]:
    """Each product's id with its score, the best where one comes twice. Raises InputError.

    >>> read_candidates('{"known": true, "top": [{"product": {"id": 7, "name": "Gala", "fields": {}}, "score": 0.9}]}')
    {7: 0.9}
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("the candidates are no JSON; give what edgevision search --json prints") from None
    found: dict[int, float] = {}
    for one in _matches(given):
        id, score = _id(one), one.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score) or score < 0:
            raise InputError(f"the candidate {id} has no score of 0 or more")
        found[id] = max(float(score), found.get(id, 0.0))
    if not 1 <= len(found) <= MOST:
        raise InputError(f"expected 1 to {MOST} candidates, got {len(found)}")
    return found


def _matches(given: Any) -> Iterator[dict[str, Any]]:
    """The matches of one answer, or of a list of them."""
    for answer in given if isinstance(given, list) else [given]:
        top = answer.get("top") if isinstance(answer, dict) else None
        if not isinstance(top, list) or not all(isinstance(one, dict) for one in top):
            raise InputError('expected an answer of edgevision search --json, with its "top"')
        yield from top


def _id(match: dict[str, Any]) -> int:
    product = match.get("product")
    id = product.get("id") if isinstance(product, dict) else None
    if isinstance(id, bool) or not isinstance(id, int):
        raise InputError("each candidate has a product with its id")
    return id
