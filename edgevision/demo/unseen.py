"""200 products that the demo's checkpoint has never seen: a shop's new goods, to be learnt from a few photos.

They are drawn as the others are, and are neither of the catalogue nor of the designs that the checkpoint was trained to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from edgevision.demo.barcode import shop_number
from edgevision.demo.lettering import Color, Typeface
from edgevision.demo.products import Product, Style
from edgevision.demo.scene import FRAME_PX, SceneKind, render, sample_scene
from edgevision.demo.unseen_ranges import COLORS, RANGES, Flavour, Range
from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.gallery.products import FieldValue, GalleryProduct

COUNT = 200
FIRST_ID = 1000  # well above the classes of the checkpoint
ENROLLED = 5
"""Views 0 to 4 of each product are for its enrolment; those from here on are for searching."""
_SEED = 0x0E11
_PREFIX = 25  # of their barcodes: others have 20 and 24
_FACES = (
    Typeface(0.2, 0.66, 0.0, 0.11), Typeface(0.2, 0.66, 0.22, 0.1), Typeface(0.1, 0.66, 0.0, 0.22),
    Typeface(0.17, 0.84, 0.0, 0.14), Typeface(0.17, 0.5, 0.0, 0.11),
)  # fmt: skip
_GROUNDS = ("white", "cream", "yellow", "black", "blue", "green", "red", "teal", "purple", "pink", "brown", "orange")
_PACKAGING = {
    "carton": "carton", "box": "box", "chest": "flat box", "can": "can", "tin": "tin", "pouch": "standing bag", "bag": "bag",
    "bottle": "bottle", "jar": "jar",
}  # fmt: skip


@dataclass(frozen=True)
class UnseenProduct:
    """A product with what a shop knows of it.

    ``id``: the shop's number. ``design``: how it is drawn. ``price``: in euros. ``base_color``, ``accent_color`` and ``motif_color``: the
    names of its inks in ``unseen_ranges.COLORS``; of the label's ground, of what tells it from its brand's others, of its picture.
    """

    id: int
    design: Product
    kind: str
    price: float
    description: str
    base_color: str
    accent_color: str
    motif_color: str

    @property
    def name(self) -> str:
        """Brand and flavour."""
        return self.design.name

    def to_gallery(self) -> GalleryProduct:
        """As a gallery lists it.

        >>> unseen_products()[0].to_gallery().fields["kind"]
        'juice'
        """
        fields: dict[str, FieldValue] = {
            "price": self.price, "kind": self.kind, "brand": self.design.brand, "packaging": _PACKAGING[self.design.shape.value],
            "color": self.base_color, "accent": self.accent_color, "description": self.description, "gtin": self.design.number,
        }  # fmt: skip
        return GalleryProduct(self.id, self.name, fields)


@cache
def unseen_products() -> tuple[UnseenProduct, ...]:
    """All 200, always the same. Four of each brand differ in little but an accent, a picture and a word.

    >>> len(unseen_products())
    200
    """
    rng = np.random.default_rng(_SEED)
    made: list[UnseenProduct] = []
    taken: set[tuple[Style, str]] = set()
    for goods in RANGES:
        flavours = goods.listed()
        for which, brand in enumerate(goods.brands):
            own = flavours[4 * which : 4 * which + 4]
            style, ground = _free_look(rng, taken, {one.accent for one in own})
            look = _Look(brand, style, ground, _FACES[int(rng.integers(len(_FACES)))])
            dearness = float(rng.uniform(0.8, 1.35))
            for flavour in own:
                price = goods.price * dearness * float(rng.uniform(0.95, 1.05))
                made.append(_made(len(made), goods, look, flavour, price))
    return tuple(made)


def unseen_photo(product: UnseenProduct, view: int, *, side_px: int = FRAME_PX) -> ImageArray:
    """Photo number ``view`` (0 or more) of a product, S×S×3 BGR uint8: turned, lit, placed and blurred by chance, as the demo's camera
    sees products. The same numbers always give the same photo. Raises InputError.

    >>> unseen_photo(unseen_products()[7], 0, side_px=64).shape
    (64, 64, 3)
    """
    if view < 0:
        raise InputError(f"views are numbered from 0, got {view}")
    rng = np.random.default_rng((_SEED, product.id, view))
    return render(sample_scene(rng, SceneKind.UNLISTED, product=product.design, side_px=side_px))


def unseen_photos(product: UnseenProduct, views: Sequence[int], *, side_px: int = FRAME_PX) -> list[ImageArray]:
    """Several photos of a product; see ``unseen_photo``."""
    return [unseen_photo(product, view, side_px=side_px) for view in views]


@dataclass(frozen=True)
class _Look:
    """What all products of a brand share."""

    brand: str
    style: Style
    ground: str
    face: Typeface


def _free_look(rng: np.random.Generator, taken: set[tuple[Style, str]], accents: set[str]) -> tuple[Style, str]:
    """A layout and a ground that no other brand has together, the ground none of the accents; it is taken then."""
    free = [
        (style, ground)
        for style in Style
        for ground in _GROUNDS
        if (style, ground) not in taken and ground not in accents
    ]
    chosen = free[int(rng.integers(len(free)))]
    taken.add(chosen)
    return chosen


def _made(place: int, goods: Range, look: _Look, flavour: Flavour, price: float) -> UnseenProduct:
    design = Product(
        f"{look.brand}-{flavour.name}".lower().replace(" ", "-"), look.brand, flavour.name, goods.shape, look.style,
        _ink(look.ground), _ink(flavour.accent), flavour.motif, _ink(flavour.ink), goods.net,
        shop_number(_PREFIX, 7_000 + place), look.face,
    )  # fmt: skip
    packaging = _PACKAGING[goods.shape.value]
    description = (
        f"{flavour.name} {goods.phrase}, {goods.net.lower()}, in a {look.ground} {packaging} with {flavour.accent}."
    )
    cents = max(19, round(10 * price) * 10 - 1)  # prices end in 9
    return UnseenProduct(
        FIRST_ID + place, design, goods.kind, cents / 100, description, look.ground, flavour.accent, flavour.ink
    )


def _ink(name: str) -> Color:
    red, green, blue = bytes.fromhex(COLORS[name])
    return blue, green, red
