from __future__ import annotations

import json

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.classification import classification_metrics, true_ranks
from edgevision.tasks.results import Label

ABC = (Label(0, "a"), Label(1, "b"), Label(2, "c"))


def one_hot(predicted: list[int], classes: int) -> np.ndarray:
    return np.eye(classes)[predicted]


def test_a_table_worked_out_by_hand():
    #            truth   a  a  a  b  b  a      c has no photos, but b's second is taken for it
    truth, predicted = [0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 2, 1]
    metrics = classification_metrics(one_hot(predicted, 3), truth, ABC)
    a, b, c = metrics.per_class
    assert (a.n, a.predicted, a.precision, a.recall) == (4, 2, 100.0, 50.0)
    assert (b.n, b.predicted, b.precision, b.recall) == (2, 3, pytest.approx(100 / 3), 50.0)
    assert (c.n, c.predicted, c.precision, c.recall, c.f1, c.roc_auc) == (0, 1, 0.0, 0.0, 0.0, None)
    assert a.f1 == pytest.approx(200 / 3)
    assert b.f1 == pytest.approx(40.0)
    assert (metrics.n, metrics.classes_present, metrics.top1) == (6, 2, 50.0)
    # macro averages leave out c, which the truth does not hold
    assert metrics.precision == pytest.approx((100 + 100 / 3) / 2)
    assert metrics.recall == pytest.approx(50.0)
    assert metrics.f1 == pytest.approx((200 / 3 + 40) / 2)
    assert [(x.truth.name, x.predicted.name, x.count, x.n) for x in metrics.confused] == [
        ("a", "b", 2, 4),
        ("b", "c", 1, 2),
    ]
    json.dumps(metrics.to_dict())


def test_equal_scores_go_to_the_lower_index():
    labels = tuple(Label(i, str(i)) for i in range(7))
    flat = np.full((7, 7), 1 / 7)
    metrics = classification_metrics(flat, np.arange(7), labels)
    assert metrics.top1 == pytest.approx(100 / 7)  # only class 0 is predicted
    assert metrics.top5 == pytest.approx(500 / 7)  # classes 0…4 are the first five
    assert metrics.roc_auc_macro == metrics.roc_auc_micro == 0.5
    assert true_ranks(flat, np.arange(7)).tolist() == list(range(7))


def slow_metrics(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The same figures from their definitions, photo by photo and pair by pair."""
    n, classes = scores.shape
    ranking = [sorted(range(classes), key=lambda c, row=row: (-row[c], c)) for row in scores]
    predicted = [order[0] for order in ranking]
    precision, recall, f1, areas = [], [], [], []
    for c in range(classes):
        hit = sum(p == t == c for p, t in zip(predicted, truth, strict=True))
        taken, photos = predicted.count(c), list(truth).count(c)
        if not photos:
            continue
        p, r = hit / taken if taken else 0.0, hit / photos
        precision.append(p)
        recall.append(r)
        f1.append(2 * p * r / (p + r) if p + r else 0.0)
        areas.append(pairs(scores[truth == c, c], scores[truth != c, c]))
    of_class = [(i, int(t)) for i, t in enumerate(truth)]
    rest = [(i, c) for i in range(n) for c in range(classes) if c != truth[i]]
    return {
        "top1": 100 * np.mean([p == t for p, t in zip(predicted, truth, strict=True)]),
        "top5": 100 * np.mean([t in order[:5] for order, t in zip(ranking, truth, strict=True)]),
        "precision": 100 * np.mean(precision),
        "recall": 100 * np.mean(recall),
        "f1": 100 * np.mean(f1),
        "roc_auc_macro": np.mean(areas),
        "roc_auc_micro": pairs(np.array([scores[x] for x in of_class]), np.array([scores[x] for x in rest])),
    }


def pairs(positives: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.mean((positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)))


@pytest.mark.parametrize(("classes", "levels"), [(3, 4), (9, 1000), (9, 6)])  # few levels make ties
def test_against_a_slow_implementation(classes, levels):
    rng = np.random.default_rng(classes * levels)
    truth = rng.integers(0, classes - 1, 70)  # the last class has no photos
    scores = rng.integers(0, levels, (70, classes)) / levels
    scores[np.arange(70), truth] += rng.integers(0, 2, 70) / 2
    labels = tuple(Label(i, str(i)) for i in range(classes))
    metrics = classification_metrics(scores, truth, labels)
    for name, value in slow_metrics(scores, truth).items():
        assert getattr(metrics, name) == pytest.approx(value, abs=1e-9), name


def test_one_class_alone_has_no_area():
    metrics = classification_metrics([[0.9, 0.1], [0.2, 0.8]], [0, 0], ABC[:2])
    assert metrics.roc_auc_macro is None
    assert metrics.roc_auc_micro == 0.75
    assert metrics.top5 == 100.0  # of two classes, five are all


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "at least one photo"),
        (np.zeros((2, 3)), [0], "truth .n., got"),
        (np.zeros(3), [0], "truth .n., got"),
        (np.zeros((1, 2)), [0], "3 labels, got 2"),
        ([[0.1, np.nan, 0.2]], [0], "finite.*number 0"),
        (np.zeros((1, 3)), [3], "0…2 as truth"),
        (np.zeros((1, 3)), [-1], "0…2 as truth"),
        (np.zeros((1, 3)), [0.5], "0…2 as truth, got float64"),
    ],
)
def test_wrong_input_is_refused(scores, truth, message):
    with pytest.raises(InputError, match=message):
        classification_metrics(scores, truth, ABC)
