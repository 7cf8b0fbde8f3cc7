import numpy as np
import pytest

from edgevision.recommend.variety import LONGEST, varied


def mmr(scores, looks, count, variety):
    """Carbonell & Goldstein's formula, one product after the other."""
    left = [int(place) for place in np.argsort(-scores) if scores[place] > 0]
    chosen = []
    while left and len(chosen) < count:

        def value(place):
            nearest = max((float(looks[place] @ looks[other]) for other in chosen), default=0.0)
            return (1 - variety) * scores[place] / max(scores) - variety * max(0.0, nearest)

        best = max(left, key=value)
        left.remove(best)
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("variety", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_maximal_marginal_relevance(seed, variety):
    rng = np.random.default_rng(seed)
    looks = rng.standard_normal((30, 6)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    scores = rng.uniform(0, 1, 30) * (rng.uniform(size=30) > 0.2)
    assert varied(scores, looks, 8, variety) == mmr(scores, looks, 8, variety)


def test_twins_are_not_shown_one_after_the_other():
    looks = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert varied(np.array([1.0, 0.9, 0.6]), looks, 3, 0.0) == [0, 1, 2]
    assert varied(np.array([1.0, 0.9, 0.6]), looks, 3, 0.4) == [0, 2, 1]


def test_only_what_has_a_chance_is_shown():
    looks = np.eye(4, dtype=np.float32)
    assert varied(np.array([0.0, 0.5, 0.0, 0.1]), looks, 9, 0.3) == [1, 3]
    assert varied(np.zeros(4), looks, 3, 0.3) == []


def test_long_lists_are_whole():
    rng = np.random.default_rng(0)
    found = varied(rng.uniform(0.1, 1, 3 * LONGEST), np.zeros((3 * LONGEST, 2), np.float32), 2 * LONGEST, 0.3)
    assert len(set(found)) == 2 * LONGEST
