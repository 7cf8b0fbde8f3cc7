"""Temperature and threshold: what they rest on, and what they are worth."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError
from edgevision.evaluate.base import Fit
from edgevision.evaluate.tasks.classify_fit import MIN_UNSEEN, fit_classify
from edgevision.tasks.classify import ClassifyTask, classify_spec
from edgevision.tasks.results import Label

LABELS = (Label(0, "a"), Label(1, "b"), Label(2, "c"))


def fit(own, truth, in_training_set=False, *, reference=None, output="logits", rate=0.95, **parameters) -> Fit:
    """The fit of ``own`` [n, 3]; of itself where there is no reference."""
    task = ClassifyTask(classify_spec(LABELS, output, **parameters))
    seen = [in_training_set] * len(own) if isinstance(in_training_set, (bool, type(None))) else in_training_set
    return fit_classify(task, {"scores": own if reference is None else reference}, {"scores": own}, truth, seen, rate)


def logits_and_truth(n: int, sharpness: float, seed: int):
    """Logits [n, 3] that are right on about 90 % of photos, ``sharpness`` times too sure of themselves."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) + 3 * np.eye(3)[np.arange(n) % 3]
    return (sharpness * logits).astype(np.float32), [i % 3 for i in range(n)]


def best_scores(logits, temperature):
    """Best softmax probability of each row."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).max(1)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_unknown_is_fitted_on_photos_the_model_was_not_trained_on():
    trained, trained_truth = logits_and_truth(400, 50.0, seed=1)
    fresh, fresh_truth = logits_and_truth(200, 2.0, seed=2)
    both = fit(np.concatenate([trained, fresh]), [*trained_truth, *fresh_truth], [True] * 400 + [False] * 200)
    alone = fit(fresh, fresh_truth)
    assert both.parameters["temperature"] == alone.parameters["temperature"]
    assert both.parameters["threshold"] == pytest.approx(alone.parameters["threshold"], rel=1e-12)
    assert both.note == alone.note == ""
    overconfident = fit(trained, trained_truth, True)
    assert overconfident.parameters["temperature"] > 5 * alone.parameters["temperature"]
    assert overconfident.note == "temperature and threshold were fitted on photos that the model was trained on"


def test_photos_of_which_it_is_not_known_count_as_not_trained_on():
    logits, truth = logits_and_truth(100, 2.0, seed=2)
    assert fit(logits, truth, None) == fit(logits, truth, False)


@pytest.mark.parametrize("unseen", [MIN_UNSEEN - 1, MIN_UNSEEN])
def test_with_too_few_of_these_all_labelled_photos_are_taken(unseen):
    logits, truth = logits_and_truth(200, 2.0, seed=3)
    logits[unseen:] *= 4  # trained on, and surer
    made = fit(logits, truth, [False] * unseen + [True] * (200 - unseen))
    taken = slice(None) if unseen < MIN_UNSEEN else slice(unseen)
    assert made.parameters["temperature"] == fit(logits[taken], truth[taken]).parameters["temperature"]
    assert (made.note == "") == (unseen >= MIN_UNSEEN)


def test_photos_without_a_label_are_left_out():
    logits, truth = logits_and_truth(100, 2.0, seed=4)
    noise = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    made = fit(np.concatenate([noise, logits]), [None] * 300 + truth)
    assert made.parameters["temperature"] == fit(logits, truth).parameters["temperature"]


def test_photos_without_a_label_say_where_the_line_lies_for_the_variant():
    """Where only unlabelled photos lie near float's line, and the variant is less sure of these, its line is lower."""
    logits, truth = logits_and_truth(100, 2.0, seed=4)
    floats = fit(logits, truth).parameters
    line = floats["temperature"] * np.log(
        2 * floats["threshold"] / (1 - floats["threshold"])
    )  # two classes share the rest
    near = np.array([[line, 0, 0]] * 60, np.float32)
    reference, own = np.concatenate([near, logits]), np.concatenate([0.8 * near, logits]).astype(np.float32)
    made = fit(own, [None] * 60 + truth, reference=reference).parameters
    assert made["temperature"] == floats["temperature"]
    assert made["threshold"] == pytest.approx(best_scores(own[:1], floats["temperature"])[0], rel=1e-5)
    assert made["threshold"] < floats["threshold"] - 0.01


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_the_threshold_is_passed_by_the_share_of_right_answers(output):
    logits, truth = logits_and_truth(400, 3.0, seed=3)
    made = fit(logits if output == "logits" else softmax(logits), truth, None, output=output, rate=0.9).parameters
    right = logits.argmax(1) == truth
    best = best_scores(logits, made["temperature"])
    assert (best[right] >= made["threshold"] - 1e-5).mean() == pytest.approx(0.9, abs=0.01)
    assert made["temperature"] == pytest.approx(fit(logits, truth, rate=0.9).parameters["temperature"], rel=1e-2)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 5.0])
def test_the_temperature_is_the_variants_own_and_the_threshold_is_floats_carried_over(sharpness):
    """A variant that is float, but for how sure it is, gets float's line back after its own temperature."""
    logits, truth = logits_and_truth(300, 2.0, seed=5)
    own = (sharpness * logits).astype(np.float32)
    floats, made = fit(logits, truth).parameters, fit(own, truth, reference=logits).parameters
    assert made["temperature"] == fit(own, truth).parameters["temperature"]
    assert made["temperature"] == pytest.approx(sharpness * floats["temperature"], rel=1e-3)
    assert made["threshold"] == pytest.approx(floats["threshold"], rel=1e-3)


def test_a_variant_that_is_less_sure_gets_a_lower_threshold():
    """Its errors are others, so that its own right answers would make another threshold; what counts is the same line."""
    logits, truth = logits_and_truth(300, 2.0, seed=5)
    own = logits.copy()
    own[np.arange(300), logits.argmax(1)] -= 0.5 * fit(logits, truth).parameters["temperature"]
    floats, made = fit(logits, truth).parameters, fit(own, truth, reference=logits).parameters
    before, after = best_scores(logits, floats["temperature"]), best_scores(own, made["temperature"])
    near = np.argsort(np.abs(np.log(before / (1 - before)) - np.log(floats["threshold"] / (1 - floats["threshold"]))))[
        :24
    ]
    assert made["threshold"] == pytest.approx(np.median(after[near]), abs=0.02)
    assert made["threshold"] < floats["threshold"] - 0.01


def test_parameters_that_the_task_has_already_change_nothing():
    logits, truth = logits_and_truth(100, 2.0, seed=2)
    assert fit(logits, truth, temperature=7.0, threshold=0.9) == fit(logits, truth)


@pytest.mark.parametrize("labelled", [0, 1, MIN_UNSEEN - 1])
def test_without_enough_labels_nothing_is_fitted_and_that_is_said(labelled):
    n = labelled + 100
    made = fit(np.eye(3, dtype=np.float32)[[0] * n], [0] * labelled + [None] * 100)
    assert made == Fit({}, f"{labelled} labelled calibration photos are too few to tell unknown from known")


def test_a_model_that_is_never_right_has_no_threshold():
    assert fit(np.eye(3, dtype=np.float32)[[0] * 60], [1] * 60).parameters["threshold"] == 0.0


def always_right():
    return np.eye(3)[np.arange(100) % 3] + np.random.default_rng(4).uniform(0, 0.3, (100, 3)), [
        i % 3 for i in range(100)
    ]


@pytest.mark.parametrize("gap", [1.0, 10.0, 50.0])
def test_a_model_that_is_always_right_keeps_some_doubt(gap):
    """Scores of 1 would make a threshold of 1, and everything new unknown."""
    shape, truth = always_right()
    made = [fit((scale * shape).astype(np.float32), truth).parameters for scale in (1.0, gap)]
    assert 0.9 < made[0]["threshold"] < 0.995
    assert made[1]["temperature"] == pytest.approx(gap * made[0]["temperature"], rel=1e-3)  # only the shape matters
    assert made[1]["threshold"] == pytest.approx(made[0]["threshold"], rel=1e-3)


@pytest.mark.parametrize("margin", [1e-6, 0.01, 0.5])
def test_one_error_by_a_hair_is_no_reason_for_certainty(margin):
    """The likeliest temperature with that error alone is at the end of its range."""
    shape, truth = always_right()
    right = fit(shape.astype(np.float32), truth).parameters
    shape[0] = [0.9 - 0.1 * margin, 0.9, 0.0]
    wrong = fit(shape.astype(np.float32), truth).parameters
    assert wrong["temperature"] >= 0.95 * right["temperature"]
    assert wrong["threshold"] < 0.995


def test_outputs_that_are_no_probabilities_are_refused():
    with pytest.raises(EngineError, match="logits"):
        fit(np.full((60, 3), -1.0, np.float32), [0] * 60, output="probabilities")


@pytest.mark.parametrize(("n_truth", "n_seen", "n_reference"), [(59, 60, 60), (60, 59, 60), (60, 60, 59)])
def test_what_is_not_of_the_same_photos_is_refused(n_truth, n_seen, n_reference):
    own = np.eye(3, dtype=np.float32)[[0] * 60]
    with pytest.raises(InputError, match=r"of the same photos, got .*59"):
        fit(own, [0] * n_truth, [False] * n_seen, reference=own[:n_reference])


@pytest.mark.parametrize("truth", [[3] * 60, [-1] * 60])
def test_a_class_without_a_label_is_refused(truth):
    with pytest.raises(InputError, match="expected classes below 3"):
        fit(np.eye(3, dtype=np.float32)[[0] * 60], truth)
