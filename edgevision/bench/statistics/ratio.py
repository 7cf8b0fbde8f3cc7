"""How many times as much one target takes as another: one ratio for each round that both were measured in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgevision.bench.scenarios.base import Block
from edgevision.errors import InputError
from edgevision.latency import Ratio

# One number > 0 of a block, such as its median latency or its frames per second.
Statistic = Callable[[Block], float]


def median_latency(block: Block) -> float:
    """Nanoseconds: half the requests of the block were answered within it."""
    return float(np.median(block.latency_ns))


def throughput(block: Block) -> float:
    """Requests per second over the whole block."""
    return len(block.latency_ns) / (block.wall_ns / 1e9)


def log_ratios(
    blocks_a: Sequence[Block], blocks_b: Sequence[Block], statistic: Statistic = median_latency
) -> list[float]:
    """ln(a / b) of the statistic, for each round that has a block of both, in the order of the rounds. ``decision.decide`` takes them.

    Blocks without a sample are left out. Several blocks of one round count by the geometric mean of theirs.
    """
    a, b = _by_round(blocks_a, statistic), _by_round(blocks_b, statistic)
    return [a[number] - b[number] for number in sorted(a.keys() & b.keys())]


def paired_ratio_of(
    blocks_a: Sequence[Block],
    blocks_b: Sequence[Block],
    statistic: Statistic = median_latency,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Ratio:
    """``statistic`` of ``a`` over that of ``b``: the median of the ratios of rounds, with its percentile bootstrap over rounds.

    It is what ``latency.paired_ratio`` is for single calls. ``n``: rounds that both were measured in. With fewer than 6 of them the interval
    is all that was seen, from the least to the greatest: it then holds the truth with a chance of 1 - 2 / 2ⁿ at most.
    This interval is for one look: who looks again and again until the answer is there uses ``decision.decide``.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(f"expected 0 < confidence < 1 and resamples ≥ 1, got {confidence} and {resamples}")
    logs = np.array(log_ratios(blocks_a, blocks_b, statistic))
    n = len(logs)
    if not n:
        raise InputError("expected two targets with at least one round in common, got none; measure both in one run")
    if n < 6:
        low, high = float(logs.min()), float(logs.max())
    else:
        medians = np.median(logs[np.random.default_rng(seed).integers(0, n, (resamples, n))], axis=1)
        low, high = (float(limit) for limit in np.quantile(medians, [0.5 - confidence / 2, 0.5 + confidence / 2]))
    return Ratio(math.exp(float(np.median(logs))), math.exp(low), math.exp(high), confidence, n)


def _by_round(blocks: Sequence[Block], statistic: Statistic) -> dict[int, float]:
    logs: dict[int, list[float]] = {}
    for block in blocks:
        if not len(block.latency_ns):
            continue
        value = statistic(block)
        if not 0 < value < math.inf:
            raise InputError(
                f"expected a figure > 0 of each block, got {value} in round {block.round} of {block.target}"
            )
        logs.setdefault(block.round, []).append(math.log(value))
    return {number: sum(values) / len(values) for number, values in logs.items()}
