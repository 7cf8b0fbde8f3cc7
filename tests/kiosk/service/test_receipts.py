"""Receipts: checked to the cent, taken once for a key, and brought to the shop's server however long that is away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from live_service import LABELS, MODEL, app_of, ask, wait_for

from edgevision.errors import InputError
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.price_list import read_price_list
from edgevision.kiosk.service.products import Catalogue, ProductPictures
from edgevision.kiosk.service.receipts import ConflictError, NoRoomError, ReceiptPost, read_receipt, receipt_routes
from edgevision.kiosk.service.watching import DEVICE

pytestmark = pytest.mark.requires("serve")
PEAR = {"id": 7, "name": "pear", "quantity": 3, "price": "1.29"}
AT = "2026-11-28T15:30:00+01:00"
UNPRICED = {"id": 11, "name": "梨", "quantity": 2, "price": None}  # the price list of these tests has none
RECEIPT = {"items": [PEAR], "total": "3.87", "currency": "EUR", "at": AT}


@pytest.fixture(autouse=True)
def state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVISION_STATE", str(tmp_path / "state"))


class Shop(ThreadingHTTPServer):
    """The shop's server: keeps what it is sent; ``answers``: the statuses it gives first."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0) -> None:
        self.receipts: list[dict[str, Any]] = []
        self.answers: list[int] = []
        super().__init__(("127.0.0.1", port), ShopHandler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/receipts"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class ShopHandler(BaseHTTPRequestHandler):
    server: Shop

    def do_POST(self) -> None:
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.answers.pop(0) if self.server.answers else 204
        if status == 204:
            self.server.receipts += messages
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.stop()


@pytest.fixture
def sender(shop):
    made = ReceiptPost(shop.url)
    made.open()
    yield made
    made.close(5.0)


@pytest.fixture
def catalogue(tmp_path) -> Catalogue:
    path = tmp_path / "prices.csv"
    path.write_text("id;price;currency\n7;1,29;EUR\n9;0,10;EUR\n", "utf-8")
    return Catalogue(read_price_list(path), ProductPictures())


def app(sender: ReceiptPost | None, catalogue: Catalogue | None = None, budget: Budget | None = None):
    return app_of(receipt_routes(sender, lambda: catalogue or Catalogue(), lambda: MODEL, budget or Budget(1 << 20)))


def post(routes: Any, receipt: Any, key: str | None = None, device: str | None = None):
    body = receipt if isinstance(receipt, bytes) else json.dumps(receipt).encode()
    headers = {} if key is None else {"Idempotency-Key": key}
    return ask(routes, "POST", "/v1/receipts", body, headers, {DEVICE: device})


def test_a_receipt_reaches_the_shop_with_its_id(shop, sender, catalogue):
    answer = post(app(sender, catalogue), RECEIPT, device="till-3")
    assert answer.status == 202
    assert answer.json == {"id": answer.json["id"], "again": False, "total": "3.87", "currency": "EUR"}
    wait_for(lambda: bool(shop.receipts))
    (told,) = shop.receipts
    assert told == {
        "late": False, "kind": "receipt", "id": answer.json["id"], "received": told["received"], "device": "till-3", "model": MODEL.id, "items": [PEAR],
        "total": "3.87", "currency": "EUR", "at": AT,
    }  # fmt: skip


def read(receipt: Any, catalogue: Catalogue):
    return read_receipt(
        receipt if isinstance(receipt, bytes) else json.dumps(receipt).encode(), catalogue, MODEL
    ).to_dict()


def test_names_prices_currency_and_time_are_completed(catalogue):
    found = read({"items": [{"id": 7, "quantity": 1}, {"id": 9, "quantity": 3}], "total": "1.59"}, catalogue)
    assert found["items"] == [
        {"id": 7, "name": "pear", "quantity": 1, "price": "1.29"},
        {"id": 9, "name": "Gruyère", "quantity": 3, "price": "0.10"},
    ]
    assert (found["currency"], found["total"]) == ("EUR", "1.59")
    assert found["at"].endswith("+00:00")


@pytest.mark.parametrize("total", ["0.30", "0.3", b"0.30", b"0.3"])
def test_sums_are_exact_and_numbers_are_read_by_their_digits(catalogue, total):
    written = total.decode() if isinstance(total, bytes) else json.dumps(total)
    body = b'{"items": [{"id": 9, "quantity": 3}], "total": %s}' % written.encode()
    assert read(body, catalogue)["total"] == "0.30"  # 0.1 + 0.1 + 0.1 is not 0.3 in floats


def test_without_a_price_list_the_receipt_says_what_things_cost():
    found = read({**RECEIPT, "items": [PEAR, {**PEAR, "id": 11, "name": "梨", "price": "0.00"}]}, Catalogue())
    assert [one["name"] for one in found["items"]] == ["pear", "梨"]


# Items, total and currency as sent; total and currency as they are taken. With the price list, and without one.
UNPRICED_BASKETS = {
    "one line of two": (True, [PEAR, UNPRICED], "3.87", "EUR", "3.87", "EUR"),
    "no line": (True, [UNPRICED], None, None, None, "EUR"),
    "no line, and a total of nothing": (True, [UNPRICED], "0.00", "EUR", "0.00", "EUR"),
    "no line, no list": (False, [UNPRICED, {**PEAR, "price": None}], None, None, None, None),
    "one line of two, no list": (False, [PEAR, UNPRICED], "3.87", "EUR", "3.87", "EUR"),
}


@pytest.mark.parametrize("what", UNPRICED_BASKETS)
def test_what_has_no_price_may_be_bought_and_does_not_count(shop, sender, catalogue, what):
    with_list, items, total, currency, total_taken, currency_taken = UNPRICED_BASKETS[what]
    routes = app(sender, catalogue if with_list else None)
    answer = post(routes, changed(items=items, total=total, currency=currency))
    assert answer.status == 202, answer.json
    assert (answer.json["total"], answer.json["currency"]) == (total_taken, currency_taken)
    wait_for(lambda: bool(shop.receipts))
    (told,) = shop.receipts
    assert (told["items"], told["total"], told["currency"]) == (items, total_taken, currency_taken)


def test_a_price_needs_a_currency():
    with pytest.raises(InputError, match="needs its currency"):
        read(changed(currency=None), Catalogue())


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**RECEIPT, **fields}.items() if value != "LEFT OUT"}


def with_item(**fields: Any) -> dict[str, Any]:
    return changed(items=[{name: value for name, value in {**PEAR, **fields}.items() if value != "LEFT OUT"}])


WRONG = {
    "no JSON": (b"{", "expected JSON"),
    "no UTF-8": (b'{"items": "\xff"}', "expected JSON"),
    "deep": (b"[" * 100_000, "expected JSON"),
    "NaN": (b'{"items": [], "total": NaN}', "expected JSON"),
    "huge number": (b'{"items": [], "total": %s}' % (b"9" * 5000), "expected JSON"),
    "list": ([], "expected a JSON object"),
    "empty": (changed(items=[]), "1 to 1000"),
    "too many": (changed(items=[PEAR] * 1001), "1 to 1000"),
    "no items": (changed(items="LEFT OUT"), "lacks items"),
    "no total": (changed(total="LEFT OUT"), "lacks total"),
    "unknown field": (changed(discount="1.00"), "'discount'"),
    "total": (changed(total="3.88"), "the total of these items is 3.87, got 3.88"),
    "total with more digits": (changed(total="3.871"), "more digits"),
    "total as null": (changed(total=None), "total is an amount"),
    "total as true": (changed(total=True), "total is an amount"),
    "negative": (changed(total="-3.87"), "total: expected an amount"),
    "exponent": (b'{"items": [{"id": 7, "quantity": 1}], "total": 1e99}', "total: expected an amount"),
    "currency of another list": (changed(currency="USD"), "price list is in EUR"),
    "currency": (changed(currency="Euro"), "three capital letters"),
    "currency as number": (changed(currency=7), "three capital letters"),
    "time": (changed(at="yesterday"), "at is a time"),
    "time without offset": (changed(at="2026-11-28T15:30:00"), "offset"),
    "time as number": (changed(at=7), "at is a time"),
    "item": (changed(items=["pear"]), "item 1: expected an object"),
    "second item": (changed(items=[PEAR, {"id": 7}]), "item 2 lacks quantity"),
    "item with more": (with_item(weight=1), "'weight'"),
    "id as text": (with_item(id="7"), "id is a whole number"),
    "id as true": (with_item(id=True), "id is a whole number"),
    "unknown product": (with_item(id=8), "no product with the id 8"),
    "name of another": (with_item(name="Gruyère"), "called 'pear'"),
    "name as number": (with_item(name=7), "called 'pear'"),
    "quantity 0": (with_item(quantity=0), "from 1 to 9999"),
    "quantity below": (with_item(quantity=-1), "from 1 to 9999"),
    "quantity half": (with_item(quantity=1.5), "from 1 to 9999"),
    "quantity as true": (with_item(quantity=True), "from 1 to 9999"),
    "quantity above": (with_item(quantity=10_000), "from 1 to 9999"),
    "price of another day": (with_item(price="1.19"), "costs 1.29, got 1.19"),
    "price as list": (with_item(price=["1.29"]), "price is an amount"),
    "a total though nothing has a price": (with_item(id=11, name="梨", price=None), "is 0, got 3.87; items without a price"),
    "a total that counts what has no price": (
        changed(items=[PEAR, UNPRICED], total="9.99"), "is 3.87, got 9.99; items without a price, which do not count: 1"
    ),
    "no total though something has a price": (changed(items=[PEAR, UNPRICED], total=None), "total is an amount"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused_and_why(shop, sender, catalogue, what):
    receipt, words = WRONG[what]
    with pytest.raises(InputError, match=words):
        read(receipt, catalogue)
    answer = post(app(sender, catalogue), receipt)
    assert answer.status == 422
    assert "error" in answer.json
    assert sender.health().spool.waiting == 0
    assert not shop.receipts


def test_without_the_option_receipts_are_refused():
    answer = post(app(None), RECEIPT)
    assert answer.status == 404
    assert "--receipts" in answer.json["error"]


def test_a_body_that_is_too_large(sender, monkeypatch):
    monkeypatch.setattr("edgevision.kiosk.service.receipts.MAX_BODY_BYTES", 10)
    assert post(app(sender), RECEIPT).status == 413


def test_a_receipt_takes_its_share_of_what_all_requests_may_hold(sender, catalogue):
    budget = Budget(1000)
    routes = app(sender, catalogue, budget)
    with budget.share() as other:
        other.take(990)
        assert post(routes, RECEIPT).status == 503
    assert post(routes, RECEIPT).status == 202
    assert budget.taken == 0


# ---- once ----


def test_the_same_key_again_is_posted_once(shop, sender):
    routes = app(sender)
    first, again = post(routes, RECEIPT, "till-3:42"), post(routes, RECEIPT, "till-3:42")
    assert (first.status, again.status) == (202, 200)
    assert again.json == {**first.json, "again": True}
    other = post(routes, RECEIPT, "till-3:43")
    assert other.status == 202
    wait_for(lambda: len(shop.receipts) == 2)
    assert [one["id"] for one in shop.receipts] == [first.json["id"], other.json["id"]]


def test_a_receipt_that_was_taken_is_not_refused_for_prices_that_changed_since(sender, catalogue, tmp_path):
    """Its answer was lost, and the page sends it once more: a refusal would make it a second receipt."""
    path = tmp_path / "dearer.csv"
    path.write_text("id;price;currency\n7;1,49;EUR\n", "utf-8")
    dearer = app(sender, Catalogue(read_price_list(path), ProductPictures()))
    first = post(app(sender, catalogue), RECEIPT, "k")
    again = post(dearer, RECEIPT, "k")
    assert (first.status, again.status) == (202, 200)
    assert again.json == {**first.json, "again": True}
    assert post(dearer, RECEIPT, "another").status == 422


def test_a_receipt_without_a_time_is_the_same_again_and_after_a_restart(shop):
    receipt = changed(at="LEFT OUT")
    first_run = ReceiptPost(shop.url)
    first_run.open()
    first = post(app(first_run), receipt, "k")
    time.sleep(0.005)  # another millisecond: the times that are made up differ
    again = post(app(first_run), receipt, "k")
    first_run.close(5.0)
    assert (first.status, again.status) == (202, 200)
    assert again.json == {**first.json, "again": True}

    second_run = ReceiptPost(shop.url)
    second_run.open()
    later = post(app(second_run), receipt, "k")
    second_run.close(5.0)
    assert later.json["id"] == first.json["id"]


def test_another_receipt_under_a_known_key_is_a_conflict(sender):
    routes = app(sender)
    post(routes, RECEIPT, "k")
    answer = post(routes, changed(total="1.29", items=[{**PEAR, "quantity": 1}]), "k")
    assert answer.status == 409


def test_two_tills_may_have_the_same_keys(sender):
    routes = app(sender)
    first, second = post(routes, RECEIPT, "1", "till-1"), post(routes, RECEIPT, "1", "till-2")
    assert (first.status, second.status) == (202, 202)
    assert first.json["id"] != second.json["id"]
    assert post(routes, RECEIPT, "1", "till-2").json["again"] is True


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
def test_what_is_no_key(sender, key):
    assert post(app(sender), RECEIPT, key).status == 400


def test_many_at_once_with_few_keys(shop, sender):
    receipt = read_receipt(json.dumps(RECEIPT).encode(), Catalogue(), MODEL)
    ids: list[tuple[str, str]] = []

    def take() -> None:
        for number in range(10):
            ids.append((f"k{number}", sender.post(receipt, MODEL.id, f"k{number}").id))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 10
    wait_for(lambda: len(shop.receipts) >= 10)
    assert sorted(one["id"] for one in shop.receipts) == sorted({id for _, id in ids})


def test_only_so_many_keys_are_remembered(sender, monkeypatch):
    monkeypatch.setattr("edgevision.kiosk.service.receipts.MOST_KEYS", 2)
    receipt = read_receipt(json.dumps(RECEIPT).encode(), Catalogue(), MODEL)
    first = sender.post(receipt, MODEL.id, "1")
    for key in ("2", "3"):
        sender.post(receipt, MODEL.id, key)
    assert sender.post(receipt, MODEL.id, "3").again
    forgotten = sender.post(receipt, MODEL.id, "1")
    assert not forgotten.again
    assert forgotten.id == first.id  # the shop's server can tell that it has it


# ---- nothing is lost ----


def test_the_shop_is_away_and_comes_back(shop):
    away = ReceiptPost(shop.url)
    port = shop.server_address[1]
    shop.stop()
    away.open()
    assert post(app(away), RECEIPT, "k").status == 202
    wait_for(lambda: bool(away.health().fault))
    assert away.health().spool.waiting == 1
    away.close(1.0)

    back = Shop(port)
    again = ReceiptPost(back.url)  # the service was started again meanwhile
    again.open()
    wait_for(lambda: len(back.receipts) == 1)
    assert back.receipts[0]["late"] is True
    assert back.receipts[0]["items"] == [PEAR]
    again.close(5.0)
    back.stop()


def test_a_receipt_waits_longer_than_other_messages(shop):
    from edgevision.streams.sinks.spool import MAX_AGE_S

    sender = ReceiptPost(shop.url)
    assert sender._courier._options.max_age_s > 50 * MAX_AGE_S
    given = ReceiptPost(f"{shop.url}#max_age_s=60&spool={Path('x.spool')}")
    assert (given._courier._options.max_age_s, given._courier._options.path) == (60, Path("x.spool"))


def test_a_spool_of_its_own(shop):
    from edgevision.streams.sinks.registry import make_sink

    stream = make_sink(shop.url)
    assert ReceiptPost(shop.url)._courier._options.path != stream.courier._options.path


def test_a_spool_that_is_nearly_full_refuses_and_drops_nothing(shop):
    port = shop.server_address[1]
    shop.stop()
    sender = ReceiptPost(f"http://127.0.0.1:{port}/#max_bytes=3000")
    sender.open()
    routes = app(sender)
    statuses = [post(routes, RECEIPT).status for _ in range(20)]
    taken = statuses.count(202)
    assert 1 <= taken < 20
    assert statuses == [202] * taken + [507] * (20 - taken)
    assert sender.health().spool.waiting == taken
    assert sender.health().spool.dropped == {}
    sender.close(0.5)


def test_a_disk_that_is_full_is_told(sender, monkeypatch):
    from edgevision.errors import SinkError

    def full(*arguments: object, **more: object) -> bool:
        raise SinkError("cannot use the spool /var/lib/x: database or disk is full")

    monkeypatch.setattr("edgevision.streams.sinks.spool.Spool.append", full)
    answer = post(app(sender), RECEIPT, "k")
    assert answer.status == 507
    assert "/var" not in answer.json["error"]
    monkeypatch.undo()
    assert post(app(sender), RECEIPT, "k").status == 202  # it was not taken: so it is none that is known


@pytest.mark.parametrize(
    "address", ["jsonl:receipts.jsonl", "mqtt://broker/shop", "ftp://x/y", "https://shop.example/x#unknown=1"]
)
def test_where_receipts_cannot_go(address):
    with pytest.raises(InputError):
        ReceiptPost(address)


def test_errors_are_told_apart():
    assert not issubclass(ConflictError, NoRoomError)
    assert {label.id for label in LABELS} == {7, 9, 11}
