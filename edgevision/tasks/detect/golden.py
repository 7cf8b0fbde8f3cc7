"""Golden frames of detectors: are the boxes that were found where the bundle was made found here?

Boxes cannot be compared place by place: where two scores are nearly equal, their order may turn, and where two boxes overlap
by just the threshold of suppression, one may come or go. So a box is looked for among those of its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.tasks.base import GoldenResult
from edgevision.tensors import Outputs

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """``clear``: the score from which on a box has to be found again; ``iou``: how much the two must overlap; ``score``: how
    far the scores may be apart; ``place``: words for the message."""

    clear: float
    iou: float
    score: float
    place: str


# The same variant on the same instruction set: only the order of sums differs. That moves a score by some 1e-6, and by one step
# of int8 (1/255) where a sum lies between two steps.
SAME_DEVICE = Tolerance(clear=0.05, iou=0.9, score=0.01, place="where it was compiled")

# Another engine or device rounds elsewhere. A probability may move as much as a classifier's may; a box by a step or two of
# int8, which for small boxes is a good part of them. COCO counts a box as found from an IoU of 0.5.
OTHER_DEVICE = Tolerance(clear=0.5, iou=0.5, score=0.15, place="on another engine or device")

# Scores under this one are not stored: no box that has to be found again, and none that it may be, is so weak.
STORED_FROM = SAME_DEVICE.clear - SAME_DEVICE.score

# Suppression keeps or drops a box whose overlap with a better one is this near to its threshold.
CONTESTED_IOU = 0.05


def compare_golden(reference: Outputs, stored: Outputs, now: Outputs, *, iou: float, same_device: bool) -> GoldenResult:
    """See ``Task.compare``: digests of ``DetectTask``. ``iou``: the threshold of suppression.

    ``same_device``: each box from a score of 0.05 on is found again, with an IoU of 0.9 and its score within 0.01, and no other
    box is there. Otherwise: each box of float from 0.5 on that this variant had found, too, is found again with an IoU of 0.5
    and its score within 0.15, and no box that is as clear has come. In both: the best score of each frame is within that
    tolerance. Boxes that another box of their class nearly suppresses are left out. ``worst``: the largest difference of scores; 1
    where a box is missing.
    """
    if len({_frames(digest) for digest in (reference, stored, now)}) > 1 or not _frames(now):
        raise InputError(
            f"golden frames: expected three digests of the same frames, got {_shapes(reference)}, {_shapes(stored)}, "
            f"{_shapes(now)}; the bundle's golden outputs do not belong to this model"
        )
    allowed = SAME_DEVICE if same_device else OTHER_DEVICE
    count, worst, compared = len(now["scores"]), 0.0, 0
    for frame in range(count):
        float_, before, here = (_Frame.of(digest, frame) for digest in (reference, stored, now))
        wanted = before.clear(allowed.clear, iou)
        if not same_device:
            wanted = wanted.found_in(float_.clear(allowed.clear, iou), allowed.iou)
        come = here.clear(allowed.clear + allowed.score, iou)
        compared += len(wanted)
        differences = np.concatenate(
            [
                [abs(here.best - before.best)],
                wanted.differences(here, allowed.iou),
                come.differences(before, allowed.iou),
            ]
        )
        worst = max(worst, float(differences.max()))
        if differences.max() > allowed.score:
            what = _describe(wanted, come, before, here, allowed)
            return GoldenResult(False, worst, f"golden frame {frame + 1} of {count}: {what} {allowed.place}")
    return GoldenResult(
        True, worst, f"{count} golden frames with {compared} clear boxes agree: worst difference of a score {worst:.2g}, "
        f"allowed {allowed.score:g}",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Frame:
    """The boxes of one frame, without those that fill up; ``best``: the best score, 0 where nothing was found."""

    boxes: Array
    scores: Array
    classes: Array
    best: float

    @classmethod
    def of(cls, digest: Outputs, frame: int) -> _Frame:
        scores = np.asarray(digest["scores"][frame], np.float64)
        there = scores > 0
        boxes = np.asarray(digest["boxes"][frame], np.float64)[there]
        classes = np.asarray(digest["classes"][frame], np.float64)[there]
        return cls(boxes, scores[there], classes, float(scores.max(initial=0.0)))

    def __len__(self) -> int:
        return len(self.scores)

    def clear(self, least: float, iou: float) -> _Frame:
        """The boxes from this score on that suppression keeps in any case."""
        near = (_overlaps(self, self) > iou - CONTESTED_IOU) & (self.scores[None] >= self.scores[:, None])
        np.fill_diagonal(near, False)
        return self._rows((self.scores >= least) & ~np.asarray(near.any(axis=1)))

    def found_in(self, other: _Frame, iou: float) -> _Frame:
        """Those that ``other`` has, too, whatever their scores are."""
        return self._rows(np.asarray((_overlaps(self, other) >= iou).any(axis=1)))

    def differences(self, other: _Frame, iou: float) -> Array:
        """[n]: how far each score is from that of the box in ``other`` that is nearest in score; 1 where there is none."""
        apart = np.where(_overlaps(self, other) >= iou, np.abs(self.scores[:, None] - other.scores[None]), 1.0)
        return np.asarray(apart.min(axis=1, initial=1.0))

    def _rows(self, rows: npt.NDArray[np.bool_]) -> _Frame:
        return _Frame(self.boxes[rows], self.scores[rows], self.classes[rows], self.best)


def _overlaps(a: _Frame, b: _Frame) -> Array:
    """IoU [len(a), len(b)]; -1 between boxes of different classes."""
    low = np.maximum(a.boxes[:, None, :2], b.boxes[None, :, :2])
    high = np.minimum(a.boxes[:, None, 2:], b.boxes[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    area_a, area_b = (np.prod(np.maximum(f.boxes[:, 2:] - f.boxes[:, :2], 0), axis=1) for f in (a, b))
    union = area_a[:, None] + area_b[None] - common
    iou = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return np.where(a.classes[:, None] == b.classes[None], iou, -1.0)


def _describe(wanted: _Frame, come: _Frame, before: _Frame, here: _Frame, allowed: Tolerance) -> str:
    """What is wrong with a frame that did not pass."""
    lost = wanted.differences(here, allowed.iou)
    if (lost >= 1).any():
        i = int(lost.argmax())
        return (
            f"a box of class {int(wanted.classes[i])} with the score {wanted.scores[i]:.2f} is not found again with an IoU of "
            f"{allowed.iou:g}"
        )
    gained = come.differences(before, allowed.iou)
    if (gained >= 1).any():
        i = int(gained.argmax())
        return f"a box of class {int(come.classes[i])} with the score {come.scores[i]:.2f} was not there before"
    worst = max(lost.max(initial=0.0), gained.max(initial=0.0), abs(here.best - before.best))
    return f"a score differs by {worst:.3g} from the stored one, {allowed.score:g} is allowed"


def _frames(digest: Outputs) -> int:
    """How many frames a digest is of, of whatever number of rows each; 0 where its arrays do not fit together."""
    (boxes, scores, classes) = _shapes(digest)
    fits = len(scores) == 2 and boxes == (*scores, 4) and classes == scores
    return scores[0] if fits else 0


def _shapes(digest: Outputs) -> list[tuple[int, ...]]:
    return [digest[role].shape for role in ("boxes", "scores", "classes")]
