"""What a gallery's own examples tell, against plain loops; and what the rejection that is fitted on them is worth on products it never saw."""

from __future__ import annotations

import numpy as np
import pytest
from galleries import around, directions, held

from edgevision.gallery.evidence import gather_evidence
from edgevision.gallery.rejection import Rejection, fit_rejection
from edgevision.gallery.vectors import unit_rows


def plain_evidence(vectors, product_of, pull=0.0):
    """(own, first, second, first product) of each example, by loops in float64: the gallery is made again without it."""
    rows = []
    for place, vector in enumerate(vectors.astype(np.float64)):
        own, best = np.nan, {}
        others = np.arange(len(vectors)) != place
        kept = held(vectors[others], product_of[others], pull)
        for one, of in zip(kept, product_of[others].tolist(), strict=True):
            similarity = float(one @ vector)
            if of == product_of[place]:
                own = similarity if np.isnan(own) else max(own, similarity)
            else:
                best[of] = max(best.get(of, -2.0), similarity)
        ranked = sorted(best.items(), key=lambda pair: -pair[1]) + [(-1, -1.0)] * 2
        rows.append((own, ranked[0][1], ranked[1][1], ranked[0][0]))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("pull", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("counts", [[3, 1, 4, 2], [5], [1, 1], [2, 0, 3], [1], [30, 40]])
def test_evidence_is_that_of_plain_loops(counts, pull):
    product_of = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = unit_rows(np.random.default_rng(2).normal(size=(len(product_of), 8)), 8)
    found = gather_evidence(vectors, product_of, len(counts), pull=pull)
    own, first, second, first_product = plain_evidence(vectors, product_of, pull)
    for name, expected in (("own", own), ("within", own), ("first", first), ("second", second)):
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6, err_msg=name)
    assert found.first_product.tolist() == first_product.tolist()
    assert found.example.tolist() == list(range(len(product_of)))


def test_of_many_examples_some_are_drawn():
    product_of = np.repeat(np.arange(10), 20)
    vectors = unit_rows(np.random.default_rng(2).normal(size=(200, 8)), 8)
    whole, some = gather_evidence(vectors, product_of, 10), gather_evidence(vectors, product_of, 10, most=50)
    assert len(some.example) == 50
    for name in ("own", "first", "second", "first_product", "product"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[some.example])
    np.testing.assert_array_equal(some.within, whole.within)


DIMENSION, PRODUCTS, EACH = 64, 60, 5


def world(seed, spreads, each=EACH):
    """A gallery's rejection, and the scores of right answers and of unknown products, which are made in the same way."""
    centres = directions(2 * PRODUCTS, DIMENSION, seed)
    random = np.random.default_rng(seed + 1)
    spread = np.repeat(random.permutation(np.resize(spreads, 2 * PRODUCTS)), 25)[:, None]
    noise = random.normal(size=(50 * PRODUCTS, DIMENSION)) / np.sqrt(DIMENSION)
    vectors = unit_rows(np.repeat(centres, 25, axis=0) + spread * noise, DIMENSION).reshape(2 * PRODUCTS, 25, DIMENSION)
    gallery = vectors[:PRODUCTS, :each].reshape(-1, DIMENSION)
    product_of = np.repeat(np.arange(PRODUCTS), each)
    made = fit_rejection(gather_evidence(gallery, product_of, PRODUCTS), list(range(PRODUCTS)))

    def ask(queries):
        best = (queries @ gallery.T).reshape(-1, PRODUCTS, each).max(axis=2)
        order = np.argsort(-best, axis=1)[:, :2]
        near = np.take_along_axis(best, order, axis=1)
        return order[:, 0], made.scores(near[:, 0], near[:, 1], order[:, 0].tolist()), near[:, 0]

    known, scores, near = ask(vectors[:PRODUCTS, each:].reshape(-1, DIMENSION))
    right = known == np.repeat(np.arange(PRODUCTS), 25 - each)
    _, strange, strange_near = ask(vectors[PRODUCTS:].reshape(-1, DIMENSION))
    return made, scores, right, strange, near, strange_near


@pytest.mark.parametrize("seed", range(3))
def test_known_products_pass_and_unknown_ones_do_not(seed):
    made, scores, right, strange, *_ = world(seed, [0.8])
    assert made.basis == "examples"
    assert 0.90 <= (scores[right] >= made.threshold).mean() <= 0.99
    assert (strange >= made.threshold).mean() < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_products_that_differ_in_spread_have_lines_of_their_own(seed):
    """Against one line for all, drawn with the right answers in view: half of the false accepts at most."""
    made, scores, right, strange, near, strange_near = world(seed, [0.3, 0.8, 1.6])
    assert made.usual < 0 < made.similarity
    own = (strange >= np.quantile(scores[right], 0.05)).mean()
    one_for_all = (strange_near >= np.quantile(near[right], 0.05)).mean()
    assert own < 0.5 * one_for_all
    assert 0.88 <= (scores[right] >= made.threshold).mean() <= 0.99


def test_scores_are_chances():
    """Known and unknown weighted alike: of answers with about one score, that share is right."""
    parts = [world(seed, [0.6, 1.2, 1.8]) for seed in range(4)]
    scores = np.concatenate([one for _, known, _, strange, *_ in parts for one in (known, strange)])
    right = np.concatenate([one for _, _, known, strange, *_ in parts for one in (known, np.zeros(len(strange), bool))])
    weight = np.concatenate(
        [np.full(len(one), 1 / len(one)) for _, known, _, strange, *_ in parts for one in (known, strange)]
    )
    for low in (0.1, 0.3, 0.5, 0.7, 0.9):
        inside = (scores >= low - 0.1) & (scores < low + 0.1)
        told, true = (np.average(column[inside], weights=weight[inside]) for column in (scores, right))
        assert abs(told - true) < 0.15, (low, told, true)


def test_one_example_of_each_product():
    """Only strangers can be learnt from: few of them pass."""
    made, _, _, strange, *_ = world(0, [0.8], each=1)
    assert (made.basis, made.margin, made.usual) == ("strangers", 0.0, 0.0)
    assert (strange >= made.threshold).mean() < 0.08


@pytest.mark.parametrize(("products", "each"), [(1, 1), (1, 5), (2, 1), (3, 2)])
def test_too_few_to_learn_from(products, each):
    vectors, of = around(directions(products, 8), each, 0.2)
    made = fit_rejection(gather_evidence(unit_rows(vectors, 8), of, products), list(range(products)))
    assert made.basis == "nothing"
    near, far = made.scores([0.95, 0.4], [-1.0, -1.0], [0, 0])
    assert near > made.threshold > far


def test_scores_grow_with_nearness_and_with_the_gap():
    """Whatever random vectors say."""
    for seed in range(20):
        vectors = unit_rows(np.random.default_rng(seed).normal(size=(40, 4)), 4)
        made = fit_rejection(gather_evidence(vectors, np.repeat(np.arange(10), 4), 10), list(range(10)))
        assert made.similarity >= 0
        assert made.margin >= 0
        assert made.usual <= 0
        assert np.diff(made.scores(np.linspace(-1, 1, 9), np.full(9, -1.0), [3] * 9)).min() >= 0
        assert np.diff(made.scores(np.full(9, 0.9), np.linspace(-1, 0.9, 9), [3] * 9)).max() <= 0


def test_as_json():
    made = Rejection(0.5, -1.0, 2.0, 3.0, -1.0, {7: 0.5}, 0.4, "examples", 20)
    assert made.to_dict()["usual_of"] == {"7": 0.5}
    assert made.scores([0.9], [0.5], [7])[0] != made.scores([0.9], [0.5], [8])[0]
