"""Photos that answer for each other, against the sum over all pairs, and against what drawing whole sets anew shows."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluate.statistics.design_effect import design_effect


def by_definition(values, involved):
    apart = values - values.mean()
    total = 0.0
    for i, a in enumerate(involved):
        for j, b in enumerate(involved):
            if i == j or set(a[a >= 0].tolist()) & set(b[b >= 0].tolist()):
                total += apart[i] * apart[j]
    return max(1.0, total / float((apart**2).sum()))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("answers", [1, 2])
def test_it_sums_over_all_pairs_with_a_photo_in_common(seed, answers):
    rng = np.random.default_rng(seed)
    involved = np.concatenate([np.arange(40)[:, None], rng.integers(-1, 12, (40, answers))], axis=1)
    values = rng.integers(-1, 2, 40).astype(float)
    assert design_effect(values, involved) == pytest.approx(by_definition(values, involved), rel=1e-12)


def test_photos_that_nobody_else_answers_for_are_independent():
    values = np.random.default_rng(0).integers(0, 2, 50).astype(float)
    assert design_effect(values, np.arange(50)[:, None]) == pytest.approx(1)


def test_where_nothing_varies_there_is_no_effect():
    assert design_effect(np.ones(5), np.zeros((5, 2), np.int64)) == 1


@pytest.mark.parametrize("size", [2, 5])
def test_groups_that_are_lost_together_count_as_one(size):
    """Of groups of so many photos, each lost or kept as a whole, the variance is that of as many single photos as there are groups."""
    rng = np.random.default_rng(3)
    groups = 60
    lost = np.repeat((rng.random(groups) < 0.3).astype(float), size)
    involved = np.stack([np.arange(groups * size), groups * size + np.repeat(np.arange(groups), size)], axis=1)
    assert design_effect(lost, involved) == pytest.approx(size)
    drawn = np.repeat((rng.random((4000, groups)) < 0.3).astype(float), size, axis=1).mean(axis=1)
    assert drawn.var() / (0.3 * 0.7 / (groups * size)) == pytest.approx(size, rel=0.1)
