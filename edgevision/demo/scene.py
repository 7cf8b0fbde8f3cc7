"""Scenes: everything about a frame as a value, drawn at random from a seed, and rendered with its truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.backdrops import VARIANTS, Backdrop, Place, paint_backdrop
from edgevision.demo.camera import Box, Camera, Light, Placed, Pose, box_of, paint, place, project
from edgevision.demo.hands import SKINS, Hand, paint_hand
from edgevision.demo.lens import Lens, through
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Product, Shape, unlisted
from edgevision.frames import ImageArray

FRAME_PX = 320
UNLISTED_DESIGNS = 400


class SceneKind(Enum):
    """``LISTED``: a product of the catalogue; ``UNLISTED``: one that is not; ``EMPTY``: none."""

    LISTED = "listed"
    UNLISTED = "unlisted"
    EMPTY = "empty"


@dataclass(frozen=True)
class Scene:
    """A frame before it is drawn. ``others``: packages at the edge of the view; ``side_px``: of the square frame."""

    kind: SceneKind
    camera: Camera
    backdrop: Backdrop
    product: Product | None = None
    pose: Pose = field(default_factory=Pose)
    others: tuple[tuple[Product, Pose], ...] = ()
    hand: Hand | None = None
    light: Light = field(default_factory=Light)
    lens: Lens = field(default_factory=Lens)
    side_px: int = FRAME_PX

    @property
    def label(self) -> int | None:
        """The class, None for what is not listed."""
        return LISTED.index(self.product) if self.kind is SceneKind.LISTED and self.product else None


@dataclass(frozen=True, eq=False)
class Rendered:
    """``frame``: S×S×3 BGR uint8; ``coverage``: of the product before hands and neighbours, S×S uint8, 255 = full;
    ``box``: around the whole product in pixels, as projected (it may reach out of the frame); None without a product."""

    frame: ImageArray
    coverage: npt.NDArray[np.uint8]
    box: Box | None


def render(scene: Scene) -> ImageArray:
    """The frame of ``scene``: S×S×3 BGR uint8. The same scene always gives the same frame."""
    return render_with_truth(scene).frame


def render_with_truth(scene: Scene) -> Rendered:
    """The frame, and where the product is in it."""
    frame = paint_backdrop(scene.side_px, scene.camera, scene.backdrop)
    placed = place(package(scene.product), scene.pose) if scene.product else None
    # Far to near; only the product itself counts for coverage.
    items = [(place(package(product), pose), pose) for product, pose in scene.others]
    if placed:
        items.append((placed, scene.pose))
    items.sort(key=lambda item: -float(np.linalg.norm(item[0].points.mean(axis=0) - scene.camera.position)))
    for item, pose in items:
        if pose.lift < 3:
            _cast_shadow(frame, item, scene)
    cv2.GaussianBlur(frame, (0, 0), max(0.3, 0.0025 * scene.side_px), dst=frame)
    coverage = np.zeros(frame.shape[:2], np.uint8)
    for item, _ in items:
        drawn = paint(frame, item, scene.camera, scene.light)
        coverage = drawn if item is placed else coverage
    if scene.hand:
        paint_hand(frame, scene.hand)
    box = box_of(project(scene.camera.matrix(scene.side_px), placed.points)) if placed else None
    return Rendered(through(frame, scene.lens), coverage, box)


def _cast_shadow(frame: ImageArray, placed: Placed, scene: Scene) -> None:
    """Darken the ground where the lamp does not reach, and more where the package touches it."""
    small = scene.side_px // 2
    matrix, points = scene.camera.matrix(small), placed.points
    towards = scene.light.direction
    thrown = points - towards * (points[:, 2:] / max(0.25, towards[2]))
    thrown[:, 2] = 0
    touching = points[points[:, 2] < points[:, 2].min() + 1.2] * np.array([1, 1, 0])
    shade = np.ones((small, small), np.float32)
    darkness = min(0.6, 0.75 * scene.light.strength)
    for foot, strength, blur in ((thrown, darkness, 0.018), (touching, 0.45, 0.01)):
        hull = cv2.convexHull(project(matrix, foot).astype(np.float32))
        mask = np.zeros((small, small), np.uint8)
        cv2.fillConvexPoly(mask, np.round(hull * 16).astype(np.int32), 255, cv2.LINE_AA, shift=4)
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.5, blur * small))
        shade *= 1 - strength / 255 * soft.astype(np.float32)
    large = cv2.resize(shade, (scene.side_px, scene.side_px), interpolation=cv2.INTER_LINEAR)
    frame[...] = frame * large[..., None]


# ---- chance ----

_PLACES = tuple(Place)
_FLAT = (Shape.POUCH, Shape.BAG)


def sample_scene(rng: np.random.Generator, kind: SceneKind, *, product: Product | None = None,
                 side_px: int = FRAME_PX) -> Scene:  # fmt: skip
    """A scene of ``kind`` at random; of ``product`` where one is given."""
    if kind is SceneKind.LISTED and product is None:
        product = LISTED[int(rng.integers(len(LISTED)))]
    elif kind is SceneKind.UNLISTED and product is None:
        product = unlisted(int(rng.integers(UNLISTED_DESIGNS)))
    spot = _PLACES[int(rng.choice(len(_PLACES), p=(0.3, 0.2, 0.2, 0.15, 0.15)))]
    held = product is not None and spot is not Place.SHELF and rng.uniform() < 0.2
    camera, pose = _view(rng, spot, product, held)
    backdrop = Backdrop(
        spot,
        int(rng.integers(VARIANTS)),
        float(
            rng.uniform(-12, 12)
            if spot in (Place.TRAY, Place.BELT)
            else 0
            if spot is Place.SHELF
            else rng.uniform(0, 360)
        ),
        (float(rng.uniform(-5, 5)), float(rng.uniform(-5, 5))),
        float(rng.uniform(9, 14) if spot is Place.SHELF else rng.uniform(45, 90)),
    )
    others = () if held or rng.uniform() > (0.6 if spot is Place.SHELF else 0.25) else _neighbours(rng, spot, product)
    return Scene(kind, camera, backdrop, product, pose, others, _hand(rng, product is not None, held), sample_light(rng), sample_lens(rng),
                 side_px)  # fmt: skip


def _view(rng: np.random.Generator, spot: Place, product: Product | None, held: bool) -> tuple[Camera, Pose]:
    low, high = {Place.TRAY: (38, 72), Place.BELT: (24, 60), Place.SHELF: (4, 20)}.get(spot, (14, 60))
    elevation, azimuth = float(rng.uniform(low, high)), float(rng.normal(0, 8))
    zoom = float(rng.uniform(1.15, 1.8))
    if product is None:
        return Camera((0, 0, 5), 44 * zoom, azimuth, elevation, float(rng.normal(0, 4)), zoom), Pose()
    yaw = float(np.clip(rng.normal(0, 24), -60, 60))
    lying = spot is not Place.SHELF and rng.uniform() < (0.75 if product.shape in _FLAT else 0.3) * (elevation > 30)
    pitch, roll, lift = (90.0, 0.0, 0.0) if lying else (0.0, 0.0, 0.0)
    if lying:
        yaw = float(rng.normal(0, 35))
    if held:
        pitch, roll, lift = (
            float(v) for v in (rng.uniform(-5, 0.8 * elevation), rng.normal(0, 12), rng.uniform(6, 14))
        )
    pose = Pose(yaw, pitch, roll, float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5)), lift)
    size = package(product).size
    middle = lift + (size[1] if lying else size[2]) / 2
    # The package's larger side takes this share of the frame.
    fill = float(rng.uniform(0.6, 0.95))
    distance = zoom * (max(size[2], 1.1 * math.hypot(size[0], size[1])) / fill)
    target = (float(rng.normal(0, 0.05)) * size[2], float(rng.normal(0, 0.05)) * size[2], middle)
    return Camera(target, distance + 4, azimuth, elevation, float(rng.normal(0, 4)), zoom), pose


def _neighbours(rng: np.random.Generator, spot: Place, product: Product | None) -> tuple[tuple[Product, Pose], ...]:
    """Packages beside the product; none of them is listed, so that the label stays true."""
    others = []
    reach = 13.0 if product is None else package(product).size[0] / 2 + 1.5
    for sign in (-1, 1):
        if rng.uniform() < 0.6:
            other = unlisted(int(rng.integers(UNLISTED_DESIGNS)))
            size = package(other).size
            back = 0.0 if spot is Place.SHELF else float(rng.uniform(-3, 6))
            x = sign * (reach + size[0] / 2 + float(rng.uniform(0, 4)))
            others.append((other, Pose(float(rng.normal(0, 12)), 0.0, 0.0, x, back)))
    return tuple(others)


def _hand(rng: np.random.Generator, product: bool, held: bool) -> Hand | None:
    if not held and rng.uniform() > (0.15 if product else 0.2):
        return None
    side = (-1.0, 1.0)[int(rng.integers(2))]
    reach = float(rng.uniform(0.16, 0.26) if held else rng.uniform(0.2, 0.34))
    at = (0.5 + side * reach, float(rng.uniform(0.45, 0.75)))
    angle = (0.0 if side < 0 else 180.0) + float(rng.normal(0, 16))
    return Hand(at, angle, float(rng.uniform(0.05, 0.08)), int(rng.integers(3, 5)),
                float(rng.uniform(0.1, 0.5)), int(rng.integers(len(SKINS))))  # fmt: skip


def sample_light(rng: np.random.Generator) -> Light:
    """A lamp somewhere before the scene, at random."""
    strength = float(rng.uniform(0.3, 0.75))
    return Light(
        float(rng.uniform(-110, 110)),
        float(rng.uniform(30, 80)),
        float(rng.uniform(0.95, 1.08)) - 0.75 * strength,
        strength,
    )


def sample_lens(rng: np.random.Generator) -> Lens:
    """A camera at random, one in five of them shaken."""
    warmth = float(rng.normal(0, 0.05))  # warm light has more red and less blue
    shaken = rng.uniform() < 0.2
    return Lens(
        exposure=float(np.exp(rng.normal(0, 0.16))),
        gains=(1 - warmth, 1.0 + float(rng.normal(0, 0.015)), 1 + warmth),
        slope=float(rng.uniform(0, 0.22)),
        slope_angle=float(rng.uniform(0, 360)),
        vignette=float(rng.uniform(0, 0.4)),
        focus=float(rng.uniform(0.5, 2.5) if rng.uniform() < 0.8 else rng.uniform(2.5, 6.0)),
        motion=float(rng.uniform(8, 30)) if shaken else 0.0,
        motion_angle=float(rng.uniform(0, 180)),
        noise=float(rng.uniform(1, 7)),
        grain=int(rng.integers(2**31)),
        jpeg=int(rng.integers(45, 95)),
    )
