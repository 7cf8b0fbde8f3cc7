"""From a camera's frame to boxes: our bundle against Ultralytics' own exports of the same network, in one run.

    python -m benchmarks.detect_speed --peer ENVIRONMENT/bin/python --weights yolo.pt --data data.yaml
    python -m benchmarks.detect_speed --peer ENVIRONMENT/bin/python --definition yolo11n.yaml    # random weights

Preparing, running and selecting boxes: everything that ``predict`` does. Ultralytics exports ONNX and OpenVINO, float and
int8; its ONNX is compiled here, in float and in int8. Both programs are bound to the same one or two cores. They take turns
over the same frames of 1920×1080, in random order; the ratio of each round is ours / theirs, its median has a bootstrap 95 %
interval. ``ENVIRONMENT`` has ultralytics, onnx, onnxslim, onnxruntime, openvino and nncf.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgevision as ev
from benchmarks.common import RUNS, SHARED, edgevision, write_result
from edgevision.latency import Samples, paired_ratio

RESULT = "detect-speed"
FOLDER = RUNS / RESULT
BEVERAGES = SHARED / "data" / "beverages"
FRAMES, HEIGHT, WIDTH = 8, 1080, 1920


class Peer:
    """Ultralytics in its own process; see ``ultralytics_peer.py``."""

    def __init__(self, python: Path) -> None:
        environment = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("ultralytics_peer.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip

    def ask(self, do: str, **request: Any) -> Any:
        """What the function answers. Leaves where the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **request}, default=str), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"the peer ended with status {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def bound_to(cores: int) -> Iterator[None]:
    """This process, and those that it starts meanwhile, on the first ``cores`` cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", type=Path, required=True, help="Python of an environment with ultralytics")
    p.add_argument("--weights", type=Path, help="a checkpoint of Ultralytics (default: random weights)")
    p.add_argument("--definition", default="yolo11n.yaml")
    p.add_argument("--data", type=Path, default=BEVERAGES / "data.yaml")
    p.add_argument("--size", type=int, default=640)
    p.add_argument("--rounds", type=int, default=30)
    arguments = p.parse_args()
    frames = make_frames()
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.save(FOLDER / "frames.npy", frames)
    peer = Peer(arguments.peer)
    exports = peer.ask(
        "export", weights=arguments.weights or "", definition=arguments.definition, classes=2, size=arguments.size,
        data=arguments.data, folder=FOLDER / "peer",
    )  # fmt: skip
    versions = peer.ask("versions")
    peer.close()
    bundles = {
        precision: compile_bundle(Path(exports["onnx"]), precision, arguments.data) for precision in ("int8", "float")
    }
    rows = [row for cores in (1, 2) for row in measure_alone(arguments, exports, bundles, frames, cores)]
    write_result(
        RESULT,
        {
            "weights": arguments.weights,
            "definition": arguments.definition,
            "size": arguments.size,
            "peer_versions": versions,
            "rows": rows,
        },
    )
    print(table(rows))


def make_frames() -> npt.NDArray[np.uint8]:
    """uint8 [FRAMES, HEIGHT, WIDTH, 3], BGR: photos of the data set side by side."""
    import cv2

    photos = sorted((BEVERAGES / "valid" / "images").iterdir())[: 2 * FRAMES]
    pictures = [cv2.resize(cv2.imread(str(photo)), (WIDTH // 2, HEIGHT)) for photo in photos]
    pairs = [np.hstack(pictures[2 * place : 2 * place + 2]) for place in range(FRAMES)]
    return np.stack(pairs).astype(np.uint8)


def compile_bundle(graph: Path, precision: str, data: Path, folder: Path = FOLDER) -> Path:
    """The peer's ONNX as our bundle."""
    bundle = folder / f"{precision}.edge"
    # Whatever it is worth: of random weights int8 and float are equally wrong, and equally quick.
    budget = ("--max-drop", 100, "--max-class-drop", 100, "--force")
    edgevision("compile", graph, "--precision", precision, "--data", data, *budget, "-o", bundle)
    return bundle


def measure_alone(
    arguments: argparse.Namespace, exports: dict[str, str], bundles: dict[str, Path], frames: npt.NDArray[np.uint8], cores: int
) -> list[dict[str, Any]]:  # fmt: skip
    """``measure`` in a process of its own: threads that an engine began on one core would stay there."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, arguments, exports, bundles, frames, cores).result()


def measure(
    arguments: argparse.Namespace, exports: dict[str, str], bundles: dict[str, Path], frames: npt.NDArray[np.uint8], cores: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Everything in turns on ``cores`` cores: a row for each of ours against each of theirs of the same precision."""
    order = random.Random(0)
    with bound_to(cores):
        peer = Peer(arguments.peer)
        theirs = [name for name in exports if name != "pt"]
        for name in theirs:
            peer.ask("open", id=name, model=exports[name], size=arguments.size, frames=FOLDER / "frames.npy")
        models = {f"ours-{name}": ev.load(bundle, threads=cores) for name, bundle in bundles.items()}
        samples: dict[str, list[int]] = {name: [] for name in (*models, *theirs)}
        boxes = {name: [len(model.predict(frame)) for frame in frames] for name, model in models.items()}
        for place in range(-len(frames), arguments.rounds):  # the first are not counted
            frame = place % len(frames)
            for name in order.sample(list(samples), len(samples)):
                if name in models:
                    started = time.perf_counter_ns()
                    models[name].predict(frames[frame])
                    took = time.perf_counter_ns() - started
                else:
                    (took,) = peer.ask("run", id=name, places=[frame])["ns"]
                if place >= 0:
                    samples[name].append(took)
        variants = {name: model.variant.id for name, model in models.items()}
        for model in models.values():
            model.close()
        peer.close()
    return rows_of({name: Samples(np.array(ns)) for name, ns in samples.items()}, variants, boxes, cores)


def rows_of(
    samples: dict[str, Samples], variants: dict[str, str], boxes: dict[str, list[int]], cores: int
) -> list[dict[str, Any]]:
    """Ours against each of theirs."""
    rows = []
    for ours, variant in variants.items():
        for theirs in [name for name in samples if name not in variants]:
            ratio = paired_ratio(samples[theirs], samples[ours])
            rows.append(
                {
                    "cores": cores, "ours": ours, "variant": variant, "theirs": theirs, "boxes": boxes[ours],
                    "ours_ms": [samples[ours].p50_ms, samples[ours].p90_ms],
                    "theirs_ms": [samples[theirs].p50_ms, samples[theirs].p90_ms],
                    "theirs_takes": [ratio.median, ratio.low, ratio.high],
                }
            )  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| cores | ours | p50, p90 ms | Ultralytics | p50, p90 ms | it takes |", "| --- " * 6 + "|"]
    for row in rows:
        ours, theirs = ("{:.1f}, {:.1f}".format(*row[key]) for key in ("ours_ms", "theirs_ms"))
        takes = "{:.2f}× ({:.2f}…{:.2f})".format(*row["theirs_takes"])
        lines.append(f"| {row['cores']} | {row['ours']} | {ours} | {row['theirs']} | {theirs} | {takes} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
