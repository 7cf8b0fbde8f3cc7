"""The least pruning that is quick enough, by measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from edgevision.compiler.progress import silent
from edgevision.compiler.prune.cut import Price
from edgevision.compiler.prune.pruner import MAX_RATIO, Pruner
from edgevision.errors import InputError
from edgevision.train.channels import channel_counts

Measure = Callable[[nn.Module], float]


@dataclass(frozen=True)
class LatencyTrial:
    """``latency_ms`` that was measured at a ratio (``reached`` = channels really gone), and whether it is enough."""

    ratio: float
    reached: float
    latency_ms: float
    meets: bool


@dataclass(frozen=True)
class RatioSearch:
    """``ratio`` to prune by, or None where even the most is not enough; all ``trials`` in the order measured."""

    ratio: float | None
    target_latency_ms: float
    trials: tuple[LatencyTrial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def search_ratio(
    pruner: Pruner,
    target_latency_ms: float,
    measure: Measure,
    *,
    importance: str | None = None,
    price: Price = "channels",
    most: float = 0.8,
    tolerance: float = 0.02,
    progress: Callable[[str, int, int], None] = silent,
) -> RatioSearch:
    """The smallest ratio at which ``measure`` gives at most ``target_latency_ms``, within ``tolerance``.

    Bisection over networks cut but not trained: latency depends on the channels alone. ``measure`` gets the network and
    returns milliseconds: a median of many runs of the variant that is to be shipped. Measuring is noisy, and fewer
    channels can be slower, so no answer is inferred from another ratio's: the ratio returned was measured twice, and
    met the target both times; where the second does not, the next larger one that met it is measured again. Ratios
    that give the same channels are measured once. 0 is tried first, then ``most``.
    """
    if not target_latency_ms > 0:
        raise InputError(f"the target latency is above 0 ms, got {target_latency_ms:g}")
    if not 0 < most <= MAX_RATIO or not 0 < tolerance < 1:
        raise InputError(f"most is within 0…{MAX_RATIO:g} and tolerance within 0…1, got {most:g} and {tolerance:g}")
    trials: list[LatencyTrial] = []
    known: dict[tuple[tuple[str, tuple[int, int]], ...], float] = {}
    importance = importance or pruner.options.importances[0]

    def attempt(ratio: float, again: bool = False) -> LatencyTrial:
        network = pruner.cut(ratio, importance, price) if ratio else pruner.network
        key = tuple(sorted(channel_counts(network).items()))
        if again or key not in known:
            progress("search the ratio", len(trials), 0)
            known[key] = max(measure(network), known.get(key, 0.0))
        reached = pruner.reached(pruner.gone(ratio, importance, price)) if ratio else 0.0
        trial = LatencyTrial(ratio, reached, known[key], known[key] <= target_latency_ms)
        trials.append(trial)
        return trial

    low, high = attempt(0.0), attempt(most) if not trials[0].meets else trials[0]
    if high.meets and not low.meets:
        while high.ratio - low.ratio > tolerance:
            middle = attempt((low.ratio + high.ratio) / 2)
            low, high = (low, middle) if middle.meets else (middle, high)
    met = sorted({trial.ratio for trial in trials if trial.meets})
    found = next((ratio for ratio in met if attempt(ratio, again=True).meets), None)
    return RatioSearch(found, target_latency_ms, tuple(trials))
