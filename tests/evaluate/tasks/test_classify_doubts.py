"""What is refused of a classifier's answers, and that honest models are not.

Models are drawn: each class has a recall of its own and a class that it is taken for most. The network's outputs are then
read with labels in another order, declared as what they are not, or collapse.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgevision.errors import UnreadableOutputError
from edgevision.evaluate.tasks.classify_doubts import classify_doubts
from edgevision.tasks.classify import ClassifyTask, classify_spec
from edgevision.tasks.results import Label


def labels_of(classes: int, rng: np.random.Generator) -> tuple[Label, ...]:
    """Ids ascend; names do not."""
    return tuple(Label(i, f"product {name:04d}") for i, name in enumerate(rng.permutation(classes)))


def drawn(rng, classes, n, right, *, shown=None, shares=None, even=8.0):
    """Truth and answers of a model that is right on the share ``right``, int64 [n] each. ``shown``: the classes that have
    photos, ``shares`` of them; ``even``: how alike the classes' recalls are. Half of the errors are one other class."""
    truth = rng.choice(classes if shown is None else shown, n, p=shares)
    recall = rng.beta(even * right, even * (1 - right), classes)
    error = np.where(rng.random(n) < 0.5, rng.integers(0, classes, classes)[truth], rng.integers(0, classes, n))
    return truth, np.where(rng.random(n) < recall[truth], truth, error)


def scores_of(answers, classes, rng):
    """Logits [n, classes] whose best is the answer."""
    logits = np.tile(rng.normal(size=classes), (len(answers), 1)).astype(np.float32)
    logits[np.arange(len(answers)), answers] = rng.uniform(8, 10, len(answers))
    return logits


def doubts(labels, truth, answers, rng) -> list[str]:
    task = ClassifyTask(classify_spec(labels))
    found = classify_doubts(task, {"scores": scores_of(answers, len(labels), rng)}, truth.tolist())
    return [doubt.text for doubt in found]


# ---- honest models ----


@pytest.mark.parametrize(
    "model",
    [
        {"classes": 81, "n": 240, "right": 0.4, "even": 2.0},
        {"classes": 81, "n": 81, "right": 0.4, "even": 2.0},  # one photo a class
        {"classes": 81, "n": 40, "right": 0.4, "even": 2.0},  # less
        {"classes": 81, "n": 256, "right": 0.2, "even": 2.0},
        {"classes": 1000, "n": 256, "right": 0.3},
        {"classes": 10, "n": 30, "right": 0.4, "even": 2.0},
        {"classes": 3, "n": 100, "right": 0.65},
        {"classes": 2, "n": 100, "right": 0.8},
        {"classes": 81, "n": 200, "right": 0.4, "shown": [7], "even": 2.0},
        {"classes": 81, "n": 200, "right": 0.4, "shown": [7, 8, 30], "even": 2.0},
        {"classes": 81, "n": 200, "right": 0.4, "shown": [*range(12)], "even": 2.0},
        {"classes": 2, "n": 256, "right": 0.8, "shares": [0.97, 0.03]},
        {"classes": 10, "n": 256, "right": 0.4, "shares": [0.91] + [0.01] * 9, "even": 2.0},
        {"classes": 10, "n": 256, "right": 0.5, "shown": [0, 1, 2], "shares": [0.9, 0.05, 0.05], "even": 2.0},
    ],
    ids=lambda model: " ".join(f"{key}={value}" for key, value in model.items() if key != "even"),
)  # fmt: skip
@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_honest_models_are_not_refused(model, count):
    """At most one in 1,000."""
    refused = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        labels = labels_of(model["classes"], rng)
        refused += doubts(labels, *drawn(rng, **model), rng)
    assert len(refused) <= count // 1000, refused


@pytest.mark.parametrize("n", [1, 2, 10, 30])
def test_few_photos_say_nothing(n):
    """All wrong, all called the same: with so few it may be chance."""
    rng = np.random.default_rng(0)
    assert doubts(labels_of(10, rng), np.arange(n) % 9 + 1, np.zeros(n, np.int64), rng) == []


def test_a_weak_model_of_a_few_of_its_classes_is_not_refused():
    """It knows none of the three that are shown, and most of the others."""
    rng = np.random.default_rng(0)
    truth = np.repeat([3, 4, 5], 60)
    assert doubts(labels_of(81, rng), truth, rng.integers(0, 81, 180), rng) == []


# ---- labels in another order ----


ORDERS = {
    "sorted by name": lambda labels: sorted(range(len(labels)), key=lambda i: labels[i].name),
    "backwards": lambda labels: list(range(len(labels)))[::-1],
    "sorted by id as text (1, 10, 2)": lambda labels: sorted(range(len(labels)), key=lambda i: str(labels[i].id)),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("classes", "n", "right"), [(81, 240, 0.94), (81, 81, 0.6), (15, 120, 0.9), (1000, 256, 0.76)])
def test_an_order_that_labels_files_are_often_in_is_named(order, classes, n, right):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        labels = labels_of(classes, rng)
        truth, answers = drawn(rng, classes, n, right)
        outputs = np.argsort(ORDERS[order](labels))[answers]
        (text,) = doubts(labels, truth, outputs, rng)
        assert f"with the labels {order} on" in text
        assert f"right on {100 * (outputs == truth).mean():.1f} % of {n} labelled photos" in text
        assert f" on {100 * (answers == truth).mean():.1f} %" in text


@pytest.mark.parametrize(("moved", "name"), [(1, "one place later (output 0"), (-1, "one place earlier (the first")])
def test_a_background_class_too_many_is_named(moved, name):
    rng = np.random.default_rng(0)
    truth, answers = drawn(rng, 81, 240, 0.9)
    outputs = np.clip(answers + moved, 0, 80)
    (text,) = doubts(labels_of(81, rng), truth, outputs, rng)
    assert f"with the labels {name}" in text


@pytest.mark.parametrize(("classes", "n", "right"), [(81, 240, 0.94), (10, 100, 0.8), (5, 60, 0.95)])
def test_any_other_order_is_found_too(classes, n, right):
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = labels_of(classes, rng)
        truth, answers = drawn(rng, classes, n, right, even=30.0)
        found += doubts(labels, truth, np.roll(rng.permutation(classes), 1)[answers], rng)
    assert sum("with the labels" in text for text in found) >= 18, found


def test_the_share_it_would_be_right_on_is_counted_on_photos_that_did_not_suggest_it():
    """One photo a class: any order at all can be made to fit those, and says nothing of others."""
    rng = np.random.default_rng(0)
    truth = np.arange(81)
    (text,) = doubts(labels_of(81, rng), truth, rng.permutation(81), rng)
    assert "which is what guessing gives" in text


def test_two_labels_that_changed_places_are_named():
    """Eight of ten classes are right: far from chance, and no honest confusion goes both ways."""
    rng = np.random.default_rng(1)
    truth = np.arange(240) % 10
    exchange = np.array([0, 1, 5, 3, 4, 2, 6, 7, 8, 9])
    labels = labels_of(10, rng)
    (text,) = doubts(labels, truth, exchange[truth], rng)
    assert f"'{labels[2].name}' stands where '{labels[5].name}' belongs, '{labels[5].name}' stands where" in text
    assert "right on 80.0 % of 240 labelled photos" in text
    assert "on 100.0 %" in text
    # One of them taken for the other, always, is an error and not another order.
    assert doubts(labels, truth, np.where(truth == 2, 5, truth), rng) == []


def test_two_classes_the_wrong_way_round():
    rng = np.random.default_rng(0)
    truth, answers = drawn(rng, 2, 60, 0.95, even=30.0)
    (text,) = doubts((Label(0, "empty"), Label(1, "full")), truth, 1 - answers, rng)
    assert "backwards on" in text


# ---- no better than chance ----


@pytest.mark.parametrize(("classes", "n"), [(81, 240), (81, 81), (10, 120), (3, 256), (1000, 256)])
def test_guesses_are_refused(classes, n):
    refused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = np.arange(n) % classes
        found = doubts(labels_of(classes, rng), truth, rng.integers(0, classes, n), rng)
        refused += any("which is what guessing gives" in text for text in found)
    assert refused >= 14


@pytest.mark.parametrize("n", [60, 120])
def test_one_answer_for_everything_is_refused(n):
    rng = np.random.default_rng(0)
    labels = labels_of(3, rng)
    (text,) = doubts(labels, np.arange(n) % 3, np.ones(n, np.int64), rng)
    assert (
        text == f"all {n} labelled photos are called '{labels[1].name}', and {2 * n // 3} of them show something else"
    )


def test_only_what_no_reading_explains_asks_for_another_preparation():
    rng = np.random.default_rng(0)
    labels = labels_of(10, rng)
    task, truth = ClassifyTask(classify_spec(labels)), np.arange(120) % 10

    def explained(answers):
        (doubt,) = classify_doubts(task, {"scores": scores_of(answers, 10, rng)}, truth.tolist())
        return doubt.explained

    assert explained(9 - truth)
    assert not explained(np.zeros(120, np.int64))
    assert not explained(rng.integers(0, 10, 120))


def test_photos_without_a_label_do_not_count():
    rng = np.random.default_rng(0)
    labels, truth = labels_of(10, rng), np.arange(120) % 10
    task = ClassifyTask(classify_spec(labels))
    digest = {"scores": scores_of(np.concatenate([truth, 9 - truth]), 10, rng)}
    assert classify_doubts(task, digest, [*truth.tolist(), *[None] * 120]) == ()
    assert len(classify_doubts(task, digest, [*[None] * 120, *truth.tolist()])) == 1
    assert classify_doubts(task, digest, [None] * 240) == ()


# ---- what the numbers are ----


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits(n: int, classes: int):
    """Float32 [n, classes], of both signs."""
    return (
        np.random.default_rng(3).normal(size=(n, classes)).astype(np.float32)
        + 9 * np.eye(classes, dtype=np.float32)[np.arange(n) % classes]
    )


LOGITS = logits(40, 5)
FLAT = logits(1000, 1000)


@pytest.mark.parametrize(
    ("layout", "scores", "expected"),
    [
        ("logits", LOGITS, None),
        ("logits", LOGITS / 100, None),  # a few are under 0
        ("logits", np.log(softmax(LOGITS)), None),  # log softmax are logits like any other
        ("logits", softmax(LOGITS), "sum to 1: give --output probabilities"),
        ("logits", softmax(FLAT).astype(np.float16), "sum to 1: give --output probabilities"),
        ("logits", 1 / (1 + np.exp(-LOGITS)), "of a sigmoid: export the network without it"),
        ("logits", softmax(LOGITS)[:15], None),  # too few to tell
        ("probabilities", softmax(LOGITS), None),
        ("probabilities", softmax(FLAT).astype(np.float16), None),
        ("probabilities", LOGITS, "give --output logits"),
        ("probabilities", np.abs(LOGITS), "give --output logits"),
        ("probabilities", np.log(softmax(LOGITS)), "give --output logits$"),
        *(
            (layout, 100 * softmax(scores), "sum to 100, as percent do: export the network without the factor 100")
            for layout in ("logits", "probabilities")
            for scores in (LOGITS, FLAT)
        ),
        ("logits", np.round(100 * softmax(LOGITS), 1), "and give --output probabilities"),  # as a page would show them
        (
            "probabilities",
            100 / (1 + np.exp(-LOGITS)),
            "give --output logits, or export the network without the factor 100",
        ),
        ("probabilities", 101 * np.abs(LOGITS), "give --output logits$"),  # percent of nothing
        ("logits", np.abs(LOGITS), None),
        ("probabilities", 1 / (1 + np.exp(-LOGITS)), "of a sigmoid"),
        ("logits", np.tile(LOGITS[:1], (40, 1)), "the same for all 40 photos"),
        ("logits", np.tile(LOGITS[:1], (40, 1)) + 1e-6 * LOGITS, "the same for all 40 photos"),
        ("logits", np.tile(LOGITS[:1], (40, 1)) + 1e-3 * LOGITS, None),  # as far as numbers go, it answers
    ],
)
def test_numbers_that_are_not_what_they_are_said_to_be(layout, scores, expected):
    """No label is needed for that."""
    labels = tuple(Label(i, str(i)) for i in range(scores.shape[1]))
    found = classify_doubts(ClassifyTask(classify_spec(labels, layout)), {"scores": scores}, [None] * len(scores))
    if expected is None:
        assert found == ()
    else:
        (doubt,) = found
        assert re.search(expected.replace("(", r"\("), doubt.text)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_raise(value):
    scores = LOGITS.copy()
    scores[[3, 17], 1] = value
    labels = tuple(Label(i, str(i)) for i in range(5))
    with pytest.raises(UnreadableOutputError, match="for 2 of 40 photos"):
        classify_doubts(ClassifyTask(classify_spec(labels)), {"scores": scores}, [None] * 40)
