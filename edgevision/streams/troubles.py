"""What goes wrong behind the cameras while a stream runs: sinks, their spools, the model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import SinkStatus

CHANGE_S = 10.0  # between two changes of one sink that are told: one that comes and goes fills no log
AGAIN_S = (
    60.0  # between two lines about more losses, another fault of a sink that is down, or the next failure of the model
)


class Trouble(Protocol):
    """What a stream tells of a failure of its model."""

    @property
    def words(self) -> str:
        """What happened."""


class Troubled(Protocol):
    """What is looked at of a stream."""

    metrics: Metrics

    @property
    def sinks(self) -> Sequence[SinkStatus]:
        """Every sink as of now."""

    @property
    def troubles(self) -> Sequence[Trouble]:
        """The last failures of the model."""


@dataclass(frozen=True)
class News:
    """Something new. ``words``: for a log; ``fields``: what is known, as plain JSON values."""

    kind: Literal["sink", "model"]
    words: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """One line of JSON."""
        return {"kind": self.kind, "at_ns": time.time_ns(), "words": self.words, **self.fields}


@dataclass
class _Told:
    """What was told of a sink, and when."""

    fault: str = ""
    fault_s: float = float("-inf")
    lost: Counter[str] = field(default_factory=Counter)
    lost_s: float = float("-inf")
    bad_item: bool = False
    set_aside: str = ""


class TroubleWatch:
    """Looks at a stream again and again. ``news`` gives what was not told yet, ``lines`` what is wrong now.

    >>> watch = TroubleWatch()
    >>> [one.words for one in watch.news(stream)]  # doctest: +SKIP
    ['sink mqtt://broker:1883/shop: cannot connect (Connection refused); 12 messages on disk']
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._sinks: dict[str, _Told] = {}
        self._trouble: Trouble | None = None
        self._trouble_s = float("-inf")
        self._seen: dict[str, tuple[Counter[str], float]] = {}  # sink → what it had lost, and when that grew
        self._seen_failures = (0, float("-inf"))

    def news(self, stream: Troubled) -> list[News]:
        """What is new since the last call."""
        now_s = self._now_s()
        found = []
        for status in stream.sinks:
            told = self._sinks.setdefault(status.name, _Told())
            found += [
                News("sink", f"sink {status.name}: {words}", status.to_dict()) for words in _new(status, told, now_s)
            ]
        last = stream.troubles[-1] if stream.troubles else None
        if last is not None and last is not self._trouble and now_s - self._trouble_s >= AGAIN_S:
            self._trouble, self._trouble_s = last, now_s
            failures = stream.metrics.model_failures
            found.append(News("model", f"model: {last.words} (failure {failures})", {"failures": failures}))
        return found

    def lines(self, stream: Troubled) -> list[str]:
        """A line for each sink that is not well, or lost something in the last minute, and for the model that failed in it."""
        now_s = self._now_s()
        found = []
        for status in stream.sinks:
            lost = _lost(status)
            before, since_s = self._seen.get(status.name, (Counter(), float("-inf")))
            if lost != before:
                since_s = now_s
            self._seen[status.name] = (lost, since_s)
            recently = bool(lost) and now_s - since_s < AGAIN_S
            parts = [status.fault, _waiting(status)] if status.fault else []
            parts += [f"lost {_counted(lost)}"] if recently else []
            if parts:
                found.append(f"sink {status.name}: {'; '.join(part for part in parts if part)}")
        failures, since_s = self._seen_failures
        if stream.metrics.model_failures != failures:
            failures, since_s = stream.metrics.model_failures, now_s
        self._seen_failures = (failures, since_s)
        if failures and now_s - since_s < AGAIN_S and stream.troubles:
            found.append(f"model: {stream.troubles[-1].words} (failure {failures})")
        return found


def news_at_the_end(statuses: Sequence[SinkStatus]) -> list[News]:
    """What did not reach the sinks of a stream that has ended, and what waits on disk for the next start."""
    found = []
    for status in statuses:
        why = f" ({status.fault})" if status.fault else ""
        lost = sum(status.lost.values()) + status.counts.waiting
        words = []
        if lost:
            kinds = f": {_counted(status.lost)}" if status.lost else ""
            words.append(f"{lost} of {status.counts.put} items did not reach it{why}{kinds}")
        elif status.fault:
            words.append(status.fault)
        if status.spool is not None and status.spool.waiting:
            words.append(f"{_number(status.spool.waiting, 'message')} on disk will go out after the next start")
        found += [News("sink", f"sink {status.name}: {one}", status.to_dict()) for one in words]
    return found


def _new(status: SinkStatus, told: _Told, now_s: float) -> list[str]:
    found = []
    if status.fault != told.fault:
        another = bool(status.fault) and bool(told.fault)
        if now_s - told.fault_s >= (AGAIN_S if another else CHANGE_S):
            waiting = _waiting(status)
            found.append((status.fault or "it is well again") + (f"; {waiting}" if waiting else ""))
            told.fault, told.fault_s = status.fault, now_s
    more = _lost(status) - told.lost
    if more and now_s - told.lost_s >= AGAIN_S:
        found.append(f"lost {_counted(more)}")
        told.lost, told.lost_s = _lost(status), now_s
    if status.bad_item and not told.bad_item:
        found.append(f"{status.bad_item}; more of the kind are only counted")
        told.bad_item = True
    if status.spool is not None and status.spool.set_aside != told.set_aside:
        told.set_aside = status.spool.set_aside
        found.append(f"its spool was damaged, or of another version, and was set aside as {told.set_aside}")
    return found


def _lost(status: SinkStatus) -> Counter[str]:
    """Kind → items that never reached the sink, and messages that its spool dropped in this run or before."""
    lost: Counter[str] = Counter(status.lost)
    if status.spool is not None:
        for (_, kind), count in status.spool.dropped.items():
            lost[kind] += count
    return +lost


def _waiting(status: SinkStatus) -> str:
    if status.spool is not None and status.spool.waiting:
        return f"{_number(status.spool.waiting, 'message')} on disk"
    return f"{_number(status.counts.waiting, 'item')} in its queue" if status.counts.waiting else ""


_NAMES = {"result": "result", "state": "change of state", "event": "inventory event"}


def _counted(counts: Mapping[str, int]) -> str:
    words = [_number(counts[kind], name) for kind, name in _NAMES.items() if counts.get(kind)]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _number(count: int, name: str) -> str:
    if count == 1:
        return f"1 {name}"
    plural = "changes of state" if name == "change of state" else f"{name}s"
    return f"{count} {plural}"
