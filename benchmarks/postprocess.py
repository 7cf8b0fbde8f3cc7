"""Post-processing: our NMS, softmax and top-k against NumPy, torchvision, PyTorch and OpenCV, paired in one run.

    .venv/bin/python -m benchmarks.postprocess [--rounds 200]

One thread each, arrays hot in the cache, arguments in the form each library likes best (made beforehand). Candidates run
in shuffled turns; ratios are medians over rounds with a bootstrap 95 % interval. Each answer is checked before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import write_result
from edgevision.latency import measure_interleaved, paired_ratio
from edgevision.tasks.postprocess import nms, softmax, top_k

OURS = "ours"
IOU, SCORE, TOP = 0.7, 0.25, 5
TABLES = [(1, 81), (1, 1000), (32, 1000), (256, 1000), (8400, 80)]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """Boxes as a detector gives them: candidates in clusters around objects, the rest under the score threshold."""

    name: str
    n: int
    candidates: int
    classes: int
    limit: int | None
    batch: int = 1
    rounds: int | None = None  # fewer, where a peer takes long

    def arrays(self) -> tuple[Array, Array, Array]:
        """Boxes [b, n, 4], scores [b, n], classes [b, n]."""
        rng = np.random.default_rng(0)
        shape = (self.batch, self.n)
        objects = max(1, self.candidates // 8)
        center, size = rng.uniform(0, 640, (objects, 2)), rng.uniform(20, 160, (objects, 2))
        which = rng.integers(0, objects, shape)
        where = center[which] + rng.normal(0, 6, (*shape, 2))
        extent = size[which] * np.exp(rng.normal(0, 0.1, (*shape, 2)))
        boxes = np.concatenate([where - extent / 2, where + extent / 2], axis=-1).astype(np.float32)
        scores = rng.uniform(0, 0.2, shape).astype(np.float32)
        for row in scores:
            chosen = rng.choice(self.n, self.candidates, replace=False)
            row[chosen] = SCORE + 1e-3 + 0.7 * rng.permutation(self.candidates).astype(np.float32) / self.candidates
        return boxes, scores, which % self.classes


SCENES = [
    Scene("YOLO 640, 8400 boxes, 60 candidates", 8400, 60, 80, 300),
    Scene("YOLOv5 640, 25200 boxes, 150 candidates", 25200, 150, 80, 300),
    Scene("8 frames of 8400 boxes, 60 candidates each", 8400, 60, 80, 300, batch=8),
    Scene("crowded shelf, 8400 boxes, 1500 candidates of one class", 8400, 1500, 1, 300),
    Scene("all 25200 boxes are candidates, 80 classes, at most 300 kept", 25200, 25200, 80, 300, rounds=20),
    Scene("all 25200 boxes are candidates, 80 classes, no limit", 25200, 25200, 80, None, rounds=20),
    Scene("all 8400 boxes are candidates, one class, no limit", 8400, 8400, 1, None, rounds=20),
]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=200)
    arguments = p.parse_args()
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: dict[str, Any] = {}
    for scene in SCENES:
        calls, kept, agreement = nms_candidates(scene)
        rounds = min(arguments.rounds, scene.rounds or arguments.rounds)
        rows[f"nms: {scene.name}"] = {**asdict(scene), "kept": kept, "same_boxes_percent": agreement,
                                      **compared(f"nms: {scene.name}", calls, rounds)}  # fmt: skip
    for n, k in TABLES:
        table = np.random.default_rng(0).normal(0, 4, (n, k)).astype(np.float32)
        for name, candidates in (("softmax", softmax_candidates(table)), (f"top {TOP}", top_k_candidates(table))):
            rows[f"{name}: {n}×{k} float32"] = compared(f"{name}: {n}×{k} float32", candidates, arguments.rounds)
    write_result("postprocess", {"rounds": arguments.rounds, "threads": 1, "iou_threshold": IOU, "score_threshold": SCORE,
                                 "torchvision": _version("torchvision"), "cases": rows})  # fmt: skip


def compared(name: str, calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Measures the candidates in turns and prints how long each takes, and how many times as long as ours."""
    samples = measure_interleaved(calls, rounds=rounds, warmup=max(2, rounds // 20))
    print(name)
    candidates = {}
    for candidate, taken in samples.items():
        ratio = paired_ratio(taken, samples[OURS])
        candidates[candidate] = {
            "p50_us": 1e3 * taken.p50_ms, "p90_us": 1e3 * taken.p90_ms, "this_over_ours": asdict(ratio),
            "undisturbed": taken.undisturbed,
        }  # fmt: skip
        print(
            f"  {candidate:28s} p50 {1e3 * taken.p50_ms:10.1f} µs  {ratio.median:8.2f}× [{ratio.low:.2f}…{ratio.high:.2f}]"
        )
    return {"measured_rounds": rounds, "candidates": candidates}


def nms_candidates(scene: Scene) -> tuple[dict[str, Callable[[], Any]], int, dict[str, float]]:
    """The calls, how many boxes they keep, and which share of these boxes each peer keeps, too.

    NumPy and torchvision have to keep exactly ours, in our order. OpenCV computes in float64 with coordinates
    shifted by class, so that single boxes may differ.
    """
    import cv2
    import torch
    from torchvision.ops import batched_nms

    boxes, scores, classes = scene.arrays()
    tensors = [
        (torch.from_numpy(b), torch.from_numpy(s), torch.from_numpy(c))
        for b, s, c in zip(boxes, scores, classes, strict=True)
    ]
    # x y w h, as OpenCV takes them
    rectangles: list[Any] = [np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1).astype(np.float64) for b in boxes]
    ids = classes.astype(np.int32)

    def with_torchvision() -> list[Any]:
        answers = []
        for b, s, c in tensors:
            above = torch.where(s > SCORE)[0]
            answers.append(above[batched_nms(b[above], s[above], c[above], IOU)][: scene.limit])
        return answers

    def with_opencv() -> list[Any]:
        return [
            cv2.dnn.NMSBoxesBatched(r, s, c, SCORE, IOU)[: scene.limit]
            for r, s, c in zip(rectangles, scores, ids, strict=True)
        ]

    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: nms(boxes, scores, classes, IOU, SCORE, scene.limit),
        "numpy": lambda: [numpy_nms(b, s, c, scene.limit) for b, s, c in zip(boxes, scores, classes, strict=True)],
        "torchvision batched_nms": with_torchvision,
    }
    if hasattr(cv2.dnn, "NMSBoxesBatched"):
        calls["opencv NMSBoxesBatched"] = with_opencv
    ours = calls[OURS]()
    agreement = {}
    for name, call in calls.items():
        answer = [np.asarray(rows) for rows in call()]
        same = sum(len(np.intersect1d(a, b)) for a, b in zip(ours, answer, strict=True))
        agreement[name] = 100 * same / max(sum(map(len, ours)), sum(map(len, answer)))
        if not name.startswith("opencv"):
            assert all(np.array_equal(a, b) for a, b in zip(ours, answer, strict=True)), f"{name} keeps other boxes"
        assert agreement[name] > 99, f"{name} keeps other boxes: {agreement[name]:.1f} % are ours"
    return calls, sum(map(len, ours)), agreement


def numpy_nms(boxes: Array, scores: Array, classes: Array, limit: int | None) -> Array:
    """The usual idiom: one vectorised IoU row for each box that is kept; other classes do not count."""
    above = np.flatnonzero(scores > SCORE)
    order = above[np.argsort(-scores[above], kind="stable")]
    x1, y1, x2, y2 = boxes[order].T
    labels, areas = classes[order], (x2 - x1) * (y2 - y1)
    left = np.arange(len(order))
    kept: list[int] = []
    while len(left) and (limit is None or len(kept) < limit):
        best, rest = left[0], left[1:]
        kept.append(order[best])
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest])
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        iou = common / (areas[best] + areas[rest] - common)
        left = rest[~((iou.astype(np.float64) > IOU) & (labels[rest] == labels[best]))]
    return np.array(kept, np.int64)


def softmax_candidates(table: Array) -> dict[str, Callable[[], Any]]:
    """Each within 1e-5 of the probabilities that float64 gives."""
    import torch

    def with_numpy() -> Array:
        powers: Array = np.exp(table - table.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers

    tensor = torch.from_numpy(table)
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: softmax(table),
        "numpy": with_numpy,
        "torch.softmax": lambda: torch.softmax(tensor, 1),
    }
    powers = np.exp(table.astype(np.float64) - table.max(axis=1, keepdims=True))
    for call in calls.values():
        np.testing.assert_allclose(np.asarray(call()), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    return calls


def top_k_candidates(table: Array) -> dict[str, Callable[[], Any]]:
    """Each returns (indices, values): the values of a stable sort, in its order."""
    import torch

    def with_argsort() -> tuple[Array, Array]:
        indices = np.argsort(-table, axis=1, kind="stable")[:, :TOP]
        return indices, np.take_along_axis(table, indices, axis=1)

    def with_argpartition() -> tuple[Array, Array]:
        some = np.argpartition(-table, TOP, axis=1)[:, :TOP]
        values = np.take_along_axis(table, some, axis=1)
        order = np.argsort(-values, axis=1)
        return np.take_along_axis(some, order, axis=1), np.take_along_axis(values, order, axis=1)

    tensor = torch.from_numpy(table)
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: top_k(table, TOP),
        "numpy argsort": with_argsort,
        "numpy argpartition": with_argpartition,
        "torch.topk": lambda: tuple(torch.topk(tensor, TOP, dim=1))[::-1],
    }
    expected = np.argsort(-table, axis=1, kind="stable")[:, :TOP]
    for call in calls.values():
        indices, values = (np.asarray(array) for array in call())
        # float32 tables of this size hold equal values: their order is ours to say, not the peers'
        np.testing.assert_array_equal(values, np.take_along_axis(table, expected, axis=1))
        np.testing.assert_array_equal(np.take_along_axis(table, indices, axis=1), values)
    np.testing.assert_array_equal(calls[OURS]()[0], expected)
    return calls


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
