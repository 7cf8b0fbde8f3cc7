"""The assignment against every assignment there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from edgevision.tracking.assignment import assign


def best_sum(similarity: np.ndarray, least: float) -> float:
    """The greatest sum of ``similarity - least``, by trying all: each row gets a column, or none of them."""
    gain = np.maximum(similarity - least, 0)
    rows, columns = gain.shape
    places = [*range(columns), *([None] * rows)]
    return max(
        sum(gain[row, column] for row, column in enumerate(chosen) if column is not None)
        for chosen in set(permutations(places, rows))
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 3), (3, 3), (4, 3), (3, 5)])
@pytest.mark.parametrize("least", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("levels", [None, 4], ids=["numbers", "ties"])
def test_no_other_assignment_is_better(shape, least, levels):
    rng = np.random.default_rng((*shape, int(10 * least)))
    for _ in range(15):
        similarity = rng.random(shape)
        if levels:
            similarity = np.round(similarity * levels) / levels
        pairs = assign(similarity, least)
        chosen = similarity[pairs[:, 0], pairs[:, 1]]
        assert (chosen > least).all()
        assert len(set(pairs[:, 0])) == len(pairs) == len(set(pairs[:, 1]))
        assert (np.diff(pairs[:, 0]) > 0).all()
        assert np.sum(chosen - least) == pytest.approx(best_sum(similarity, least), abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (90, 40)])
def test_large_assignments_have_prices_that_prove_them(shape):
    """Where nothing can be gained by moving one pair along a cycle or to a free place (Bellman-Ford finds no such way), a matching is
    the best: that is checked here, for sizes at which not all can be tried."""
    rng = np.random.default_rng(shape)
    gain = rng.random(shape)
    pairs = assign(gain, 0.0)
    assert len(pairs) == min(shape)
    if shape[0] > shape[1]:
        gain, pairs = gain.T, pairs[np.argsort(pairs[:, 1])][:, ::-1]
    column_of = dict(pairs.tolist())
    rows, columns = gain.shape
    # Moving row r from its column to c costs gain[r, own] - gain[r, c]; the way ends at a free column or where it began.
    cost = np.array([gain[row, column_of[row]] - gain[row] for row in range(rows)])
    owner = {column: row for row, column in column_of.items()}
    distance = np.zeros(rows)  # cheapest way that frees this row's column
    for _ in range(rows):
        shorter = np.array([min(distance[row], (distance + cost[:, column_of[row]]).min()) for row in range(rows)])
        settled = np.allclose(shorter, distance, atol=1e-12)
        distance = shorter
    assert settled, "a cycle gains"
    free = [column for column in range(columns) if column not in owner]
    assert not free or (distance[:, None] + cost[:, free]).min() > -1e-9


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape):
    assert assign(np.zeros(shape), 0.1).shape == (0, 2)


def test_what_is_not_similar_enough_stays_alone():
    assert assign(np.array([[0.1, 0.2], [0.2, 0.2]]), 0.2).shape == (0, 2)
