from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, Tab
from fake_kiosk import FakeKiosk

from edgevision.kiosk.page.settings import CameraPlace


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's fake camera shows: rendered products, as motion JPEG."""
    import cv2
    import numpy as np

    from edgevision.demo.scene import SceneKind, render, sample_scene

    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("film") / "products.mjpeg"
    frames = [cv2.resize(render(sample_scene(rng, SceneKind.LISTED)), (640, 480)) for _ in range(4)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames for _ in range(5)))
    return path


@pytest.fixture(scope="session")
def browser(film: Path) -> Iterator[Chromium]:
    started = Chromium(film)
    yield started
    started.close()


@pytest.fixture
def kiosk() -> Iterator[Callable[..., FakeKiosk]]:
    """Starts a service; its arguments are those of ``FakeKiosk``."""
    made: list[FakeKiosk] = []

    def start(camera: CameraPlace = CameraPlace.SERVER, **arguments: Any) -> FakeKiosk:
        made.append(FakeKiosk(camera, **arguments))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Callable[..., Tab]]:
    """Opens a tab: in a profile of its own, or in that of another tab. At the end, no page may have had an error of its own."""
    made: list[Tab] = []

    def open_tab(beside: Tab | None = None, **size: int) -> Tab:
        made.append(browser.tab(browser.profile() if beside is None else beside.profile, **size))
        return made[-1]

    yield open_tab
    for one in made:
        one.close()
    # What a test lets fail on purpose, the network, the browser logs as an error of its own.
    ours = [error for one in made for error in one.errors if "net::ERR" not in error and "Failed to load resource" not in error
            and "WebSocket connection" not in error]  # fmt: skip
    assert not ours


READY = "document.documentElement.dataset.ready !== undefined"


@pytest.fixture
def opened(tab: Callable[..., Tab]) -> Callable[..., Tab]:
    """Opens the page of a service with the server's camera, and waits until it hears events."""

    def open_page(service: FakeKiosk, beside: Tab | None = None, path: str = "/", **size: int) -> Tab:
        one = tab(beside, **size)
        one.open(service.url + path)
        one.wait(READY)
        one.wait_text("#result", "Place a product here")
        if service.settings.camera is CameraPlace.SERVER:
            one.wait("performance.getEntriesByType('resource').some(e => e.name.endsWith('/v1/products'))")
            one.wait("document.querySelector('#notice').hidden")
            one.wait("!document.querySelector('#picture').hidden")
        return one

    return open_page
