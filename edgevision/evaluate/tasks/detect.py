"""Detect: mean average precision over photos; thresholds for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import (
    Doubt,
    Fit,
    GoldenWorth,
    ImageScores,
    NodeInfo,
    TaskEvaluation,
    TaskEvaluator,
    Truth,
    Truths,
    evaluations_of,
)
from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.page.html import Section
from edgevision.evaluate.statistics.bootstrap import draw_weights, interval
from edgevision.evaluate.statistics.box_divergence import box_divergence
from edgevision.evaluate.statistics.paired import MAX_POINTS_LOST, PairedComparison
from edgevision.evaluate.tasks.detect_boxes import TensorBoxes, checked_digest, found_in_tensor
from edgevision.evaluate.tasks.detect_doubts import detect_doubts
from edgevision.evaluate.tasks.detect_evaluation import DetectEvaluation, evaluate_detect
from edgevision.evaluate.tasks.detect_fit import fit_detect, own_boxes
from edgevision.evaluate.tasks.detect_losses import BoxLoss, box_losses
from edgevision.evaluate.tasks.detect_nodes import decoding_nodes
from edgevision.evaluate.tasks.detect_page import evaluation_page
from edgevision.evaluate.tasks.detect_scores import DetectScores, checked, detect_scores, values
from edgevision.evaluate.tasks.detect_section import box_section
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.detect.task import CLASSES, SCORES, DetectTask
from edgevision.tensors import Outputs

DRAWS = 1000  # of photos, for an interval
CLEAR_MARGIN = 0.05  # between a score and its threshold: a sound device moves it less


class DetectEvaluator:
    """The metric of a detector: see ``TaskEvaluator`` for every member. A truth is ``PhotoBoxes``, in the photo's pixels.

    ``preprocess``: how photos lie in the tensor, in whose pixels digests are; None = photos have the tensor's pixels. Areas
    are counted in the photo's pixels, as COCO does. Raises InputError for a spec that is not a detector's.

    >>> spec = detect_spec([Label(7, "apple")], "yolo", {"boxes_and_scores": "output0"}, height=64, width=64)
    >>> evaluator = DetectEvaluator(spec)
    >>> truth = [PhotoBoxes(64, 64, (Box(0, 10.0, 10.0, 30.0, 30.0),))]
    >>> digest = {
    ...     "boxes": np.array([[[10.0, 10, 30, 30]]]), "scores": np.array([[0.9]]), "classes": np.array([[0.0]])
    ... }
    >>> evaluator.value(evaluator.scores(digest, truth))
    100.0
    """

    metric = "mAP50-95"
    unit = "points of mAP50-95"

    def __init__(self, spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> None:
        self.task = DetectTask(spec)
        self.preprocess = preprocess

    # ---- truth ----

    def truth(self, dataset: Dataset) -> list[PhotoBoxes | None]:
        """The boxes of each photo, with the model's classes; None for each of a data set without any. Raises DataError for photos
        that have a class each."""
        if dataset.labelled:
            raise DataError(
                f"a detector needs boxes, but {dataset.source} has a class for each photo. Give a data.yaml or folder of "
                "YOLO's, a COCO .json, or a folder of Pascal VOC's"
            )
        return [photo.boxes for photo in dataset.with_labels(self.task.spec.labels)]

    def pseudo_truth(self, digest: Outputs) -> list[TensorBoxes]:
        """The boxes above the thresholds. Held against them, the metric is F1 of what a user sees."""
        return own_boxes(self.task, checked_digest(digest))

    def classes(self, truth: Truth) -> tuple[int, ...]:
        """The classes of its boxes, each once."""
        return tuple(sorted({box.label for box in truth.boxes}))

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """See ``box_divergence``; whatever the thresholds are. Raises InputError for digests of different photos."""
        count = len(checked_digest(reference)[SCORES])
        if len(checked_digest(other)[SCORES]) != count:
            raise InputError(f"expected digests of the same photos, got {count} and {len(other[SCORES])}")
        before, after = ([found_in_tensor(one, i) for i in range(count)] for one in (reference, other))
        return box_divergence(before, after)

    def scores(self, digest: Outputs, truth: Truths) -> DetectScores:
        """See ``detect_scores``."""
        return detect_scores(self.task, self.preprocess, digest, truth)

    def value(self, scores: ImageScores) -> float:
        """mAP50-95 in percent, or of pseudo-truths the agreement. Raises InputError where no box is marked in any photo."""
        value = float(values(checked(scores))[0])
        if np.isnan(value):
            raise InputError(
                f"no box is marked in any of {len(scores)} photos, so that {self.metric} has nothing to measure; give photos that "
                "show products"
            )
        return value

    def calibration_error(self, scores: ImageScores) -> None:
        """None: a box's score is no chance that it is right, and thresholds are fitted for each variant."""

    def paired(
        self, reference: ImageScores, other: ImageScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """Interval by drawing photos again, the same for both models (``statistics.bootstrap``)."""
        before, after = checked(reference), checked(other)
        if not np.array_equal(before.matches.truths, after.matches.truths):
            raise InputError("expected the scores of two models on the same photos, got photos with different boxes")
        weights = draw_weights(len(before), DRAWS, seed)
        drop = self.value(before) - self.value(after)
        drawn = values(before, weights) - values(after, weights)
        told_by = (before.matches.truths > 0).sum(axis=0)  # photos that show each class
        ends = interval(drop, drawn, len(before), confidence, groups=told_by[told_by > 0])
        return PairedComparison(
            n=len(before), reference=self.value(before), value=self.value(after), drop=drop, lost=None, gained=None,
            interval=ends, confidence=confidence,
        )  # fmt: skip

    def group_losses(self, reference: ImageScores, other: ImageScores) -> tuple[BoxLoss, ...]:
        """See ``box_losses``: every class, and F1 at the thresholds."""
        return box_losses(checked(reference), checked(other), self.task.spec.labels)

    # ---- compiling ----

    def doubts(self, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
        """See ``detect_doubts``."""
        return detect_doubts(self.task, self.preprocess, digest, truth, self._value)

    def _value(self, digest: Outputs, truth: Truths) -> float:
        return self.value(self.scores(digest, truth))

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """See ``fit_detect``: ``threshold`` and ``thresholds``. They are where F1 is best, whatever ``true_accept_rate`` is."""
        return fit_detect(self.task, self.preprocess, reference, own, truth, in_training_set)

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """See ``decoding_nodes``."""
        return decoding_nodes(nodes)

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Clear: a product is seen, and no score is near its threshold. Sensitive: the scores of what is seen are not 0 or 1 to many
        digits. Groups are the classes of the best boxes; a photo in which nothing is seen is in a group of its own."""
        scores, classes = checked_digest(digest)[SCORES].astype(np.float64), digest[CLASSES].astype(np.int64)
        limits = np.where(classes >= 0, self.task.thresholds[classes], np.inf)
        seen = scores > limits
        any_seen = seen.any(axis=1)
        slope = np.where(seen, 4 * scores * (1 - scores), 0.0)  # of a sigmoid, as a share of the steepest
        return GoldenWorth(
            clear=any_seen & (np.abs(scores - limits).min(axis=1) >= CLEAR_MARGIN),
            sensitivity=slope.sum(axis=1) / np.maximum(seen.sum(axis=1), 1),
            group=np.where(any_seen, classes[np.arange(len(scores)), seen.argmax(axis=1)], -1),
        )

    def sections(
        self, reference: ImageScores, others: Mapping[str, ImageScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> tuple[Section, ...]:  # fmt: skip
        """What each class lost, and F1 at the thresholds."""
        losses = {name: self.group_losses(reference, scores) for name, scores in others.items()}
        return (box_section(losses, len(self.task.spec.labels), chosen, max_points),) if losses else ()

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Truths, ood: Outputs | None) -> DetectEvaluation:
        """See ``DetectEvaluation``. Raises MissingExtraError without hotcoco."""
        return evaluate_detect(self, self.task, self.preprocess, name, digest, truth, ood)

    def page(self, evaluations: Sequence[TaskEvaluation], paired: PairedComparison | None) -> str:
        """See ``evaluation_page``. Raises InputError for evaluations of another task."""
        return evaluation_page(evaluations_of(DetectEvaluation, "detectors", evaluations), paired)


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> TaskEvaluator:
    """The evaluator of detectors with this spec, whose photos are prepared so. Raises InputError for a spec that is not a detector's."""
    return DetectEvaluator(spec, preprocess)
