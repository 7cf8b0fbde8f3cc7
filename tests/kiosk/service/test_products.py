"""``/v1/products``: names, prices and pictures; no request becomes a path."""

from __future__ import annotations

from dataclasses import replace

import pytest
from live_service import LABELS, MODEL, app_of, ask, jpeg_of

from edgevision.errors import InputError
from edgevision.kiosk.service.products import Catalogue, ProductPictures, picture_type, product_routes

pytestmark = pytest.mark.requires("serve")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    (made / "7.jpg").write_bytes(jpeg_of(7))
    (made / "Gruye\u0300re.jpg").write_bytes(b"\x89PNG\r\n\x1a\n and so on")  # its content counts, not its ending
    (made / "pear.jpg").write_bytes(jpeg_of(1))  # the id counts before it
    return made


def app(tmp_path, folder=None, prices: str | None = None, model=MODEL, **features):
    file = None
    if prices is not None:
        file = tmp_path / "prices.csv"
        file.write_text(prices, "utf-8")
    catalogue = Catalogue.read(file, folder)
    return app_of(product_routes(lambda: catalogue, lambda: model, features))


def test_products_with_prices_and_pictures(tmp_path, folder):
    answer = ask(app(tmp_path, folder, "id;price;currency\n7;1,29;EUR\n11;2;EUR\n", camera=True), "GET", "/v1/products")
    assert answer.json == {
        "products": [
            {"id": 7, "name": "pear", "price": "1.29", "currency": "EUR", "picture": "/v1/products/7/picture"},
            {"id": 9, "name": "Gruyère", "price": None, "currency": "EUR", "picture": "/v1/products/9/picture"},
            {"id": 11, "name": "梨", "price": "2.00", "currency": "EUR", "picture": None},
        ],
        "model": {"name": "shop", "id": MODEL.id},
        "features": {"camera": True},
    }


def test_without_a_price_list_nothing_has_a_price(tmp_path):
    answer = ask(app(tmp_path), "GET", "/v1/products").json
    assert [(one["price"], one["currency"], one["picture"]) for one in answer["products"]] == [(None, None, None)] * 3


def test_a_model_that_is_swapped_brings_its_own_products():
    models = [MODEL]
    routes = app_of(product_routes(Catalogue, lambda: models[-1]))
    assert len(ask(routes, "GET", "/v1/products").json["products"]) == 3
    models.append(replace(MODEL, id="b2" * 32, labels=LABELS[:1]))
    answer = ask(routes, "GET", "/v1/products").json
    assert (len(answer["products"]), answer["model"]["id"]) == (1, "b2" * 32)


def test_pictures_have_the_type_of_their_content_and_are_not_sent_again(tmp_path, folder):
    routes = app(tmp_path, folder)
    pear = ask(routes, "GET", "/v1/products/7/picture")
    assert (pear.status, pear.headers["content-type"], pear.body) == (200, "image/jpeg", jpeg_of(7))
    assert pear.headers["x-content-type-options"] == "nosniff"
    assert ask(routes, "GET", "/v1/products/9/picture").headers["content-type"] == "image/png"
    again = ask(routes, "GET", "/v1/products/7/picture", headers={"If-None-Match": pear.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    (folder / "7.jpg").write_bytes(jpeg_of(8))  # a picture may be replaced while the service runs
    assert ask(
        routes, "GET", "/v1/products/7/picture", headers={"If-None-Match": pear.headers["etag"]}
    ).body == jpeg_of(8)


@pytest.mark.parametrize(
    "id",
    ["11", "8", "pear", "..", "..%2f..%2fetc%2fpasswd", "7.jpg", "%00", "+7", "7 ", "٧", "9" * 40, "-", "0x7", "07x"],
)
def test_what_has_no_picture(tmp_path, folder, id):
    assert ask(app(tmp_path, folder), "GET", f"/v1/products/{id}/picture").status == 404


@pytest.mark.parametrize("what", ["too large", "gone", "a folder", "a script"])
def test_a_picture_that_cannot_be_shown(tmp_path, folder, what, monkeypatch):
    routes = app(tmp_path, folder)
    monkeypatch.setattr("edgevision.kiosk.service.products.MAX_PICTURE_BYTES", 100_000)
    (folder / "7.jpg").unlink()
    if what == "too large":
        (folder / "7.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100_000))
    elif what == "a folder":
        (folder / "7.jpg").mkdir()
    elif what == "a script":
        (folder / "7.jpg").write_text("<svg onload='alert(1)'>")
    answer = ask(routes, "GET", "/v1/products/7/picture")
    assert answer.status == 404
    assert str(tmp_path) not in answer.json["error"]


def test_hidden_files_and_other_kinds_are_no_pictures(tmp_path):
    for name in (".7.jpg", "7.svg", "7.txt"):
        (tmp_path / name).write_bytes(jpeg_of(1))
    assert ProductPictures.of_folder(tmp_path).files == {}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="product pictures"):
        ProductPictures.of_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_types_by_content(data, expected):
    assert picture_type(data) == expected
