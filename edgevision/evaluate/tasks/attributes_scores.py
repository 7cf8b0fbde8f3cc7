"""How a model of attributes answered each photo, attribute by attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import ImageScores, Truth, Truths
from edgevision.tasks.attributes import AttributesTask, Head
from edgevision.tasks.classify import SCORES
from edgevision.tensors import Outputs

NOT_KNOWN = -1  # in place of a value, where nobody knows it


@dataclass(frozen=True, eq=False)
class AttributesScores:
    """Photo by photo and head by head, [n, heads] each. ``truth`` int64: the true value, a place among the head's values, or
    ``NOT_KNOWN``. ``right`` bool: whether the best value is that one, False where it is not known. ``confidence`` float64, 0…1: the
    best value's probability after the temperature."""

    right: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.right)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where the truth is known, bool [n, heads]."""
        return np.asarray(self.truth != NOT_KNOWN)


def attributes_scores(task: AttributesTask, digest: Outputs, truth: Truths) -> AttributesScores:
    """The scores of a digest of ``task``. ``truth``: for each photo the places of its known values in the spec's labels.

    Of equal values the first is the best. Raises InputError where the truth does not fit, and EngineError for a digest that cannot
    be an answer.

    >>> task = AttributesTask(attributes_spec({"colour": ("red", "green"), "ripe": ("no", "yes")}))
    >>> attributes_scores(task, {"scores": np.array([[2.0, 0.0, 1.0, 0.0]])}, [(0, 3)]).right.tolist()
    [[True, False]]
    """
    places = head_truths(task.heads, truth)
    if len(digest[SCORES]) != len(places):
        raise InputError(f"expected what is known of each of {len(digest[SCORES])} photos, got {len(places)}")
    right = np.zeros(places.shape, np.bool_)
    confidence = np.zeros(places.shape, np.float64)
    for column, head in enumerate(task.heads):
        probabilities = head.task.probabilities(head.digest(digest)[SCORES])
        right[:, column] = probabilities.argmax(axis=1) == places[:, column]
        confidence[:, column] = probabilities.max(axis=1)
    return AttributesScores(right, confidence, places)


def head_truths(heads: Sequence[Head], truth: Sequence[Truth | None]) -> npt.NDArray[np.int64]:
    """The true value of each head, int64 [n, heads]: places among its values, ``NOT_KNOWN`` where there is none.

    Raises InputError for what is no tuple of places, for two values of one head, and for None, of which nothing at all is known.
    """
    places = np.full((len(truth), len(heads)), NOT_KNOWN, np.int64)
    for row, values in enumerate(truth):
        if values is None:
            raise InputError(
                f"expected what is known of each photo, got None for photo {row}; take the model's own answers instead"
            )
        for value in values:
            column = next((c for c, head in enumerate(heads) if head.columns.start <= value < head.columns.stop), None)
            if column is None:
                raise InputError(f"expected values below {heads[-1].columns.stop}, got {value} for photo {row}")
            if places[row, column] != NOT_KNOWN:
                raise InputError(f"photo {row} has two values of the attribute {heads[column].name!r}; one is expected")
            places[row, column] = value - heads[column].columns.start
    return places


def checked(scores: ImageScores) -> AttributesScores:
    """``scores``, if they are of attributes. Raises InputError for those of another task."""
    if not isinstance(scores, AttributesScores):
        raise InputError(f"expected the scores of a model of attributes, got {type(scores).__name__}")
    return scores


def accuracies(
    scores: AttributesScores, weights: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Share of right answers, in points, of each head, over the photos whose value is known: float64 [draws, heads], one row for each
    row of ``weights`` [draws, photos]; one draw of each photo once where that is None. NaN where no value is known."""
    drawn = np.ones((1, len(scores))) if weights is None else np.asarray(weights, np.float64)
    known = drawn @ scores.known.astype(np.float64)
    right = drawn @ scores.right.astype(np.float64)
    return np.asarray(np.divide(100.0 * right, known, out=np.full(known.shape, np.nan), where=known > 0))


def mean_accuracy(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The metric: the mean over the heads that have known values. ``shares`` [draws, heads] → [draws]; NaN where none has.

    >>> mean_accuracy(np.array([[50.0, np.nan, 100.0]])).tolist()
    [75.0]
    """
    has = ~np.isnan(shares)
    count = has.sum(axis=1)
    total = np.where(has, shares, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(shares), np.nan), where=count > 0))
