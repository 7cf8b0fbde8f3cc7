"""Noise as this machine makes it: one fixed piece of work, timed over and over. ``bench_decisions`` judges rules by it.

    python -m benchmarks.bench_noise benchmarks/results/bench-noise.npz --seconds 480

Every call does the same, so whatever differs between two calls is the machine's. A rule that calls two stretches of it different
is wrong, and a slowdown of known size is made by multiplying one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.latency import switch_counter
from edgevision.machine import describe_machine, package_versions


@dataclass(frozen=True, eq=False)
class Noise:
    """``ns`` int64 [n]: how long each call took, one directly after the other, to the microsecond. ``switched`` bool [n]: whether it
    was taken off its core meanwhile. ``about``: where and when, as plain values."""

    ns: npt.NDArray[np.int64]
    switched: npt.NDArray[np.bool_]
    about: dict[str, Any]


def record_noise(seconds: float, seed: int = 0) -> Noise:
    """Time the same work for ``seconds``: a product of matrices within the cache, and a pass over half a megabyte: about 0.1 ms."""
    rng = np.random.default_rng(seed)
    left, right, product = (rng.random((96, 96), dtype=np.float32) for _ in range(3))
    plane, sums = rng.random((64, 2048), dtype=np.float32), np.zeros(64, np.float32)
    switches = switch_counter() or (lambda: 0)
    ns: list[int] = []
    switched: list[bool] = []
    load, stat = os.getloadavg(), _processor_ticks()
    began = datetime.now(timezone.utc).isoformat(timespec="seconds")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = switches()
        start = time.perf_counter_ns()
        np.matmul(left, right, out=product)
        np.add.reduce(plane, axis=1, out=sums)
        stop = time.perf_counter_ns()
        ns.append(stop - start)
        switched.append(switches() != before)
    ticks = [after - before for after, before in zip(_processor_ticks(), stat, strict=True)]
    about = {
        "began": began,
        "seconds": seconds,
        "calls": len(ns),
        "median_ms": float(np.median(ns)) / 1e6,
        "kept_their_core": 1 - float(np.mean(switched)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "load_before": load,
        "load_after": os.getloadavg(),
        "idle_share": ticks[3] / max(1, sum(ticks)),
        "steal_share": ticks[7] / max(1, sum(ticks)),
        "machine": describe_machine().cpu,
        "cores": describe_machine().cores,
        "versions": package_versions(["numpy"]),
    }
    return Noise(np.array(ns, np.int64), np.array(switched, bool), about)


def save(noise: Noise, path: Path) -> None:
    """As ``.npz``, in microseconds."""
    micros = np.round(noise.ns / 1000).astype(np.int32)
    about = np.frombuffer(json.dumps(noise.about).encode(), np.uint8)
    np.savez_compressed(path, micros=micros, switched=np.packbits(noise.switched), about=about)


def load(path: Path) -> Noise:
    """What ``save`` wrote."""
    with np.load(path, allow_pickle=False) as file:
        ns = file["micros"].astype(np.int64) * 1000
        switched = np.unpackbits(file["switched"], count=len(ns)).astype(bool)
        return Noise(ns, switched, json.loads(file["about"].tobytes()))


def synthetic(n: int, seed: int) -> Noise:
    """Noise by formula: log-normal calls around 1 ms, a slow wander of some percent, disturbed seconds, and one straggler in 200.

    Wander: autoregressive of order 1 with a memory of 2,000 calls and 3 % of standard deviation. Disturbed: stretches of 500 calls on
    average, 15 % slower, a tenth of the time. Stragglers: Pareto with exponent 1.5, from 1.5 times as long.
    """
    rng = np.random.default_rng(seed)
    log = rng.normal(0, 0.03, n)
    log += 0.03 * _wander(n, 2000, rng)
    log += 0.15 * _stretches(n, 500, 0.1, rng)
    straggler = rng.random(n) < 0.005
    log[straggler] += np.log(1.5 * (1 + rng.pareto(1.5, int(straggler.sum()))))
    return Noise(
        (1e6 * np.exp(log)).astype(np.int64),
        straggler,
        {"synthetic": (synthetic.__doc__ or "").split("\n")[0], "seed": seed},
    )


def _wander(n: int, memory: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Autoregressive, unit variance: steps are held for ``memory`` / 20 calls, which is as good as smooth."""
    hold = max(1, memory // 20)
    keep = np.exp(-hold / memory)
    value, values = rng.normal(), []
    for _ in range(n // hold + 1):
        values.append(value)
        value = keep * value + np.sqrt(1 - keep**2) * rng.normal()
    return np.repeat(values, hold)[:n]


def _stretches(n: int, length: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """True in stretches of ``length`` on average, ``share`` of the time."""
    inside = np.zeros(n, bool)
    at = 0
    while at < n:
        at += int(rng.exponential(length * (1 - share) / share)) + 1
        stop = at + int(rng.exponential(length)) + 1
        inside[at:stop] = True
        at = stop
    return inside


def _processor_ticks() -> list[int]:
    """The eight counters of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return [0] * 8
    return [int(word) for word in first.split()[1:9]]


def main() -> None:
    """Record, and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=480)
    arguments = parser.parse_args()
    noise = record_noise(arguments.seconds)
    save(noise, arguments.out)
    print(json.dumps(noise.about, indent=1))


if __name__ == "__main__":
    main()
