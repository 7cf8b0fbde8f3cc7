"""A stream for people who watch it: one line for each camera on a terminal, and for each sink that is not well; and lines of a log
without a terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.streams.camera_state import CameraState, State
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.metrics import Metrics
from edgevision.streams.reasons import Reason
from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import Item
from edgevision.streams.troubles import Troubled, TroubleWatch
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Product, Products
from edgevision.tasks.results import Classification

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

SPAN_S = 3.0  # over which frames a second are counted
LOG_S = 60.0  # between two lines of a camera in the log
HEADER = ("camera", "state", "fps", "age", "p99", "dropped", "last result")
_MOST_NAMES = 4
_STYLES = {
    State.LIVE: "green", State.CONNECTING: "yellow", State.STALLED: "bold red", State.BACKOFF: "red", State.DISABLED: "red",
    State.ENDED: "dim",
}  # fmt: skip


class Status(Protocol):
    """What a stream tells of a camera."""

    @property
    def state(self) -> CameraState:
        """What it is doing, and why."""

    @property
    def account(self) -> Account:
        """What became of its frames."""


class Watched(Troubled, Protocol):
    """What the view needs of a stream."""

    @property
    def cameras(self) -> Mapping[str, Status]:
        """Every camera as of now."""


@dataclass(frozen=True)
class Row:
    """One camera as it is shown. ``reason`` and ``words``: why it is not well. ``fps``: results a second in the last seconds; ``age_s`` and ``p99_s``: of the last result, and
    the bound that 99 % of the results so far are within; None where there is none. ``dropped``: the share of its frames."""

    camera: str
    state: State
    reason: Reason | None
    words: str
    fps: float
    age_s: float | None
    p99_s: float | None
    dropped: float
    last: str

    def cells(self) -> tuple[str, ...]:
        """One text for each column of ``HEADER``."""
        state = self.state.value if not self.words else f"{self.state.value}: {self.words}"
        return (
            self.camera, state, f"{self.fps:.1f}", _milliseconds(self.age_s), _milliseconds(self.p99_s), f"{100 * self.dropped:.0f} %",
            self.last,
        )  # fmt: skip


class LiveView:
    """Follows a stream. ``see`` gets its items, from any thread; ``rows`` says how it stands; ``shown`` shows that until it ends.

    >>> view = LiveView()
    >>> view.see(result)  # doctest: +SKIP
    >>> view.rows(stream)[0].cells()  # doctest: +SKIP
    ('till', 'live', '24.8', '61 ms', '100 ms', '1 %', 'cola 98 %')
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._last: dict[str, StreamResult] = {}
        self._served: dict[str, deque[tuple[float, int]]] = {}
        self._troubles = TroubleWatch(now_s)
        self._logged: dict[str, tuple[float, State, Reason | None]] = {}

    def see(self, item: Item) -> None:
        """Remember a camera's last result."""
        if isinstance(item, StreamResult):
            with self._lock:
                self._last[item.camera] = item

    def rows(self, stream: Watched) -> list[Row]:
        """Every camera as of now, in the order they were added."""
        now_s = self._now_s()
        return [self._row(name, status, stream.metrics, now_s) for name, status in stream.cameras.items()]

    def log_lines(self, stream: Watched) -> list[str]:
        """What is new for a log: each change of state and each trouble at once, and every camera once a minute."""
        now_s = self._now_s()
        lines = []
        for row in self.rows(stream):
            logged_s, state, reason = self._logged.get(row.camera, (float("-inf"), None, None))
            if (state, reason) != (row.state, row.reason):  # not the words: they tell when it is tried again
                lines.append(f"{row.camera}: {row.cells()[1]}")
            elif now_s - logged_s < LOG_S or row.state is not State.LIVE:
                continue
            else:
                lines.append(_log_line(row))
            self._logged[row.camera] = (now_s, row.state, row.reason)
        return [*lines, *(one.words for one in self._troubles.news(stream))]

    @contextmanager
    def shown(self, stream: Watched, console: Console) -> Iterator[Callable[[], None]]:
        """Gives a function that brings what is shown up to date; to be called a few times a second."""
        if not console.is_terminal or console.is_dumb_terminal:
            yield lambda: self._print_log(stream, console)
            return
        from rich.live import Live

        with Live(self._screen(stream), console=console, auto_refresh=False) as live:
            yield lambda: live.update(self._screen(stream), refresh=True)

    def _row(self, name: str, status: Status, metrics: Metrics, now_s: float) -> Row:
        account = status.account
        with self._lock:
            last = self._last.get(name)
        captured = account.captured - account.in_flight
        served = account.fates.get(Fate.SERVED, 0)
        return Row(
            camera=name,
            state=status.state.state,
            reason=status.state.reason,
            words=status.state.words,
            fps=self._rate(name, served, now_s),
            age_s=None if last is None else last.age_s,
            p99_s=metrics.camera(name).stages["age"].read().quantile(0.99),
            dropped=(captured - served) / captured if captured else 0.0,
            last="" if last is None else describe(last.result),
        )

    def _rate(self, name: str, served: int, now_s: float) -> float:
        """Results a second, over the last ``SPAN_S`` seconds in which somebody looked."""
        seen = self._served.setdefault(name, deque())
        seen.append((now_s, served))
        while len(seen) > 2 and now_s - seen[1][0] >= SPAN_S:
            seen.popleft()
        first_s, first = seen[0]
        return (served - first) / (now_s - first_s) if now_s > first_s else 0.0

    def _print_log(self, stream: Watched, console: Console) -> None:
        moment = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        for line in self.log_lines(stream):
            console.print(_plain(f"{moment} {line}"), soft_wrap=True)

    def _screen(self, stream: Watched) -> Group:
        """The cameras, and below them what is wrong."""
        from rich.console import Group
        from rich.text import Text

        troubles = [Text(_plain(line), "red") for line in self._troubles.lines(stream)]
        return Group(self._table(stream), *troubles)

    def _table(self, stream: Watched) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
        for name in HEADER:
            number = name in ("fps", "age", "p99", "dropped")
            table.add_column(name, justify="right" if number else "left", no_wrap=True, overflow="ellipsis")
        for row in self.rows(stream):
            cells = [Text(_plain(cell)) for cell in row.cells()]
            cells[1].stylize(_STYLES[row.state])
            table.add_row(*cells)
        return table


def describe(result: Any) -> str:
    """A model's answer in a few words.

    >>> from edgevision.tasks.results import Prediction, Timing
    >>> describe(Classification((Prediction(7, "cola", 0.98),), True, Timing(0, 0, 0)))
    'cola 98 %'
    """
    if isinstance(result, Classification):
        if not result.top:
            return "unknown"
        best = f"{result.best.name} {100 * result.best.score:.0f} %"
        return best if result.known else f"unknown (closest: {best})"
    if isinstance(result, Detections):
        return _counted(result.names)
    if isinstance(result, Products):
        return _counted([_product_name(one) for one in result])
    return type(result).__name__


def _product_name(product: Product) -> str:
    """What the second model calls it; of one that names nothing, the first's word for it."""
    found = product.result
    if not isinstance(found, Classification):
        return product.detection.name
    return found.best.name if found.known else "unknown"


def _counted(names: list[str]) -> str:
    """How many of each name, the most frequent first."""
    if not names:
        return "nothing"
    counts = sorted(((names.count(name), name) for name in set(names)), key=lambda one: (-one[0], one[1]))
    shown = ", ".join(f"{count} {name}" for count, name in counts[:_MOST_NAMES])
    return shown if len(counts) <= _MOST_NAMES else f"{shown}, …"


def _log_line(row: Row) -> str:
    _, _, fps, age, p99, dropped, last = row.cells()
    return f"{row.camera}: {fps} fps, age {age} (p99 within {p99}), {dropped} dropped, last: {last}"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def _plain(text: str) -> str:
    """Without control characters: a label or a camera must not steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
