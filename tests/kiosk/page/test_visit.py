"""A shopper's visit in a real browser, with the server's camera."""

from __future__ import annotations

import re

import pytest
from basket_lines import expect_lines
from fake_kiosk import PRODUCTS

pytestmark = pytest.mark.requires("chromium", "serve")

TOLD = "document.getElementById('polite').textContent + document.getElementById('urgent').textContent"


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
