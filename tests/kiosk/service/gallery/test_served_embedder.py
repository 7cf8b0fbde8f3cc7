"""A real embedder and a real gallery behind the service: what is taught over HTTP, or by another program, is what it answers."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from colors import plain
from embedders import DIMENSION, vectors_of, write_colour_embedder
from galleries import source
from live_service import EventClient, SocketClient, ask, running

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter
from edgevision.kiosk.service.app import make_app
from edgevision.kiosk.service.live.for_service import live_for
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.service import Service

pytestmark = [
    pytest.mark.requires("serve"),
    pytest.mark.filterwarnings("ignore::edgevision.errors.DeviceWarning"),
    pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning"),
]

RED, GREEN, BLUE = (220, 20, 20), (20, 220, 20), (20, 20, 220)  # R, G, B
HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "teach-the-kiosk.md"
CLASSIFIER = Path(__file__).parents[3] / "data" / "schema1.edge"
BACKGROUND = cv2.resize(
    np.random.default_rng(3).integers(90, 160, (15, 20), np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST
)


def jpeg(picture: Any) -> bytes:
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> Path:
    return write_colour_embedder(tmp_path_factory.mktemp("embedder") / "colors.edge")


class Kiosk:
    """A whole service that answers from ``shop.evg``."""

    def __init__(self, folder: Path, embedder: Path) -> None:
        self.bundle = folder / "embed.edge"
        shutil.copyfile(embedder, self.bundle)
        self.file = folder / "shop.evg"
        self.service = Service([f"shop={self.bundle}"], gallery=self.file)
        self.live = live_for(self.service, LiveSettings(currency="EUR", feedback=folder / "feedback"))
        self.live.start()
        self.app = self.live.watched(make_app(self.service, self.live.routes()))

    def close(self) -> None:
        self.live.close(5.0)
        self.service.close()

    def teach(self, name: str, rgb: tuple[int, int, int], **fields: Any) -> int:
        told = ask(self.app, "POST", "/v1/gallery", _json(name=name, fields=fields)).json
        picture = jpeg(plain(rgb))
        assert ask(self.app, "POST", f"/v1/gallery/{told['id']}/examples?anyway=true", picture).status == 201
        return int(told["id"])

    def recognise(self, rgb: tuple[int, int, int]) -> Any:
        answer = ask(self.app, "POST", "/v1/recognise", jpeg(plain(rgb)))
        assert answer.status == 200, answer.json
        return answer.json

    def another_program_adds(self, id: int, name: str, rgb: tuple[int, int, int]) -> None:
        model = self.service.models.get().model
        with GalleryWriter(self.file, bundle_id=model.id, dimension=DIMENSION) as writer:
            writer.add_product(GalleryProduct(id, name))
            writer.add_examples(id, vectors_of([rgb]), [source(name)])


def _json(**fields: Any) -> bytes:
    import json

    return json.dumps(fields).encode()


@pytest.fixture
def kiosk(tmp_path, embedder) -> Iterator[Kiosk]:
    made = Kiosk(tmp_path, embedder)
    yield made
    made.close()


def test_a_new_gallery_knows_nothing_then_what_it_is_taught(kiosk):
    told = kiosk.recognise(RED)
    assert (told["top"], told["known"], told["model"]["name"]) == ([], False, "shop")
    apple = kiosk.teach("apple", RED, price=1.29)
    kiosk.teach("lime", GREEN)
    told = kiosk.recognise(RED)
    assert (told["known"], told["top"][0]["name"], told["top"][0]["id"]) == (True, "apple", apple)
    best = told["matches"][0]
    assert (best["product"]["fields"], best["similarity"]) == ({"price": 1.29}, pytest.approx(1.0, abs=1e-3))
    listed = ask(kiosk.app, "GET", "/v1/products").json
    assert [(one["name"], one["price"], one["currency"]) for one in listed["products"]] == [
        ("apple", "1.29", "EUR"), ("lime", None, "EUR"),
    ]  # fmt: skip
    assert listed["features"]["gallery"] is True
    status = ask(kiosk.app, "GET", "/v1/status").json
    assert (status["gallery"], status["models"][0]["labels"]) == ({"products": 2, "examples": 2}, 2)
    assert "edgevision_gallery_products 2.0" in ask(kiosk.app, "GET", "/metrics").body.decode()


def test_the_commands_of_the_how_to_work_as_they_are_written(kiosk):
    """Each ``curl`` of it, in its order; a body has the media type that curl gives it."""
    block = HOW_TO.read_text("utf-8").split("## For developers: over HTTP")[1].split("```")[1]
    commands = [shlex.split(line) for line in block.strip().splitlines()]
    sharp = np.random.default_rng(0).integers(-15, 16, (48, 64, 1)) + np.array(RED[::-1])
    photo = jpeg(np.clip(sharp, 0, 255).astype(np.uint8))
    answers = []
    for command in commands:
        assert command[:3] == ["curl", "-X", "POST"]
        path, headers, body = command[3].removeprefix("http://127.0.0.1:8765"), {}, b""
        headers["content-type"] = "application/x-www-form-urlencoded"
        for option, value in zip(command[4::2], command[5::2], strict=True):
            if option == "-H":
                name, _, text = value.partition(": ")
                headers[name.lower()] = text
            else:
                body = photo if value.startswith("@") else value.encode()
        answers.append(ask(kiosk.app, "POST", path, body, headers))
    assert [one.status for one in answers] == [201, 201, 200, 200, 200], [one.json for one in answers]
    assert [one.json["top"][0].get("name") for one in answers[2:3]] == ["Royal Gala apple"]
    assert [one.json["top"][0]["product"]["name"] for one in answers[3:]] == ["Royal Gala apple"] * 2


def test_what_another_program_adds_is_known_within_a_second_and_told(kiosk):
    kiosk.teach("apple", RED)
    with running(kiosk.app, kiosk.service.begin_to_stop) as server:
        page = EventClient(server.port)
        page.event()
        kiosk.another_program_adds(70, "plum", BLUE)
        began_s = time.monotonic()
        while (told := page.event())["event"] != "products-changed":
            pass
        assert time.monotonic() - began_s < 5.0  # a second, on a machine that is not full
        assert (told["products"], told["examples"]) == (2, 2)
        assert kiosk.recognise(BLUE)["top"][0]["name"] == "plum"
        page.close()


def test_a_station_answers_from_the_gallery_and_learns_meanwhile(kiosk):
    kiosk.teach("apple", RED)
    kiosk.teach("lime", GREEN)
    with running(kiosk.app, kiosk.service.begin_to_stop) as server:
        client = SocketClient(server.port, "/v1/station")
        assert _seen(client, BLUE, ("unknown", "recognised", "unsure"))["event"] != "recognised"
        kiosk.teach("plum", BLUE)
        _seen(client, None, ("removed",))
        told = _seen(client, BLUE, ("unknown", "recognised", "unsure"))
        assert (told["event"], told.get("product", {}).get("name")) == ("recognised", "plum")
        client.close()


def _seen(client: SocketClient, rgb: tuple[int, int, int] | None, wanted: tuple[str, ...]) -> Any:
    """Show it until there is such an event; the empty place first."""
    place = cv2.cvtColor(BACKGROUND, cv2.COLOR_GRAY2BGR)
    shown = place.copy()
    if rgb is not None:
        shown[60:180, 90:230] = rgb[::-1]
        for _ in range(25):  # so that the empty place is learnt
            client.send(jpeg(place))
            _answer(client)
            time.sleep(0.04)
    for _ in range(400):
        client.send(jpeg(shown))
        answer = _answer(client)
        assert "error" not in answer
        for event in answer["events"]:
            if event["event"] in wanted:
                return event
        time.sleep(0.01)
    raise AssertionError(f"none of {wanted} came")


def _answer(client: SocketClient) -> Any:
    """The next message that is no news of the gallery."""
    while "frame" not in (message := client.text()):
        assert message["event"] == "products-changed"
    return message


def test_another_bundle_in_its_place_is_refused_with_the_cure(kiosk):
    from dataclasses import replace

    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle

    kiosk.teach("apple", RED)
    with open_bundle(kiosk.bundle) as opened:
        manifest = replace(opened.manifest, name="another", entries={})
        entries = {name: opened.read(name) for name in opened.manifest.entries}
    write_bundle(kiosk.bundle, manifest, entries)
    answer = ask(kiosk.app, "POST", "/v1/models/shop/reload")
    assert answer.status == 409
    assert "gallery shop.evg" in answer.json["error"]
    assert kiosk.recognise(RED)["top"][0]["name"] == "apple"


def test_without_a_gallery_it_gives_vectors(embedder):
    with Service([f"shop={embedder}"]) as service:
        told = ask(make_app(service), "POST", "/v1/recognise", jpeg(plain(RED))).json
    (expected,) = vectors_of([RED])
    np.testing.assert_allclose(told["vector"], expected / np.linalg.norm(expected), atol=0.02)


def test_a_classifier_has_no_gallery(tmp_path):
    with pytest.raises(InputError, match="embeds"):
        Service([CLASSIFIER], gallery=tmp_path / "shop.evg")
    assert not (tmp_path / "shop.evg").exists()


def test_another_embedders_gallery_is_refused(tmp_path, embedder):
    with GalleryWriter(tmp_path / "shop.evg", bundle_id="ab" * 32, dimension=DIMENSION):
        pass
    with pytest.raises(GalleryError, match="bundle"):
        Service([embedder], gallery=tmp_path / "shop.evg")
