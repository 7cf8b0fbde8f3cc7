"""The live part with a real service, a real Station and a real model: what its camera sees, and what a page sends, becomes events."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_service import EventClient, SocketClient, ask, running

from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.registry import register
from edgevision.streams.sources.rendered import RenderedCamera

pytestmark = [
    pytest.mark.requires("serve"),
    pytest.mark.filterwarnings(
        "ignore::edgevision.errors.DeviceWarning"
    ),  # the bundle was made long ago, and elsewhere
    pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning"),
]

BUNDLE = Path(__file__).parents[3] / "data" / "schema1.edge"  # it knows red, green and blue
EMPTY_S = 2.0  # the camera shows an empty place for so long, then something red
BACKGROUND = cv2.resize(
    np.random.default_rng(3).integers(90, 160, (15, 20), np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST
)  # fmt: skip


def scene(product: tuple[int, int, int] | None) -> np.ndarray[Any, Any]:
    picture = cv2.cvtColor(BACKGROUND, cv2.COLOR_GRAY2BGR)
    if product is not None:
        cv2.rectangle(picture, (90, 60), (230, 180), product, -1)
    return np.asarray(picture, np.uint8)


def camera(options: CameraOptions) -> RenderedCamera:
    return RenderedCamera(options.name, lambda time_s: scene(None if time_s < EMPTY_S else (0, 0, 200)), fps=15.0)


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[tuple[Any, Any, Path]]:
    from edgevision.kiosk.service.app import make_app
    from edgevision.kiosk.service.live.for_service import live_for
    from edgevision.kiosk.service.service import Service

    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    register("three-colours", camera)
    bundle = tmp_path / "colours.edge"
    shutil.copyfile(BUNDLE, bundle)
    with Service([f"colours={bundle}"]) as service:
        live = live_for(
            service, LiveSettings(camera="three-colours:", camera_name="till", feedback=tmp_path / "feedback")
        )
        live.start()
        app = live.watched(make_app(service, live.routes()))
        with running(app, service.begin_to_stop, grace_s=60) as server:
            yield app, server, bundle
        live.close(5.0)


def test_what_the_services_camera_sees(served):
    app, server, _ = served
    page = EventClient(server.port)
    assert page.event()["stations"][0]["station"] == "till"
    told = [page.event()]
    while told[-1]["event"] not in ("recognised", "unsure", "unknown"):
        told.append(page.event())
    assert told[-1]["event"] == "recognised"
    assert told[-1]["product"]["name"] == "red"
    assert told[-1]["picture"].startswith("data:image/jpeg;base64,")
    status = ask(app, "GET", "/v1/status").json
    (one,) = status["cameras"]
    assert (one["name"], one["camera"], one["place"]) == ("till", "live", "still")
    assert one["fps"] > 1
    assert status["models"][0]["name"] == "colours"
    shown = cv2.imdecode(np.frombuffer(ask(app, "GET", "/v1/camera?as=picture").body, np.uint8), cv2.IMREAD_COLOR)
    assert shown[120, 160].argmax() == 2  # red, in B, G, R
    answer = ask(
        app, "POST", f"/v1/feedback?label=10&placement={told[-1]['placement']}&station=till", jpeg(scene((0, 0, 200)))
    )
    assert (answer.status, answer.json["kept"].split("/")[0]) == (201, "green")
    assert server.stop()  # with the stream open, and at once


def jpeg(picture: Any) -> bytes:
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


def test_what_a_page_sends(served):
    _, server, _ = served
    client = SocketClient(server.port, "/v1/station")
    found: list[dict[str, Any]] = []

    def send(product: tuple[int, int, int] | None, wanted: str) -> dict[str, Any]:
        """Pictures of it, until there is such an event."""
        for _ in range(400):
            client.send(jpeg(scene(product)))
            answer = client.text()
            assert "error" not in answer
            found.extend(answer["events"])
            for event in answer["events"]:
                if event["event"] == wanted:
                    return event
        raise AssertionError(f"no {wanted} came, but {[one['event'] for one in found]}")

    for _ in range(40):  # so that the empty place is learnt
        client.send(jpeg(scene(None)))
        assert client.text()["events"] == []
        time.sleep(0.04)  # a Station counts in seconds, and so does this page's camera
    assert send((0, 200, 0), "recognised")["product"]["name"] == "green"
    assert send(None, "removed")["placement"] == 1
    assert send((200, 0, 0), "recognised")["product"]["name"] == "blue"
    assert [one["event"] for one in found] == ["placed", "recognised", "removed", "placed", "recognised"]
    client.close()


def test_a_replaced_bundle_is_told(served):
    app, server, bundle = served
    page = EventClient(server.port, "/v1/events?pictures=no")
    page.event()
    assert ask(app, "POST", "/v1/models/colours/reload").json["changed"] is False
    replaced(bundle)
    answer = ask(app, "POST", "/v1/models/colours/reload").json
    assert answer["changed"] is True
    while (told := page.event())["event"] != "model-changed":
        pass
    assert told["models"][0]["name"] == "colours"
    assert told["models"][0]["id"] == ask(app, "GET", "/v1/products").json["model"]["id"]


def replaced(bundle: Path) -> None:
    """Another bundle that does the same: of another name, so that its id differs."""
    from dataclasses import replace

    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle

    with open_bundle(bundle) as opened:
        manifest = replace(opened.manifest, name="colours again", entries={})
        entries = {name: opened.read(name) for name in opened.manifest.entries}
    write_bundle(bundle, manifest, entries)


def test_corrections_and_pictures_to_recognise_share_one_limit(served):
    app, _, _ = served
    budget = app._app.state.service.budget
    product = ask(app, "GET", "/v1/products").json["products"][0]["id"]
    done, picture = cv2.imencode(".jpg", scene((0, 0, 200)))
    assert done
    with budget.share() as other:
        other.take(budget.most)
        for target in ("/v1/recognise", f"/v1/feedback?label={product}"):
            assert ask(app, "POST", target, picture.tobytes()).status == 503
    assert ask(app, "POST", f"/v1/feedback?label={product}", picture.tobytes()).status == 201
