"""What is fitted for a classifier's variant: the temperature, and the threshold under which it says "I don't know"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import Fit, Truth
from edgevision.evaluate.statistics.calibration import fit_temperature, laplace_smoothed
from edgevision.evaluate.statistics.rejection import fit_threshold, transfer_threshold
from edgevision.evaluate.tasks.classify_scores import class_indices
from edgevision.tasks.classify import SCORES, ClassifyTask
from edgevision.tensors import Outputs

MIN_UNSEEN = 50  # labelled photos that the model was not trained on, to fit with


def fit_classify(
    task: ClassifyTask, reference: Outputs, own: Outputs, truth: Sequence[Truth | None],
    in_training_set: Sequence[bool | None], true_accept_rate: float,
) -> Fit:  # fmt: skip
    """Temperature and threshold of a variant: see ``TaskEvaluator.fit``, whose arguments these are.

    The temperature is fitted to the variant's ``own`` scores. The threshold is fitted to the ``reference``'s, after its
    temperature, and transferred. Both on photos that the model was not trained on where there are enough of them, and on
    all labelled ones else. With fewer than ``MIN_UNSEEN`` labelled photos there are no parameters, and the note says so.

    Raises InputError where the arguments do not fit together, EngineError for a digest that cannot be an answer.
    """
    before, after = reference[SCORES], own[SCORES]
    if not len(before) == len(after) == len(truth) == len(in_training_set):
        lengths = [len(before), len(after), len(truth), len(in_training_set)]
        raise InputError(f"expected digests, truth and training set of the same photos, got {lengths} of them")
    labelled = [i for i, one in enumerate(truth) if one is not None]
    unseen = [i for i in labelled if not in_training_set[i]]
    used = unseen if len(unseen) >= MIN_UNSEEN else labelled
    if len(used) < MIN_UNSEEN:
        return Fit(note=f"{len(used)} labelled calibration photos are too few to tell unknown from known")
    classes = class_indices([truth[i] for i in used], len(task.labels))
    fitted_reference = _fit_temperature(task, before[used], classes)
    fitted = _fit_temperature(task, after[used], classes)
    threshold = _fit_threshold(fitted_reference, before[used], classes, true_accept_rate)
    carried = transfer_threshold(
        threshold, fitted_reference.probabilities(before).max(axis=1), fitted.probabilities(after).max(axis=1)
    )
    note = "" if used is unseen else "temperature and threshold were fitted on photos that the model was trained on"
    return Fit({"temperature": fitted.temperature, "threshold": carried}, note)


def _fit_temperature(
    task: ClassifyTask, scores: npt.NDArray[np.floating], truth: npt.NDArray[np.int64]
) -> ClassifyTask:
    """The task with the temperature at which ``scores`` [n, classes] are likeliest, one error added."""
    temperature = fit_temperature(*laplace_smoothed(task.log_scores(scores), truth))
    return ClassifyTask(task.spec.with_parameters({"temperature": temperature}))


def _fit_threshold(
    task: ClassifyTask, scores: npt.NDArray[np.floating], truth: npt.NDArray[np.int64], true_accept_rate: float
) -> float:
    """The threshold that ``true_accept_rate`` of the right answers reach; 0 where none is right."""
    probabilities = task.probabilities(scores)
    right = probabilities.argmax(axis=1) == truth
    return fit_threshold(probabilities.max(axis=1)[right], true_accept_rate) if right.any() else 0.0
