"""Where tracked boxes will be: a Kalman filter over all tracks at once, in seconds.

The centre moves with a velocity that white noise changes, and the size is a random walk. Horizontal and vertical are
independent, so that every covariance is a 2 × 2 matrix, which is written out: no matrix is inverted. Noise grows with the
time between frames, not with their number: two steps of 0.1 s are one of 0.2 s, exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# In box sizes (the square root of the area), as noise is on small and large boxes alike.
ACCELERATION = (
    4.0  # sizes / s^1.5: square root of the density of the noise that changes the velocity; belts start at once
)
RESIZING = 0.5  # sizes / s^0.5: the same for the size
JITTER = 0.05  # sizes: standard deviation of a detector's centres and sizes
UNKNOWN_SPEED = 4.0  # sizes / s: standard deviation of the velocity of what was seen once, where nothing is known


class Motion:
    """The state of n tracks: ``center``, ``velocity`` (pixels, pixels a second) and ``size``, each float64 [n, 2] as x and y."""

    def __init__(self) -> None:
        self.center = np.empty((0, 2))
        self.velocity = np.empty((0, 2))
        self.size = np.empty((0, 2))
        self.scale = np.empty((0, 1))  # size when last seen, as one number
        self.center_variance = np.empty((0, 2))
        self.covariance = np.empty((0, 2))  # of centre and velocity
        self.velocity_variance = np.empty((0, 2))
        self.size_variance = np.empty((0, 2))

    def __len__(self) -> int:
        return len(self.center)

    def add(self, boxes: Floats, velocity: Floats, velocity_variance: Floats) -> None:
        """Begin tracks at ``boxes`` [k, 4] with what is believed of their ``velocity`` [k, 2] and its variance [k, 2]."""
        size = boxes[:, 2:] - boxes[:, :2]
        scale = scale_of(boxes)
        seen = np.broadcast_to((JITTER * scale) ** 2, size.shape)
        added = {
            "center": (boxes[:, :2] + boxes[:, 2:]) / 2, "velocity": velocity, "size": size, "scale": scale,
            "center_variance": seen, "covariance": np.zeros_like(size), "velocity_variance": velocity_variance,
            "size_variance": seen,
        }  # fmt: skip
        for name, rows in added.items():
            setattr(self, name, np.concatenate([getattr(self, name), rows]))

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget all tracks but ``rows`` (bool [n])."""
        for name, column in vars(self).items():
            setattr(self, name, column[rows])

    def predict(self, seconds: float) -> None:
        """Move on by ``seconds`` ≥ 0.

        The noise is that of the continuous white-noise acceleration model (Bar-Shalom, Li and Kirubarajan, "Estimation with
        Applications to Tracking and Navigation", 2001, section 6.2.2).
        """
        noise = (ACCELERATION * self.scale) ** 2
        self.center = self.center + seconds * self.velocity
        self.center_variance = (
            self.center_variance
            + 2 * seconds * self.covariance
            + seconds**2 * self.velocity_variance
            + noise * seconds**3 / 3
        )
        self.covariance = self.covariance + seconds * self.velocity_variance + noise * seconds**2 / 2
        self.velocity_variance = self.velocity_variance + noise * seconds
        self.size_variance = self.size_variance + (RESIZING * self.scale) ** 2 * seconds

    def correct(self, rows: npt.NDArray[np.int64], boxes: Floats, doubt: Floats) -> None:
        """The tracks ``rows`` [k] were seen at ``boxes`` [k, 4]; ``doubt`` [k, 1]: 1, or how many times as inexact a box is as usual."""
        center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        jitter = (JITTER * doubt * self.scale[rows]) ** 2
        variance, covariance = self.center_variance[rows], self.covariance[rows]
        surprise = (center - self.center[rows]) / (variance + jitter)
        self.center[rows] += variance * surprise
        self.velocity[rows] += covariance * surprise
        self.velocity_variance[rows] -= covariance**2 / (variance + jitter)
        self.covariance[rows] = covariance * jitter / (variance + jitter)
        self.center_variance[rows] = variance * jitter / (variance + jitter)
        size_variance = self.size_variance[rows]
        self.size[rows] += (size - self.size[rows]) * size_variance / (size_variance + jitter)
        self.size_variance[rows] = size_variance * jitter / (size_variance + jitter)
        self.scale[rows] = scale_of(self.boxes[rows])

    @property
    def boxes(self) -> Floats:
        """Where each track is believed to be: [n, 4] as x1 y1 x2 y2."""
        return np.concatenate([self.center - self.size / 2, self.center + self.size / 2], axis=1)


def scale_of(boxes: Floats) -> Floats:
    """The size of each box [n, 4] as one number: the square root of its area, at least a pixel. [n, 1]."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True)
    scale: Floats = np.sqrt(np.maximum(area, 1.0))
    return scale
