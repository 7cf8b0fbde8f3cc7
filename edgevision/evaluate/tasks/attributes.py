"""Attributes: the mean accuracy of the attributes, each where it is known; temperature and threshold for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.data.described import only_attributes
from edgevision.evaluate.page.html import Section
from edgevision.evaluate.statistics.bootstrap import draw_weights, interval
from edgevision.evaluate.statistics.calibration import expected_calibration_error
from edgevision.evaluate.statistics.divergence import kl_divergence
from edgevision.evaluate.statistics.paired import MAX_POINTS_LOST, PairedComparison
from edgevision.evaluate.tasks.attributes_evaluation import AttributesEvaluation, evaluate_attributes
from edgevision.evaluate.tasks.attributes_fit import fit_attributes
from edgevision.evaluate.tasks.attributes_losses import ValueLoss, value_losses
from edgevision.evaluate.tasks.attributes_page import evaluation_page
from edgevision.evaluate.tasks.attributes_scores import (
    NOT_KNOWN,
    AttributesScores,
    accuracies,
    attributes_scores,
    checked,
    head_truths,
    mean_accuracy,
)
from edgevision.evaluate.tasks.attributes_section import attributes_section
from edgevision.evaluate.tasks.classify_doubts import classify_doubts
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.attributes import AttributesTask
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import CLEAR_MARGIN, SCORES, margins
from edgevision.tensors import Outputs

DRAWS = 500  # of the photos, for the interval
GOLDEN_MARGIN = 1.5 * CLEAR_MARGIN  # clear, with room to spare


class AttributesEvaluator:
    """The metric of a model of attributes: see ``TaskEvaluator`` for every member.

    A truth is a tuple: the places, in the spec's labels, of the values that are known of the photo; () where none is. What is
    not known counts nowhere. Raises InputError for a spec that is not of attributes.

    >>> evaluator = AttributesEvaluator(attributes_spec({"colour": ("red", "green"), "ripe": ("no", "yes")}))
    >>> digest = {"scores": np.array([[2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])}
    >>> evaluator.value(evaluator.scores(digest, [(0,), (0, 3)]))  # colour 1 of 2, ripe 1 of 1
    75.0
    """

    metric = "accuracy"
    unit = "points of mean accuracy"

    def __init__(self, spec: TaskSpec) -> None:
        self.task = AttributesTask(spec)

    # ---- truth ----

    def truth(self, dataset: Dataset) -> list[tuple[int, ...] | None]:
        """What is known of each photo; None for each of a data set of which nothing is. Attributes that the model does not have do not
        matter. Raises DataError for photos with a class or boxes each, and for a value that the model does not know."""
        if dataset.labelled or dataset.boxed:
            raise DataError(
                f"a model of attributes needs them of each photo, and {dataset.source} has a class or boxes. Give a CSV with "
                f"the columns path, {', '.join(head.name for head in self.task.heads)}; or --attributes with one"
            )
        own = only_attributes(dataset, {head.name for head in self.task.heads})
        return [photo.attributes for photo in own.with_labels(self.task.spec.labels)]

    def pseudo_truth(self, digest: Outputs) -> list[tuple[int, ...]]:
        """The best value of each attribute; the first of equals."""
        best = [head.columns.start + head.digest(digest)[SCORES].argmax(axis=1) for head in self.task.heads]
        return [tuple(row) for row in np.stack(best, axis=1).tolist()]

    def classes(self, truth: Truth) -> tuple[int, ...]:
        """The values that are known."""
        return tuple(truth)

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """Mean KL divergence in nats over photos and attributes, of what the networks gave: without the temperatures."""
        probabilities = self.task.layout == "probabilities"
        heads = [
            kl_divergence(head.digest(reference)[SCORES], head.digest(other)[SCORES], probabilities=probabilities)
            for head in self.task.heads
        ]
        return float(np.mean(heads))

    def scores(self, digest: Outputs, truth: Truths) -> AttributesScores:
        """See ``attributes_scores``."""
        return attributes_scores(self.task, digest, truth)

    def value(self, scores: ImageScores) -> float:
        """The mean over the attributes of the share of right answers where the value is known, in percent.

        Raises InputError where nothing is known of any photo.
        """
        value = float(mean_accuracy(accuracies(checked(scores)))[0])
        if np.isnan(value):
            raise InputError(
                f"no attribute is known of any of {len(scores)} photos, so that {self.metric} has nothing to measure"
            )
        return value

    def calibration_error(self, scores: ImageScores) -> float | None:
        """The mean of the attributes' expected calibration errors (ECE), 0…1."""
        own = checked(scores)
        errors = [
            expected_calibration_error(own.confidence[known, column], own.right[known, column])
            for column, known in enumerate(own.known.T)
            if known.any()
        ]
        return float(np.mean(errors)) if errors else None

    def paired(
        self, reference: ImageScores, other: ImageScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """Interval by drawing photos again, the same for both models (``statistics.bootstrap``)."""
        before, after = checked(reference), checked(other)
        self.group_losses(before, after)  # refuses different photos
        weights = draw_weights(len(before), DRAWS, seed)
        drop = self.value(before) - self.value(after)
        drawn = mean_accuracy(accuracies(before, weights)) - mean_accuracy(accuracies(after, weights))
        told_by = before.known.sum(axis=0)  # photos of each attribute
        ends = interval(drop, drawn, len(before), confidence, groups=told_by[told_by > 0])
        return PairedComparison(
            n=int(before.known.any(axis=1).sum()), reference=self.value(before), value=self.value(after), drop=drop, lost=None,
            gained=None, interval=ends, confidence=confidence,
        )  # fmt: skip

    def group_losses(self, reference: ImageScores, other: ImageScores) -> tuple[ValueLoss, ...]:
        """See ``value_losses``: every attribute, and every value."""
        return value_losses(checked(reference), checked(other), self.task.heads)

    # ---- compiling ----

    def doubts(self, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
        """See ``classify_doubts``, of each attribute."""
        known = head_truths(self.task.heads, [() if one is None else one for one in truth])
        doubts = []
        for column, head in enumerate(self.task.heads):
            values = [None if place == NOT_KNOWN else place for place in known[:, column].tolist()]
            found = classify_doubts(head.task, head.digest(digest), values)
            doubts += [replace(doubt, text=f"{head.name}: {doubt.text}") for doubt in found]
        return tuple(doubts)

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """See ``fit_attributes``: ``temperatures`` and ``thresholds``, or neither."""
        return fit_attributes(self.task, reference, own, truth, in_training_set, true_accept_rate)

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """None, as for a classifier."""
        return frozenset()

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Clear: the best two values of every attribute are far apart. Sensitive: on average, the best one is not 0 or 1 to many
        digits. Groups are photos with the same best values."""
        found = [head.task.probabilities(head.digest(digest)[SCORES]) for head in self.task.heads]
        best = np.stack([probabilities.max(axis=1) for probabilities in found], axis=1)
        answers = np.stack([probabilities.argmax(axis=1) for probabilities in found], axis=1)
        _, group = np.unique(answers, axis=0, return_inverse=True)
        return GoldenWorth(
            clear=np.stack([margins(one) for one in found], axis=1).min(axis=1) >= GOLDEN_MARGIN,
            sensitivity=(4 * best * (1 - best)).mean(axis=1),
            group=np.asarray(group, np.int64).reshape(-1),
        )

    def sections(
        self, reference: ImageScores, others: Mapping[str, ImageScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> tuple[Section, ...]:  # fmt: skip
        """What each attribute and value lost."""
        losses = {name: self.group_losses(reference, scores) for name, scores in others.items()}
        return (attributes_section(losses, chosen, max_points),) if losses else ()

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Truths, ood: Outputs | None) -> AttributesEvaluation:
        """See ``AttributesEvaluation``."""
        return evaluate_attributes(self, self.task, name, digest, truth, ood)

    def page(self, evaluations: Sequence[TaskEvaluation], paired: PairedComparison | None) -> str:
        """See ``evaluation_page``. Raises InputError for evaluations of another task."""
        return evaluation_page(evaluations_of(AttributesEvaluation, "models of attributes", evaluations), paired)


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> TaskEvaluator:
    """The evaluator of models of attributes with this spec; how photos are prepared does not matter. Raises InputError for a spec that is not theirs."""
    return AttributesEvaluator(spec)
