"""The classify evaluator on digests whose answers are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import DataError, EngineError, InputError
from edgevision.evaluate.base import Fit, NodeInfo
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.statistics.paired import tango_interval
from edgevision.evaluate.tasks.classify import GOLDEN_MARGIN, ClassifyEvaluator, make_evaluator
from edgevision.tasks.base import OutputRole, TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

LABELS = (Label(0, "a"), Label(1, "b"), Label(2, "c"))
EVALUATOR = ClassifyEvaluator(classify_spec(LABELS))


def answers(*classes: int) -> dict[str, np.ndarray]:
    """A digest of 3 classes whose best ones are as given."""
    return {"scores": np.eye(3, dtype=np.float32)[list(classes)]}


def softmax(row, temperature=1.0):
    values = [float(x) for x in row]
    powers = [math.exp((x - max(values)) / temperature) for x in values]
    return [power / math.fsum(powers) for power in powers]


def log_digest(probabilities) -> dict[str, np.ndarray]:
    """Logits whose softmax is as given."""
    return {"scores": np.log(np.array(probabilities, np.float64))}


# ---- what it is made of ----


def test_it_says_what_it_measures():
    made = make_evaluator(classify_spec(LABELS, temperature=2.0, threshold=0.3))
    assert (made.metric, made.unit) == ("top1", "points of top-1")
    assert made.task.spec.parameters == {"temperature": 2.0, "threshold": 0.3}
    assert made.float_nodes([NodeInfo("conv", "Conv", ("x",), ("y",))]) == frozenset()


def test_the_spec_of_another_task_is_refused():
    with pytest.raises(InputError, match="scores"):
        make_evaluator(TaskSpec("detect", LABELS, (OutputRole("boxes", "output", "xyxy"),)))


# ---- truth ----


def test_truth_is_the_class_in_the_models_order_whatever_the_folders(tmp_path):
    for name in ("a/1.png", "c/2.png", "c/3.png", "b/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    dataset = read_dataset(tmp_path)
    for labels in (LABELS, LABELS[::-1]):
        names = [photo.path.parent.name for photo in dataset]
        expected = [[label.name for label in labels].index(name) for name in names]
        assert ClassifyEvaluator(classify_spec(labels)).truth(dataset) == expected
    with pytest.raises(DataError, match="'b'"):
        ClassifyEvaluator(classify_spec([LABELS[0], LABELS[2]])).truth(dataset)


def test_nothing_is_known_of_unlabelled_photos(tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(name.encode())
    assert EVALUATOR.truth(read_dataset(tmp_path)) == [None, None]


def test_answers_stand_in_for_the_truth():
    digest = {"scores": np.array([[1, 3, 2], [5, 0, 5], [0, 0, 0.1]])}  # of equals the first
    assert EVALUATOR.pseudo_truth(digest) == [1, 0, 2]
    assert all(type(one) is int for one in EVALUATOR.pseudo_truth(digest))  # can be hashed, and written as JSON
    assert EVALUATOR.value(EVALUATOR.scores(digest, EVALUATOR.pseudo_truth(digest))) == 100.0
    assert EVALUATOR.classes(2) == (2,)


# ---- scores ----


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_scores_of_logits(temperature):
    rng = np.random.default_rng(1)
    logits, truth = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    evaluator = ClassifyEvaluator(classify_spec(LABELS, temperature=temperature))
    scores = evaluator.scores({"scores": logits}, truth.tolist())
    assert len(scores) == 50
    assert (scores.right.dtype, scores.confidence.dtype, scores.truth.dtype) == (np.bool_, np.float64, np.int64)
    assert scores.truth.tolist() == truth.tolist()
    assert scores.right.tolist() == [
        max(range(3), key=lambda c: row[c]) == t for row, t in zip(logits, truth, strict=True)
    ]
    assert scores.confidence == pytest.approx([max(softmax(row, temperature)) for row in logits], rel=1e-12)


def test_scores_of_probabilities_are_tempered_by_their_logarithm():
    evaluator = ClassifyEvaluator(classify_spec(LABELS, "probabilities", temperature=2.0))
    scores = evaluator.scores({"scores": np.array([[9 / 16, 4 / 16, 3 / 16], [0.0, 1.0, 0.0]])}, [1, 1])
    assert scores.right.tolist() == [False, True]
    assert scores.confidence[0] == pytest.approx((3 / 4) / (3 / 4 + 2 / 4 + math.sqrt(3) / 4))
    assert scores.confidence[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("scores", "truth", "error", "message"),
    [
        (np.eye(3), [0, 1], InputError, "a class for each of 3 photos, got 2"),
        (np.eye(3), [0, None, None], InputError, "None for 2 of 3"),
        (np.eye(3), [0, 1, 3], InputError, "expected classes below 3.*0…3"),
        (np.eye(3), [0, -1, 2], InputError, "expected classes below 3.*-1…2"),
        (np.eye(3), [0.0, 1.0, 2.0], InputError, "class index for each photo, got float64"),
        (np.eye(4), [0, 1, 2, 3], InputError, "below 3"),
        (np.ones((1, 4)), [0], EngineError, "expected .n, 3."),
        (np.array([[np.nan, 0, 0]]), [0], EngineError, "NaN"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, truth, error, message):
    with pytest.raises(error, match=message):
        EVALUATOR.scores({"scores": scores}, truth)


def test_value_and_calibration_error():
    digest = log_digest([[0.8, 0.1, 0.1]] * 5)
    scores = EVALUATOR.scores(digest, [0, 0, 0, 1, 2])
    assert EVALUATOR.value(scores) == 60.0
    assert EVALUATOR.calibration_error(scores) == pytest.approx(0.2)
    softer = ClassifyEvaluator(classify_spec(LABELS, temperature=1e6))
    assert softer.calibration_error(softer.scores(digest, [0, 0, 0, 1, 2])) == pytest.approx(0.6 - 1 / 3, abs=1e-5)


# ---- two models ----


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
    known = EVALUATOR.pseudo_truth(answers(*reference)) if truth is None else truth
    before, after = (EVALUATOR.scores(answers(*best), known) for best in (reference, variant))
    made = EVALUATOR.paired(before, after, 0.9)
    assert {name: getattr(made, name) for name in expected} == expected
    assert (made.n, made.confidence) == (4, 0.9)
    assert made.interval == tuple(100 * limit for limit in tango_interval(made.lost, made.gained, 4, 0.9))
    assert EVALUATOR.paired(before, after, 0.9, seed=1) == made
    assert EVALUATOR.paired(before, after).confidence == 0.95
    assert (EVALUATOR.value(before), EVALUATOR.value(after)) == (made.reference, made.value)


@pytest.mark.parametrize(
    ("n", "lost", "gained", "too_much"),
    [
        (19, 19, 0, False),  # so few photos say nothing of a class
        (20, 2, 0, False),
        (20, 3, 0, True),
        (20, 4, 2, False),  # net is what counts
        (100, 3, 0, False),  # 3 points
        (100, 4, 0, True),
    ],
)
def test_what_a_class_loses_among_many_photos_of_another(n, lost, gained, too_much):
    truth = np.concatenate([np.full(n, 1), np.zeros(200, np.int64)])
    reference, variant = truth.copy(), truth.copy()
    reference[lost : lost + gained] = 2
    variant[:lost] = 2
    worst, other = EVALUATOR.group_losses(
        *(EVALUATOR.scores(answers(*best), truth.tolist()) for best in (reference, variant))
    )
    assert worst.exceeds(3.0) is too_much
    assert not worst.exceeds(100.0)
    assert worst.sentence() == f"class 'b' loses {lost - gained} of {n} photos"
    assert worst.share == (lost - gained) / n
    assert worst.to_dict() == {
        "name": "b", "index": 1, "n": n, "lost": lost, "gained": gained, "float_right": n - gained,
        "variant_right": n - lost,
    }  # fmt: skip
    assert (other.name, other.net) == ("a", 0)


def test_group_losses_are_of_the_same_photos():
    digest = answers(0, 1)
    with pytest.raises(InputError, match="on the same photos"):
        EVALUATOR.group_losses(EVALUATOR.scores(digest, [0, 1]), EVALUATOR.scores(digest, [1, 0]))


@pytest.mark.parametrize(
    "call",
    [
        EVALUATOR.value,
        EVALUATOR.calibration_error,
        lambda scores: EVALUATOR.paired(EVALUATOR.scores(answers(0), [0]), scores),
        lambda scores: EVALUATOR.group_losses(scores, scores),
        lambda scores: EVALUATOR.sections(scores, {"int8": scores}),
    ],
)
def test_scores_of_another_task_are_refused(call):
    with pytest.raises(InputError, match="expected the scores of a classifier, got list"):
        call([0.5])


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_divergence_is_of_what_the_network_gave_and_knows_no_temperature(output):
    rng = np.random.default_rng(5)
    reference, other = (rng.normal(size=(30, 3)).astype(np.float32) for _ in range(2))
    rows = [[softmax(row) for row in array] for array in (reference, other)]
    each = [math.fsum(p * math.log(p / q) for p, q in zip(a, b, strict=True)) for a, b in zip(*rows, strict=True)]
    given = [reference, other] if output == "logits" else [np.array(array) for array in rows]
    for temperature in (1.0, 4.0):
        evaluator = ClassifyEvaluator(classify_spec(LABELS, output, temperature=temperature))
        found = evaluator.divergence(*({"scores": array} for array in given))
        assert found == pytest.approx(math.fsum(each) / 30, rel=1e-9)


# ---- golden frames ----


def test_worth_of_golden_frames():
    probabilities = [[0.50, 0.45, 0.05], [0.999999, 5e-7, 5e-7], [0.2, 0.7, 0.1], [0.65, 0.35 - 1e-9, 1e-9]]
    worth = EVALUATOR.golden_worth(log_digest(probabilities))
    assert worth.clear.tolist() == [False, True, True, True]
    assert worth.sensitivity == pytest.approx([4 * p * (1 - p) for p in (0.5, 0.999999, 0.7, 0.65)], rel=1e-6)
    assert worth.group.tolist() == [0, 0, 1, 0]
    assert (worth.clear.dtype, worth.sensitivity.dtype, worth.group.dtype) == (np.bool_, np.float64, np.int64)
    assert len(EVALUATOR.golden_worth({"scores": np.empty((0, 3), np.float32)}).clear) == 0


@pytest.mark.parametrize(("margin", "clear"), [(GOLDEN_MARGIN - 1e-6, False), (GOLDEN_MARGIN + 1e-6, True)])
def test_clear_has_room_to_spare(margin, clear):
    assert pytest.approx(0.3) == GOLDEN_MARGIN  # where devices are judged, 0.2 is clear
    worth = EVALUATOR.golden_worth(log_digest([[0.45 + margin / 2, 0.45 - margin / 2, 0.1]]))
    assert worth.clear.tolist() == [clear]


def test_the_temperature_decides_what_is_clear():
    digest = log_digest([[0.9, 0.05, 0.05]])
    softer = ClassifyEvaluator(classify_spec(LABELS, temperature=10.0))
    assert EVALUATOR.golden_worth(digest).clear.tolist() == [True]
    assert softer.golden_worth(digest).clear.tolist() == [False]


# ---- the rest is passed on ----


def test_fit_is_of_the_evaluators_task():
    rng = np.random.default_rng(6)
    logits = (3 * rng.normal(size=(200, 3)) + 3 * np.eye(3)[np.arange(200) % 3]).astype(np.float32)
    digest, truth = {"scores": logits}, [i % 3 for i in range(200)]
    made = EVALUATOR.fit(digest, digest, truth, [False] * 200, 0.95)
    assert set(made.parameters) == {"temperature", "threshold"}
    assert ClassifyEvaluator(EVALUATOR.task.spec.with_parameters(made.parameters)).task.threshold > 0
    assert EVALUATOR.fit(digest, digest, [None] * 200, [False] * 200, 0.95) == Fit(
        {}, "0 labelled calibration photos are too few to tell unknown from known"
    )


def test_sections_without_variants_are_none():
    assert EVALUATOR.sections(EVALUATOR.scores(answers(0), [0]), {}) == ()


@pytest.mark.requires("matplotlib")
def test_the_page_is_of_classifiers_alone():
    digest = answers(0, 1, 2, 0)
    made = EVALUATOR.evaluate("m", digest, [0, 1, 2, 1], None)
    assert made.evaluator is EVALUATOR
    assert "Evaluation of m" in EVALUATOR.page([made], None)
    with pytest.raises(InputError, match="one of another task"):
        EVALUATOR.page([made, object()], None)
