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


# ---- neighbours, copies, ranking ----


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ranked_others(vectors, contents, place):
    """Places of the photos with another content, most similar first, by sorting pairs."""
    pairs = [(-float(vectors[place] @ other), i) for i, other in enumerate(vectors) if contents[i] != contents[place]]
    return [i for _, i in sorted(pairs)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("portion", [1, 7, 1024])
def test_copies_do_not_answer_for_each_other(seed, portion, monkeypatch):
    monkeypatch.setattr(retrieval, "_PORTION", portion)
    rng = np.random.default_rng(seed)
    contents = rng.integers(0, 18, 24)  # a quarter are copies, of the same vector
    vectors = unit(rng.normal(size=(18, 8)))[contents]
    found = retrieval.neighbours(vectors, contents)
    for place in range(24):
        order = ranked_others(vectors, contents, place)
        assert vectors[found.first[place]] == pytest.approx(vectors[order[0]])
        left = [i for i in order if contents[i] != contents[order[0]]]
        assert vectors[found.second[place]] == pytest.approx(vectors[left[0]])
        assert found.similarity[place] == pytest.approx(vectors[place] @ vectors[order[0]])
        assert found.next_similarity[place] == pytest.approx(vectors[place] @ vectors[left[0]])


def test_where_there_is_no_other_there_is_none():
    same = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert retrieval.neighbours(same, [0, 0]).first.tolist() == [-1, -1]
    assert retrieval.neighbours(same).first.tolist() == [1, 0]
    assert retrieval.neighbours(same).second.tolist() == [-1, -1]


def test_another_models_gallery_is_looked_up_in():
    vectors = np.eye(3)
    assert retrieval.neighbours(vectors, gallery=np.roll(vectors, 1, axis=0)).first.tolist() == [1, 2, 0]


@pytest.mark.parametrize("seed", range(4))
def test_ranking_against_the_definition(seed):
    rng = np.random.default_rng(seed)
    truth, contents = rng.integers(0, 6, 30), rng.integers(0, 26, 30)
    vectors = unit(rng.normal(size=(26, 5)))[contents] + 1e-9 * rng.normal(size=(30, 5))
    found = retrieval.ranking(vectors, truth, contents, depth=3)
    for place in range(30):
        order = ranked_others(vectors, contents, place)
        hits = [truth[i] == truth[place] for i in order]
        precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
        expected = np.mean(precisions) if precisions else np.nan
        assert found.precision[place] == pytest.approx(expected, nan_ok=True)
        assert found.found[place] == any(hits[:3])
        assert has_another(truth, contents)[place] == any(hits)
