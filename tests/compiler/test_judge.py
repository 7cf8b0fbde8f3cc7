"""The verdict on outputs whose flips are counted by hand, and what is fitted on calibration photos."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.compiler.judge import MIN_UNSEEN, agreement, carry_threshold, fit_unknown, verdict
from edgevision.compiler.photos import CompilePhoto
from edgevision.errors import EngineError, InputError
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch")

LABELS = (Label(0, "a"), Label(1, "b"), Label(2, "c"))


def answers(*classes: int) -> np.ndarray:
    """Raw outputs [n, 3] whose best class is as given."""
    return np.eye(3, dtype=np.float32)[list(classes)]


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
    truth = None if truth is None else np.array(truth)
    made = verdict(answers(*reference), answers(*variant), truth, 0.5, LABELS)
    assert {name: getattr(made, name) for name in expected} == expected
    assert made.n == 4
    assert made.metric == ("agreement" if truth is None else "top1")
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
    made = verdict(answers(*truth), variant, truth, max_drop, LABELS)
    assert (made.passed, made.proven) == (passed, proven)
    assert made.proven == (made.interval[1] <= max_drop)


def test_photos_that_were_trained_on_prove_nothing():
    truth = np.zeros(1000, np.int64)
    same = answers(*[0] * 1000)
    made = verdict(same, same, truth, 0.5, LABELS, trained_on=True)
    assert made.passed
    assert not made.proven
    assert "trained on" in made.note
    assert verdict(same, same, truth, 0.5, LABELS).proven


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
    made = verdict(answers(*reference), answers(*variant), truth, 1.0, LABELS)
    assert made.drop <= 1.0
    assert (made.passed, made.proven) == (not fails, not fails and made.interval[1] <= 1.0)
    assert (f"class 'b' loses {lost - gained} of {n} photos" in made.note) == fails


def test_without_labels_there_are_no_classes_to_lose():
    made = verdict(answers(*[0] * 1000), answers(*[1] * 4, *[0] * 996), None, 1.0, LABELS)
    assert made.passed


def test_each_further_look_widens_the_interval():
    truth = np.zeros(1000, np.int64)
    same = answers(*truth)
    made = [verdict(same, same, truth, 0.5, LABELS, looks=looks) for looks in (1, 2, 3)]
    assert [v.confidence for v in made] == pytest.approx([0.95, 0.975, 1 - 0.05 / 3])
    assert made[0].interval[1] < made[1].interval[1] < made[2].interval[1]
    assert [v.proven for v in made] == [True, True, False]  # up to 0.383, 0.499 and 0.570 points
    assert "look" not in made[0].note
    assert "look 2 at the judge photos" in made[1].note


def test_agreement_is_of_best_classes_in_percent():
    assert agreement(answers(0, 1, 2, 0), answers(0, 1, 0, 0)) == 75.0


def photo(label: int | None, seen: bool | None) -> CompilePhoto:
    return CompilePhoto(b"", label, "", seen)


def outputs_and_photos(n: int, sharpness: float, seen: bool | None, seed: int):
    """Logits [n, 3] that are right on about 90 % of photos, ``sharpness`` times too sure of themselves."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) + 3 * np.eye(3)[np.arange(n) % 3]
    return (sharpness * logits).astype(np.float32), [photo(i % 3, seen) for i in range(n)]


def test_unknown_is_fitted_on_photos_the_model_was_not_trained_on():
    trained, trained_photos = outputs_and_photos(400, 50.0, True, seed=1)
    fresh, fresh_photos = outputs_and_photos(200, 2.0, False, seed=2)
    both = fit_unknown(np.concatenate([trained, fresh]), [*trained_photos, *fresh_photos], LABELS, "logits", 0.95)
    alone = fit_unknown(fresh, fresh_photos, LABELS, "logits", 0.95)
    assert both == alone
    assert both[2] == ""
    overconfident = fit_unknown(trained, trained_photos, LABELS, "logits", 0.95)
    assert overconfident[0] > 5 * alone[0]
    assert "trained on" in overconfident[2]


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_the_threshold_keeps_the_share_of_right_answers(output):
    logits, photos = outputs_and_photos(400, 3.0, None, seed=3)
    raw = logits
    if output == "probabilities":
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        raw = shifted / shifted.sum(1, keepdims=True)
    temperature, threshold, _ = fit_unknown(raw, photos, LABELS, output, 0.9)
    scaled = logits.astype(np.float64) / temperature
    scores = np.exp(scaled - scaled.max(1, keepdims=True))
    best = (scores / scores.sum(1, keepdims=True)).max(1)
    right = logits.argmax(1) == np.arange(400) % 3
    assert (best[right] >= threshold - 1e-5).mean() == pytest.approx(0.9, abs=0.01)
    assert temperature == pytest.approx(fit_unknown(logits, photos, LABELS, "logits", 0.9)[0], rel=1e-2)


@pytest.mark.parametrize("labelled", [0, 1, MIN_UNSEEN - 1])
def test_without_enough_labels_nothing_is_fitted_and_that_is_said(labelled):
    photos = [photo(0, False)] * labelled + [photo(None, None)] * 100
    temperature, threshold, note = fit_unknown(answers(*[0] * len(photos)), photos, LABELS, "logits", 0.95)
    assert (temperature, threshold) == (1.0, None)
    assert "too few" in note


def test_a_model_that_is_never_right_gets_no_threshold():
    photos = [photo(1, False)] * 60
    assert fit_unknown(answers(*[0] * 60), photos, LABELS, "logits", 0.95)[1] == 0.0


@pytest.mark.parametrize("gap", [1.0, 10.0, 50.0])
def test_a_model_that_is_always_right_keeps_some_doubt(gap):
    """Scores of 1 would make a threshold of 1, and everything new unknown."""
    shape = np.eye(3)[np.arange(100) % 3] + np.random.default_rng(4).uniform(0, 0.3, (100, 3))
    photos = [photo(i % 3, False) for i in range(100)]
    made = [fit_unknown((scale * shape).astype(np.float32), photos, LABELS, "logits", 0.95) for scale in (1.0, gap)]
    assert 0.9 < made[0][1] < 0.995
    assert made[1][0] == pytest.approx(gap * made[0][0], rel=1e-3)  # how large the logits are does not matter
    assert made[1][1] == pytest.approx(made[0][1], rel=1e-3)


@pytest.mark.parametrize("margin", [1e-6, 0.01, 0.5])
def test_one_error_by_a_hair_is_no_reason_for_certainty(margin):
    """The likeliest temperature with that error alone is at the end of its range."""
    shape = np.eye(3)[np.arange(100) % 3] + np.random.default_rng(4).uniform(0, 0.3, (100, 3))
    photos = [photo(i % 3, False) for i in range(100)]
    right = fit_unknown(shape.astype(np.float32), photos, LABELS, "logits", 0.95)
    shape[0] = [0.9 - 0.1 * margin, 0.9, 0.0]
    wrong = fit_unknown(shape.astype(np.float32), photos, LABELS, "logits", 0.95)
    assert wrong[0] >= 0.95 * right[0]
    assert wrong[1] < 0.995


def test_outputs_that_are_no_probabilities_are_refused():
    raw = np.full((60, 3), -1.0, np.float32)
    with pytest.raises(EngineError, match="logits"):
        fit_unknown(raw, [photo(0, False)] * 60, LABELS, "probabilities", 0.95)


def test_a_threshold_is_carried_to_a_variant_by_what_its_scores_do_near_it():
    """The variant's log odds are 0.3 lower near the line and far lower elsewhere: the line moves by 0.3."""
    odds = np.linspace(-1.0, 9.0, 201)
    moved = odds - np.where(np.abs(odds - 2.0) < 1.5, 0.3, 2.0) + 0.01 * np.cos(np.arange(201))
    scores, own = (1 / (1 + np.exp(-x)) for x in (odds, moved))
    carried = carry_threshold(float(1 / (1 + np.exp(-2.0))), scores, own)
    assert np.log(carried / (1 - carried)) == pytest.approx(1.7, abs=0.02)
    assert [carry_threshold(edge, scores, own) for edge in (0.0, 1.0)] == [0.0, 1.0]
    assert carry_threshold(0.9, scores, scores) == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "score", "allowed", "passed"),
    [
        (200, 0.80, 3.0, True),  # right 8 times in 10, as sure as that
        (200, 0.84, 3.0, False),  # four points too sure
        (200, 0.84, 5.0, True),
        (200, 0.76, 3.0, False),  # too modest is as wrong
        (40, 0.99, 3.0, True),  # of so few photos nothing is said
    ],
)
def test_scores_that_mean_less_than_floats_fail(n, score, allowed, passed):
    truth = np.zeros(n, np.int64)
    best = np.where(np.arange(n) % 5 < 4, 0, 1)  # 80 % right, and the same photos
    scores = (np.full(n, 0.80), np.full(n, score))
    made = verdict(
        answers(*best), answers(*best), truth, 0.5, LABELS, scores=scores, max_calibration_rise=allowed
    )  # fmt: skip
    assert made.passed == passed
    assert made.reference_calibration_error == pytest.approx(0.0, abs=1e-12)
    assert made.calibration_error == pytest.approx(abs(score - 0.8))
    assert ("calibration error" in made.note) == (not passed)


def test_without_labels_nothing_is_known_of_scores():
    best = np.zeros(100, np.int64)
    made = verdict(answers(*best), answers(*best), None, 0.5, LABELS, scores=(np.full(100, 0.1), np.full(100, 0.9)))
    assert made.passed
    assert (made.calibration_error, made.reference_calibration_error) == (None, None)


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_embeddings_are_judged_by_what_they_find(lost):
    """Pairs of photos, far from all other pairs; ``lost`` photos of different pairs move to the next pair."""
    truth = np.repeat(np.arange(100), 2)
    reference = np.eye(100, dtype=np.float32)[truth]
    variant = reference.copy()
    variant[: 4 * lost : 4] = reference[2 : 4 * lost + 2 : 4]  # its pair's other photo then finds no near one either
    alone = np.full((1, 100), 0.1, np.float32)  # a class of one photo: neither right nor wrong
    made = verdict(
        np.vstack([reference, alone]), np.vstack([variant, alone]), np.append(truth, 100), 0.5, LABELS, embeddings=True
    )  # fmt: skip
    assert (made.metric, made.n, made.reference) == ("recall@1", 200, 100.0)
    assert made.lost >= 2 * lost
    assert (made.drop > 0) == (lost > 0)
    assert made.passed == (lost == 0)
    assert "recall@1" in made.sentence()


def test_embeddings_without_labels_cannot_be_judged():
    with pytest.raises(InputError, match="needs labelled judge photos"):
        verdict(answers(0, 1), answers(0, 1), None, 0.5, LABELS, embeddings=True)
