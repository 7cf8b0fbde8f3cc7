"""The pictures of ``benchmarks.recommend``: how good each method is by the baskets known of a shopper.

python -m benchmarks.recommend_chart      # again from results/recommend-*.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.growth_chart import GRID, INK, MUTED, SERIES

TITLES = {"sessions": "The demo's shop, simulated", "journey": "A grocer's year (The Complete Journey)"}
SHOWN = ("edgevision", "favourites, then popularity", "EASE + favourites", "item-kNN + favourites", "popularity")


def draw(found: dict[str, dict[str, Any]], path: Path) -> Path:
    """One panel for each log, as SVG. ``found``: the results by log."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    style = {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": GRID, "xtick.color": MUTED,
             "ytick.color": INK, "svg.fonttype": "none", "svg.hashsalt": "edgevision"}  # fmt: skip
    with mpl.rc_context(style):
        figure, panels = plt.subplots(1, len(found), figsize=(5.6 * len(found), 4.2), squeeze=False)
        for panel, (name, result) in zip(panels.flat, found.items(), strict=True):
            _panel(panel, TITLES[name], result["baskets known"])
        figure.suptitle(
            "NDCG@10 of the next basket, by how many baskets are known",
            x=0.012,
            ha="left",
            fontsize=12.5,
            fontweight="bold",
        )
        figure.tight_layout(rect=(0, 0, 1, 0.98), w_pad=2)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    print(f"drew {path.name}", file=sys.stderr)
    return path


def _panel(axes: Any, title: str, curves: dict[str, dict[str, float]]) -> None:
    for (color, marker), name in zip(SERIES, SHOWN, strict=True):
        points = curves[name]
        width = 2.2 if name == SHOWN[0] else 1.3
        axes.plot(list(points), list(points.values()), color=color, marker=marker, linewidth=width, label=name)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("newest baskets known", color=MUTED)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def main() -> None:
    found = {}
    for name in TITLES:
        path = RESULTS / f"recommend-{name}.json"
        if path.is_file():
            found[name] = json.loads(path.read_text())
    if not found:
        sys.exit("no results yet: run python -m benchmarks.recommend sessions")
    draw(found, RESULTS / "recommend-history.svg")


if __name__ == "__main__":
    main()
