"""Validating a detector while it trains: photos prepared, outputs read and boxes suppressed exactly as at run time."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.statistics.average_precision import (
    IOU_THRESHOLDS,
    Found,
    Marked,
    average_precision,
    match,
    mean_average_precision,
)
from edgevision.preprocess.geometry import Region, place
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec, View
from edgevision.tasks.detect.task import BOXES, CLASSES, SCORES, DetectTask
from edgevision.tasks.results import FrameId
from edgevision.tensors import Outputs
from edgevision.train.compute import Compute
from edgevision.train.detect.batches import marked
from edgevision.train.validate import PreparedPhotos


@dataclass(frozen=True)
class BoxScore:
    """Mean average precision in percent, as COCO defines it: ``map50_95`` over IoU 0.50…0.95, ``map50`` and ``map75`` at one."""

    map50_95: float
    map50: float
    map75: float

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name."""
        return asdict(self)

    @property
    def headline(self) -> str:
        """The figures that say most."""
        return f"mAP50-95 {self.map50_95:5.2f} %  mAP50 {self.map50:5.2f} %"

    def better_than(self, other: BoxScore | None) -> bool:
        """A higher mAP50-95; where it is the same, a higher mAP50."""
        return other is None or (self.map50_95, self.map50) > (other.map50_95, other.map50)


class BoxValidation:
    """Photos with their boxes, prepared when they are first needed."""

    def __init__(self, dataset: Dataset, spec: PreprocessSpec, task: TaskSpec) -> None:
        self._photos = PreparedPhotos(dataset.paths, spec)
        self._task, self._classes = DetectTask(task), len(task.labels)
        truths = marked(dataset)
        self._views = [_whole_photo(truth, spec) for truth in truths]
        self._marked = [_marked(truth) for truth in truths]

    @torch.no_grad()
    def score(self, network: nn.Module, compute: Compute, *, exact: bool = False) -> BoxScore:
        """Score ``network``; in float32 where ``exact``, else in the precision it trains in."""
        network.eval()
        found: list[Found] = []
        for images in self._photos:
            with compute.precision(exact=exact):
                answers = network(compute.put(images))
            outputs = {name: output.float().cpu().numpy() for name, output in answers.items()}
            digest = self._task.digest(outputs)
            found += [_found(digest, item, self._views[len(found) + item]) for item in range(len(images))]
        precisions = average_precision(match(found, self._marked, self._classes))
        overall, half, strict = (
            100 * float(mean_average_precision(precisions[:, rows])[0]) for rows in (slice(None), _at(0.5), _at(0.75))
        )
        return BoxScore(overall, half, strict)


def _at(iou: float) -> slice:
    """Of an array by IoU threshold, the one at ``iou``."""
    row = int(np.flatnonzero(np.isclose(IOU_THRESHOLDS, iou))[0])
    return slice(row, row + 1)


def _whole_photo(truth: PhotoBoxes, spec: PreprocessSpec) -> View:
    """How a photo lies in the tensor."""
    height, width = truth.height, truth.width
    placement = place(spec, height, width)
    return View(FrameId(), height, width, Region(0, 0, width, height), placement, spec.height, spec.width)


def _found(digest: Outputs, item: int, view: View) -> Found:
    """The detections of one photo in its own pixels; rows that only fill up have no class."""
    classes = digest[CLASSES][item].astype(np.int64)
    real = classes >= 0
    boxes = view.to_frame(digest[BOXES][item][real].reshape(-1, 2, 2))
    boxes = boxes.clip(0, (view.width, view.height)).reshape(-1, 4)
    return Found(boxes, digest[SCORES][item][real], classes[real])


def _marked(truth: PhotoBoxes) -> Marked:
    boxes = truth.boxes
    return Marked(
        np.array([[box.x1, box.y1, box.x2, box.y2] for box in boxes], np.float64).reshape(-1, 4),
        np.array([box.label for box in boxes], np.int64),
        np.array([box.crowd for box in boxes], np.bool_),
        np.array([box.pixels for box in boxes], np.float64),
    )
