"""The verdict on a variant: what the validation photos say of it against float, held against the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, truths_of
from edgevision.compiler.options import CompileOptions
from edgevision.evaluate.base import GroupLoss, ImageScores, TaskEvaluator, Truths
from edgevision.tensors import Outputs

ERROR_RATE = 0.05  # of an interval, where one graph is compared
MIN_FOR_CALIBRATION = 50  # validation photos, for a calibration error that is more than noise
_ROUNDING = 1e-9  # points: what adding and dividing may have moved a drop


@dataclass(frozen=True, eq=False)
class ValidationTruth:
    """What answers to the validation photos are held against: the ``truth`` where it is known of all photos, else float's
    own answers; then the metric is agreement with float. ``in_training_set``: whether any photo was trained on."""

    truth: Truths
    is_known: bool
    in_training_set: bool


@dataclass(frozen=True, eq=False)
class ScoredVariant:
    """A variant's answers to the validation photos, scored."""

    scores: ImageScores
    calibration_error: float | None


def validation_truth(photos: Sequence[CompilePhoto], reference: Outputs, evaluator: TaskEvaluator) -> ValidationTruth:
    """The truth of ``photos``. ``reference``: float's answers to them; ``evaluator``: with float's parameters."""
    truth = truths_of(photos)
    return ValidationTruth(
        evaluator.pseudo_truth(reference) if truth is None else truth,
        truth is not None,
        any(photo.in_training_set for photo in photos),
    )


def score(evaluator: TaskEvaluator, answers: Outputs, truth: ValidationTruth) -> ScoredVariant:
    """A variant's answers, scored by its ``evaluator``: with the parameters that were fitted for it."""
    scores = evaluator.scores(answers, truth.truth)
    return ScoredVariant(scores, evaluator.calibration_error(scores) if truth.is_known else None)


def verdict(
    measure: AnswerMeasure, reference: ScoredVariant, own: ScoredVariant, truth: ValidationTruth,
    options: CompileOptions, comparisons: int = 1,
) -> Verdict:  # fmt: skip
    """Compare a variant with float on the validation photos.

    Passed: the drop is at most ``max_drop`` points, no group loses too much (its ``exceeds``), and the calibration error,
    so far as there are ``MIN_FOR_CALIBRATION`` photos whose truth is known, is at most ``max_ece_increase`` points above
    float's. Proven: the upper end of the drop's interval is within the budget as well, and the model was not trained on
    those photos.

    ``comparisons``: how many graphs, this one too, have been compared on these photos in search of one that passes. Each
    is another chance to pass by luck, so the interval's confidence is 1 - 0.05 / comparisons (Bonferroni).
    """
    evaluator = measure.evaluator
    paired = evaluator.paired(reference.scores, own.scores, 1 - ERROR_RATE / comparisons, options.seed)
    within = paired.drop <= options.max_drop + _ROUNDING
    faults: list[str] = []
    if truth.is_known:
        groups = evaluator.group_losses(reference.scores, own.scores)
        faults += _losing(groups, options.max_class_drop)
        faults += _miscalibrated(reference, own, paired.n, options.max_ece_increase)
    passed = within and not faults
    certain = paired.interval[1] <= options.max_drop and not truth.in_training_set
    notes = [*_about(truth, comparisons), *faults]
    if passed and paired.interval[1] > options.max_drop and not truth.in_training_set:
        notes.append(f"{paired.n} validation photos are too few to be sure of it")
    return Verdict(
        metric=evaluator.metric if truth.is_known else "agreement",
        unit=evaluator.unit if truth.is_known else "points of agreement with float",
        n=paired.n, reference=paired.reference, value=paired.value, drop=paired.drop, interval=paired.interval,
        confidence=paired.confidence, lost=paired.lost, gained=paired.gained, max_drop=options.max_drop, passed=passed, proven=passed and certain, note="; ".join(notes),
        max_class_drop=options.max_class_drop, reference_calibration_error=reference.calibration_error,
        calibration_error=own.calibration_error,
    )  # fmt: skip


def _about(truth: ValidationTruth, comparisons: int) -> list[str]:
    """What has to be known of the photos."""
    notes = []
    if not truth.is_known:
        notes.append("no labels: the verdict is agreement with the float model, not accuracy")
    if truth.in_training_set:
        notes.append("the validation photos were trained on")
    if comparisons > 1:
        notes.append(f"comparison {comparisons} on the same validation photos")
    return notes


def _losing(groups: Sequence[GroupLoss], max_points: float) -> list[str]:
    """What to say of the group that loses most, where one loses too much."""
    over = [group for group in groups if group.exceeds(max_points)]
    if not over:
        return []
    worst = max(over, key=lambda group: group.share)
    more = f", and {len(over) - 1} more groups lose too much" if len(over) > 1 else ""
    return [f"{worst.sentence()}{more}"]


def _miscalibrated(reference: ScoredVariant, own: ScoredVariant, n: int, max_increase: float) -> list[str]:
    """What to say of scores that are further from being chances than float's, where they are too far."""
    before, after = reference.calibration_error, own.calibration_error
    if before is None or after is None or n < MIN_FOR_CALIBRATION:
        return []
    increase = 100 * (after - before)
    if increase <= max_increase + _ROUNDING:
        return []
    return [
        f"the scores are {increase:.2f} points further from the truth than float's (calibration error), and "
        f"{max_increase:g} are allowed"
    ]
