"""What of the streaming benchmarks can be computed by hand."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from benchmarks.stream_peers import most_cameras
from benchmarks.stream_stock import LEAD_S, compare, counted, faults
from benchmarks.streamed_by import measure
from edgevision.streams.camsim.stamps import Stamp, band, band_height
from edgevision.streams.inventory.stock import StockRow


@pytest.mark.parametrize("most", [*range(10), 15, 16, 17, 31, 32])
def test_the_most_cameras_are_found_with_few_tries(most):
    tried = []

    def fits(cameras: int) -> bool:
        tried.append(cameras)
        return cameras <= most

    assert most_cameras(fits, 32) == most
    assert len(tried) == len(set(tried)) <= 12
    assert max(tried) <= 32


def picture(number: int, age_s: float) -> np.ndarray:
    luma = np.zeros((192, 320), np.uint8)
    stamped = band(Stamp(number, time.time_ns() - round(age_s * 1e9)), 320, 192)
    luma[: band_height(192)] = np.frombuffer(stamped, np.uint8).reshape(-1, 320)
    return luma


def test_what_was_served_is_read_from_the_pictures():
    """Camera 0 gives each picture twice, camera 1 pictures of half a second before, and one that cannot be read."""

    def results():
        for number in range(10_000):
            yield 0, picture(number // 2, 0.1)
            yield 1, picture(number, 0.5) if number != 3 else np.zeros((192, 320), np.uint8)

    found = measure(results(), cameras=2, seconds=0.3, begun=lambda: None)
    assert found["unread"] == 1
    assert found["fps"][1] == pytest.approx(2 * found["fps"][0], rel=0.3)
    assert found["again"] > 0
    assert 100 <= found["p50_age_ms"] < 2000
    assert found["p99_age_ms"] >= 500


def test_a_stock_is_held_against_the_truth_product_by_product():
    truth = Counter(cola=2, water=1)
    rows = [
        StockRow("belt", "line", "cola", 2, 0, 0.0),
        StockRow("belt", "line", "water", 2, 1, 0.0),
        StockRow("belt", "line", "tea", 1, 1, 0.0),
    ]
    right = compare(truth, counted(rows))
    assert right == {"exact": True, "exact_total": True, "total": 3, "products_wrong": 0, "wrong": {}}
    swapped = compare(truth, Counter(cola=1, tea=2))
    assert (swapped["exact"], swapped["exact_total"]) == (False, True)
    assert swapped["wrong"] == {"cola": -1, "tea": 2, "water": -1}


@pytest.mark.parametrize("seed", range(20))
def test_faults_are_over_while_the_belt_runs_and_do_not_meet(seed):
    chaos = sorted(faults(seed, 20.0), key=lambda one: one.at_s)
    assert sorted(one.kind.value for one in chaos) == ["reset", "slow", "stall"]
    assert chaos[0].at_s >= LEAD_S
    assert chaos[-1].at_s + chaos[-1].lasts_s <= LEAD_S + 15.0
    assert all(one.at_s + one.lasts_s <= after.at_s for one, after in itertools.pairwise(chaos))
    assert chaos == sorted(faults(seed, 20.0), key=lambda one: one.at_s)
