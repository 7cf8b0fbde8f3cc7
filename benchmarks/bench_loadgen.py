"""Our scenarios beside those of MLPerf's load generator, on the same target in the same process.

    pip install --target runs/mlcommons mlcommons-loadgen
    PYTHONPATH=runs/mlcommons python -m benchmarks.bench_loadgen

The target sleeps 2 ms and up to 1 ms more, by chance. Both ask it in turns: SingleStream, MultiStream with 8 samples, Server at 150 requests
a second, Offline. LoadGen tells percentiles of each of its runs, ours come with bounds: they agree where the middle half of its runs
overlaps our bounds. LoadGen's Server has a queue and a thread of the target's own, as its interface
asks for.
"""

from __future__ import annotations

import queue
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.common import write_result
from edgevision.bench.scenarios.asking import run_scenario
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.figures import figures_of
from edgevision.bench.targets.base import Answer, Identity

TURNS = 12
SECONDS = 1.0
RATE = 150.0
SAMPLES = 8
SCENARIOS: dict[str, dict[str, Any]] = {
    "single-stream": {},
    "multi-stream": {"samples": SAMPLES, "batch": SAMPLES},
    "server": {"rate": RATE, "batch": 1, "workers": 1},
    "offline": {"batch": SAMPLES},
}


class Sleeper:
    """Sleeps 2 to 3 ms for each request, however many frames it has."""

    identity = Identity("python", "", "", 0, "", "", "none", "python", 1, ())
    parallel = False

    def __init__(self) -> None:
        self._random = random.Random(0)

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        """See ``targets.base.Target``."""
        time.sleep(0.002 + 0.001 * self._random.random())
        return frames

    def read(self, result: Any) -> Answer:
        """Always the same."""
        return Answer(np.zeros(1, np.int64), np.ones(1))

    def close(self) -> None:
        """Nothing to do."""


class LoadGen:
    """The package, whose percentiles are in the summary that it writes."""

    def __init__(self, target: Sleeper, frames: Sequence[Any]) -> None:
        try:
            import mlperf_loadgen  # type: ignore[import-not-found]
        except ImportError:
            raise SystemExit(
                "this needs mlcommons-loadgen (x86-64, Python up to 3.13): pip install mlcommons-loadgen"
            ) from None
        self._package: Any = mlperf_loadgen
        self._target = target
        self._frames = frames

    def run(self, name: str, seed: int) -> dict[str, float]:
        """Figures of one run by our names: milliseconds, and frames a second."""
        package = self._package
        settings = package.TestSettings()
        settings.mode = package.TestMode.PerformanceOnly
        settings.scenario = {
            "single-stream": package.TestScenario.SingleStream, "multi-stream": package.TestScenario.MultiStream,
            "server": package.TestScenario.Server, "offline": package.TestScenario.Offline,
        }[name]  # fmt: skip
        settings.min_duration_ms = round(SECONDS * 1000)
        settings.max_duration_ms = round(SECONDS * 2000)
        settings.min_query_count = 1
        settings.single_stream_expected_latency_ns = 2_500_000
        settings.multi_stream_expected_latency_ns = 2_500_000
        settings.multi_stream_samples_per_query = SAMPLES
        settings.server_target_qps = RATE
        settings.server_target_latency_ns = 10**9
        settings.offline_expected_qps = SAMPLES / 0.0026
        settings.schedule_rng_seed = settings.sample_index_rng_seed = settings.qsl_rng_seed = seed
        work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if name == "server":
            self._serve(work)
        stop: Callable[[], None] = lambda: None  # noqa: E731
        system = package.ConstructSUT(work.put if name == "server" else self._answer, stop)
        library = package.ConstructQSL(len(self._frames), len(self._frames), lambda _: None, lambda _: None)
        with tempfile.TemporaryDirectory() as folder:
            logs = package.LogSettings()
            logs.log_output.outdir = folder
            logs.log_output.copy_summary_to_stdout = False
            package.StartTestWithLogSettings(system, library, settings, logs)
            summary = Path(folder, "mlperf_log_summary.txt").read_text(encoding="utf-8")
        work.put(None)
        package.DestroyQSL(library)
        package.DestroySUT(system)
        return read_summary(name, summary)

    def _answer(self, samples: Any) -> None:
        """All samples of a query, ``SAMPLES`` at once."""
        for at in range(0, len(samples), SAMPLES):
            batch = samples[at : at + SAMPLES]
            self._target.answer([self._frames[sample.index] for sample in batch], None)
            self._package.QuerySamplesComplete([self._package.QuerySampleResponse(sample.id, 0, 0) for sample in batch])

    def _serve(self, work: queue.SimpleQueue[Any]) -> None:
        """A thread that answers queries in their order, until it is given None."""

        def serve() -> None:
            while (samples := work.get()) is not None:
                self._answer(samples)

        threading.Thread(target=serve, daemon=True).start()


def read_summary(name: str, text: str) -> dict[str, float]:
    """Percentiles in milliseconds and the rate, from LoadGen's summary."""
    found = {
        f"p{float(p):g}": int(ns) / 1e6
        for p, ns in re.findall(r"^(\d+\.\d+) percentile latency \(ns\)\s*:\s*(\d+)$", text, re.M)
    }
    if name == "offline":
        return {"throughput": float(re.findall(r"^Samples per second\s*:\s*([\d.e+]+)$", text, re.M)[0])}
    return {key: value for key, value in found.items() if key in ("p50", "p90", "p99")}


def main() -> None:
    frames = [np.full((64, 64, 3), value, np.uint8) for value in range(16)]
    target = Sleeper()
    workload = SimpleNamespace(frames=frames)
    loadgen = LoadGen(target, frames)
    blocks: dict[str, list[Block]] = {name: [] for name in SCENARIOS}
    theirs: dict[str, list[dict[str, float]]] = {name: [] for name in SCENARIOS}
    for turn in range(TURNS):
        order = list(SCENARIOS)
        random.Random(turn).shuffle(order)
        for name in order:
            theirs[name].append(loadgen.run(name, turn))
            scenario = Scenario(name, {"seconds": SECONDS, **SCENARIOS[name]}, turn)
            blocks[name].append(run_scenario(scenario, target, workload, turn, "sleeper"))
    rows = []
    for name, parameters in SCENARIOS.items():
        for figure in figures_of(Scenario(name, parameters), blocks[name]):
            values = sorted(one[figure.name] for one in theirs[name] if figure.name in one)
            if values:
                rows.append(_row(name, figure.name, figure.value, figure.low, figure.high, values))
    agreed = sum(bool(row["agrees"]) for row in rows)
    print(f"{agreed} of {len(rows)} figures agree")
    write_result(
        "bench-loadgen",
        {
            "turns": TURNS,
            "seconds": SECONDS,
            "rate": RATE,
            "samples": SAMPLES,
            "agree": agreed,
            "of": len(rows),
            "figures": rows,
        },
    )


def _row(
    scenario: str, name: str, value: float, low: float | None, high: float | None, values: list[float]
) -> dict[str, Any]:
    """``values``: of LoadGen's runs, sorted."""
    first, median, third = (float(one) for one in np.quantile(values, [0.25, 0.5, 0.75]))
    under, over = value if low is None else low, value if high is None else high
    print(
        f"{scenario:14} {name:10} ours {value:.4g} ({under:.4g}…{over:.4g})  LoadGen {median:.4g} ({first:.4g}…{third:.4g})"
    )
    return {
        "scenario": scenario, "figure": name, "ours": value, "low": low, "high": high, "loadgen": median, "loadgen_middle": [first, third],
        "loadgen_runs": values, "ratio": value / median, "agrees": under <= third and first <= over,
    }  # fmt: skip


if __name__ == "__main__":
    main()
