"""The live part of a service with everything switched on, and fakes of its model and camera."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from live_service import MODEL, FakeMachine, jpeg_of
from shop_galleries import served_gallery

from edgevision.frames import Frame
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.live.live import Live, LiveModels
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.logs import LogLines
from edgevision.kiosk.service.status import CameraReport


class FakeStation:
    """A Station with a camera that shows grey. ``did``: what was asked of it."""

    def __init__(self, name: str = "till") -> None:
        self.name = name
        self.state = "empty"
        self.blocked: str | None = None
        self.newest: Frame | None = Frame.from_array(np.full((48, 64, 3), 100, np.uint8))
        self.did: list[str] = []
        self.words = ""

    def report(self) -> CameraReport:
        return CameraReport(self.name, "live", 12.34, self.words, 14.96, 33.33, self.state)

    def start(self) -> None:
        self.did.append("start")

    def refuse(self) -> None:
        self.did.append("refuse")

    def close(self, timeout_s: float) -> None:
        self.did.append("close")


def live_with(
    folder: Path, *, models: Sequence[ServedDescription] = (MODEL,), receipts: str | None = "http://127.0.0.1:9/receipts", keep: bool = False,
    log: LogLines | None = None, station: FakeStation | None = None, gallery: bool = False,
) -> Live:  # fmt: skip
    """Everything on, in ``folder``; one Station, called till. ``gallery``: whether products come from one, ``shop.evg``."""
    prices, pictures = folder / "prices.csv", folder / "pictures"
    prices.write_text("id;price;currency\n7;1,29;EUR\n", "utf-8")
    pictures.mkdir(exist_ok=True)
    (pictures / "7.jpg").write_bytes(jpeg_of(7))
    settings = LiveSettings(
        prices=prices,
        product_pictures=pictures,
        feedback=folder / "feedback",
        receipts=receipts,
        keep=folder / "kept" if keep else None,
    )
    served = served_gallery(folder / "shop.evg") if gallery else None
    live = Live(settings, LiveModels(lambda: models, FakeMachine, gallery=served), log=log)
    live.add(FakeStation() if station is None else station)
    return live
