"""The colours of a product: its pixels in CIELAB, sorted into a few that look different, with shadows and shine left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.gallery.colours.difference import ciede2000
from edgevision.gallery.colours.lab import bgr_of, chroma, lab_of_linear, linear_rgb
from edgevision.gallery.colours.naming import name_colours
from edgevision.gallery.colours.product_mask import border, product_mask
from edgevision.gallery.colours.white import balance

MAX_COLOURS = 5
LEAST_SHARE = 0.05  # of the product: less is print
SAME = 10.0  # ΔE2000: colours that are nearer become one
_START = 8  # clusters before the near ones are joined
_ROUNDS = 12
_BIN = 4.0  # CIELAB: pixels are counted in cells of this side first, which is quick and draws nothing
_LIGHTNESS = 0.6  # what lightness counts when pixels are sorted: shade is no other colour
_LIT = 0.6  # of a cluster's pixels, from the dark end, the one that says how light it is: shade makes darker, light does not make lighter


@dataclass(frozen=True)
class Swatch:
    """One colour. ``lab``: CIELAB under D65; ``share``: of the product's pixels, 0…1; ``name``: its basic term."""

    lab: tuple[float, float, float]
    share: float
    name: str

    @property
    def hex(self) -> str:
        """As CSS has it, ``#rrggbb``; clipped where no screen can show it."""
        blue, green, red = bgr_of(self.lab).tolist()
        return f"#{red:02x}{green:02x}{blue:02x}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "hex": self.hex, "lab": list(self.lab), "share": self.share}


@dataclass(frozen=True)
class Palette:
    """A product's colours, the largest share first; at least one.

    >>> picture = np.full((64, 64, 3), 255, np.uint8)
    >>> picture[16:48, 16:48] = (30, 30, 200)  # a red square on white, BGR
    >>> palette_of(picture).name
    'red'
    """

    swatches: tuple[Swatch, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The share of each term, the largest first."""
        totals: dict[str, float] = {}
        for swatch in self.swatches:
            totals[swatch.name] = totals.get(swatch.name, 0.0) + swatch.share
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    @property
    def name(self) -> str:
        """The term of which there is most: what the product is called, as in "the red one"."""
        return next(iter(self.shares))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "swatches": [swatch.to_dict() for swatch in self.swatches]}


def palette_of(image: ImageArray, mask: npt.NDArray[np.bool_] | None = None) -> Palette:
    """The colours of the product in ``image`` (H×W×3 uint8 BGR).

    ``mask`` bool H×W: where it is; None = ``product_mask``. A white or grey ground takes the light's tint back (``white.balance``).
    Raises InputError for another array, and a mask that is empty or of another size.
    """
    where = product_mask(image) if mask is None else np.asarray(mask, np.bool_)
    if where.shape != image.shape[:2] or not where.any():
        raise InputError(
            f"expected a mask of {image.shape[:2]} pixels with the product, got {where.shape}, {int(where.sum())} set"
        )
    rgb = linear_rgb(image)
    lab = lab_of_linear(balance(rgb, border(*where.shape) & ~where)[where])
    labels, centres = _clusters(lab)
    return Palette(_swatches(lab, labels, centres))


def _swatches(
    lab: npt.NDArray[np.float64], cluster: npt.NDArray[np.int64], centres: npt.NDArray[np.float64]
) -> tuple[Swatch, ...]:  # fmt: skip
    sizes = np.bincount(cluster, minlength=len(centres)) / len(cluster)
    kept = [place for place in np.argsort(-sizes, kind="stable").tolist() if sizes[place] >= LEAST_SHARE]
    kept = kept[:MAX_COLOURS] or [int(sizes.argmax())]
    colours = np.array([_representative(lab[cluster == place]) for place in kept])
    total = float(sizes[kept].sum())
    return tuple(
        Swatch((round(float(c[0]), 2), round(float(c[1]), 2), round(float(c[2]), 2)), float(sizes[place]) / total, name)
        for place, c, name in zip(kept, colours, name_colours(colours), strict=True)
    )


def _representative(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A cluster's colour: how light it is where light falls on it, and the median of what pixels of about that lightness have."""
    lightness = np.quantile(lab[:, 0], _LIT)
    near = np.abs(lab[:, 0] - lightness) <= max(4.0, float(np.std(lab[:, 0])))
    a, b = np.median(lab[near, 1:], axis=0)
    return np.array([lightness, a, b])


def _clusters(lab: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The cluster of each of the pixels [n, 3], int64 [n], and their middles [k, 3]: k-means over counted cells, near ones joined."""
    cells, of_pixel, counts = np.unique(np.round(lab / _BIN), axis=0, return_inverse=True, return_counts=True)
    of_pixel = np.asarray(of_pixel).reshape(-1)
    points, weights = cells * _BIN, counts.astype(np.float64)
    middles, of_cell = _k_means(points, weights)
    joined = _joined(middles, np.bincount(of_cell, weights=weights, minlength=len(middles)).astype(np.float64))
    of_cell = joined[of_cell]
    count = int(of_cell.max()) + 1
    total = np.bincount(of_cell, weights=weights, minlength=count)
    centres = np.stack(
        [np.bincount(of_cell, weights=weights * points[:, axis], minlength=count) / total for axis in range(3)], axis=1
    )
    return np.asarray(of_cell[of_pixel]), centres


def _k_means(
    points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Lloyd's rounds from starts that are far apart and heavy: the same answer each time. Empty clusters are left out."""
    space = points * np.array([_LIGHTNESS, 1.0, 1.0])
    starts = [int(weights.argmax())]
    distance = ((space - space[starts[0]]) ** 2).sum(axis=1)
    while len(starts) < min(_START, len(points)) and (distance * weights).max() > 0:
        starts.append(int((distance * weights).argmax()))
        distance = np.minimum(distance, ((space - space[starts[-1]]) ** 2).sum(axis=1))
    middles = space[starts]
    nearest = np.zeros(len(points), np.int64)
    for _ in range(_ROUNDS):
        nearest = ((space[:, None] - middles[None]) ** 2).sum(axis=2).argmin(axis=1)
        _, nearest = np.unique(nearest, return_inverse=True)
        total = np.bincount(nearest, weights=weights)
        middles = np.stack(
            [np.bincount(nearest, weights=weights * space[:, axis]) / total for axis in range(3)], axis=1
        )
    return middles / np.array([_LIGHTNESS, 1.0, 1.0]), np.asarray(nearest, np.int64)


def _joined(middles: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """For each cluster the number of the group that it belongs to: the nearest two become one until none are nearer than ``SAME``, or one is
    the other in shade or shine."""
    groups = [[place] for place in range(len(middles))]
    colours, weights = list(middles), sizes.tolist()
    while len(groups) > 1:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        apart = ciede2000([colours[i] for i, _ in pairs], [colours[j] for _, j in pairs])
        apart = apart - np.array([_shade_allowance(colours[i], colours[j]) for i, j in pairs])
        best = int(apart.argmin())
        if apart[best] >= SAME:
            break
        i, j = pairs[best]
        share = weights[i] / (weights[i] + weights[j])
        colours[j] = share * colours[i] + (1 - share) * colours[j]
        weights[j] += weights[i]
        groups[j] += groups[i]
        for listed in (groups, colours, weights):
            del listed[i]
    number = np.zeros(len(middles), np.int64)
    for place, group in enumerate(groups):
        number[group] = place
    return number


def _shade_allowance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """How much farther apart, in ΔE2000, two colours may be that are one in light and in shade.

    In shade L, a and b of a matt surface shrink together, nearly in proportion: two colours on one line through black. Greys
    are all on one such line, and are not meant: black print on white card is two colours.
    """
    c1, c2 = (float(chroma(colour)) for colour in (one, other))
    if min(c1, c2) < 15.0:
        return 0.0
    turn = abs(np.degrees(np.arctan2(one[2], one[1]) - np.arctan2(other[2], other[1])))
    turn = min(turn, 360.0 - turn)
    ratio = (c1 / max(one[0], 1.0)) / (c2 / max(other[0], 1.0))
    return 8.0 if turn < 12.0 and 0.75 < ratio < 1.33 else 0.0
