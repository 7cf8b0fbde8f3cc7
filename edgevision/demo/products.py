"""The products of the demo: 20 that the checkpoint knows, and any number that it has never seen. All are made up."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgevision.demo.barcode import shop_number
from edgevision.demo.lettering import PLAIN, Color, Typeface
from edgevision.demo.motifs import MOTIFS


class Shape(Enum):
    """How the package is built."""

    CARTON = "carton"  # gable-top, for drinks
    BOX = "box"  # folding box, tall
    CHEST = "chest"  # folding box, wide: tea
    CAN = "can"  # drinks
    TIN = "tin"  # food
    POUCH = "pouch"  # standing bag: coffee
    BAG = "bag"  # pillow bag: crisps
    BOTTLE = "bottle"
    JAR = "jar"


class Style(Enum):
    """How the label is laid out."""

    MEADOW = "meadow"
    BURST = "burst"
    SWOOSH = "swoosh"
    WINDOW = "window"
    FRAME = "frame"
    BLOCK = "block"
    STRIPES = "stripes"
    WAVES = "waves"
    BADGE = "badge"
    HALVES = "halves"


@dataclass(frozen=True)
class Product:
    """One design. Colours are BGR; ``base`` is the ground of the label, ``accent`` tells flavours apart."""

    id: str
    brand: str
    flavour: str
    shape: Shape
    style: Style
    base: Color
    accent: Color
    motif: str
    motif_color: Color
    net: str
    number: str  # EAN-13
    face: Typeface = PLAIN

    @property
    def name(self) -> str:
        """Brand and flavour, as a shop's list has it."""
        return f"{self.brand} {self.flavour}"


def _color(rgb: str) -> Color:
    red, green, blue = bytes.fromhex(rgb)
    return blue, green, red


_BOLD = Typeface(0.2, 0.66, 0.0, 0.11)
_FAST = Typeface(0.2, 0.66, 0.22, 0.1)
_FINE = Typeface(0.1, 0.66, 0.0, 0.22)
_WIDE = Typeface(0.17, 0.84, 0.0, 0.14)
_TALL = Typeface(0.17, 0.5, 0.0, 0.11)

# brand, shape, style, base, typeface, net; then its flavours: name, accent, motif, colour of the motif
_RANGES: tuple[tuple[str, Shape, Style, str, Typeface, str, tuple[tuple[str, str, str, str], ...]], ...] = (
    ("Moovalle", Shape.CARTON, Style.MEADOW, "f7f8f4", _BOLD, "1 L", (
        ("Whole Milk", "1f5fb4", "drop", "2f7fd6"),
        ("Light Milk", "46a7c9", "drop", "63c1de"),
        ("Oat Drink", "c79a4b", "grain", "d9a441"),
    )),
    ("Solaru", Shape.CARTON, Style.BURST, "ffd257", _FAST, "1 L", (
        ("Orange", "e8641b", "citrus", "f28a1c"),
        ("Apple", "4f9a34", "apple", "cf3427"),
        ("Cherry", "a3173b", "cherries", "c21d3f"),
    )),
    ("Fizzwick", Shape.CAN, Style.SWOOSH, "23252b", _FAST, "0.33 L", (
        ("Cola", "c8322b", "bolt", "f2c84b"),
        ("Lemon", "e6c522", "lemon", "f4dc3c"),
        ("Grape", "7a3fa0", "grapes", "8e55b8"),
    )),
    ("Oatlane", Shape.BOX, Style.WINDOW, "e7a32c", _BOLD, "375 G", (
        ("Honey Rings", "8a3f14", "rings", "d9962e"),
        ("Cocoa Rings", "4a2a1c", "rings", "6b3d25"),
    )),
    ("Tevandra", Shape.CHEST, Style.FRAME, "f3ead2", _FINE, "20 BAGS", (
        ("Green Tea", "5e8f3a", "leaves", "6fa544"),
        ("Black Tea", "8b2f24", "cup", "a8402f"),
    )),
    ("Groundell", Shape.POUCH, Style.BLOCK, "2b2422", _WIDE, "250 G", (
        ("Dark Roast", "b5442c", "beans", "8a5534"),
        ("Mild Roast", "d3a03f", "beans", "b07a45"),
    )),
    ("Crunkle", Shape.BAG, Style.STRIPES, "f6f1e4", _FAST, "150 G", (
        ("Sea Salt", "2b74b8", "crisps", "f0c552"),
        ("Paprika", "c4392a", "crisps", "ef9f3c"),
    )),
    ("Brivenne", Shape.BOTTLE, Style.WAVES, "e4f1f8", _WIDE, "0.5 L", (
        ("Still", "3b9ccc", "peak", "5c8fb5"),
        ("Sparkling", "1e4f86", "bubbles", "3f86c4"),
    )),
    ("Berrynook", Shape.JAR, Style.BADGE, "fbf3e6", _TALL, "340 G", (
        ("Strawberry", "b8242f", "strawberry", "d2303a"),
    )),
)  # fmt: skip


def _listed() -> tuple[Product, ...]:
    products = []
    for row, (brand, shape, style, base, face, net, flavours) in enumerate(_RANGES):
        for k, (flavour, accent, motif, motif_color) in enumerate(flavours):
            products.append(
                Product(
                    f"{brand}-{flavour}".lower().replace(" ", "-"), brand, flavour, shape, style, _color(base),
                    _color(accent), motif, _color(motif_color), net, shop_number(20, 4_100 + 100 * row + k), face,
                )
            )  # fmt: skip
    return tuple(products)


LISTED: tuple[Product, ...] = _listed()
"""What the checkpoint knows; a product's place here is its class."""

_SYLLABLES = ("Qua", "Zor", "Vim", "Lun", "Tab", "Ner", "Pil", "Hux", "Dov", "Mir", "Kel", "Ash")
_ENDINGS = ("etto", "wyn", "ora", "ibble", "ano", "ique", "omo", "asta", "under", "illo")
_FLAVOURS = {
    Shape.CARTON: ("Pear", "Rice Drink", "Tomato", "Kefir"), Shape.BOX: ("Muesli", "Pasta", "Bran", "Wafers"),
    Shape.CHEST: ("Mint Tea", "Cubes", "Biscuits", "Chai"), Shape.CAN: ("Tonic", "Mango", "Ginger", "Energy"),
    Shape.TIN: ("Tuna", "Lentils", "Peaches", "Soup"), Shape.POUCH: ("Sugar", "Lentils", "Cocoa", "Nuts"),
    Shape.BAG: ("Corn", "Pretzels", "Onion", "Popcorn"), Shape.BOTTLE: ("Iced Tea", "Syrup", "Vinegar", "Oil"),
    Shape.JAR: ("Honey", "Pickles", "Pesto", "Olives"),
}  # fmt: skip


def unlisted(index: int) -> Product:
    """Design number ``index`` (0 or more) of a shop's other goods: same packages and styles, other brands and colours.

    The same index always gives the same design, and none of them is a listed product.
    """
    rng = np.random.default_rng((0x5EED, index))

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    shape = tuple(Shape)[int(rng.integers(len(Shape)))]
    style = tuple(Style)[int(rng.integers(len(Style)))]
    brand, flavour = pick(_SYLLABLES) + pick(_ENDINGS), pick(_FLAVOURS[shape])
    hue, light = rng.uniform(), rng.uniform() < 0.4
    base = _hsv(hue, rng.uniform(0.02, 0.25), rng.uniform(0.85, 0.98)) if light else _hsv(
        hue, rng.uniform(0.4, 0.9), rng.uniform(0.25, 0.95))  # fmt: skip
    accent = _hsv((hue + rng.uniform(0.2, 0.8)) % 1, rng.uniform(0.5, 0.95), rng.uniform(0.3, 0.9))
    face = (_BOLD, _FAST, _FINE, _WIDE, _TALL)[int(rng.integers(5))]
    motif_color = _hsv(rng.uniform(), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.95))
    return Product(
        f"unlisted-{index}", brand, flavour, shape, style, base, accent, pick(tuple(MOTIFS)), motif_color,
        pick(("200 G", "500 G", "1 L", "0.7 L", "80 G")), shop_number(24, index), face,
    )  # fmt: skip


def _hsv(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return blue, green, red
