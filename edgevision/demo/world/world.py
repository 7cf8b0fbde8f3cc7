"""A world: a camera before a scene that changes with time. Every moment of it can be rendered, with its truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from edgevision.demo.camera import Camera, Light, Pose, depth, project
from edgevision.demo.hands import SKINS, Hand, paint_hand
from edgevision.demo.lens import Lens, smear_kernel, through
from edgevision.demo.products import LISTED, Product
from edgevision.demo.raster import Solid, paint_solid, solid
from edgevision.demo.scene import sample_lens
from edgevision.demo.world.order import far_first
from edgevision.demo.world.surfaces import Surface, cast_shadow, paint_surface
from edgevision.demo.world.truth import Crossing, Owners, Snapshot
from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.tasks.results import Label

LABELS: tuple[Label, ...] = tuple(Label(place, product.name) for place, product in enumerate(LISTED))
"""The classes of every world: the catalogue."""
MIN_PX = 32
_NEAREST_CM = 10.0  # no camera of a world is that near to what it shows
_FINGER_CM = 1.9
_ARM = 40.0  # widths of a finger: out of every frame
_PLACES = {product: place for place, product in enumerate(LISTED)}


@dataclass(frozen=True)
class Item:
    """A product of the catalogue in its pose. ``id`` stays the same while it moves."""

    id: int
    product: Product
    pose: Pose

    @property
    def label(self) -> int:
        """Its class."""
        return _PLACES[self.product]


@dataclass(frozen=True)
class Smear:
    """What moves while the shutter is open: ``length_px`` along ``angle`` (degrees, y down)."""

    length_px: float
    angle: float


@dataclass(frozen=True)
class Layer:
    """Things that lie behind all of the next layer: ``surfaces`` in painting order, then ``items`` before them.

    ``smear``: of all that this layer paints.
    """

    surfaces: tuple[Surface, ...] = ()
    items: tuple[Item, ...] = ()
    smear: Smear | None = None


@dataclass(frozen=True, eq=False)
class _Painted:
    """Layers as painted, and whose the pixels are."""

    layers: tuple[Layer, ...]
    frame: ImageArray
    owners: Owners


class World(ABC):
    """A seeded scene. What happens in it depends on the seed and the time alone, never on which frames were rendered
    before: cameras of any rate, and dropped frames, see the same events.

    >>> from edgevision.demo.world.worlds import make_world
    >>> make_world("tray", seed=1, height=240, width=320).at(2.0).frame.shape
    (240, 320, 3)
    """

    _KEY: ClassVar[int]  # keeps the seeds of the scenes apart

    def __init__(self, seed: int, height: int = 480, width: int = 640) -> None:
        if min(height, width) < MIN_PX:
            raise InputError(f"a frame has at least {MIN_PX}×{MIN_PX} pixels, got {height}×{width}")
        self.seed, self.height, self.width = seed, height, width
        self.rng = np.random.default_rng((self._KEY, seed))
        self.lens = _sample_lens(self.rng)
        self.camera, self.light = self._view()
        self.matrix, self.eye = self.camera.matrix(height, width), self.camera.position
        self._ground: _Painted | None = None
        self._last: _Painted | None = None

    @abstractmethod
    def _view(self) -> tuple[Camera, Light]:
        """Where the camera and the lamp are."""

    def reaching_hand(self, point_cm: tuple[float, float, float], away: float) -> Hand:
        """A hand at a point of the scene, or a share ``away`` of the way back below the frame's lower edge."""
        at = (project(self.matrix, np.array(point_cm)) + 0.5) / (self.width, self.height)
        home = np.array([0.5 + 0.6 * (at[0] - 0.5), 1.35])
        tip = at + away**1.5 * (home - at)
        towards = (at - home) * (self.width, self.height)
        size = _FINGER_CM * self.camera.zoom / self.camera.distance_cm
        angle = float(np.degrees(np.arctan2(towards[1], towards[0])))
        skin, fingers = self.seed % len(SKINS), 3 + self.seed % 2
        return Hand((float(tip[0]), float(tip[1])), angle, size, fingers, 0.3, skin, arm=_ARM)

    @abstractmethod
    def layers(self, time_s: float) -> tuple[Layer, ...]:
        """What is where, the farthest layer first. The same things should come as the same objects: they are kept."""

    def hands(self, time_s: float) -> tuple[Hand, ...]:
        """Hands before all layers."""
        return ()

    def crossings(self, until_s: float) -> tuple[Crossing, ...]:
        """What passed the counting line from the start up to ``until_s``, in order."""
        return ()

    def at(self, time_s: float) -> Snapshot:
        """The frame of one moment, with its truth. ``time_s`` is 0 or more."""
        if not time_s >= 0:
            raise InputError(f"the time in a world is 0 s or more, got {time_s}")
        painted = self._painted(self.layers(time_s))
        frame, owners = painted.frame, painted.owners
        if hands := self.hands(time_s):
            frame, owners = frame.copy(), owners.copy()
            for hand in hands:
                owners.hide(paint_hand(frame, hand))
        lens = replace(self.lens, grain=self.lens.grain + round(1000 * time_s))
        return Snapshot(through(frame, lens), time_s, tuple(owners.seen()), self.crossings(time_s))

    def frames(self, count: int, *, fps: float = 15.0, start_s: float = 0.0) -> Iterator[Snapshot]:
        """``count`` moments, ``fps`` in a second."""
        if count < 1 or not fps > 0:
            raise InputError(f"expected at least 1 frame and more than 0 frames a second, got {count} and {fps}")
        for index in range(count):
            yield self.at(start_s + index / fps)

    def _painted(self, layers: tuple[Layer, ...]) -> _Painted:
        """All layers. The last frame is kept, and so is the first layer: cameras see the same scene for long."""
        if self._last is not None and self._last.layers == layers:
            return self._last
        if self._ground is None or self._ground.layers != layers[:1]:
            empty = np.full((self.height, self.width, 3), 60, np.uint8)
            self._ground = _Painted(layers[:1], empty, Owners(self.height, self.width))
            self._paint(layers[0], self._ground.frame, self._ground.owners)
        self._last = _Painted(layers, self._ground.frame.copy(), self._ground.owners.copy())
        for layer in layers[1:]:
            self._paint(layer, self._last.frame, self._last.owners)
        return self._last

    def _paint(self, layer: Layer, frame: ImageArray, owners: Owners) -> None:
        touched = np.zeros(frame.shape[:2], np.uint8)
        for surface in layer.surfaces:
            coverage = paint_surface(frame, surface, self.matrix)
            owners.hide(coverage)
            np.maximum(touched, coverage, out=touched)
        posed = [(item, solid(item.product).posed(item.pose)) for item in layer.items]
        near = [(item, body) for item, body in posed if self._in_view(body)]
        turns = [item.pose.rotation() for item, _ in near]
        for place in far_first([body for _, body in near], turns, self.matrix, self.eye):
            item, body = near[place]
            cast_shadow(frame, body, item.pose.lift, self.matrix, self.light)
            outline = paint_solid(frame, body, self.matrix, self.eye, self.light)
            owners.add(item.id, item.label, outline)
            rows, columns, inside = outline.within(self.height, self.width)
            np.maximum(touched[rows, columns], inside, out=touched[rows, columns])
        if layer.smear is not None and layer.smear.length_px > 1:
            _smear(frame, touched, layer.smear)

    def _in_view(self, body: Solid) -> bool:
        """Whether it or its shadow, which is shorter than a fifth of the frame, can be in the frame.

        What is not wholly before the camera is not: it is under the camera or behind it, and has no place among the pixels.
        """
        if depth(self.matrix, body.points).min() < _NEAREST_CM:
            return False
        pixels = project(self.matrix, body.points)
        bounds = np.array([self.width, self.height])
        inside = (pixels.max(axis=0) > -0.2 * bounds) & (pixels.min(axis=0) < 1.2 * bounds)
        return bool(inside.all())


def _smear(frame: ImageArray, touched: ImageArray, smear: Smear) -> None:
    kernel = smear_kernel(smear.length_px, smear.angle)
    reached = cv2.dilate(touched, (kernel > 0).astype(np.uint8))
    cv2.copyTo(cv2.filter2D(frame, -1, kernel), reached, frame)


def _sample_lens(rng: np.random.Generator) -> Lens:
    """A camera on a stand: never shaken, and nearly in focus."""
    return replace(
        sample_lens(rng), motion=0.0, focus=float(rng.uniform(0.3, 1.1)), noise=float(rng.uniform(0.8, 3.5)),
        exposure=float(np.exp(rng.normal(0.03, 0.09))), vignette=float(rng.uniform(0, 0.25)),
        slope=float(rng.uniform(0, 0.15)), jpeg=int(rng.integers(70, 96)),
    )  # fmt: skip
