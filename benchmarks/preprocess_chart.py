"""The chart of `benchmarks.preprocess`: how many times as long the peers take, with intervals and goals.

    .venv/bin/python -m benchmarks.preprocess_chart      # again from results/preprocess.json

One picture for each number of threads, one panel for each kind of frame and target. Of each peer its quickest chain is
shown; OpenCV stands twice, with blobFromImage and without. Colours are Okabe and Ito's, and each peer has a marker of
its own, named beside its first dot.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.preprocess_cases import (
    BLOB,
    BLOB_REUSED,
    OPENCV_NUMPY,
    OPENVINO,
    PILLOW,
    PLANES,
    READ,
    TORCH,
    TORCHVISION,
)

INK, MUTED, LINE, BAND = "#1b1f24", "#5b6570", "#dfe3e8", "#f5f6f8"


@dataclass(frozen=True)
class Series:
    """One peer: the quickest of ``chains`` is drawn."""

    label: str
    chains: tuple[str, ...]
    color: str
    marker: str


SERIES = (
    Series("reading the rows", (READ,), MUTED, "|"),
    Series("OpenCV, no blob", (PLANES, OPENCV_NUMPY), "#56b4e9", "v"),
    Series("OpenCV blob", (BLOB, BLOB_REUSED), "#0072b2", "o"),
    Series("torchvision", (TORCHVISION, TORCH), "#d55e00", "D"),
    Series("OpenVINO", (OPENVINO,), "#009e73", "s"),
    Series("Pillow", (PILLOW,), "#9a5f86", "^"),
)


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw ``preprocess.svg`` (one thread) and ``preprocess-N-threads.svg`` of a result into ``folder``."""
    written = []
    for threads in sorted({m["threads"] for m in result["measurements"]}):
        name = "preprocess.svg" if threads == 1 else f"preprocess-{threads}-threads.svg"
        _picture([m for m in result["measurements"] if m["threads"] == threads], threads, folder / name)
        written.append(folder / name)
        print(f"drew {name}", file=sys.stderr)
    return written


def _picture(measurements: Sequence[dict[str, Any]], threads: int, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    style = {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": LINE, "xtick.color": MUTED,
             "ytick.color": INK, "svg.fonttype": "none", "svg.hashsalt": "edgevision"}  # fmt: skip
    kinds, targets = _distinct(_kind(m) for m in measurements), _distinct(_target(m) for m in measurements)
    dots = [d for m in measurements for d in _dots(m)]
    low = min(0.7, *(ratio["low"] for _, ratio in dots)) / 1.15
    high = max(10, *(ratio["high"] for _, ratio in dots)) * 1.3
    with mpl.rc_context(style):
        size = (4.6 * len(kinds) + 0.9, 3.5 * len(targets) + 0.7)
        figure, panels = plt.subplots(len(targets), len(kinds), figsize=size, squeeze=False, sharex=True, sharey=True)
        for (row, target), (column, kind) in itertools.product(enumerate(targets), enumerate(kinds)):
            axes = panels[row][column]
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            _panel(axes, [m for m in measurements if _kind(m) == kind and _target(m) == target])
            axes.set_title(f"{kind} → {target}", loc="left", fontsize=10.5, fontweight="bold", pad=62)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(which="both", length=0, labelbottom=True)
        count = f"{threads} thread{'s' if threads > 1 else ''}"
        figure.suptitle(
            f"Time of each peer's quickest chain in units of EdgeVision's, {count} (right of 1× = slower than EdgeVision)",
            x=0.012, ha="left", fontsize=12.5, fontweight="bold",
        )  # fmt: skip
        note = "Medians of paired rounds, whiskers = 95 % bootstrap interval. Dashes with a number: goals, for the peer in that colour."
        figure.text(0.012, 0.012, note, color=MUTED, fontsize=9)
        figure.tight_layout(rect=(0, 0.025, 1, 0.985), w_pad=2, h_pad=1.5)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axes: Any, measurements: Sequence[dict[str, Any]]) -> None:
    """Rows: sizes of the source, hot above cold. The x axis is set already."""
    labels = {"EdgeVision": (1.0, INK)}
    for y, m in enumerate(measurements):
        if y // 2 % 2 == 0:
            axes.axhspan(y - 0.5 - y % 2, y + 1.5 - y % 2, color=BAND, linewidth=0, zorder=0)
        for goal in _goal_marks(m):
            axes.plot([goal.x] * 2, [y - 0.36, y + 0.36], color=goal.color, linewidth=1.4, dashes=(2, 1.2), zorder=2)
            axes.annotate(
                goal.text, (goal.x, y + 0.34), xytext=(2, 0), textcoords="offset points", va="center", fontsize=7,
                color=goal.color,
            )  # fmt: skip
        for series, ratio in _dots(m):
            line = series.marker == "|"
            axes.plot([ratio["low"], ratio["high"]], [y, y], color=series.color, linewidth=1.4, zorder=3)
            axes.plot(
                ratio["median"], y, series.marker, color=series.color, markersize=9 if line else 5.5, zorder=4,
                markerfacecolor=series.color, markeredgewidth=1.6 if line else 0.8,
            )  # fmt: skip
            labels.setdefault(series.label, (ratio["median"], series.color))
    _label(axes, labels)
    axes.axvline(1, color=INK, linewidth=1.2, zorder=1)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_ylim(len(measurements) - 0.45, -0.5)
    axes.set_yticks(range(len(measurements)), [f"{_size(m)} {'cold' if m['cold'] else 'hot'}" for m in measurements])
    axes.spines[["top", "right", "left"]].set_visible(False)


def _label(axes: Any, labels: dict[str, tuple[float, str]]) -> None:
    """Slanted labels above the first row, each over its first dot, or to the right of it where that is taken."""
    left, right = axes.get_xlim()
    pitch = (right / left) ** 0.055
    free = left
    for text, (x, color) in sorted(labels.items(), key=lambda label: label[1][0]):
        at = max(x, free)
        free = at * pitch
        axes.annotate(
            text, (at, -0.62), rotation=38, ha="left", va="bottom", rotation_mode="anchor", fontsize=8.5, color=color,
            annotation_clip=False,
        )  # fmt: skip


def _dots(m: dict[str, Any]) -> list[tuple[Series, dict[str, float]]]:
    """Series, and the ratio of its quickest chain."""
    found = []
    for series in SERIES:
        present = [m["chains"][name] for name in series.chains if name in m["chains"]]
        if present and (m["cold"] or series.chains != (READ,)):  # reading is a limit where the cache has not got it
            found.append((series, min(present, key=lambda chain: chain["median_us"])["ratio"]))
    return found


@dataclass(frozen=True)
class _Mark:
    x: float
    text: str
    color: str


def _goal_marks(m: dict[str, Any]) -> list[_Mark]:
    """One for each limit; where two goals share it, in the colour of the first."""
    marks: dict[float, _Mark] = {}
    for g in m["goals"]:
        if g["peer"] in {name for series in SERIES for name in series.chains}:
            x = 1 / g["limit"] if g["at_most"] else g["limit"]
            text = f"1/{g['limit']:g}" if g["at_most"] else f"{g['limit']:g}"
            marks.setdefault(x, _Mark(x, text, _series(g["peer"]).color))
    return list(marks.values())


def _series(chain: str) -> Series:
    return next(series for series in SERIES if chain in series.chains)


def _size(m: dict[str, Any]) -> str:
    return str(m["case"].split("-")[1]).replace("x", "×")


def _target(m: dict[str, Any]) -> str:
    return str(m["title"].split(" → ")[1].split(",")[0])


def _kind(m: dict[str, Any]) -> str:
    return str(m["title"].split(" ")[0]) + (", antialiased" if m["title"].endswith("antialiased") else "")


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(values), key=lambda value: (value.startswith("NV12"), len(value), value))


if __name__ == "__main__":
    draw(json.loads((RESULTS / "preprocess.json").read_text()), RESULTS)
