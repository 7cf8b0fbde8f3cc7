"""Do a detector's answers make sense at all? Looks at float's own, before anything is compared with them.

int8 that repeats float's nonsense agrees with it perfectly. So what a wrong declaration does to boxes is looked for here:
boxes in shares of the picture, or with their axes in another order; labels in another order. A reading is named only
where answers fit the marked boxes hardly at all as declared, and clearly by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import Doubt, Truth, Truths
from edgevision.evaluate.statistics.average_precision import Found, iou_matrix
from edgevision.evaluate.statistics.chance import sign_test
from edgevision.evaluate.tasks.detect_boxes import checked_digest, found_boxes, marked_boxes
from edgevision.evaluate.tasks.label_orders import NO_LABEL, learnt_order, usual_orders
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.detect.task import BOXES, DetectTask
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

LEAST_BOXES = 50  # marked boxes, to say anything
FOUND_AT_ALL = 0.05  # share of marked boxes that some box overlaps, of whatever class and score: less is no detector
FOUND_ANYWAY = 0.7  # whoever finds so many reads boxes rightly
FOUND_BY_READING = 0.4  # share that another reading of the boxes has to find, to be named
CLEARLY_MORE = (
    1.5  # times as many as are found as declared: with axes exchanged, what lies on the diagonal is found too
)
ORDER_ERROR_RATE = 1e-6  # of calling another order of the labels better; some ten are tried
WITHOUT_MOST_ERROR_RATE = 1e-3  # the same without the class that gains most by it
RIGHT_ENOUGH = 0.5  # share of found boxes with the right class: whoever has it has the labels in order
SAME_PLACE = 0.5  # IoU
USELESS_POINTS = (
    0.5  # of the metric: boxes thrown at random are worth less, and a model that is not better is not trained
)
_NAMED = 3  # pairs of labels that a message names

Boxes = npt.NDArray[np.float64]


def detect_doubts(
    task: DetectTask, preprocess: PreprocessSpec | None, digest: Outputs, truth: Sequence[Truth | None],
    value: Callable[[Outputs, Truths], float],
) -> tuple[Doubt, ...]:  # fmt: skip
    """What is odd about answers to photos, see ``AnswerCheck.doubts``. ``value``: the metric of answers, in points.

    Raises UnreadableOutputError where answers are no numbers.
    """
    checked_digest(digest)
    labelled = [i for i, one in enumerate(truth) if one is not None]
    truths: list[Truth] = [truth[i] for i in labelled]
    boxes = sum(not box.crowd for one in truths for box in one.boxes)
    if boxes < LEAST_BOXES:
        return ()
    some = {role: array[labelled] for role, array in digest.items()}

    def pairs(digest: Outputs) -> npt.NDArray[np.int64]:
        return _pairs(task, preprocess, digest, truths)

    found = pairs(some)
    said = f"of {boxes} marked boxes {len(found)} are found, whatever the score and class"
    if len(found) < FOUND_ANYWAY * boxes:
        others = {name: read(np.asarray(some[BOXES], np.float64)) for name, read in _readings(task).items()}
        better = {name: len(pairs({**some, BOXES: own})) for name, own in others.items()}
        name = max(better, key=lambda one: better[one])
        if better[name] >= max(FOUND_BY_READING * boxes, CLEARLY_MORE * len(found)):
            return (Doubt(f"{said}, and {better[name]} with the boxes read {name}: give the --output that says so"),)
    if len(found) < FOUND_AT_ALL * boxes:
        return (Doubt(said, explained=False),)
    if doubts := _label_doubts(task.spec.labels, found):
        return doubts
    points = value(some, truths)
    if points < USELESS_POINTS:
        return (Doubt(f"{said}; the mAP50-95 of these {len(truths)} photos is {points:.2f} %", explained=False),)
    return ()


def _readings(task: DetectTask) -> dict[str, Callable[[Boxes], Boxes]]:
    """Other ways to read four numbers that were taken for x1 y1 x2 y2 in pixels of the tensor."""
    size = np.array([task.width, task.height, task.width, task.height], np.float64)

    def centred(boxes: Boxes) -> Boxes:
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        return np.concatenate([centre - half, centre + half], axis=-1)

    def cornered(boxes: Boxes) -> Boxes:
        return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)

    def read_as_centred(boxes: Boxes) -> Boxes:
        """What became of corners that a layout took for a centre and a size."""
        centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        return np.concatenate([centre, sides], axis=-1)

    turned = [1, 0, 3, 2]
    pixels: dict[str, Callable[[Boxes], Boxes]] = {
        "as y1 x1 y2 x2": lambda boxes: boxes[..., turned],
        "as a centre and a size": centred,
        "as a corner and a size": cornered,
        "as corners, not as a centre and a size": read_as_centred,
    }
    shares: dict[str, Callable[[Boxes], Boxes]] = {
        "in shares of the picture, 0…1": lambda boxes: boxes * size,
        "in shares of the picture, as y1 x1 y2 x2": lambda boxes: boxes[..., turned] * size,
        "in shares of the picture, as a centre and a size": lambda boxes: centred(boxes * size),
        "in shares of the picture, as corners, not as a centre and a size": lambda boxes: read_as_centred(boxes * size),
        "in pixels, not in shares of the picture": lambda boxes: boxes / size,
    }
    return {**pixels, **shares}


def _pairs(
    task: DetectTask, preprocess: PreprocessSpec | None, digest: Outputs, truths: Sequence[Truth]
) -> npt.NDArray[np.int64]:
    """Pairs (class found, class marked) of boxes in the same place, int64 [n, 2]: each marked box with the box of the best
    score that overlaps it enough, whatever its class."""
    found = []
    marked = marked_boxes(truths, len(task.spec.labels))
    for own, one in zip(found_boxes(digest, truths, preprocess), marked, strict=True):
        found += _pairs_of(own, one.boxes[~one.crowd], one.classes[~one.crowd])
    return np.array(found, np.int64).reshape(-1, 2)


def _pairs_of(found: Found, boxes: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    near = iou_matrix(found.boxes, boxes) >= SAME_PLACE
    scores = np.where(near, found.scores[:, None], -1.0)
    hit = np.flatnonzero(near.any(axis=0))
    best = scores.argmax(axis=0) if len(found.scores) else np.zeros(len(boxes), np.int64)
    return [(int(found.classes[best[i]]), int(classes[i])) for i in hit.tolist()]


def _label_doubts(labels: Sequence[Label], pairs: npt.NDArray[np.int64]) -> tuple[Doubt, ...]:
    """Boxes in the right places with classes that fit better in another order of the labels."""
    answers, truth = pairs[:, 0], pairs[:, 1]
    right = answers == truth
    if len(pairs) < LEAST_BOXES or right.mean() >= RIGHT_ENOUGH:
        return ()
    orders = {f"the labels {order.name}": order.answers(answers) for order in usual_orders(labels)}
    orders["the labels in another order"] = _suggested(answers, truth, len(labels))
    better = {name: other for name, other in orders.items() if _fits_better(other == truth, right, truth)}
    if not better:
        return ()
    name = max(better, key=lambda one: int((better[one] == truth).sum()))
    share = 100 * float((better[name] == truth).mean())
    moved = learnt_order(answers, truth, len(labels))
    places = [
        f"'{labels[output].name}' stands where '{labels[label].name}' belongs"
        for output, label in enumerate(moved.tolist())
        if label not in (output, NO_LABEL)
    ]
    return (
        Doubt(
            f"{len(pairs)} marked boxes are found where they are, {100 * float(right.mean()):.1f} % of them with their class, and with "
            f"{name} {share:.1f} % ({', '.join(places[:_NAMED])}{', …' if len(places) > _NAMED else ''}): give the labels in the "
            "order of the outputs"
        ),
    )


def _suggested(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The answers in the order that they suggest themselves: what one half of the boxes suggests is taken for the other."""
    other = np.empty_like(answers)
    by_class = np.argsort(truth, kind="stable")
    for seen, rest in ((by_class[::2], by_class[1::2]), (by_class[1::2], by_class[::2])):
        other[rest] = learnt_order(answers[seen], truth[seen], classes)[answers[rest]]
    return other


def _fits_better(now: npt.NDArray[np.bool_], was: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64]) -> bool:
    """Whether most boxes are right ``now``, clearly more than before; also without the class that gains most, for an honest
    model may well call everything by one name."""
    won, lost = (np.bincount(truth[which], minlength=truth.max() + 1) for which in (now & ~was, was & ~now))
    most = int((won - lost).argmax())
    if 2 * now.mean() <= 1 or sign_test(int(won.sum()), int(lost.sum())) > ORDER_ERROR_RATE:
        return False
    return sign_test(int(won.sum() - won[most]), int(lost.sum() - lost[most])) <= WITHOUT_MOST_ERROR_RATE
