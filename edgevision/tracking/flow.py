"""How things usually move at a place of the picture: what is believed of the velocity of a product that just came in.

At five frames a second a product on a belt moves by its own length between frames. Where it will be next cannot be told from
one sighting, but from those that went the same way before.
"""

from __future__ import annotations

import numpy as np

from edgevision.tracking.motion import UNKNOWN_SPEED, Floats

REMEMBERED = 512  # velocities; the oldest give way
REACH = 2.0  # sizes: standard deviation of the weight with distance
DOUBT = 0.5  # sightings that speak for "nothing is known": one sighting nearby weighs twice as much
SPREAD = 0.5  # sizes / s: no velocity is believed more exactly than that


class Flow:
    """Velocities that confirmed tracks had, and where."""

    def __init__(self) -> None:
        self._places = np.empty((0, 2))
        self._velocities = np.empty((0, 2))

    def remember(self, places: Floats, velocities: Floats) -> None:
        """Centres [k, 2] in pixels, velocities [k, 2] in pixels a second."""
        self._places = np.concatenate([self._places, places])[-REMEMBERED:]
        self._velocities = np.concatenate([self._velocities, velocities])[-REMEMBERED:]

    def expect(self, places: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """Velocity and its variance, each [k, 2], at ``places`` [k, 2] for products of ``scale`` [k, 1] pixels.

        The mean of what was remembered and of one more sighting, which knows nothing: weight DOUBT, velocity 0, standard
        deviation UNKNOWN_SPEED.
        """
        apart = np.square(places[:, None] - self._places[None]).sum(axis=2)
        weights = np.exp(-apart / (2 * (REACH * scale) ** 2))
        total = weights.sum(axis=1, keepdims=True) + DOUBT
        mean = weights @ self._velocities / total
        second = (weights @ np.square(self._velocities) + DOUBT * (UNKNOWN_SPEED * scale) ** 2) / total
        return mean, np.maximum(second - np.square(mean), (SPREAD * scale) ** 2)
