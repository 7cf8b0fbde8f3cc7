"""How the pictures of reports are drawn: the colours, the style, and what several kinds of pictures share.

matplotlib draws to SVG. The pictures carry no colours of their own but CSS variables with fallbacks, so that the page decides
between light and dark; see ``pictures``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.errors import InputError
from edgevision.evaluate.page.importing import import_matplotlib

# matplotlib knows only colours: these stand for the variables until the SVG is written. (hex, variable, fallback)
INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050505", "#060606", "#070707", "#080808")
VARIABLES = {
    INK: ("--ink", "#1b1f24"),
    MUTED: ("--muted", "#5b6570"),
    GRID: ("--line", "#dfe3e8"),
    PAPER: ("--paper", "#ffffff"),
    SERIES[0]: ("--series-1", "#0072b2"),
    SERIES[1]: ("--series-2", "#d55e00"),
    SERIES[2]: ("--series-3", "#009e73"),
    SERIES[3]: ("--series-4", "#9a5f86"),
}
MARKERS = ("o", "D", "s", "^")
DASHES = ("-", "--", "-.", ":")
WIDTH = 5.4  # inches: on a phone, the 10 pt text is still readable

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,  # a class may be called "$5 menu"
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "edgevision",
}


@dataclass(frozen=True)
class Mark:
    """A point of a picture that has its name beside it. ``strong``: written to stand out."""

    name: str
    x: float
    y: float
    strong: bool = False


@dataclass
class Drawing:
    """What was drawn: one ``<svg>`` element, once the ``canvas`` is closed."""

    svg: str = ""


def shorten(text: str, length: int = 28) -> str:
    """``text`` on one line of at most ``length`` characters, without what XML cannot hold."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= length else plain[: length - 1].rstrip() + "…"


@contextmanager
def canvas(height: float) -> Iterator[tuple[Any, Drawing]]:
    """A figure to draw on; when the block ends, the second value holds its SVG."""
    matplotlib = import_matplotlib()
    drawing = Drawing()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The page's font draws the text; matplotlib's own, used to lay it out, may lack a letter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = matplotlib.figure.Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure, drawing
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawing.svg = _for_page(text.getvalue())


def _for_page(svg: str) -> str:
    """matplotlib's SVG file as an element of a page: no prolog, unique ids, the page's colours and font."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg xmlns="http://www.w3.org/2000/svg" '
                 r'xmlns:xlink="http://www.w3.org/1999/xlink" \1>', svg, count=1)  # fmt: skip
    # A <style> inside an SVG would rule over the whole page; what it says is put on the element.
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg role="img" style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    for color, (variable, fallback) in VARIABLES.items():
        svg = svg.replace(color, f"var({variable}, {fallback})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans, sans-serif)", svg)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)


def series(count: int) -> list[tuple[str, str, str]]:
    """Colour, marker and dash of each of ``count`` series. Raises InputError for more than one picture can tell apart."""
    if count > len(SERIES):
        raise InputError(f"expected at most {len(SERIES)} series in one picture, got {count}")
    return list(zip(SERIES, MARKERS, DASHES, strict=True))[:count]


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Name the rows, the first on top."""
    axes.set_yticks(np.arange(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(max(1, len(names)) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def legend(axes: Any) -> None:
    """The series' names, above the picture."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.6, fontsize=9)


def say(axes: Any, text: str) -> None:
    """A word in the middle of a picture that has nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def label_marks(axes: Any, points: Sequence[Mark], line: Sequence[tuple[float, float]] = ()) -> None:
    """Write each point's name beside it: at the first place, going outwards, that covers no point, no name, and no
    stretch, level or upright, of the ``line`` with these corners.
    """
    pixels = axes.transData.transform([(point.x, point.y) for point in points])
    frame = axes.get_window_extent()
    taken = [(x - 8.0, x + 8.0, y - 8.0, y + 8.0) for x, y in pixels]  # left, right, bottom, top; at 100 dpi
    corners = axes.transData.transform(line) if line else []
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        taken.append((min(x0, x1) - 1.0, max(x0, x1) + 1.0, min(y0, y1) - 1.0, max(y0, y1) + 1.0))
    order = sorted(range(len(points)), key=lambda i: (not points[i].strong, -points[i].y, points[i].x))
    for index in order:
        point, (x, y) = points[index], pixels[index]
        name = shorten(point.name)
        length = 7.2 * len(name)
        others = taken[:index] + taken[index + 1 :]
        places: list[tuple[int, bool, int, int, bool, tuple[float, float, float, float]]] = []
        for rise in (0, 16, -16, 32, -32, 48, -48, 64, -64):
            for left in (x + 11, x - 11 - length):
                box = (left, left + length, y + rise - 7.5, y + rise + 7.5)
                outside = max(0.0, frame.x0 - box[0]) + max(0.0, box[1] - frame.x1)
                outside += max(0.0, frame.y0 - box[2]) + max(0.0, box[3] - frame.y1)
                crowded = len([1 for a, b, c, d in others if box[0] < b and a < box[1] and box[2] < d and c < box[3]])
                places.append((crowded, outside > 0, len(places), rise, left > x, box))
        *_, rise, on_right, box = min(places)
        taken.append(box)
        # Where the name is not beside its point, a line leads to it.
        leader = {
            "arrowstyle": "-",
            "color": MUTED,
            "linewidth": 0.6,
            "relpos": (0 if on_right else 1, 0.5),
            "shrinkA": 1,
        }
        axes.annotate(
            name, (point.x, point.y), (8 if on_right else -8, 0.72 * rise), textcoords="offset points",
            ha="left" if on_right else "right", va="center", fontsize=9,
            color=INK if point.strong else MUTED, fontweight="bold" if point.strong else "normal",
            arrowprops=leader if abs(rise) > 16 else None,
        )  # fmt: skip
