"""A picture of what a gallery found: new photos, each beside the stored one that it matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.frames import ImageArray

_TILE_PX, _TEXT_PX, _ACROSS = 160, 34, 4
_RIGHT, _WRONG, _UNKNOWN = (60, 140, 40), (40, 40, 200), (130, 130, 130)  # BGR
_PAPER = 250


@dataclass(frozen=True, eq=False)
class Pair:
    """``new``: a photo that was searched, ``stored``: the one that it matched, both H×W×3 uint8 BGR. ``name``, ``score``: of the answer.
    ``right``: whether it is the same product. ``known``: whether the gallery says that it knows it."""

    new: ImageArray
    stored: ImageArray
    name: str
    score: float
    right: bool
    known: bool = True


def sheet(pairs: Sequence[Pair]) -> ImageArray:
    """The pairs in rows of four, H×W×3 uint8 BGR: names in green where they are right, in red where they are wrong, and in grey, with a
    question mark, where the gallery does not know the product."""
    tiles = [_tile(one) for one in pairs]
    tiles += [np.full_like(tiles[0], _PAPER)] * (-len(tiles) % _ACROSS)
    rows = [np.concatenate(tiles[at : at + _ACROSS], axis=1) for at in range(0, len(tiles), _ACROSS)]
    return np.asarray(np.concatenate(rows), np.uint8)


def _tile(pair: Pair) -> ImageArray:
    import cv2

    both = [cv2.resize(one, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA) for one in (pair.new, pair.stored)]
    strip = np.full((_TEXT_PX, 2 * _TILE_PX, 3), _PAPER, np.uint8)
    text = f"{pair.name} {pair.score:.2f}" if pair.known else f"? {pair.name} {pair.score:.2f}"
    cv2.putText(strip, text, (8, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _color(pair), 1, cv2.LINE_AA)
    return np.concatenate([np.concatenate(both, axis=1), strip])


def _color(pair: Pair) -> tuple[int, int, int]:
    if not pair.known:
        return _UNKNOWN
    return _RIGHT if pair.right else _WRONG
