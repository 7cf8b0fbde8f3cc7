"""Unknown products: a model that says "I don't know", and what its threshold lets through.

python examples/04_unknown_products/main.py [BUNDLE]

A product counts as known when its best score reaches the threshold. A bundle stores one, which `compile` fitted so that
95 % of right answers stay above it (--true-accept-rate). A higher one lets fewer strangers through, and fewer products.
"""

from __future__ import annotations

import sys

import numpy as np

import edgevision as ev
from edgevision.demo.products import LISTED
from edgevision.demo.scene import Scene, SceneKind, render, sample_scene

EACH = 20  # pictures of listed products, of unlisted ones, and of empty trays


def main(bundle: str = "runs/demo/model.edge") -> None:
    rng = np.random.default_rng(11)
    scenes = {kind: [sample_scene(rng, kind) for _ in range(EACH)] for kind in SceneKind}

    with ev.load(bundle) as model:
        stored = model.threshold or 0.0
        results = {kind: model.predict([render(scene) for scene in of_kind]) for kind, of_kind in scenes.items()}

    right = [
        result
        for scene, result in zip(scenes[SceneKind.LISTED], results[SceneKind.LISTED], strict=True)
        if result.best.name == name_of(scene)
    ]
    print(f"{len(right)} of {EACH} listed products are named rightly")
    print("threshold | right answers that stay known | strangers taken for known | empty trays taken for known")
    for threshold in sorted({0.0, 0.5, round(stored, 3), 0.99}):
        # The same as loading with ev.load(bundle, threshold=threshold), but the scores are at hand already.
        known = [count(found, threshold) for found in (right, results[SceneKind.UNLISTED], results[SceneKind.EMPTY])]
        mark = "  <- stored in the bundle" if threshold == round(stored, 3) else ""
        print(f"{threshold:9.3f} | {known[0]} of {len(right)} | {known[1]} of {EACH} | {known[2]} of {EACH}{mark}")


def name_of(scene: Scene) -> str | None:
    """The product that a scene shows, by the name that the model has for it."""
    return None if scene.label is None else LISTED[scene.label].name


def count(results: list[ev.Classification], threshold: float) -> int:
    """How many have a best score of at least ``threshold``."""
    return sum(result.best.score >= threshold for result in results)


if __name__ == "__main__":
    main(*sys.argv[1:])
