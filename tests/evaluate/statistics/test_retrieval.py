from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics import retrieval
from edgevision.evaluate.statistics.retrieval import has_another, nearest_is_right


def by_definition(vectors, classes):
    """One pair after the other, as the words say it."""
    right = []
    for i, a in enumerate(vectors):
        best, found = -2.0, None
        for j, b in enumerate(vectors):
            cosine = float(a @ b) / (float(a @ a) * float(b @ b)) ** 0.5
            if j != i and cosine > best + 1e-12:
                best, found = cosine, classes[j]
        right.append(found == classes[i])
    return right


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("portion", [1, 7, 1024])
def test_against_the_definition(seed, portion, monkeypatch):
    monkeypatch.setattr(retrieval, "_PORTION", portion)
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, 40)
    vectors = rng.normal(size=(5, 8))[classes] + rng.normal(size=(40, 8))
    vectors *= rng.uniform(0.1, 10, (40, 1))  # length does not matter
    assert nearest_is_right(vectors, classes).tolist() == by_definition(vectors, classes)


def test_a_class_of_one_has_nothing_to_find():
    assert has_another([3, 1, 3, 2, 1]).tolist() == [True, True, True, False, True]


def test_a_vector_of_nothing_is_near_to_nothing():
    assert nearest_is_right([[0, 0], [1, 0], [1, 0.1]], [0, 1, 1]).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("vectors", "classes"),
    [([[1.0]], [0]), ([1.0, 2.0], [0, 0]), ([[1.0], [2.0]], [0]), ([[1.0], [np.nan]], [0, 0])],
)
def test_refused(vectors, classes):
    with pytest.raises(InputError, match="expected finite embeddings"):
        nearest_is_right(vectors, classes)
