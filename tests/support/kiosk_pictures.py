"""Draws the pictures of docs/how-to/kiosk-page.md: ``PYTHONPATH=.:tests/support python tests/support/kiosk_pictures.py docs/pictures``.

The page is the real one, in a real browser; products, prices and the camera are the demo's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import fake_kiosk
from chromium import Chromium, Tab
from fake_kiosk import FakeKiosk

from edgevision.demo.kiosk import price_list, product_picture
from edgevision.demo.products import LISTED
from edgevision.demo.till_camera import FIRST_S, PERIOD_S, Visits
from edgevision.frames import ImageArray

SHOWN = 15  # the product that lies there
COLORS = 160  # of a picture in the docs: flat surfaces, so that it stays small


def picture(number: int) -> ImageArray:
    """Of the product with the id ``number``; id 0 is also what a picture of something unknown shows."""
    return product_picture(LISTED[number % len(LISTED)])


def opened(browser: Chromium, service: FakeKiosk, width: int, height: int) -> Tab:
    tab = browser.tab(browser.profile(), width=width, height=height)
    tab.open(service.url)
    tab.wait("document.documentElement.dataset.ready !== undefined && !document.querySelector('#picture').hidden")
    return tab


def shop(service: FakeKiosk, *ids: int) -> None:
    for id in ids:
        service.place()
        service.recognise(id)
        service.remove()


def draw(folder: Path, browser: Chromium, names: list[str]) -> None:
    rows = [line.split(",") for line in price_list().splitlines()[1:]]
    fake_kiosk.PRODUCTS = tuple((int(id), name, price) for id, name, price, _ in rows)
    fake_kiosk.NAMES.update({id: name for id, name, _ in fake_kiosk.PRODUCTS})
    visits = Visits(1)
    stands = [visits.visit_at(FIRST_S + number * PERIOD_S + 4.0) for number in range(200)]

    def scene(id: int) -> ImageArray:
        """The camera's picture with that product before it, its front to the camera."""
        number = next(one.number for one in stands if one and one.product == LISTED[id] and abs(one.pose.yaw) < 45)
        return visits.frame(FIRST_S + number * PERIOD_S + 4.0)

    def seen(id: int) -> ImageArray:
        return scene(id)[90:330, 80:320]

    still = scene(SHOWN)
    empty = visits.frame(0.0)

    def keep(tab: Tab, name: str) -> None:
        tab.run("document.querySelectorAll('*').forEach(e => e.scrollTo(0, 0))")
        tab.wait("[...document.images].every(e => e.complete)")
        tab.run("new Promise(done => setTimeout(done, 300))")
        path = folder / f"{name}.png"
        tab.picture(path)
        _shrink(path)
        tab.close()

    def state(name: str, width: int, height: int, act: Callable[[FakeKiosk, Tab], None]) -> None:
        if names and name not in names:
            return
        there = still if act in (recognised, large, chinese) else empty
        service = FakeKiosk(pictures=picture, scene=lambda: there, seen=seen)
        service.start()
        try:
            tab = opened(browser, service, width, height)
            shop(service, 3, 6, 6, 0)
            tab.wait("document.querySelectorAll('.line').length === 3")
            act(service, tab)
            keep(tab, name)
        finally:
            service.stop()

    def recognised(service: FakeKiosk, tab: Tab) -> None:
        service.place()
        service.recognise(SHOWN, 16)
        tab.wait_text("#result .known", "Crunkle")

    def unsure(service: FakeKiosk, tab: Tab) -> None:
        service.place()
        service.unsure(3, 4, 5)
        tab.wait_text("#result", "Which one")

    def unknown(service: FakeKiosk, tab: Tab) -> None:
        service.place()
        service.unknown()
        tab.wait_text("#result", "do not know")

    def large(service: FakeKiosk, tab: Tab) -> None:
        tab.click("[data-key=tool-contrast]")
        for _ in range(4):
            tab.click("[data-key=tool-larger]")
        tab.run("document.activeElement.blur()")
        recognised(service, tab)

    def search(service: FakeKiosk, tab: Tab) -> None:
        tab.click("[data-key=search]")
        tab.wait("document.querySelector('#dialog').open")

    def finish(service: FakeKiosk, tab: Tab) -> None:
        tab.click("[data-key=finish]")
        tab.wait("document.querySelector('#dialog').open")

    def help_(service: FakeKiosk, tab: Tab) -> None:
        tab.click("[data-key=tool-help]")
        tab.wait("document.querySelector('#dialog').open")

    def lost(service: FakeKiosk, tab: Tab) -> None:
        service.block("covered")
        tab.wait_text("#notice", "covered")

    def chinese(service: FakeKiosk, tab: Tab) -> None:
        tab.click("[data-key=tool-language]")
        tab.click("#dialog button", "中文")
        service.place()
        service.recognise(SHOWN)
        tab.wait("document.querySelector('#result .known')")

    def nothing(service: FakeKiosk, tab: Tab) -> None:
        tab.click("#undo")
        tab.run("document.activeElement.blur()")

    def operator(service: FakeKiosk, tab: Tab) -> None:
        tab.open(service.url + "/operator")
        tab.wait_text("#status", "Model")

    for name, size, act in (
        ("kiosk-till", (1024, 768), recognised), ("kiosk-unsure", (1080, 1920), unsure), ("kiosk-phone", (390, 844), recognised),
        ("kiosk-contrast", (1080, 1920), large), ("kiosk-operator", (1024, 768), operator),
        ("look-till-unsure", (1024, 768), unsure), ("look-till-unknown", (1024, 768), unknown), ("look-till-idle", (1024, 768), nothing),
        ("look-phone-unsure", (390, 844), unsure), ("look-tall", (1080, 1920), recognised), ("look-tall-idle", (1080, 1920), nothing), ("look-search", (1024, 768), search),
        ("look-finish", (1024, 768), finish), ("look-help", (1024, 768), help_), ("look-blocked", (1024, 768), lost),
        ("look-chinese", (1024, 768), chinese), ("look-till-large", (1024, 768), large), ("look-phone-large", (390, 844), large),
    ):  # fmt: skip
        if names or not name.startswith("look-"):
            state(name, *size, act)


def _shrink(path: Path) -> None:
    """Fewer colours, and PNG's best compression."""
    from PIL import Image

    image = Image.open(path).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    browser = Chromium()
    try:
        draw(folder, browser, sys.argv[2:])
    finally:
        browser.close()


if __name__ == "__main__":
    main()
