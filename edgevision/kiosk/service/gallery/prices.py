"""What products of a gallery cost, by their fields ``price`` and ``currency``."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from edgevision.errors import InputError
from edgevision.kiosk.service.money import amount, currency
from edgevision.kiosk.service.price_list import PriceList
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from edgevision.gallery.products import FieldValue, GalleryProduct


def with_gallery_prices(listed: PriceList, products: Iterable[GalleryProduct], usual: str | None = None) -> PriceList:
    """The price list, with the gallery's price of each product that it lacks. A shop has one currency: the list's, else ``usual``, else that
    of the first product that names one; prices in others are left out.

    >>> pear = GalleryProduct(7, "pear", {"price": 1.29, "currency": "EUR"})  # doctest: +SKIP
    >>> with_gallery_prices(PriceList(), [pear]).by_id[7]  # doctest: +SKIP
    Decimal('1.29')
    """
    known = tuple(products)
    code = listed.currency or usual or _first_currency(known)
    if code is None:
        return listed
    found: dict[int, Decimal] = {}
    for one in known:
        price = _price(one, code)
        if price is not None and listed.price_of(Label(one.id, one.name)) is None:
            found[one.id] = price
    return PriceList({**found, **listed.by_id}, listed.by_name, code)


def _first_currency(products: Iterable[GalleryProduct]) -> str | None:
    return next((code for one in products if (code := _currency(one.fields.get("currency"))) is not None), None)


def _price(product: GalleryProduct, code: str) -> Decimal | None:
    """None for what is no price in that currency: a field may hold anything."""
    value, own = product.fields.get("price"), product.fields.get("currency")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if own is not None and own != code:
        return None
    try:
        return amount(str(value), code)
    except InputError:
        return None


def _currency(value: FieldValue) -> str | None:
    try:
        return currency(value) if isinstance(value, str) else None
    except InputError:
        return None
