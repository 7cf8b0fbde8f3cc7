"""Teaching over a real server: frames in, views out, saved as a product that is found at once; nonsense ends it, and saves nothing."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import pytest
from live_service import SocketClient, app_of, running
from shop_galleries import BLUE, GREEN, RED, embed, photo, scene, served_gallery

from edgevision.kiosk.service.gallery import teach_socket
from edgevision.kiosk.service.gallery.teach_socket import teach_routes

pytestmark = pytest.mark.requires("serve")
PATH = "/v1/gallery/teach"


class Camera:
    """The service's own camera."""

    def __init__(self) -> None:
        self.newest = scene()


class School:
    """A service that teaches. ``troubles``: what it told of."""

    def __init__(self, path: Any) -> None:
        self.shop = served_gallery(path).shop
        self.camera = Camera()
        self.troubles: list[str] = []
        self.fails = False
        self.ended = False
        self.routes = teach_routes(
            self.shop, self.embed, stations=lambda: {"till": self.camera}, closed=lambda: self.ended, trouble=self.troubles.append
        )  # fmt: skip

    def embed(self, frames: Any) -> list[Any]:
        if self.fails:
            raise RuntimeError("the engine is gone")
        return embed(frames)

    @property
    def products(self) -> dict[str, int]:
        gallery = self.shop.now.gallery
        return {one.name: len(gallery.examples_of(one.id)) for one in gallery.products}


@pytest.fixture
def school(tmp_path):
    return School(tmp_path / "shop.evg")


@pytest.fixture
def server(school):
    with running(app_of(school.routes)) as running_server:
        yield running_server


def jpeg(frame: Any) -> bytes:
    done, data = cv2.imencode(".jpg", frame.planes[0], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()


class Page:
    """A page that teaches."""

    def __init__(self, port: int, query: str = "") -> None:
        self.client = SocketClient(port, PATH + query, ["edgevision"])
        self.first = self.client.text()

    def show(self, frame: Any) -> Any:
        self.client.send(jpeg(frame))
        return self.client.text()

    def wish(self, **wish: Any) -> Any:
        self.client.send(json.dumps(wish))
        return self.client.text()


def taught(page: Page, *colours: tuple[int, int, int]) -> list[Any]:
    page.wish(do="empty")
    return [page.show(scene())] + [page.show(scene(colour, left)) for colour in colours for left in (20, 120, 200)]


def test_a_product_is_turned_and_saved_and_found(school, server):
    page = Page(server.port)
    assert page.first == {"count": 0, "wanted": 5, "most": 12}
    told = taught(page, RED, BLUE)
    assert [one["word"] for one in told[:2]] == ["learnt", "taken"]
    assert {one["word"] for one in told[1:]} == {"taken", "alike"}
    views = [one["view"] for one in told if one["word"] == "taken"]
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in views)
    assert told[-1]["count"] == len(views) >= 2
    assert told[-1]["like"] is None  # the gallery knows nothing yet
    saved = page.wish(do="save", name="Rubik's cube", fields={"price": 9.99})["saved"]
    assert (saved["id"], saved["added"], saved["sources"]) == (1, len(views), [one["source"] for one in views])
    assert school.products == {"Rubik's cube": len(views)}
    again = Page(server.port)
    like = taught(again, RED)[-1]["like"]
    assert (like["id"], like["name"], like["known"]) == (1, "Rubik's cube", True)
    page.client.close()


def test_more_views_of_a_product_that_is_there(school, server):
    page = Page(server.port)
    taught(page, RED)
    id = page.wish(do="save", name="apple")["saved"]["id"]
    before = school.products["apple"]
    more = Page(server.port, f"?product={id}")
    taught(more, BLUE)
    saved = more.wish(do="save")["saved"]
    assert (saved["new"], school.products) == (False, {"apple": before + saved["added"]})


def test_what_is_saved_twice_is_one_product(school, server):
    page = Page(server.port)
    taught(page, RED)
    first = page.wish(do="save", name=" apple ", fields={"price": 1.0})["saved"]
    again = page.wish(do="save", name="apple")["saved"]
    assert (again["id"], again["name"], again["added"], again["sources"], again["new"]) == (
        first["id"],
        "apple",
        0,
        [],
        False,
    )
    told = [page.show(scene(BLUE, left)) for left in (20, 120, 200)]
    views = [one["view"]["source"] for one in told if one["word"] == "taken"]
    assert views
    more = page.wish(do="save")["saved"]
    assert (more["id"], more["added"], more["sources"], more["new"]) == (first["id"], len(views), views, False)
    assert school.products == {"apple": first["added"] + len(views)}


def test_a_lesson_is_of_one_product(school, server):
    page = Page(server.port)
    taught(page, RED)
    id = page.wish(do="save", name="apple")["saved"]["id"]
    assert "saved as 'apple'" in page.wish(do="save", name="pear")["error"]
    assert list(school.products) == ["apple"]
    school.shop.change(lambda gallery, writer: writer.remove(id))
    assert "no product" in page.wish(do="save")["error"]
    assert school.products == {}


def test_what_could_not_be_saved_is_saved_by_the_next_try(school, server):
    page = Page(server.port)
    taught(page, RED)
    data = school.shop.path.read_bytes()
    school.shop.path.unlink()
    error = page.wish(do="save", name="apple")["error"]
    assert "shop.evg" in error
    assert str(school.shop.path.parent) not in error
    school.shop.path.write_bytes(data)
    assert page.wish(do="save", name="apple")["saved"]["new"]
    assert list(school.products) == ["apple"]


def test_a_view_is_dropped_before_it_is_saved(school, server):
    page = Page(server.port)
    views = [one["view"]["source"] for one in taught(page, RED, BLUE) if one["word"] == "taken"]
    assert page.wish(do="drop", source=views[0])["count"] == len(views) - 1
    assert page.wish(do="save", name="x")["saved"]["sources"] == views[1:]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"do": "save", "name": "x"}, "no view"),
        ({"do": "fly"}, "do is begin, empty, drop or save"),
        ({"do": "save"}, "no view"),
    ],
)
def test_what_cannot_be_done_is_told_and_the_lesson_goes_on(school, server, wish, words):
    page = Page(server.port)
    assert words in page.wish(**wish)["error"]
    taught(page, RED)
    assert page.wish(do="save", name="apple")["saved"]["name"] == "apple"
    assert page.wish(do="save", name="a\nb")["error"]
    assert list(school.products) == ["apple"]


def test_the_services_own_camera(school, server):
    page = Page(server.port, "?camera=service&station=till")
    school.camera.newest = scene(GREEN)
    page.client.send(json.dumps({"do": "drop", "source": "none"}))
    assert page.client.text()["done"] == "drop"  # and no picture was looked at before
    school.camera.newest = scene()
    page.client.send(json.dumps({"do": "empty"}))
    while page.client.text().get("word") != "learnt":
        school.camera.newest = scene()
    told: list[Any] = []
    for colour, left in ((RED, 20), (RED, 60), (RED, 120), (RED, 200), (BLUE, 20)):
        school.camera.newest = scene(colour, left)
        told.append(page.client.text())
    assert told[-1]["word"] == "taken"
    page.client.send(jpeg(scene()))
    assert page.client.closed()[0] == 1003


def test_a_model_that_fails_is_told_once_and_the_next_picture_is_tried(school, server):
    page = Page(server.port)
    page.wish(do="empty")
    page.show(scene())
    school.fails = True
    assert ["log" in page.show(scene(RED, left))["error"] for left in (20, 60)] == [True, True]
    school.fails = False
    assert "word" in page.show(scene(RED, 120))
    assert len(school.troubles) == 1


@pytest.mark.parametrize(
    ("sent", "code"), [("no json", 1003), ('{"do": "save", "price": 1}', 1003), (b"x" * 5_000_000, 1009)]
)  # fmt: skip
def test_nonsense_ends_the_lesson(school, server, sent, code):
    page = Page(server.port)
    page.client.send(sent)
    assert page.client.closed()[0] == code
    assert school.products == {}


def test_a_picture_that_is_none_is_told(school, server):
    page = Page(server.port)
    page.client.send(b"GIF89a")
    assert "JPEG" in page.client.text()["error"]
    page.client.send(photo(RED)[:-200])
    assert page.client.text()["error"]


def test_no_more_lessons_than_may_be(school, server, monkeypatch):
    monkeypatch.setattr(teach_socket, "MOST_LESSONS", 1)
    page = Page(server.port)
    assert SocketClient(server.port, PATH, ["edgevision"]).closed()[0] == 1013
    page.client.close()
    for query in ("?camera=x", "?produkt=7", "?product=7", "?camera=service&station=none"):
        assert SocketClient(server.port, PATH + query, ["edgevision"]).closed()[0] == 1008


def test_a_page_that_only_comes_and_goes_saves_nothing(school, server):
    page = Page(server.port)
    taught(page, RED)
    page.client.close()
    assert school.products == {}
    assert np.isfinite(school.shop.now.gallery.vectors).all()
