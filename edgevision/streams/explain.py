"""The ledger on disk, and what it says in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from edgevision.errors import InputError
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.model_change import ModelChange

_MOST_LINE_BYTES = 1 << 16


_MODEL_CHANGE = "model_change"  # the key of a line that holds one; other lines are accounts


def write_accounts(path: str | Path, accounts: Iterable[Account]) -> None:
    """Append one line of JSON for each account. Raises InputError where the file cannot be written."""
    _append(Path(path), (account.to_dict() for account in accounts))


def write_model_changes(path: str | Path, changes: Iterable[ModelChange]) -> None:
    """Append one line of JSON for each step of a swap. Raises InputError where the file cannot be written."""
    _append(Path(path), ({_MODEL_CHANGE: change.to_dict()} for change in changes))


def read_accounts(path: str | Path) -> dict[str, Account]:
    """The last account of each camera, in the order they came. Raises InputError that names the line that is none.

    Half a line at the end, which a crash may leave, is passed over.
    """
    found: dict[str, Account] = {}
    for one in _read(Path(path)):
        if isinstance(one, Account):
            found[one.camera] = one
    return found


def read_model_changes(path: str | Path) -> list[ModelChange]:
    """The steps of swaps, in the order they came, without their reports. Raises InputError as ``read_accounts`` does."""
    return [one for one in _read(Path(path)) if isinstance(one, ModelChange)]


def explain_change(change: ModelChange) -> str:
    """A step of a swap, in words.

    >>> from edgevision.streams.model_change import Step
    >>> explain_change(ModelChange(Step.REFUSED, "b", "a", "a goes on", 0)).partition(": ")[2]
    'model refused: a goes on'
    """
    return f"{_time_of(change.at_ns)}: model {change.step.value}: {change.words}"


def explain(account: Account) -> list[str]:
    """What became of a camera's frames, in words, the most frequent fate first.

    >>> explain(Account("till", 10, 1, {Fate.SERVED: 6, Fate.SUPERSEDED: 3}))[1:3]
    ['  6 (60.0 %) were served', '  3 (30.0 %) gave way to a newer one before the model was free']
    """
    when = "" if account.at_ns is None else f" (as of {_time_of(account.at_ns)})"
    lines = [f"{account.camera}: {_frames(account.captured)} captured{when}"]
    for fate, count in sorted(account.fates.items(), key=lambda item: -item[1]):
        lines.append(f"  {count} ({_percent(count, account.captured)}) {fate.words}")
    if account.in_flight:
        lines.append(f"  {account.in_flight} ({_percent(account.in_flight, account.captured)}) had no fate yet")
    if account.balanced:
        lines.append("  Every frame is accounted for.")
    else:
        missing = account.captured - sum(account.fates.values()) - account.in_flight
        lines.append(f"  {missing} frames are unaccounted for. This must not be: please report it with this file.")
    advice = _advice(account)
    return [*lines, f"  {advice}"] if advice else lines


def _advice(account: Account) -> str:
    """What to do about the greatest loss, where it is great."""
    drops = {fate: count for fate, count in account.fates.items() if fate is not Fate.SERVED}
    if not drops:
        return ""
    worst, count = max(drops.items(), key=lambda item: item[1])
    return _ADVICE.get(worst, "") if count > account.captured / 10 else ""


_ADVICE = {
    Fate.SUPERSEDED: "The model is slower than the cameras together: that is no fault, each result is of the newest frame. A quicker "
    "variant (edgevision tune), fewer cameras or fps = … give each camera more.",
    Fate.OVERFLOW: "The model is slower than this camera in mode every or burst: use mode latest, or a quicker model.",
    Fate.STALE: "The network holds frames back and sends them late: look at the camera's connection.",
    Fate.EXPIRED: "The model cannot answer within max_age: give the camera more weight, or raise max_age_s.",
    Fate.CORRUPT: "Packets are lost or the camera is faulty: use transport tcp, and look at its cable.",
    Fate.POISON: "The model fails on frames of this camera: see the log for its error.",
}


def _append(path: Path, values: Iterable[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        raise InputError(f"cannot write the ledger {path}: {error.strerror or error}") from error


def _read(path: Path) -> Iterator[Account | ModelChange]:
    for number, line in _lines(path):
        try:
            values = json.loads(line)
            is_change = isinstance(values, dict) and _MODEL_CHANGE in values
            yield ModelChange.from_dict(values[_MODEL_CHANGE]) if is_change else Account.from_dict(values)
        except (ValueError, InputError) as error:
            if not line.endswith(b"\n"):
                break
            what = error if isinstance(error, InputError) else "this is no JSON"
            raise InputError(f"{path}:{number}: {what}; give a file that stream --ledger writes") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if len(line) == _MOST_LINE_BYTES:
                    raise InputError(f"{path}:{number}: this line is too long; give a file that stream --ledger writes")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputError(f"cannot read the ledger {path}: {error.strerror or error}") from None


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "–"


def _time_of(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
