"""Simulated conveyor scenes: where products truly are, and what a detector would say of them.

No pictures: boxes, with a detector's faults. Corners tremble; products are missed, alone and for several frames; those that are
half covered have smaller boxes and low scores, and none when they are covered; there are boxes without a product, some of them
again and again at one place; some products have two boxes; some classes are wrong. All from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 1280, 720
LINE_X = WIDTH / 2
CLASSES = 10
SIMULATED_HZ = 100  # the world's own rate: belts start and stop between frames

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lane:
    """Products on one belt. ``direction``: 1 to the right, −1 to the left; the belt moves ``travel(t)`` pixels up to time t."""

    direction: int
    places: Floats  # [n]: how far before its entry each product is at time 0, in pixels
    heights: Floats  # [n]: y of the centre
    sizes: Floats  # [n, 2]: width and height
    classes: Ints  # [n]
    times: Floats  # [k]: travel as a line through these points
    distances: Floats  # [k]

    def centers(self, time_s: float) -> Floats:
        """x and y of every product, [n, 2]: also of those that are not in the picture."""
        x = np.interp(time_s, self.times, self.distances) - self.places
        return np.stack([x if self.direction > 0 else WIDTH - x, self.heights], axis=1)


@dataclass(frozen=True)
class Scene:
    """Some lanes under one camera, for ``seconds``. ``covers``: x1 y1 x2 y2 of what hides products, [n, 4], and when, [n, 2]."""

    seed: int
    lanes: tuple[Lane, ...]
    seconds: float
    covers: Floats
    cover_times: Floats
    reflections: Floats  # [n, 4]: boxes without a product that come again and again
    faults: float  # how many faults the detector makes; 1 = the usual

    @property
    def crossings(self) -> tuple[int, int]:
        """How many products truly cross the line to the right and to the left: all, and each once."""
        right = sum(len(lane.places) for lane in self.lanes if lane.direction > 0)
        left = sum(len(lane.places) for lane in self.lanes if lane.direction < 0)
        return right, left


@dataclass(frozen=True)
class Moment:
    """One frame. ``truth_*``: products in the picture; the rest is what the detector says."""

    time_s: float
    truth_ids: Ints
    truth_boxes: Floats
    boxes: Floats
    scores: Floats
    classes: Ints


def make_scene(seed: int) -> Scene:
    """One to three belts with 2 to 5 products each, at 250 to 450 pixels a second, which start and stop."""
    rng = np.random.default_rng((1, seed))
    count = int(rng.integers(1, 4))
    band = HEIGHT / count
    lanes = tuple(_make_lane(rng, (place + 0.5) * band, band) for place in range(count))
    seconds = max(float(lane.times[-1]) for lane in lanes)
    posts = int(rng.integers(0, 3))
    left = rng.uniform(100, WIDTH - 200, posts)
    widths = rng.uniform(20, 80, posts)
    covers = np.stack([left, np.zeros(posts), left + widths, np.full(posts, HEIGHT)], axis=1)
    cover_times = np.tile([0.0, seconds], (posts, 1))
    hands = int(rng.integers(0, 4))
    corner = rng.uniform((0, 0), (WIDTH - 200, HEIGHT - 200), (hands, 2))
    begin = rng.uniform(0, seconds, hands)
    covers = np.concatenate([covers, np.concatenate([corner, corner + rng.uniform(80, 200, (hands, 2))], axis=1)])
    cover_times = np.concatenate([cover_times, np.stack([begin, begin + rng.uniform(0.2, 0.8, hands)], axis=1)])
    shiny = int(rng.integers(0, 3)) if rng.random() < 0.3 else 0
    corner = rng.uniform((0, 0), (WIDTH - 150, HEIGHT - 150), (shiny, 2))
    reflections = np.concatenate([corner, corner + rng.uniform(40, 120, (shiny, 2))], axis=1)
    return Scene(seed, lanes, seconds, covers, cover_times, reflections, float(rng.uniform(0.3, 1.7)))


def _make_lane(rng: np.random.Generator, middle: float, band: float) -> Lane:
    count = int(rng.integers(2, 6))
    sizes = rng.uniform(50, min(150, band * 0.7), (count, 2))
    gaps = rng.uniform(0.25, 2.5, count) * sizes.mean()
    places = np.cumsum(sizes[:, 0] + gaps)
    speed = rng.uniform(250, 450)
    times, distances = [0.0], [0.0]
    way = places[-1] + WIDTH + sizes.max()
    while distances[-1] < way:
        run = float(rng.uniform(1.5, 6))
        times.append(times[-1] + run)
        distances.append(distances[-1] + run * speed)
        if rng.random() < 0.3:  # it stops
            times.append(times[-1] + float(rng.uniform(0.3, 2)))
            distances.append(distances[-1])
    heights = middle + rng.uniform(-0.12, 0.12, count) * band
    kinds = rng.integers(0, CLASSES, count)
    direction = 1 if rng.random() < 0.6 else -1
    return Lane(direction, places, heights, sizes, kinds, np.array(times), np.array(distances))


def frame_times(scene: Scene, rate_hz: float, dropped: float = 0.0) -> Floats:
    """When a camera takes its frames: ``rate_hz`` a second, of which a share is dropped at random."""
    rng = np.random.default_rng((2, scene.seed))
    times = np.arange(0, scene.seconds, 1 / rate_hz)
    return times[rng.random(len(times)) >= dropped]


def watch(scene: Scene, times: Floats) -> list[Moment]:
    """What is there, and what the detector says, in each frame."""
    rng = np.random.default_rng((3, scene.seed, len(times)))
    sizes = np.concatenate([lane.sizes for lane in scene.lanes])
    kinds = np.concatenate([lane.classes for lane in scene.lanes])
    missed_until = np.full(len(sizes), -1.0)
    moments = []
    before = 0.0
    for time_s in times.tolist():
        centers = np.concatenate([lane.centers(time_s) for lane in scene.lanes])
        full = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        boxes = np.clip(full, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
        inside = area > 0.3 * np.prod(sizes, axis=1)
        active = (scene.cover_times[:, 0] <= time_s) & (time_s <= scene.cover_times[:, 1])
        seen, visible = _uncovered(boxes, scene.covers[active])
        # Bursts of misses, as often and as long in seconds at every rate.
        starts = rng.random(len(sizes)) < 0.05 * scene.faults * (time_s - before)
        missed_until[starts] = time_s + rng.uniform(0.1, 0.5, int(starts.sum()))
        before = time_s
        found = inside & (visible > 0.35) & (time_s > missed_until) & (rng.random(len(sizes)) > 0.04 * scene.faults)
        moments.append(
            Moment(time_s, np.flatnonzero(inside), boxes[inside],
                   *_detections(rng, scene, seen[found], visible[found], kinds[found]))
        )  # fmt: skip
    return moments


def _uncovered(boxes: Floats, covers: Floats) -> tuple[Floats, Floats]:
    """The boxes without what covers hide of them from one side, and the share that is left."""
    seen = boxes.copy()
    for x1, y1, x2, y2 in covers.tolist():
        touched = (seen[:, 1] < y2) & (seen[:, 3] > y1) & (seen[:, 0] < x2) & (seen[:, 2] > x1)
        left, right = np.maximum(x1 - seen[:, 0], 0), np.maximum(seen[:, 2] - x2, 0)
        # A box that shows on both sides of a narrow thing is found as a whole.
        both = (left > 0) & (right > 0)
        hide_left, hide_right = touched & ~both & (right > left), touched & ~both & (left >= right)
        seen[hide_left, 0] = np.minimum(x2, seen[hide_left, 2])
        seen[hide_right, 2] = np.maximum(x1, seen[hide_right, 0])
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    return seen, np.prod(np.maximum(seen[:, 2:] - seen[:, :2], 0), axis=1) / np.maximum(area, 1)


def _detections(
    rng: np.random.Generator, scene: Scene, boxes: Floats, visible: Floats, kinds: Ints
) -> tuple[Floats, Floats, Ints]:
    """What the detector makes of visible boxes."""
    n = len(boxes)
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))[:, None]
    boxes = boxes + rng.normal(0, 0.03 * scene.faults, (n, 4)) * size
    scores = np.clip(rng.normal(0.85, 0.08, n) - 0.8 * (1 - visible), 0.06, 0.99)
    kinds = np.where(rng.random(n) < 0.05, rng.integers(0, CLASSES, n), kinds)
    twice = rng.random(n) < 0.02 * scene.faults
    extra = [boxes[twice] + rng.normal(0, 0.15, (int(twice.sum()), 4)) * size[twice]]
    shown = rng.random(len(scene.reflections)) < 0.3
    extra.append(scene.reflections[shown] + rng.normal(0, 3, (int(shown.sum()), 4)))
    false = int(rng.poisson(0.25 * scene.faults))
    corner = rng.uniform((0, 0), (WIDTH - 150, HEIGHT - 150), (false, 2))
    extra.append(np.concatenate([corner, corner + rng.uniform(40, 150, (false, 2))], axis=1))
    wrong = np.concatenate(extra)
    boxes = np.concatenate([boxes, wrong])
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    scores = np.concatenate([scores, rng.uniform(0.1, 0.8, len(wrong))])
    kinds = np.concatenate([kinds, rng.integers(0, CLASSES, len(wrong))])
    return np.concatenate([low, high], axis=1), scores, kinds
