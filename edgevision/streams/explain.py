"""What a ledger says, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.ledger_file import HourAccount


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


def explain_hours(hours: Iterable[HourAccount]) -> list[str]:
    """What became of frames, a line for each camera and hour, in local time.

    >>> explain_hours([HourAccount("till", None, 10, {Fate.SERVED: 8, Fate.STALE: 2})])
    ['till, before: 10 frames captured; 8 (80.0 %) served, 2 (20.0 %) stale']
    """
    lines = []
    for one in hours:
        when = "before" if one.hour_ns is None else datetime.fromtimestamp(one.hour_ns / 1e9).strftime("%Y-%m-%d %H:%M")
        counts = sorted(one.fates.items(), key=lambda item: -item[1])
        parts = [f"{count} ({_percent(count, one.captured)}) {fate.value}" for fate, count in counts]
        lines.append(
            f"{one.camera}, {when}: {_frames(one.captured)} captured; {', '.join(parts) or 'none has a fate yet'}"
        )
    return lines


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


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "–"


def _time_of(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
