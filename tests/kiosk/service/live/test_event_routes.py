"""Event streams over a real server: what is written, coming back, heartbeats, slow readers, limits, and the end."""

from __future__ import annotations

import json
import time

import pytest
from live_service import EventClient, SocketClient, app_of, ask, recognised, running, unsure, wait_for

from edgevision.kiosk.events import Removed
from edgevision.kiosk.service.live.event_routes import as_event, event_routes
from edgevision.kiosk.service.live.hub import EventsHub, Message

pytestmark = pytest.mark.requires("serve")


@pytest.fixture
def hub():
    made = EventsHub(most_subscribers=3)
    yield made
    made.close()


@pytest.fixture
def server(hub):
    with running(app_of(event_routes(hub)), hub.close) as running_server:
        yield running_server


def test_an_event_stream_has_kind_id_and_json_on_one_line(hub, server):
    client = EventClient(server.port)
    assert client.answer.status == 200
    assert client.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert client.answer.headers["Cache-Control"] == "no-store"
    assert client.next() == {"retry": "2000"}
    assert client.event()["_event"] == "stations"
    hub.publish(recognised(1))
    hub.publish(unsure(2))
    hub.tell("model-changed", {"words": "line\nbreak \u2028 梨"})
    first, second, third = client.event(), client.event(), client.event()
    assert (first["_event"], first["event"], first["_id"]) == ("recognised", "recognised", first["id"])
    assert [one["name"] for one in second["choices"]] == ["Gruyère", "pear"]
    assert third["words"] == "line\nbreak \u2028 梨"
    client.close()


def test_pictures_can_be_left_out(hub, server):
    client = EventClient(server.port, "/v1/events?pictures=no")
    client.event()
    hub.publish(recognised(1))
    assert "picture" not in client.event()
    client.close()


@pytest.mark.parametrize("how", ["header", "query"])
def test_a_browser_that_comes_back_gets_what_it_missed(hub, server, how):
    client = EventClient(server.port)
    client.event()
    hub.publish(Removed("till", 1.0, 1))
    last = client.event()["_id"]
    client.close()
    hub.publish(Removed("till", 1.0, 2))
    target, headers = ("/v1/events", {"Last-Event-ID": last}) if how == "header" else (f"/v1/events?after={last}", {})
    again = EventClient(server.port, target, headers)
    assert again.event()["event"] == "stations"
    assert again.event()["placement"] == 2
    again.close()


def test_nothing_happens_for_long_and_the_connection_is_kept_warm():
    hub = EventsHub()
    with running(app_of(event_routes(hub, heartbeat_s=0.05)), hub.close) as server:
        client = EventClient(server.port)
        client.next()
        client.event()
        assert client.next() == {":": ""}
        socket = SocketClient(server.port, "/v1/events")
        assert socket.text()["event"] == "stations"
        assert socket.text() == {"event": "heartbeat"}
        client.close()
        socket.close()


def test_a_websocket_gets_the_same_events(hub, server):
    client = SocketClient(server.port, "/v1/events", ["edgevision", "edgevision.token.secret"])
    assert client.subprotocol == "edgevision"  # the token never comes back
    assert client.text()["event"] == "stations"
    hub.publish(recognised(1))
    told = client.text()
    assert told["picture"].startswith("data:image/jpeg;base64,")
    client.send("whatever a client says is passed over")
    hub.publish(Removed("till", 1.0, 1))
    assert client.text()["event"] == "removed"
    again = SocketClient(server.port, f"/v1/events?after={told['id']}&pictures=no")
    assert [again.text()["event"], again.text()["event"]] == ["stations", "removed"]
    client.close()
    again.close()
    wait_for(lambda: hub.subscribers == 0)


def test_a_client_that_offers_no_subprotocol_gets_none(hub, server):
    client = SocketClient(server.port, "/v1/events", [])
    assert client.subprotocol is None
    client.close()


def test_who_goes_away_makes_room(hub, server):
    clients = [EventClient(server.port) for _ in range(3)]
    refused = EventClient(server.port)
    assert (refused.answer.status, refused.answer.headers["Retry-After"]) == (503, "10")
    assert "3 listen already" in json.loads(refused.answer.read())["error"]
    socket = SocketClient(server.port, "/v1/events")
    assert socket.closed() == (1013, "3 listen already, which is as many as may")
    for client in clients:
        client.close()
    wait_for(lambda: hub.subscribers == 0)
    after = EventClient(server.port)
    assert after.event()["event"] == "stations"
    after.close()


def test_a_reader_who_takes_nothing_loses_the_oldest_and_slows_nobody():
    hub = EventsHub(queue=8)
    with running(app_of(event_routes(hub)), hub.close) as server:
        slow, quick = EventClient(server.port), EventClient(server.port)
        quick.event()
        words = "x" * 100_000
        for number in range(300):  # 30 MB: more than sockets hold
            hub.tell("model-changed", {"number": number, "words": words})
            assert quick.event()["number"] == number
        assert hub.lost > 0
        found = [slow.event() for _ in range(2)]
        while found[-1].get("number") != 299:
            found.append(slow.event())
        gaps = [one for one in found if one["event"] == "gap"]
        numbers = [one["number"] for one in found if "number" in one]
        assert numbers == sorted(set(numbers))
        assert sum(one["missed"] for one in gaps) == 300 - len(numbers) == hub.lost
        slow.close()
        quick.close()


def test_a_reader_who_takes_nothing_for_too_long_is_cut_off():
    hub = EventsHub(queue=8)
    with running(app_of(event_routes(hub, send_s=0.1)), hub.close) as server:
        slow = EventClient(server.port)
        slow.event()
        socket = SocketClient(server.port, "/v1/events")
        wait_for(lambda: hub.subscribers == 2)
        words = "x" * 1_000_000
        for number in range(40):
            hub.tell("model-changed", {"number": number, "words": words})
            time.sleep(0.02)
            if hub.subscribers == 0:
                break
        wait_for(lambda: hub.subscribers == 0)
        slow.close()
        socket.close()


def test_the_service_ends_with_streams_open():
    hub = EventsHub()
    with running(app_of(event_routes(hub)), hub.close, grace_s=60) as server:
        client, socket = EventClient(server.port), SocketClient(server.port, "/v1/events")
        client.event()
        socket.text()
        assert server.stop()  # within less than the 60 seconds that it would wait for answers
        assert client.next() == {}  # ended, and not cut off: chunked encoding was finished
        assert socket.closed()[0] == 1012  # "Service Restart": come back
        client.close()
    late = ask(app_of(event_routes(hub)), "GET", "/v1/events")
    assert (late.status, late.json) == (503, {"error": "the service ends"})


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/v1/events?pictures=maybe", {}),
        ("/v1/events?after=7", {}),
        ("/v1/events", {"Last-Event-ID": "x" * 10_000}),
        ("/v1/events", {"Last-Event-ID": "ab-1\u0000"}),
    ],
)
def test_nonsense_is_refused(hub, target, headers):
    answer = ask(app_of(event_routes(hub)), "GET", target, headers=headers)
    assert answer.status == 400
    assert "error" in answer.json
    assert hub.subscribers == 0


def test_nonsense_closes_a_websocket(server):
    client = SocketClient(server.port, "/v1/events?pictures=maybe")
    assert client.closed() == (1008, "pictures is yes or no")


def test_head_gives_headers_and_no_stream(hub):
    answer = ask(app_of(event_routes(hub)), "HEAD", "/v1/events")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert hub.subscribers == 0


def test_a_message_without_id_cannot_be_come_back_to():
    assert (
        as_event(Message(0, "", "gap", '{"event":"gap","missed":3}', ""), True)
        == 'event: gap\ndata: {"event":"gap","missed":3}\n\n'
    )
