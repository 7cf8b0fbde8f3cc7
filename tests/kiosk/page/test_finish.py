"""The end of a visit in a real browser: what is paid, by which receipt, and by whom."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from basket_lines import expect_lines, send, sold
from fake_kiosk import PRODUCTS
from live_service import MODEL

from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.receipts import read_receipt
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("chromium", "serve")


def test_a_receipt_is_sent_once(kiosk, opened):
    """Of two tries, the first of which fails, both have the same key and the same content."""
    service = kiosk(receipts_fail=1)
    page = opened(service)
    for id in (107, 111, 107):
        service.place()
        service.recognise(id)
    expect_lines(page, (107, 2), (111, 1))
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog [role=alert]", "Your basket is kept")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")
    (receipt,) = service.received.receipts
    at = receipt.pop("at")
    assert receipt == {
        "items": [
            {"id": 107, "name": "Solaru Orange", "quantity": 2, "price": "2.49"},
            {"id": 111, "name": "Fizzwick Cola", "quantity": 1, "price": "0.89"},
        ],
        "total": "5.87",
        "currency": "EUR",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", at)
    assert len(service.received.receipt_keys) == 2
    assert len(set(service.received.receipt_keys)) == 1
    expect_lines(page)
    page.click("#dialog button", "Next customer")
    page.wait("!document.querySelector('#dialog').open")


def test_a_receipt_is_sent_once_though_the_page_is_loaded_again(kiosk, opened):
    service = kiosk(receipts_fail=1)
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog [role=alert]", "Your basket is kept")
    page.run("window.before = true")
    page.reload()
    page.wait("window.before === undefined && document.documentElement.dataset.ready !== undefined")
    send(page)
    first, second = service.received.receipt_keys
    assert first == second
    page.click("#dialog button", "Next customer")
    service.remove()
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    send(page)  # the next shopper's, of the same goods, is another one
    assert len(set(service.received.receipt_keys)) == 2


def test_what_is_placed_while_the_end_is_asked_for_is_shown_and_sent(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.click("[data-key=finish]")
    service.place()
    service.recognise(111)
    page.wait_text("#dialog .receipt", "Fizzwick Cola")
    page.wait_text("#dialog .total", "€3.38")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")
    assert [sold(one) for one in service.received.receipts] == [[(107, 1), (111, 1)]]
    expect_lines(page)


HOLDS_RECEIPTS = (
    "(() => { const real = window.fetch; window.fetch = async (...all) => {"
    "if (String(all[0]).endsWith('/v1/receipts')) await new Promise(done => { window.go = done }); return real(...all) } })()"
)


def test_the_end_waits_for_what_is_being_recognised(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.click("[data-key=finish]")
    service.place()
    page.wait_text("#dialog", "Your product is being recognised.")
    assert page.run("document.querySelector('[data-key=send]').disabled")
    service.recognise(111)
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")
    assert [sold(one) for one in service.received.receipts] == [[(107, 1), (111, 1)]]
    expect_lines(page)


@pytest.mark.parametrize("when", ["on its way", "thanks"])
@pytest.mark.parametrize("what", ["recognise", "unsure"])
def test_what_was_placed_before_the_end_is_not_the_next_shoppers(kiosk, opened, when, what):
    """It is not waited for, for the camera is gone; then it is back."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    service.place()
    page.wait_text("#result", "One moment")
    service.block("camera-gone")
    page.wait_text("#notice", "no picture")
    page.run(HOLDS_RECEIPTS)
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait("window.go !== undefined")
    if when == "thanks":
        page.run("window.go()")
        page.wait_text("#dialog", "Thank you!")
    service.unblock()
    getattr(service, what)(111, 112)
    page.wait_text("#result", "Take the product away")
    page.run("window.go()")
    page.click("#dialog button", "Next customer")
    service.remove()
    page.wait_text("#result", "Place a product here")
    service.place()
    service.recognise(101)
    expect_lines(page, (101, 1))
    assert [sold(one) for one in service.received.receipts] == [[(107, 1)]]


def test_what_was_placed_before_an_end_that_failed_is_still_ours(kiosk, opened):
    service = kiosk(receipts_fail=1)
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    service.place()
    page.wait_text("#result", "One moment")
    service.block("camera-gone")
    page.wait_text("#notice", "no picture")
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog [role=alert]", "Your basket is kept")
    service.unblock()
    service.recognise(111)
    page.wait_text("#dialog .receipt", "Fizzwick Cola")


@pytest.mark.parametrize(
    ("answer", "receipts"),
    [
        ("await real(...all); throw new TypeError('gone')", [[(107, 1)], [(107, 1)], [(111, 1)]]),
        ("return new Response('{}', { status: 422 })", [[(107, 1), (111, 1)]]),
    ],
    ids=["lost", "refused"],
)
def test_a_receipt_whose_answer_is_lost_is_not_charged_again_with_others(kiosk, opened, answer, receipts):
    """The shop may have it: it is sent again as it was, and what came meanwhile is a receipt of its own. One that was refused is another."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.run(
        "(() => { const real = window.fetch; let first = true; window.fetch = async (...all) => {"
        f"if (!first || !String(all[0]).endsWith('/v1/receipts')) return real(...all); first = false; {answer} }} }})()"
    )
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog [role=alert]", "Your basket is kept")
    service.place()
    service.recognise(111)
    page.wait_text("#dialog .receipt", "Fizzwick Cola")
    page.wait_text("#dialog .total", "€3.38")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")
    assert [sold(one) for one in service.received.receipts] == receipts
    assert len(set(service.received.receipt_keys)) == len({str(one) for one in receipts})
    expect_lines(page)


def test_nobody_goes_back_while_the_receipt_is_on_its_way(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.run(HOLDS_RECEIPTS)
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait("window.go !== undefined")
    disabled = "[...document.querySelectorAll('#dialog button:disabled')].map(e => e.dataset.key ?? e.ariaLabel)"
    assert page.run(disabled) == ["Close", "send", "back", "help"]
    page.press("Escape")
    page.press("Escape")
    assert page.run("document.querySelector('#dialog').open")
    page.run("window.go()")
    page.wait_text("#dialog", "Thank you!")
    page.press("Escape")
    page.wait("!document.querySelector('#dialog').open")


def test_what_is_placed_after_the_end_is_the_next_shoppers(kiosk, opened):
    """One while the receipt is on its way, one while the page says thank you; and a question."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    service.place()
    service.unsure(120, 101)  # nobody answers this one
    expect_lines(page, (107, 1))
    page.run(HOLDS_RECEIPTS)
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait("window.go !== undefined")
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 2))
    assert "€2.49" in page.run("document.querySelector('#dialog .total').textContent")  # what is on its way
    page.run("window.go()")
    page.wait_text("#dialog", "Thank you!")
    expect_lines(page, (107, 1))
    service.place()
    service.recognise(111)
    service.place()
    service.unsure(111, 112)
    expect_lines(page, (107, 1), (111, 1))
    page.click("#dialog button", "Next customer")
    page.wait("!document.querySelector('#dialog').open")
    assert [sold(one) for one in service.received.receipts] == [[(107, 1)]]
    page.click("#result .choice", "Lemon")
    expect_lines(page, (107, 1), (111, 1), (112, 1))
    page.wait("document.querySelector('#question') === null")


@pytest.mark.parametrize(("ids", "total"), [((140,), None), ((140, 101), "1.29")])
def test_a_receipt_with_a_product_without_a_price_is_taken(kiosk, opened, ids, total):
    """By the service's own check of what the page sends."""
    service = kiosk()
    page = opened(service)
    for id in ids:
        service.place()
        service.recognise(id)
        service.remove()
    expect_lines(page, *((id, 1) for id in ids))
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")
    (sent,) = service.received.receipts
    labels = tuple(Label(id, name) for id, name, _ in PRODUCTS)
    taken = read_receipt(json.dumps(sent).encode(), Catalogue(), replace(MODEL, labels=labels)).to_dict()
    assert [one["id"] for one in taken["items"]] == list(ids)
    assert (taken["total"], taken["currency"]) == (total, total and "EUR")
