"""The filter against the textbook's matrices, in the order and shape that the textbook has them."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tracking.motion import ACCELERATION, JITTER, RESIZING, Motion

BOXES = np.array([[10.0, 20, 50, 110], [300, 40, 420, 100]])


class TextbookFilter:
    """x = (cx, cy, vx, vy, w, h), with full 6 × 6 matrices and a general inverse."""

    def __init__(self, box, velocity, velocity_variance):
        cx, cy, w, h = self.measured(box)
        self.scale = np.sqrt(w * h)
        self.x = np.array([cx, cy, *velocity, w, h])
        seen = (JITTER * self.scale) ** 2
        self.P = np.diag([seen, seen, *velocity_variance, seen, seen])
        self.H = np.zeros((4, 6))
        self.H[[0, 1, 2, 3], [0, 1, 4, 5]] = 1

    @staticmethod
    def measured(box):
        x1, y1, x2, y2 = box
        return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])

    def predict(self, dt):
        F = np.eye(6)
        F[0, 2] = F[1, 3] = dt
        q = (ACCELERATION * self.scale) ** 2
        Q = np.zeros((6, 6))
        for place in (0, 1):
            Q[np.ix_([place, place + 2], [place, place + 2])] = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        Q[4, 4] = Q[5, 5] = (RESIZING * self.scale) ** 2 * dt
        self.x, self.P = F @ self.x, F @ self.P @ F.T + Q

    def correct(self, box, doubt):
        R = np.eye(4) * (JITTER * doubt * self.scale) ** 2
        K = self.P @ self.H.T @ np.linalg.inv(self.H @ self.P @ self.H.T + R)
        self.x = self.x + K @ (self.measured(box) - self.H @ self.x)
        self.P = (np.eye(6) - K @ self.H) @ self.P
        self.scale = np.sqrt(self.x[4] * self.x[5])


def filters(velocity=((30.0, -5.0), (0.0, 0.0)), variance=((900.0, 400.0), (2500.0, 2500.0))):
    motion = Motion()
    motion.add(BOXES, np.array(velocity), np.array(variance))
    return motion, [TextbookFilter(*one) for one in zip(BOXES, velocity, variance, strict=True)]


def assert_same(motion, textbook):
    for row, one in enumerate(textbook):
        state = [*motion.center[row], *motion.velocity[row], *motion.size[row]]
        np.testing.assert_allclose(state, one.x, rtol=1e-9, atol=1e-9)
        variances = [*motion.center_variance[row], *motion.velocity_variance[row], *motion.size_variance[row]]
        np.testing.assert_allclose(variances, np.diag(one.P), rtol=1e-8)
        np.testing.assert_allclose(motion.covariance[row], [one.P[0, 2], one.P[1, 3]], rtol=1e-8)


def test_it_is_the_textbooks_filter():
    rng = np.random.default_rng(0)
    motion, textbook = filters()
    for dt in (0.04, 0.04, 0.31, 0.016, 0.2, 0.1):
        motion.predict(dt)
        for one in textbook:
            one.predict(dt)
        assert_same(motion, textbook)
        boxes = BOXES + rng.normal(0, 4, BOXES.shape)
        doubt = rng.uniform(1, 5, (2, 1))
        motion.correct(np.array([1, 0]), boxes[::-1], doubt[::-1])
        for one, box, much in zip(textbook, boxes, doubt[:, 0], strict=True):
            one.correct(box, much)
        assert_same(motion, textbook)


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_a_prediction_does_not_depend_on_the_frame_rate(steps):
    whole, _ = filters()
    whole.predict(0.6)
    parts, _ = filters()
    for _ in range(steps):
        parts.predict(0.6 / steps)
    for name, column in vars(whole).items():
        np.testing.assert_allclose(getattr(parts, name), column, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("rate_hz", [3, 10, 25, 60])
def test_it_learns_a_steady_velocity(rate_hz):
    motion = Motion()
    motion.add(BOXES, np.zeros((2, 2)), np.full((2, 2), 1e5))
    velocity = np.array([[120.0, -30.0], [-200.0, 0.0]])
    for frame in range(1, 3 * rate_hz):
        motion.predict(1 / rate_hz)
        moved = BOXES + np.tile(velocity, 2) * frame / rate_hz
        motion.correct(np.arange(2), moved, np.ones((2, 1)))
    np.testing.assert_allclose(motion.velocity, velocity, atol=2)
    motion.predict(0.5)
    np.testing.assert_allclose(motion.boxes, moved + np.tile(velocity, 2) * 0.5, atol=2)


def test_a_doubtful_box_moves_a_track_less():
    sure, _ = filters()
    doubting, _ = filters()
    for motion, doubt in ((sure, 1.0), (doubting, 10.0)):
        motion.predict(0.1)
        motion.correct(np.array([0]), BOXES[:1] + 20, np.array([[doubt]]))
    predicted = BOXES[0, 0] + 3.0
    assert predicted < doubting.boxes[0, 0] < sure.boxes[0, 0] < BOXES[0, 0] + 20


def test_tracks_that_are_kept_are_the_same():
    motion, _ = filters()
    motion.predict(0.1)
    before = {name: column[1:].copy() for name, column in vars(motion).items()}
    motion.keep(np.array([False, True]))
    assert len(motion) == 1
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(motion, name), column)
