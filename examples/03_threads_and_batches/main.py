"""Threads and batches: which of them help, measured on this machine.

python examples/03_threads_and_batches/main.py [BUNDLE]
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import edgevision as ev
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.machine import usable_cores

PHOTOS = 16


def main(bundle: str = "runs/demo/model.edge") -> None:
    rng = np.random.default_rng(5)
    pictures = [render(sample_scene(rng, SceneKind.LISTED)) for _ in range(PHOTOS)]
    answers = {}

    # 1. Engine threads: how many cores one run may use. Best for the latency of a single photo.
    for threads in sorted({1, usable_cores()}):
        with ev.load(bundle, threads=threads) as model:
            model.predict(pictures[0])  # the first call is slower
            started = time.perf_counter()
            answers[f"{threads} threads"] = [model.predict(picture) for picture in pictures]
            report(f"one by one, {threads} engine threads", started)

    # 2. A list runs in batches of up to max_batch. Less work for each photo, later for the first one.
    with ev.load(bundle, max_batch=8) as model:
        model.predict(pictures)
        started = time.perf_counter()
        answers["batches"] = model.predict(pictures)
        report("a list, batches of 8", started)

    # 3. Many callers on one model: it may be called from any number of threads at once.
    with ev.load(bundle, threads=1) as model, ThreadPoolExecutor(usable_cores()) as callers:
        model.predict(pictures[0])
        started = time.perf_counter()
        answers["callers"] = list(callers.map(model.predict, pictures))
        report(f"{usable_cores()} callers, 1 engine thread each", started)

    names = [[result.best.name for result in results] for results in answers.values()]
    print(f"the same answers each time: {all(found == names[0] for found in names)}")


def report(what: str, started: float) -> None:
    """Say how long a photo took."""
    print(f"{what}: {1e3 * (time.perf_counter() - started) / PHOTOS:.2f} ms a photo")


if __name__ == "__main__":
    main(*sys.argv[1:])
