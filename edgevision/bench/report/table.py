"""A record as rows: for people, and as plain values without raw samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.bench.record import Comparison, Doubt, Figure, Record, Result, TargetEntry
from edgevision.bench.report.words import (
    DASH,
    bounds,
    byte_size,
    figure_columns,
    figure_text,
    heading,
    number,
    scenario_key,
    scenario_label,
    scenarios_of,
    share,
    verdict_word,
)

_SHORT_HASH = 12
_SWAPPED = {"lower": "higher", "higher": "lower"}


@dataclass(frozen=True)
class Against:
    """How a target stands to the ``reference``: ``ratio`` of the figure named ``figure``, this one's / the reference's.

    ``verdict``: "faster", "slower", "same" or "undecided", by the figure's own direction; of figures that are no speed, "faster" is
    better. ``ended_by``: "decided" or "budget".
    """

    reference: str
    figure: str
    ratio: float
    low: float
    high: float
    confidence: float
    verdict: str
    ended_by: str


@dataclass(frozen=True)
class Row:
    """One target in one scenario. ``kept``: share of requests, 0…1, in which the asking thread stayed on its core, None where unknown;
    ``n``: requests measured; ``rounds``: in so many turns."""

    target: str
    scenario: str
    status: str
    reason: str
    figures: tuple[Figure, ...]
    against: tuple[Against, ...]
    kept: float | None
    n: int
    rounds: int
    doubts: tuple[Doubt, ...]

    @property
    def fatal(self) -> bool:
        """Whether its figures must not be compared."""
        return any(doubt.fatal for doubt in self.doubts)


@dataclass(frozen=True)
class TextTable:
    """A table for ``cli.output.table``: the first ``left`` columns are set left. ``notes``: sentences to be said under it."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    left: int = 1
    notes: tuple[str, ...] = ()


def kept_share(result: Result) -> float | None:
    """Share of the requests, 0…1, in which the asking thread was not taken off its core; None where no block tells."""
    told = [block.switched for block in result.blocks if len(block.switched)]
    total = sum(len(switched) for switched in told)
    return 1.0 - sum(int(switched.sum()) for switched in told) / total if total else None


def rows(record: Record) -> tuple[Row, ...]:
    """All results, in the order of the record. Targets that could not be measured at all have a row with the status "unsupported",
    in each scenario in which they have no result."""
    found = [_row(record, result) for result in record.results]
    seen = {(row.target, row.scenario) for row in found}
    scenarios = list(dict.fromkeys(row.scenario for row in found)) or [DASH]
    for entry in record.targets:
        if entry.unsupported:
            found += [
                Row(entry.name, scenario, "unsupported", entry.unsupported, (), (), None, 0, 0, ())
                for scenario in scenarios
                if (entry.name, scenario) not in seen
            ]
    return tuple(found)


def _row(record: Record, result: Result) -> Row:
    return Row(
        target=result.target,
        scenario=scenario_label(result.scenario),
        status=result.status,
        reason=result.reason,
        figures=result.figures,
        against=_against(record, result),
        kept=kept_share(result),
        n=sum(len(block.latency_ns) for block in result.blocks),
        rounds=len({block.round for block in result.blocks}),
        doubts=result.doubts,
    )


def reference_of(record: Record) -> str:
    """The target that the others are compared with: the first one, unless the comparisons were made with another."""
    names = [entry.name for entry in record.targets]
    common = [
        name for name in names if record.comparisons and all(name in (one.a, one.b) for one in record.comparisons)
    ]
    if names and (not record.comparisons or names[0] in common):
        return names[0]
    return common[0] if common else (names or [""])[0]


def _against(record: Record, result: Result) -> tuple[Against, ...]:
    reference, key = reference_of(record), scenario_key(result.scenario)
    higher = {figure.name: figure.higher_is_better for figure in result.figures}
    found = []
    for one in record.comparisons:
        if scenario_key(one.scenario) != key or {one.a, one.b} != {result.target, reference}:
            continue
        if one.a != result.target:
            one = _turned(one)  # noqa: PLW2901
        verdict = _verdict(one.verdict, higher.get(one.figure, one.figure in ("throughput", "fps", "cameras")))
        found.append(
            Against(reference, one.figure, one.ratio, one.low, one.high, one.confidence, verdict, one.ended_by)
        )
    return tuple(found) if result.target != reference else ()


def _turned(one: Comparison) -> Comparison:
    """The same said of ``b`` / ``a``."""
    return Comparison(
        one.b, one.a, one.scenario, one.figure, _inverse(one.ratio), _inverse(one.high), _inverse(one.low), one.confidence,
        one.rounds, _SWAPPED.get(one.verdict, one.verdict), one.ended_by,
    )  # fmt: skip


def _inverse(value: float) -> float:
    return 1 / value if value else float("inf")


def _verdict(verdict: str, higher_is_better: bool) -> str:
    words = {"lower": "faster", "higher": "slower", "equal": "same"}
    if higher_is_better:
        words |= {"lower": "slower", "higher": "faster"}
    return words.get(verdict, verdict)


# ---- for people ----


def tables(record: Record) -> tuple[TextTable, ...]:
    """What was measured, and then one table for each scenario."""
    return (identity_table(record), *(scenario_table(record, results) for results in scenarios_of(record).values()))


IDENTITY = ("target", "file", "sha256", "size", "precision", "engine", "provider", "threads", "batch", "input")


def identity_table(record: Record) -> TextTable:
    """What each target is, as it was found inside: one line each."""
    notes = [f"{entry.name}: {note}" for entry in record.targets if entry.identity for note in entry.identity.notes]
    return TextTable(
        "What was measured",
        IDENTITY,
        tuple(identity_line(entry) for entry in record.targets),
        len(IDENTITY),
        tuple(notes),
    )


def identity_line(entry: TargetEntry) -> tuple[str, ...]:
    """A target in the columns of ``IDENTITY``; one that could not be measured says why."""
    found = entry.identity
    if found is None:
        return (entry.name, entry.address, *[DASH] * 6, str(entry.allowance.max_batch), unsupported(entry.unsupported))
    shape = "×".join(str(size) for size in found.input_shape) or DASH
    return (
        entry.name, found.file or entry.address, found.sha256[:_SHORT_HASH] or DASH, byte_size(found.bytes), found.precision or DASH,
        found.engine or DASH, found.provider or DASH, str(found.threads), str(entry.allowance.max_batch), shape,
    )  # fmt: skip


def scenario_table(record: Record, results: Sequence[Result]) -> TextTable:
    """The targets in one scenario: figures with bounds, how they stand to the reference, how far to believe them."""
    columns = figure_columns(results)
    reference = reference_of(record)
    label = scenario_label(results[0].scenario)
    chosen = [row for row in rows(record) if row.scenario == label]
    compared = any(row.against for row in chosen)
    header = ("target", *(heading(name, unit) for name, unit in columns.items()))
    header += (f"against {reference}",) if compared else ()
    lines = []
    for row in chosen:
        cells = [row.target, *(figure_text(_named(row, name)) for name in columns)]
        if not row.figures:
            cells[1:] = [row.status, *[DASH] * (len(columns) - 1)] if columns else []
        cells += ["; ".join(against_text(one, columns) for one in row.against) or DASH] if compared else []
        lines.append((*cells, share(row.kept), f"{row.n} in {row.rounds}", doubts_text(row)))
    notes = [f"{row.target}: {status_text(row)}" for row in chosen if row.status != "complete"]
    notes += [f"{row.target}, {figure.name}: {figure.note}" for row in chosen for figure in row.figures if figure.note]
    notes += [f"{row.target}: {doubt.code}: {doubt.text}" for row in chosen for doubt in row.doubts]
    return TextTable(label, (*header, "kept", "n in rounds", "doubts"), tuple(lines), 1, tuple(dict.fromkeys(notes)))


def _named(row: Row, name: str) -> Figure | None:
    return next((figure for figure in row.figures if figure.name == name), None)


def status_text(row: Row) -> str:
    """Why there is no figure, or why it is not of a whole run."""
    return f"{row.status} ({row.reason})" if row.reason else row.status


def unsupported(reason: str) -> str:
    """Why a target could not be measured at all.

    >>> unsupported("openvino is not installed")
    'unsupported (openvino is not installed)'
    """
    return f"unsupported ({reason})"


def against_text(one: Against, units: dict[str, str]) -> str:
    """A ratio with its interval and what it means."""
    word = verdict_word(one.verdict, units.get(one.figure, "ms"))
    why = " (time was spent)" if one.verdict == "undecided" and one.ended_by == "budget" else ""
    return f"{one.figure} {number(one.ratio)}× ({bounds(one.low, one.high)}) {word}{why}"


def doubts_text(row: Row) -> str:
    """The codes of the doubts; "!" marks one that forbids comparing."""
    return ", ".join(f"{doubt.code}!" if doubt.fatal else doubt.code for doubt in row.doubts) or DASH


# ---- for programs ----


def record_values(record: Record) -> dict[str, Any]:
    """Plain JSON values: everything but raw samples, which are in the record's file."""
    return {
        "schema": record.schema,
        "id": record.id,
        "command": record.command,
        "began": record.began,
        "ended": record.ended,
        "status": record.status,
        "workload": dict(record.workload),
        "conditions": dict(record.conditions),
        "reference": reference_of(record),
        "targets": [_target_values(entry) for entry in record.targets],
        "rows": [asdict(row) for row in rows(record)],
        "doubts": [asdict(doubt) for doubt in record.doubts],
    }


def _target_values(entry: TargetEntry) -> dict[str, Any]:
    found = entry.identity
    identity = None
    if found is not None:
        identity = {name: getattr(found, name) for name in found.__dataclass_fields__} | {
            "versions": dict(found.versions)
        }
    return {
        "name": entry.name,
        "address": entry.address,
        "allowance": asdict(entry.allowance),
        "unsupported": entry.unsupported,
        "identity": identity,
    }
