"""Do a classifier's answers make sense at all? Looks at float's own, before anything is compared with them.

int8 that repeats float's nonsense agrees with it perfectly. So what a wrong declaration does to answers is looked for
here: probabilities called logits, labels in another order, a network that gives all photos one answer. Every rule is
made so that an honest model, even a weak one on few photos, hardly ever breaks it: a model that gets a fifth of the way
from guessing to always right is not refused for guessing but by a chance of ``ERROR_RATE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import UnreadableOutputError
from edgevision.evaluate.base import Doubt, Truth
from edgevision.evaluate.statistics.chance import balanced_hits, sign_test
from edgevision.evaluate.tasks.classify_scores import class_indices
from edgevision.evaluate.tasks.label_orders import NO_LABEL, exchanged, learnt_order, usual_orders
from edgevision.tasks.classify import SCORES, ClassifyTask
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

LEAST_SKILL = 0.2  # of the way from guessing to always right: whoever has it is hardly ever taken for guessing
ERROR_RATE = 1e-3  # how rarely
MORE_THAN_CHANCE = 0.01  # as many hits as guessing gives more rarely than this are no guesses
ORDER_ERROR_RATE = 1e-6  # of calling another order of the labels better; some ten are tried
COLLAPSED_PHOTOS = 31  # photos of other classes than the only answer: 0.8 ** 31 < ERROR_RATE
CLASSES_SHOWN = 8  # that must have photos, where some have none: of fewer, a sound model may know none
SUM_TOLERANCE = 0.01  # of a row of probabilities; half precision over 1,000 classes stays within it
RANGE_TOLERANCE = 1e-4
LEAST_PHOTOS = 16  # to say anything of the outputs as such
SAME = 1e-5  # of the largest output: less between photos is rounding
_NAMED = 3  # pairs of labels that a message names


def classify_doubts(task: ClassifyTask, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
    """What is odd about answers to photos, see ``AnswerCheck.doubts``. ``truth``: class indices, None where not known.

    Raises UnreadableOutputError where answers are no numbers.
    """
    scores = np.asarray(digest[SCORES], np.float64)
    if broken := int((~np.isfinite(scores).all(axis=1)).sum()):
        raise UnreadableOutputError(
            f"the network's output holds NaN or infinite values for {broken} of {len(scores)} photos; the graph or its input is broken"
        )
    labelled = [i for i, one in enumerate(truth) if one is not None]
    classes = class_indices([truth[i] for i in labelled], len(task.labels))
    return (
        *_layout_doubts(task.layout, scores),
        *_dead(scores),
        *_label_doubts(task.labels, scores[labelled].argmax(axis=1).astype(np.int64), classes),
    )


# ---- the numbers as such ----


def _layout_doubts(layout: str, scores: npt.NDArray[np.float64]) -> list[Doubt]:
    """Numbers that are not what they are declared to be."""
    if len(scores) < LEAST_PHOTOS:
        return []
    within = scores.min() >= -RANGE_TOLERANCE and scores.max() <= 1 + RANGE_TOLERANCE
    sums = bool(np.abs(scores.sum(axis=1) - 1).max() <= SUM_TOLERANCE)
    if scores.min() >= -RANGE_TOLERANCE and np.abs(scores.sum(axis=1) / 100 - 1).max() <= SUM_TOLERANCE:
        return [
            Doubt(
                f"the outputs are declared as {layout}, and are at least 0 and sum to 100, as percent do: export the network "
                "without the factor 100, and give --output probabilities"
            )
        ]
    if layout == "logits" and within and sums:
        return [
            Doubt("the outputs are declared as logits, and are within 0…1 and sum to 1: give --output probabilities")
        ]
    if within and not sums:
        return [
            Doubt(
                f"the outputs are declared as {layout}, and are within 0…1 without summing to 1, as those of a sigmoid: export "
                "the network without it, and give --output logits"
            )
        ]
    if layout == "probabilities" and not within:
        may_be_percent = scores.min() >= 0 and scores.max() <= 100
        percent = ", or export the network without the factor 100 if these are percent" if may_be_percent else ""
        return [
            Doubt(
                f"the outputs are declared as probabilities, and reach from {scores.min():.4g} to {scores.max():.4g}: give "
                f"--output logits{percent}"
            )
        ]
    return []


def _dead(scores: npt.NDArray[np.float64]) -> list[Doubt]:
    if len(scores) < LEAST_PHOTOS or np.ptp(scores, axis=0).max() > SAME * np.abs(scores).max():
        return []
    return [Doubt(f"the outputs are the same for all {len(scores)} photos", explained=False)]


# ---- against the labels ----


def _label_doubts(labels: Sequence[Label], answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> list[Doubt]:
    """Answers that fit the photos' labels no better than guesses do, or better in another order of the labels."""
    if not len(truth):
        return []
    as_given = f"right on {_percent(answers == truth)} of {len(truth)} labelled photos"
    guessing = _guesses(answers, truth, len(labels))
    reading = _better_reading(labels, answers, truth, only_exchanged=not guessing)
    if reading is not None:
        return [
            Doubt(
                f"{as_given}, and with the labels {reading.name} on {_percent(reading.answers == truth)}: give the labels in the "
                "order of the outputs"
            )
        ]
    other = int((truth != answers[0]).sum())
    if (answers == answers[0]).all() and len(set(truth.tolist())) > 1 and other >= COLLAPSED_PHOTOS:
        name = labels[answers[0]].name
        return [
            Doubt(
                f"all {len(truth)} labelled photos are called '{name}', and {other} of them show something else",
                explained=False,
            )
        ]
    if guessing:
        return [Doubt(f"{as_given}, which is what guessing gives", explained=False)]
    return []


def _guesses(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], classes: int) -> bool:
    counted = balanced_hits(answers, truth)
    if counted.classes < min(classes, CLASSES_SHOWN) or counted.beats_guessing(MORE_THAN_CHANCE):
        return False
    return counted.rules_out(LEAST_SKILL, ERROR_RATE)


def _fits_better(other: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> bool:
    """Whether ``other`` answers are right on more photos than ``answers``, beyond chance; also without the class that gains most,
    for an honest model may well take one class for another; and beyond what guesses give."""
    now, was = other == truth, answers == truth
    won, lost = (np.bincount(truth[which], minlength=truth.max() + 1) for which in (now & ~was, was & ~now))
    most = int((won - lost).argmax())
    if (
        sign_test(int(won.sum()), int(lost.sum())) > ORDER_ERROR_RATE
        or sign_test(int(won.sum() - won[most]), int(lost.sum() - lost[most])) > ERROR_RATE
        or 2 * int((lost > won).sum()) > int((won > lost).sum())
    ):
        return False
    return balanced_hits(other, truth).beats_guessing(MORE_THAN_CHANCE)


@dataclass(frozen=True, eq=False)
class _Reading:
    """Another order of the labels: ``name`` in words, and what the ``answers`` int64 [n] are in it."""

    name: str
    answers: npt.NDArray[np.int64]


def _better_reading(
    labels: Sequence[Label], answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], *, only_exchanged: bool
) -> _Reading | None:
    """The order of the labels that fits clearly better than the given one: one that labels files are often in, unless the one that the
    answers suggest fits better still."""
    usual = [_Reading(order.name, order.answers(answers)) for order in usual_orders(labels)]
    usual = [reading for reading in usual if _fits_better(reading.answers, answers, truth)]
    best = max(usual, key=lambda reading: int((reading.answers == truth).sum()), default=None)
    suggested = _suggested(labels, answers, truth, only_exchanged=only_exchanged)
    if not _fits_better(suggested.answers, answers, truth):
        return best
    if best is None or sign_test(*_flips(best.answers == truth, suggested.answers == truth)) <= ORDER_ERROR_RATE:
        return suggested
    return best


def _flips(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Photos won and photos lost."""
    return int((after & ~before).sum()), int((before & ~after).sum())


def _suggested(
    labels: Sequence[Label], answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], *, only_exchanged: bool
) -> _Reading:
    """The order that the answers suggest. What half of the photos suggest is taken for the other half alone, so that
    right answers among so few prove something. ``only_exchanged``: labels that change places among each other, which no
    honest confusion looks like; else any, even where some have no photo."""

    def order(photos: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        label_of = learnt_order(answers[photos], truth[photos], len(labels))
        return exchanged(label_of) if only_exchanged else label_of

    by_class = np.argsort(truth, kind="stable")
    halves = by_class[::2], by_class[1::2]
    other = np.empty_like(answers)
    for seen, kept_back in (halves, halves[::-1]):
        other[kept_back] = order(seen)[answers[kept_back]]
    return _Reading(f"in another order ({_moved(labels, order(by_class))})", other)


def _moved(labels: Sequence[Label], label_of: npt.NDArray[np.int64]) -> str:
    """The first labels that stand elsewhere, in words."""
    pairs = [
        f"'{labels[output].name}' stands where '{labels[label].name}' belongs"
        for output, label in enumerate(label_of.tolist())
        if label not in (output, NO_LABEL)
    ]
    return ", ".join(pairs[:_NAMED]) + (", …" if len(pairs) > _NAMED else "")


def _percent(right: npt.NDArray[np.bool_]) -> str:
    return f"{100 * right.mean():.1f} %"
