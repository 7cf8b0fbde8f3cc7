from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluate.statistics.ranking import auroc


def by_all_pairs(positives: np.ndarray, negatives: np.ndarray) -> float:
    won = sum(1.0 if p > q else 0.5 if p == q else 0.0 for p in positives for q in negatives)
    return won / (len(positives) * len(negatives))


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [
        ([1.0], [0.0], 1.0),
        ([0.0], [1.0], 0.0),
        ([0.5, 0.5], [0.5], 0.5),
        ([0.9, 0.8, 0.4], [0.8, 0.1], (2 + 1.5 + 1) / 6),
        ([], [1.0], None),
        ([1.0], [], None),
    ],
)
def test_tables(positives, negatives, expected):
    assert auroc(positives, negatives) == expected


@pytest.mark.parametrize("levels", [3, 20, 10_000])  # many ties, some, hardly any
def test_against_all_pairs(levels):
    rng = np.random.default_rng(levels)
    positives, negatives = rng.integers(0, levels, 83) / levels, rng.integers(0, levels, 61) / levels * 0.9
    assert auroc(positives, negatives) == pytest.approx(by_all_pairs(positives, negatives), abs=1e-12)
