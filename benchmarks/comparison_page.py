"""Write what ``benchmarks.comparison`` measured into the tables of docs/comparison.md, between their marks.

python -m benchmarks.comparison_page
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.common import RESULTS, ROOT
from benchmarks.comparison import RESULT

PAGE = ROOT / "docs" / "comparison.md"
_NOTHING = "–"
_LATENCIES = ("p50", "p90", "p99")
_FOLDERS = re.compile(r"[^@,=:]*/")


def main() -> None:
    result = json.loads((RESULTS / f"{RESULT}.json").read_text(encoding="utf-8"))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


def filled(page: str, result: Mapping[str, Any]) -> str:
    """The page with the tables of ``result``. A part that was not measured says so."""
    for name in re.findall(r"<!-- begin: (\w+) -->", page):
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        before, rest = page.split(begin)
        _, after = rest.split(end)
        part = result["parts"].get(name)
        lines = ["Not measured."] if part is None else part_lines(part)
        page = "".join([before, begin, *(f"{line}\n" for line in lines), end, after])
    return page


def part_lines(part: Mapping[str, Any]) -> list[str]:
    """Markdown: a table with a line for each target, and the commands."""
    told = part["latency"]
    cameras = {row["target"]: _cameras(row) for row in part.get("density", {}).get("rows", ())}
    allowed = {one["name"]: one for one in told["targets"]}
    lines = [
        "| target | precision | allowed | p50, ms | p90, ms | p99, ms | p90 against ours | cameras | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in told["rows"]:
        entry = allowed[row["target"]]
        figures = {one["name"]: one for one in row["figures"]}
        shown = [_span(figures[name]) if name in figures else _NOTHING for name in _LATENCIES]
        cells = (
            _name(entry["address"]),
            _precision(entry),
            _allowance(entry),
            *shown,
            _against(row),
            cameras.get(row["target"], _NOTHING),
            _said(row),
        )
        lines.append(f"| {' | '.join(cells)} |")
    began = told["began"][:10]
    commands = dict.fromkeys(part[kind]["asked"] for kind in ("latency", "density") if kind in part)
    return [*lines, "", f"Measured on {began}:", "", "```", *commands, "```", ""]


def _name(address: str) -> str:
    """As it was asked for, without folders."""
    return f"`{_FOLDERS.sub('', address.replace('/@', '@'))}`"


def _precision(entry: Mapping[str, Any]) -> str:
    identity = entry["identity"]
    return _NOTHING if identity is None else str(identity["precision"])


def _allowance(entry: Mapping[str, Any]) -> str:
    given = entry["allowance"]
    return f"{given['threads']} threads, batch {given['max_batch']}"


def _span(figure: Mapping[str, Any]) -> str:
    value, low, high = (
        _NOTHING if figure[name] is None else f"{figure[name]:.3g}" for name in ("value", "low", "high")
    )
    return value if low == _NOTHING else f"{value} ({low}…{high})"


def _against(row: Mapping[str, Any]) -> str:
    for one in row["against"]:
        if one["figure"] == "p90":
            return f"{one['ratio']:.2f}× ({one['low']:.2f}…{one['high']:.2f}) {one['verdict']}"
    return _NOTHING


def _cameras(row: Mapping[str, Any]) -> str:
    """How many cameras it served; "≥" where the search did not come to its end."""
    for one in row["figures"]:
        if one["name"] == "cameras":
            ended = one["high"] is not None and one["high"] == one["low"]
            return f"{one['value']:.0f}" if ended else f"≥ {one['value']:.0f}"
    return str(row["status"])


def _said(row: Mapping[str, Any]) -> str:
    words: Iterable[str] = dict.fromkeys(one["code"] for one in row["doubts"])
    failed = () if row["status"] in ("complete", "interrupted") else (row["status"],)
    return ", ".join([*failed, *words])


if __name__ == "__main__":
    main()
