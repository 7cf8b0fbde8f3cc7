"""A shopper's visit in a real browser, with the server's camera."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from fake_kiosk import PRODUCTS
from live_service import MODEL

from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.receipts import read_receipt
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("chromium", "serve")

LINES = "[...document.querySelectorAll('.line')].map(e => [Number(e.dataset.line), Number(e.querySelector('.quantity [aria-hidden]').textContent)])"
TOLD = "document.getElementById('polite').textContent + document.getElementById('urgent').textContent"


def total(page) -> str:
    return page.run("document.querySelector('.total-money strong').textContent")


def expect_lines(page, *lines: tuple[int, int], total_text: str | None = None) -> None:
    """The basket holds (id, how many), in this order."""
    wanted = [list(one) for one in lines]
    page.wait(f"JSON.stringify({LINES}) === {str(wanted).replace(' ', '')!r}")
    if total_text is not None:
        assert total(page) == total_text


def test_recognised_is_added_with_picture_name_and_price(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    page.wait_text("#result", "One moment")
    service.recognise(107)
    page.wait_text("#result .known", "Solaru Orange")
    expect_lines(page, (107, 1), total_text="€2.49")
    assert "€2.49" in page.run("document.querySelector('.known .price').textContent")
    page.wait("document.querySelector('.known .tile-picture').naturalWidth === 240")
    page.wait(f"({TOLD}).includes('Solaru Orange, €2.49')")  # for screen readers
    service.remove()
    page.wait_text("#result", "Place a product here")
    expect_lines(page, (107, 1))


def test_quantities_add_up_in_cents(kiosk, opened):
    """0.89 × 3 + 10.05 × 2 + 1.29: binary fractions of these would not add up."""
    service = kiosk()
    page = opened(service)
    for id in (111, 130, 111, 101, 130, 111):
        service.place()
        service.recognise(id)
        service.remove()
    expect_lines(page, (111, 3), (130, 2), (101, 1), total_text="€24.06")
    assert "6 items" in page.run("document.querySelector('.total-count').textContent")


def test_a_product_name_stays_a_text(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(130)
    page.wait_text("#lines", "Café Grün <b>Bio</b>")
    assert page.run("document.querySelectorAll('#lines b, #result b').length") == 0


def test_unsure_asks_and_teaches(kiosk, opened):
    service = kiosk()
    page = opened(service)
    placement = service.place()
    service.unsure(111, 112, 107)
    page.wait_text("#result", "Which one is it?")
    shown = page.run("[...document.querySelectorAll('#result .choice .name')].map(e => e.textContent)")
    assert shown == ["Fizzwick Cola", "Fizzwick Lemon", "Solaru Orange"]
    assert page.run("document.activeElement.id") == "question"  # whoever reads by ear is taken there
    expect_lines(page)
    page.click("#result .choice", "Lemon")
    expect_lines(page, (112, 1))
    page.wait_text("#result .known", "Fizzwick Lemon")
    page.wait("true")
    for _ in range(100):
        if service.received.feedback:
            break
        page.wait("new Promise(done => setTimeout(() => done(true), 20))")
    ((query, picture),) = service.received.feedback
    assert query == {"label": "112", "placement": str(placement), "station": "station"}
    assert picture[:3] == b"\xff\xd8\xff"


def test_a_question_waits_though_the_product_is_gone(kiosk, opened):
    """Nobody is hurried: it can be answered later, and what is placed meanwhile counts too."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.unsure(111, 112)
    page.wait_text("#result", "Which one is it?")
    service.remove()
    page.wait_text("#result", "You took it away")
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.wait_text("#result .known", "Solaru Orange")  # what lies there now comes first
    page.click("#result button", "1 product to answer for")
    page.wait_text("#result", "Which one is it?")
    service.remove()
    page.wait_text("#result", "Which one is it?")  # and then the question again
    service.place()
    service.unknown()
    page.wait_text("#result", "2 products to answer for")
    page.click("#result .choice", "Cola")
    expect_lines(page, (107, 1), (111, 1))
    page.wait_text("#result", "We do not know this product")
    page.click("#result button", "Do not add it")
    page.wait_text("#result", "Take the product away")
    expect_lines(page, (107, 1), (111, 1))


def test_none_of_these_leads_to_the_list(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.unsure(111, 112)
    page.click("#result button", "None of these")
    page.wait("document.activeElement.id === 'dialog-title'")
    page.run("document.querySelector('#search').focus()")
    page.type("cafe grun")  # without its accents
    page.wait("document.querySelectorAll('#found .choice').length === 1")
    page.click("#found .choice")
    expect_lines(page, (130, 1))


def test_unknown_asks_for_help(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.unknown()
    page.wait_text("#result", "We do not know this product")
    page.click("#result button", "Ask for help")
    page.wait_text("#dialog", "Help needed here")
    page.click("#dialog button", "I need no more help")
    page.wait("!document.querySelector('#dialog').open")
    page.wait_text("#result", "We do not know this product")  # the question is still there
    expect_lines(page)


def test_wrong_is_corrected(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(111, 112, 107)
    page.click("#result button", "This is wrong")
    page.wait("document.querySelector('#found .name').textContent === 'Fizzwick Lemon'")  # the next likely first
    page.click("#found .choice", "Lemon")
    expect_lines(page, (112, 1))
    page.wait_text("#result .known", "Fizzwick Lemon")


def test_quantity_remove_and_undo(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(101)
    expect_lines(page, (101, 1))
    assert page.run("document.querySelector('[data-key=less-101]').disabled")
    page.click("[data-key=more-101]")
    expect_lines(page, (101, 2), total_text="€2.58")
    page.click("[data-key=less-101]")
    expect_lines(page, (101, 1))
    page.click("[data-key=remove-101]")
    expect_lines(page)
    page.wait("document.querySelector('[data-key=finish]').disabled")
    assert page.run("document.activeElement.id") == "basket-title"  # not lost with the button that is gone
    page.wait_text("#result", "Not in your basket")
    page.click("#undo")
    expect_lines(page, (101, 1))
    page.click("#undo")
    expect_lines(page, (101, 2))
    page.click("#undo")
    page.click("#undo")
    expect_lines(page)
    page.wait("document.querySelector('#undo').disabled")


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


def send(page) -> None:
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")


def sold(receipt) -> list[tuple[int, int]]:
    return [(one["id"], one["quantity"]) for one in receipt["items"]]


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


def test_a_product_without_a_price(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(140)
    expect_lines(page, (140, 1))
    page.wait_text("#sum", "1 product without a price is not in the total")
    service.remove()
    service.place()
    service.recognise(101)
    expect_lines(page, (140, 1), (101, 1), total_text="€1.29")


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


@pytest.mark.parametrize(
    ("button", "code", "words", "money"),
    [
        ("Deutsch", "de", "Ihr Warenkorb ist leer.", "1,29\xa0€"),
        ("中文", "zh", "购物篮是空的。", "€1.29"),
        ("Español", "es", "Su cesta está vacía.", "1,29\xa0€"),
    ],
)
def test_another_language(kiosk, opened, button, code, words, money):
    service = kiosk()
    page = opened(service)
    page.click("[data-key=tool-language]")
    page.click("#dialog button", button)
    page.wait_text("#lines", words)
    assert page.run("document.documentElement.lang") == code
    service.place()
    service.recognise(101)
    page.wait(f"document.querySelector('.total-money strong').textContent === {money!r}")
    assert not re.search(r"\b(Basket|Finish|Undo|Which)\b", page.text())


def test_a_service_that_starts_again_in_the_middle(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    service.remove()
    service.place()
    service.recognise(111)
    expect_lines(page, (107, 1), (111, 1))
    service.stop()
    page.wait_text("#notice", "No connection")
    page.click("[data-key=more-107]")  # the basket does not need the service
    expect_lines(page, (107, 2), (111, 1))
    page.click("[data-key=tool-language]")  # nor do the languages
    page.click("#dialog button", "Deutsch")
    page.wait_text("#notice", "Keine Verbindung")
    page.click("[data-key=tool-language]")
    page.click("#dialog button", "English")
    page.wait_text("#notice", "No connection")
    service.start()
    page.wait("document.querySelector('#notice').hidden")
    service.place()  # what lay there when the service ended is seen anew, under the number 1
    service.recognise(111)
    service.remove()
    service.place()
    service.recognise(101)
    expect_lines(page, (107, 2), (111, 1), (101, 1))  # and is not added again
    service.remove()
    service.place()
    service.recognise(101)
    expect_lines(page, (107, 2), (111, 1), (101, 2))  # but a second one is


def test_what_lies_there_is_not_charged_again(kiosk, opened):
    """Two products, one of which the shopper corrected; the service starts again and tells of both, in another order."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(111, 112)
    page.click("#result button", "This is wrong")
    page.click("#found .choice", "Lemon")
    expect_lines(page, (112, 1))
    service.place()
    service.recognise(107)
    expect_lines(page, (112, 1), (107, 1))
    service.stop()
    page.wait_text("#notice", "No connection")
    service.start()
    page.wait("document.querySelector('#notice').hidden")
    for id in (107, 111, 101):
        service.place()
        service.recognise(id)
    expect_lines(page, (112, 1), (107, 1), (101, 1))


@pytest.mark.parametrize("through", ["/", "/products"])
def test_open_questions_outlive_a_way_elsewhere(kiosk, opened, through):
    service = kiosk()
    page = opened(service)
    service.place()
    service.unsure(111, 112)
    page.wait_text("#result", "Which one is it?")
    service.place()
    service.unknown()
    page.wait_text("#result", "2 products to answer for")
    page.run("window.before = true")
    page.open(service.url + through)
    page.wait("window.before === undefined && document.documentElement.dataset.ready !== undefined")
    page.open(f"{service.url}/")
    page.wait_text("#result", "2 products to answer for")
    page.wait("document.querySelector('#result .seen').naturalWidth > 0")
    page.click("#result .choice", "Lemon")
    expect_lines(page, (112, 1))
    page.wait_text("#result", "We do not know this product")
    page.reload()
    page.wait_text("#result", "We do not know this product")
    page.wait("document.querySelector('#result .choice') === null")  # what was answered is asked no more


KEPT = "sessionStorage.getItem('edgevision.questions')"


def test_questions_and_their_pictures_are_kept_until_they_are_answered(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.unknown()
    page.wait_text("#result", "We do not know this product")
    page.run("window.before = true")
    page.reload()
    page.wait("window.before === undefined && document.documentElement.dataset.ready !== undefined")
    page.click("#result button", "Do not add it")
    page.wait("document.querySelector('#question') === null")
    assert page.run(KEPT) is None


def test_questions_are_not_kept_for_another_shopper(kiosk, opened):
    """After longer elsewhere than the page waits before it asks who is there, it asks at once."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    service.place()
    service.unknown()
    page.wait_text("#result", "We do not know this product")
    page.open(f"{service.url}/page.json")
    page.wait("location.pathname === '/page.json'")
    page.run(
        f"(() => {{ const all = JSON.parse({KEPT}); all.atMs -= 121000; sessionStorage.setItem('edgevision.questions', JSON.stringify(all)) }})()"
    )
    page.open(service.url)
    page.wait_text("#idle-dialog", "Are you still there?")
    assert page.run("document.querySelector('#question')") is None
    page.click("#idle-dialog button", "I am still here")
    page.wait("!document.querySelector('#idle-dialog').open")
    expect_lines(page, (107, 1))


def test_a_reload_keeps_the_basket(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.run("window.before = true")
    page.reload()
    page.wait("window.before === undefined && document.documentElement.dataset.ready !== undefined")
    expect_lines(page, (107, 1), total_text="€2.49")
    page.wait_text("#result .known", "Solaru Orange")


def test_two_tabs_count_once(kiosk, opened):
    service = kiosk()
    first = opened(service)
    second = opened(service, beside=first)
    service.place()
    service.recognise(107)
    for page in (first, second):
        expect_lines(page, (107, 1))
        page.wait_text("#result .known", "Solaru Orange")
    service.remove()
    service.place()
    service.unsure(111, 112)
    for page in (first, second):
        page.wait_text("#result", "Which one is it?")
    second.click("#result .choice", "Lemon")
    for page in (first, second):
        expect_lines(page, (107, 1), (112, 1))
    first.wait("document.querySelector('#question') === null")  # answered there, asked no more here


@pytest.mark.parametrize(
    ("reason", "words"),
    [("dark", "too dark"), ("covered", "covered"), ("hand", "hand away"), ("camera-gone", "no picture"), ("new-reason", "blocked.new-reason")],
)  # fmt: skip
def test_a_blocked_camera_says_why(kiosk, opened, reason, words):
    service = kiosk()
    page = opened(service)
    service.block(reason)
    page.wait_text("#notice", words)
    service.unblock()
    page.wait("document.querySelector('#notice').hidden")


def test_a_page_that_is_opened_while_it_is_dark_says_so(kiosk, tab):
    service = kiosk()
    service.block("dark")
    page = tab()
    page.open(service.url)
    page.wait_text("#notice", "too dark")
    service.hang_up()  # the page comes back, and what it knew already is not told again
    page.wait(f"({TOLD}).includes('Connected again')")
    page.wait_text("#notice", "too dark")
    service.unblock()
    page.wait("document.querySelector('#notice').hidden")


@pytest.mark.parametrize(("late_s", "lines"), [(5.0, [(111, 1), (107, 1)]), (300.0, [(107, 1)])])
def test_what_was_placed_during_an_outage_counts_only_for_who_stands_there(kiosk, opened, late_s, lines):
    service = kiosk()
    page = opened(service)
    service.place()
    service.recognise(130)
    service.remove()
    expect_lines(page, (130, 1))  # so that the page knows where it was
    page.click("[data-key=remove-130]")
    service.busy = True
    service.hang_up()
    page.wait_text("#notice", "No connection")
    service.place()
    service.recognise(111)
    service.remove()
    service.late_s = late_s
    service.busy = False
    page.wait("document.querySelector('#notice').hidden")
    service.place()
    service.recognise(107)  # as it happens
    expect_lines(page, *lines)


def test_another_place_that_is_blocked_is_not_ours(kiosk, tab):
    service = kiosk()
    service.block("dark")
    page = tab()
    page.open(f"{service.url}/?station=another")
    page.wait("!document.querySelector('#picture').hidden")
    page.wait_text("#result", "Place a product here")
    assert page.run("document.querySelector('#notice').hidden")


def test_nothing_is_asked_of_elsewhere(kiosk, opened):
    """Not by the page, its styles, fonts or icons, over a whole visit."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.unsure(111, 112)
    page.click("#result .choice", "Cola")
    page.click("[data-key=search]") if page.run("!!document.querySelector('[data-key=search]')") else None
    page.open(service.url + "/operator")
    page.wait_text("#status", "Model shop")
    own = (service.url, service.url.replace("http", "ws"), "data:", f"blob:{service.url}", "about:blank")
    assert [one for one in page.requests if not one.startswith(own)] == []
    assert len(page.requests) > 20


def test_the_list_shows_all_products(kiosk, opened):
    service = kiosk()
    page = opened(service)
    page.click("[data-key=search]")
    page.wait(f"document.querySelectorAll('#found .choice').length === {len(PRODUCTS)}")
    page.press("Escape")
    page.wait("!document.querySelector('#dialog').open")
    assert page.run("document.activeElement.dataset.key") == "search"  # back where it was


def test_a_token_is_taken_from_the_address(kiosk, tab):
    service = kiosk(token="t0ken-of-this-kiosk")
    page = tab()
    page.open(service.url)
    page.wait_text("#notice", "not paired")
    page.open(f"{service.url}/#token=t0ken-of-this-kiosk")  # the page that is open takes it
    page.wait("document.querySelector('#notice')?.hidden && !document.querySelector('#picture').hidden")
    assert page.run("location.href") == f"{service.url}/"
    service.place()
    service.recognise(107)
    page.wait("document.querySelector('.known .tile-picture')?.naturalWidth === 240")  # an <img> cannot send a token
    assert not [one for one in page.requests if "t0ken" in one.partition("#")[0]]


def test_a_token_can_be_typed(kiosk, tab):
    service = kiosk(token="t0ken-of-this-kiosk")
    page = tab()
    page.open(service.url)
    page.wait_text("#notice", "not paired")
    page.run("document.querySelector('#token').focus()")
    page.type("t0ken-of-this-kiosk")
    page.press("Enter")
    page.wait("document.querySelector('#notice').hidden && !document.querySelector('#picture').hidden")


@pytest.mark.parametrize("path", ["/", "/operator"])
def test_a_token_that_is_refused_is_not_sent_again(kiosk, tab, path):
    """Each wrong token makes the address wait longer: the list, the events and the camera may have begun to ask, and no more."""
    service = kiosk(token="t0ken-of-this-kiosk")
    page = tab()
    page.before(
        "const real = window.setTimeout; window.setTimeout = (f, ms, ...more) => real(f, ms >= 1000 ? ms / 50 : ms, ...more);"
        "window.asked = 0; const fetched = window.fetch; window.fetch = (...all) => (window.asked++, fetched(...all))"
    )
    page.open(f"{service.url}{path}#token=wrong")
    page.wait_text("#notice", "not paired")
    page.run("window.asked = 0")
    page.wait("window.asked > 20")
    assert 1 <= len(service.received.wrong_tokens) <= 3
    page.run("document.querySelector('#token').focus()")
    page.type("t0ken-of-this-kiosk")
    page.press("Enter")
    page.wait("document.querySelector('#notice').hidden")


@pytest.mark.parametrize("path", ["/", "/operator"])
def test_too_many_wrong_tokens_say_how_long_to_wait(kiosk, tab, path):
    service = kiosk(token="t0ken-of-this-kiosk")
    service.throttled_s = 17
    page = tab()
    page.open(f"{service.url}{path}#token=t0ken-of-this-kiosk")
    page.wait_text("#notice", "Wait 17 s")
    service.throttled_s = 0
    page.wait("document.querySelector('#notice').hidden")  # by itself, with the token that was right all the time
    assert service.received.wrong_tokens == []


def test_the_operator_sees_how_it_is(kiosk, tab):
    service = kiosk()
    page = tab()
    page.open(service.url + "/operator")
    for words in (
        "openvino-int8",
        "proven: the accuracy is within",
        "live",
        "14.9",
        "0.04 s",
        "the camera was gone for 3 s",
        "12" * 32,
    ):
        page.wait_text("#status", words)


def test_whoever_is_there_gets_more_time(kiosk, opened):
    """The clock of the page is moved on, so that nobody waits."""
    service = kiosk()
    page = opened(service)
    page.before(
        "const real = window.setTimeout; window.fast = false;"
        "window.setTimeout = (f, ms, ...more) => real(f, window.fast && ms >= 1000 ? ms / 50 : ms, ...more)"
    )
    page.reload()
    page.wait("window.fast === false && document.documentElement.dataset.ready !== undefined")
    page.wait("!document.querySelector('#picture').hidden")  # it hears events by now
    service.place()
    service.recognise(107)
    expect_lines(page, (107, 1))
    page.run("window.fast = true")
    page.click("[data-key=tool-larger]")
    page.wait_text("#idle-dialog", "Are you still there?")
    page.run("window.fast = false")
    page.press("Enter")  # any key; the focus is on the heading
    page.wait("!document.querySelector('#idle-dialog').open")
    expect_lines(page, (107, 1))
    assert page.run("document.documentElement.dataset.text") == "125"  # the key did nothing else
    page.run("window.fast = true")
    page.click("[data-key=tool-contrast]")
    page.wait_text("#idle-dialog", "Are you still there?")
    page.run("window.fast = false")
    page.press("Tab")
    page.press("Tab")
    assert page.run("document.activeElement.dataset.key") == "longer"
    page.press("Enter")
    page.wait("!document.querySelector('#idle-dialog').open")
    page.run("window.fast = true")
    page.click("[data-key=tool-contrast]")
    page.wait_text("#idle-dialog", "Are you still there?")
    page.wait("!document.querySelector('#idle-dialog').open")  # nobody answered
    expect_lines(page)
    page.wait("document.documentElement.dataset.text === '100'")  # as the next shopper finds it
