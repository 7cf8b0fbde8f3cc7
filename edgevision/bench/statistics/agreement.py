"""How far two targets say the same of the same frames. Speed counts only between targets that answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.bench.statistics.ranks import Floats
from edgevision.bench.targets.base import Answer
from edgevision.errors import InputError
from edgevision.evaluate.statistics.average_precision import iou_matrix

LEAST_IOU = 0.5


@dataclass(frozen=True)
class Agreement:
    """``share`` 0…1, by what the answers are. Classes: of frames whose best class is the same. Boxes: F1 of the one target's boxes against
    the other's. Tensors: 1 - the greatest relative difference, 0 at least. ``worst``: the greatest difference of a score, or the greatest
    relative difference of a tensor. ``text``: both in words.
    """

    share: float
    worst: float
    text: str


def agreement(answers_a: Sequence[Answer], answers_b: Sequence[Answer]) -> Agreement:
    """Compare the answers of two targets to the same frames, in the same order.

    Boxes are the same where class and place are: IoU ≥ 0.5, each box once, best scores first. F1 is 2·same / (boxes of a + boxes of b); no
    boxes on either side is agreement. Tensors are compared by ``‖a - b‖ / ‖b‖`` over all frames, by name.

    Raises InputError where the answers are not of the same number of frames, or not of the same kind.
    """
    if len(answers_a) != len(answers_b) or not len(answers_a):
        raise InputError(f"expected answers to the same frames, got {len(answers_a)} and {len(answers_b)}")
    kinds = {_kind(answer) for answer in (*answers_a, *answers_b)} - {"nothing"}
    if len(kinds) > 1:
        raise InputError(
            f"expected answers of one kind, got {' and '.join(sorted(kinds))}; compare targets of one task"
        )
    pairs = list(zip(answers_a, answers_b, strict=True))
    if kinds == {"boxes"}:
        return _of_boxes(pairs)
    if kinds == {"tensors"}:
        return _of_tensors(pairs)
    return _of_classes(pairs)


def same_answer(a: Answer, b: Answer, tolerance: float = 1e-3) -> bool:
    """Whether two answers are the same but for rounding: classes and their order, scores within ``tolerance``, boxes within a pixel.

    Classes whose scores are within ``tolerance`` of each other may have changed places. Tensors: a relative difference within ``tolerance``.
    """
    if (
        len(a.classes) != len(b.classes)
        or a.tensors.keys() != b.tensors.keys()
        or (a.boxes is None) != (b.boxes is None)
    ):
        return False
    if any(not _near(a.tensors[name], b.tensors[name], tolerance) for name in a.tensors):
        return False
    if np.any(np.abs(a.scores - b.scores) > tolerance):
        return False
    if a.boxes is None or b.boxes is None:
        changed = a.classes != b.classes
        return all(_tied(place, a, tolerance) for place in np.flatnonzero(changed))
    return not len(a.classes) or len(_matched(a, b, LEAST_IOU, 1.0)) == len(a.classes)


def _of_classes(pairs: Sequence[tuple[Answer, Answer]]) -> Agreement:
    same, worst = 0, 0.0
    for a, b in pairs:
        best_a, best_b = a.classes[:1].tolist(), b.classes[:1].tolist()
        same += int(best_a == best_b)
        _, in_a, in_b = np.intersect1d(a.classes, b.classes, return_indices=True)
        if len(in_a):
            worst = max(worst, float(np.abs(a.scores[in_a] - b.scores[in_b]).max()))
    text = f"the same best class on {same} of {len(pairs)} frames; scores differ by at most {worst:.3g}"
    return Agreement(same / len(pairs), worst, text)


def _of_boxes(pairs: Sequence[tuple[Answer, Answer]]) -> Agreement:
    same, boxes_a, boxes_b, worst = 0, 0, 0, 0.0
    for a, b in pairs:
        boxes_a, boxes_b = boxes_a + len(a.classes), boxes_b + len(b.classes)
        matched = _matched(a, b, LEAST_IOU)
        same += len(matched)
        worst = max([worst, *(abs(float(a.scores[i] - b.scores[j])) for i, j in matched)])
    share = 2 * same / (boxes_a + boxes_b) if boxes_a + boxes_b else 1.0
    text = (
        f"{same} boxes are the same, of {boxes_a} and {boxes_b} on {len(pairs)} frames (F1 {share:.3f}); "
        f"their scores differ by at most {worst:.3g}"
    )
    return Agreement(share, worst, text)


def _of_tensors(pairs: Sequence[tuple[Answer, Answer]]) -> Agreement:
    names = pairs[0][0].tensors.keys()
    if any(answer.tensors.keys() != names for pair in pairs for answer in pair):
        raise InputError("expected the same outputs of both targets; compare two exports of one model")
    worst, where = 0.0, ""
    for name in names:
        a = [pair[0].tensors[name] for pair in pairs]
        b = [pair[1].tensors[name] for pair in pairs]
        if [one.shape for one in a] != [one.shape for one in b]:
            raise InputError(
                f"expected as many numbers in output '{name}' of both targets; compare two exports of one model"
            )
        difference = _relative(np.concatenate(a), np.concatenate(b))
        if difference >= worst:
            worst, where = difference, name
    return Agreement(
        max(0.0, 1 - worst),
        worst,
        f"output '{where}' differs by {worst:.3g} of its size, the most of {len(names)} outputs",
    )


def _matched(a: Answer, b: Answer, least_iou: float, pixels: float | None = None) -> list[tuple[int, int]]:
    """Pairs of places of boxes that are the same, each box in one at most; ``pixels``: how far corners may be apart."""
    if a.boxes is None or b.boxes is None or not len(a.classes) or not len(b.classes):
        return []
    overlap = np.where(a.classes[:, None] == b.classes[None], iou_matrix(a.boxes, b.boxes), 0.0)
    if pixels is not None:
        overlap[np.abs(a.boxes[:, None] - b.boxes[None]).max(axis=2) > pixels] = 0.0
    matched = []
    for place in np.argsort(-a.scores, kind="stable"):
        best = int(np.argmax(overlap[place]))
        if overlap[place, best] >= least_iou:
            matched.append((int(place), best))
            overlap[:, best] = 0.0
    return matched


def _relative(a: Floats, b: Floats) -> float:
    size, difference = float(np.linalg.norm(b)), float(np.linalg.norm(a - b))
    if difference == 0:
        return 0.0
    return difference / size if size > 0 else float("inf")


def _near(a: Floats, b: Floats, tolerance: float) -> bool:
    return a.shape == b.shape and _relative(a, b) <= tolerance


def _tied(place: np.intp, answer: Answer, tolerance: float) -> bool:
    """Whether another class of the answer has the score of the one at ``place``, or it is the last, whose rival may have fallen out."""
    others = np.delete(answer.scores, place)
    return int(place) == len(answer.scores) - 1 > 0 or bool((np.abs(others - answer.scores[place]) <= tolerance).any())


def _kind(answer: Answer) -> str:
    if answer.boxes is not None:
        return "boxes"
    if answer.tensors:
        return "tensors"
    return "classes" if len(answer.classes) else "nothing"
