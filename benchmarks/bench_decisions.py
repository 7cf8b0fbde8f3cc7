"""How often rules that tell two targets apart are right: ours, and those of other tools, on the same noise.

    python -m benchmarks.bench_noise benchmarks/results/bench-noise.npz
    python -m benchmarks.bench_decisions --noise benchmarks/results/bench-noise.npz

Each run is a stretch of noise of one and the same work. It is cut into rounds of two blocks; a toss says which of them is target ``a``, and
``a`` is made slower by multiplying its calls. So the truth is known: 0 % and 5 %. Ours stops as soon as it is decided. The others are
given the same stretch, one target after the other, and say what their figures differ by; "found" and "called different" are differences
over the same 2 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import bench_noise
from benchmarks.bench_noise import Noise
from benchmarks.common import write_result
from edgevision.bench.statistics.decision import LEAST_DIFFERENCE, Decision, decide, plan_looks
from edgevision.bench.statistics.percentiles import Bound, bounded, bounded_by_blocks

SLOWDOWNS = (0.0, 0.05)
NAIVE_CALLS = 30

Values = npt.NDArray[np.float64]


def mean_of(calls: Values) -> float:
    """What a loop around the call prints: the mean of the first 30."""
    return float(calls[:NAIVE_CALLS].mean())


def clipped_mean(calls: Values) -> float:
    """As ultralytics' ``ProfileModels`` sums up: the mean of what is within two standard deviations, three times over."""
    for _ in range(3):
        kept = calls[np.abs(calls - calls.mean()) < 2 * calls.std()]
        if len(kept) in (0, len(calls)):
            break
        calls = kept
    return float(calls.mean())


def plain_mean(calls: Values) -> float:
    """As ultralytics' ``benchmark`` sums up: the mean of all."""
    return float(calls.mean())


def median_of(calls: Values) -> float:
    """As OpenVINO's ``benchmark_app`` sums up: the median of all."""
    return float(np.median(calls))


OTHERS: dict[str, Callable[[Values], float]] = {
    f"naive loop (mean of {NAIVE_CALLS} calls)": mean_of,
    "ultralytics benchmark (mean)": plain_mean,
    "ultralytics ProfileModels (mean after 2-sigma clipping)": clipped_mean,
    "OpenVINO benchmark_app (median)": median_of,
}


def stretches(noise: Noise, runs: int, calls_per_run: int) -> npt.NDArray[np.float64]:
    """``runs`` stretches [runs, calls], evenly over the noise. They overlap where it is short."""
    last = len(noise.ns) - calls_per_run
    if last < 0:
        raise SystemExit(f"the noise has {len(noise.ns)} calls, a run takes {calls_per_run}; record for longer")
    starts = np.linspace(0, last, runs).astype(np.int64)
    return np.stack([noise.ns[start : start + calls_per_run] for start in starts]).astype(np.float64)


def rounds_of(stretch: Values, calls: int, slowdown: float, rng: np.random.Generator) -> tuple[Values, Values]:
    """Blocks [rounds, calls] of ``a``, which is slower, and of ``b``, in an order drawn for each round."""
    blocks = stretch.reshape(-1, 2, calls)
    first = rng.integers(0, 2, len(blocks))
    index = np.arange(len(blocks))
    return blocks[index, first] * (1 + slowdown), blocks[index, 1 - first]


def ours(a: Values, b: Values) -> Decision:
    """Ask after every round, stop when decided; the last round is the end of the budget."""
    logs = np.log(np.median(a, axis=1) / np.median(b, axis=1)).tolist()
    plan = plan_looks(len(logs))
    for look in plan.looks:  # between looks, the answer does not change
        decision = decide(logs[:look], plan=plan, final=look == len(logs))
        if decision.decided:
            break
    return decision


def other(rule: Callable[[Values], float], stretch: Values, slowdown: float, rng: np.random.Generator) -> float:
    """The ratio of one target's figure to the other's, one measured after the other; which is first is drawn."""
    halves = list(stretch.reshape(2, -1))
    if rng.integers(0, 2):
        halves.reverse()
    return rule(halves[0] * (1 + slowdown)) / rule(halves[1])


def judge(noise: Noise, runs: int, rounds: int, calls: int, seed: int) -> dict[str, Any]:
    """Shares of ``runs``, by rule: 5 % found, 0 % called different, and how far apart two runs of the same are."""
    cut = stretches(noise, runs, rounds * 2 * calls)
    half = runs // 2  # run r is compared with run r + half: another stretch of time
    decisions: dict[float, list[Decision]] = {}
    told: dict[str, dict[float, list[float]]] = {name: {} for name in OTHERS}
    for slowdown in SLOWDOWNS:
        rng = np.random.default_rng([seed, round(1000 * slowdown)])
        decisions[slowdown] = [ours(*rounds_of(stretch, calls, slowdown, rng)) for stretch in cut]
        for name, rule in OTHERS.items():
            told[name][slowdown] = [other(rule, stretch, slowdown, rng) for stretch in cut]
    overlap = [_overlap(one.low, one.high, two.low, two.high) for one, two in _pairs(decisions[0.05], half)]
    return {
        "runs": runs,
        "rounds_at_most": rounds,
        "calls_in_a_block": calls,
        "independent_stretches": min(runs, len(noise.ns) // (rounds * 2 * calls)),
        "ours": {
            "found_5_percent": _share(one.verdict == "higher" for one in decisions[0.05]),
            "called_5_percent_equal": _share(one.verdict == "equal" for one in decisions[0.05]),
            "called_0_percent_different": _share(one.verdict in ("lower", "higher") for one in decisions[0.0]),
            "called_0_percent_equal": _share(one.verdict == "equal" for one in decisions[0.0]),
            "interval_holds_the_truth": _share(one.low <= 1.05 <= one.high for one in decisions[0.05]),
            "two_runs_overlap": _share(overlap),
            "median_rounds_5_percent": float(np.median([one.rounds for one in decisions[0.05]])),
            "median_rounds_0_percent": float(np.median([one.rounds for one in decisions[0.0]])),
        },
        "others": {name: _told(values, half) for name, values in told.items()},
        "bounds_of_one_target": _bounds(cut[:: max(1, runs // 60)], calls),
    }


def _told(values: dict[float, list[float]], half: int) -> dict[str, float]:
    between = [abs(one - two) for one, two in _pairs(values[0.0], half)]
    return {
        "found_5_percent": _share(ratio > 1 + LEAST_DIFFERENCE for ratio in values[0.05]),
        "called_0_percent_different": _share(
            abs(math.log(ratio)) > math.log1p(LEAST_DIFFERENCE) for ratio in values[0.0]
        ),
        "two_runs_within_2_percent": _share(difference <= LEAST_DIFFERENCE for difference in between),
        "two_runs_differ_median": float(np.median(between)),
    }


def _bounds(cut: Values, calls: int) -> dict[str, float]:
    """Of some of the runs: share of pairs of runs whose bounds of a percentile overlap: samples as the unit, and blocks."""
    found: dict[str, float] = {}
    half = len(cut) // 2
    for p in (0.5, 0.9):
        by_samples = [bounded(stretch, p) for stretch in cut]
        by_blocks = [bounded_by_blocks(list(stretch.reshape(-1, calls)), p, resamples=200) for stretch in cut]
        for name, bounds in (("samples", by_samples), ("blocks", by_blocks)):
            found[f"p{100 * p:.0f} by {name}"] = _share(_bounds_overlap(one, two) for one, two in _pairs(bounds, half))
    return found


def _bounds_overlap(one: Bound, two: Bound) -> bool:
    ends = (one.low, one.high, two.low, two.high)
    return None in ends or _overlap(*(end or 0.0 for end in ends))


def _overlap(low_a: float, high_a: float, low_b: float, high_b: float) -> bool:
    return low_a <= high_b and low_b <= high_a


def _pairs(values: list[Any], half: int) -> list[tuple[Any, Any]]:
    return list(zip(values[:half], values[half : 2 * half], strict=True))


def _share(truths: Any) -> float:
    return float(np.mean([bool(truth) for truth in truths]))


def main() -> None:
    """Judge all rules on recorded and on made-up noise, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--noise", type=Path, action="append", default=[], help="of bench_noise; may be given more than once"
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--calls", type=int, nargs="+", default=[20, 100], help="in a block; all are tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="bench-decisions", help="name of the file in results/")
    arguments = parser.parse_args()
    noises = {path.stem: bench_noise.load(path) for path in arguments.noise}
    amount = arguments.runs * arguments.rounds * 2 * max(arguments.calls)
    noises["synthetic"] = bench_noise.synthetic(amount, arguments.seed)
    result: dict[str, Any] = {}
    for name, noise in noises.items():
        result[name] = {"noise": noise.about}
        for calls in arguments.calls:
            judged = judge(noise, arguments.runs, arguments.rounds, calls, arguments.seed)
            result[name][f"blocks of {calls}"] = judged
            print(
                name,
                calls,
                judged["ours"],
                *judged["others"].items(),
                judged["bounds_of_one_target"],
                sep="\n  ",
                flush=True,
            )
    write_result(arguments.out, result)


if __name__ == "__main__":
    main()
