"""Everything `eval` reports: metrics on labelled photos, what happens to unknown ones, and two models side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.classification import ClassificationMetrics, classification_metrics
from edgevision.evaluate.dataset import Dataset
from edgevision.evaluate.paired import Paired, paired_comparison
from edgevision.evaluate.ranking import auroc
from edgevision.evaluate.run import predict_dataset
from edgevision.evaluate.unknown import expected_calibration_error, false_accept_rate
from edgevision.frames import ImageArray
from edgevision.tasks.results import Label

Probabilities = npt.NDArray[np.float64]


class Predictor(Protocol):
    """A model that can be evaluated: a loaded bundle, or a float model."""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in the order of the probabilities."""

    @property
    def threshold(self) -> float | None:
        """Best scores under it mean "unknown"; None where nothing could be fitted."""

    def probabilities(self, images: Sequence[ImageArray]) -> Probabilities:
        """Probabilities [n, k] of H×W×3 uint8 BGR images."""


@dataclass(frozen=True)
class UnknownMetrics:
    """How well "I don't know" works. Shares are 0…1.

    ``auroc``: chance that a known photo scores higher than an unknown one. ``false_accepts``: share of unknown photos
    that pass the threshold. ``kept``: share of right answers that pass it; both None without a threshold. ``ece``:
    calibration error on known photos.
    """

    n_unknown: int
    auroc: float | None
    false_accepts: float | None
    threshold: float | None
    kept: float | None
    ece: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on one data set. The arrays are kept for pictures and comparisons: probabilities [n, k], truth [n]."""

    name: str
    metrics: ClassificationMetrics
    unknown: UnknownMetrics
    labels: tuple[Label, ...]
    probabilities: Probabilities
    truth: npt.NDArray[np.int64]
    unknown_scores: npt.NDArray[np.float64] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether the best class is the true one, bool [n]."""
        return np.asarray(self.probabilities.argmax(1) == self.truth)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the arrays."""
        return {"model": self.name, "metrics": asdict(self.metrics), "unknown": asdict(self.unknown)}


def evaluate(
    name: str, model: Predictor, dataset: Dataset, unknown: Dataset | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Run ``model`` over labelled photos, and over photos of things it does not know, if given.

    Raises DataError when the photos are not labelled, or not with the model's labels; ImageError for a bad photo.
    """
    dataset.require_labels(purpose="eval")
    known = dataset.with_labels(model.labels)
    probabilities = predict_dataset(model.probabilities, known, progress=_step(progress, f"{name}: photos"))
    scores = None
    if unknown is not None:
        scores = predict_dataset(model.probabilities, unknown, progress=_step(progress, f"{name}: unknown")).max(1)
    best, right = probabilities.max(1), probabilities.argmax(1) == known.truth
    threshold = model.threshold
    return Evaluation(
        name,
        classification_metrics(probabilities, known.truth, model.labels),
        UnknownMetrics(
            n_unknown=0 if scores is None else len(scores),
            auroc=None if scores is None else auroc(best, scores),
            false_accepts=None if scores is None or threshold is None else false_accept_rate(scores, threshold),
            threshold=threshold,
            kept=None if threshold is None or not right.any() else float((best[right] >= threshold).mean()),
            ece=expected_calibration_error(best, right),
        ),
        tuple(model.labels), probabilities, known.truth, scores,
    )  # fmt: skip


def compare(reference: Evaluation, other: Evaluation) -> Paired:
    """The same photos through two models: drop, flips and interval."""
    return paired_comparison(reference.right, other.right)


def _step(progress: Callable[[str, int, int], None] | None, step: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(step, done, total)
