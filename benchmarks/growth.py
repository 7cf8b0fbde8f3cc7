"""How cost grows with the work: batch, image size, classes, cameras. Each point is measured by ``edgevision bench``.

    python -m benchmarks.growth                      # about 13 minutes on an idle machine
    python -m benchmarks.growth --only cameras
    python -m benchmarks.growth --quick              # few and small points: whether it works

- ``batch``: a classifier, frames given in batches of 1 to 32, all sizes in turns in one multi-stream run: milliseconds of a batch and of a frame.
- ``image``: a detector whose input has 320 to 1280 pixels a side, in turns: preparing a frame of 1920×1080, the network, reading boxes.
- ``classes``: a classifier with a head of 10 to 10,000 classes, in turns: the network, and reading its answer.
- ``cameras``: 1 to 64 cameras of 15 fps whose JPEG frames of 1280×720 are decoded, served by ``edgevision.stream``: frames served, age, processor.
  What the scenario itself takes of the processor is measured by a target that does nothing, in turns, and left out. Then the density search, which
  finds the most cameras.

An exponent is the slope of a line through the logarithms of the medians, with a bootstrap interval over rounds; where two lines that meet at a point fit
beyond doubt better, both are told (``growth_fit``). The machine ends at the first point that breaks the axis' rule; where none does, the last
exponent tells about where. Networks are small, seeded and made here (``growth_networks``); one engine, one precision. Records with all samples lie in
``runs/growth/``; the picture is ``results/growth.svg``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, RUNS, edgevision, write_result
from benchmarks.growth_fit import Estimate, Growth, Point, growth_of
from benchmarks.growth_networks import write_classifier, write_detector
from edgevision.bench.record import Record, Result
from edgevision.bench.record_file import read_record
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.scenarios.fixed_rate import SETTLE_S
from edgevision.bench.session.density import holds
from edgevision.bench.session.figures import served_by_camera, served_share
from edgevision.bench.session.options import BenchOptions
from edgevision.machine import usable_cores

RESULT = "growth"
TARGETS = "python:benchmarks.growth_targets"
SIDE = 128  # of the input of the classifiers, pixels
FPS = 15.0
FRAME_MS = 1000 / FPS
AGE_MS = BenchOptions.age_ms
SHARE = BenchOptions.share
ANY = 10  # --least-difference: a run is over when it has its rounds, for nobody asks here which target is quicker
# Other networks on purpose, or a target that answers nothing: what bench says against comparing answers is no doubt here.
_MEANT = frozenset({"output-differs", "ignores-input", "engine-bound", "decode-bound", "schedule-bound"})


@dataclass(frozen=True)
class Asked:
    """``minutes``: of a run of bench, at most; ``rounds``: at least so many."""

    threads: int
    folder: Path
    minutes: float = 3.0
    rounds: int = 20
    camera_minutes: float = 0.6
    camera_rounds: int = 5
    density_minutes: float = 1.5
    frame: tuple[int, int] = (1920, 1080)
    camera_frame: tuple[int, int] = (1280, 720)


@dataclass(frozen=True)
class Line:
    """One cost along an axis. ``growth``: None where there is no power law to fit."""

    name: str
    unit: str
    points: tuple[Point, ...]
    growth: Growth | None


@dataclass(frozen=True)
class End:
    """Where this machine ends. ``at``: the first point that breaks the ``rule``, None where none does; ``about``: beyond the points, by the
    last exponent. ``best``: the greatest that keeps it, where that was searched for, None where nothing was found in time; ``search_ended``: False
    where it may be more."""

    rule: str
    at: float | None
    about: float | None = None
    best: float | None = None
    search_ended: bool = True
    why: str = ""

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.rule}: {', '.join(filter(None, [self._point_text(), self._search_text()]))}"

    def _point_text(self) -> str:
        if self.at is not None:
            return f"ends at {self.at:g}{f' ({self.why})' if self.why else ''}"
        return (
            "not reached"
            if self.about is None
            else f"not reached, by the last exponent at about {float(f'{self.about:.2g}'):g}"
        )

    def _search_text(self) -> str:
        if self.best is None:
            return ""
        if self.search_ended:
            return f"at most {self.best:g} by the density search"
        return f"at least {self.best:g} by the density search, which did not end in time"


@dataclass(frozen=True)
class Axis:
    """What was measured along one axis. ``doubts``: codes of what bench says against a point's figures."""

    name: str
    unit: str
    lines: tuple[Line, ...]
    end: End
    doubts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--only",
        choices=tuple(AXES),
        nargs="+",
        default=tuple(AXES),
        help="the others stay as they were measured before",
    )
    p.add_argument("--quick", action="store_true", help="few and small points: whether it works")
    p.add_argument("--threads", type=int, default=1, help="of the engine; cameras have all cores (default 1)")
    arguments = p.parse_args()
    asked = Asked(arguments.threads, RUNS / RESULT)
    if arguments.quick:
        asked = quick(asked)
    axes: dict[str, Any] = {} if arguments.quick else measured_before()
    for name in arguments.only:
        axis = AXES[name](QUICK[name] if arguments.quick else POINTS[name], asked)
        axes[name] = {"measured": date.today().isoformat(), **values_of(axis)}
        print("\n".join(table_of(axis)), flush=True)
        if not arguments.quick:  # what that shows is no result
            write_result(RESULT, {"asked": asdict(asked), "axes": axes})
    from benchmarks.growth_chart import draw

    draw(axes, (asked.folder if arguments.quick else RESULTS) / f"{RESULT}.svg")


def measured_before() -> dict[str, Any]:
    """The axes that are in the results, each with the day it was ``measured``."""
    file = RESULTS / f"{RESULT}.json"
    return dict(json.loads(file.read_text())["axes"]) if file.is_file() else {}


def quick(asked: Asked) -> Asked:
    """The same with as little work as shows something."""
    return replace(
        asked, folder=asked.folder / "quick", minutes=1.0, rounds=3, camera_minutes=0.5, camera_rounds=3, density_minutes=0.4,
        frame=(320, 240), camera_frame=(160, 120),
    )  # fmt: skip


# ---- the axes ----


def batch(sizes: Sequence[int], asked: Asked) -> Axis:
    """Frames at once."""
    bundle = write_classifier(asked.folder / "classifier.edge", SIDE, 10)
    samples = max(sizes)
    targets = [f"{TARGETS}:parts@bundle={bundle},size={size}" for size in sizes]
    record = _bench(
        "batch", targets, asked, "--scenario", "multi-stream", "--samples", samples, "--batch", samples, *_size((640, 480)),
    )  # fmt: skip
    of_batch = {size: size / samples for size in sizes}
    lines = [
        _line("a batch", "ms", sizes, record, lambda block, size: of_batch[size] * _median_ms(block)),
        _line("its network", "ms", sizes, record, lambda block, size: of_batch[size] * _stage_ms(block, "infer")),
        _line("a frame", "ms", sizes, record, lambda block, size: _median_ms(block) / samples),
    ]
    return _axis("batch", "frames at once", lines, f"a batch takes more than {AGE_MS:g} ms", AGE_MS, sizes, record)


def image(sides: Sequence[int], asked: Asked) -> Axis:
    """Pixels a side."""
    targets = [write_detector(asked.folder / f"detector-{side}.edge", side) for side in sides]
    record = _bench("image", targets, asked, "--scenario", "single-stream", "--frames", 16, *_size(asked.frame))
    lines = _requests(sides, record, ("preprocess", "infer", "post"))
    rule = f"a frame takes more than {FRAME_MS:.3g} ms, a frame's time of a camera of {FPS:g} fps"
    return _axis("image", "pixels a side", lines, rule, FRAME_MS, sides, record)


def classes(counts: Sequence[int], asked: Asked) -> Axis:
    """Columns of a classifier's head."""
    targets = [write_classifier(asked.folder / f"classes-{count}.edge", SIDE, count) for count in counts]
    record = _bench("classes", targets, asked, "--scenario", "single-stream", *_size((640, 480)))
    lines = _requests(counts, record, ("infer", "post"))
    rule = f"a frame takes more than {FRAME_MS:.3g} ms, a frame's time of a camera of {FPS:g} fps"
    return _axis("classes", "classes", lines, rule, FRAME_MS, counts, record)


def cameras(counts: Sequence[int], asked: Asked) -> Axis:
    """Cameras that are decoded and served."""
    bundle = write_classifier(asked.folder / "classifier.edge", SIDE, 10)
    asked = replace(asked, threads=usable_cores(), rounds=asked.camera_rounds, minutes=asked.camera_minutes)
    frames = ("--encoded", "--frames", 16, "--fps", FPS, *_size(asked.camera_frame))
    served: dict[str, list[Point]] = {name: [] for name in CAMERA_LINES}
    doubts: dict[str, Sequence[str]] = {}
    missed: dict[int, str] = {}
    for count in counts:
        record = _bench(
            f"cameras-{count}", [bundle, f"{TARGETS}:nobody"], asked, "--scenario", "fixed-rate", "--cameras", count, *frames,
        )  # fmt: skip
        ours, nobodys = (_result(record, place) for place in range(2))
        for name, values in camera_values(ours.blocks, nobodys.blocks).items():
            served[name].append(Point(count, values))
        doubts |= _doubts([count], record)
        if why := missed_rule(ours.blocks):
            missed[count] = why
    lines = tuple(
        Line(name, unit, tuple(served[name]), growth_of(served[name], paired=False))
        for name, unit in CAMERA_LINES.items()
    )
    found = _bench(
        "density", [bundle], replace(asked, minutes=asked.density_minutes), "--scenario", "density", "--age-ms", AGE_MS, "--share", SHARE,
        "--probe-seconds", 2, *frames,
    )  # fmt: skip
    first = min(missed, default=None)
    rule = f"each camera is served {SHARE:.0%} of its frames, 99 in 100 results at most {AGE_MS:g} ms old"
    searched = _result(found, 0)
    ended = searched.status == "complete"
    best = next((figure.value for figure in searched.figures if ended or figure.value), None)
    end = End(rule, first, best=best, search_ended=ended, why="" if first is None else missed[first])
    return Axis("cameras", f"cameras of {FPS:g} fps", lines, end, doubts)


AXES: dict[str, Callable[[Sequence[int], Asked], Axis]] = {
    "batch": batch, "image": image, "classes": classes, "cameras": cameras,
}  # fmt: skip
POINTS: dict[str, Sequence[int]] = {
    "batch": (1, 2, 4, 8, 16, 32),
    "image": (320, 480, 640, 800, 960, 1280),
    "classes": (10, 30, 100, 300, 1000, 3000, 10_000),
    "cameras": (1, 2, 4, 8, 16, 32, 64),
}
QUICK: dict[str, Sequence[int]] = {"batch": (1, 4), "image": (64, 128), "classes": (10, 100), "cameras": (1, 2)}
CAMERA_LINES = {
    "served": "frames/s", "the slowest camera": "fps", "age p50": "ms", "age p99": "ms", "processor": "cores",
}  # fmt: skip


def camera_values(ours: Sequence[Block], nobodys: Sequence[Block]) -> dict[str, dict[int, float]]:
    """Of each round: what ``CAMERA_LINES`` names. ``nobodys``: blocks of a target that does nothing, whose processor time is taken off."""
    own = {block.round: _cores(block) for block in nobodys}
    values: dict[str, dict[int, float]] = {name: {} for name in CAMERA_LINES}
    for block in ours:
        fps = float(block.scenario.parameters["fps"])
        values["served"][block.round] = fps * len(block.offered) * served_share(block)
        values["the slowest camera"][block.round] = fps * min(served_by_camera(block), default=0.0)
        if len(block.latency_ns):
            values["age p50"][block.round] = _median_ms(block)
            values["age p99"][block.round] = float(np.quantile(block.latency_ns, 0.99)) / 1e6
        if block.round in own:
            values["processor"][block.round] = _cores(block) - own[block.round]
    return values


def missed_rule(blocks: Sequence[Block]) -> str:
    """Which part of the rule of density these cameras break in half of the rounds or more: "rate", "age"; "" where they keep it."""
    rate = Scenario("density", {"rule": "every-stream", "share": SHARE, "age_ms": 1e9})
    both = Scenario("density", {"rule": "every-stream", "share": SHARE, "age_ms": AGE_MS})
    for why, rule in (("rate", rate), ("age", both)):
        if 2 * sum(holds(rule, block) for block in blocks) <= len(blocks):
            return why
    return ""


def _cores(block: Block) -> float:
    """Processor time of the process over the time in which cameras gave frames."""
    return (block.counters.cpu_ns or 0) / (block.wall_ns + SETTLE_S * 1e9)


# ---- from bench to lines ----


def _bench(name: str, targets: Sequence[object], asked: Asked, *more: object) -> Record:
    record = asked.folder / f"{name}.json"
    edgevision(
        "bench", *targets, "--threads", asked.threads, "--minutes", asked.minutes, "--rounds", asked.rounds, "--least-difference", ANY,
        *more, "--force", "-o", record,
    )  # fmt: skip
    return read_record(record)


def _size(frame: tuple[int, int]) -> tuple[object, ...]:
    return ("--width", frame[0], "--height", frame[1])


def _result(record: Record, place: int) -> Result:
    """Of the target at ``place`` in the one scenario. Leaves where it was not measured."""
    entry = record.targets[place]
    for result in record.results:
        if result.target == entry.name and result.blocks:
            return result
    raise SystemExit(f"{entry.address} was not measured: {entry.unsupported or 'see the record'}")


def _line(name: str, unit: str, xs: Sequence[int], record: Record, cost: Callable[[Block, int], float]) -> Line:
    """The cost of each block of each target, in the order of ``xs``; all were measured in the same rounds."""
    points = [
        Point(x, {block.round: cost(block, x) for block in _result(record, place).blocks if len(block.latency_ns)})
        for place, x in enumerate(xs)
    ]
    return Line(name, unit, tuple(points), growth_of(points, paired=True))


def _requests(xs: Sequence[int], record: Record, stages: Sequence[str]) -> list[Line]:
    """The whole request, and its stages."""

    def of_stage(stage: str) -> Line:
        return _line(stage, "ms", xs, record, lambda block, _: _stage_ms(block, stage))

    whole = _line("a frame", "ms", xs, record, lambda block, _: _median_ms(block))
    return [whole, *map(of_stage, stages)]


def _median_ms(block: Block) -> float:
    return float(np.median(block.latency_ns)) / 1e6


def _stage_ms(block: Block, stage: str) -> float:
    return float(np.median(block.stages[stage])) / 1e6 if stage in block.stages else 0.0


def _axis(
    name: str, unit: str, lines: Sequence[Line], rule: str, limit: float, xs: Sequence[int], record: Record
) -> Axis:
    """An axis that ends where its first line passes ``limit``."""
    growth = lines[0].growth
    at = None if growth is None else growth.first_over(limit)
    about = None if growth is None or at is not None else growth.reaches_at(limit)
    return Axis(name, unit, tuple(lines), End(rule, at, about), _doubts(xs, record))


def _doubts(xs: Sequence[int], record: Record) -> dict[str, Sequence[str]]:
    """By point: what bench says against its figures."""
    found = {str(x): sorted({one.code for one in _result(record, place).doubts} - _MEANT) for place, x in enumerate(xs)}
    machine = sorted({one.code for one in record.doubts})
    return {x: [*codes, *machine] for x, codes in found.items() if codes or machine}


# ---- what is shown ----


def values_of(axis: Axis) -> dict[str, Any]:
    """JSON values."""
    lines = {
        line.name: {
            "unit": line.unit,
            "points": [{"x": point.x, "median": _middle(point), "rounds": len(point.values)} for point in line.points],
            "growth": None if line.growth is None else asdict(line.growth),
        }
        for line in axis.lines
    }
    return {
        "unit": axis.unit,
        "lines": lines,
        "end": {**asdict(axis.end), "text": axis.end.text},
        "doubts": dict(axis.doubts),
    }


def table_of(axis: Axis) -> list[str]:
    """Lines of text: points from left to right, and the exponent."""
    rows = [[axis.unit, *(f"{point.x:g}" for point in axis.lines[0].points), "exponent"]]
    for line in axis.lines:
        medians: Sequence[Estimate | None] = [None] * len(line.points) if line.growth is None else line.growth.medians
        cells = [
            f"{_middle(point):.3g}" if median is None else f"{median.value:.3g} ({median.low:.3g}…{median.high:.3g})"
            for point, median in zip(line.points, medians, strict=True)
        ]
        rows.append([f"{line.name}, {line.unit}", *cells, growth_text(line.growth)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    doubts = [f"  {x}: {', '.join(codes)}" for x, codes in axis.doubts.items()]
    return [f"\n{axis.name}", *text, axis.end.text, *(["doubts of bench:", *doubts] if doubts else [])]


def growth_text(growth: Growth | None) -> str:
    """An exponent, or two where it bends.

    >>> growth_text(None)
    'none: no power law through 0'
    """
    if growth is None:
        return "none: no power law through 0"
    if growth.bend is None:
        return _estimate_text(growth.exponent)
    bend = growth.bend
    whole = growth.exponent.value
    return (
        f"bends at {bend.x:g}: {_estimate_text(bend.before)}, then {_estimate_text(bend.after)}; one line {whole:.2f}"
    )


def _estimate_text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f}…{estimate.high:.2f})"


def _middle(point: Point) -> float:
    return float(np.median(list(point.values.values()))) if point.values else 0.0


if __name__ == "__main__":
    main()
