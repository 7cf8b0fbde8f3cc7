"""How products come to lie: standing, on a side, on their backs. And how much room they take."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgevision.demo.camera import Pose
from edgevision.demo.products import LISTED, Product, Shape
from edgevision.demo.raster import solid

_ROUND = (Shape.CAN, Shape.TIN, Shape.BOTTLE, Shape.JAR)
_SOFT = (Shape.BAG, Shape.POUCH)
# How often a product lies, of those put down anyhow.
_LIES = {Shape.BAG: 1.0, Shape.POUCH: 0.75, Shape.BOX: 0.9, Shape.CHEST: 0.3, Shape.CAN: 0.35, Shape.JAR: 0.2}


def any_product(rng: np.random.Generator) -> Product:
    """One of the catalogue."""
    return LISTED[int(rng.integers(len(LISTED)))]


def dropped(rng: np.random.Generator, product: Product) -> Pose:
    """As somebody puts it down without a thought: standing or lying, turned anyhow."""
    if rng.uniform() < _LIES.get(product.shape, 0.65):
        return lying(rng, product)
    return Pose(float(rng.uniform(0, 360)))


def lying(rng: np.random.Generator, product: Product) -> Pose:
    """On any side, turned anyhow: round products rolled anyhow, boxes by quarters, bags on front or back."""
    yaw = float(rng.uniform(0, 360))
    if product.shape in _ROUND:
        return Pose(yaw, 90.0, float(rng.uniform(0, 360)))
    quarters = (0, 180) if product.shape in _SOFT else (0, 90, 180, 270)
    return Pose(yaw, 90.0, float(quarters[int(rng.integers(len(quarters)))]))


def upright(rng: np.random.Generator, *, spread: float = 5.0) -> Pose:
    """Standing with its front to the viewer, ``spread`` degrees askew."""
    return Pose(float(rng.normal(0, spread)))


@lru_cache(maxsize=1024)
def room_of(product: Product, pose: Pose) -> tuple[float, float, float]:
    """Width, depth and height (cm) of the upright box around the product in that pose."""
    points = solid(product).posed(pose).points
    width, depth, height = points.max(axis=0) - points.min(axis=0)
    return float(width), float(depth), float(height)
