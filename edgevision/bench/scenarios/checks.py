"""Are the answers under the clock those that the target gave before it ran? Looked at now and then, never while the clock runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.targets.base import Answer, Target

# How far two answers of one target to one frame may be apart: batches of another size are added up in another order, and int8
# graphs round what comes out of it.
SCORE = 0.03  # absolute, of scores 0…1
RELATIVE = 0.03  # of tensors and of scores above 1: relative to their length
OVERLAP = 0.8  # of two boxes, intersection over union

KNOWN = 16  # frames whose answers are asked beforehand: with a slow target, all would take minutes
_CHECKS = 16  # of a block


def same_answer(a: Answer, b: Answer) -> bool:
    """Whether a target says the same twice, within ``SCORE``, ``RELATIVE`` and ``OVERLAP``.

    Classes whose scores are that near may change places, and a box whose score is that near to the lowest kept may be missing.
    """
    if a.tensors or b.tensors:
        return a.tensors.keys() == b.tensors.keys() and all(
            _close(a.tensors[name], b.tensors[name]) for name in a.tensors
        )
    if (a.boxes is None) != (b.boxes is None):
        return False
    if a.boxes is None:
        return _same_classes(a, b)
    return _all_found(a, b) and _all_found(b, a)


def known_answers(target: Target, frames: Sequence[Any]) -> list[Answer]:
    """What a target says of the first ``KNOWN`` frames, asked one by one without a clock, or of all where it was
    asked already (``remember``). Kept: asking for the same again is free."""
    global _known  # noqa: PLW0603 - a process has one target, and its scenarios share what it said
    if _known is None or _known[0] is not target or _known[1] is not frames:
        _known = (target, frames, [target.read(target.answer([frame], None)[0]) for frame in frames[:KNOWN]])
    return _known[2]


def remember(target: Target, frames: Sequence[Any], answers: Sequence[Answer]) -> None:
    """``answers`` to all ``frames``, which were asked already: whoever told the run these is held to them."""
    global _known  # noqa: PLW0603 - as above
    _known = (target, frames, list(answers))


_known: tuple[Target, Sequence[Any], list[Answer]] | None = None


class Checker:
    """Compares some answers of a block with what the target said before. ``wrong``: places of requests that differed."""

    def __init__(self, target: Target, frames: Sequence[Any], seconds: float) -> None:
        self._target = target
        self._expected = known_answers(target, frames)
        self._left = _CHECKS
        self._every_ns = round(seconds * 1e9 / _CHECKS)
        self.next_ns = 0  # not before this moment
        self.cost_ns = 0  # the longest look so far
        self.wrong: list[int] = []

    def look(self, request: int, places: Sequence[int], results: Sequence[Any], now: int) -> int:
        """Read and compare the answers to those frames in ``places`` whose answer is known; returns when to look again, as ``next_ns``.

        A target that gives another number of results than frames was wrong.
        """
        if self._left <= 0:
            self.next_ns = 1 << 62
            return self.next_ns
        right = len(results) == len(places)
        known = [at for at, place in enumerate(places) if place < len(self._expected)]
        if right and not known:
            return now  # try the next request
        self._left -= 1
        if not right or not all(
            same_answer(self._expected[places[at]], self._target.read(results[at])) for at in known
        ):
            self.wrong.append(request)
        self.next_ns = now + self._every_ns
        return self.next_ns


def _close(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> bool:
    if a.shape != b.shape:
        return False
    return bool(np.linalg.norm(a - b) <= RELATIVE * max(float(np.linalg.norm(a)), float(np.linalg.norm(b)), 1e-6))


def _apart(score: float, other: float) -> bool:
    """Whether two scores are too far apart: logits may be larger than 1."""
    return abs(score - other) > max(SCORE, RELATIVE * max(abs(score), abs(other)))


def _same_classes(a: Answer, b: Answer) -> bool:
    if len(a.classes) == 0 or len(b.classes) == 0:
        return len(a.classes) == len(b.classes)
    others = dict(zip(b.classes.tolist(), b.scores.tolist(), strict=True))
    for number, score in zip(a.classes.tolist(), a.scores.tolist(), strict=True):
        if number in others and _apart(score, others[number]):
            return False
    best, other = int(a.classes[0]), int(b.classes[0])
    if best == other:
        return True
    # The other's best must be close behind in both, or the two said different things.
    return best in others and not _apart(others[best], float(b.scores[0]))


def _all_found(a: Answer, b: Answer) -> bool:
    """Whether every box of ``a`` that is well above the lowest score of both has its like in ``b``."""
    assert a.boxes is not None
    assert b.boxes is not None
    lowest = min([*a.scores.tolist(), *b.scores.tolist()], default=0.0)
    free = np.ones(len(b.classes), bool)
    for box, number, score in zip(a.boxes, a.classes.tolist(), a.scores.tolist(), strict=True):
        near = (_overlaps(box, b.boxes) >= OVERLAP) & (b.classes == number) & free
        near &= np.array([not _apart(score, other) for other in b.scores.tolist()], bool)
        if near.any():
            free[int(near.argmax())] = False
        elif _apart(score, lowest):
            return False
    return True


def _overlaps(box: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of one box with each of ``boxes`` [k, 4], as x1, y1, x2, y2."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    own = np.prod(np.clip(box[2:] - box[:2], 0, None))
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return np.asarray(shared / np.maximum(own + areas - shared, 1e-9), np.float64)
