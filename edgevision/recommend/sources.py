"""What a shop's basket counts are taken from: a file of counts, or a log to be counted."""

from __future__ import annotations

import json
from pathlib import Path

from edgevision.errors import InputError
from edgevision.files import read_regular
from edgevision.recommend.basket_log import count_log, read_log
from edgevision.recommend.baskets import FLOOR, Baskets
from edgevision.recommend.baskets_file import MAX_BYTES, is_baskets, told_from_dict


def open_baskets(path: str | Path, *, floor: int | None = None) -> Baskets:
    """Read counts, or count a log; see ``baskets_file`` and ``basket_log``. ``floor``: of a log (default 5). Raises InputError."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        try:
            given = json.loads(read_regular(path, MAX_BYTES))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError):
            given = None  # several lines of JSON are a log
        if is_baskets(given):
            return _counted_before(path, given, floor)
    return count_log(read_log(path), Baskets(floor=FLOOR if floor is None else floor))


def _counted_before(path: Path, given: object, floor: int | None) -> Baskets:
    try:
        baskets = told_from_dict(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if floor is not None and floor != baskets.floor:
        raise InputError(f"{path} was counted with a floor of {baskets.floor}; count the log anew for another one")
    return baskets
