"""Pictures for reports, drawn by matplotlib: each function returns one ``<svg>`` element to put into a page.

The pictures carry no colours of their own but CSS variables (``--ink``, ``--series-1``, …) with fallbacks, so the page
decides between light and dark; their text stays text, in the page's font. The same data give the same bytes.
Series differ by marker or dash as well as by colour, and the colours (Okabe and Ito's) are told apart by colour-blind
readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
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
from edgevision.evaluate.statistics.calibration import Reliability
from edgevision.evaluate.statistics.classification import ClassRow, Confusion


@dataclass(frozen=True)
class Point:
    """One candidate: latency in milliseconds, accuracy in percent, and whether it is the one chosen, or ``reference``:
    the one that the others are compared with.
    """

    name: str
    latency_ms: float
    accuracy: float
    chosen: bool = False
    reference: bool = False


def confused_pairs(pairs: Sequence[Confusion], limit: int = 12) -> str:
    """Bars: the most frequent errors, as counts, with their share of the true class's photos."""
    pairs = pairs[:limit]
    with canvas(0.9 + 0.34 * max(1, len(pairs))) as (figure, drawing):
        axes = figure.add_subplot()
        rows = np.arange(len(pairs))
        axes.barh(rows, [pair.count for pair in pairs], height=0.62, color=SERIES[1])
        for row, pair in zip(rows, pairs, strict=True):
            share = f"{pair.count} of {pair.n} ({100 * pair.count / pair.n:.0f} %)"
            axes.annotate(share, (pair.count, row), (4, 0), textcoords="offset points", va="center", color=MUTED)
        names = [f"{shorten(pair.truth.name, 22)} → {shorten(pair.predicted.name, 22)}" for pair in pairs]
        name_rows(axes, names)
        axes.set_xlim(0, 1.45 * max([pair.count for pair in pairs], default=1))
        axes.set_xlabel("photos of the first class taken for the second", loc="right")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False)  # every bar says its number
        if not pairs:
            say(axes, "no errors")
    return drawing.svg


def class_recall(
    rows: Sequence[ClassRow], reference: Sequence[ClassRow] | None = None, *, limit: int = 30,
    names: tuple[str, str] = ("this model", "reference"),
) -> str:  # fmt: skip
    """Dots: recall of the ``limit`` worst classes that have photos, worst first; ``reference`` as open circles beside.

    ``reference`` holds the same classes in the same order, as ``ClassificationMetrics.per_class`` does.
    """
    order = sorted((row.recall, index) for index, row in enumerate(rows) if row.n)[:limit]
    shown = [rows[index] for _, index in order]
    with canvas(1.1 + 0.27 * max(1, len(shown))) as (figure, drawing):
        axes = figure.add_subplot()
        places = np.arange(len(shown))
        if reference is not None:
            if [row.label for row in reference] != [row.label for row in rows]:
                raise InputError(
                    "expected the reference's classes in the same order; compare models with the same labels"
                )
            other = [reference[index].recall for _, index in order]
            axes.hlines(places, [row.recall for row in shown], other, color=GRID, linewidth=3)
            axes.plot(other, places, MARKERS[1], color=SERIES[1], markerfacecolor=PAPER, markersize=6, label=names[1])
        axes.plot([row.recall for row in shown], places, MARKERS[0], color=SERIES[0], markersize=6, label=names[0])
        name_rows(axes, [f"{shorten(row.label.name)} ({row.n})" for row in shown])
        axes.set_xlim(-2, 102)
        axes.set_xlabel("recall, % of the class's photos (in brackets: how many)", loc="right")
        if reference is not None:
            legend(axes)
        if not shown:
            say(axes, "no photos")
    return drawing.svg


def reliability_diagram(curves: Mapping[str, Reliability]) -> str:
    """Lines: how often answers of a given confidence are right, per model; below, where the confidences lie."""
    with canvas(4.6) as (figure, drawing):
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 1]})
        upper.plot([0, 1], [0, 1], linestyle=(0, (4, 3)), color=MUTED, linewidth=1, label="perfectly calibrated")
        for (name, bins), (color, marker, dash) in zip(curves.items(), series(len(curves)), strict=True):
            filled = bins.count > 0
            label = f"{shorten(name)} (ECE {bins.error:.3f})"
            upper.plot(bins.confidence[filled], bins.accuracy[filled], dash, marker=marker, color=color, label=label)
            lower.stairs(bins.count / bins.count.sum() * 100, bins.edges, color=color, linestyle=dash, linewidth=1.4)
        upper.set(xlim=(0, 1), ylim=(0, 1.03), ylabel="share of answers that are right")
        lower.set(xlabel="confidence of the answer", ylabel="% of photos")
        lower.set_ylim(bottom=0)
        legend(upper)
    return drawing.svg


def precision_recall(curves: Mapping[str, npt.ArrayLike]) -> str:
    """Lines: precision at recalls evenly spread over 0…1, per model; both are shown in percent."""
    with canvas(3.6) as (figure, drawing):
        axes = figure.add_subplot()
        for (name, curve), (color, _, dash) in zip(curves.items(), series(len(curves)), strict=True):
            values = np.asarray(curve, dtype=np.float64) * 100
            axes.plot(np.linspace(0, 100, len(values)), values, dash, color=color, label=shorten(name))
        axes.set(xlim=(0, 100), ylim=(0, 103), xlabel="recall, %", ylabel="precision, %")
        legend(axes)
    return drawing.svg


def over_time(
    hours: npt.ArrayLike,
    lines: Mapping[str, npt.ArrayLike],
    what: str,
    *,
    warm_up: float = 0.0,
    limit: float | None = None,
) -> str:
    """Lines: something measured at the same ``hours``; NaN where it was not. ``what``: it, with its unit.

    ``warm_up``: the hours before that are shaded. ``limit``: a line across, not to be crossed.
    """
    with canvas(2.6) as (figure, drawing):
        axes = figure.add_subplot()
        x = np.asarray(hours, dtype=np.float64)
        for (name, values), (color, _, dash) in zip(lines.items(), series(len(lines)), strict=True):
            axes.plot(x, np.asarray(values, dtype=np.float64), dash, color=color, linewidth=1.2, label=shorten(name))
        if warm_up:
            axes.axvspan(0, warm_up, color=GRID, alpha=0.5, linewidth=0)
        if limit is not None:
            axes.axhline(limit, color=INK, linewidth=1.2, linestyle=DASHES[3])
        axes.set_xlim(0, float(x.max()) if x.size else 1.0)
        axes.set_ylim(bottom=0)
        axes.set(xlabel="hours", ylabel=what)
        if len(lines) > 1:
            legend(axes)
    return drawing.svg


def latency_accuracy(
    points: Sequence[Point], *, front: bool = False, latency: str = "latency, ms (median, one picture; left is better)",
    accuracy: str = "accuracy, % (up is better)",
) -> str:  # fmt: skip
    """Scatter: latency against accuracy, every candidate labelled, the chosen one filled, the reference a diamond.

    ``front``: draw the Pareto front too: what can be had within each latency. ``latency``, ``accuracy``: what the axes
    say.
    """
    if not points:
        raise InputError("expected at least one candidate to draw, got none")
    with canvas(3.6) as (figure, drawing):
        axes = figure.add_subplot()
        values = np.array([point.accuracy for point in points])
        margin = max(0.25, 0.18 * float(np.ptp(values)))
        right = 1.12 * max(point.latency_ms for point in points)
        axes.set_xlim(0, right)
        axes.set_ylim(float(values.min()) - margin, float(values.max()) + margin)
        stairs = _stairs([points[i] for i in pareto_front(points)], right) if front else []
        if stairs:
            x, y = zip(*stairs, strict=True)
            axes.plot(x, y, DASHES[1], color=SERIES[2], label="Pareto front")
            legend(axes)
        for point in points:
            color = SERIES[0] if point.chosen else MUTED
            axes.plot(
                [point.latency_ms], [point.accuracy], MARKERS[1] if point.reference else MARKERS[0],
                markersize=9 if point.chosen else 7, color=color, markerfacecolor=color if point.chosen else PAPER,
                zorder=3,
            )  # fmt: skip
        figure.draw_without_rendering()  # settles the layout, on which pixel positions depend
        label_marks(axes, [Mark(one.name, one.latency_ms, one.accuracy, one.chosen) for one in points], stairs)
        axes.set_xlabel(latency)
        axes.set_ylabel(accuracy)
    return drawing.svg


def pareto_front(points: Sequence[Point]) -> tuple[int, ...]:
    """Indices of the points that no other beats: as quick and as accurate, and better in one. Quickest first.

    >>> pareto_front([Point("a", 2, 90), Point("b", 1, 80), Point("c", 3, 90)])
    (1, 0)
    """
    order = sorted(range(len(points)), key=lambda i: (points[i].latency_ms, -points[i].accuracy))
    front: list[int] = []
    for index in order:
        point, last = points[index], points[front[-1]] if front else None
        equal = last is not None and (point.latency_ms, point.accuracy) == (last.latency_ms, last.accuracy)
        if last is None or equal or point.accuracy > last.accuracy:
            front.append(index)
    return tuple(front)


def _stairs(front: Sequence[Point], right: float) -> list[tuple[float, float]]:
    """Corners of the front: level from each point to the next one's latency, then up to it; at last to ``right``."""
    ends = [*(point.latency_ms for point in front[1:]), right]
    return [(x, p.accuracy) for p, end in zip(front, ends, strict=True) for x in (p.latency_ms, end)]


def score_histogram(known: npt.ArrayLike, unknown: npt.ArrayLike, threshold: float | None, bins: int = 25) -> str:
    """Histograms: best scores of photos the model knows and of those it does not, with the threshold, if any."""
    with canvas(3.2) as (figure, drawing):
        axes = figure.add_subplot()
        edges = np.linspace(0.0, 1.0, bins + 1)
        groups = (("known products", known), ("unknown", unknown))
        for (name, scores), (color, _, dash) in zip(groups, series(2), strict=True):
            values = np.asarray(scores, dtype=np.float64)
            share = np.histogram(values, edges)[0] / max(1, values.size) * 100
            axes.stairs(share, edges, color=color, linestyle=dash, linewidth=1.6, label=f"{name} ({values.size})")
            axes.stairs(share, edges, color=color, alpha=0.22, fill=True, linewidth=0)
        top = axes.get_ylim()[1] * 1.12
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1.6)
            right_side = threshold < 0.6
            axes.annotate(
                f"threshold {threshold:.2f}", (threshold, top), (5 if right_side else -5, -3),
                textcoords="offset points", ha="left" if right_side else "right", va="top",
            )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, top), xlabel="best score", ylabel="% of the group's photos")
        legend(axes)
    return drawing.svg
