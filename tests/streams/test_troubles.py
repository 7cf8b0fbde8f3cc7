"""What is told of sinks and the model: at once, once, and never so often that it fills a log."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import SinkCounts, SinkStatus, SpoolStatus
from edgevision.streams.troubles import AGAIN_S, CHANGE_S, TroubleWatch, news_at_the_end

WELL = SinkStatus("mqtt", counts=SinkCounts(put=9, written=9), spool=SpoolStatus(delivered=9))


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Shop:
    """A stream as the watch sees it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.sinks: list[SinkStatus] = [WELL]
        self.troubles: list[SimpleNamespace] = []

    def fails(self, words: str) -> None:
        self.troubles.append(SimpleNamespace(words=words))
        self.metrics.add_model_failure()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def watch(clock) -> TroubleWatch:
    return TroubleWatch(clock)


def words(watch: TroubleWatch, shop: Shop) -> list[str]:
    return [one.words for one in watch.news(shop)]


def down(fault: str = "nobody answers", waiting: int = 12) -> SinkStatus:
    return replace(WELL, fault=fault, spool=SpoolStatus(waiting, 100 * waiting, 9))


def test_nothing_is_told_while_all_is_well(watch, shop):
    assert words(watch, shop) == []
    assert watch.lines(shop) == []


def test_a_fault_is_told_at_once_and_once_and_so_is_its_end(watch, shop, clock):
    shop.sinks = [down()]
    assert words(watch, shop) == ["sink mqtt: nobody answers; 12 messages on disk"]
    for waiting in range(13, 30):
        clock.now_s += 20.0
        shop.sinks = [down(waiting=waiting)]
        assert words(watch, shop) == []  # a night without a broker fills no log
    assert watch.lines(shop) == ["sink mqtt: nobody answers; 29 messages on disk"]
    shop.sinks = [replace(WELL, spool=SpoolStatus(1))]
    assert words(watch, shop) == ["sink mqtt: it is well again; 1 message on disk"]
    assert watch.lines(shop) == []


def test_a_sink_that_comes_and_goes_fills_no_log(watch, shop, clock):
    told = 0
    for step in range(1000):
        shop.sinks = [WELL if step % 2 else down(f"try {step}")]
        told += len(words(watch, shop))
        clock.now_s += 0.25
    assert 2 <= told <= 1000 * 0.25 / CHANGE_S + 1


def test_another_fault_of_a_sink_that_is_down_is_told_after_a_while(watch, shop, clock):
    shop.sinks = [down("nobody answers", 0)]
    words(watch, shop)
    shop.sinks = [down("wrong password", 0)]
    clock.now_s += AGAIN_S - 1
    assert words(watch, shop) == []
    clock.now_s += 1
    assert words(watch, shop) == ["sink mqtt: wrong password"]


def test_losses_are_told_with_their_kinds_once_a_minute(watch, shop, clock):
    shop.sinks = [replace(WELL, lost={"result": 7, "event": 1}, spool=SpoolStatus(dropped={("size", "result"): 5}))]
    assert words(watch, shop) == ["sink mqtt: lost 12 results and 1 inventory event"]
    shop.sinks = [replace(WELL, lost={"result": 10, "event": 1}, spool=SpoolStatus(dropped={("size", "result"): 6}))]
    assert words(watch, shop) == []
    assert watch.lines(shop) == ["sink mqtt: lost 16 results and 1 inventory event"]
    clock.now_s += AGAIN_S
    assert words(watch, shop) == ["sink mqtt: lost 4 results"]
    assert watch.lines(shop) == []  # it loses nothing any more


def test_a_bad_item_and_a_damaged_spool_are_told_once(watch, shop):
    shop.sinks = [replace(WELL, bad_item="a result is no JSON", spool=SpoolStatus(set_aside="/x.damaged-1"))]
    assert words(watch, shop) == [
        "sink mqtt: a result is no JSON; more of the kind are only counted",
        "sink mqtt: its spool was damaged, or of another version, and was set aside as /x.damaged-1",
    ]
    shop.sinks = [replace(shop.sinks[0], bad_item="another result is no JSON")]
    assert words(watch, shop) == []


def test_failures_of_the_model_are_told_once_a_minute(watch, shop, clock):
    shop.fails("it raised ValueError")
    assert words(watch, shop) == ["model: it raised ValueError (failure 1)"]
    assert watch.lines(shop) == ["model: it raised ValueError (failure 1)"]
    for _ in range(50):
        shop.fails("it hangs")
        assert words(watch, shop) == []
    clock.now_s += AGAIN_S
    assert words(watch, shop) == ["model: it hangs (failure 51)"]
    assert words(watch, shop) == []
    clock.now_s += AGAIN_S
    watch.lines(shop)
    clock.now_s += AGAIN_S
    assert watch.lines(shop) == []


def test_news_are_plain_values_too(watch, shop):
    shop.sinks = [down()]
    shop.fails("it hangs")
    sink, model = (one.to_dict() for one in watch.news(shop))
    assert (sink["kind"], sink["sink"], sink["up"], sink["fault"]) == ("sink", "mqtt", False, "nobody answers")
    assert sink["spool"]["waiting"] == 12
    assert (model["kind"], model["failures"]) == ("model", 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (WELL, []),
        (replace(WELL, fault="down"), ["down"]),
        (replace(WELL, spool=SpoolStatus(1)), ["1 message on disk will go out after the next start"]),
        (
            SinkStatus("mqtt", "down", SinkCounts(put=9, written=4, waiting=1), {"event": 1, "result": 2, "state": 1}),
            ["5 of 9 items did not reach it (down): 2 results, 1 change of state and 1 inventory event"],
        ),
        (SinkStatus("mqtt", counts=SinkCounts(put=2, waiting=1)), ["1 of 2 items did not reach it"]),
    ],
)
def test_the_end_in_words(status, expected):
    assert [one.words for one in news_at_the_end([status])] == [f"sink mqtt: {one}" for one in expected]
