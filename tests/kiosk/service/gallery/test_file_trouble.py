"""The gallery's file fails while it is served: whose turn it is, without its path; and nothing is made in its place."""

from __future__ import annotations

import json

import pytest
from galleries import BUNDLE, DIMENSION, OTHER_BUNDLE
from live_service import app_of, ask
from shop_galleries import RED, photo, served_gallery

from edgevision.gallery import writer as gallery_writer
from edgevision.gallery.file import connection
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.file_trouble import without_folder
from edgevision.kiosk.service.gallery.routes import gallery_routes
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.products import Catalogue

pytestmark = pytest.mark.requires("serve")


class Shop:
    """A served gallery with one product. ``told``: troubles."""

    def __init__(self, folder) -> None:
        self.path = folder / "shop.evg"
        service = served_gallery(self.path)
        self.gallery, self.told = service.shop, []
        self.gallery.when_in_trouble(self.told.append)
        self.app = app_of(
            gallery_routes(service, Catalogue, Budget(1 << 24), stations=dict, closed=lambda: False, trouble=print)
        )
        assert self.post({"name": "apple"}).status == 201

    def post(self, given, path: str = "/v1/gallery"):
        return ask(self.app, "POST", path, json.dumps(given).encode(), {"content-type": "application/json"})


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def check_refused(shop, answer, status: int, words: str) -> None:
    error = answer.json["error"]
    assert (answer.status, words in error, "shop.evg" in error) == (status, True, True), answer.json
    assert str(shop.path.parent) not in error
    assert ask(shop.app, "GET", "/v1/gallery").json["found"] == 1  # readers go on


def test_a_damaged_file(shop):
    shop.path.write_bytes(shop.path.read_bytes()[:3000])
    for _ in range(2):  # also where nothing changed since it was found out
        check_refused(shop, shop.post({"name": "pear"}), 503, "damaged")
    assert len(shop.told) == 1
    assert str(shop.path) in shop.told[0]  # the log may say where it is


def test_one_row_is_damaged(shop):
    """The file is sound to SQLite, and its content is not: that is found by reading it."""
    data = shop.path.read_bytes()
    assert data.count(b"apple") == 1
    shop.path.write_bytes(data.replace(b"apple", b"ample"))
    for _ in range(2):
        check_refused(shop, shop.post({"name": "pear"}), 503, "damaged")
    shop.path.write_bytes(data)
    assert shop.post({"name": "pear"}).json["id"] == 2


def test_a_file_that_another_program_holds(shop, monkeypatch):
    monkeypatch.setattr(connection, "WAIT_S", 0.05)
    with GalleryWriter(shop.path, bundle_id=BUNDLE, dimension=DIMENSION):
        answer = shop.post({"name": "pear"})
    check_refused(shop, answer, 503, "another program")
    assert int(answer.headers["retry-after"]) >= 1
    assert shop.told == []  # it passes
    assert shop.post({"name": "pear"}).status == 201


def test_a_full_disk(shop, monkeypatch):
    def full(*given):
        database = connection.connect(*given)
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        return database

    before = shop.path.read_bytes()
    monkeypatch.setattr(gallery_writer, "connect", full)
    check_refused(shop, shop.post({"name": "pear", "fields": {"about": "x" * 10_000}}), 507, "disk is full")
    assert shop.path.read_bytes() == before


def test_another_bundles_gallery_in_its_place(shop):
    shop.path.unlink()
    with GalleryWriter(shop.path, bundle_id=OTHER_BUNDLE, dimension=DIMENSION) as writer:
        writer.add_product(GalleryProduct(1, "x"))
    check_refused(shop, shop.post({"name": "pear"}), 503, "bundle")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_file_that_was_taken_away_is_not_made_anew(shop, monkeypatch, when):
    writer = ShopGallery._writer

    def late(self):
        shop.path.unlink()
        return writer(self)

    if when == "before":
        shop.path.unlink()
    else:
        monkeypatch.setattr(ShopGallery, "_writer", late)
    check_refused(shop, shop.post({"name": "pear"}), 503, "the gallery's file is gone")
    picture = ask(shop.app, "POST", "/v1/gallery/1/examples", photo(RED), {"content-type": "image/jpeg"})
    check_refused(shop, picture, 503, "the gallery's file is gone")
    assert list(shop.path.parent.iterdir()) == []


@pytest.mark.parametrize("given", ["/srv/data/shop.evg", "data/shop.evg", "shop.evg"])
def test_no_folder_is_told(tmp_path, monkeypatch, given):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    path = Path(given)
    words = f"{path.resolve()}-journal is odd; see {path}"
    assert without_folder(words, path) == "shop.evg-journal is odd; see shop.evg"
