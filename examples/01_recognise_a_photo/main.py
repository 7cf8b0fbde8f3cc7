"""Recognise one photo.

python examples/01_recognise_a_photo/main.py [BUNDLE [PHOTO]]

Without a photo, one of the demo's products is drawn.
"""

from __future__ import annotations

import sys

import numpy as np

import edgevision as ev
from edgevision.demo.products import LISTED
from edgevision.demo.scene import SceneKind, render, sample_scene


def main(bundle: str = "runs/demo/model.edge", photo: str | None = None) -> None:
    # A picture is a path, the bytes of a file, an H×W×3 uint8 BGR array, or a Frame.
    picture = photo or render(sample_scene(np.random.default_rng(3), SceneKind.LISTED, product=LISTED[0]))

    with ev.load(bundle) as model:  # checks every hash, and runs the golden frames
        result = model.predict(picture)
        print(f"{model.variant.id} with {model.threads} threads, {len(model.labels)} labels")

    if not photo:
        print(f"shown: {LISTED[0].name}")
    if result.known:
        print(f"recognised: {result.best.name} (id {result.best.id}), score {result.best.score:.3f}")
    else:
        print(f"not known; the closest is {result.best.name}, score {result.best.score:.3f}")
    for prediction in result.top[1:3]:
        print(f"  then: {prediction.name}, score {prediction.score:.3f}")
    print(f"prepared in {result.timing.preprocess_ms:.2f} ms, run in {result.timing.infer_ms:.2f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
