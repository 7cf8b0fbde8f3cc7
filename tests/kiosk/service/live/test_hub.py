"""The hub: order, gaps of slow subscribers, coming back, bounds, the end."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from live_service import recognised, unknown

from edgevision.kiosk.events import Removed
from edgevision.kiosk.service.live.hub import EventsHub, HubClosedError, HubFullError, Message, Subscription


def fields(message: Message | None) -> dict:
    assert message is not None
    return json.loads(message.text)


async def drained(subscription: Subscription) -> list[dict]:
    """What waits, without the snapshot."""
    found = []
    while (message := await subscription.get(0.0)) is not None:
        found.append(fields(message))
    return [one for one in found if one["event"] != "stations"]


def kinds(found: list[dict]) -> list:
    return [one.get("missed", one["event"]) if one["event"] == "gap" else one["placement"] for one in found]


def test_every_subscriber_gets_every_event_in_order_with_its_picture():
    async def run() -> None:
        hub = EventsHub()
        with hub.subscribe() as one, hub.subscribe() as other:
            hub.publish(recognised(1))
            hub.publish(Removed("till", 3.0, 1))
            for subscription in (one, other):
                first, second = await drained(subscription)
                assert first["event"] == "recognised"
                assert first["product"] == {"id": 7, "name": "pear", "score": 0.97}
                assert first["picture"].startswith("data:image/jpeg;base64,/9j/")
                assert second == {
                    "id": second["id"],
                    "event": "removed",
                    "station": "till",
                    "at_s": 3.0,
                    "placement": 1,
                }
        assert hub.subscribers == 0

    asyncio.run(run())


def test_the_first_message_says_how_every_station_is():
    async def run() -> None:
        hub = EventsHub(stations=lambda: [{"station": "till", "state": "blocked"}])
        with hub.subscribe() as subscription:
            message = await subscription.get(0.0)
            assert fields(message) == {"event": "stations", "stations": [{"station": "till", "state": "blocked"}]}
            assert message is not None
            assert not message.id  # nothing to come back to: it is no event

    asyncio.run(run())


@pytest.mark.parametrize(
    ("room", "events", "expected"), [(4, 4, [1, 2, 3, 4]), (4, 5, [1, 2, 3, 4, 5][1:]), (3, 100, [98, 99, 100])]
)
def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many(room, events, expected):
    async def run() -> None:
        hub = EventsHub(queue=room)
        with hub.subscribe() as slow:
            for placement in range(1, events + 1):
                hub.publish(Removed("till", 0.0, placement))
            lost = events - room
            assert kinds(await drained(slow)) == ([lost] if lost else []) + expected
            assert hub.lost == lost
            hub.publish(Removed("till", 0.0, 1000))
            assert kinds(await drained(slow)) == [1000]  # a gap is told once

    asyncio.run(run())


@pytest.mark.parametrize(
    ("history", "back_after", "expected"),
    [
        (256, 3, [4, 5, 6]),
        (256, 6, []),
        (2, 3, [1, 5, 6]),  # 4 is gone
        (2, 4, [5, 6]),
        (2, 5, [6]),
    ],
)
def test_who_comes_back_gets_what_came_meanwhile_and_is_told_what_is_gone(history, back_after, expected):
    async def run() -> None:
        hub = EventsHub(history=history)
        with hub.subscribe() as first:
            for placement in range(1, 7):
                hub.publish(Removed("till", 0.0, placement))
            ids = {one["placement"]: one["id"] for one in await drained(first)}
        with hub.subscribe(ids[back_after]) as back:
            assert kinds(await drained(back)) == expected

    asyncio.run(run())


def test_what_is_told_again_has_its_age_and_what_is_new_has_none():
    async def run() -> None:
        now = [100.0]
        hub = EventsHub(now_s=lambda: now[0])
        with hub.subscribe() as first:
            hub.publish(Removed("till", 3.0, 1))
            (seen,) = await drained(first)
        assert "age_s" not in seen
        hub.publish(recognised(2))
        now[0] = 130.5
        hub.tell("model-changed", {"models": []})
        now[0] = 400.0
        with hub.subscribe(seen["id"]) as back:
            first_message, second_message = [await back.get(0.0) for _ in range(3)][1:]
            assert [fields(one)["age_s"] for one in (first_message, second_message)] == [300.0, 269.5]
            assert fields(first_message)["product"] == {"id": 7, "name": "pear", "score": 0.97}
            assert fields(first_message)["picture"].startswith("data:image/jpeg;base64,")
            assert first_message is not None
            without = json.loads(first_message.plain)
            assert without == {name: value for name, value in fields(first_message).items() if name != "picture"}
            hub.publish(Removed("till", 4.0, 2))
            assert "age_s" not in (await drained(back))[0]
        with hub.subscribe("deadbeef-3") as of_another_run:
            assert [one.get("age_s") for one in await drained(of_another_run)] == [None, 300.0, 300.0, 269.5, 0.0]

    asyncio.run(run())


@pytest.mark.parametrize("after", ["deadbeef-3", "OWN-99", "nonsense", "-", "OWN-", "OWN-٣", f"OWN-{10**30}"])
def test_an_id_of_another_run_or_of_nobody_is_a_gap_of_unknown_length(after):
    async def run() -> None:
        hub = EventsHub()
        with hub.subscribe() as first:
            hub.publish(Removed("till", 0.0, 1))
            (told,) = await drained(first)
        own = told["id"].rpartition("-")[0]
        with hub.subscribe(after.replace("OWN", own)) as back:
            assert kinds(await drained(back)) == [None, 1]

    asyncio.run(run())


def test_history_is_bounded_in_bytes():
    async def run() -> None:
        hub = EventsHub(history_bytes=10_000)
        with hub.subscribe() as first:
            for placement in range(1, 51):
                hub.publish(unknown(placement))
            ids = [one["id"] for one in await drained(first)]
        with hub.subscribe(ids[0]) as back:
            found = await drained(back)
        assert sum(len(json.dumps(one)) for one in found) < 10_000
        assert found[0]["event"] == "gap"
        assert found[0]["missed"] + len(found) - 1 == 49

    asyncio.run(run())


def test_events_come_from_any_thread_and_wake_who_waits():
    async def run() -> None:
        hub = EventsHub()
        threads = [
            threading.Thread(target=lambda name=f"till-{n}": [hub.publish(Removed(name, 0.0, p)) for p in range(50)]) for n in range(4)
        ]  # fmt: skip
        with hub.subscribe() as subscription:
            await subscription.get(0.0)
            for thread in threads:
                thread.start()
            found = [fields(await subscription.get(10.0)) for _ in range(200)]
        for thread in threads:
            thread.join()
        numbers = [int(one["id"].rpartition("-")[2]) for one in found]
        assert numbers == list(range(1, 201))  # the order of the ids is the order in which they are told
        for n in range(4):
            assert [one["placement"] for one in found if one["station"] == f"till-{n}"] == list(range(50))

    asyncio.run(run())


def test_an_answer_without_pixels_is_told_without_a_picture():
    import numpy as np

    from edgevision.kiosk.events import Unknown

    async def run() -> None:
        hub = EventsHub()
        with hub.subscribe() as subscription:
            hub.publish(Unknown("till", 1.0, 1, np.zeros((0, 10, 3), np.uint8), 0.4))
            (told,) = await drained(subscription)
        assert told["event"] == "unknown"
        assert "picture" not in told

    asyncio.run(run())


def test_nothing_comes_within_the_time_given():
    async def run() -> None:
        hub = EventsHub()
        with hub.subscribe() as subscription:
            await subscription.get(0.0)
            assert await subscription.get(0.01) is None

    asyncio.run(run())


def test_closing_ends_who_waits_at_once_and_whatever_waits():
    async def run() -> None:
        hub = EventsHub()
        with hub.subscribe() as waiting, hub.subscribe() as full:
            await waiting.get(0.0)
            hub.publish(Removed("till", 0.0, 1))
            await waiting.get(0.0)
            threading.Timer(0.05, hub.close).start()
            with pytest.raises(HubClosedError):
                await waiting.get(3600.0)  # woken, long before that
            with pytest.raises(HubClosedError):
                await full.get(0.0)
        with pytest.raises(HubClosedError):
            hub.subscribe()
        hub.publish(Removed("till", 0.0, 2))  # a Station's last word: for nobody
        hub.close()
        assert hub.told == 1

    asyncio.run(run())


def test_no_more_may_listen_than_there_are_places():
    async def run() -> None:
        hub = EventsHub(most_subscribers=2)
        with hub.subscribe():
            second = hub.subscribe()
            with pytest.raises(HubFullError):
                hub.subscribe()
            with second:
                pass
            with hub.subscribe():
                assert hub.subscribers == 2

    asyncio.run(run())


def test_a_loop_that_is_gone_disturbs_nobody():
    hub = EventsHub()

    async def leave_open() -> Subscription:
        return hub.subscribe()

    left = asyncio.run(leave_open())
    hub.publish(Removed("till", 0.0, 1))
    hub.close()
    assert left is not None
