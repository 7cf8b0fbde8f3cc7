"""Pictures on labels: fruit, leaves, beans, … each drawn around a point, within about ``size`` pixels of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edgevision.demo.lettering import Color
from edgevision.frames import ImageArray

Motif = Callable[[ImageArray, float, float, float, Color], None]
WHITE: Color = (250, 252, 252)
LEAF: Color = (70, 150, 62)
DARK_LEAF: Color = (50, 104, 42)


def mix(a: Color, b: Color, share: float) -> Color:
    """Colour between ``a`` (share 0) and ``b`` (share 1)."""
    blue, green, red = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return blue, green, red


def disc(image: ImageArray, x: float, y: float, rx: float, ry: float, color: Color, angle: float = 0.0) -> None:
    """A filled ellipse; ``angle`` in degrees."""
    axes = (max(1, round(rx * 16)), max(1, round(ry * 16)))
    cv2.ellipse(image, (round(x * 16), round(y * 16)), axes, angle, 0, 360, color, -1, cv2.LINE_AA, shift=4)


def ring(image: ImageArray, x: float, y: float, radius: float, color: Color, width: float) -> None:
    """A circle line, ``width`` pixels wide."""
    at = (round(x * 16), round(y * 16))
    cv2.circle(image, at, max(1, round(radius * 16)), color, max(1, round(width)), cv2.LINE_AA, shift=4)


def polygon(image: ImageArray, points: Sequence[tuple[float, float]], color: Color) -> None:
    """A filled polygon of any form."""
    cv2.fillPoly(image, [np.round(np.array(points) * 16).astype(np.int32)], color, cv2.LINE_AA, shift=4)


def stroke(image: ImageArray, points: Sequence[tuple[float, float]], color: Color, width: float) -> None:
    """An open line with round ends, ``width`` pixels wide."""
    fixed = np.round(np.array(points) * 16).astype(np.int32)
    cv2.polylines(image, [fixed], False, color, max(1, round(width)), cv2.LINE_AA, shift=4)


def leaf(image: ImageArray, x: float, y: float, size: float, angle: float, color: Color = LEAF) -> None:
    """A pointed leaf from (x, y), ``size`` pixels long, towards ``angle`` in degrees."""
    a, t = math.radians(angle), np.linspace(0, 1, 12)
    half = 0.3 * size * np.sin(math.pi * t) ** 0.8
    along, side = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
    spine = np.array([x, y]) + size * t[:, None] * along
    rim = np.concatenate([spine + half[:, None] * side, (spine - half[:, None] * side)[::-1]])
    polygon(image, [tuple(p) for p in rim], color)
    stroke(image, [tuple(spine[0]), tuple(spine[-3])], mix(color, WHITE, 0.35), 0.04 * size)


def _citrus(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    disc(image, x, y, s, s, c)
    disc(image, x, y, 0.88 * s, 0.88 * s, mix(c, WHITE, 0.85))
    for k in range(9):
        middle, half = 2 * math.pi * k / 9, 0.29
        arc = [middle + half * f for f in (-1, -0.5, 0, 0.5, 1)]
        rim = [(x + 0.82 * s * math.cos(a), y + 0.82 * s * math.sin(a)) for a in arc]
        polygon(image, [(x + 0.12 * s * math.cos(middle), y + 0.12 * s * math.sin(middle)), *rim], mix(c, WHITE, 0.12))
    leaf(image, x + 0.3 * s, y - 0.85 * s, 0.75 * s, -25)


def _apple(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    stroke(image, [(x, y - 0.45 * s), (x + 0.1 * s, y - 0.95 * s)], (40, 62, 92), 0.1 * s)
    for side in (-1, 1):
        disc(image, x + side * 0.33 * s, y + 0.1 * s, 0.55 * s, 0.72 * s, c)
    leaf(image, x + 0.08 * s, y - 0.6 * s, 0.65 * s, -30)
    disc(image, x - 0.45 * s, y - 0.12 * s, 0.14 * s, 0.26 * s, mix(c, WHITE, 0.55), 25)


def _cherries(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for dx, dy in ((-0.45, 0.35), (0.45, 0.5)):
        stroke(image, [(x + dx * s, y + dy * s), (x + 0.05 * s, y - 0.85 * s)], DARK_LEAF, 0.08 * s)
        disc(image, x + dx * s, y + dy * s, 0.45 * s, 0.45 * s, c)
        disc(image, x + (dx - 0.15) * s, y + (dy - 0.15) * s, 0.1 * s, 0.14 * s, mix(c, WHITE, 0.6), 30)
    leaf(image, x + 0.05 * s, y - 0.85 * s, 0.8 * s, 15)


def _lemon(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    disc(image, x, y, s, 0.3 * s, c, -25)
    disc(image, x, y, 0.82 * s, 0.62 * s, c, -25)
    disc(image, x - 0.15 * s, y - 0.22 * s, 0.42 * s, 0.18 * s, mix(c, WHITE, 0.5), -25)
    leaf(image, x + 0.72 * s, y - 0.45 * s, 0.6 * s, -70)


def _grapes(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    stroke(image, [(x, y - 0.5 * s), (x + 0.1 * s, y - s)], DARK_LEAF, 0.1 * s)
    leaf(image, x + 0.05 * s, y - 0.75 * s, 0.8 * s, -10)
    for row, count in enumerate((4, 3, 2, 1)):
        for k in range(count):
            gx, gy = x + (k - (count - 1) / 2) * 0.46 * s, y + (row - 1) * 0.42 * s
            disc(image, gx, gy, 0.27 * s, 0.27 * s, mix(c, (0, 0, 0), 0.12 * ((row + k) % 2)))
            disc(image, gx - 0.08 * s, gy - 0.08 * s, 0.07 * s, 0.07 * s, mix(c, WHITE, 0.6))


def _drop(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    disc(image, x, y + 0.25 * s, 0.68 * s, 0.68 * s, c)
    polygon(image, [(x, y - s), (x - 0.61 * s, y - 0.06 * s), (x + 0.61 * s, y - 0.06 * s)], c)
    disc(image, x - 0.27 * s, y + 0.3 * s, 0.12 * s, 0.28 * s, mix(c, WHITE, 0.65), 20)


def _grain(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for lean in (-0.5, 0.5, 0.0):
        top = (x + lean * s, y - 0.9 * s)
        stroke(image, [(x, y + s), top], mix(c, (0, 0, 0), 0.2), 0.05 * s)
        for k in range(5):
            px, py = x + lean * s * (1 - 0.16 * k), y - (0.9 - 0.3 * k) * s
            for side in (-1, 1):
                leaf(image, px, py + 0.1 * s, 0.34 * s, -90 + side * 38 + lean * 25, c)


def _rings(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    spots = ((-0.5, -0.45), (0.42, -0.55), (-0.02, 0.02), (-0.6, 0.42), (0.62, 0.3), (0.05, 0.68))
    for k, (dx, dy) in enumerate(spots):
        ring(image, x + dx * s, y + dy * s + 0.03 * s, 0.26 * s, mix(c, (0, 0, 0), 0.45), 0.17 * s)
        ring(image, x + dx * s, y + dy * s, 0.26 * s, mix(c, WHITE, 0.1 * (k % 3)), 0.15 * s)


def _leaves(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for angle, size in ((-150, 0.95), (-30, 0.95), (-90, 1.35)):
        leaf(image, x, y + 0.55 * s, size * s, angle, c)


def _cup(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    ring(image, x + 0.55 * s, y + 0.28 * s, 0.25 * s, c, 0.1 * s)
    polygon(image, [(x - 0.65 * s, y), (x + 0.6 * s, y), (x + 0.4 * s, y + 0.68 * s), (x - 0.45 * s, y + 0.68 * s)], c)
    disc(image, x - 0.02 * s, y, 0.63 * s, 0.13 * s, mix(c, (20, 30, 50), 0.55))
    disc(image, x - 0.02 * s, y + 0.78 * s, 0.9 * s, 0.12 * s, c)
    for dx in (-0.3, 0.0, 0.3):
        wave = [(x + (dx + 0.08 * math.sin(6 * t)) * s, y - (0.2 + 0.6 * t) * s) for t in np.linspace(0, 1, 10)]
        stroke(image, wave, mix(c, WHITE, 0.4), 0.06 * s)


def _beans(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for dx, dy, angle in ((-0.4, 0.1, 60), (0.42, -0.15, 120), (0.1, 0.62, 15)):
        bx, by = x + dx * s, y + dy * s
        disc(image, bx, by, 0.55 * s, 0.36 * s, mix(c, (0, 0, 0), 0.35), angle)
        disc(image, bx - 0.03 * s, by - 0.03 * s, 0.51 * s, 0.32 * s, c, angle)
        a = math.radians(angle)
        crease = [(t, 0.08 * math.sin(2.6 * t * math.pi)) for t in np.linspace(-0.45, 0.45, 9)]
        turned = [(bx + s * (u * math.cos(a) - v * math.sin(a)), by + s * (u * math.sin(a) + v * math.cos(a)))
                  for u, v in crease]  # fmt: skip
        stroke(image, turned, mix(c, (0, 0, 0), 0.6), 0.06 * s)


def _crisps(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for dx, dy, angle in ((-0.4, -0.3, 25), (0.4, -0.15, -30), (-0.1, 0.4, 5)):
        cx, cy, a = x + dx * s, y + dy * s, math.radians(angle)
        disc(image, cx, cy + 0.05 * s, 0.58 * s, 0.4 * s, mix(c, (0, 20, 60), 0.4), angle)
        disc(image, cx, cy, 0.58 * s, 0.4 * s, c, angle)
        for k in (-2, -1, 0, 1, 2):
            u, half = 0.2 * k * s, 0.3 * s * math.sqrt(1 - (0.2 * k / 0.58) ** 2)
            ends = [(cx + u * math.cos(a) - v * math.sin(a), cy + u * math.sin(a) + v * math.cos(a))
                    for v in (-half, half)]  # fmt: skip
            stroke(image, ends, mix(c, WHITE, 0.45), 0.05 * s)


def _peak(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for dx, top, half in ((0.45, -0.35, 0.6), (-0.25, -0.95, 0.85)):
        apex = (x + dx * s, y + top * s)
        polygon(image, [apex, (apex[0] - half * s, y + 0.7 * s), (apex[0] + half * s, y + 0.7 * s)],
                mix(c, (0, 0, 0), 0.15 if dx > 0 else 0))  # fmt: skip
        snow = [(-0.28, 0.5), (-0.1, 0.36), (0.04, 0.52), (0.16, 0.34), (0.28, 0.5)]
        polygon(image, [apex, *((apex[0] + u * s * half, apex[1] + v * s * half * 1.15) for u, v in snow)], WHITE)


def _bubbles(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    spots = ((-0.35, 0.45, 0.42), (0.42, 0.1, 0.32), (-0.3, -0.35, 0.24), (0.2, -0.65, 0.18), (0.55, 0.65, 0.16))
    for dx, dy, r in spots:
        disc(image, x + dx * s, y + dy * s, r * s, r * s, c)
        disc(image, x + (dx - 0.35 * r) * s, y + (dy - 0.35 * r) * s, 0.22 * r * s, 0.3 * r * s, WHITE, 30)


def _strawberry(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for dx in (-0.32, 0.32):
        disc(image, x + dx * s, y - 0.15 * s, 0.42 * s, 0.42 * s, c)
    polygon(image, [(x - 0.72 * s, y), (x + 0.72 * s, y), (x + 0.2 * s, y + 0.82 * s), (x, y + 0.95 * s),
                    (x - 0.2 * s, y + 0.82 * s)], c)  # fmt: skip
    for dx, dy in ((-0.4, 0), (0, -0.1), (0.4, 0), (-0.2, 0.3), (0.2, 0.3), (0, 0.62)):
        disc(image, x + dx * s, y + dy * s, 0.045 * s, 0.075 * s, mix(c, (150, 235, 255), 0.8))
    for angle in (-170, -130, -90, -50, -10):
        leaf(image, x, y - 0.45 * s, 0.55 * s, angle)


def _apricot(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    disc(image, x, y + 0.1 * s, 0.8 * s, 0.76 * s, c)
    disc(image, x + 0.22 * s, y + 0.2 * s, 0.5 * s, 0.52 * s, mix(c, (60, 70, 230), 0.3))
    crease = [(x + 0.18 * s * math.sin(3 * t), y + (t - 0.6) * s) for t in np.linspace(0, 1.3, 12)]
    stroke(image, crease, mix(c, (0, 30, 90), 0.5), 0.06 * s)
    leaf(image, x, y - 0.62 * s, 0.8 * s, -20)


def _peas(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    spots = ((-0.5, -0.1), (0.08, -0.4), (0.58, 0.0), (-0.18, 0.4), (0.4, 0.55), (-0.7, 0.5))
    for k, (dx, dy) in enumerate(spots):
        px, py = x + dx * s, y + dy * s
        disc(image, px, py + 0.04 * s, 0.33 * s, 0.33 * s, mix(c, (0, 20, 40), 0.4))
        disc(image, px, py, 0.32 * s, 0.3 * s, mix(c, WHITE, 0.12 * (k % 2)))
        disc(image, px - 0.1 * s, py - 0.12 * s, 0.08 * s, 0.06 * s, mix(c, WHITE, 0.7))


def _star(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    tips = [((1.0 if k % 2 == 0 else 0.45) * s, math.pi * (k / 5 - 0.5)) for k in range(10)]
    polygon(image, [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in tips], c)


def _bolt(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    shape = ((0.2, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.25, 1), (0.6, -0.25), (0.05, -0.25))
    polygon(image, [(x + u * s, y + v * s) for u, v in shape], c)


def _sun(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    for k in range(12):
        a = math.pi * k / 6
        near, far = [(x + r * s * math.cos(a), y + r * s * math.sin(a)) for r in (0.68, 0.98)]
        stroke(image, [near, far], c, 0.12 * s)
    disc(image, x, y, 0.55 * s, 0.55 * s, c)


def _fish(image: ImageArray, x: float, y: float, s: float, c: Color) -> None:
    polygon(image, [(x + 0.4 * s, y), (x + s, y - 0.45 * s), (x + 0.85 * s, y), (x + s, y + 0.45 * s)], c)
    disc(image, x - 0.15 * s, y, 0.78 * s, 0.42 * s, c)
    disc(image, x - 0.6 * s, y - 0.08 * s, 0.09 * s, 0.09 * s, WHITE)
    ring(image, x - 0.35 * s, y, 0.3 * s, mix(c, WHITE, 0.4), 0.05 * s)


MOTIFS: dict[str, Motif] = {
    "apple": _apple, "apricot": _apricot, "beans": _beans, "bolt": _bolt, "bubbles": _bubbles, "cherries": _cherries,
    "citrus": _citrus, "crisps": _crisps, "cup": _cup, "drop": _drop, "fish": _fish, "grain": _grain,
    "grapes": _grapes, "leaves": _leaves, "lemon": _lemon, "peak": _peak, "peas": _peas, "rings": _rings,
    "star": _star, "strawberry": _strawberry, "sun": _sun,
}  # fmt: skip
