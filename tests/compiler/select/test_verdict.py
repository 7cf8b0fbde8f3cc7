"""The verdict on answers whose flips are counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto
from edgevision.compiler.options import CompileOptions
from edgevision.compiler.select.verdict import ScoredVariant, score, validation_truth, verdict
from edgevision.evaluate.registry import make_evaluator
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch")

SPEC = classify_spec((Label(0, "a"), Label(1, "b"), Label(2, "c")))
MEASURE = AnswerMeasure.of(SPEC)


def answers(*classes: int) -> dict[str, np.ndarray]:
    """The digest of a classifier whose best class is as given, for each photo."""
    return {"scores": np.eye(3, dtype=np.float32)[list(classes)]}


def compared(reference, own, truth, max_drop=0.5, *, in_training_set=False, comparisons=1, scored=None, **more):
    """The verdict on a variant's answers, against float's ``reference``; without ``truth`` the photos have no labels.

    ``scored``: a function that changes what was made of float's answers and of the variant's.
    """
    labels = [None] * len(reference["scores"]) if truth is None else [int(one) for one in truth]
    photos = [CompilePhoto(b"", label, str(i), in_training_set) for i, label in enumerate(labels)]
    known = validation_truth(photos, reference, MEASURE.evaluator)
    both = [score(MEASURE.evaluator, one, known) for one in (reference, own)]
    options = CompileOptions(max_drop=max_drop, **more)
    return verdict(MEASURE, *(scored(*both) if scored else both), known, options, comparisons)


@pytest.mark.parametrize(
    ("reference", "variant", "truth", "expected"),
    [
        # float: 3 of 4 right; variant: photo 1 lost, photo 3 gained, so 3 of 4 as well.
        ([0, 1, 2, 0], [0, 2, 2, 1], [0, 1, 2, 1], {"reference": 75, "value": 75, "drop": 0, "lost": 1, "gained": 1}),
        ([0, 1, 2, 0], [0, 2, 2, 0], [0, 1, 2, 1], {"reference": 75, "value": 50, "drop": 25, "lost": 1, "gained": 0}),
        ([0, 1, 2, 0], [0, 1, 2, 1], [0, 1, 2, 1], {"reference": 75, "value": 100, "drop": -25, "lost": 0, "gained": 1}),
        # Both wrong, and differently: no flip of right and wrong.
        ([0, 1, 2, 0], [0, 1, 2, 2], [0, 1, 2, 1], {"reference": 75, "value": 75, "drop": 0, "lost": 0, "gained": 0}),
        # Without labels float is the truth.
        ([0, 1, 2, 0], [0, 1, 2, 2], None, {"reference": 100, "value": 75, "drop": 25, "lost": 1, "gained": 0}),
    ],
)  # fmt: skip
def test_flips(reference, variant, truth, expected):
    made = compared(answers(*reference), answers(*variant), truth)
    assert {name: getattr(made, name) for name in expected} == expected
    assert made.n == 4
    assert (made.metric, made.unit) == (
        ("agreement", "points of agreement with float") if truth is None else ("top1", "points of top-1")
    )
    assert ("agreement with the float model, not accuracy" in made.note) == (truth is None)
    assert made.passed == (expected["drop"] <= 0.5)
    assert made.interval[0] <= made.drop <= made.interval[1]
    assert made.confidence == 0.95


@pytest.mark.parametrize(
    ("n", "lost", "max_drop", "passed", "proven"),
    [
        (100, 0, 0.5, True, False),  # nothing flipped, and 100 photos prove little
        (1000, 0, 0.5, True, True),
        (1000, 5, 0.5, True, False),  # exactly the budget is within it
        (1000, 6, 0.5, False, False),
        (1000, 5, 2.0, True, True),
        (1000, 0, 0.0, True, False),  # no number of photos proves that nothing at all is lost
    ],
)
def test_passed_is_the_drop_seen_and_proven_its_intervals_upper_end(n, lost, max_drop, passed, proven):
    truth = np.arange(n) % 3
    variant = answers(*(truth[:lost] + 1) % 3, *truth[lost:])  # what is lost is spread over the classes
    made = compared(answers(*truth), variant, truth, max_drop)
    assert (made.passed, made.proven) == (passed, proven)
    assert made.proven == (made.interval[1] <= max_drop)


def test_photos_that_were_trained_on_prove_nothing():
    truth = np.zeros(1000, np.int64)
    same = answers(*[0] * 1000)
    made = compared(same, same, truth, in_training_set=True)
    assert made.passed
    assert not made.proven
    assert "trained on" in made.note
    assert compared(same, same, truth).proven


@pytest.mark.parametrize(
    ("n", "lost", "gained", "fails"),
    [
        (19, 19, 0, False),  # so few photos say nothing of a class
        (20, 2, 0, False),
        (20, 3, 0, True),
        (20, 4, 2, False),  # net is what counts
        (100, 3, 0, False),  # 3 points
        (100, 4, 0, True),
    ],
)
def test_a_class_that_loses_much_fails_though_the_whole_is_within_the_budget(n, lost, gained, fails):
    truth = np.concatenate([np.full(n, 1), np.zeros(2000, np.int64)])
    reference = truth.copy()
    reference[lost : lost + gained] = 2
    variant = truth.copy()
    variant[:lost] = 2
    made = compared(answers(*reference), answers(*variant), truth, 1.0)
    assert made.drop <= 1.0
    assert (made.passed, made.proven) == (not fails, not fails and made.interval[1] <= 1.0)
    assert (f"class 'b' loses {lost - gained} of {n} photos" in made.note) == fails


def test_without_labels_there_are_no_classes_to_lose():
    made = compared(answers(*[0] * 1000), answers(*[1] * 4, *[0] * 996), None, 1.0)
    assert made.passed


def test_each_further_comparison_widens_the_interval():
    truth = np.zeros(1000, np.int64)
    same = answers(*truth)
    made = [compared(same, same, truth, comparisons=count) for count in (1, 2, 3)]
    assert [v.confidence for v in made] == pytest.approx([0.95, 0.975, 1 - 0.05 / 3])
    assert made[0].interval[1] < made[1].interval[1] < made[2].interval[1]
    assert [v.proven for v in made] == [True, True, False]  # up to 0.383, 0.499 and 0.570 points
    assert "comparison" not in made[0].note
    assert "comparison 2 on the same validation photos" in made[1].note


def test_agreement_is_of_best_classes_in_percent():
    assert MEASURE.agreement(answers(0, 1, 2, 0), answers(0, 1, 0, 0)) == 75.0


def sure(*confidences):
    """A change of scored answers: float's and the variant's best scores are those, for every photo."""

    def change(*scored: ScoredVariant):
        made = []
        for one, confidence in zip(scored, confidences, strict=True):
            scores = replace(one.scores, confidence=np.full(len(one.scores), confidence))
            known = one.calibration_error is not None
            made.append(ScoredVariant(scores, MEASURE.evaluator.calibration_error(scores) if known else None))
        return made

    return change


@pytest.mark.parametrize(
    ("n", "score", "allowed", "passed"),
    [
        (200, 0.80, 3.0, True),  # right 8 times in 10, as sure as that
        (200, 0.84, 3.0, False),  # four points too sure
        (200, 0.84, 4.0, True),  # as much as is allowed
        (200, 0.84, 5.0, True),
        (200, 0.76, 3.0, False),  # too modest is as wrong
        (40, 0.99, 3.0, True),  # of so few photos nothing is said
    ],
)
def test_scores_that_mean_less_than_floats_fail(n, score, allowed, passed):
    truth = np.zeros(n, np.int64)
    best = np.where(np.arange(n) % 5 < 4, 0, 1)  # 80 % right, and the same photos
    made = compared(answers(*best), answers(*best), truth, scored=sure(0.8, score), max_ece_increase=allowed)
    assert made.passed == passed
    assert made.reference_calibration_error == pytest.approx(0.0, abs=1e-12)
    assert made.calibration_error == pytest.approx(abs(score - 0.8))
    assert ("calibration error" in made.note) == (not passed)


def test_without_labels_nothing_is_known_of_scores():
    best = np.zeros(100, np.int64)
    made = compared(answers(*best), answers(*best), None, scored=sure(0.1, 0.9))
    assert made.passed
    assert (made.calibration_error, made.reference_calibration_error) == (None, None)


def test_scores_are_made_with_what_was_fitted_for_the_variant():
    """A temperature of its own moves the calibration error, not which photos are right."""
    labels = [0] * 60
    photos = [CompilePhoto(b"", label, str(i), False) for i, label in enumerate(labels)]
    own = answers(*labels)
    known = validation_truth(photos, own, MEASURE.evaluator)
    plain, sharp = (
        score(make_evaluator(SPEC.with_parameters(given)), own, known) for given in ({}, {"temperature": 0.1})
    )
    assert plain.calibration_error == pytest.approx(1 - np.e / (np.e + 2))
    assert sharp.calibration_error == pytest.approx(0.0, abs=1e-3)
    assert (plain.scores.right == sharp.scores.right).all()


def test_truth_that_is_not_known_of_every_photo_is_not_used():
    photos = [CompilePhoto(b"", label, str(label)) for label in (0, 1, None)]
    known = validation_truth(photos, answers(0, 0, 2), MEASURE.evaluator)
    assert not known.is_known
    assert list(known.truth) == [0, 0, 2]  # float's own answers
    assert validation_truth(photos[:2], answers(0, 0), MEASURE.evaluator).truth == (0, 1)


@pytest.mark.parametrize(
    ("trained", "expected"), [((), False), ((None,), False), ((True,), True), ((False, True), True)]
)
def test_one_photo_that_was_trained_on_makes_all_of_them_flatter(trained, expected):
    photos = [CompilePhoto(b"", 0, str(i), one) for i, one in enumerate((False, *trained))]
    assert validation_truth(photos, answers(*[0] * len(photos)), MEASURE.evaluator).in_training_set is expected
