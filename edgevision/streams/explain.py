"""Where the frames of a camera went, in words."""

from __future__ import annotations

from datetime import datetime, timezone

from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account

# What can be done about a fate that many frames have.
_ADVICE = {
    Fate.SUPERSEDED: "The model is slower than the cameras together. To see more of this camera's frames, give it a greater weight, give "
    "the others an fps limit, or take a quicker model",
    Fate.OVERFLOW: "The model is slower than the camera. Take mode latest, an fps limit, or a quicker model",
    Fate.STALE: "The network or the camera pauses, and sends what it kept. Look at the connection",
    Fate.EXPIRED: "The model cannot answer within max_age. Allow a greater max_age, fewer cameras, or take a quicker model",
    Fate.CORRUPT: "Packets are lost on the way, or the camera's encoder fails. Look at the connection, and at the camera",
    Fate.POISON: "The model fails on some frames. Look at the errors, and predict one of these frames alone",
}
_ADVICE_FROM = 0.05  # share of the frames


def explain(account: Account) -> str:
    """What became of a camera's frames: a line for each fate, the most frequent first, and what to do where many are lost.

    >>> print(explain(Account("till", 1000, 1, {Fate.SERVED: 970, Fate.SUPERSEDED: 29})))
    till: 1,000 frames were captured.
      970 (97.0 %) were served.
      29 (2.9 %) gave way to a newer one before the model was free.
      1 (0.1 %) are waiting or with the model.
    """
    when = "" if account.at_ns is None else f" until {_time(account.at_ns)}"
    lines = [f"{account.camera}: {account.captured:,} {_frames(account.captured)} captured{when}."]
    ordered = sorted(account.fates.items(), key=lambda one: -one[1])
    lines += [_line(count, account.captured, fate.words) for fate, count in ordered if count]
    if account.in_flight:
        lines.append(_line(account.in_flight, account.captured, "are waiting or with the model"))
    if not account.balanced:
        missing = account.captured - sum(account.fates.values()) - account.in_flight
        lines.append(
            f"  The sum is wrong by {missing:,}: the file was altered, or this is a fault of ours. Please report it."
        )
    lines += [
        f"  {_ADVICE[fate]}." for fate, count in ordered if fate in _ADVICE and count >= _ADVICE_FROM * account.captured
    ]
    return "\n".join(lines)


def _line(count: int, of: int, words: str) -> str:
    share = f"{count / of:.1%}".replace("%", " %") if of else "0.0 %"
    return f"  {count:,} ({share}) {words}."


def _frames(count: int) -> str:
    return "frame was" if count == 1 else "frames were"


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
