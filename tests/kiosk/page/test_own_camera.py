"""The page with the browser's own camera, which plays a film here."""

from __future__ import annotations

import pytest
from chromium import Tab
from fake_kiosk import PRODUCTS
from live_service import wait_for

from edgevision.kiosk.page.settings import CameraPlace

pytestmark = pytest.mark.requires("chromium", "serve")

LINES = "[...document.querySelectorAll('.line')].map(e => Number(e.dataset.line)).join()"


@pytest.fixture
def page_with(kiosk, tab):
    """Opens the page, the camera allowed unless ``setting`` says otherwise; ``before``: a script that runs first."""

    def open_page(setting: str = "granted", before: str = "", beside: Tab | None = None, service=None, **arguments):
        one = service or kiosk(CameraPlace.PAGE, **arguments)
        page = tab(beside)
        page.allow(one.url, "camera", setting)
        if before:
            page.before(before)
        page.open(one.url)
        page.wait("document.documentElement.dataset.ready !== undefined")
        return one, page

    return open_page


def fails(name: str, rest: str = "") -> str:
    error = f"new DOMException('made up', '{name}')" if name != "TypeError" else "new TypeError('made up')"
    return f"navigator.mediaDevices.getUserMedia = async () => {{ throw Object.assign({error}, {{{rest}}}) }}"


def test_pictures_go_out_one_by_one_at_the_size_the_model_needs(page_with):
    service, page = page_with(settings={"picture_px": 320})
    page.wait("document.querySelector('#camera').dataset.state === 'open'")
    page.wait_text("#age", "s ago")
    service.place()
    service.recognise(107)
    page.wait(f"{LINES} === '107'")
    for _ in range(200):
        if len(service.received.sizes) >= 10:
            break
        page.wait("new Promise(done => setTimeout(() => done(true), 20))")
    assert set(service.received.sizes) == {(320, 240)}
    assert len(service.received.sizes) >= 10
    assert service.received.most_in_flight == 1
    assert service.received.protocols == [["edgevision"]]


def test_a_larger_model_gets_what_the_camera_has(page_with):
    service, page = page_with(settings={"picture_px": 1280})
    page.wait_text("#age", "s ago")
    assert service.received.sizes[0] == (640, 480)  # never blown up


def test_the_token_goes_with_the_socket(page_with, kiosk):
    service = kiosk(CameraPlace.PAGE, token="t0ken")
    _, page = page_with(service=service, before="localStorage.setItem('edgevision.token', 't0ken')")
    page.wait_text("#age", "s ago")
    assert service.received.protocols == [["edgevision", "edgevision.token.t0ken"]]


def test_a_token_that_was_revoked_is_asked_for_and_not_sent_again(page_with, kiosk):
    """A WebSocket does not tell the page why it was refused."""
    service = kiosk(CameraPlace.PAGE, token="t0ken")
    _, page = page_with(service=service, before="localStorage.setItem('edgevision.token', 't0ken')")
    page.wait_text("#age", "s ago")
    service.stop()
    service.token = "n3w"
    service.start()
    page.wait_text("#notice", "not paired")
    service.received.protocols.clear()
    page.run("document.querySelector('#token').focus()")
    page.type("n3w")
    page.press("Enter")
    page.wait("document.querySelector('#notice').hidden")
    assert service.received.wrong_tokens == ["t0ken"]
    assert ["edgevision", "edgevision.token.t0ken"] not in service.received.protocols
    assert service.received.protocols[-1] == ["edgevision", "edgevision.token.n3w"]


def test_a_refused_camera_says_so_and_can_be_tried_again(page_with):
    service, page = page_with("denied")
    page.wait_text("#camera", "The camera is not allowed")
    page.wait_text("#camera", "browser’s settings")
    page.wait("document.getElementById('urgent').textContent.includes('not allowed')")
    page.click("[data-key=search]")  # the list works without
    page.click("#found .choice", "Cola")
    page.wait(f"{LINES} === '111'")
    page.allow(service.url, "camera", "granted")
    page.click("#camera button", "Try again")
    page.wait_text("#age", "s ago")


@pytest.mark.parametrize(
    ("name", "words", "cure"),
    [
        ("NotAllowedError", "not allowed", "Allow it for this page"),
        ("NotFoundError", "No camera was found", "Connect one"),
        ("NotReadableError", "used by another program", "Close that program"),
        ("OverconstrainedError", "chosen camera is not there", "use another one"),
        ("AbortError", "could not be started", "connect it anew"),
        ("TypeError", "gives this page no camera", "https"),
        ("UnheardOfError", "does not work", "ask for help"),
    ],
)
def test_each_failure_has_its_words_and_its_cure(page_with, name, words, cure):
    _, page = page_with(before=fails(name))
    page.wait_text("#camera", words)
    page.wait_text("#camera", cure)


def test_a_page_that_is_not_secure(page_with):
    """``navigator.mediaDevices`` is not there at all."""
    _, page = page_with(before="Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    page.wait_text("#camera", "gives this page no camera")
    page.wait_text("#camera", "http://localhost")


def test_a_question_of_the_browser_that_nobody_answers(page_with):
    """Its promise never settles: the page has a clock of its own. An answer that comes late is as good."""
    never = (
        "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = wishes => new Promise(done => { window.answer = () => done(ask(wishes)) });"
        "const real = window.setTimeout; window.setTimeout = (f, ms, ...more) => real(f, ms === 15000 ? 300 : ms, ...more)"
    )
    _, page = page_with(before=never)
    page.wait_text("#camera", "The browser is asking for the camera")
    page.wait_text("#camera", "choose Allow")
    page.run("window.answer()")
    page.wait_text("#age", "s ago")


def test_the_chosen_camera_is_asked_for_by_its_id(page_with):
    """A wish would be answered with any other camera. Where it is gone, another is used only when somebody says so."""
    asked = (
        "window.asked = []; const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = w => { window.asked.push(w.video.deviceId ?? null); return ask(w) }"
    )
    _, page = page_with(before=asked)
    page.wait_text("#age", "s ago")
    assert page.run("window.asked") == [None]
    page.reload()
    page.wait_text("#age", "s ago")
    (wish,) = page.run("window.asked")
    assert set(wish) == {"exact"}
    page.run("localStorage.setItem('edgevision.camera', 'gone-for-good')")
    page.reload()
    page.wait_text("#camera", "The chosen camera is not there")
    page.click("#camera button", "Use another camera")
    page.wait_text("#age", "s ago")


def test_a_camera_that_is_unplugged(page_with):
    _, page = page_with()
    page.wait_text("#age", "s ago")
    page.run("document.querySelector('#video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    page.wait_text("#camera", "The camera was disconnected")
    page.click("#camera button", "Try again")
    page.wait("document.querySelector('#camera').dataset.state === 'open'")


def test_one_tab_holds_the_camera(page_with):
    service, first = page_with()
    first.wait_text("#age", "s ago")
    _, second = page_with(service=service, beside=first)
    second.wait_text("#camera", "open in another tab")
    first.show()
    service.place()
    service.recognise(107)
    for page in (first, second):
        page.wait(f"{LINES} === '107'")  # the basket is one
    second.show()
    second.click("#camera button", "Use it here")
    second.wait_text("#age", "s ago")
    first.wait_text("#camera", "open in another tab")
    service.place()
    service.recognise(111)
    for page in (first, second):
        page.wait(f"{LINES} === '107,111'")
    first.show()
    second.close()
    first.wait("document.querySelector('#camera').dataset.state === 'open'")  # its turn again


@pytest.mark.parametrize("order", [(107, 111), (111, 107)])
def test_a_reload_counts_nothing_twice(page_with, order):
    """Two products lie there, which are told again over the new connection."""
    service, page = page_with()
    for id in (107, 111):
        service.place()
        service.recognise(id)
    page.wait(f"{LINES} === '107,111'")
    page.reload()
    wait_for(lambda: service.received.sockets == 2)
    for id in (*order, 101):
        service.place()
        service.recognise(id)
    page.wait(f"{LINES} === '107,111,101'")
    assert page.run("document.querySelector('.total-count').textContent") == "3 items"


def test_a_product_that_is_newer_than_the_list(page_with):
    """Taught elsewhere; its price is read before it is sent."""
    service, page = page_with()
    page.wait_text("#age", "s ago")
    service.products = (*PRODUCTS, (150, "Plumgate Plum", "0.59"))
    service.place()
    service.recognise(150)
    page.wait("document.querySelector('.total-money strong').textContent === '€0.59'")


@pytest.mark.parametrize("news", ["prices-changed", "products-changed"])
def test_news_of_prices_reach_a_page_with_its_own_camera(page_with, news):
    service, page = page_with()
    service.place()
    service.recognise(140)
    page.wait_text("#sum", "1 product without a price")
    service.products = tuple((id, name, price or "3.10") for id, name, price in PRODUCTS)
    service.tell_pages({"event": news})
    page.wait("document.querySelector('.total-money strong').textContent === '€3.10'")
    page.click("#undo")
    page.wait(f"{LINES} === ''")
    service.remove()  # pictures go on
    service.place()
    service.recognise(107)
    page.wait(f"{LINES} === '107'")


def test_a_lost_connection_counts_nothing_twice(page_with):
    """After it, the service counts placements from 1 again, and finds again what lay there before."""
    service, page = page_with()
    service.place()
    service.recognise(107)
    page.wait(f"{LINES} === '107'")
    service.restart()
    page.wait(f"{LINES} === '107'")
    for _ in range(400):
        if service.received.sockets == 2:
            break
        page.wait("new Promise(done => setTimeout(() => done(true), 20))")
    service.place()
    service.recognise(107)
    service.remove()
    service.place()
    service.recognise(111)
    page.wait(f"{LINES} === '107,111'")
    assert page.run("document.querySelector('[data-line=\"107\"] .quantity [aria-hidden]').textContent") == "1"
