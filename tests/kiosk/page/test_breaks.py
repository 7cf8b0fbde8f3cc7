"""What outlives a break of a visit, in a real browser: the service starts again, the page is loaded again, another tab."""

from __future__ import annotations

import pytest
from basket_lines import expect_lines

pytestmark = pytest.mark.requires("chromium", "serve")


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
