"""Both losses against their papers' formulas, written out in float64 without any array operation in common."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.train.embed.losses import (  # noqa: E402
    ARCFACE,
    DEFAULTS,
    PROXY_ANCHOR,
    Sharpness,
    all_cosines,
    margin_loss,
)

CASES = [  # photos, products, dimension, scale, margin
    (8, 5, 16, 30.0, 0.3),
    (1, 3, 4, 64.0, 0.5),
    (12, 2, 3, 10.0, 0.0),
    (6, 20, 8, 32.0, 0.1),
]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def arcface_by_hand(vectors, centres, products, scale, margin):
    losses = []
    for vector, product in zip(vectors, products, strict=True):
        logits = []
        for place, centre in enumerate(centres):
            angle = math.acos(max(-1.0, min(1.0, cosine(vector, centre))))
            value = math.cos(angle)
            if place == product:
                value = math.cos(angle + margin) if angle + margin <= math.pi else value - margin * math.sin(margin)
            logits.append(scale * value)
        most = max(logits)
        losses.append(most + math.log(sum(math.exp(v - most) for v in logits)) - logits[product])
    return sum(losses) / len(losses)


def proxy_anchor_by_hand(vectors, centres, products, scale, margin):
    pull = push = 0.0
    present = sorted(set(products))
    for place, centre in enumerate(centres):
        near = [cosine(v, centre) for v, p in zip(vectors, products, strict=True) if p == place]
        far = [cosine(v, centre) for v, p in zip(vectors, products, strict=True) if p != place]
        if near:
            pull += math.log(1 + sum(math.exp(-scale * (s - margin)) for s in near))
        push += math.log(1 + sum(math.exp(scale * (s + margin)) for s in far))
    return pull / len(present) + push / len(centres)


BY_HAND = {ARCFACE: arcface_by_hand, PROXY_ANCHOR: proxy_anchor_by_hand}


def drawn(photos, products, dimension, seed=3):
    random = np.random.default_rng(seed)
    vectors, centres = random.normal(size=(photos, dimension)) * 7, random.normal(size=(products, dimension))
    return vectors, centres, random.integers(0, products, photos)


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
@pytest.mark.parametrize("case", CASES)
def test_as_the_paper_has_it(kind, case):
    photos, products, dimension, scale, margin = case
    vectors, centres, truth = drawn(photos, products, dimension)
    got = margin_loss(
        kind, torch.from_numpy(vectors).float(), torch.from_numpy(centres).float(), torch.from_numpy(truth),
        Sharpness(scale, margin),
    )  # fmt: skip
    expected = BY_HAND[kind](vectors.tolist(), centres.tolist(), truth.tolist(), scale, margin)
    assert float(got) == pytest.approx(expected, rel=2e-4, abs=1e-5)


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_the_slope_is_the_formula_s(kind):
    """Of every number of vectors and centres, by differences in float64."""
    scale, margin = 8.0, 0.25
    vectors, centres, truth = drawn(4, 3, 3)
    tensors = [torch.from_numpy(values).float().requires_grad_(True) for values in (vectors, centres)]
    margin_loss(kind, *tensors, torch.from_numpy(truth), Sharpness(scale, margin)).backward()
    step = 1e-5
    for values, tensor in zip((vectors, centres), tensors, strict=True):
        for place in np.ndindex(values.shape):
            ends = []
            for shift in (step, -step):
                values[place] += shift
                ends.append(BY_HAND[kind](vectors.tolist(), centres.tolist(), truth.tolist(), scale, margin))
                values[place] -= shift
            assert float(tensor.grad[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_vector_on_its_centre_or_opposite_has_a_finite_slope(kind, direction):
    centres = torch.eye(3)
    vectors = (direction * centres[:2]).clone().requires_grad_(True)
    loss = margin_loss(kind, vectors, centres, torch.tensor([0, 1]), DEFAULTS[kind])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(vectors.grad).all()


def test_more_angle_always_costs_more():
    """Also past the point where the cosine of angle and margin would rise again."""
    centre = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    angles = torch.linspace(0.0, -math.pi, 60)  # away from the other centre
    losses = [
        float(margin_loss(ARCFACE, torch.tensor([[math.cos(a), math.sin(a)]]), centre, torch.tensor([0]), Sharpness(1.0, 0.5)))

        for a in angles.tolist()
    ]  # fmt: skip
    right = [
        math.cos(abs(a) + 0.5) if abs(a) + 0.5 <= math.pi else math.cos(a) - 0.5 * math.sin(0.5)
        for a in angles.tolist()
    ]
    assert all(later < earlier for earlier, later in itertools.pairwise(right))
    expected = [math.log(1 + math.exp(math.sin(a) - r)) for a, r in zip(angles.tolist(), right, strict=True)]
    assert losses == pytest.approx(expected, abs=1e-4)


def test_lengths_do_not_matter():
    vectors, centres, truth = (torch.from_numpy(part) for part in drawn(6, 4, 5))
    for kind, usual in DEFAULTS.items():
        one = margin_loss(kind, vectors, centres, truth, usual)
        other = margin_loss(kind, vectors * torch.tensor([[0.1], [3], [9], [1], [2], [5]]), 4 * centres, truth, usual)
        torch.testing.assert_close(one, other)
    assert all_cosines(vectors, centres).abs().max() <= 1.0001
