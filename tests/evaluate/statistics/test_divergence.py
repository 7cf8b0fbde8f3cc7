"""The divergence, against its definition in Python's own numbers, and against PyTorch's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.divergence import cosine_distance, kl_divergence


def softmax(row):
    powers = [math.exp(x - max(row)) for x in row]
    return [power / math.fsum(powers) for power in powers]


def slow_kl(reference, other):
    """Mean Σ p·log(p / q) of rows of probabilities; 0·log 0 = 0."""
    rows = zip(reference, other, strict=True)
    each = [math.fsum(p * math.log(p / q) for p, q in zip(a, b, strict=True) if p > 0) for a, b in rows]
    return math.fsum(each) / len(each)


def pair(seed: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(40, 7))).astype(np.float32)
    return logits, (logits + 0.1 * scale * rng.normal(size=(40, 7))).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 30.0])
def test_of_logits(scale):
    reference, other = pair(1, scale)
    expected = slow_kl(*([softmax([float(x) for x in row]) for row in array] for array in (reference, other)))
    assert kl_divergence(reference, other) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("reference", "other", "expected"),
    [
        ([[0.5, 0.5]], [[0.5, 0.5]], 0.0),
        ([[0.5, 0.5]], [[0.25, 0.75]], 0.5 * math.log(4 / 3)),
        ([[1.0, 0.0]], [[0.5, 0.5]], math.log(2)),
        ([[0.5, 0.5]], [[1.0, 0.0]], 0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-12)),  # 0 counts as 1e-12
        ([[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.25, 0.75]], 0.25 * math.log(4 / 3)),  # the mean
    ],
)
def test_of_probabilities(reference, other, expected):
    found = kl_divergence(np.array(reference), np.array(other), probabilities=True)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_logits_may_be_large_and_shifted():
    reference, other = pair(2, 1.0)
    far = kl_divergence(reference.astype(np.float64) + 1e4, other.astype(np.float64) - 1e4)
    assert far == pytest.approx(kl_divergence(reference, other), rel=1e-6)
    assert kl_divergence(reference, reference) == 0.0


@pytest.mark.requires("torch")
@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_as_torch_has_it(scale):
    import torch
    from torch.nn import functional

    reference, other = pair(3, scale)
    log_p, log_q = (torch.log_softmax(torch.from_numpy(x).double(), 1) for x in (reference, other))
    expected = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True).item()
    assert kl_divergence(reference, other) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 4)), ((2, 3), (3, 3)), ((0, 3), (0, 3)), ((3,), (3,))])
def test_wrong_shapes_are_refused(a, b):
    with pytest.raises(InputError, match="of one shape"):
        kl_divergence(np.zeros(a), np.zeros(b))


@pytest.mark.parametrize("angle", [0.0, 1e-5, 0.3, np.pi])
def test_cosine_distance_keeps_its_digits(angle):
    a = np.tile([1.0, 0.0], (3, 1))
    b = np.tile([np.cos(angle), np.sin(angle)], (3, 1))
    assert cosine_distance(a, b) == pytest.approx(2 * np.sin(angle / 2) ** 2, rel=1e-9)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((0, 3), (0, 3)), ((3,), (3,))])
def test_vectors_of_other_shapes_have_no_cosine_distance(shapes):
    with pytest.raises(InputError, match=r"two arrays \[n, dimension\]"):
        cosine_distance(*(np.ones(shape) for shape in shapes))
