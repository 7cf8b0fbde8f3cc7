"""Hands, roughly: fingers as rounded strokes that come in from outside and cover part of a product."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.lettering import Color
from edgevision.demo.motifs import mix
from edgevision.frames import ImageArray

SKINS: tuple[Color, ...] = (
    (168, 196, 232),
    (140, 172, 214),
    (110, 146, 196),
    (78, 112, 160),
    (52, 78, 116),
    (38, 54, 82),
)


@dataclass(frozen=True)
class Hand:
    """``at``: the finger tips' middle, in shares of the frame's width and height, and ``angle`` (degrees) the way they
    point, in image axes (y down); ``size``: a finger's width as a share of the frame's height; ``fingers``: 1…4;
    ``skin``: of ``SKINS``; ``arm``: from the finger tips to where the arm ends, in widths of a finger."""

    at: tuple[float, float]
    angle: float
    size: float = 0.075
    fingers: int = 3
    spread: float = 0.25
    skin: int = 0
    arm: float = 16.0


def paint_hand(frame: ImageArray, hand: Hand) -> npt.NDArray[np.uint8]:
    """Draw ``hand`` over an H×W×3 frame, in place. Returns its coverage, H×W uint8, 255 = fully covered."""
    frame_height, frame_width = frame.shape[:2]
    coverage = np.zeros(frame.shape[:2], np.uint8)
    a, width = math.radians(hand.angle), hand.size * frame_height
    along, across = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
    tip = np.array(hand.at) * (frame_width, frame_height)
    palm, back = tip - along * width * 5.5, tip - along * width * hand.arm
    fingers = []
    for k in range(hand.fingers):
        offset = k - (hand.fingers - 1) / 2
        end = tip + across * offset * width * 1.04 - along * width * 0.3 * offset**2
        knuckle = end - (along + hand.spread * offset * 0.25 * across) * width * 2.4
        fingers.append((end, knuckle, palm + across * offset * width * 0.9))
    thumb_side = 1 if math.cos(a) > 0 else -1  # thumbs are up
    thumb = (palm - across * thumb_side * width * 2.6 + along * width * 2.0,
             palm - across * thumb_side * width * (0.55 * hand.fingers) - along * width * 0.6,
             palm - along * width * 2.5)  # fmt: skip
    corners = np.array([p for finger in (*fingers, thumb) for p in finger] + [palm, back])
    # Only the part of the frame that the hand and its shadow reach.
    reach = (hand.fingers + 2) * width
    x0, y0 = (max(0, int(v)) for v in corners.min(axis=0) - reach)
    x1, y1 = (
        min(end, int(v) + 1) for end, v in zip((frame_width, frame_height), corners.max(axis=0) + reach, strict=True)
    )
    if x0 >= x1 or y0 >= y1:
        return coverage
    s = 2  # drawn twice as large: smooth edges
    layers = np.zeros((3, s * (y1 - y0), s * (x1 - x0)), np.uint8)
    mask, shade, nails = layers

    def pen(layer: npt.NDArray[np.uint8], points: tuple[npt.NDArray[np.float64], ...], thickness: float) -> None:
        fixed = np.round((np.array(points) - (x0, y0)) * s * 16).astype(np.int32)
        cv2.polylines(layer, [fixed], False, 255, max(1, round(s * thickness)), cv2.LINE_8, shift=4)

    light = -0.12 * width * np.array([0.3, 1.0])
    for finger in (thumb, *fingers):
        pen(mask, finger, width)
        pen(shade, tuple(p + light for p in finger), 0.62 * width)
        towards = (finger[0] - finger[1]) / np.linalg.norm(finger[0] - finger[1])
        pen(nails, (finger[0] + 0.12 * width * towards, finger[0] - 0.2 * width * towards), 0.5 * width)
    pen(mask, (palm, back), width * (hand.fingers + 0.5))
    pen(shade, (palm + 2 * light, back + 2 * light), width * (hand.fingers - 0.4))
    room = frame[y0:y1, x0:x1]
    size = (x1 - x0, y1 - y0)
    cover, soft, nail = (
        cv2.resize(layer, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for layer in layers
    )
    soft, nail = (cv2.GaussianBlur(m, (0, 0), max(0.4, f * width))[..., None] for m, f in ((soft, 0.16), (nail, 0.03)))
    skin = SKINS[hand.skin % len(SKINS)]
    dark, bright, shell = (np.array(c, np.float32) for c in (
        mix(skin, (24, 28, 66), 0.42), skin, mix(skin, (226, 222, 246), 0.7)))  # fmt: skip
    color = dark + soft * (bright - dark)
    color += 0.5 * nail * (shell - color)
    down = round(0.018 * frame_height)
    cast = np.roll(cv2.GaussianBlur(cover, (0, 0), 0.02 * frame_height), down, axis=0)
    cast[:down] = 0  # the shadow of an arm that leaves the frame at the bottom
    ground = room * (1 - 0.35 * cast * (1 - cover))[..., None]
    room[...] = np.rint(ground + cover[..., None] * (color - ground))
    coverage[y0:y1, x0:x1] = np.rint(255 * cover)
    return coverage
