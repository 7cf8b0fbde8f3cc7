"""A shop's basket counts as a file: only counts that reached the floor, rounded down to multiples of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgevision.errors import InputError
from edgevision.files import atomic_write, read_regular
from edgevision.recommend.baskets import Baskets

MAX_BYTES = 256 << 20
MOST_PAIRS = 5_000_000
_FORMAT = "edgevision baskets"
_START, _START_BYTES = b'{"format":"edgevisionbaskets"', 64  # of every such file, white space aside
_KEYS = frozenset({"format", "version", "floor", "total", "products", "pairs"})


def save_baskets(path: str | Path, baskets: Baskets) -> None:
    """Write ``baskets.told()``. What is below the floor is not written, and counting it begins anew. Raises InputError, EdgeVisionError."""
    atomic_write(path, (json.dumps(told_to_dict(baskets), separators=(",", ":")) + "\n").encode())


def read_baskets(path: str | Path) -> Baskets:
    """Read what ``save_baskets`` wrote. Raises InputError for anything else."""
    try:
        given = json.loads(read_regular(path, MAX_BYTES))
    except OSError as error:
        raise InputError(f"cannot read the basket counts {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no file of basket counts: expected JSON") from None
    try:
        return told_from_dict(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_baskets_file(path: str | Path) -> bool:
    """Whether basket counts lie there, as the file's beginning tells."""
    try:
        if not Path(path).is_file():  # opening a pipe would wait
            return False
        with Path(path).open("rb") as file:
            return b"".join(file.read(_START_BYTES).split()).startswith(_START)
    except (OSError, ValueError):
        return False


def is_baskets(given: object) -> bool:
    """Whether a JSON value says that it is a file of basket counts."""
    return isinstance(given, dict) and given.get("format") == _FORMAT


def told_to_dict(baskets: Baskets) -> dict[str, Any]:
    """What may be told, as plain JSON values."""
    told = baskets.told()
    pairs = [[a, b, count] for a in sorted(told.counts()) for b, count in sorted(told.together(a).items()) if a < b]
    products = {str(id): count for id, count in sorted(told.counts().items())}
    return {
        "format": _FORMAT,
        "version": 1,
        "floor": told.floor,
        "total": told.total,
        "products": products,
        "pairs": pairs,
    }


def told_from_dict(given: object) -> Baskets:
    """What ``told_to_dict`` gave. Raises InputError."""
    if not is_baskets(given):
        raise InputError("expected basket counts, as edgevision recommend writes them")
    assert isinstance(given, dict)
    if given.get("version") != 1 or given.keys() != _KEYS:
        raise InputError(f"expected version 1 with {', '.join(sorted(_KEYS))}; update edgevision, or count again")
    floor, total = _count(given["floor"], "floor"), _count(given["total"], "total")
    products, pairs = given["products"], given["pairs"]
    if not isinstance(products, dict) or not isinstance(pairs, list) or len(pairs) > MOST_PAIRS:
        raise InputError(f"products is an object, and pairs a list of at most {MOST_PAIRS}")
    counts = {_id(id): _count(count, "a product's count") for id, count in products.items()}
    return Baskets.of_counts(max(1, floor), total, counts, [_pair(one, counts) for one in pairs])


def _pair(given: object, counts: dict[int, int]) -> tuple[int, int, int]:
    if not isinstance(given, list) or len(given) != 3:
        raise InputError("a pair is two products and a count")
    a, b, count = (_whole(one) for one in given)
    if a == b or a not in counts or b not in counts or not 0 <= count <= min(counts[a], counts[b]):
        raise InputError(
            f"the pair {a}, {b} is damaged: two products that are listed, bought together no oftener than either"
        )
    return a, b, count


def _count(value: object, name: str) -> int:
    number = _whole(value)
    if number < 0:
        raise InputError(f"{name} is 0 or more, got {number}")
    return number


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"expected a whole number, got {str(value)[:40]!r}")
    return value


def _id(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"a product's id is a whole number, got {text[:40]!r}") from None
