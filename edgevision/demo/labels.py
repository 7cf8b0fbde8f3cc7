"""What is printed on a package: flat panels, drawn once for each product."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgevision.demo.barcode import draw_barcode
from edgevision.demo.lettering import Color, Typeface, draw_text
from edgevision.demo.motifs import MOTIFS, WHITE, disc, mix, polygon, ring, stroke
from edgevision.demo.products import Product, Style
from edgevision.frames import ImageArray

INK: Color = (38, 30, 28)
_SMALL = Typeface(0.1, 0.55, 0.0, 0.16)
_INGREDIENTS = ("INGREDIENTS: WATER, FRUIT FROM", "CONCENTRATE 12 %, SUGAR, ACID:", "CITRIC ACID, NATURAL AROMA,",
                "VITAMIN C. KEEP COOL AND DRY.", "BEST BEFORE: SEE TOP. MADE FOR", "EDGEVISION GROCERS, LOT 24-117")  # fmt: skip


def blank(width: int, height: int, color: Color) -> ImageArray:
    """A panel of one colour."""
    return np.full((height, width, 3), color, np.uint8)


def ink_on(color: Color) -> Color:
    """Dark or white, whichever reads better on ``color`` (BT.601 luma)."""
    luma = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2]
    return INK if luma > 140 else WHITE


def front(product: Product, width: int, height: int, *, reach: float = 0.88) -> ImageArray:
    """The face that sells: brand, picture, flavour, net content. ``reach``: share of the width that text may take."""
    panel = blank(width, height, product.base)
    _LAYOUTS[product.style](panel, product, reach)
    return panel


def side(product: Product, width: int, height: int) -> ImageArray:
    """The face that informs: flavour, ingredients, nutrition table, barcode."""
    panel = blank(width, height, mix(product.base, product.accent, 0.12))
    ink = ink_on(mix(product.base, product.accent, 0.12))
    cv2.rectangle(panel, (0, 0), (width, round(0.14 * height)), product.accent, -1)
    draw_text(panel, product.brand, (width / 2, 0.05 * height), 0.045 * height, ink_on(product.accent), product.face,
              fit=0.8 * width)  # fmt: skip
    draw_text(panel, product.flavour, (width / 2, 0.105 * height), 0.028 * height, ink_on(product.accent), _SMALL,
              fit=0.8 * width)  # fmt: skip
    line = 0.032 * height
    for k, text in enumerate(_INGREDIENTS):
        draw_text(panel, text, (0.08 * width, 0.2 * height + k * line), 0.5 * line, ink, _SMALL, align="left",
                  fit=0.84 * width)  # fmt: skip
    top = round(0.43 * height)
    for k, share in enumerate((0.8, 0.55, 0.7, 0.5, 0.62)):
        y = round(top + k * 0.05 * height)
        cv2.line(panel, (round(0.08 * width), y), (round(0.92 * width), y), ink, 1, cv2.LINE_AA)
        cv2.line(panel, (round(0.1 * width), round(y + 0.025 * height)),
                 (round(0.1 * width + 0.5 * share * width), round(y + 0.025 * height)), ink, 2, cv2.LINE_AA)  # fmt: skip
        draw_text(panel, f"{3 * k + 2}.{7 - k} G", (0.72 * width, y + 0.025 * height), 0.02 * height, ink, _SMALL,
                  align="left", fit=0.2 * width)  # fmt: skip
    paste_barcode(panel, product.number, width / 2, 0.82 * height, 0.8 * width, 0.2 * height)
    return panel


def paste_barcode(panel: ImageArray, number: str, x: float, y: float, width: float, height: float) -> None:
    """Put the barcode with its digits around (x, y), within width × height pixels."""
    tile = draw_barcode(number, 2, 90)
    tile = np.concatenate([tile, blank(tile.shape[1], 26, WHITE)])
    draw_text(tile, f"{number[0]} {number[1:7]} {number[7:]}", (tile.shape[1] / 2, tile.shape[0] - 15), 17, INK,
              Typeface(0.1, 0.55, 0.0, 0.22), fit=0.9 * tile.shape[1])  # fmt: skip
    scale = min(width / tile.shape[1], height / tile.shape[0])
    size = (max(1, round(tile.shape[1] * scale)), max(1, round(tile.shape[0] * scale)))
    tile = cv2.resize(tile, size, interpolation=cv2.INTER_AREA)
    left, top = max(0, round(x - size[0] / 2)), max(0, round(y - size[1] / 2))
    room = panel[top : top + size[1], left : left + size[0]]
    room[...] = tile[: room.shape[0], : room.shape[1]]


def _texts(
    panel: ImageArray, product: Product, reach: float, brand_y: float, brand: Color, flavour_y: float, flavour: Color,
    brand_size: float = 0.12, flavour_size: float = 0.065,
) -> None:  # fmt: skip
    """Brand and flavour at shares of the height; sizes are shares of the height too, shrunk to fit the width."""
    h, w = panel.shape[:2]
    draw_text(panel, product.brand, (w / 2, brand_y * h), brand_size * h, brand, product.face, fit=reach * w)
    draw_text(panel, product.flavour, (w / 2, flavour_y * h), flavour_size * h, flavour, product.face,
              fit=0.8 * reach * w)  # fmt: skip


def _net(panel: ImageArray, product: Product, x: float, y: float, color: Color, size: float = 0.035) -> None:
    h, w = panel.shape[:2]
    draw_text(panel, product.net, (x * w, y * h), size * h, color, _SMALL, fit=0.3 * w)


def _picture(panel: ImageArray, product: Product, x: float, y: float, size: float) -> None:
    h, w = panel.shape[:2]
    MOTIFS[product.motif](panel, x * w, y * h, size * min(0.8 * w, 0.75 * h), product.motif_color)


def _hills(panel: ImageArray, top: float, swing: float, color: Color, phase: float, waves: float = 1.0) -> None:
    """Fill everything under a wavy line at ``top`` ± ``swing`` of the height."""
    h, w = panel.shape[:2]
    t = np.linspace(0, 1, 40)
    line = top + swing * np.sin(2 * math.pi * waves * t + phase)
    polygon(panel, [(0, h), *zip(t * w, line * h, strict=True), (w, h)], color)


def _meadow(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    disc(panel, 0.82 * w, 0.06 * h, 0.3 * w, 0.3 * w, mix(product.accent, WHITE, 0.75))
    _hills(panel, 0.6, 0.03, mix(product.accent, WHITE, 0.55), 0.4)
    _hills(panel, 0.68, 0.035, mix(product.accent, WHITE, 0.25), 2.6)
    _hills(panel, 0.75, 0.02, product.accent, 4.4)
    _picture(panel, product, 0.5, 0.44, 0.42)
    ink = ink_on(product.accent)
    _texts(panel, product, reach, 0.19, mix(product.accent, INK, 0.35), 0.84, ink)
    _net(panel, product, 0.5, 0.93, ink)


def _burst(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    centre, far = (0.5 * w, 0.6 * h), 1.2 * max(h, w)
    for k in range(0, 24, 2):
        a, b = 2 * math.pi * k / 24, 2 * math.pi * (k + 1) / 24
        rays = [centre, *((centre[0] + far * math.cos(t), centre[1] + far * math.sin(t)) for t in (a, b))]
        polygon(panel, rays, mix(product.base, product.accent, 0.28))
    disc(panel, *centre, 0.36 * min(w, h) * 1.05, 0.36 * min(w, h) * 1.05, mix(product.base, WHITE, 0.75))
    _picture(panel, product, 0.5, 0.6, 0.38)
    disc(panel, 0.5 * w, 0.16 * h, 0.56 * w, 0.11 * h, WHITE, -6)
    disc(panel, 0.5 * w, 0.16 * h, 0.53 * w, 0.097 * h, product.accent, -6)
    cv2.rectangle(panel, (0, round(0.84 * h)), (w, h), product.accent, -1)
    _texts(panel, product, 0.95 * reach, 0.16, WHITE, 0.89, ink_on(product.accent), 0.11, 0.075)
    _net(panel, product, 0.5, 0.96, ink_on(product.accent), 0.03)


def _swoosh(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    t = np.linspace(-0.1, 1.1, 40)
    for shift, thick, color in ((0.0, 0.42, product.accent), (-0.06, 0.05, WHITE), (0.42, 0.025, product.accent)):
        top = 0.72 - 0.36 * t + 0.09 * np.sin(2 * math.pi * t) + shift - 0.06
        upper, lower = list(zip(t * w, top * h, strict=True)), list(zip(t * w, (top + thick) * h, strict=True))
        polygon(panel, upper + lower[::-1], color)
    _picture(panel, product, 0.5, 0.2, 0.2)
    heavy = product.face._replace(weight=product.face.weight + 0.14, spacing=product.face.spacing - 0.14)
    draw_text(panel, product.brand, (w / 2, 0.55 * h), 0.15 * h, INK, heavy, fit=1.02 * reach * w)
    _texts(panel, product, reach, 0.55, WHITE, 0.71, ink_on(product.accent), 0.15, 0.075)
    _net(panel, product, 0.5, 0.93, ink_on(product.base), 0.045)


def _window(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    _hills(panel, 0.52, 0.04, product.accent, 0.9)
    radius = 0.35 * min(w, h * 0.9)
    disc(panel, 0.5 * w, 0.59 * h, radius * 1.1, radius * 1.1, WHITE)
    disc(panel, 0.5 * w, 0.59 * h, radius, radius, mix(product.base, WHITE, 0.55))
    _picture(panel, product, 0.5, 0.59, 0.36)
    cv2.rectangle(panel, (0, 0), (w, round(0.055 * h)), product.accent, -1)
    _texts(panel, product, reach, 0.17, ink_on(product.base), 0.91, ink_on(product.accent), 0.13, 0.06)
    draw_text(panel, "CRISP AND WHOLE", (0.5 * w, 0.27 * h), 0.028 * h, ink_on(product.base), _SMALL, fit=0.7 * w)
    _net(panel, product, 0.86, 0.97, ink_on(product.accent), 0.025)


def _frame(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    edge = 0.05 * min(h, w)
    for inset, width in ((edge, 0.014), (1.7 * edge, 0.006)):
        a, b = round(inset), (round(w - inset), round(h - inset))
        cv2.rectangle(panel, (a, a), b, product.accent, max(1, round(width * min(h, w))), cv2.LINE_AA)
    cv2.rectangle(panel, (0, round(0.68 * h)), (w, round(0.86 * h)), product.accent, -1)
    _picture(panel, product, 0.5, 0.46, 0.27)
    _texts(panel, product, 0.9 * reach, 0.19, mix(product.accent, INK, 0.5), 0.77, ink_on(product.accent), 0.11, 0.085)
    _net(panel, product, 0.82, 0.915, ink_on(product.base), 0.04)


def _block(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    cv2.rectangle(panel, (round(0.08 * w), round(0.3 * h)), (round(0.92 * w), round(0.88 * h)), product.accent, -1)
    cv2.rectangle(panel, (round(0.08 * w), round(0.66 * h)), (round(0.92 * w), round(0.88 * h)),
                  mix(product.accent, INK, 0.35), -1)  # fmt: skip
    disc(panel, 0.5 * w, 0.48 * h, 0.28 * min(w, h), 0.28 * min(w, h), mix(product.accent, WHITE, 0.8))
    _picture(panel, product, 0.5, 0.48, 0.26)
    _texts(panel, product, reach, 0.2, ink_on(product.base), 0.74, WHITE, 0.1, 0.065)
    draw_text(panel, "STRENGTH", (0.3 * w, 0.83 * h), 0.024 * h, WHITE, _SMALL, fit=0.3 * w)
    for k in range(5):
        disc(panel, (0.52 + 0.08 * k) * w, 0.83 * h, 0.02 * w, 0.02 * w, WHITE if k < 3 else product.accent)
    _net(panel, product, 0.5, 0.935, ink_on(product.base))


def _stripes(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    for k in range(0, 9, 2):
        cv2.rectangle(panel, (round(k * w / 9), 0), (round((k + 1) * w / 9), h), product.accent, -1)
    tips = [((1.0 if k % 2 == 0 else 0.82) * 0.46 * min(w, h), math.pi * k / 16) for k in range(32)]
    polygon(panel, [(0.5 * w + r * math.cos(a), 0.56 * h + r * math.sin(a)) for r, a in tips], WHITE)
    _picture(panel, product, 0.5, 0.57, 0.38)
    disc(panel, 0.5 * w, 0.24 * h, 0.46 * w, 0.1 * h, INK)
    disc(panel, 0.5 * w, 0.24 * h, 0.44 * w, 0.088 * h, mix(product.accent, INK, 0.15))
    cv2.rectangle(panel, (0, round(0.81 * h)), (w, round(0.9 * h)), INK, -1)
    _texts(panel, product, 0.88 * reach, 0.24, WHITE, 0.855, WHITE, 0.085, 0.05)
    _net(panel, product, 0.8, 0.76, INK)


def _waves(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    disc(panel, 0.5 * w, 0.52 * h, 0.32 * min(w, 1.4 * h), 0.32 * min(w, 1.4 * h), mix(product.base, WHITE, 0.7))
    _picture(panel, product, 0.5, 0.5, 0.33)
    for k, share in enumerate((0.65, 0.35, 0.0)):
        _hills(panel, 0.7 + 0.07 * k, 0.03, mix(product.accent, WHITE, share), 2.1 * k, 2)
    ink = ink_on(product.accent)
    cv2.rectangle(panel, (0, 0), (w, round(0.28 * h)), product.accent, -1)
    _texts(panel, product, reach, 0.14, ink, 0.9, ink, 0.15, 0.09)
    _net(panel, product, 0.88, 0.62, mix(product.accent, INK, 0.4), 0.05)


def _badge(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    step = max(6, round(0.07 * min(h, w)))
    tint = mix(product.base, product.accent, 0.22)
    for x in range(0, w, 2 * step):
        for y in range(0, h, 2 * step):
            panel[y : y + step, x : x + step] = tint
            panel[y + step : y + 2 * step, x + step : x + 2 * step] = tint
    disc(panel, 0.5 * w, 0.5 * h, 0.46 * w, 0.45 * h, product.accent)
    disc(panel, 0.5 * w, 0.5 * h, 0.44 * w, 0.42 * h, mix(product.base, WHITE, 0.6))
    _picture(panel, product, 0.5, 0.51, 0.26)
    _texts(panel, product, 0.72 * reach, 0.22, mix(product.accent, INK, 0.3), 0.8, product.accent, 0.13, 0.08)
    _net(panel, product, 0.5, 0.885, INK, 0.035)


def _halves(panel: ImageArray, product: Product, reach: float) -> None:
    h, w = panel.shape[:2]
    polygon(panel, [(0, 0.42 * h), (w, 0.32 * h), (w, h), (0, h)], product.accent)
    stroke(panel, [(-9, 0.42 * h), (w + 9, 0.32 * h)], WHITE, 0.02 * h)
    radius = 0.29 * min(w, h)
    disc(panel, 0.5 * w, 0.52 * h, radius, radius, mix(product.base, WHITE, 0.5))
    ring(panel, 0.5 * w, 0.52 * h, radius, WHITE, 0.02 * h)
    _picture(panel, product, 0.5, 0.52, 0.3)
    _texts(panel, product, reach, 0.15, ink_on(product.base), 0.86, ink_on(product.accent), 0.13, 0.075)
    _net(panel, product, 0.84, 0.95, ink_on(product.accent))


_LAYOUTS = {
    Style.MEADOW: _meadow, Style.BURST: _burst, Style.SWOOSH: _swoosh, Style.WINDOW: _window, Style.FRAME: _frame,
    Style.BLOCK: _block, Style.STRIPES: _stripes, Style.WAVES: _waves, Style.BADGE: _badge, Style.HALVES: _halves,
}  # fmt: skip
