"""Cameras that send JPEGs: how many pictures are decoded for each frame that is served, and how many are served.

    PYTHONPATH=. python -m benchmarks.stream_pictures [--cameras 8 16 64] [--rounds 3] [--beside ../another-checkout]

Frames of 1280×720, 15 a second of each camera, through ``edgevision.stream`` to a small classifier that takes a millisecond, so that decoding is
what costs. ``--beside``: a checkout of another version of this repository, in turns with this one, each run in a process of its own: on a machine
that does other work besides, only their ratio tells something. Decodes are counted, and need no quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

FPS = 15.0
SIZE = (1280, 720)
PICTURES = 16  # different ones, that all cameras give in turns
SIDE = 128  # of the network's input, pixels


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cameras", type=int, nargs="+", default=(8, 16, 64))
    p.add_argument("--seconds", type=float, default=5.0, help="of each run (default 5)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--beside", type=Path, help="another checkout of this repository")
    p.add_argument("--once", type=Path, metavar="BUNDLE", help=argparse.SUPPRESS)
    arguments = p.parse_args()
    if arguments.once is not None:
        print(json.dumps(run(arguments.once, arguments.cameras[0], arguments.seconds)))
        return
    from benchmarks.common import ROOT, RUNS, write_result
    from benchmarks.growth_networks import write_classifier

    bundle = write_classifier(RUNS / "stream-pictures.edge", SIDE, 10)
    versions = {"this": ROOT} | ({} if arguments.beside is None else {"beside": arguments.beside.resolve()})
    runs: dict[str, dict[str, list[Any]]] = {name: {} for name in versions}
    for _ in range(arguments.rounds):
        for cameras in arguments.cameras:
            for name, root in versions.items():
                found = _run_in_process(root, bundle, cameras, arguments.seconds)
                runs[name].setdefault(str(cameras), []).append(found)
                print(name, cameras, found, flush=True)
    shown = {name: {cameras: _middle(found) for cameras, found in each.items()} for name, each in runs.items()}
    print(json.dumps(shown, indent=1))
    write_result("stream-pictures", {"middle": shown, "runs": runs})


def _run_in_process(root: Path, bundle: Path, cameras: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, "--once", bundle, "--cameras", cameras, "--seconds", seconds]
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _middle(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in found) for name in found[0]}


def run(bundle: Path, cameras: int, seconds: float) -> dict[str, float]:
    """Feed cameras for ``seconds``, and count what comes of it."""
    from edgevision.bench.targets import bundle as bundles
    from edgevision.bench.targets.address import parse_address
    from edgevision.bench.targets.base import Allowance
    from edgevision.bench.workload.rendered import render
    from edgevision.machine import usable_cores

    pictures = render(*SIZE, count=PICTURES, encoded=True).frames
    decoded = _count_decodes()
    target = bundles.open(parse_address(str(bundle)), Allowance(threads=usable_cores(), max_batch=8))
    pushed_s: dict[tuple[int, int], float] = {}
    ages_s: list[float] = []
    stream = target.open_stream(
        cameras, FPS, lambda camera, number: ages_s.append(time.monotonic() - pushed_s[camera, number])
    )
    processor_s, begin_s = time.process_time(), time.monotonic()
    for step in range(round(seconds * FPS)):
        for camera in range(cameras):
            due_s = begin_s + (step + camera / cameras) / FPS
            if (left_s := due_s - time.monotonic()) > 0:
                time.sleep(left_s)
            pushed_s[camera, step] = due_s
            stream.push(camera, step, pictures[(step + camera) % PICTURES])
    took_s, served = time.monotonic() - begin_s, len(ages_s)
    processor_s = time.process_time() - processor_s
    stream.close()
    target.close()
    return {
        "served_fps": round(served / took_s, 1),
        "decodes_per_served": round(decoded() / max(1, len(ages_s)), 3),
        "age_p50_ms": round(1e3 * median(ages_s), 1) if ages_s else float("nan"),
        "cores": round(processor_s / took_s, 2),
    }


def _count_decodes() -> Any:
    """Count every picture that is decoded from now on; how many."""
    from edgevision.decode import pictures

    count = [0]
    lock = threading.Lock()
    original = pictures._decode

    def counted(*given: Any) -> Any:
        with lock:
            count[0] += 1
        return original(*given)

    setattr(pictures, "_decode", counted)  # noqa: B010
    return lambda: count[0]


if __name__ == "__main__":
    main()
