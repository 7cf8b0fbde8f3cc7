"""A model over a data set, and two models side by side, whatever their task: what `eval` does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edgevision.errors import DataError, DoubtWarning, InputError
from edgevision.evaluate.base import PhotoPage, TaskEvaluation, TaskEvaluator, Truths, check_truth, doubts_of
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.data.run import predict_dataset
from edgevision.evaluate.registry import make_evaluator
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.frames import ImageArray
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import Task
from edgevision.tensors import Outputs


class Predictor(Protocol):
    """A model that can be evaluated: a loaded bundle, or a float model."""

    @property
    def task(self) -> Task[Any]:
        """How its outputs are read, with the parameters that were fitted for it."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """How images become its input."""

    def digest(self, images: Sequence[ImageArray]) -> Outputs:
        """What is kept of H×W×3 uint8 BGR images: arrays [n, …] by role (``Task.digest``), of the caller's own."""


def evaluate(
    name: str, model: Predictor, dataset: Dataset, ood: Dataset | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TaskEvaluation:  # fmt: skip
    """Run ``model`` over labelled photos, and over photos of what it does not know (``ood``), if given.

    ``name``: of the model, in what is shown; ``progress(step, done, n)`` is called after each batch. Raises DataError when
    a photo's truth is not known, or is not for this model's labels; ImageError for a bad photo. Warns DoubtWarning where
    the answers make no sense, such as for labels in another order.

    >>> with ev.load("model.edge") as model:  # doctest: +SKIP
    ...     evaluation = evaluate("int8", model, read_dataset("photos/"))
    >>> evaluation.rows()[0]  # doctest: +SKIP
    ('photos', '296')
    """
    evaluator = make_evaluator(model.task.spec, model.preprocess)
    truth = _known(evaluator, dataset)
    digest = predict_dataset(model.digest, dataset, progress=_step(progress, f"{name}: photos"))
    for doubt in doubts_of(evaluator, digest, truth):
        warnings.warn(f"{name}: {doubt.text}", DoubtWarning, stacklevel=2)
    unknown = None
    if ood is not None:
        unknown = predict_dataset(model.digest, ood, progress=_step(progress, f"{name}: unknown photos"))
    found = evaluator.evaluate(name, digest, truth, unknown)
    return found.with_photos(dataset.paths) if isinstance(found, PhotoPage) else found


def compare(reference: TaskEvaluation, other: TaskEvaluation) -> PairedComparison:
    """Two models on the same photos: drop, flips and interval. Raises InputError where their tasks differ."""
    kinds = [evaluation.evaluator.task.spec.kind for evaluation in (reference, other)]
    if kinds[0] != kinds[1]:
        raise InputError(f"expected two models of one task, got {reference.name}: {kinds[0]}, {other.name}: {kinds[1]}")
    return reference.evaluator.paired(reference.scores, other.scores)


def _known(evaluator: TaskEvaluator, dataset: Dataset) -> Truths:
    truth = evaluator.truth(dataset)
    missing = len([one for one in truth if one is None])
    if missing:
        if not dataset.boxed:
            dataset.require_labels(purpose="eval")  # says how labelled photos are laid out
        raise DataError(
            f"eval needs the truth of each photo, and {dataset.source} lacks it for {missing} of {len(truth)}"
        )
    check_truth(evaluator, truth, dataset.source)
    return truth


def _step(progress: Callable[[str, int, int], None] | None, step: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(step, done, total)
