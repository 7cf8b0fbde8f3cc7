"""Frames of one colour, whose answers the classifier of the fixture ``color_bundle`` knows by construction."""

from __future__ import annotations

import numpy as np

NAMES = ("red", "green", "blue")


def plain(rgb, height=30, width=40):
    return np.full((height, width, 3), rgb[::-1], np.uint8)


def truth(rgb):
    """Probabilities of red, green, blue by the definition of the classifier, in float64."""
    powers = np.exp(8 * np.asarray(rgb, np.float64) / 255)
    return powers / powers.sum()


def colors(count, seed=3):
    return [tuple(int(v) for v in row) for row in np.random.default_rng(seed).integers(0, 256, (count, 3))]
