"""A browser's Station over a real server: pictures in, events out; one waits at most; nonsense, failures and limits."""

from __future__ import annotations

import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from live_service import FakeMachine, SocketClient, app_of, running, wait_for

from edgevision.kiosk.events import Placed
from edgevision.kiosk.service.live.station_socket import MOST_BAD, PageStations, state_word

pytestmark = pytest.mark.requires("serve")
PATH = "/v1/station"


def picture(level: int) -> bytes:
    done, data = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))
    assert done
    return data.tobytes()


EMPTY, PRODUCT = picture(0), picture(200)


class Setup:
    def __init__(self, **options) -> None:
        self.machines: list[FakeMachine] = []
        self.seen: list = []
        self.troubles: list[str] = []
        self.ended = False
        self.pages = PageStations(
            self.make, see=self.seen.append, closed=lambda: self.ended, trouble=self.troubles.append, **options
        )

    def make(self, name: str) -> FakeMachine:
        self.machines.append(FakeMachine(name))
        return self.machines[-1]


@pytest.fixture
def setup():
    return Setup(most_connections=2)


@pytest.fixture
def server(setup):
    with running(app_of(setup.pages.routes())) as running_server:
        yield running_server


def test_pictures_become_events_and_states(setup, server):
    client = SocketClient(server.port, PATH, ["edgevision.token.t", "edgevision"])
    assert client.subprotocol == "edgevision"
    answers = []
    for data in (EMPTY, PRODUCT, PRODUCT, EMPTY):
        client.send(data)
        answers.append(client.text())
    assert [one["frame"] for one in answers] == [1, 2, 3, 4]
    assert [one["state"] for one in answers] == ["empty", "still", "still", "empty"]
    assert [[event["event"] for event in one["events"]] for one in answers] == [
        [],
        ["placed", "recognised"],
        [],
        ["removed"],
    ]
    assert all(isinstance(one["age_ms"], float) and one["age_ms"] >= 0 for one in answers)
    assert all("skipped" not in one and "error" not in one for one in answers)
    told = answers[1]["events"][1]
    assert told["product"]["name"] == "pear"
    assert told["picture"].startswith("data:image/jpeg;base64,")
    assert told["station"] == setup.machines[0].name
    assert [event.kind for event in setup.seen] == [
        "placed",
        "recognised",
        "removed",
    ]  # for what a correction is compared with
    client.close()
    wait_for(lambda: setup.pages.connected == 0)


def test_each_connection_has_a_station_of_its_own(setup, server):
    one, other = SocketClient(server.port, PATH), SocketClient(server.port, PATH)
    one.send(PRODUCT)
    assert one.text()["events"]
    other.send(EMPTY)
    assert other.text()["events"] == []
    other.send(PRODUCT)
    assert other.text()["events"][0]["placement"] == 1
    assert len({machine.name for machine in setup.machines}) == 2
    one.close()
    other.close()


def test_of_pictures_that_come_before_the_answer_the_newest_is_looked_at(setup, server):
    client = SocketClient(server.port, PATH)
    client.send(EMPTY)
    client.text()
    (machine,) = setup.machines
    machine.gate.clear()
    client.send(EMPTY)
    wait_for(lambda: not machine.gate.is_set())
    for data in (EMPTY, EMPTY, PRODUCT):
        client.send(data)
    client.send(b"")  # a mark: it is the newest of all, so that the server has read the others
    machine.gate.set()
    answers = [client.text()]
    while answers[-1]["frame"] != 6:
        answers.append(client.text())
    looked_at = [one["frame"] for one in answers]
    assert looked_at == sorted(looked_at)
    assert looked_at[0] == 2
    skipped = {one["frame"]: one.get("skipped", 0) for one in answers}
    assert (
        sum(skipped.values()) + len(answers) == 5
    )  # every picture is answered, or told as skipped with the next answer
    assert len(answers) < 5
    client.close()


def test_news_come_to_every_browser_beside_the_answers(setup, server):
    one, other = SocketClient(server.port, PATH), SocketClient(server.port, PATH)
    wait_for(lambda: setup.pages.connected == 2)
    setup.pages.tell("products-changed", {"products": 3, "examples": 9})
    assert one.text() == other.text() == {"event": "products-changed", "products": 3, "examples": 9}
    one.send(PRODUCT)
    answer = one.text()
    assert (answer["frame"], answer["state"]) == (1, "still")
    one.close()
    other.close()
    wait_for(lambda: setup.pages.connected == 0)
    setup.pages.tell("products-changed", {})  # nobody is there


def test_of_news_that_come_while_a_picture_is_looked_at_the_newest_of_each_kind_is_told(setup, server):
    client = SocketClient(server.port, PATH)
    client.send(EMPTY)
    client.text()
    (machine,) = setup.machines
    entered, step = threading.Event(), machine.step
    machine.step = lambda *given: (entered.set(), step(*given))[1]
    machine.gate.clear()
    client.send(PRODUCT)
    assert entered.wait(10)
    for number in range(3):
        setup.pages.tell("products-changed", {"products": number})
    setup.pages.tell("prices-changed", {})
    machine.gate.set()
    assert client.text()["frame"] == 2
    assert client.text() == {"event": "products-changed", "products": 2}
    assert client.text() == {"event": "prices-changed"}
    client.close()


def bomb() -> bytes:
    """The header of a JPEG of 60,000 × 60,000 pixels."""
    size = struct.pack(">BHHB", 8, 60_000, 60_000, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(size) + 2)
        + size
        + b"\xff\xda\x00\x0c"
        + b"\x00" * 400
        + b"\xff\xd9"
    )


def png() -> bytes:
    done, data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected a JPEG"),
        (b"GET / HTTP/1.1\r\n", "expected a JPEG"),
        (png(), "expected a JPEG"),
        (PRODUCT[:-200], "ends within its header"),
        (b"\xff\xd8\xff" + zlib.compress(b"x" * 1000), ""),
        (bomb(), "take"),
    ],
    ids=["empty", "text", "png", "cut short", "noise", "bomb"],
)
def test_what_is_no_picture_is_answered_and_the_next_is_well(server, data, words):
    client = SocketClient(server.port, PATH)
    client.send(data)
    answer = client.text()
    assert words in answer["error"]
    assert (answer["frame"], answer["events"]) == (1, [])
    client.send(PRODUCT)
    assert [event["event"] for event in client.text()["events"]] == ["placed", "recognised"]
    client.close()


def test_a_model_that_fails_is_told_and_tried_again(setup, server):
    client = SocketClient(server.port, PATH)
    client.send(EMPTY)
    client.text()
    setup.machines[0].fails = True
    for _ in range(3):
        client.send(PRODUCT)
        answer = client.text()
    assert answer["error"] == "the model failed on this picture; the service's log says why"
    words = "page-1: the model failed on a picture: RuntimeError: the engine is gone"
    assert setup.troubles == [words]  # once, and not with every picture
    setup.machines[0].fails = False
    client.send(PRODUCT)
    assert client.text()["events"]
    setup.machines[0].fails = True
    client.send(PRODUCT)
    client.text()
    assert setup.troubles == [words, words]
    client.close()


def test_who_sends_nothing_but_nonsense_is_told_to_go(server):
    client = SocketClient(server.port, PATH)
    for _ in range(MOST_BAD):
        client.send(b"x")
        assert "error" in client.text()
    assert client.closed() == (1003, f"{MOST_BAD} pictures in a row gave no answer")


def test_text_is_refused(server):
    client = SocketClient(server.port, PATH)
    client.send("hello")
    assert client.closed() == (1003, "expected pictures, each a binary message, got text")


def test_a_picture_that_is_too_large_is_refused(monkeypatch, server):
    monkeypatch.setattr("edgevision.kiosk.service.live.station_socket.MAX_PICTURE_BYTES", 100)
    client = SocketClient(server.port, PATH)
    client.send(b"\xff" * 101)
    assert client.closed() == (1009, "a picture has at most 100 bytes")


def test_no_more_pages_than_places(setup, server):
    clients = [SocketClient(server.port, PATH) for _ in range(2)]
    for client in clients:
        client.send(EMPTY)
        client.text()
    refused = SocketClient(server.port, PATH)
    assert refused.closed() == (1013, "2 pages are connected already, which is as many as may")
    clients[0].close()
    wait_for(lambda: setup.pages.connected == 1)
    again = SocketClient(server.port, PATH)
    again.send(PRODUCT)
    assert again.text()["state"] == "still"
    again.close()
    clients[1].close()


def test_a_silent_page_is_let_go():
    setup = Setup(silent_s=0.05)
    with running(app_of(setup.pages.routes())) as server:
        client = SocketClient(server.port, PATH)
        assert client.closed() == (1001, "no picture for 0.05 s")
        wait_for(lambda: setup.pages.connected == 0)


def test_a_service_that_ends_takes_no_more_pages(setup, server):
    setup.ended = True
    client = SocketClient(server.port, PATH)
    assert client.closed() == (1012, "the service ends")


def test_the_service_ends_while_a_page_is_connected_and_one_is_at_work(setup):
    with running(app_of(setup.pages.routes()), grace_s=60) as server:
        client = SocketClient(server.port, PATH)
        client.send(EMPTY)
        client.text()
        assert server.stop()
        assert client.closed()[0] == 1012


def test_a_machine_that_cannot_be_made_is_told():
    troubles: list[str] = []

    def make(name: str) -> FakeMachine:
        raise RuntimeError("no model")

    pages = PageStations(make, see=lambda event: None, closed=lambda: False, trouble=troubles.append)
    with running(app_of(pages.routes())) as server:
        client = SocketClient(server.port, PATH)
        client.send(EMPTY)
        assert client.closed() == (1011, "something failed; the service's log says what")
        assert troubles == ["page-1: RuntimeError: no model"]
        wait_for(lambda: pages.connected == 0)


def test_words_of_states():
    from enum import Enum

    class State(Enum):
        STILL = "still"

    assert (state_word("still"), state_word(State.STILL)) == ("still", "still")
    assert Placed("till", 0.0, 1).kind == "placed"
