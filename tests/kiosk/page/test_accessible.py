"""Everybody can use the page: axe-core, keyboard alone, large text, targets, and what it looks like to programs that read aloud."""

from __future__ import annotations

import pytest
from accessible_pages import LOST, SCREENS, TARGETS, found_by_axe, tab_to

pytestmark = pytest.mark.requires("chromium", "serve")


def begin(kiosk, opened, **size):
    """A page with something in the basket."""
    service = kiosk()
    page = opened(service, **size)
    for id in (107, 130, 140):
        service.place()
        service.recognise(id, 111)
        service.remove()
    page.wait("document.querySelectorAll('.line').length === 3")
    return service, page


def views(service, page):
    """The page in each of its states, by name."""
    yield "empty place"
    service.place()
    service.recognise(111, 112)
    page.wait_text("#result .known", "Fizzwick Cola")
    yield "recognised"
    page.click("#result button", "This is wrong")
    page.wait("document.querySelector('#dialog').open")
    yield "list"
    page.press("Escape")
    service.remove()
    service.place()
    service.unsure(111, 112, 107, 120)
    page.wait_text("#result", "Which one is it?")
    yield "unsure"
    page.click("#result .choice", "Cola")
    service.remove()
    service.place()
    service.unknown()
    page.wait_text("#result", "We do not know")
    yield "unknown"
    page.click("#result button", "Ask for help")
    page.wait("document.querySelector('#dialog').open")
    yield "help"
    page.press("Escape")
    page.click("[data-key=finish]")
    page.wait("document.querySelector('#dialog').open")
    yield "finish"
    page.press("Escape")
    service.block("dark")
    page.wait_text("#notice", "too dark")
    yield "blocked"


@pytest.mark.parametrize("contrast", ["normal", "high"])
def test_axe_finds_nothing(kiosk, opened, contrast):
    service, page = begin(kiosk, opened)
    if contrast == "high":
        page.click("[data-key=tool-contrast]")
        page.wait("document.documentElement.dataset.contrast === 'high'")
    assert {name: found for name in views(service, page) if (found := found_by_axe(page))} == {}
    page.open(service.url + "/operator")
    page.wait_text("#status", "Model shop")
    assert found_by_axe(page) == []


def test_axe_would_find_something(kiosk, opened):
    _, page = begin(kiosk, opened)
    page.run("document.querySelector('[data-key=more-107]').removeAttribute('aria-label')")
    assert [one.split(" ")[0] for one in found_by_axe(page)] == ["button-name"]


@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize(("text", "zoom"), [(100, 1.0), (200, 1.0), (100, 2.0)])
def test_all_is_there_on_every_screen_at_every_size(kiosk, opened, width, height, text, zoom):
    """``text``: percent, by the page's own button; ``zoom``: the browser's. Nothing is cut off, and all targets are 48 px at least."""
    service, page = begin(kiosk, opened, width=width, height=height)
    page.size(width, height, zoom=zoom)
    while page.run("document.documentElement.dataset.text") != str(text):
        page.click("[data-key=tool-larger]")
    seen = {}
    for name in views(service, page):
        small = [one for one in page.run(TARGETS) if min(one[1:]) < 47.9]
        lost = page.run(LOST)
        sideways = page.run("document.scrollingElement.scrollWidth - innerWidth")
        if small or lost or sideways > 0:
            seen[name] = small, lost, sideways
    assert seen == {}


def test_two_hundred_percent_is_twice_as_large(kiosk, opened):
    _, page = begin(kiosk, opened)
    size = "parseFloat(getComputedStyle(document.querySelector('.line .name')).fontSize)"
    before = page.run(size)
    for _ in range(4):
        page.click("[data-key=tool-larger]")
    assert page.run(size) == pytest.approx(2 * before)
    assert page.run("document.querySelector('[data-key=tool-larger]').disabled")


def test_a_whole_visit_by_keyboard(kiosk, opened):
    """Choose, count, undo, find in the list, and finish: Tab, Enter, Space and Escape, never a mouse."""
    service = kiosk()
    page = opened(service)
    service.place()
    service.unsure(111, 112)
    page.wait("document.activeElement.id === 'question'")
    tab_to(page, "e.innerText.includes('Lemon')")
    page.press("Enter")
    page.wait("document.querySelector('[data-line=\"112\"]')")
    tab_to(page, "e.dataset.key === 'more-112'")
    page.press(" ")
    page.wait("document.querySelector('[data-line=\"112\"] .quantity [aria-hidden]').textContent === '2'")
    assert page.run("document.activeElement.dataset.key") == "more-112"  # it may be pressed again
    page.press("Enter")
    page.wait("document.querySelector('[data-line=\"112\"] .quantity [aria-hidden]').textContent === '3'")
    while page.run("document.activeElement.id") != "undo":
        page.press("Tab", shift=True)
    page.press("Enter")
    page.wait("document.querySelector('[data-line=\"112\"] .quantity [aria-hidden]').textContent === '2'")
    service.remove()
    page.wait_text("#result", "Place a product here")
    tab_to(page, "e.dataset.key === 'search'")
    page.press("Enter")
    tab_to(page, "e.id === 'search'")
    page.type("milk")
    page.wait("document.querySelectorAll('#found .choice').length === 2")
    tab_to(page, "e.innerText.includes('Light Milk')")
    page.press("Enter")
    page.wait("document.querySelector('[data-line=\"102\"]')")
    tab_to(page, "e.dataset.key === 'finish'")
    page.press("Enter")
    tab_to(page, "e.dataset.key === 'send'")
    page.press("Enter")
    page.wait_text("#dialog", "Thank you!")
    assert [line["quantity"] for line in service.received.receipts[0]["items"]] == [2, 1]
    tab_to(page, "e.dataset.key === 'next'")
    page.press(" ")
    page.wait("!document.querySelector('#dialog').open")


def test_the_order_of_tab_is_the_order_on_the_screen(kiosk, opened):
    """From the top to the bottom, all that can be pressed, and nothing twice."""
    service, page = begin(kiosk, opened, width=390, height=844)
    service.place()
    service.recognise(111, 112)
    page.wait_text("#result .known", "Fizzwick Cola")
    expected = page.run(
        "[...document.querySelectorAll('a[href], button:not(:disabled)')].filter(e => e.checkVisibility()).map(e => e.outerHTML.slice(0, 80))"
    )
    page.run("document.activeElement.blur()")
    way = tab_to(page, "e.dataset.key === 'tool-help'")
    assert way == expected
    tops = page.run(
        "[...document.querySelectorAll('button:not(:disabled)')].filter(e => e.checkVisibility()).map(e => e.closest('#result, #basket, #tools').id)"
    )
    assert tops == sorted(tops, key=["result", "basket", "tools"].index)


def test_a_question_does_not_tear_the_focus_away(kiosk, opened):
    service, page = begin(kiosk, opened)
    page.run("document.querySelector('[data-key=more-107]').focus()")
    service.place()
    service.unsure(111, 112)
    page.wait_text("#result", "Which one is it?")
    page.wait("document.getElementById('urgent').textContent === 'Which one is it: Fizzwick Cola or Fizzwick Lemon?'")
    assert page.run("document.activeElement.dataset.key") == "more-107"


def test_results_are_spoken_on_request(kiosk, opened):
    service = kiosk()
    page = opened(service)
    page.run("window.spoken = []; speechSynthesis.speak = u => window.spoken.push([u.lang, u.text])")
    service.place()
    service.recognise(101)
    page.wait("document.querySelectorAll('.line').length === 1")
    assert page.run("window.spoken") == []
    page.click("[data-key=tool-speech]")
    page.wait("document.querySelector('[data-key=tool-speech]').getAttribute('aria-pressed') === 'true'")
    service.remove()
    service.place()
    service.recognise(111)
    page.wait("window.spoken.length === 2")
    assert page.run("window.spoken") == [
        ["en", "Results are read aloud."],
        ["en", "Fizzwick Cola, €0.89. In your basket."],
    ]


def test_landmarks_and_headings(kiosk, opened):
    _, page = begin(kiosk, opened)
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in tree if not node.get("ignored")]
    assert {"banner", "main", "navigation", "region", "status", "alert"} <= set(roles)
    names = [node["name"]["value"] for node in tree if node["role"]["value"] == "button" and not node.get("ignored")]
    assert "One more: Solaru Orange" in names
    assert "" not in names


def test_nothing_moves_for_those_who_asked_for_that(kiosk, opened):
    _, page = begin(kiosk, opened)
    moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s' || getComputedStyle(e).animationName !== 'none').length"
    assert page.run(moving) > 0
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert page.run(moving) == 0
