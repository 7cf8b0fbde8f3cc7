"""The shop's catalogue as of now: its price list is read again when the file changes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgevision.files import file_state
from edgevision.kiosk.service.gallery.prices import with_gallery_prices
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.price_list import PriceChange, PriceList, read_price_list
from edgevision.kiosk.service.products import Catalogue
from edgevision.reread import Reread

HONOURED_S = 3600.0  # a shopper pays what the screen said when the product was placed


class ShopCatalogue:
    """``now()``: the catalogue. ``prices``: a CSV file, or None; ``pictures``: a folder, listed once, or None. ``shop``: a gallery whose
    products' prices count where the list has none; ``currency``: of those that name none.

    ``trouble``: told why a changed list cannot be used; the old one stays. ``changed``: called after a new list was taken.
    Raises InputError.
    """

    def __init__(
        self, prices: Path | None, pictures: Path | None, *, trouble: Callable[[str], None], changed: Callable[[], None],
        shop: ShopGallery | None = None, currency: str | None = None, now_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._shop = shop
        self._currency = currency
        self._tell = changed
        self._now_s = now_s
        self._lock = threading.Lock()  # the thread that looks at files and the gallery's bring changes
        self._changes: deque[tuple[float, PriceChange]] = deque()  # until when each counts; the newest first
        self._list: Reread[PriceList] | None = None
        if prices is not None:
            self._list = Reread(
                partial(read_price_list, prices), partial(file_state, prices), trouble=trouble, changed=self._take
            )
        self._catalogue = replace(Catalogue.read(None, pictures), prices=self._prices())
        if shop is not None:
            shop.when_changed(self._renew)

    def now(self) -> Catalogue:
        """As of now. From any thread, and at once."""
        return self._catalogue

    def look(self) -> None:
        """Look whether the price list changed: in a thread that may wait for the disk."""
        if self._list is not None:
            self._list.look()
        with self._lock:
            if self._changes and self._changes[-1][0] < self._now_s():
                self._set(self._catalogue.prices)

    def _take(self, old: PriceList, new: PriceList) -> None:
        self._renew()
        self._tell()

    def _renew(self) -> None:
        with self._lock:
            old, new = self._catalogue.prices, self._prices()
            if new == old:  # most changes of a gallery are none of prices
                return
            self._changes.appendleft((self._now_s() + HONOURED_S, PriceChange.between(old, new)))
            self._set(new)

    def _set(self, prices: PriceList) -> None:
        """Called with the lock: these are the prices, and what was before is honoured for its time."""
        while self._changes and self._changes[-1][0] < self._now_s():
            self._changes.pop()
        self._catalogue = replace(self._catalogue, prices=prices, earlier=tuple(change for _, change in self._changes))

    def _prices(self) -> PriceList:
        listed = PriceList() if self._list is None else self._list.kept
        return (
            listed
            if self._shop is None
            else with_gallery_prices(listed, self._shop.now.gallery.products, self._currency)
        )
