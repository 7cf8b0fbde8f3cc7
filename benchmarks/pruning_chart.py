"""The picture of ``benchmarks.pruning``: what each smaller network is quicker by, and what it loses.

    python -m benchmarks.pruning_chart lite0      # again from results/pruning-lite0.json

The line joins the shapes than which none is quicker and loses less. Whiskers are 95 % intervals of the drop. Colours are Okabe and Ito's, each kind has a
marker of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

INK, MUTED, GRID, GOAL = "#1b1f24", "#5b6570", "#dfe3e8", "#eef6f2"
KINDS = {"unpruned": ("#1b1f24", "*"), "channels": ("#0072b2", "o"), "depth": ("#d55e00", "D"), "resolution": ("#009e73", "s"), "several": ("#9a5f86", "^")}  # fmt: skip


def draw(rows: Sequence[Mapping[str, Any]], goal_speed: float, goal_drop: float, path: Path) -> Path:
    """The picture of ``rows`` of ``results/pruning-ARCH.json``, as SVG."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    style = {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": GRID, "xtick.color": MUTED,
             "ytick.color": MUTED, "svg.fonttype": "none", "svg.hashsalt": "edgevision"}  # fmt: skip
    with mpl.rc_context(style):
        figure, axes = plt.subplots(figsize=(8.4, 5.2))
        _points(axes, rows)
        front = efficient([(_speed(row), _drop(row)) for row in rows])
        axes.plot(
            [speed for speed, _ in front],
            [-drop for _, drop in front],
            color=MUTED,
            linewidth=1.0,
            dashes=(4, 3),
            zorder=1,
        )
        right, top = axes.get_xlim()[1], axes.get_ylim()[1]
        axes.fill_between([goal_speed, right], -goal_drop, top, color=GOAL, zorder=0)
        axes.annotate(
            f"goal: {goal_speed:g}× at {goal_drop:g} point", (right, top), (-4, -4), textcoords="offset points", color=MUTED, ha="right", va="top"
        )  # fmt: skip
        axes.set_xlim(right=right)
        axes.set_ylim(top=top)
        axes.set_xlabel("speed of the int8 graph, times the unpruned int8's")
        axes.set_ylabel("top-1 against the unpruned int8, points")
        axes.set_title("Fewer channels, fewer blocks, smaller pictures", loc="left", fontsize=11.5, fontweight="bold")
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower left")
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    print(f"drew {path.name}", file=sys.stderr)
    return path


def efficient(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of (speed, drop) than which none is at least as quick and loses no more, in order of speed.

    >>> efficient([(1.0, 0.0), (1.3, 0.5), (1.2, 0.8), (1.6, 2.0)])
    [(1.0, 0.0), (1.3, 0.5), (1.6, 2.0)]
    """
    kept = []
    for speed, drop in points:
        others = ((s, d) for s, d in points if (s, d) != (speed, drop))
        if not any(s >= speed and d <= drop for s, d in others):
            kept.append((speed, drop))
    return sorted(set(kept))


def _points(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for kind, (color, marker) in KINDS.items():
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        drops = [_drop(row) for row in some]
        ends = [row["int8"]["interval"] for row in some]
        around = [
            [high - drop for drop, (_, high) in zip(drops, ends, strict=True)],
            [drop - low for drop, (low, _) in zip(drops, ends, strict=True)],
        ]
        axes.errorbar(
            [_speed(row) for row in some], [-drop for drop in drops], yerr=around, fmt=marker, color=color, markersize=6, elinewidth=0.8,
            label=kind, zorder=2,
        )  # fmt: skip
        for row in some:
            axes.annotate(
                row["shape"], (_speed(row), -_drop(row)), (5, 4), textcoords="offset points", color=color, fontsize=8
            )


def _speed(row: Mapping[str, Any]) -> float:
    return float(row["speedup"]["median"])


def _drop(row: Mapping[str, Any]) -> float:
    return float(row["int8"]["drop"])


if __name__ == "__main__":
    name = f"pruning-{sys.argv[1] if len(sys.argv) > 1 else 'lite0'}"
    found = json.loads((RESULTS / f"{name}.json").read_text())
    draw(found["shapes"], found["goal"]["speed"], found["goal"]["drop"], RESULTS / f"{name}.svg")
