"""Classify: top-1, photo by photo; temperature and threshold for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevision.errors import InputError
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
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.page.html import Section
from edgevision.evaluate.statistics.calibration import expected_calibration_error
from edgevision.evaluate.statistics.divergence import kl_divergence
from edgevision.evaluate.statistics.paired import (
    MAX_POINTS_LOST,
    ClassLoss,
    PairedComparison,
    class_losses,
    paired_comparison,
)
from edgevision.evaluate.tasks.classify_doubts import classify_doubts
from edgevision.evaluate.tasks.classify_evaluation import ClassifyEvaluation, evaluate_classify
from edgevision.evaluate.tasks.classify_fit import fit_classify
from edgevision.evaluate.tasks.classify_page import evaluation_page
from edgevision.evaluate.tasks.classify_scores import ClassifyScores, checked, classify_scores
from edgevision.evaluate.tasks.classify_section import class_section
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import CLEAR_MARGIN, SCORES, ClassifyTask, margins
from edgevision.tensors import Outputs

GOLDEN_MARGIN = 1.5 * CLEAR_MARGIN  # clear, with room to spare


class ClassifyEvaluator:
    """The metric of a classifier: see ``TaskEvaluator`` for every member. A truth is a class index, a place in the labels.

    Raises InputError for a spec that is not a classifier's.

    >>> evaluator = ClassifyEvaluator(classify_spec([Label(7, "apple"), Label(9, "pear")]))
    >>> float_, int8 = {"scores": np.array([[2.0, 0.0], [1.0, 0.0]])}, {"scores": np.array([[2.0, 0.0], [0.0, 1.0]])}
    >>> evaluator.paired(evaluator.scores(float_, [0, 0]), evaluator.scores(int8, [0, 0])).drop
    50.0
    """

    metric = "top1"
    unit = "points of top-1"

    def __init__(self, spec: TaskSpec) -> None:
        self.task = ClassifyTask(spec)

    # ---- truth ----

    def truth(self, dataset: Dataset) -> list[int | None]:
        """The class index of each photo; None for each of an unlabelled data set. Raises DataError for one with boxes."""
        if dataset.boxed:
            dataset.require_labels(purpose="a classifier")
        return [photo.label for photo in dataset.with_labels(self.task.labels)]

    def pseudo_truth(self, digest: Outputs) -> list[int]:
        """The best class of each photo; the first of equals."""
        return [int(best) for best in digest[SCORES].argmax(axis=1)]

    def classes(self, truth: Truth) -> tuple[int, ...]:
        """The one class that the photo shows."""
        return (int(truth),)

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """Mean KL divergence in nats, of what the networks gave: without the temperature."""
        probabilities = self.task.layout == "probabilities"
        return kl_divergence(reference[SCORES], other[SCORES], probabilities=probabilities)

    def scores(self, digest: Outputs, truth: Truths) -> ClassifyScores:
        """See ``classify_scores``."""
        return classify_scores(self.task, digest, truth)

    def value(self, scores: ImageScores) -> float:
        """Top-1 in percent."""
        right = checked(scores).right
        return 100.0 * int(right.sum()) / len(right)

    def calibration_error(self, scores: ImageScores) -> float:
        """The expected calibration error (ECE), 0…1."""
        own = checked(scores)
        return expected_calibration_error(own.confidence, own.right)

    def paired(
        self, reference: ImageScores, other: ImageScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """Tango's interval; nothing is drawn, so ``seed`` changes nothing."""
        return paired_comparison(checked(reference).right, checked(other).right, confidence)

    def group_losses(self, reference: ImageScores, other: ImageScores) -> tuple[ClassLoss, ...]:
        """See ``class_losses``. Raises InputError for scores of different photos."""
        before, after = checked(reference), checked(other)
        if not np.array_equal(before.truth, after.truth):
            raise InputError("expected the scores of two models on the same photos, got photos of different classes")
        return class_losses(before.right, after.right, before.truth, self.task.labels)

    # ---- compiling ----

    def doubts(self, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
        """See ``classify_doubts``."""
        return classify_doubts(self.task, digest, truth)

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """See ``fit_classify``: ``temperature`` and ``threshold``, or neither."""
        return fit_classify(self.task, reference, own, truth, in_training_set, true_accept_rate)

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """None: int8 is good enough for every node of a classifier, if it is for the whole."""
        return frozenset()

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Clear: the best two probabilities are far apart. Sensitive: the best one is not 0 or 1 to many digits. Groups are
        the best classes."""
        probabilities = self.task.probabilities(digest[SCORES])
        best = probabilities.max(axis=1)
        return GoldenWorth(
            clear=margins(probabilities) >= GOLDEN_MARGIN,
            sensitivity=4 * best * (1 - best),  # slope of a probability over its logit, as a share of the steepest
            group=probabilities.argmax(axis=1).astype(np.int64),
        )

    def sections(
        self, reference: ImageScores, others: Mapping[str, ImageScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> tuple[Section, ...]:  # fmt: skip
        """What each class lost."""
        losses = {name: self.group_losses(reference, scores) for name, scores in others.items()}
        return (class_section(losses, len(self.task.labels), chosen, max_points),) if losses else ()

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Truths, ood: Outputs | None) -> ClassifyEvaluation:
        """See ``ClassifyEvaluation``."""
        return evaluate_classify(self, self.task, name, digest, truth, ood)

    def page(self, evaluations: Sequence[TaskEvaluation], paired: PairedComparison | None) -> str:
        """See ``evaluation_page``. Raises InputError for evaluations of another task."""
        return evaluation_page(evaluations_of(ClassifyEvaluation, "classifiers", evaluations), paired)


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> TaskEvaluator:
    """The evaluator of classifiers with this spec; how photos are prepared does not matter. Raises InputError for a spec that is not a classifier's."""
    return ClassifyEvaluator(spec)
