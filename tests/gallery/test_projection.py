"""Linear maps between pictures and texts, against the normal equations written out, and truth by construction."""

from __future__ import annotations

import numpy as np
import pytest
from texts import WordEncoder, coloured_things

from edgevision.errors import InputError
from edgevision.gallery.text.projection import MIN_PRODUCTS, RIDGES, _Ridge, fit_map, fit_projection, judge_left_out


def problem(seed: int = 0):
    """Pictures [30, 6], the texts [30, 4] that they show, and products of unlike numbers of pictures."""
    random = np.random.default_rng(seed)
    owner = np.sort(random.integers(0, 8, 30))
    return random.normal(size=(30, 6)).astype(np.float32), random.normal(size=(30, 4)).astype(np.float32), owner


def by_normal_equations(x, y, weights, penalty):
    """(weights [a, b], intercept [b]) that minimise Σ w |y - c - xW|² + penalty |W|², the intercept unpenalised."""
    wide = np.hstack([np.ones((len(x), 1)), x.astype(np.float64)])
    squares = wide.T @ (wide * weights[:, None]) + np.diag([0.0] + [penalty] * x.shape[1])
    solved = np.linalg.solve(squares, wide.T @ (y.astype(np.float64) * weights[:, None]))
    return solved[1:], solved[0]


def fair(owner):
    share = np.array([1 / np.sum(owner == one) for one in owner])
    return share / share.sum()


def penalty_of(x, weights, ridge):
    centred = x - weights @ x
    return ridge * float(np.mean(weights @ centred**2))


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 10.0])
def test_the_map_minimises_what_it_says(ridge):
    x, y, owner = problem()
    made = fit_map(x, y, owner, ridge)
    weights, intercept = by_normal_equations(x, y, fair(owner), penalty_of(x, fair(owner), ridge))
    expected = x @ weights + intercept
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert made(x) == pytest.approx(expected, abs=1e-4)
    assert np.linalg.norm(made(x), axis=1) == pytest.approx(np.ones(30), abs=1e-5)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_leaving_a_product_out_is_a_fit_without_it(ridge):
    x, y, owner = problem(1)
    fit = _Ridge(x, y, fair(owner))
    penalty = penalty_of(x, fair(owner), ridge)
    for product in np.unique(owner):
        out = owner == product
        # The weights of the others as they were: what counts is their size beside the penalty.
        weights, intercept = by_normal_equations(x[~out], y[~out], fair(owner)[~out], penalty)
        assert fit.left_out(ridge, np.flatnonzero(out)) == pytest.approx(x[out] @ weights + intercept, abs=1e-8)


def test_each_product_counts_alike():
    """A picture that is there ten times more changes nothing for the other products."""
    x, y, owner = problem(2)
    again = np.concatenate([np.arange(30), np.full(10 * np.sum(owner == 3), -1)])
    again[30:] = np.tile(np.flatnonzero(owner == 3), 10)
    one, other = fit_map(x, y, owner, 1.0), fit_map(x[again], y[again], owner[again], 1.0)
    assert other(x) == pytest.approx(one(x), abs=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_words_find_products_that_were_never_shown(noise):
    gallery, _, new = coloured_things(noise=noise)
    texts = WordEncoder().encode([one.name for one in gallery.products])
    made = fit_projection(gallery.vectors, gallery.product_of, texts)
    assert made.ridge in RIDGES
    assert made.left_out > 0.8  # chance is 0.05
    nearest = (made.to_text(new.astype(np.float32)) @ texts.T).argmax(axis=1)
    assert np.mean(nearest == np.arange(20)) > 0.9
    back = made.to_picture(texts) @ new.T.astype(np.float32)
    assert np.mean(back.argmax(axis=1) == np.arange(20)) > 0.9


def test_the_penalty_is_the_one_that_ranks_left_out_products_best():
    gallery, _, _ = coloured_things(noise=0.8, seed=3)
    texts = WordEncoder().encode([one.name for one in gallery.products])
    x, owner = gallery.vectors, gallery.product_of

    def reciprocal_rank(ridge: float) -> float:
        found = []
        for product in np.unique(owner):
            out = owner == product
            weights, intercept = by_normal_equations(
                x[~out], texts[owner[~out]], fair(owner)[~out], penalty_of(x, fair(owner), ridge)
            )
            likeness = (x[out] @ weights + intercept) @ texts.T
            found += [np.mean([1 / (1 + np.sum(row > row[product])) for row in likeness])]
        return float(np.mean(found))

    scores = {ridge: reciprocal_rank(ridge) for ridge in RIDGES}
    assert len({round(score, 4) for score in scores.values()}) > 3
    assert fit_projection(x, owner, texts).ridge == max(scores, key=lambda one: scores[one])


def test_pictures_that_have_nothing_to_do_with_names_are_told():
    random = np.random.default_rng(0)
    gallery, _, _ = coloured_things()
    texts = WordEncoder().encode([one.name for one in gallery.products])
    assert fit_projection(gallery.vectors, gallery.product_of, texts[random.permutation(20)]).left_out < 0.25


def test_the_judged_texts_are_ranked():
    """With a fit that gives each picture its own text, every one is first."""
    texts = np.eye(9, dtype=np.float32)
    owner = np.repeat(np.arange(9), 2)

    class Perfect:
        def left_out(self, ridge, rows):
            return texts[owner[rows]]

    assert judge_left_out(Perfect(), 1.0, owner, texts, np.arange(9)) == (1.0, 1.0)

    class SecondBest(Perfect):
        def left_out(self, ridge, rows):
            return texts[owner[rows]] + 2 * texts[(owner[rows] + 1) % 9]

    assert judge_left_out(SecondBest(), 1.0, owner, texts, np.arange(9)) == (0.0, 0.5)


def test_too_few_products():
    x, y, _ = problem()
    with pytest.raises(InputError, match=f"from {MIN_PRODUCTS} named products with pictures or more, got 5"):
        fit_projection(x, np.arange(30) % 5, y)


def test_one_picture_each_and_equal_pictures():
    """No division by nothing where nothing differs."""
    same = np.tile(np.eye(1, 6, dtype=np.float32), (9, 1))
    made = fit_projection(same, np.arange(9), np.eye(9, dtype=np.float32))
    assert np.isfinite(made.to_text(same)).all()
    assert np.isfinite(made.to_picture(np.eye(9, dtype=np.float32))).all()
