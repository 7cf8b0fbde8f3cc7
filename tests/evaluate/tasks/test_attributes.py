"""The evaluator of attributes on digests whose answers are counted by hand, with values that nobody knows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import NodeInfo, doubts_of
from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset, Photo
from edgevision.evaluate.statistics.calibration import fit_temperature, laplace_smoothed
from edgevision.evaluate.tasks.attributes import AttributesEvaluator, make_evaluator
from edgevision.evaluate.tasks.attributes_losses import ValueLoss
from edgevision.tasks.attributes import attributes_spec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

HEADS = {"colour": ("red", "green", "blue"), "ripe": ("no", "yes")}
SPEC = attributes_spec(HEADS)
EVALUATOR = AttributesEvaluator(SPEC)


def answers(*rows):
    """A digest whose best values are as given: (colour, ripe) for each photo."""
    scores = np.zeros((len(rows), 5), np.float32)
    for row, (colour, ripe) in zip(scores, rows, strict=True):
        row[colour] = row[3 + ripe] = 1
    return {"scores": scores}


# ---- truth ----


def described(*known, labels=SPEC.labels):
    return Dataset(tuple(Photo(Path(f"{i}.jpg"), attributes=one) for i, one in enumerate(known)), tuple(labels))


def test_truth_is_what_is_known_in_the_models_order():
    other = [Label(i, name) for i, name in enumerate(["size: s", "size: l", "ripe: yes", "colour: blue"])]
    dataset = described((0, 2, 3), (1,), (), labels=other)
    assert EVALUATOR.truth(dataset) == [(2, 4), (), ()]
    assert EVALUATOR.classes((2, 4)) == (2, 4)


def test_a_value_that_the_model_does_not_know_is_refused():
    with pytest.raises(DataError, match="'colour: mauve'"):
        EVALUATOR.truth(described((0,), labels=[Label(0, "colour: mauve")]))


@pytest.mark.parametrize(
    "photo", [Photo(Path("1.jpg"), 0), Photo(Path("1.jpg"), boxes=PhotoBoxes(4, 4, ()))], ids=["class", "boxes"]
)
def test_photos_with_a_class_or_boxes_are_refused_with_the_cure(photo):
    with pytest.raises(DataError, match="columns path, colour, ripe"):
        EVALUATOR.truth(Dataset((photo,), (Label(0, "apple"),)))


def test_nothing_is_known_of_plain_photos():
    assert EVALUATOR.truth(Dataset((Photo(Path("1.jpg")),))) == [None]


def test_answers_stand_in_for_the_truth():
    digest = answers((2, 0), (1, 1))
    assert EVALUATOR.pseudo_truth(digest) == [(2, 3), (1, 4)]
    assert {type(place) for place in EVALUATOR.pseudo_truth(digest)[0]} == {int}
    assert EVALUATOR.value(EVALUATOR.scores(digest, EVALUATOR.pseudo_truth(digest))) == 100.0


# ---- scores ----


@pytest.mark.parametrize(
    ("truth", "value"),
    [
        ([(0, 3), (1, 4), (2, 3)], (200 / 3 + 100 / 3) / 2),  # colour 2 of 3, ripe 1 of 3
        ([(0,), (1,), (2,)], 200 / 3),  # ripe is known of none, and does not count
        ([(0, 4), (), ()], (100 + 0) / 2),
        ([(), (4,), ()], 0.0),
    ],
)
def test_the_metric_is_the_mean_over_what_is_known(truth, value):
    digest = answers((0, 0), (2, 0), (2, 1))
    assert EVALUATOR.value(EVALUATOR.scores(digest, truth)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ([(0,)], "each of 2 photos, got 1"),
        ([(0,), None], "got None for photo 1"),
        ([(0,), (5,)], "below 5, got 5 for photo 1"),
        ([(0,), (0, 1)], "photo 1 has two values of the attribute 'colour'"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(truth, message):
    with pytest.raises(InputError, match=message):
        EVALUATOR.scores(answers((0, 0), (0, 0)), truth)


def test_nothing_known_is_nothing_to_measure():
    scores = EVALUATOR.scores(answers((0, 0)), [()])
    with pytest.raises(InputError, match="nothing to measure"):
        EVALUATOR.value(scores)
    assert EVALUATOR.calibration_error(scores) is None


def test_calibration_error_is_the_mean_of_the_heads():
    digest = {"scores": np.log(np.array([[0.8, 0.1, 0.1, 0.5, 0.5]] * 4))}
    truth = [(0, 3), (0, 3), (0, 3), (1,)]  # colour says 0.8 and is right 3 of 4; ripe says 0.5 and is right 3 of 3
    assert EVALUATOR.calibration_error(EVALUATOR.scores(digest, truth)) == pytest.approx((0.05 + 0.5) / 2)


# ---- two models ----


def test_paired_drop_and_its_interval():
    truth = [(0, 3)] * 40
    before = EVALUATOR.scores(answers(*[(0, 0)] * 40), truth)
    after = EVALUATOR.scores(answers(*[(0, 0)] * 30, *[(1, 0)] * 10), truth)
    found = EVALUATOR.paired(before, after)
    assert (found.n, found.reference, found.value, found.drop) == (40, 100.0, 87.5, 12.5)
    assert found.lost is None
    # A quarter of 40 colours: half of what a binomial has, since the metric is the mean of two heads.
    half_width = 50 * 1.96 * np.sqrt(0.25 * 0.75 / 40)
    assert found.interval == pytest.approx((12.5 - half_width, 12.5 + half_width), abs=1.5)
    assert EVALUATOR.paired(before, after, seed=0) == found


def test_an_attribute_that_few_photos_tell_leaves_the_drop_open():
    """Both are right everywhere: of ripeness 10 photos tell, and one more may be wrong (30.8 points, half of them the metric's)."""
    truth = [(0, 3)] * 10 + [(0,)] * 490 + [()] * 7
    scores = EVALUATOR.scores(answers(*[(0, 0)] * 507), truth)
    found = EVALUATOR.paired(scores, scores)
    assert found.n == 500
    assert found.interval[1] == pytest.approx(30.8 / 2, abs=0.5)


def test_models_on_different_photos_are_not_compared():
    one, other = (EVALUATOR.scores(answers((0, 0)), [truth]) for truth in ((0, 3), (0,)))
    with pytest.raises(InputError, match="same photos"):
        EVALUATOR.paired(one, other)


def test_the_worst_head_and_the_worst_value_are_told():
    truth = [(0, 3)] * 20 + [(1,)] * 20
    before = EVALUATOR.scores(answers(*[(0, 0)] * 20, *[(1, 1)] * 20), truth)
    after = EVALUATOR.scores(answers(*[(2, 0)] * 4, *[(0, 0)] * 16, *[(1, 1)] * 20), truth)
    losses = EVALUATOR.group_losses(before, after)
    assert losses[:2] == (ValueLoss("colour: red", 20, 4, 0, 20), ValueLoss("colour", 40, 4, 0, 40))
    assert {loss.name: (loss.n, loss.net) for loss in losses[2:]} == {
        "colour: green": (20, 0), "ripe": (20, 0), "ripe: no": (20, 0),
    }  # fmt: skip
    assert [loss.exceeds(3.0) for loss in losses] == [True, True, False, False, False]
    assert losses[0].sentence() == "attribute 'colour: red' loses 4 of 20 photos"
    assert json.loads(json.dumps(losses[0].to_dict()))["variant_right"] == 16


@pytest.mark.parametrize(("n", "lost", "exceeds"), [(19, 10, False), (20, 2, False), (20, 3, True), (200, 6, False)])
def test_the_rule_is_the_one_of_classes(n, lost, exceeds):
    assert ValueLoss("a", n, lost, 0, n).exceeds(3.0) is exceeds


def test_divergence_is_the_mean_of_the_heads():
    def chances(row):
        powers = [math.exp(value) for value in row]
        return [power / math.fsum(powers) for power in powers]

    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 6, 5))
    expected = [
        math.fsum(p * math.log(p / q) for p, q in zip(chances(a[columns]), chances(b[columns]), strict=True))
        for columns in (slice(0, 3), slice(3, 5))
        for a, b in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert EVALUATOR.divergence({"scores": one}, {"scores": other}) == pytest.approx(np.mean(expected))
    assert EVALUATOR.divergence({"scores": one}, {"scores": one}) == 0


# ---- compiling ----


def test_each_head_gets_a_temperature_and_a_threshold_where_enough_is_known():
    rng = np.random.default_rng(3)
    count = 80
    colour, ripe = rng.integers(0, 3, count), rng.integers(0, 2, count)
    scores = rng.normal(size=(count, 5))
    scores[np.arange(count), colour] += 2
    scores[np.arange(count), 3 + ripe] += 2
    truth = [
        (c,) if i >= 30 else (c, 3 + r) for i, (c, r) in enumerate(zip(colour.tolist(), ripe.tolist(), strict=True))
    ]
    digest = {"scores": scores}
    fit = EVALUATOR.fit(digest, digest, truth, [False] * count, 0.95)
    assert set(fit.parameters["temperatures"]) == set(fit.parameters["thresholds"]) == {"colour"}  # ripe: of 30 photos
    assert fit.note == "ripe: 30 labelled calibration photos are too few to tell unknown from known"
    alone = fit_temperature(*laplace_smoothed(scores[:, :3], colour))
    assert fit.parameters["temperatures"]["colour"] == pytest.approx(alone)
    fitted = AttributesEvaluator(SPEC.with_parameters(fit.parameters)).task.heads[0].task
    chances = fitted.probabilities(scores[:, :3])
    right = chances.argmax(axis=1) == colour
    assert (chances.max(axis=1)[right] >= fitted.threshold - 1e-9).mean() == pytest.approx(0.95, abs=0.02)


def test_nothing_is_fitted_where_nothing_is_known():
    fit = EVALUATOR.fit(answers((0, 0)), answers((0, 0)), [None], [None], 0.95)
    assert fit.parameters == {}
    assert fit.note.count("too few") == 2


def test_golden_frames_are_clear_in_every_head():
    scores = np.log([[0.9, 0.05, 0.05, 0.9, 0.1], [0.9, 0.05, 0.05, 0.55, 0.45], [0.05, 0.9, 0.05, 0.9, 0.1]])
    worth = EVALUATOR.golden_worth({"scores": scores})
    assert worth.clear.tolist() == [True, False, True]
    assert worth.sensitivity[0] == pytest.approx(4 * 0.9 * 0.1)
    assert worth.group[0] == worth.group[1] != worth.group[2]
    assert worth.group.dtype == np.int64


def test_labels_in_another_order_are_doubted_head_by_head():
    rng = np.random.default_rng(0)
    colour, ripe = rng.integers(0, 3, 120), rng.integers(0, 2, 120)
    digest = answers(*zip((2 - colour).tolist(), ripe.tolist(), strict=True))
    truth = [(c, 3 + r) for c, r in zip(colour.tolist(), ripe.tolist(), strict=True)]
    doubts = doubts_of(EVALUATOR, {"scores": 5 * digest["scores"]}, truth)
    assert doubts
    assert all(doubt.text.startswith("colour: ") for doubt in doubts)


def test_it_says_what_it_measures():
    made = make_evaluator(SPEC)
    assert (made.metric, made.unit) == ("accuracy", "points of mean accuracy")
    assert made.float_nodes([NodeInfo("conv", "Conv", ("x",), ("y",))]) == frozenset()
    with pytest.raises(InputError):
        make_evaluator(classify_spec([Label(0, "a"), Label(1, "b")]))


def test_the_section_shows_the_chosen_variant_first():
    truth = [(0, 3)] * 20
    scores = {name: EVALUATOR.scores(answers(*[(wrong, 0)] * 5, *[(0, 0)] * 15), truth)
              for name, wrong in (("a", 0), ("b", 2))}  # fmt: skip
    (section,) = EVALUATOR.sections(scores["a"], scores, "b")
    assert section.title == "Attributes"
    assert "b: photos where" in section.blocks[0].text
    assert EVALUATOR.sections(scores["a"], {}) == ()


# ---- eval ----


def test_evaluation_of_what_is_known():
    digest = answers((0, 0), (1, 0), (1, 1), (2, 1))
    evaluation = EVALUATOR.evaluate("int8", digest, [(0,), (1,), (2,), (2, 4)], None)
    rows = dict(evaluation.rows())
    assert rows["colour: accuracy"] == "75.00 %"
    assert rows["ripe: accuracy"] == "100.00 %"
    assert rows["accuracy (mean of attributes)"] == "87.50 %"
    # colour: precision 1, 1/2, 1; recall 1, 1, 1/2: F1 1, 2/3, 2/3. ripe: only "yes" has photos, F1 1.
    assert rows["F1 (macro, mean of attributes)"] == f"{100 * ((1 + 2 / 3 + 2 / 3) / 3 + 1) / 2:.2f} %"
    titles = [title for title, _, _ in evaluation.tables()]
    assert titles == ["Attributes", "Weakest values", "Most confused"]
    data = json.loads(json.dumps(evaluation.to_dict()))
    assert [head["metrics"]["n"] for head in data["attributes"]] == [4, 1]


def test_false_accepts_of_unknown_products():
    spec = attributes_spec(HEADS, thresholds={"colour": 0.5})
    evaluator = AttributesEvaluator(spec)
    unknown = {"scores": np.log([[0.6, 0.2, 0.2, 0.9, 0.1], [0.4, 0.3, 0.3, 0.9, 0.1]])}
    found = evaluator.evaluate("int8", answers((0, 0)), [(0, 3)], unknown)
    assert [head.false_accepts for head in found.heads] == [0.5, None]
    assert [head.true_accept_rate for head in found.heads] == [1.0, None]


@pytest.mark.requires("matplotlib")
def test_the_page_has_a_curve_for_each_of_many_attributes():
    heads = {f"head {k}": ("no", "yes") for k in range(6)}
    evaluator = AttributesEvaluator(attributes_spec(heads))
    scores = {"scores": np.tile(np.array([2.0, 0.0], np.float32), (2, 6))}
    page = evaluator.page([evaluator.evaluate("int8", scores, [tuple(range(0, 12, 2))] * 2, None)], None)
    assert page.count("<h3>Is a score of 0.8 right") == 2
    assert all(f"{name} (ECE" in page for name in heads)


@pytest.mark.requires("matplotlib")
def test_the_page_of_two_models():
    truth = [(0, 3), (1, 4), (2,)]
    evaluations = [
        EVALUATOR.evaluate(name, answers(*rows), truth, None)
        for name, rows in (("int8", [(0, 0), (2, 1), (2, 0)]), ("float", [(0, 0), (1, 1), (2, 0)]))
    ]
    paired = EVALUATOR.paired(evaluations[1].scores, evaluations[0].scores)
    page = EVALUATOR.page(evaluations, paired)
    assert "3 photos, 2 attributes with 5 values" in page
    assert paired.sentence("int8", "float")[:30] in page
