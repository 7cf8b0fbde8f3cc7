from __future__ import annotations

from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.paired import ClassLoss, class_losses, paired_comparison, tango_interval
from edgevision.tasks.results import Label

LABELS = tuple(Label(10 * i, f"class {i}") for i in range(8))
Z = NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize(
    ("lost", "gained", "n", "expected"),
    [
        # M. Fagerland, S. Lydersen, P. Laake, "Recommended tests and confidence intervals for paired binomial
        # proportions", Statistics in Medicine 33 (2014), table V: airway hyper-responsiveness, Tango's interval
        (1, 7, 21, (-0.517, -0.026)),
        # no photo differs: the score equation is z² = n·d / (1 - d)
        (0, 0, 50, (-Z * Z / (50 + Z * Z), Z * Z / (50 + Z * Z))),
        (0, 0, 1, (-Z * Z / (1 + Z * Z), Z * Z / (1 + Z * Z))),
        # all differ one way: n·(1 - d) / (1 + d) = z²
        (50, 0, 50, ((50 - Z * Z) / (50 + Z * Z), 1.0)),
    ],
)
def test_known_intervals(lost, gained, n, expected):
    assert tango_interval(lost, gained, n) == pytest.approx(expected, abs=5e-4)
    assert tango_interval(gained, lost, n) == pytest.approx((-expected[1], -expected[0]), abs=5e-4)


def quartic_interval(lost: int, gained: int, n: int) -> tuple[float, float]:
    """The same interval without iteration: the real roots of a quartic (Z. Yang, X. Sun, J. Hardin, "A non-iterative
    implementation of Tango's score confidence interval", Statistics in Medicine 32 (2013) 1336-1342)."""
    g, difference, both = Z * Z, lost - gained, lost + gained
    r = n / g
    coefficients = [
        n**2 * (r + 1) ** 2,
        -n * difference * (r + 1) * (4 * r + 1),
        2 * n * difference**2 * (3 * r + 2) / g - n**2 * (both / g + 1),
        n * difference * (2 * both / g + 1) - difference**3 * (4 * r + 1) / g,
        difference**2 * (difference**2 / g - both) / g,
    ]
    roots = np.roots(coefficients)
    real = roots[np.abs(roots.imag) < 1e-6].real
    return float(real.min()), float(real.max())


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(12, 9, 44), (3, 2, 1320), (25, 4, 296), (7, 30, 200), (60, 50, 2640)]
)
def test_against_the_closed_form(lost, gained, n):
    assert tango_interval(lost, gained, n) == pytest.approx(quartic_interval(lost, gained, n), abs=1e-6)


def profile_statistic(lost: int, gained: int, n: int, difference: Fraction) -> Fraction:
    """Tango's statistic squared, with the restricted estimate found by searching for the likelihood's peak."""
    b, c, d = lost, gained, difference

    def slope(q: Fraction) -> Fraction:  # of log likelihood in q = P(gain), with P(loss) = q + d
        return b / (q + d) + c / q - 2 * (n - b - c) / (1 - 2 * q - d)

    low, high = max(Fraction(0), -d), (1 - d) / 2
    for _ in range(60):
        middle = Fraction((low + high) / 2).limit_denominator(10**18)
        if slope(middle) > 0:
            low = middle
        else:
            high = middle
    variance = n * (2 * low + d - d * d)  # q + (q + d) - d²
    return (b - c - n * d) ** 2 / variance


@pytest.mark.parametrize(("lost", "gained", "n"), [(3, 2, 40), (9, 1, 60), (2, 14, 80)])
def test_limits_solve_the_score_equation(lost, gained, n):
    """In exact fractions, from the definition: at both limits the statistic is the normal quantile, squared."""
    for limit in tango_interval(lost, gained, n):
        assert float(profile_statistic(lost, gained, n, Fraction(limit))) == pytest.approx(Z * Z, rel=1e-6)


@pytest.mark.parametrize(
    ("p_lost", "p_gained", "n"), [(0.01, 0.01, 296), (0.02, 0.005, 296), (0.003, 0.001, 1320), (0.1, 0.05, 60)]
)
def test_coverage(p_lost, p_gained, n):
    """Of 4,000 simulated comparisons, about 95 % of the intervals hold the truth, though few photos differ."""
    rng = np.random.default_rng(n)
    draws, counts = np.unique(
        rng.multinomial(n, [p_lost, p_gained, 1 - p_lost - p_gained], 4000)[:, :2], axis=0, return_counts=True
    )
    intervals = [tango_interval(int(lost), int(gained), n) for lost, gained in draws]
    covered = sum(int(k) for (low, high), k in zip(intervals, counts, strict=True) if low <= p_lost - p_gained <= high)
    assert 0.935 <= covered / 4000 <= 0.985


def test_more_confidence_is_wider_and_holds_the_estimate():
    last = (0.03, 0.03)
    for confidence in (0.5, 0.9, 0.95, 0.999):
        low, high = tango_interval(5, 2, 100, confidence)
        assert low < last[0]
        assert high > last[1]
        last = (low, high)


def test_comparison_counts_flips_in_points():
    a = np.array([1, 1, 1, 1, 0, 0, 0, 1, 1, 1], bool)
    b = np.array([1, 1, 0, 0, 1, 0, 0, 1, 1, 1], bool)
    result = paired_comparison(a, b)
    assert (result.n, result.lost, result.gained, result.confidence) == (10, 2, 1, 0.95)
    assert (result.reference, result.value, result.drop) == (70.0, 60.0, 10.0)
    assert result.interval == tuple(100 * limit for limit in tango_interval(2, 1, 10))
    assert paired_comparison(b, a).drop == -10.0


def test_a_comparison_in_words():
    made = paired_comparison([True] * 99 + [False], [False] + [True] * 99, confidence=0.975)
    assert made.sentence("a.edge", "b.pt").startswith("a.edge against b.pt on the same 100 photos: drop +0.00 points, ")
    assert "97.5 % interval -" in made.sentence("a", "b")
    assert made.sentence("a", "b").endswith("; 1 lost, 1 gained")


@pytest.mark.parametrize("seed", range(5))
def test_class_losses_are_what_counting_gives(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 5, 6], 150, p=[0.5, 0.2, 0.2, 0.05, 0.05])
    before, after = rng.random(150) < 0.9, rng.random(150) < 0.8
    losses = class_losses(before, after, truth, LABELS)
    assert {loss.name for loss in losses} == {LABELS[c].name for c in set(truth.tolist())}  # no class without photos
    for loss in losses:
        mine = [i for i in range(150) if LABELS[truth[i]].name == loss.name]
        assert LABELS[loss.index].name == loss.name
        assert loss.n == len(mine)
        assert loss.reference_right == len([i for i in mine if before[i]])
        assert loss.right == len([i for i in mine if after[i]])
        assert loss.lost == len([i for i in mine if before[i] and not after[i]])
        assert loss.gained == len([i for i in mine if after[i] and not before[i]])
        assert loss.net == loss.lost - loss.gained
        assert loss.share == pytest.approx(loss.net / len(mine))
        assert loss.ruled == (len(mine) >= 20)
    nets = [loss.net for loss in losses]
    assert nets == sorted(nets, reverse=True)


def test_of_equal_losses_the_larger_share_comes_first_then_the_labels_order():
    truth = np.array([0] * 10 + [1] * 2 + [2] * 5 + [3] * 5)
    right = np.ones(22, bool)
    after = right.copy()
    after[[0, 10]] = False  # one photo each of the first two
    losses = class_losses(right, after, truth, LABELS)
    assert [loss.name for loss in losses] == ["class 1", "class 0", "class 2", "class 3"]
    assert list(losses[0].to_dict().items()) == [
        ("name", "class 1"), ("index", 1), ("n", 2), ("lost", 1), ("gained", 0), ("float_right", 2), ("variant_right", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "sentence", "share"),
    [
        (ClassLoss("salt", 0, 20, 3, 0, 20), "class 'salt' loses 3 of 20 photos", 0.15),
        (ClassLoss("it's", 0, 40, 5, 1, 30), 'class "it\'s" loses 4 of 40 photos', 0.1),
        (ClassLoss("tea", 0, 4, 0, 1, 2), "class 'tea' loses -1 of 4 photos", -0.25),
    ],
)
def test_a_loss_in_words(loss, sentence, share):
    assert (loss.sentence(), loss.share) == (sentence, share)


@pytest.mark.parametrize(
    ("n", "lost", "gained", "expected"),
    [
        (19, 19, 0, False),  # too few photos to say
        (20, 2, 0, False),
        (20, 3, 0, True),
        (20, 5, 3, False),  # net
        (66, 3, 0, True),  # 3 points are 1.98 photos
        (100, 3, 0, False),  # exactly 3 points
        (101, 4, 0, True),
        (100, 4, 0, True),
        (134, 4, 0, False),  # 4.02 photos
    ],
)
def test_the_rule_for_classes(n, lost, gained, expected):
    assert ClassLoss("tea", 0, n, lost, gained, n).exceeds() is expected


@pytest.mark.parametrize(("max_points", "expected"), [(3.0, True), (4.9, True), (5.0, False), (0.0, True)])
def test_the_rule_for_classes_with_other_points(max_points, expected):
    assert ClassLoss("tea", 0, 100, 5, 0, 100).exceeds(max_points) is expected
    assert not ClassLoss("tea", 0, 100, 2, 0, 100).exceeds(max_points)  # two photos are always allowed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_comparison([True], [True, False]), "same photos"),
        (lambda: paired_comparison([], []), "n > 0"),
        (lambda: paired_comparison([1, 0], [0, 1]), "bool"),
        (lambda: tango_interval(2, 2, 3), "lost . gained"),
        (lambda: tango_interval(0, 0, 0), "n > 0"),
        (lambda: tango_interval(0, 0, 5, 95), "such as 0.95"),
        (lambda: class_losses([True], [True], [0.5], LABELS), "class indices"),
        (lambda: class_losses([True], [True], [0, 1], LABELS), "class indices"),
        (lambda: class_losses([True], [True], [-1], LABELS), "class indices"),
        (lambda: class_losses([True], [True], [8], LABELS), "expected classes below 8"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
