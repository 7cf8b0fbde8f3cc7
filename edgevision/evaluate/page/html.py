"""Reports: one HTML file with everything in it, no script and no network; light and dark, wide and narrow.

Build it from sections of blocks. All text is escaped; a ``Figure`` holds SVG as ``pictures`` makes it.

>>> page = html_page("Report", [Section("Accuracy", (Table(("model", "top-1, %"), (("float", 91.25),)),))])
>>> page.startswith("<!doctype html>")
True
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from edgevision.errors import InputError

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Rich:
    """A cell with more to it than its ``value``.

    ``shown``: text in place of the value, which still says whether the column is one of numbers. ``title``: told on
    hovering. ``share``: length of a bar behind the text, 0…1. ``tone``: as a ``Text`` has it, or ``strong``.
    """

    value: Value
    shown: str = ""
    title: str = ""
    share: float | None = None
    tone: Literal["plain", "strong", "good", "warning", "bad"] = "plain"


Cell = Value | Rich


@dataclass(frozen=True)
class Text:
    """A paragraph. ``tone``: ``plain``, or a box for ``good`` news, a ``warning`` or a ``bad`` result."""

    text: str
    tone: Literal["plain", "good", "warning", "bad"] = "plain"


@dataclass(frozen=True)
class Fact:
    """A figure that matters, written large: value with its unit, what it is, a remark."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Facts side by side."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under ``columns``. Numbers are set right, floats with ``digits`` decimals, None as a dash.

    ``marked``: rows to stand out (the chosen variant). ``folded``: shown when opened, for long tables.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    digits: int = 2
    marked: tuple[int, ...] = ()
    folded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"expected {len(self.columns)} cells in each row of the table, got {len(row)}: {row}")


@dataclass(frozen=True)
class Figure:
    """A picture: one ``<svg>`` element, put in as it is; a title that says what to see, and a caption."""

    svg: str
    title: str
    caption: str = ""

    def __post_init__(self) -> None:
        if not (self.svg.startswith("<svg") and self.svg.endswith("</svg>")):
            raise InputError(f"expected one <svg> element as a figure, got {self.svg[:40]!r}")


@dataclass(frozen=True)
class Side:
    """Figures side by side where there is room, else one under the other."""

    figures: tuple[Figure, ...]


Block = Text | Facts | Table | Figure | Side


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...] = ()


def html_page(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """A self-contained HTML page. The same input gives the same text."""
    lead = f'<p class="lead">{escape(subtitle)}</p>\n' if subtitle else ""
    body = "\n".join(_section(number, section) for number, section in enumerate(sections, 1))
    contents = "".join(f'<a href="#s{n}">{escape(section.title)}</a>' for n, section in enumerate(sections, 1))
    nav = f"<nav>{contents}</nav>\n" if len(sections) > 2 else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{lead}{nav}</header>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f'<section id="s{number}">\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f'<p class="{block.tone}">{escape(block.text)}</p>'
    if isinstance(block, Facts):
        return f'<dl class="facts">{"".join(map(_fact, block.facts))}</dl>'
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Side):
        return f'<div class="side">{"".join(map(_block, block.figures))}</div>'
    caption = f"<p>{escape(block.caption)}</p>" if block.caption else ""
    svg = block.svg.replace("<svg ", f'<svg aria-label="{escape(block.title)}" ', 1)
    return f"<figure><figcaption><h3>{escape(block.title)}</h3>{caption}</figcaption>{svg}</figure>"


def _fact(fact: Fact) -> str:
    note = f'<dd class="note">{escape(fact.note)}</dd>' if fact.note else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}</dd>{note}</div>"


def _table(table: Table) -> str:
    numeric = [
        any(_is_number(row[c]) for row in table.rows)
        and all(_is_number(row[c]) or _value(row[c]) is None for row in table.rows)
        for c in range(len(table.columns))
    ]
    classes = [' class="number"' if number else "" for number in numeric]
    head = "".join(
        f'<th scope="col"{css}>{escape(name)}</th>' for name, css in zip(table.columns, classes, strict=True)
    )
    rows = []
    for index, row in enumerate(table.rows):
        cells = "".join(_td(cell, number, table.digits) for cell, number in zip(row, numeric, strict=True))
        marked = ' class="marked"' if index in table.marked else ""
        rows.append(f"<tr{marked}>{cells}</tr>")
    grid = (
        '<div class="scroll" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
    caption = escape(table.caption)
    if table.folded:
        return f"<details><summary>{caption or f'{len(table.rows)} rows'}</summary>{grid}</details>"
    return f'<div class="table">{f"<p>{caption}</p>" if caption else ""}{grid}</div>'


def _td(cell: Cell, number: bool, digits: int) -> str:
    rich = cell if isinstance(cell, Rich) else Rich(cell)
    classes = [
        name
        for name, given in (("number", number), ("bar", rich.share is not None), (rich.tone, rich.tone != "plain"))
        if given
    ]
    attributes = f' class="{" ".join(classes)}"' if classes else ""
    if rich.title:
        attributes += f' title="{escape(rich.title)}"'
    if rich.share is not None and math.isfinite(rich.share):
        attributes += f' style="--share:{100 * min(1.0, max(0.0, rich.share)):.1f}%"'
    return f"<td{attributes}>{escape(rich.shown or _cell(rich.value, digits))}</td>"


def _value(cell: Cell) -> Value:
    return cell.value if isinstance(cell, Rich) else cell


def _is_number(cell: Cell) -> bool:
    value = _value(cell)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(cell: Value, digits: int) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.{digits}f}".replace("-", "−")
    return f"{cell:,}".replace(",", " ").replace("-", "−") if isinstance(cell, int) else cell


_CSS = """
:root{--ink:#1b1f24;--muted:#5b6570;--line:#dfe3e8;--paper:#fff;--ground:#f5f6f8;--series-1:#0072b2;--series-2:#d55e00;
--series-3:#008a64;--series-4:#9a5f86;--good:#00714f;--warning:#8a5a00;--bad:#b3261e;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans","DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--muted:#a3acb7;--line:#363c44;--paper:#1c2026;--ground:#13161a;
--series-1:#56b4e9;--series-2:#f0a030;--series-3:#2fc79b;--series-4:#d69ac0;--good:#4fd1a5;--warning:#f0b860;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 var(--sans);-webkit-text-size-adjust:100%}
main{max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:.4em 0 .2em;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:0 0 .6em}h3{font-size:1rem;margin:0 0 .2em}
.lead{color:var(--muted);margin:0 0 1em}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem}nav a{color:var(--series-1)}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:20px;margin:16px 0}
section>*:last-child{margin-bottom:0}
p{margin:0 0 1em;max-width:70ch;overflow-wrap:anywhere}
p.good,p.warning,p.bad{max-width:none;border-left:4px solid;padding:.5em .9em;background:var(--ground);border-radius:6px;
font-weight:600}
p.good{color:var(--good)}p.warning{color:var(--warning)}p.bad{color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 1em}
.facts div{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.facts dt{color:var(--muted);font-size:.85rem}
.facts dd{margin:0;font-size:1.45rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}
.facts dd.note{font-size:.82rem;font-weight:400;color:var(--muted)}
.table,details{margin:0 0 1em}.table>p,summary{color:var(--muted);font-size:.9rem;margin:0 0 .4em}
summary{cursor:pointer;color:var(--series-1)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;min-width:5em;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--muted);font-weight:600;white-space:nowrap}
th.number,td.number{text-align:right;white-space:nowrap;min-width:3.5em}
td.strong{font-weight:650}td.good{color:var(--good)}td.warning{color:var(--warning)}td.bad{color:var(--bad);font-weight:650}
td.bar{min-width:9em;background:linear-gradient(to right,color-mix(in srgb,var(--series-1) 32%,transparent) var(--share,0%),
transparent 0) left 7px/100% 1.3em no-repeat}
td[title]{text-decoration:underline dotted var(--muted);text-underline-offset:.25em}
tr.marked td{font-weight:650;background-color:color-mix(in srgb,var(--series-1) 14%,transparent)}
figure{margin:0 0 1.5em}figcaption p{color:var(--muted);font-size:.9rem;margin:0 0 .4em}
.side{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:0 24px}
figure svg{display:block;width:100%;max-width:640px;height:auto}
@media(max-width:520px){section{padding:14px;margin:12px -6px}main{padding:12px 12px 48px}}
@media print{body{background:#fff}section{break-inside:avoid;border:0;padding:0}nav{display:none}}
"""
