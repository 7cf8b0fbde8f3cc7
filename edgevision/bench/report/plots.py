"""Pictures of a record. Each function returns one ``<svg>`` element, in the look of all reports (see ``evaluate.page.pictures``).

Only four series can be told apart by colour, marker and dash: what may have more of them gets a row for each target, or several
pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.scenarios.base import Block
from edgevision.bench.targets.base import STAGES
from edgevision.evaluate.page.drawing import (
    DASHES,
    GRID,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    Mark,
    canvas,
    label_marks,
    legend,
    name_rows,
    say,
    series,
    shorten,
)

MOST_SERIES = len(SERIES)
LEAST_MS = 1e-6  # what is drawn of a clock that is too coarse and says 0: it has no place on a logarithmic axis
_PIECES = 400  # points of a line over time: more are not seen, and make the page large
_BINS = 90


def latency_distribution(latencies_ms: Mapping[str, npt.NDArray[np.float64]], what: str = "latency") -> str:
    """A row for each target: where its latencies lie, on a logarithmic axis, with p50, p90 and p99.

    ``latencies_ms``: float64 [n] > 0 for each target; a target without any has an empty row.
    """
    names = list(latencies_ms)
    with canvas(1.3 + 0.62 * max(1, len(names))) as (figure, drawing):
        axes = figure.add_subplot()
        found = [values for values in latencies_ms.values() if len(values)]
        if found:
            low, high = _span(np.concatenate([np.quantile(values, [0.0, 1.0]) for values in found]))
            edges = np.geomspace(low, high, _BINS + 1)
            for place, values in enumerate(latencies_ms.values()):
                if len(values):
                    _violin(axes, place, values, edges)
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            _plain_log(axes.xaxis, low, high)
            for marker, name in zip(("|", "D", "s"), ("p50", "p90", "p99"), strict=True):
                axes.plot([], [], marker, color=INK, markerfacecolor=PAPER, markersize=6, label=name, linestyle="none")
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.0, fontsize=9
            )
        else:
            say(axes, "no samples")
        name_rows(axes, [shorten(name, 24) for name in names])
        axes.set_xlabel(f"{what}, ms (logarithmic; left is better)", loc="right")
    return drawing.svg


def _violin(axes: Any, place: int, values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> None:
    counts = np.histogram(values, edges)[0].astype(np.float64)
    smooth = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    half = 0.36 * smooth / max(float(smooth.max()), 1.0)
    centres = np.sqrt(edges[:-1] * edges[1:])
    seen = np.flatnonzero(half > 0)
    part = slice(seen[0], seen[-1] + 1)
    axes.fill_between(centres[part], place - half[part], place + half[part], color=SERIES[0], alpha=0.45, linewidth=0)
    for p, marker in ((0.5, "|"), (0.9, "D"), (0.99, "s")):
        at = float(np.quantile(values, p, method="inverted_cdf"))
        axes.plot(
            [at], [place], marker, color=INK, markerfacecolor=PAPER, markersize=12 if marker == "|" else 5, zorder=3
        )


def _span(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Limits for a logarithmic axis: all values, and a little room."""
    low, high = float(values.min()), float(values.max())
    low = max(low, high * 1e-9, 1e-9)
    room = max((high / low) ** 0.05, 1.05)
    return low / room, high * room


def _ticks_of_ten(ratio: float) -> tuple[float, ...]:
    """Where ticks stand between two powers of ten, on an axis from x to ``ratio`` · x."""
    if ratio < 20:
        return (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    return (1.0, 2.0, 5.0) if ratio < 300 else (1.0,)


def _plain_log(axis: Any, low: float, high: float) -> None:
    """Ticks of a logarithmic axis as plain numbers; the more of them between powers of ten, the fewer powers there are."""
    from matplotlib import ticker

    ratio = high / low
    if ratio < 3:
        axis.set_major_locator(ticker.MaxNLocator(6))
    else:
        axis.set_major_locator(ticker.LogLocator(subs=_ticks_of_ten(ratio), numticks=12))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


@dataclass(frozen=True)
class Speed:
    """A target in a scenario. ``latency_ms``: at the percentile that the picture says; ``throughput``: frames a second."""

    name: str
    latency_ms: float
    throughput: float
    reference: bool = False


def throughput_latency(points: Sequence[Speed], what: str = "p90") -> str:
    """Each point a target in one scenario: up and to the left is better. Both axes are logarithmic."""
    with canvas(3.8) as (figure, drawing):
        axes = figure.add_subplot()
        if points:
            for axis, values in (("x", [one.latency_ms for one in points]), ("y", [one.throughput for one in points])):
                low, high = _span(np.asarray(values))
                low, high = low / 1.15, high * 1.15
                getattr(axes, f"set_{axis}scale")("log")
                getattr(axes, f"set_{axis}lim")(low, high)
                _plain_log(getattr(axes, f"{axis}axis"), low, high)
            for one in points:
                color = INK if one.reference else SERIES[0]
                axes.plot(
                    [one.latency_ms], [one.throughput], MARKERS[int(one.reference)], color=color, markersize=7, zorder=3
                )
            figure.draw_without_rendering()  # settles the layout, on which pixel positions depend
            label_marks(axes, [Mark(one.name, one.latency_ms, one.throughput, one.reference) for one in points])
        else:
            say(axes, "no target has both")
        axes.set_xlabel(f"latency {what}, ms (left is better)", loc="right")
        axes.set_ylabel("frames/s (up is better)")
    return drawing.svg


@dataclass(frozen=True)
class Probe:
    """How a target served so many cameras. ``served``: share of the frames of the camera that got least, 0…1; ``age_ms``: p99, NaN where
    nothing was served."""

    cameras: int
    served: float
    age_ms: float


def density_curve(
    probes: Mapping[str, Sequence[Probe]], *, age_limit_ms: float | None = None, share_limit: float | None = None
) -> str:
    """Above: the age of results by the number of cameras; below: what the worst-served camera got. ``probes``: at most 4 targets."""
    with canvas(4.8) as (figure, drawing):
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1.5, 1]})
        ages = np.array([one.age_ms for found in probes.values() for one in found if one.age_ms > 0])
        for (name, found), (color, marker, dash) in zip(probes.items(), series(len(probes)), strict=True):
            ordered = sorted(found, key=lambda one: one.cameras)
            x = [one.cameras for one in ordered]
            upper.plot(
                x, [one.age_ms for one in ordered], dash, marker=marker, color=color, markersize=5, label=shorten(name)
            )
            lower.plot(x, [100 * one.served for one in ordered], dash, marker=marker, color=color, markersize=5)
        if len(ages):
            low, high = _span(ages if age_limit_ms is None else np.append(ages, age_limit_ms))
            upper.set_yscale("log")
            upper.set_ylim(low, high)
            _plain_log(upper.yaxis, low, high)
        else:
            say(upper, "no results")
        if age_limit_ms is not None:
            upper.axhline(age_limit_ms, color=INK, linewidth=1.1, linestyle=DASHES[3])
        if share_limit is not None:
            lower.axhline(100 * share_limit, color=INK, linewidth=1.1, linestyle=DASHES[3])
        upper.set_ylabel("age p99, ms")
        lower.set(ylabel="% of frames served", xlabel="cameras", ylim=(0, 105))
        lower.set_xlim(left=0)
        lower.xaxis.get_major_locator().set_params(integer=True)
        if len(probes):
            legend(upper)
    return drawing.svg


_PARTS = (*STAGES, "schedule", "rest")


def middle_stages(blocks: Sequence[Block]) -> dict[str, float]:
    """Mean milliseconds of each stage over the middle half of the requests by latency, and "rest": what no stage accounts for.

    Means of the same requests add up to their latency, medians of stages do not; and the middle half leaves stragglers out. Empty where
    the target tells no stage.
    """
    names = [name for name in _PARTS if any(name in block.stages for block in blocks)]
    told = [
        block
        for block in blocks
        if len(block.latency_ns) and names and all(len(block.stages.get(n, ())) for n in names)
    ]
    if not told:
        return {}
    latency = np.concatenate([block.latency_ns for block in told]).astype(np.float64)
    low, high = np.quantile(latency, [0.25, 0.75])
    middle = (latency >= low) & (latency <= high)
    found = {name: float(np.concatenate([block.stages[name] for block in told])[middle].mean()) / 1e6 for name in names}
    return {**found, "rest": max(0.0, float(latency[middle].mean()) / 1e6 - sum(found.values()))}


def stages_stacked(stages_ms: Mapping[str, Mapping[str, float]]) -> str:
    """A bar for each target, made of its stages one after the other; ``stages_ms``: as ``middle_stages`` gives them, by target."""
    names = list(stages_ms)
    parts = [part for part in _PARTS if any(stages.get(part) for stages in stages_ms.values())]
    with canvas(1.3 + 0.5 * max(1, len(names))) as (figure, drawing):
        axes = figure.add_subplot()
        left = np.zeros(len(names))
        longest = max((sum(stages.values()) for stages in stages_ms.values()), default=0.0)
        for part in parts:
            widths = np.array([stages_ms[name].get(part, 0.0) for name in names])
            axes.barh(
                np.arange(len(names)),
                widths,
                left=left,
                height=0.62,
                color=_COLORS[part],
                edgecolor=PAPER,
                linewidth=1.2,
                label=part,
            )
            for place, width in enumerate(widths):
                if width > 0.09 * longest:
                    axes.annotate(
                        f"{width:.3g}",
                        (left[place] + width / 2, place),
                        ha="center",
                        va="center",
                        fontsize=9,
                        color=PAPER if part != "rest" else INK,
                    )
            left += widths
        if parts:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.0, fontsize=9
            )
        else:
            say(axes, "no target tells its stages")
        name_rows(axes, [shorten(name, 24) for name in names])
        axes.set_xlim(0, longest * 1.02 or 1.0)
        axes.set_xlabel("ms of a request", loc="right")
    return drawing.svg


_COLORS = {
    "decode": SERIES[3], "preprocess": SERIES[2], "infer": SERIES[0], "post": SERIES[1], "schedule": MUTED, "rest": GRID,
}  # fmt: skip


def samples_over_time(blocks: Mapping[str, Sequence[Block]], zero_ns: int, what: str = "latency") -> str:
    """Medians of short pieces of time for each target, at most 4 of them: drift and disturbances show.

    ``zero_ns``: the moment from which seconds are counted, on the clock of ``Block.began_ns``.
    """
    with canvas(2.8) as (figure, drawing):
        axes = figure.add_subplot()
        shown = []
        for (name, found), (color, marker, _) in zip(blocks.items(), series(len(blocks)), strict=True):
            seconds, medians = _pieces(found, zero_ns)
            shown.append(medians)
            axes.plot(
                seconds,
                medians,
                marker,
                color=color,
                markersize=3,
                markeredgewidth=0,
                linestyle="none",
                label=shorten(name),
            )
        values = np.concatenate(shown) if shown else np.zeros(0)
        if len(values):
            low, high = _span(values)
            axes.set_yscale("log")
            axes.set_ylim(low, high)
            _plain_log(axes.yaxis, low, high)
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, markerscale=2, fontsize=9
            )
        else:
            say(axes, "no samples")
        axes.set(xlabel="seconds since the run began", ylabel=f"{what}, ms")
        axes.set_xlim(left=0)
    return drawing.svg


def _pieces(blocks: Sequence[Block], zero_ns: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Seconds and median milliseconds of pieces of equal length of each block."""
    blocks = [block for block in blocks if len(block.latency_ns)]
    each = max(1, _PIECES // max(1, len(blocks)))
    seconds: list[float] = []
    medians: list[float] = []
    for block in blocks[:: 1 + len(blocks) // _PIECES]:
        for piece, part in enumerate(np.array_split(block.latency_ns, min(each, len(block.latency_ns)))):
            at = block.began_ns - zero_ns + block.wall_ns * (piece + 0.5) / min(each, len(block.latency_ns))
            seconds.append(at / 1e9)
            medians.append(max(float(np.median(part)) / 1e6, LEAST_MS))
    return np.asarray(seconds), np.asarray(medians)


def figure_over_time(
    lines: Mapping[str, Sequence[tuple[datetime, float, float | None, float | None]]], what: str
) -> str:
    """A figure by the date of its record, with bounds; at most 4 lines. ``what``: the figure, with its unit."""
    with canvas(2.8) as (figure, drawing):
        axes = figure.add_subplot()
        for (name, points), (color, marker, dash) in zip(lines.items(), series(len(lines)), strict=True):
            dates = [one[0] for one in points]
            values = np.array([one[1] for one in points])
            axes.plot(dates, values, dash, marker=marker, color=color, markersize=5, linewidth=1.3, label=shorten(name))
            bounded = [one for one in points if one[2] is not None and one[3] is not None]
            axes.vlines(
                [one[0] for one in bounded],
                [one[2] for one in bounded],
                [one[3] for one in bounded],
                color=color,
                linewidth=1,
            )
        axes.set_ylim(bottom=0)
        axes.set_ylabel(what)
        axes.tick_params(axis="x", rotation=25)
        legend(axes)
    return drawing.svg
