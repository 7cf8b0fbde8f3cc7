"""The live view: what each line says, on a terminal and in a log."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from stream_items import TIMING, classified, detected, result

from edgevision.streams.camera_state import CameraState, State
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.live_view import LOG_S, LiveView, describe
from edgevision.streams.metrics import Metrics
from edgevision.streams.reasons import Reason
from edgevision.streams.sink_status import SinkStatus
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.products import Products

VECTOR = Embedding(np.ones(16, np.float32) / 4, TIMING)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Shop:
    """A stream as the view sees it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.cameras: dict[str, SimpleNamespace] = {}
        self.sinks: list[SinkStatus] = []
        self.troubles: list[SimpleNamespace] = []

    def put(
        self, name: str, state: State = State.LIVE, words: str = "", reason: Reason | None = None, **fates: int
    ) -> None:
        counts = {Fate(fate): count for fate, count in fates.items() if fate != "in_flight"}
        in_flight = fates.get("in_flight", 0)
        account = Account(name, sum(counts.values()) + in_flight, in_flight, counts)
        self.cameras[name] = SimpleNamespace(state=CameraState(state, 0.0, reason, words), account=account)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_row_says_what_is_known(shop, clock):
    view = LiveView(clock)
    shop.put("till", served=10, superseded=0)
    view.rows(shop)
    clock.now_s += 2.0
    shop.put("till", served=60, superseded=20, in_flight=3)
    for seconds in [0.04] * 99 + [0.9]:
        shop.metrics.camera("till").add("age", seconds)
    view.see(result(3, answer=classified("milk"), age_s=0.0614))
    (row,) = view.rows(shop)
    assert row.fps == pytest.approx(25.0)
    assert row.dropped == pytest.approx(0.25)
    assert row.cells() == ("till", "live", "25.0", "61 ms", "50 ms", "25 %", "milk 90 %")


def test_the_rate_is_of_the_last_seconds(shop, clock):
    view = LiveView(clock)
    for step in range(100):  # 20 a second, then none
        shop.put("till", served=min(step, 50) * 5)
        rows = view.rows(shop)
        clock.now_s += 0.25
        if step == 50:
            assert rows[0].fps == pytest.approx(20.0)
    assert rows[0].fps == 0.0


def test_a_camera_that_never_came(shop, clock):
    shop.put("till", State.BACKOFF, "nothing answers at the camera's address")
    (row,) = LiveView(clock).rows(shop)
    assert row.cells() == ("till", "backoff: nothing answers at the camera's address", "0.0", "–", "–", "0 %", "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (classified("cola"), "cola 90 %"),
        (classified("cola", known=False), "unknown (closest: cola 90 %)"),
        (detected(), "nothing"),
        (detected((0, 0, 9, 9), (9, 9, 20, 20), name="tea"), "2 tea"),
        (Products(detected((0, 0, 9, 9), (9, 9, 20, 20), (30, 30, 40, 40)),
                  (classified("milk"), classified("x", known=False), classified("milk"))), "2 milk, 1 unknown"),
        (Products(detected(*[(n, n, n + 5, n + 5) for n in range(6)]), tuple(classified(n) for n in "abcdef")),
         "1 a, 1 b, 1 c, 1 d, …"),
        (Products(detected((0, 0, 9, 9), (9, 9, 20, 20), name="tea"), (VECTOR, VECTOR)), "2 tea"),
        ({"text": 1}, "dict"),
    ],
)  # fmt: skip
def test_answers_in_a_few_words(answer, words):
    assert TIMING is not None
    assert describe(answer) == words


def test_a_log_has_each_change_at_once_and_each_live_camera_once_a_minute(shop, clock):
    view = LiveView(clock)
    shop.put("till", State.CONNECTING)
    assert view.log_lines(shop) == ["till: connecting"]
    shop.put("till", served=5)
    assert view.log_lines(shop) == ["till: live"]
    for _ in range(10):
        clock.now_s += 1.0
        assert view.log_lines(shop) == []
    clock.now_s += LOG_S
    view.see(result(1))
    (line,) = view.log_lines(shop)
    assert line.startswith("till: 0.0 fps, age 50 ms")
    shop.put("till", State.BACKOFF, "gone; tried again in 0.5 s", Reason.GONE)
    assert view.log_lines(shop) == ["till: backoff: gone; tried again in 0.5 s"]
    shop.put("till", State.BACKOFF, "gone; tried again in 1.1 s", Reason.GONE)
    assert view.log_lines(shop) == []  # a camera that is away for a night fills no log
    shop.put("till", State.BACKOFF, "no certificate", Reason.UNTRUSTED)
    assert view.log_lines(shop) == ["till: backoff: no certificate"]
    clock.now_s += 10 * LOG_S
    assert view.log_lines(shop) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_sink_that_is_not_well_has_its_line_and_the_others_have_none(shop, clock, terminal):
    view = LiveView(clock)
    shop.put("till", served=5)
    shop.sinks = [SinkStatus("jsonl:a"), SinkStatus("mqtt://b\x1b[31m", "cannot connect")]
    shop.troubles = [SimpleNamespace(words="the model hangs")]
    shop.metrics.add_model_failure()
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, height=30, color_system=None, markup=False)
    with view.shown(shop, console) as refresh:
        refresh()
    printed = stream.getvalue()
    assert "sink mqtt://b\ufffd[31m: cannot connect" in printed
    assert "model: the model hangs (failure 1)" in printed
    assert "jsonl:a" not in printed


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_shown_on_a_terminal_and_without_one_and_steers_neither(shop, clock, terminal):
    view = LiveView(clock)
    shop.put("till\x1b[31m[bold]", served=5)
    view.see(result(1, camera="till\x1b[31m[bold]", answer=classified("evil\x1b]0;x\x07")))
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, height=30, color_system=None, markup=False)
    with view.shown(shop, console) as refresh:
        refresh()
        clock.now_s += LOG_S
        refresh()
    printed = stream.getvalue()
    assert "[bold]" in printed
    assert "\x1b[31m" not in printed
    assert "\x1b]0;" not in printed
    assert "live" in printed
