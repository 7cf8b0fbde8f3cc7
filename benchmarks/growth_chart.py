"""The picture of ``benchmarks.growth``: one panel for each axis, both scales logarithmic, so that a power law is a straight line.

    python -m benchmarks.growth_chart      # again from results/growth.json

Dots are medians with their intervals, lines the fits; a dashed one shows where the machine ends. Colours are Okabe and Ito's, each line has a marker of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS

INK, MUTED, GRID = "#1b1f24", "#5b6570", "#dfe3e8"
SERIES = (("#0072b2", "o"), ("#d55e00", "D"), ("#009e73", "s"), ("#9a5f86", "^"), ("#56b4e9", "v"))


def draw(axes: Mapping[str, Any], path: Path) -> Path:
    """The picture of ``axes``, values of ``growth.values_of`` by name, as SVG."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    style = {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": GRID, "xtick.color": MUTED,
             "ytick.color": INK, "svg.fonttype": "none", "svg.hashsalt": "edgevision"}  # fmt: skip
    columns = min(2, len(axes))
    rows = -(-len(axes) // columns)
    with mpl.rc_context(style):
        figure, panels = plt.subplots(rows, columns, figsize=(6.2 * columns, 4.2 * rows + 0.6), squeeze=False)
        for panel, (name, axis) in zip(panels.flat, axes.items(), strict=False):
            _panel(panel, name, axis)
        for panel in panels.flat[len(axes) :]:
            panel.set_visible(False)
        figure.suptitle("How cost grows with the work", x=0.012, ha="left", fontsize=12.5, fontweight="bold")
        note = "Medians of rounds, whiskers = 95 % bootstrap interval. In brackets: exponents of the power laws drawn."
        figure.text(0.012, 0.012, note, color=MUTED, fontsize=9)
        figure.tight_layout(rect=(0, 0.03, 1, 0.98), w_pad=2, h_pad=1.5)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    print(f"drew {path.name}", file=sys.stderr)
    return path


def _panel(axes: Any, name: str, axis: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    for (color, marker), (line, values) in zip(SERIES, axis["lines"].items(), strict=False):
        growth = values["growth"]
        if growth is None:
            continue
        xs, medians = growth["xs"], growth["medians"]
        middle = np.array([one["value"] for one in medians])
        spread = [middle - [one["low"] for one in medians], [one["high"] for one in medians] - middle]
        label = f"{line}, {values['unit']} ({_exponents(growth)})"
        axes.errorbar(
            xs, middle, yerr=np.maximum(0, spread), fmt=marker, color=color, markersize=5, elinewidth=1.2, label=label
        )
        axes.plot(xs, fitted(growth), color=color, linewidth=1.0, alpha=0.7)
    points = next(iter(axis["lines"].values()))["points"]
    axes.set_xticks([point["x"] for point in points])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if axis["end"]["at"] is not None:
        axes.axvline(axis["end"]["at"], color=INK, linewidth=1.2, dashes=(3, 2))
    axes.set_xlabel(axis["unit"])
    axes.set_title(name, loc="left", fontsize=10.5, fontweight="bold")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def fitted(growth: Mapping[str, Any]) -> list[float]:
    """What the fit says at each point: one line, or two that meet where it bends, through the middle of the logarithms."""
    xs = np.log(np.array(growth["xs"], np.float64))
    ys = np.log(np.array([one["value"] for one in growth["medians"]]))
    bend = growth["bend"]
    if bend is None:
        shape = growth["exponent"]["value"] * xs
    else:
        before, after = bend["before"]["value"], bend["after"]["value"]
        shape = before * xs + (after - before) * np.maximum(0, xs - np.log(bend["x"]))
    return [float(value) for value in np.exp(shape + (ys - shape).mean())]


def _exponents(growth: Mapping[str, Any]) -> str:
    bend = growth["bend"]
    if bend is None:
        return f"{growth['exponent']['value']:.2f}"
    return f"{bend['before']['value']:.2f}, from {bend['x']:g} on {bend['after']['value']:.2f}"


if __name__ == "__main__":
    draw(json.loads((RESULTS / "growth.json").read_text())["axes"], RESULTS / "growth.svg")
