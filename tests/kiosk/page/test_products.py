"""The products' page in a real browser, over the gallery's real routes: teaching, finding, changing, forgetting, and who may."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from accessible_pages import LOST, SCREENS, TARGETS, found_by_axe, tab_to
from live_service import app_of, running
from live_set_up import FakeStation, live_with
from shop_galleries import BLUE, GREEN, RED, scene

from edgevision.frames import ImageArray
from edgevision.gallery.products import GalleryProduct
from edgevision.kiosk.events import Placed, Recognised, Unknown
from edgevision.kiosk.page.routes import page_routes
from edgevision.kiosk.page.settings import CameraPlace, PageSettings
from edgevision.kiosk.service.access.guard import guarded
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tokens import add_token
from edgevision.kiosk.service.route import Scope
from edgevision.tasks.results import Prediction

pytestmark = pytest.mark.requires("chromium", "serve")

READY = "document.documentElement.dataset.ready !== undefined"
NAMES = "[...document.querySelectorAll('#shelf .name')].map(e => e.textContent).join()"


class Shop:
    """A service with a gallery and a camera, which shows what a test puts before it."""

    def __init__(self, folder: Path, camera: CameraPlace, tokens: Path | None = None) -> None:
        self.station = FakeStation()
        self.live = live_with(folder, gallery=True, station=self.station, receipts=None)
        self.gallery = self.live._shop
        assert self.gallery is not None
        settings = PageSettings(camera=camera, language="en")
        app = app_of([*self.live.routes(), *page_routes(settings)])
        self.app = guarded(app, AccessSettings(tokens=tokens, insecure=True))
        self.live.start()
        self.url = ""
        self._ending = threading.Event()
        self._showing: Iterator[Any] = itertools.repeat(scene())
        self._thread = threading.Thread(target=self._film, daemon=True)
        self._thread.start()

    def show(self, *colours: tuple[int, int, int]) -> None:
        """Turn a product of these colours before the camera; none: the empty place."""
        places = [scene(colour, left) for colour in colours for left in (20, 110, 200)]
        self._showing = itertools.cycle(places or [scene()])

    def _film(self) -> None:
        while not self._ending.wait(0.12):
            self.station.newest = next(self._showing)

    def add(self, id: int, name: str, **fields: Any) -> None:
        assert self.gallery is not None
        self.gallery.change(lambda gallery, writer: writer.add_product(GalleryProduct(id, name, fields)))

    @property
    def products(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """By name: how many examples, and the fields."""
        assert self.gallery is not None
        gallery = self.gallery.now.gallery
        return {one.name: (len(gallery.examples_of(one.id)), dict(one.fields)) for one in gallery.products}

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.live.close(1.0)


@pytest.fixture
def shop(tmp_path) -> Iterator[Callable[..., Shop]]:
    """Starts a service; its arguments are those of ``Shop`` behind the folder."""
    with contextlib.ExitStack() as stack:

        def start(camera: CameraPlace = CameraPlace.SERVER, tokens: Path | None = None) -> Shop:
            made = Shop(tmp_path, camera, tokens)
            server = stack.enter_context(running(made.app, made.live.refuse))
            stack.callback(made.close)
            made.url = f"http://127.0.0.1:{server.port}"
            return made

        yield start


@pytest.fixture
def opened_products(tab):
    def open_page(shop: Shop, **size: int):
        page = tab(**size)
        page.open(f"{shop.url}/products")
        page.wait(READY)
        return page

    return open_page


def teach(shop: Shop, page: Any, *colours: tuple[int, int, int]) -> None:
    """Until two views of them were taken."""
    page.click("[data-key=begin]")
    page.wait_text("#teach", "Take everything away")
    page.click("[data-key=empty]")
    page.wait_text("#teach-word", "Place the product")
    shop.show(*colours)
    page.wait("document.querySelectorAll('.view img').length >= 2")


def write(page: Any, field: str, text: str) -> None:
    page.run(f"document.querySelector('#{field}').focus()")
    page.run(f"document.querySelector('#{field}').select()")
    page.type(text)


def test_a_new_product_is_taught_saved_and_undone(shop, opened_products):
    service = shop()
    page = opened_products(service)
    page.wait_text("#found", "No product is known yet")
    teach(service, page, RED, GREEN)
    assert page.run("document.querySelector('.view img').naturalWidth") > 50
    write(page, "teach-name", "Rubik's <b>cube</b>")
    write(page, "teach-price", "9,99")
    page.wait(
        "document.querySelector('#teach-name').value === \"Rubik's <b>cube</b>\""
    )  # views that come leave it alone
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: Rubik's <b>cube</b>, ")
    page.wait(f'{NAMES} === "Rubik\'s <b>cube</b>"')
    ((name, (examples, fields)),) = service.products.items()
    assert (name, fields) == ("Rubik's <b>cube</b>", {"price": 9.99, "currency": "EUR"})
    assert examples >= 2
    assert f"{examples} views" in page.run("document.querySelector('#shelf .note').textContent")
    assert "€9.99" in page.run("document.querySelector('#shelf .note').textContent")
    page.click("[data-key=undo]")
    page.wait_text("#found", "No product is known yet")
    assert service.products == {}


@pytest.mark.slow
def test_a_view_that_is_removed_is_not_saved(shop, opened_products):
    service = shop()
    page = opened_products(service)
    teach(service, page, RED, GREEN)
    service.show()
    page.wait_text("#teach-word", "Nothing lies there")
    before = page.run("document.querySelectorAll('.view').length")
    page.click("[data-key^=drop-]")
    page.wait(f"document.querySelectorAll('.view').length === {before - 1}")
    write(page, "teach-name", "apple")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: apple")
    assert service.products["apple"][0] == before - 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "price", "words"), [("", "", "give it a name"), ("apple", "cheap", "price like"), ("apple", "1.299", "price like"), ("apple", "1,500", "price like")]
)  # fmt: skip
def test_what_is_typed_wrong_is_told_and_nothing_is_lost(shop, opened_products, name, price, words):
    service = shop()
    page = opened_products(service)
    teach(service, page, RED, GREEN)
    write(page, "teach-name", name)
    write(page, "teach-price", price)
    page.click("[data-key=save]")
    page.wait_text("#teach .trouble", words)
    assert page.run("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert service.products == {}
    write(page, "teach-name", "apple")
    write(page, "teach-price", "1.29")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: apple")


@pytest.mark.slow
def test_more_views_of_a_product_and_their_undo(shop, opened_products):
    service = shop()
    service.add(7, "pear", price=1.0)
    page = opened_products(service)
    page.click(".shelf-product")
    page.click("[data-key=views]")
    page.wait_text("#teach-title", "More views of pear")
    page.wait_text("#teach", "Take everything away")
    page.click("[data-key=empty]")
    page.wait_text("#teach-word", "Place the product")
    service.show(BLUE, RED)
    page.wait("document.querySelectorAll('.view img').length >= 2")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: pear")
    views = service.products["pear"][0]
    assert views >= 2
    page.wait_text("#shelf .note", f"{views} views")
    page.click("[data-key=undo]")
    page.wait_text("#shelf .note", "0 views")
    assert service.products == {"pear": (0, {"price": 1.0})}


@pytest.mark.slow
def test_products_are_found_by_words_and_by_the_cameras_picture(shop, opened_products):
    service = shop()
    service.add(1, "Granny Smith", description="a sour apple")
    service.add(2, "Conference", description="a pear")
    page = opened_products(service)
    page.wait(f"{NAMES} === 'Conference,Granny Smith'")
    write(page, "words", "sour")
    page.wait(f"{NAMES} === 'Granny Smith'")  # by a field
    write(page, "words", "erenc")
    page.wait(f"{NAMES} === 'Conference'")  # by a part of its name
    write(page, "words", "nothing like that")
    page.wait_text("#found", "0 products found")
    page.run("document.querySelector('#words').value = ''")
    teach(service, page, RED, GREEN)
    write(page, "teach-name", "cube")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: cube")
    page.click("#by-picture")
    page.wait(f"{NAMES} === 'cube'")


@pytest.mark.slow
def test_a_product_is_changed_and_forgotten(shop, opened_products):
    service = shop()
    service.add(8, "paer", price=1.0, kind="fruit")
    page = opened_products(service)
    page.click(".shelf-product")
    write(page, "product-name", "pear")
    write(page, "product-price", "2.50")
    page.click("[data-key=change]")
    page.wait(f"{NAMES} === 'pear'")
    assert service.products == {"pear": (0, {"kind": "fruit", "price": 2.5, "currency": "EUR"})}
    page.click(".shelf-product")
    page.click("[data-key=forget]")
    page.wait_text("#dialog", "Forget pear?")
    assert "pear" in service.products  # until it is said twice
    page.click("[data-key=forget-yes]")
    page.wait_text("#found", "No product is known yet")
    assert service.products == {}


def test_what_changes_needs_a_token_of_staff_which_is_not_kept(shop, tab, tmp_path):
    tokens = tmp_path / "tokens.json"
    till, staff = add_token(tokens, "till", [Scope.INFER, Scope.READ]), add_token(tokens, "staff", [Scope.ADMIN])
    service = shop(tokens=tokens)
    service.add(7, "pear")
    page = tab()
    page.open(f"{service.url}/products#token={till}")
    page.wait(READY)
    page.wait(f"{NAMES} === 'pear'")  # the till's token may look
    page.click("[data-key=begin]")
    page.wait_text("#notice", "token of staff")
    page.run("document.querySelector('#token').focus()")
    page.type(staff)
    page.press("Enter")
    page.wait("document.querySelector('#notice').hidden")
    teach(service, page, RED, GREEN)
    kept = page.run("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert till in kept
    assert staff not in kept
    page.reload()
    page.wait(READY)
    page.click("[data-key=begin]")
    page.wait_text("#notice", "token of staff")


def from_the_till(service: Shop, page: Any, picture: ImageArray) -> None:
    """Staff comes from a till that does not know what its camera shows."""
    page.open(f"{service.url}/?station=till")
    page.wait(READY)
    page.wait_text("#result", "Place a product here")
    page.wait("!document.querySelector('#picture').hidden")
    service.live.publish(Unknown("till", 2.0, 4, picture, 0.9))
    page.wait_text("#result", "We do not know this product")
    page.click("[data-key=teach]")
    page.wait_text("#teach", "turn it slowly")
    page.wait(READY)


def test_what_the_till_does_not_know_is_taught_with_its_picture(shop, opened_products):
    service = shop()
    page = opened_products(service)
    from_the_till(service, page, scene(RED).planes[0])
    assert page.run("location.search") == "?station=till"
    teach(service, page, RED, GREEN)
    assert page.run("document.querySelector('.view img').src.startsWith('data:image/jpeg')")
    page.wait_text(".view", "The till’s picture")
    write(page, "teach-name", "apple")
    service.show()
    page.wait_text("#teach-word", "Nothing lies there")
    views = page.run("document.querySelectorAll('.view').length")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: apple")
    gallery = service.gallery.now.gallery
    assert [one.note for one in gallery.examples].count("at the till") == 1
    assert len(gallery.examples) == views
    page.click(".way")
    page.wait_text("#result", "We do not know this product")  # the question waits for its answer
    assert page.run("location.search") == "?station=till"


def test_what_was_taught_counts_once(shop, opened_products):
    """It is put down again, and known: the question about it is answered with that."""
    service = shop()
    page = opened_products(service)
    from_the_till(service, page, scene(RED).planes[0])
    teach(service, page, RED, GREEN)
    write(page, "teach-name", "apple")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: apple")
    page.click(".way")
    page.wait_text("#result", "We do not know this product")
    page.wait("!document.querySelector('#picture').hidden")
    (apple,) = service.gallery.now.gallery.products
    service.live.publish(Placed("till", 3.0, 5))
    service.live.publish(Recognised("till", 3.2, 5, scene(RED).planes[0], 0.2, Prediction(apple.id, "apple", 0.99), ()))
    page.wait_text("#result .known", "apple")
    page.wait("document.querySelector('.line .quantity [aria-hidden]')?.textContent === '1'")
    assert page.run("document.querySelector('[data-key=answer]')") is None  # nothing is left to answer
    assert page.run("sessionStorage.getItem('edgevision.taught')") is None


@pytest.mark.slow
@pytest.mark.parametrize("way", ["removed", "refused", "idle"])
def test_the_tills_picture_is_not_learnt_unseen(shop, opened_products, way):
    """Staff removes it, it shows nothing that is sharp, or nobody was there for minutes."""
    service = shop()
    page = opened_products(service)
    page.before(
        "const real = window.setTimeout; window.setTimeout = (f, ms, ...more) =>"
        " ms === 300000 ? (window.leave = f, real(() => {}, ms)) : real(f, ms, ...more)"
    )
    from_the_till(service, page, scene(RED).planes[0] // (255 if way == "refused" else 1))
    if way == "idle":
        page.run("window.leave()")
    teach(service, page, RED, GREEN)
    assert page.run("document.querySelectorAll('[data-key=drop-till]').length") == int(way != "idle")
    if way == "removed":
        page.click("[data-key=drop-till]")
        page.wait("document.querySelector('[data-key=drop-till]') === null")
    write(page, "teach-name", "apple")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: apple")
    if way == "refused":
        page.wait_text("#teach [role=alert]", "The till’s picture was not learnt: the photo is blurred")
    gallery = service.gallery.now.gallery
    assert "at the till" not in [one.note for one in gallery.examples]


@pytest.mark.slow
def test_a_till_without_a_gallery_offers_no_teaching(kiosk, opened):
    service = kiosk()
    page = opened(service)
    service.place()
    service.unknown()
    page.wait_text("#result", "We do not know this product")
    assert page.run("document.querySelector('[data-key=teach]')") is None


@pytest.mark.slow
def test_the_browsers_own_camera(shop, tab):
    service = shop(CameraPlace.PAGE)
    page = tab()
    page.allow(service.url, "camera", "granted")
    page.open(f"{service.url}/products")
    page.wait(READY)
    page.wait("document.querySelector('#camera').dataset.state === 'open'")
    page.click("[data-key=begin]")
    page.click("[data-key=hand]")
    page.wait("document.querySelectorAll('.view img').length >= 1")
    write(page, "teach-name", "from the film")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: from the film")
    assert service.products["from the film"][0] >= 1


@pytest.mark.slow
def test_a_service_without_a_gallery_says_so(kiosk, tab):
    page = tab()
    page.open(kiosk().url + "/products")
    page.wait_text("#found", "has no gallery")


# ---- for everybody ----


def views(service: Shop, page: Any) -> Iterator[str]:
    """The page in each of its states, by name."""
    yield "list"
    page.click("[data-key=begin]")
    page.wait_text("#teach", "Take everything away")
    yield "clear"
    page.click("[data-key=empty]")
    page.wait_text("#teach-word", "Place the product")
    service.show(RED, GREEN, BLUE)
    page.wait("document.querySelectorAll('.view img').length >= 3")
    service.show()
    page.wait_text("#teach-word", "Nothing lies there")
    yield "turn"
    page.click("[data-key=save]")
    page.wait_text("#teach .trouble", "name")
    yield "wrong"
    write(page, "teach-name", "cube")
    page.click("[data-key=save]")
    page.wait_text("#teach", "Saved: cube")
    yield "saved"
    page.click("[data-key=product-1]")
    page.wait("document.querySelector('#dialog').open")
    yield "product"
    page.click("[data-key=forget]")
    yield "forget"
    page.press("Escape")
    page.wait("!document.querySelector('#dialog').open")


def filled(shop: Callable[..., Shop]) -> Shop:
    service = shop()
    for id, name in (
        (1, "Moovalle Whole Milk"),
        (2, "Café Grün <b>Bio</b>"),
        (3, "Berrynook Strawberry Yoghurt of the Mountains"),
    ):
        service.add(id, name, price=1.29 * id)
    return service


@pytest.mark.slow
@pytest.mark.parametrize("contrast", ["normal", "high"])
def test_axe_finds_nothing(shop, opened_products, contrast):
    service = filled(shop)
    page = opened_products(service)
    if contrast == "high":
        page.click("[data-key=tool-contrast]")
        page.wait("document.documentElement.dataset.contrast === 'high'")
    assert {name: found for name in views(service, page) if (found := found_by_axe(page))} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("text", [100, 200])
def test_all_is_there_on_every_screen_at_every_size(shop, opened_products, width, height, text):
    service = filled(shop)
    page = opened_products(service, width=width, height=height)
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


@pytest.mark.slow
def test_a_product_is_taught_by_keyboard_alone(shop, opened_products):
    service = shop()
    page = opened_products(service)
    tab_to(page, "e.dataset.key === 'begin'")
    page.press("Enter")
    page.wait_text("#teach", "Take everything away")
    tab_to(page, "e.dataset.key === 'empty'")
    page.press("Enter")
    page.wait_text("#teach-word", "Place the product")
    service.show(RED, GREEN)
    page.wait("document.querySelectorAll('.view img').length >= 2")
    service.show()
    page.wait_text("#teach-word", "Nothing lies there")
    tab_to(page, "e.id === 'teach-name'")
    page.type("cube")
    page.press("Enter")
    page.wait_text("#teach", "Saved: cube")
    tab_to(page, "e.dataset.key === 'product-1'")
    page.press("Enter")
    page.wait("document.querySelector('#dialog').open")
    tab_to(page, "e.dataset.key === 'forget'")
    page.press("Enter")
    tab_to(page, "e.dataset.key === 'forget-yes'")
    page.press("Enter")
    page.wait_text("#found", "No product is known yet")
    page.wait("document.getElementById('polite').textContent === 'cube is forgotten.'")
