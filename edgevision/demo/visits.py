"""One place before one camera, as at a till: empty, then a product, then empty again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgevision.demo.products import LISTED, Product
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.errors import InputError
from edgevision.frames import ImageArray

_EMPTY_S, _LIES_S = 1.0, 1.6  # enough to learn the empty place, and to be recognised with patience


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame, H×W×3 uint8 BGR, ``at_s`` seconds after the first; and the product that lies there."""

    frame: ImageArray
    at_s: float
    product: Product | None


def visits(seed: int, count: int, fps: float = 15.0) -> Iterator[Moment]:
    """So many listed products, one after the other. The same seed always gives the same frames; each has its own noise.

    >>> [moment.product.name for moment in visits(seed=1, count=2) if moment.product][::24]  # doctest: +SKIP
    ['Cola Zero', 'Oat Drink']
    """
    if count < 1 or not fps > 0:
        raise InputError(f"a place has at least 1 visit and a frame rate over 0, got {count} and {fps!r}")
    rng = np.random.default_rng((0x7111, seed))
    products = [LISTED[int(i)] for i in rng.permutation(len(LISTED))]
    first = sample_scene(rng, SceneKind.LISTED, product=products[0])
    place = replace(first, others=(), hand=None, pose=replace(first.pose, lift=0.0))
    number = 0
    for visit in range(count + 1):
        product = products[visit % len(products)]
        pose = replace(place.pose, yaw=place.pose.yaw + float(rng.normal(0, 10)))
        there = replace(place, product=product, pose=pose)
        empty = replace(place, kind=SceneKind.EMPTY, product=None)
        for scene, seconds in ((empty, _EMPTY_S), (there, _LIES_S if visit < count else 0.0)):
            for _ in range(round(seconds * fps)):
                noisy = replace(scene, lens=replace(scene.lens, grain=scene.lens.grain + number))
                yield Moment(render(noisy), number / fps, scene.product)
                number += 1
