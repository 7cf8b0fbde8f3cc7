import numpy as np
import pytest

from edgevision.recommend.cold_start import find_look_alikes
from edgevision.recommend.terms import (
    again_term,
    counts_of,
    goes_with_term,
    looks_term,
    popularity_term,
    scaled,
)


def test_buying_again_is_in_proportion(shelf):
    assert again_term(shelf, {10: 3.0, 13: 1.0, 999: 5.0}) == pytest.approx([0.75, 0, 0, 0.25, 0, 0, 0])
    assert not again_term(shelf, {}).any()


def test_looks_follow_the_interest(shelf):
    """By the definition, in float64: what all have in common is taken out, then exp(cosine / warmth)."""
    interest = 2.0 * shelf.vectors[0].astype(np.float64) + shelf.vectors[1]
    vectors = shelf.vectors.astype(np.float64)
    shared = vectors.sum(axis=0) / np.linalg.norm(vectors.sum(axis=0))
    own = vectors - np.outer(vectors @ shared, shared)
    taste = interest - (interest @ shared) * shared
    with np.errstate(invalid="ignore"):
        cosines = own @ taste / np.linalg.norm(own, axis=1) / np.linalg.norm(taste)
    expected = np.where(shelf.pictured, np.exp(cosines / 0.3), 0)
    found = looks_term(shelf, interest, 0.3)
    assert found == pytest.approx(np.nan_to_num(expected) / np.nansum(expected), rel=1e-4)
    assert found[6] == 0.0  # no picture
    assert list(np.argsort(-found)[:2]) == [0, 5]  # Penne, and the new Penne before soap


def test_no_interest_no_looks(shelf):
    assert not looks_term(shelf, np.zeros(4), 0.1).any()


@pytest.mark.parametrize("damping", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("context", [{10: 1.0}, {10: 0.5, 13: 2.0}, {999: 1.0}, {}])
def test_goes_with_is_the_damped_conditional_chance(shelf, baskets, context, damping):
    pairs = {(10, 12): 30, (10, 11): 30, (11, 12): 30, (13, 14): 20, (11, 13): 20, (11, 14): 20}
    pairs |= {(b, a): n for (a, b), n in pairs.items()}
    count = {10: 35, 11: 60, 12: 30, 13: 20, 14: 20, 16: 1}
    expected = np.zeros(7)
    for place, product in enumerate(shelf.products):
        for j, weight in context.items():
            if (product.id, j) in pairs:
                expected[place] += weight * pairs[product.id, j] / (count[j] + 10) / count[product.id] ** damping
    found = goes_with_term(shelf, baskets, context, damping, 10.0)
    assert found == pytest.approx(expected / expected.sum() if expected.any() else expected)


def test_damping_prefers_what_is_bought_together_oftener_than_by_chance(shelf, baskets):
    undamped, lift = (goes_with_term(shelf, baskets, {10: 1.0}, damping, 10.0) for damping in (0.0, 1.0))
    assert undamped[1] == pytest.approx(undamped[2])  # Fusilli is bought with everything, Pesto with pasta
    assert lift[2] == pytest.approx(2 * lift[1])


def test_popularity_leaves_nothing_impossible(shelf, baskets):
    found = popularity_term(counts_of(shelf, baskets))
    assert found * 173 == pytest.approx([36, 61, 31, 21, 21, 1, 2])


def test_what_is_new_borrows_from_what_it_looks_like(shelf, baskets):
    counts = counts_of(shelf, baskets)
    alike = find_look_alikes(shelf, counts > 0, 0.1)
    assert list(alike.new) == [5]
    nearest = alike.places[0][alike.weights[0].argmax()]
    assert shelf.products[nearest].name in {"Penne", "Fusilli"}
    assert alike.weights.sum() == pytest.approx(1)
    lent = alike.lend(counts, 0.5)
    cosines = {int(p): float(shelf.looks[5] @ shelf.looks[p]) for p in range(5)}
    weights = {p: np.exp(c / 0.1) for p, c in cosines.items()}
    assert lent[5] == pytest.approx(
        0.5 * sum(counts[p] * w for p, w in weights.items()) / sum(weights.values()), rel=1e-4
    )
    assert np.array_equal(np.delete(lent, 5), np.delete(counts, 5))


def test_nothing_is_lent_where_nothing_is_known(shelf):
    alike = find_look_alikes(shelf, np.zeros(7, bool), 0.1)
    counts = np.arange(7.0)
    assert alike.lend(counts, 0.5) is counts


@pytest.mark.parametrize(("pairs", "expected"), [({}, {}), ({1: 0.0}, {}), ({1: 3.0, 2: 1.0}, {1: 0.75, 2: 0.25})])
def test_weights_are_scaled(pairs, expected):
    assert scaled(pairs.items()) == expected
