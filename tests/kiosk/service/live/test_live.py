"""The live part as a whole: events reach everybody, corrections find their answer, status and the end."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import pytest
from live_service import (
    LABELS,
    MODEL,
    EventClient,
    SocketClient,
    app_of,
    ask,
    jpeg_of,
    recognised,
    running,
    unsure,
    wait_for,
)
from live_set_up import FakeStation, live_with

from edgevision.errors import InputError
from edgevision.kiosk.events import Blocked, BlockedReason, Removed, Unblocked
from edgevision.kiosk.service.live.keeper import Keeper
from edgevision.kiosk.service.live.live import Live, LiveModels
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.logs import LogLines
from edgevision.kiosk.service.picture_folder import Quota

pytestmark = pytest.mark.requires("serve")


@pytest.fixture(autouse=True)
def state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVISION_STATE", str(tmp_path / "state"))


@pytest.fixture
def live(tmp_path):
    made = live_with(tmp_path)
    made.start()
    yield made
    made.close(1.0)


def test_a_shopper_corrects_what_the_camera_saw(live, tmp_path):
    app = live.watched(app_of(live.routes()))
    with running(app, live.refuse) as server:
        page = EventClient(server.port)
        assert page.event()["stations"] == [{"station": "till", "state": "empty", "reason": None}]
        live.publish(unsure(4))
        told = page.event()
        target = f"/v1/feedback?label=7&placement={told['placement']}&station={told['station']}"
        assert ask(app, "POST", target, jpeg_of(1)).status == 201
        page.close()
    (note,) = [json.loads(line) for line in (tmp_path / "feedback" / "feedback.jsonl").read_text("utf-8").splitlines()]
    assert (note["said"]["event"], note["score"], note["name"]) == ("unsure", 0.6, "pear")
    assert (tmp_path / "feedback" / "labels.csv").read_text("utf-8") == "name,id\npear,7\nGruyère,9\n梨,11\n"


def test_a_page_with_its_own_camera_can_be_corrected_and_is_nobody_elses_business(live, tmp_path):
    app = live.watched(app_of(live.routes()))
    with running(app, live.refuse) as server:
        other = EventClient(server.port)
        other.event()
        page = SocketClient(server.port, "/v1/station")
        page.send(jpeg_of(1))
        _, answer = page.text()["events"]
        target = f"/v1/feedback?label=9&placement={answer['placement']}&station={answer['station']}"
        assert ask(app, "POST", target, jpeg_of(2)).status == 201
        live.publish(Removed("till", 5.0, 1))
        assert other.event()["event"] == "removed"  # and not what the page placed
        assert ask(app, "GET", "/v1/status").json["pages"] == 1
        page.close()
        other.close()
    (note,) = [json.loads(line) for line in (tmp_path / "feedback" / "feedback.jsonl").read_text("utf-8").splitlines()]
    assert (note["said"]["product"]["id"], note["label"]) == (7, 9)


@pytest.fixture
def live_gallery(tmp_path):
    made = live_with(tmp_path, receipts=None, gallery=True)
    made.start()
    yield made
    made.close(1.0)


def test_a_page_with_its_own_camera_is_told_what_changed(live_gallery, tmp_path):
    live = live_gallery
    app = live.watched(app_of(live.routes()))
    with running(app, live.refuse) as server:
        page = SocketClient(server.port, "/v1/station")
        wait_for(lambda: ask(app, "GET", "/v1/status").json["pages"] == 1)
        headers = {"content-type": "application/json"}
        assert ask(app, "POST", "/v1/gallery", b'{"name": "fig"}', headers).status == 201
        page.send(jpeg_of(1))
        messages = [page.text()]
        while "frame" not in messages[-1]:
            messages.append(page.text())
        news = messages[:-1]  # twice, where the thread that looks at files sees the change too
        assert news
        assert all(one == {"event": "products-changed", "products": 1, "examples": 0} for one in news)
        (tmp_path / "prices.csv").write_text("id;price;currency\n7;11,49;EUR\n", "utf-8")
        assert page.text() == {"event": "prices-changed"}
        live.model_changed("model 'shop' is new")
        assert page.text()["event"] == "model-changed"
        page.close()


def test_status_tells_the_operator_how_everything_is(live):
    app = live.watched(app_of(live.routes()))
    live.trouble("the camera is gone")
    ask(app, "GET", "/v1/products")
    ask(app, "GET", "/v1/products/8/picture")
    status = ask(app, "GET", "/v1/status").json
    assert status["models"] == [
        {
            "name": "shop", "id": MODEL.id, "kind": "classify", "variant": "openvino-int8", "threads": 1, "proven": True,
            "verdict": "proven: 97 % against 97 %", "labels": 3,
        }
    ]  # fmt: skip
    assert status["cameras"] == [
        {"name": "till", "camera": "live", "since_s": 12.3, "words": "", "fps": 15.0, "age_ms": 33.3, "place": "empty"}
    ]
    assert status["requests"] == {"answered": 2, "failed": 0, "in_flight": 1}
    assert status["events"] == {"told": 0, "lost": 0, "subscribers": 0}
    assert status["feedback"]["files"] == 0
    assert status["receipts"]["up"] is True
    assert status["errors"][0]["words"] == "the camera is gone"
    assert status["uptime_s"] >= 0


GONE = "the camera gives no pictures; look at its cable and power"


@pytest.mark.parametrize(
    ("reason", "words", "own", "told"),
    [
        (BlockedReason.CAMERA_GONE, GONE, "", [f"till: {GONE}"]),
        (BlockedReason.CAMERA_GONE, GONE, "connection refused", [f"till: {GONE} (connection refused)"]),
        (BlockedReason.CAMERA_GONE, "cannot be used: no such package", "no such package", ["till: cannot be used: no such package"]),
        (BlockedReason.DARK, "it is too dark to see", "old words", ["till: it is too dark to see"]),
        (BlockedReason.HAND, "something keeps moving", "", []),  # a shopper's, and no trouble of the service
    ],
)  # fmt: skip
def test_a_station_that_sees_nothing_is_in_the_log_and_in_the_status(tmp_path, reason, words, own, told):
    out, station = io.StringIO(), FakeStation()
    station.words = own
    live = live_with(tmp_path, receipts=None, log=LogLines(out), station=station)
    live.start()
    live.publish(Blocked("till", 1.0, reason, words))
    live.publish(Unblocked("till", 2.0))
    errors = ask(app_of(live.routes()), "GET", "/v1/status").json["errors"]
    live.close(5.0)
    log = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["words"] for one in errors] == told
    assert [line["words"] for line in log if line["event"] == "trouble"] == told


def test_metrics_know_stations_and_models(live):
    live.publish(recognised(1))
    text = ask(app_of(live.routes()), "GET", "/metrics").body.decode()
    assert 'edgevision_station_events_total{event="recognised",station="till"} 1.0' in text
    assert 'edgevision_station_state{state="empty",station="till"} 1.0' in text
    assert f'id="{MODEL.id}"' in text


def test_the_model_is_swapped(tmp_path):
    models = [MODEL]
    live = live_with(tmp_path, models=models, receipts=None)
    live.start()
    app = app_of(live.routes())
    with running(app, live.refuse) as server:
        page = EventClient(server.port)
        page.event()
        models[0] = replace(MODEL, id="b2" * 32, labels=LABELS[:2])
        live.model_changed("model 'shop' is b2b2 now")
        told = page.event()
        page.close()
    assert (told["_event"], told["models"]) == ("model-changed", [{"name": "shop", "id": "b2" * 32}])
    assert ask(app, "GET", "/v1/products").json["model"]["id"] == "b2" * 32
    assert (tmp_path / "feedback" / "labels.csv").read_text("utf-8") == "name,id\npear,7\nGruyère,9\n"
    live.close(1.0)


def test_what_is_off_says_so():
    live = Live(LiveSettings(), LiveModels(lambda: [MODEL], lambda name: None))  # type: ignore[arg-type, return-value]
    live.start()
    app = app_of(live.routes())
    products = ask(app, "GET", "/v1/products").json
    assert products["features"] == {"camera": False, "feedback": False, "receipts": False, "gallery": False}
    for method, target in (("GET", "/v1/camera"), ("POST", "/v1/feedback?label=7"), ("POST", "/v1/receipts")):
        assert ask(app, method, target).status == 404
    status = ask(app, "GET", "/v1/status").json
    assert (status["cameras"], status["feedback"], status["receipts"]) == ([], None, None)
    live.close(1.0)


def test_who_comes_while_the_place_is_blocked_is_told_why(tmp_path):
    live = live_with(tmp_path, receipts=None)
    shelf = FakeStation("shelf")
    shelf.state, shelf.blocked = "blocked", "dark"
    live.add(shelf)
    with running(live.watched(app_of(live.routes())), live.refuse) as server:
        page = EventClient(server.port)
        assert page.event()["stations"] == [
            {"station": "till", "state": "empty", "reason": None},
            {"station": "shelf", "state": "blocked", "reason": "dark"},
        ]
        page.close()
    live.close(1.0)


def test_stations_are_started_and_let_go(tmp_path):
    live = live_with(tmp_path, receipts=None)
    station = FakeStation("shelf")
    live.add(station)
    live.start()
    live.refuse()
    assert station.did == ["start", "refuse"]
    live.close(1.0)
    assert station.did[-1] == "close"
    assert live.hub.closed


@pytest.mark.parametrize(
    "settings",
    [{"prices": "none.csv"}, {"product_pictures": "none"}, {"receipts": "jsonl:x"}, {"receipts": "not a url"}],
)
def test_settings_that_cannot_be_are_told_at_once(tmp_path, settings):
    given = {name: value if name == "receipts" else tmp_path / value for name, value in settings.items()}
    with pytest.raises(InputError):
        Live(LiveSettings(**given), LiveModels(lambda: [MODEL], lambda name: None))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("keep", "feedback", "may"),
    [
        ("a", "b", True),
        ("a", "ab", True),
        ("a", "a", False),
        ("a", "./b/../a", False),
        ("a/b", "a", False),
        ("a", "a/b", False),
        ("link", "a", False),
        ("link/b", "a", False),
    ],
)
def test_answers_and_corrections_are_kept_in_two_folders(tmp_path, keep, feedback, may):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    expected = contextlib.nullcontext() if may else pytest.raises(InputError, match="two folders")
    with expected:
        LiveSettings(keep=tmp_path / keep, feedback=tmp_path / feedback)
    LiveSettings(keep=tmp_path / keep)
    LiveSettings(feedback=tmp_path / feedback)


def test_settings_show_no_secrets():
    shown = repr(LiveSettings(camera="rtsp://user:secret@till/", receipts="https://hooks.example/services/secret"))
    assert "secret" not in shown


# ---- pictures of answers ----


def test_pictures_are_kept_where_that_is_asked_for(tmp_path):
    live = live_with(tmp_path, receipts=None, keep=True)
    live.start()
    live.publish(recognised(1))
    live.publish(unsure(2))
    live.publish(Removed("till", 5.0, 2))
    live.close(5.0)
    assert sorted(one.parent.name for one in (tmp_path / "kept").glob("*/*.jpg")) == ["recognised", "unsure"]


def test_a_folder_that_is_full_is_told_once(tmp_path):
    troubles: list[str] = []
    keeper = Keeper(tmp_path, Quota(files=1), troubles.append)
    for placement in range(1, 6):
        keeper.see(recognised(placement))
    keeper.close()
    assert len(list(tmp_path.glob("*/*.jpg"))) == 1
    assert len(troubles) == 1
    assert "1 pictures" in troubles[0]
    keeper.see(recognised(9))  # after the end: for nobody


def test_the_end_of_the_service_ends_streams_that_are_open(live):
    app = live.watched(app_of(live.routes()))
    with running(app, live.refuse, grace_s=60) as server:
        page, film = EventClient(server.port), EventClient(server.port, "/v1/camera")
        own = SocketClient(server.port, "/v1/station")
        page.event()
        wait_for(lambda: live.hub.subscribers == 1)
        assert server.stop()
        assert page.next() == {}
        assert film.answer.read().endswith(b"--frame--\r\n")
        assert own.closed()[0] == 1012
        page.close()
        film.close()
