"""The thresholds of a detector's variant, fitted to its own scores.

int8 may find the same boxes and be less sure of them: mean average precision holds, and at float's threshold products
vanish. So each variant gets the thresholds, one for each class, at which its own answers are best (F1 at IoU 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import Fit, Truth, Truths
from edgevision.evaluate.data.boxes import Box
from edgevision.evaluate.statistics.average_precision import match
from edgevision.evaluate.tasks.detect_boxes import TensorBoxes, found_boxes, found_in_tensor, kept, marked_boxes
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import number
from edgevision.tasks.detect.task import SCORES, DetectTask
from edgevision.tasks.postprocess import SCORE_THRESHOLD
from edgevision.tensors import Outputs

MIN_BOXES = 50  # marked boxes in all, to fit with
LEAN_ON_COMMON = 20  # a class of so many boxes counts its own threshold half, and the common one half


def fit_detect(
    task: DetectTask, preprocess: PreprocessSpec | None, reference: Outputs, own: Outputs,
    truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
) -> Fit:  # fmt: skip
    """``threshold`` and ``thresholds`` of a variant: see ``TaskEvaluator.fit``, whose arguments these are.

    On photos that the model was not trained on where those show ``MIN_BOXES`` boxes, else on all that are marked. Where too few
    are marked, those at which the variant's answers agree best with the ``reference``'s, and the note says so.

    Raises InputError where the arguments do not fit together, UnreadableOutputError for numbers that are none.
    """
    if not len(reference[SCORES]) == len(own[SCORES]) == len(truth) == len(in_training_set):
        lengths = [len(reference[SCORES]), len(own[SCORES]), len(truth), len(in_training_set)]
        raise InputError(f"expected digests, truth and training set of the same photos, got {lengths} of them")
    labelled = [i for i, one in enumerate(truth) if one is not None]
    unseen = [i for i in labelled if not in_training_set[i]]
    for used, note in ((unseen, ""), (labelled, "thresholds were fitted on photos that the model was trained on")):
        truths = [truth[i] for i in used]
        if _boxes(truths) >= MIN_BOXES:
            return _fit(task, preprocess, own, used, truths, note)
    answers = own_boxes(task, reference)
    if not _boxes(answers):
        return Fit(note="thresholds were not fitted: no box is marked, and float finds none")
    note = f"{_boxes([truth[i] for i in labelled])} marked boxes are too few: thresholds are those that agree best with float"
    return _fit(task, preprocess, own, list(range(len(truth))), answers, note)


def own_boxes(task: DetectTask, digest: Outputs) -> list[TensorBoxes]:
    """The boxes of each photo above the thresholds of ``task``, as truths."""
    found = [kept(found_in_tensor(digest, item), task.thresholds) for item in range(len(digest[SCORES]))]
    return [
        TensorBoxes(
            tuple(
                Box(label, x1, y1, x2, y2)
                for label, (x1, y1, x2, y2) in zip(one.classes.tolist(), one.boxes.tolist(), strict=True)
            )
        )
        for one in found
    ]


def _boxes(truths: Truths) -> int:
    return sum(not box.crowd for one in truths for box in one.boxes)


def _fit(
    task: DetectTask, preprocess: PreprocessSpec | None, own: Outputs, used: list[int], truths: Truths, note: str
) -> Fit:
    some = {role: array[used] for role, array in own.items()}
    classes = len(task.spec.labels)
    m = match(found_boxes(some, truths, preprocess), marked_boxes(truths, classes), classes)
    before = number(task.spec.parameters, "threshold", SCORE_THRESHOLD, 0.0, 1.0)
    counted, right = ~m.ignored[0], m.right[0]
    marked = m.truths.sum(axis=0)
    common = best_threshold(m.scores[counted], right[counted], int(marked.sum()), before)
    thresholds = []
    for c in range(classes):
        mine = counted & (m.classes == c)
        alone = best_threshold(m.scores[mine], right[mine], int(marked[c]), common) if marked[c] else common
        share = marked[c] / (marked[c] + LEAN_ON_COMMON)
        thresholds.append(float(share * alone + (1 - share) * common))
    few = int((marked < LEAN_ON_COMMON).sum())
    lean = (
        f"{few} of {classes} classes have fewer than {LEAN_ON_COMMON} boxes and lean on the common threshold"
        if few
        else ""
    )
    return Fit({"threshold": common, "thresholds": thresholds}, "; ".join(filter(None, (note, lean))))


def best_threshold(scores: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], marked: int, near: float) -> float:
    """The score above which F1 is greatest; of thresholds that are equally good, the one nearest to ``near``.

    ``scores``, ``right`` [n] of detections, in any order; ``marked``: boxes to be found. Between the two scores that it parts,
    it keeps a quarter of their distance from each.

    >>> best_threshold(np.array([0.9, 0.8, 0.3]), np.array([True, True, False]), 2, near=0.25)
    0.425
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked = np.asarray(scores, np.float64)[order]
    upper = np.concatenate([[1.0], ranked])  # the lowest score that is kept, where 0, 1, 2 … are kept
    lower = np.concatenate([ranked, [0.0]])
    hits = np.concatenate([[0], np.cumsum(right[order])])
    value = 2.0 * hits / np.maximum(np.arange(len(hits)) + marked, 1)
    value[upper <= lower] = -1.0  # equal scores cannot be parted
    best = np.flatnonzero(value >= value.max() - 1e-12)
    quarter = (upper[best] - lower[best]) / 4
    thresholds = np.clip(near, lower[best] + quarter, upper[best] - quarter)
    return float(thresholds[np.abs(thresholds - near).argmin()])
