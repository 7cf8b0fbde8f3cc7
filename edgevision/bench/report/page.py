"""A record, and a trend, as one HTML page each: no script, no network, light and dark. Everything is made from the record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from edgevision.bench.record import Figure, Record, Result
from edgevision.bench.report import plots
from edgevision.bench.report.table import (
    Against,
    Row,
    TextTable,
    identity_table,
    reference_of,
    rows,
    status_text,
)
from edgevision.bench.report.trend import TrendLine, moment, trend_table
from edgevision.bench.report.words import (
    bounds,
    figure_columns,
    flat,
    heading,
    number,
    scenario_label,
    scenarios_of,
    share,
    verdict_word,
)
from edgevision.bench.scenarios.base import Block
from edgevision.bench.session.figures import served_by_camera
from edgevision.evaluate.page import html

_T = TypeVar("_T")
_TONES: Mapping[str, Literal["good", "bad", "plain"]] = {"faster": "good", "slower": "bad"}


def record_page(record: Record) -> str:
    """One page. The same record gives the same text. Raises MissingExtraError without matplotlib."""
    sections = [html.Section("In short", tuple(_short(record)))]
    sections += [
        html.Section(scenario_label(results[0].scenario), tuple(_scenario(record, results)))
        for results in scenarios_of(record).values()
        if any(result.figures or result.reason or result.doubts for result in results)
    ]
    if both := tuple(_throughput(record)):
        sections.append(html.Section("Throughput and latency", both))
    sections.append(html.Section("What was measured", tuple(_targets(record))))
    sections.append(html.Section("The frames and the machine", tuple(_conditions(record))))
    names = ", ".join(entry.name for entry in record.targets) or "no target"
    return html.html_page("Benchmark", sections, subtitle=f"{names}; {record.began} to {record.ended}")


# ---- the parts ----


def _short(record: Record) -> Iterator[html.Block]:
    if record.status != "complete":
        yield html.Text(
            f"This run is {record.status}: figures are of what was measured until then. edgevision bench --resume goes on with it.",
            "warning",
        )
    for doubt in record.doubts:
        yield html.Text(f"{doubt.code}: {doubt.text}", "bad" if doubt.fatal else "warning")
    told = list(rows(record))
    fatal = dict.fromkeys(
        f"{row.target} in {row.scenario}: {doubt.text}" for row in told for doubt in row.doubts if doubt.fatal
    )
    for text in fatal:
        yield html.Text(f"Not to be compared: {text}", "bad")
    lines = tuple(
        (
            row.target,
            row.scenario,
            one.figure,
            _against_cell(one),
            bounds(one.low, one.high),
            _verdict_cell(one, _unit_of(row, one)),
        )
        for row in told
        for one in row.against
    )
    if lines:
        confidence = 100 * next(one.confidence for row in told for one in row.against)
        yield html.Table(
            ("target", "scenario", "figure", f"ratio to {reference_of(record)}", "interval", "verdict"), lines,
            f"Targets took turns in one run; the interval holds the true ratio with {confidence:g} % confidence. Under 1 is quicker where the figure is a time, and slower where it is a rate.",
        )  # fmt: skip
    elif not fatal:
        yield html.Text("No two targets were compared.")
    yield html.Text(
        "All raw samples are in the record's file. This page is made from it alone, again at any time, by: edgevision bench show RECORD --html FILE"
    )


def _against_cell(one: Against) -> html.Cell:
    return html.Rich(one.ratio, shown=f"{number(one.ratio)}×")


def _verdict_cell(one: Against, unit: str) -> html.Cell:
    if one.verdict == "undecided":
        return html.Rich(
            "undecided", shown="undecided: the time was spent" if one.ended_by == "budget" else "", tone="warning"
        )
    return html.Rich(verdict_word(one.verdict, unit), tone=_TONES.get(one.verdict, "plain"))


def _unit_of(row: Row, one: Against) -> str:
    return next((figure.unit for figure in row.figures if figure.name == one.figure), "ms")


def _scenario(record: Record, results: Sequence[Result]) -> Iterator[html.Block]:
    label = scenario_label(results[0].scenario)
    chosen = [row for row in rows(record) if row.scenario == label]
    yield _figures_table(record, chosen, results)
    for row in chosen:
        for doubt in row.doubts:
            yield html.Text(f"{row.target}: {doubt.code}: {doubt.text}", "bad" if doubt.fatal else "warning")
    searched = any(_is_search(result) for result in results)
    what = "age of results" if any(_has_cameras(result) for result in results) else "latency"
    if searched:
        yield from _density(results)
    else:
        latencies = {result.target: _latencies(result) for result in results if result.blocks}
        if any(len(values) for values in latencies.values()):
            yield html.Figure(
                plots.latency_distribution(latencies, what), f"Where the {what} lies",
                f"All requests of all rounds, {_spoken(latencies)}. The wider the band, the more requests.",
            )  # fmt: skip
    stages = {result.target: plots.middle_stages(result.blocks) for result in results}
    stages = {name: found for name, found in stages.items() if found}
    if stages and not searched:
        spoken = "; ".join(
            f"{name}: " + ", ".join(f"{part} {number(ms)} ms" for part, ms in found.items())
            for name, found in stages.items()
        )
        yield html.Figure(
            plots.stages_stacked(stages), "Stages of a request",
            f"Means over the middle half of the requests; rest: what no stage accounts for. {spoken}.",
        )  # fmt: skip
    if not searched:  # a search asks for more and more: its ages over time say nothing of the machine
        yield from _over_time(record, results, what)


def _figures_table(record: Record, chosen: Sequence[Row], results: Sequence[Result]) -> html.Block:
    columns = figure_columns(results)
    compared = any(row.against for row in chosen)
    header: tuple[str, ...] = ("target", *((f"to {reference_of(record)}",) if compared else ()))
    header += tuple(heading(name, unit) for name, unit in columns.items())
    header += ("kept", "requests", "rounds")
    lines: list[tuple[html.Cell, ...]] = []
    for row in chosen:
        cells: list[html.Cell] = [html.Rich(row.target, tone="strong"), *([_first_against(row)] if compared else [])]
        if row.figures:
            cells += [_figure_cell(_named(row, name)) for name in columns]
        else:
            cells += [html.Rich(status_text(row), tone="warning"), *[None] * (len(columns) - 1)] if columns else []
        cells += [html.Rich(row.kept, shown=share(row.kept)), row.n, row.rounds]
        lines.append(tuple(cells))
    notes = [
        f"{row.target}: {status_text(row)}"
        for row in chosen
        if row.status != "complete" and (row.figures or not columns)
    ]
    notes += [f"{row.target}, {figure.name}: {figure.note}" for row in chosen for figure in row.figures if figure.note]
    caption = "Kept: share of requests in which the asking thread was not taken off its core. In brackets: bounds."
    return html.Table(header, tuple(lines), " ".join([caption, *(f"{note}." for note in dict.fromkeys(notes))]))


def _first_against(row: Row) -> html.Cell:
    """The comparison that decided; the others stand at the top of the page."""
    if not row.against:
        return None
    one = row.against[0]
    word = verdict_word(one.verdict, _unit_of(row, one))
    title = f"{one.figure}: {bounds(one.low, one.high)}"
    return html.Rich(one.verdict, f"{number(one.ratio)}× {word}", title, tone=_TONES.get(one.verdict, "plain"))


def _named(row: Row, name: str) -> Figure | None:
    return next((figure for figure in row.figures if figure.name == name), None)


def _figure_cell(figure: Figure | None) -> html.Cell:
    if figure is None:
        return None
    span = bounds(figure.low, figure.high)
    shown = f"{number(figure.value)} ({span})" if span else number(figure.value)
    said = f"n = {figure.n}, bounds at {100 * figure.confidence:g} % confidence"
    return html.Rich(figure.value, shown=shown, title="; ".join(filter(None, [said, figure.note])))


def _is_search(result: Result) -> bool:
    """Whether its blocks were asked for different numbers of cameras."""
    return any(block.scenario.name != result.scenario.name for block in result.blocks)


def _has_cameras(result: Result) -> bool:
    return any(block.offered for block in result.blocks)


def _latencies(result: Result) -> npt.NDArray[np.float64]:
    found = [block.latency_ns for block in result.blocks if len(block.latency_ns)]
    values = np.concatenate(found).astype(np.float64) / 1e6 if found else np.zeros(0)
    return np.maximum(values, plots.LEAST_MS)


def _spoken(latencies: Mapping[str, npt.NDArray[np.float64]]) -> str:
    """The picture in words, for who does not see it."""
    said = [
        f"{name}: median {number(float(np.median(values)))} ms, from {number(float(values.min()))} to {number(float(values.max()))} ms"
        for name, values in latencies.items()
        if len(values)
    ]
    return "; ".join(said)


def probes_of(result: Result) -> list[plots.Probe]:
    """How the target did at each number of cameras that was tried, all tries of it together: the worst-served camera on average over
    tries, and the age p99 of all results."""
    by_cameras: dict[int, list[Block]] = {}
    for block in result.blocks:
        by_cameras.setdefault(int(block.scenario.parameters.get("cameras", 0)), []).append(block)
    found = []
    for cameras, blocks in sorted(by_cameras.items()):
        ages = np.concatenate([block.latency_ns for block in blocks])
        served = float(np.mean([min(served_by_camera(block), default=0.0) for block in blocks]))
        age_ms = float(np.quantile(ages, 0.99, method="inverted_cdf")) / 1e6 if len(ages) else float("nan")
        found.append(plots.Probe(cameras, served, age_ms))
    return found


def _density(results: Sequence[Result]) -> Iterator[html.Block]:
    probes = {result.target: probes_of(result) for result in results if result.blocks}
    parameters = results[0].scenario.parameters
    limits = {"age_limit_ms": parameters.get("age_ms"), "share_limit": parameters.get("share")}
    said = (
        "The dotted lines are what is asked for."
        if any(limits.values())
        else "Each point is one number of cameras that was tried."
    )
    for place, few in _in_fours(probes):
        yield html.Figure(plots.density_curve(few, **limits), f"How it goes with more cameras{place}", said)
    lines = tuple(
        (name, one.cameras, html.Rich(100 * one.served), one.age_ms) for name, found in probes.items() for one in found
    )
    yield html.Table(
        ("target", "cameras", "worst camera, % of frames served", "age p99, ms"),
        lines,
        f"All {len(lines)} numbers of cameras that were tried",
        folded=True,
    )


def _over_time(record: Record, results: Sequence[Result], what: str) -> Iterator[html.Block]:
    began = [block.began_ns for result in record.results for block in result.blocks]
    blocks = {
        result.target: result.blocks for result in results if any(len(block.latency_ns) for block in result.blocks)
    }
    for place, few in _in_fours(blocks):
        yield html.Figure(
            plots.samples_over_time(few, min(began), what), f"The {what} over the run{place}",
            "Medians of short pieces of time. A slope, or steps that all targets have, are the machine's.",
        )  # fmt: skip


def _in_fours(values: Mapping[str, _T]) -> Iterator[tuple[str, dict[str, _T]]]:
    """As many as one picture can tell apart, with what to add to its title."""
    names = list(values)
    size = plots.MOST_SERIES
    for start in range(0, len(names), size):
        chosen = names[start : start + size]
        place = f" (targets {start + 1} to {start + len(chosen)} of {len(names)})" if len(names) > size else ""
        yield place, {name: values[name] for name in chosen}


def _throughput(record: Record) -> Iterator[html.Block]:
    both = [
        (row, latency.value, rate.value)
        for row in rows(record)
        if (latency := _named(row, "p90")) and (rate := _named(row, "throughput")) and not row.fatal
        if latency.value > 0 and rate.value > 0
    ]
    several = len({row.scenario for row, _, _ in both}) > 1
    points = [
        plots.Speed(
            f"{row.target}, {row.scenario}" if several else row.target,
            latency,
            rate,
            row.target == reference_of(record),
        )
        for row, latency, rate in both
    ]
    if points:
        yield html.Figure(
            plots.throughput_latency(points), "Frames a second by latency",
            f"Up and to the left is better. The diamonds are {reference_of(record)}, which others are compared with. The numbers stand in the tables of the scenarios.",
        )  # fmt: skip


def _targets(record: Record) -> Iterator[html.Block]:
    table = identity_table(record)
    yield html.Table(table.header, tuple(tuple(line) for line in table.lines))
    for note in table.notes:
        yield html.Text(note)
    lines = tuple(
        (
            entry.name,
            entry.address,
            entry.identity.sha256 or None,
            ", ".join(f"{k} {v}" for k, v in entry.identity.versions.items()) or None,
        )
        for entry in record.targets
        if entry.identity
    )
    if lines:
        yield html.Table(
            ("target", "address", "sha256", "versions"), lines, "Addresses, whole hashes and versions", folded=True
        )


def _conditions(record: Record) -> Iterator[html.Block]:
    yield html.Table(("frames", ""), tuple(flat(record.workload)))
    yield html.Table(
        ("machine", ""),
        tuple(flat(record.conditions)),
        "What it was like before, during and after; a dash is what could not be read",
    )
    asked = (
        ("command", record.command),
        ("record", record.id),
        ("schema", str(record.schema)),
        ("status", record.status),
    )
    yield html.Table(("run", ""), asked)


# ---- trend ----


def trend_page(lines: Sequence[TrendLine], skipped: Sequence[tuple[Path, str]] = ()) -> str:
    """Figures over time as a page: a picture for each figure of a scenario. Raises MissingExtraError without matplotlib."""
    sections = []
    groups: dict[tuple[str, str, str, str], list[TrendLine]] = {}
    for line in lines:
        groups.setdefault((line.scenario, line.setting, line.figure, line.unit), []).append(line)
    by_scenario: dict[str, list[html.Figure]] = {}
    for (scenario, setting, name, unit), group in groups.items():
        drawn = {line.target: [(moment(p.began), p.value, p.low, p.high) for p in line.points] for line in group}
        title = heading(name, unit) + (f" ({setting})" if setting else "")
        for place, few in _in_fours(drawn):
            spoken = "; ".join(
                f"{line.target}: {number(line.points[0].value)} to {number(line.points[-1].value)}"
                for line in group
                if line.target in few
            )
            figure = html.Figure(
                plots.figure_over_time(few, heading(name, unit)), title + place, f"First to last: {spoken}."
            )
            by_scenario.setdefault(scenario, []).append(figure)
    told = trend_table(lines, skipped)
    sections = [html.Section("All figures", (_text_table(told), *(html.Text(note, "warning") for note in told.notes)))]
    sections += [html.Section(scenario, (html.Side(tuple(figures)),)) for scenario, figures in by_scenario.items()]
    runs = sorted({point.began for line in lines for point in line.points}, key=moment)
    return html.html_page(
        "Benchmark over time", sections, f"{len(runs)} runs, {runs[0]} to {runs[-1]}" if runs else "no runs"
    )


def _text_table(table: TextTable) -> html.Table:
    return html.Table(tuple(name or "verdict" for name in table.header), tuple(tuple(line) for line in table.lines))
