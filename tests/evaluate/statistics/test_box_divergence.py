from __future__ import annotations

import itertools

import numpy as np
import pytest
from scenes import scene

from edgevision.evaluate.statistics.average_precision import Found, iou_matrix
from edgevision.evaluate.statistics.box_divergence import box_divergence, shared_boxes


def found(*rows) -> Found:
    boxes = np.array([row[:4] for row in rows], float).reshape(-1, 4)
    return Found(boxes, np.array([row[4] for row in rows], float), np.array([row[5] for row in rows], np.int64))


def by_hand(a: Found, b: Found) -> float:
    """The best of all pairings, tried one by one: greedy pairs are the best ones where boxes are apart."""
    best = 0.0
    for order in itertools.permutations(range(len(b.scores)), min(len(a.scores), len(b.scores))):
        total = 0.0
        for i, j in enumerate(order):
            if a.classes[i] == b.classes[j]:
                overlap = float(iou_matrix(a.boxes[i : i + 1], b.boxes[j : j + 1])[0, 0])
                total += overlap * min(a.scores[i], b.scores[j]) ** 2
        best = max(best, total)
    return best


def test_pairs_against_all_pairings():
    a = found((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.5, 1), (40, 0, 50, 10, 0.3, 0))
    b = found((41, 0, 51, 10, 0.6, 0), (1, 0, 11, 10, 0.7, 0), (20, 0, 30, 10, 0.5, 0), (0, 2, 10, 12, 0.2, 0))
    assert shared_boxes(a, b) == pytest.approx(by_hand(a, b))
    assert shared_boxes(b, a) == pytest.approx(shared_boxes(a, b))


def test_known_values():
    one = found((0, 0, 10, 10, 0.8, 0))
    assert box_divergence([one], [one]) == 0.0
    assert box_divergence([one], [found((0, 0, 10, 10, 0.8, 1))]) == 1.0
    assert box_divergence([one], [found()]) == 1.0
    assert box_divergence([found()], [found()]) == 0.0
    half = box_divergence([one], [found((0, 0, 10, 5, 0.8, 0))])  # IoU 0.5
    assert half == pytest.approx(0.5)
    faded = box_divergence([one], [found((0, 0, 10, 10, 0.4, 0))])
    assert faded == pytest.approx(1 - 2 * 0.16 / (0.64 + 0.16))


def test_equal_answers_are_equal_whatever_overlaps_and_ties():
    answers, _ = scene(0, levels=2)
    assert box_divergence(answers, answers) == pytest.approx(0.0, abs=1e-12)
