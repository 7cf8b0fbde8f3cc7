"""How a classifier answered each photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import ImageScores, Truths
from edgevision.tasks.classify import SCORES, ClassifyTask
from edgevision.tensors import Outputs


@dataclass(frozen=True, eq=False)
class ClassifyScores:
    """Photo by photo. ``right`` bool [n]: whether the best class is the true one; ``confidence`` float64 [n], 0…1: the
    best class's probability after the temperature; ``truth`` int64 [n]: the true class, as a place in the labels."""

    right: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.right)


def classify_scores(task: ClassifyTask, digest: Outputs, truth: Truths) -> ClassifyScores:
    """The scores of a digest of ``task``, whose temperature they depend on. ``truth``: n class indices.

    Of equal classes the first is the best. Raises InputError where the truth does not fit, and EngineError for a digest
    that cannot be an answer.

    >>> task = ClassifyTask(classify_spec([Label(7, "apple"), Label(9, "pear")]))
    >>> classify_scores(task, {"scores": np.array([[2.0, 0.0], [1.0, 0.0]])}, [0, 1]).right.tolist()
    [True, False]
    """
    classes = class_indices(truth, len(task.labels))
    scores = digest[SCORES]
    if len(scores) != len(classes):
        raise InputError(f"expected a class for each of {len(scores)} photos, got {len(classes)}")
    confidence = task.probabilities(scores).max(axis=1)
    return ClassifyScores(np.asarray(scores.argmax(axis=1) == classes), confidence, classes)


def checked(scores: ImageScores) -> ClassifyScores:
    """``scores``, if they are a classifier's. Raises InputError for those of another task."""
    if not isinstance(scores, ClassifyScores):
        raise InputError(f"expected the scores of a classifier, got {type(scores).__name__}")
    return scores


def class_indices(truth: Truths, classes: int) -> npt.NDArray[np.int64]:
    """``truth`` as int64 [n]. Raises InputError unless each is a class index of 0…``classes`` - 1."""
    if missing := len([one for one in truth if one is None]):
        raise InputError(
            f"expected the class of each photo, got None for {missing} of {len(truth)}; take the model's own answers instead"
        )
    values = np.asarray(truth)
    if len(truth) and not (values.ndim == 1 and np.issubdtype(values.dtype, np.integer)):
        raise InputError(f"expected a class index for each photo, got {values.dtype} of shape {values.shape}")
    if len(truth) and not (values.min() >= 0 and values.max() < classes):
        raise InputError(
            f"expected classes below {classes}, as many as there are labels, got {values.min()}…{values.max()}"
        )
    return values.astype(np.int64)
