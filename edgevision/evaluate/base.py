"""The task seam, its half in the tools: how two models of one task are compared.

An evaluator knows the task's metric. ``compile`` asks it for everything that depends on the task: how far an int8 graph's
answers are from float's, which photos are answered rightly, what a variant lost, what to fit for it. It works on digests
(``tasks.base.Task.digest``) and on truths, of which there is one for each photo, None where nobody knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.page.html import Section
from edgevision.evaluate.statistics.paired import MAX_POINTS_LOST, PairedComparison
from edgevision.tasks.base import Task
from edgevision.tensors import Outputs

# A photo's truth is any value that can be hashed: a class index, or a tuple of boxes.
Truth = Any
Truths = Sequence[Truth]


class ImageScores(Protocol):
    """What each image says of a model, for one evaluator to add up: which was answered rightly, how surely, …"""

    def __len__(self) -> int:
        """Number of images."""


class GroupLoss(Protocol):
    """What one group of images, such as a class, lost from one model to another."""

    @property
    def name(self) -> str:
        """Of the group."""

    @property
    def share(self) -> float:
        """What of the group was lost, in sum: for finding the worst. Negative = gained."""

    def exceeds(self, max_points: float) -> bool:
        """Whether that is more than ``max_points`` allows, and more than chance."""

    def sentence(self) -> str:
        """Name and loss: ``class 'salt' loses 3 of 20 photos``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""


@dataclass(frozen=True)
class Fit:
    """What was fitted for a variant: ``parameters`` of its task, and a note on what they rest on."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class NodeInfo:
    """A node of a graph, without its weights: for ``TaskEvaluator.float_nodes``."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GoldenWorth:
    """What photos are worth as golden frames, [n] each. ``clear``: a sound device does not turn the answer.
    ``sensitivity``: how much the answer would move where a device is not sound, 0…1. ``group``: photos of different groups
    show different things."""

    clear: npt.NDArray[np.bool_]
    sensitivity: npt.NDArray[np.float64]
    group: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Doubt:
    """Something about a model's answers that makes no sense. ``text``: what it is, and the reading that fits, in one sentence.
    ``explained``: whether there is such a reading; where not, ``compile`` looks for it in how photos are prepared."""

    text: str
    explained: bool = True


class TaskEvaluation(Protocol):
    """One model on one data set: what ``edgevision eval`` shows."""

    @property
    def name(self) -> str:
        """The model's."""

    @property
    def evaluator(self) -> TaskEvaluator:
        """Whose work it is: what compares it with another, and makes its page."""

    @property
    def scores(self) -> ImageScores:
        """Image by image."""

    def rows(self) -> Sequence[tuple[str, str]]:
        """(metric, value) as text, in the order to show them; the same metrics for each model on the same data."""

    def tables(self) -> Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """Further tables for the terminal: title, header, lines."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""


class TaskEvaluator(Protocol):
    """The metric of a task, for models with one task spec: ``task`` has the parameters that its scores depend on.

    Made of a task spec and the preprocess spec by ``evaluate.registry.make_evaluator``; one for each variant that has
    parameters of its own. The preprocess spec tells where a place in a photo lies in the tensor (``preprocess.geometry``), for
    tasks whose truths are places.
    """

    @property
    def task(self) -> Task[Any]:
        """How outputs are read."""

    @property
    def metric(self) -> str:
        """The metric's name, in one word: ``top1``."""

    @property
    def unit(self) -> str:
        """What a drop is counted in: ``points of top-1``."""

    # ---- truth ----

    def truth(self, dataset: Dataset) -> Sequence[Truth | None]:
        """What is known of each photo. Raises DataError where it is not this task's, or not for these labels."""

    def pseudo_truth(self, digest: Outputs) -> Truths:
        """A model's own answers, to stand for the truth where nobody knows it: the metric is agreement with the model then."""

    def classes(self, truth: Truth) -> Sequence[int]:
        """The classes that a photo with this truth shows, as places in the spec's labels."""

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """How far two digests of the same photos are apart, 0 = equal; no truth needed. Chooses recipes, ranks layers."""

    def scores(self, digest: Outputs, truth: Truths) -> ImageScores:
        """How each photo was answered."""

    def value(self, scores: ImageScores) -> float:
        """The metric over all images, in points (percent)."""

    def calibration_error(self, scores: ImageScores) -> float | None:
        """How far the scores are from being chances, 0…1, or None where this task has no such scores."""

    def paired(
        self, reference: ImageScores, other: ImageScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """What ``other`` lost against ``reference`` on the same photos, with an interval. ``seed``: for tasks that draw."""

    def group_losses(self, reference: ImageScores, other: ImageScores) -> Sequence[GroupLoss]:
        """What each group lost, most lost first."""

    # ---- compiling ----

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """Parameters for a variant from digests of the same photos: its ``own`` and float's, the ``reference``.

        ``in_training_set``: photos that the model was trained on, None = not known; scores on these flatter.
        ``true_accept_rate``: share of right answers that are to stay known.
        """

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """Names of nodes that must stay float in every int8 graph, such as those that decode boxes."""

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Which photos make good golden frames, by float's digest."""

    def sections(
        self, reference: ImageScores, others: Mapping[str, ImageScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> Sequence[Section]:  # fmt: skip
        """What the compile report shows of this task besides the verdict. ``others``: scores by variant, of which ``chosen``
        is shown first and at length; ``max_points``: what each group may lose, as ``GroupLoss.exceeds`` has it.
        """

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Truths, ood: Outputs | None) -> TaskEvaluation:
        """Everything to say of one model. ``ood``: its digest of photos of what it does not know, or None."""

    def page(self, evaluations: Sequence[TaskEvaluation], paired: PairedComparison | None) -> str:
        """One or two evaluations as a page of HTML. Raises MissingExtraError without matplotlib."""


@runtime_checkable
class AnswerCheck(Protocol):
    """What a ``TaskEvaluator`` may have besides: it knows when answers make no sense. One without it has no doubts."""

    def doubts(self, digest: Outputs, truth: Sequence[Truth | None]) -> Sequence[Doubt]:
        """What is odd about a float model's answers to photos, such as labels in another order; nothing where all is well,
        or there are too few photos to tell. Raises UnreadableOutputError for answers that are no numbers."""


@runtime_checkable
class TruthCheck(Protocol):
    """What a ``TaskEvaluator`` may have besides: it knows which truths there is nothing to measure with."""

    def check_truth(self, truth: Truths, source: str) -> None:
        """Raise DataError where the metric cannot be had on photos with these truths, all known; ``source``: what to call the photos."""


@runtime_checkable
class PhotoPage(Protocol):
    """What a ``TaskEvaluation`` may have besides: its page shows some of the photos."""

    def with_photos(self, paths: Sequence[Path]) -> TaskEvaluation:
        """The same, knowing where the photos are, in their order."""


_Evaluation = TypeVar("_Evaluation", bound=TaskEvaluation)


def evaluations_of(kind: type[_Evaluation], models: str, evaluations: Sequence[TaskEvaluation]) -> list[_Evaluation]:
    """The evaluations, all of one kind: for ``TaskEvaluator.page``. ``models``: what they are of, in the plural. Raises InputError for one of
    another task."""
    own = [one for one in evaluations if isinstance(one, kind)]
    if len(own) < len(evaluations):
        raise InputError(f"expected evaluations of {models}, got one of another task")
    return own


def doubts_of(evaluator: TaskEvaluator, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
    """See ``AnswerCheck``; none for a task that has no such check."""
    return tuple(evaluator.doubts(digest, truth)) if isinstance(evaluator, AnswerCheck) else ()


def check_truth(evaluator: TaskEvaluator, truth: Truths, source: str) -> None:
    """See ``TruthCheck``; any truths will do for a task that has no such check."""
    if isinstance(evaluator, TruthCheck):
        evaluator.check_truth(truth, source)
