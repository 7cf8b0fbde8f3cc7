"""Our scenarios beside those of MLPerf's load generator, on the same target in the same process.

    pip install --target runs/mlcommons mlcommons-loadgen
    PYTHONPATH=runs/mlcommons python -m benchmarks.bench_loadgen

The target sleeps 2 ms and up to 1 ms more, by chance. Both ask it in turns: SingleStream, MultiStream with 8 samples, Server at 150 requests
a second, Offline. LoadGen tells percentiles of each of its runs, ours come with bounds: they agree where the middle half of its runs
overlaps our bounds (``agrees``: that, and nothing else). LoadGen's Server has a queue and a thread of the target's own, as its interface
asks for.

The hand-off is what an asker's clock counts and the target's does not. LoadGen's goes from C++ through a callback into Python and back through
``QuerySamplesComplete``. It is measured in the same runs, by the target's own clock; of Server, where that would count waiting for the request before as
well, by a target that does nothing, which both ask in the same turns at the same rate. Where figures do not agree, but would with the difference of the
hand-offs added to ours, the verdict is "differs by the hand-off" (``verdict_of``): then the target itself took as long for both. What the target that does nothing says stands beside each
figure: asked again and again without a pause, it finds all caches warm, and its hand-off is the least that there is.
"""

from __future__ import annotations

import queue
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.bench_null import Null
from benchmarks.common import write_result
from edgevision.bench.record import Figure
from edgevision.bench.scenarios.asking import run_scenario
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.figures import figures_of
from edgevision.bench.targets.base import Answer, Identity

TURNS = 12
SECONDS = 1.0
NULL_SECONDS = 0.25
RATE = 150.0
SAMPLES = 8
SCENARIOS: dict[str, dict[str, Any]] = {
    "single-stream": {},
    "multi-stream": {"samples": SAMPLES, "batch": SAMPLES},
    "server": {"rate": RATE, "batch": 1, "workers": 1},
    "offline": {"batch": SAMPLES},
}

OURS, LOADGEN = "ours", "loadgen"
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Sleeper:
    """Sleeps 2 to 3 ms for each request, however many frames it has. ``took_ns``: by its own clock."""

    identity = Identity("python", "", "", 0, "", "", "none", "python", 1, ())
    parallel = False

    def __init__(self) -> None:
        self._random = random.Random(0)
        self.took_ns: list[int] = []

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        """See ``targets.base.Target``."""
        began = time.perf_counter_ns()
        time.sleep(0.002 + 0.001 * self._random.random())
        self.took_ns.append(time.perf_counter_ns() - began)
        return frames

    def read(self, result: Any) -> Answer:
        """Always the same."""
        return Answer(np.zeros(1, np.int64), np.ones(1))

    def close(self) -> None:
        """Nothing to do."""


class LoadGen:
    """The package, whose percentiles are in the summary that it writes. ``expected_ns``: about what a request takes the target."""

    def __init__(self, target: Sleeper | Null, frames: Sequence[Any], seconds: float, expected_ns: int) -> None:
        try:
            import mlperf_loadgen  # type: ignore[import-not-found]
        except ImportError:
            raise SystemExit(
                "this needs mlcommons-loadgen (x86-64, Python up to 3.13): pip install mlcommons-loadgen"
            ) from None
        self._package: Any = mlperf_loadgen
        self._target = target
        self._frames = frames
        self._seconds = seconds
        self._expected_ns = expected_ns

    def run(self, name: str, seed: int) -> dict[str, float]:
        """Figures of one run by our names: milliseconds, and frames a second."""
        package = self._package
        settings = package.TestSettings()
        settings.mode = package.TestMode.PerformanceOnly
        settings.scenario = {
            "single-stream": package.TestScenario.SingleStream, "multi-stream": package.TestScenario.MultiStream,
            "server": package.TestScenario.Server, "offline": package.TestScenario.Offline,
        }[name]  # fmt: skip
        settings.min_duration_ms = round(self._seconds * 1000)
        settings.max_duration_ms = round(self._seconds * 2000)
        settings.min_query_count = 1
        settings.single_stream_expected_latency_ns = self._expected_ns
        settings.multi_stream_expected_latency_ns = self._expected_ns
        settings.multi_stream_samples_per_query = SAMPLES
        settings.server_target_qps = RATE
        settings.server_target_latency_ns = 10**9
        settings.offline_expected_qps = SAMPLES * 1e9 / self._expected_ns
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


@dataclass(frozen=True)
class Turn:
    """What one asker found in one turn, by the figure's name, milliseconds; of throughput, the time of a batch. ``own_ms``: by the target's own clock."""

    asked_ms: Mapping[str, float]
    own_ms: Mapping[str, float]

    def around_ms(self, name: str) -> float:
        """What was counted besides the target's own time."""
        return self.asked_ms[name] - self.own_ms.get(name, 0.0)


class Asked:
    """One target, asked by both: our blocks, and the turns of either, by scenario."""

    def __init__(self, target: Sleeper | Null, seconds: float, expected_ns: int) -> None:
        frames = [np.full((64, 64, 3), value, np.uint8) for value in range(16)]
        self._target = target
        self._workload = SimpleNamespace(frames=frames)
        self._seconds = seconds
        self._loadgen = LoadGen(target, frames, seconds, expected_ns)
        self._blocks: dict[str, list[Block]] = {name: [] for name in SCENARIOS}
        self._theirs: dict[str, list[dict[str, float]]] = {name: [] for name in SCENARIOS}
        self.turns: dict[tuple[str, str], list[Turn]] = {}

    def turn(self, name: str, turn: int) -> None:
        """Both ask once, in an order by chance."""
        askers = [self._ask_by_us, self._ask_by_loadgen]
        random.Random(f"{name} {turn}").shuffle(askers)
        for ask in askers:
            ask(name, turn)

    def _ask_by_us(self, name: str, turn: int) -> None:
        scenario = Scenario(name, {"seconds": self._seconds, **SCENARIOS[name]}, turn)
        block = run_scenario(scenario, self._target, self._workload, turn, "target")
        self._blocks[name].append(block)
        found = {key: float(np.quantile(block.latency_ns, p)) / 1e6 for key, p in PERCENTILES.items()}
        self._keep(OURS, name, {**found, "throughput": block.wall_ns / len(block.latency_ns) / 1e6})

    def _ask_by_loadgen(self, name: str, turn: int) -> None:
        found = self._loadgen.run(name, turn)
        self._theirs[name].append(found)
        self._keep(LOADGEN, name, {key: as_ms(key, [value])[0] for key, value in found.items()})

    def _keep(self, asker: str, name: str, asked_ms: Mapping[str, float]) -> None:
        own: dict[str, float] = {}
        if isinstance(self._target, Sleeper):
            took_ns = self._target.took_ns
            own = {key: float(np.quantile(took_ns, p)) / 1e6 for key, p in PERCENTILES.items()}
            own["throughput"] = float(np.mean(took_ns)) / 1e6
            took_ns.clear()
        self.turns.setdefault((asker, name), []).append(Turn(asked_ms, own))

    def figures(self, name: str) -> dict[str, tuple[Figure, list[float]]]:
        """Ours, and the same of LoadGen's runs, sorted; by the figure's name."""
        found = {}
        for figure in figures_of(Scenario(name, SCENARIOS[name]), self._blocks[name]):
            theirs = sorted(one[figure.name] for one in self._theirs[name] if figure.name in one)
            if theirs:
                found[figure.name] = figure, theirs
        return found


@dataclass(frozen=True)
class Range:
    """``low`` … ``high``, milliseconds."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        """All differences that may be."""
        return Range(self.low - other.high, self.high - other.low)

    def overlaps(self, other: Range) -> bool:
        """Whether they have a point in common."""
        return self.low <= other.high and other.low <= self.high


AGREE, DIFFERS = "agree", "differs"


def verdict_of(ours: Range, theirs: Range, value_ms: float, median_ms: float, hand_off: Range) -> str:
    """Whether a figure of ours and of LoadGen's agree, and if not, whether the hand-off is why.

    ``ours``: our bounds; ``theirs``: the middle half of LoadGen's runs; ``value_ms``, ``median_ms``: the figures themselves; ``hand_off``: LoadGen's
    less ours. It is why where it has the direction of the difference, where our bounds with it added overlap LoadGen's runs, and where it is known to
    less than the difference itself: a hand-off of anything between nothing and a lot would explain every difference.
    """
    if ours.overlaps(theirs):
        return AGREE
    difference = median_ms - value_ms
    directed = hand_off.low > 0 if difference > 0 else hand_off.high < 0
    known = hand_off.high - hand_off.low <= abs(difference)
    if directed and known and (ours + hand_off).overlaps(theirs):
        return f"differs by the hand-off ({hand_off.low:.3f}…{hand_off.high:.3f} ms)"
    return DIFFERS


def as_ms(name: str, values: Sequence[float]) -> list[float]:
    """Latencies as they are; frames a second as milliseconds of a batch, sorted again."""
    return sorted(SAMPLES * 1e3 / value for value in values) if name == "throughput" else list(values)


def middle_half(values: Sequence[float]) -> Range:
    """The first and third quartile."""
    first, third = (float(one) for one in np.quantile(values, [0.25, 0.75]))
    return Range(first, third)


def hand_off_of(turns: Mapping[tuple[str, str], Sequence[Turn]], scenario: str, names: Sequence[str]) -> Range:
    """LoadGen's hand-off less ours: of either the middle half of its turns, over all figures of ``names``."""

    def of(asker: str) -> Range:
        found = [middle_half([turn.around_ms(name) for turn in turns[asker, scenario]]) for name in names]
        return Range(min(one.low for one in found), max(one.high for one in found))

    return of(LOADGEN) - of(OURS)


def names_of_null(name: str) -> tuple[str, ...]:
    """Which percentiles of a target that does nothing say what the hand-off adds to the figure ``name``.

    A percentile of a sum lies about between that of one plus the median of the other, and the sum of both percentiles: so the hand-off of p90
    reaches from its own median to its own p90.
    """
    return ("p50", name) if name in ("p90", "p99") else (name,)


def main() -> None:
    sleeper, null = Asked(Sleeper(), SECONDS, 2_500_000), Asked(Null(), NULL_SECONDS, 20_000)
    for turn in range(TURNS):
        order = [(asked, name) for asked in (sleeper, null) for name in SCENARIOS]
        random.Random(turn).shuffle(order)
        for asked, name in order:
            asked.turn(name, turn)
    rows = [
        row_of(name, figure, values, sleeper.turns, null.turns)
        for name in SCENARIOS
        for figure, values in sleeper.figures(name).values()
    ]
    for row in rows:
        print(row_text(row))
    verdicts = [str(row["verdict"]).partition(" (")[0] for row in rows]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    print(f"of {len(rows)} figures:", ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    write_result(
        "bench-loadgen",
        {
            "turns": TURNS,
            "seconds": SECONDS,
            "null_seconds": NULL_SECONDS,
            "rate": RATE,
            "samples": SAMPLES,
            "agree": sum(bool(row["agrees"]) for row in rows),
            "of": len(rows),
            "verdicts": counts,
            "figures": rows,
        },
    )


def row_of(
    scenario: str, figure: Figure, values: list[float], turns: Mapping[tuple[str, str], Sequence[Turn]],
    null: Mapping[tuple[str, str], Sequence[Turn]],
) -> dict[str, Any]:  # fmt: skip
    """``values``: of LoadGen's runs, sorted. ``turns``: of the target; ``null``: of the one that does nothing."""
    name = figure.name
    bounds, middle = _bounds(figure), middle_half(values)
    (value_ms,) = as_ms(name, [figure.value])
    theirs_ms = as_ms(name, values)
    median_ms = float(np.median(theirs_ms))
    by_null = hand_off_of(null, scenario, names_of_null(name))
    hand_off = by_null if scenario == "server" else hand_off_of(turns, scenario, (name,))
    own = {asker: float(np.median([turn.own_ms[name] for turn in turns[asker, scenario]])) for asker in (OURS, LOADGEN)}
    median = float(np.median(values))
    return {
        "scenario": scenario, "figure": name, "ours": figure.value, "low": figure.low, "high": figure.high, "loadgen": median,
        "loadgen_middle": [middle.low, middle.high], "loadgen_runs": values, "ratio": figure.value / median,
        "agrees": bounds.overlaps(middle), "difference_ms": median_ms - value_ms, "own_ms": own,
        "hand_off_ms": asdict(hand_off), "hand_off_of_null_ms": asdict(by_null),
        "verdict": verdict_of(_bounds_ms(figure), middle_half(theirs_ms), value_ms, median_ms, hand_off),
    }  # fmt: skip


def row_text(row: Mapping[str, Any]) -> str:
    """A row as a line."""
    low, high = (row["ours"] if row[end] is None else row[end] for end in ("low", "high"))
    first, third = row["loadgen_middle"]
    hand_off, null = ("{low:.3f}…{high:.3f}".format(**row[key]) for key in ("hand_off_ms", "hand_off_of_null_ms"))
    return (
        f"{row['scenario']:14} {row['figure']:10} ours {row['ours']:.4g} ({low:.4g}…{high:.4g})  LoadGen {row['loadgen']:.4g} "
        f"({first:.4g}…{third:.4g})  {row['difference_ms']:+.3f} ms; target itself {row['own_ms'][OURS]:.3f} and "
        f"{row['own_ms'][LOADGEN]:.3f}; hand-off {hand_off}, of nothing {null}: {row['verdict']}"
    )


def _bounds(figure: Figure) -> Range:
    """Where there are too few samples for a bound, the figure itself."""
    low = figure.value if figure.low is None else figure.low
    return Range(low, figure.value if figure.high is None else figure.high)


def _bounds_ms(figure: Figure) -> Range:
    bounds = _bounds(figure)
    low, high = as_ms(figure.name, [bounds.low, bounds.high])
    return Range(low, high)


if __name__ == "__main__":
    main()
