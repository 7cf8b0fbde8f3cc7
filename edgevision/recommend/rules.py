"""What must never be recommended, whatever anybody likes. A rule says of a product whether it may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from edgevision.errors import InputError
from edgevision.gallery.products import GalleryProduct

Rule = Callable[[GalleryProduct], bool]


def in_stock(product: GalleryProduct) -> bool:
    """Not what the gallery's fields say is sold out: ``stock`` of 0 or less, or ``in_stock`` false. What says nothing may be.

    >>> in_stock(GalleryProduct(1, "Gala", {"stock": 0})), in_stock(GalleryProduct(1, "Gala"))
    (False, True)
    """
    stock = product.fields.get("stock")
    sold_out = isinstance(stock, (int, float)) and stock <= 0
    return not sold_out and product.fields.get("in_stock") is not False


def none_of(ids: Collection[int]) -> Rule:
    """Not these, such as what the shopper has said no to."""
    refused = frozenset(ids)
    return lambda product: product.id not in refused


def at_most(price: float) -> Rule:
    """Nothing that costs more, or whose price is not known. Raises InputError for a price that is no finite number."""
    if not math.isfinite(price):
        raise InputError(f"a highest price is a finite number, got {price}")

    def cheap_enough(product: GalleryProduct) -> bool:
        known = product.fields.get("price")
        return isinstance(known, (int, float)) and not isinstance(known, bool) and known <= price

    return cheap_enough
