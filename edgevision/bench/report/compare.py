"""Two records compared, figure by figure: did something become slower? What must not be compared is refused, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevision.bench.conditions.rules import MACHINE, machine_differences, shown
from edgevision.bench.record import Figure, Record, Result, TargetEntry
from edgevision.bench.report.resampling import LEAST_ROUNDS, Draws, median_draws, percentile_draws, ratio_limits
from edgevision.bench.report.table import TextTable
from edgevision.bench.report.words import DASH, bounds, heading, number, scenario_key, scenario_label, verdict_word
from edgevision.bench.session.figures import figures_of
from edgevision.errors import InputError

TOLERANCE = 0.05
CONFIDENCE = 0.95

SLOWER, FASTER, SAME, UNDECIDED = "slower", "faster", "same", "undecided"
REFUSED, BROKEN = "refused", "broken"

_PERCENTILE = re.compile(r"(?:^| )p(\d+(?:\.\d+)?)$")
_SEARCHED = "cameras"  # a figure that a search found: its bounds say between which numbers it was left
_SAID_ELSEWHERE = frozenset({"dropped"})  # fps says the same, and is never 0 where something works


@dataclass(frozen=True)
class RecordComparison:
    """A figure of one target in one scenario, in the new record and in the old.

    ``ratio``: new / old, with the interval at ``confidence``; None where there is none. ``verdict``: "slower": the whole interval is
    worse than the old figure by more than the tolerance ("worse" by the figure's own direction: fewer frames a second, fewer cameras);
    "faster": the same the other way; "same": the interval lies within the tolerance; "undecided": it reaches over its edge; "refused":
    it must not be compared; "broken": the old run has a figure that may be used, and the new one has not. ``reason``: why, of the last three.
    """

    target: str
    scenario: str
    figure: str
    unit: str
    old: float | None
    new: float | None
    ratio: float | None
    low: float | None
    high: float | None
    confidence: float
    verdict: str
    reason: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether a user's CI should stop here."""
        return self.verdict in (SLOWER, BROKEN)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare_records(
    old: Record, new: Record, *, tolerance: float = TOLERANCE, across_machines: bool = False, confidence: float = CONFIDENCE, seed: int = 0,
) -> list[RecordComparison]:  # fmt: skip
    """Every figure of both records, in the order of the new one; what is in one of them alone stands at the end, refused.

    ``tolerance``: a share, such as 0.05; two runs of the same thing differ by some percent though nothing was changed, and what lies
    within it is "same". ``across_machines``: compare though the machines differ. ``seed``: of the bootstrap.

    Raises InputError where nothing in the two records may be compared: other frames, another machine.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"expected a tolerance between 0 and 1 (0 and 100 %), got {tolerance:g}")
    _check_records(old, new, across_machines)
    before = {(result.target, scenario_key(result.scenario)): result for result in old.results}
    entries = {entry.name: entry for entry in old.targets}, {entry.name: entry for entry in new.targets}
    found: list[RecordComparison] = []
    seen = set()
    for result in new.results:
        key = (result.target, scenario_key(result.scenario))
        seen.add(key)
        if key not in before:
            if result.figures:
                found.append(_whole(result, REFUSED, "only in the new record"))
            continue
        found += _compare_results(before[key], result, entries, tolerance, confidence, seed)
    for key, result in before.items():
        if key not in seen and result.figures:
            found.append(_gone(result, entries[1].get(result.target)))
    return sorted(found, key=lambda one: one.reason.startswith("only in"))


def _check_records(old: Record, new: Record, across_machines: bool) -> None:
    """What makes all figures of two records incomparable."""
    hashes = [record.workload.get("sha256") for record in (old, new)]
    if not hashes[0] or hashes[0] != hashes[1]:
        raise InputError(
            f"the two runs did not see the same frames: {_workload(old)} and {_workload(new)}. Run again with the same --data and options"
        )
    differing = machine_differences(old.conditions, new.conditions)
    if differing and not across_machines:
        raise InputError(
            f"the two runs were on different machines: {'; '.join(differing)}. Compare runs of one machine, or give --across-machines"
        )


def _workload(record: Record) -> str:
    said = record.workload
    return f"{said.get('name', 'frames')} ({said.get('count', '?')} frames, sha256 {str(said.get('sha256', '?'))[:12]})"


Entries = tuple[Mapping[str, TargetEntry], Mapping[str, TargetEntry]]


def _compare_results(
    old: Result, new: Result, entries: Entries, tolerance: float, confidence: float, seed: int
) -> list[RecordComparison]:
    if reason := unusable(old):
        return [_whole(new, REFUSED, f"in the old record {reason}")] if old.figures or new.figures else []
    if reason := unusable(new):
        return [_whole(new, BROKEN, f"in the new record {reason}")]
    if reason := _changed_terms(entries[0].get(old.target), entries[1].get(new.target)):
        return [_whole(new, REFUSED, reason)]
    names = {figure.name: figure for figure in old.figures if figure.name not in _SAID_ELSEWHERE}
    found = [
        _compare_figure(old, new, names[figure.name], figure, tolerance, confidence, seed)
        for figure in new.figures
        if figure.name in names
    ]
    lost = [figure for name, figure in names.items() if name not in {one.name for one in new.figures}]
    found += [_told(new, figure, figure.value, None, BROKEN, "the new record does not have it") for figure in lost]
    return found


def unusable(result: Result) -> str:
    """Why no figure of a result may be compared with others; empty where they may."""
    fatal = [f"{doubt.code}: {doubt.text}" for doubt in result.doubts if doubt.fatal]
    if fatal:
        return "; ".join(fatal)
    if (
        not result.figures or result.status == "failed"
    ):  # in the middle too: what it was until then is not what a user gets
        return f"it is {result.status} ({result.reason})" if result.reason else f"it has no figure ({result.status})"
    return ""


def _changed_terms(old: TargetEntry | None, new: TargetEntry | None) -> str:
    """What was asked of the target differs: then its figures say nothing of the target. Empty where it is the same."""
    if old is None or new is None or old.identity is None or new.identity is None:
        return "a record does not say what the target was"
    if old.identity.input_shape != new.identity.input_shape:
        shapes = [" × ".join(map(str, one.identity.input_shape)) or "unknown" for one in (old, new) if one.identity]
        return f"its input was {shapes[0]} and is {shapes[1]}: fewer pixels are less work"
    if old.identity.task != new.identity.task:
        return f"its task was {old.identity.task} and is {new.identity.task}"
    if old.allowance != new.allowance:
        terms = [f"{one.allowance.threads} threads and batch {one.allowance.max_batch}" for one in (old, new)]
        return f"it was allowed {terms[0]}, and now {terms[1]}"
    return ""


def _compare_figure(
    old: Result, new: Result, before: Figure, after: Figure, tolerance: float, confidence: float, seed: int
) -> RecordComparison:
    if before.unit != after.unit or before.higher_is_better != after.higher_is_better:
        return _told(
            new, after, before.value, after.value, REFUSED, "the two records mean different things by this figure"
        )
    if before.value <= 0 or after.value <= 0:
        return _of_nothing(new, before, after)
    ratio = after.value / before.value
    if after.name == _SEARCHED:
        limits, reason = _search_limits(before, after)
    else:
        limits, reason = _sampled_limits(old, new, after.name, ratio, confidence, seed)
    if limits is None:
        return _told(new, after, before.value, after.value, UNDECIDED, reason, ratio)
    verdict = judge(*limits, tolerance, higher_is_better=after.higher_is_better)
    if verdict == UNDECIDED:
        reason = "the interval reaches over the edge of the tolerance: measure longer"
    return RecordComparison(
        new.target, scenario_label(new.scenario), after.name, after.unit, before.value, after.value, ratio, *limits, confidence,
        verdict, reason,
    )  # fmt: skip


def judge(low: float, high: float, tolerance: float, *, higher_is_better: bool) -> str:
    """The verdict on a ratio new / old that lies in ``low``…``high``.

    >>> [judge(*limits, 0.05, higher_is_better=False) for limits in ((1.06, 1.2), (0.8, 0.9), (0.98, 1.03), (1.01, 1.2))]
    ['slower', 'faster', 'same', 'undecided']
    """
    least, most = 1 / (1 + tolerance), 1 + tolerance
    if least <= low and high <= most:
        return SAME
    if low > most:
        return FASTER if higher_is_better else SLOWER
    if high < least:
        return SLOWER if higher_is_better else FASTER
    return UNDECIDED


def _of_nothing(new: Result, before: Figure, after: Figure) -> RecordComparison:
    """A figure that is 0 in one of the records has no ratio."""
    if before.value == after.value:
        return _told(new, after, before.value, after.value, SAME, "both are 0")
    if after.higher_is_better == (after.value > before.value):
        return _told(new, after, before.value, after.value, FASTER, "the old one is 0")
    return _told(
        new, after, before.value, after.value, SLOWER, "the new one is 0" if after.value <= 0 else "the old one is 0"
    )


def _search_limits(before: Figure, after: Figure) -> tuple[tuple[float, float] | None, str]:
    """Of a whole number that a search found. One camera more or less between two runs is chance."""
    if None in (before.low, before.high, after.low, after.high):
        return None, "a search did not come to its end: measure longer"
    assert before.low is not None
    assert before.high is not None
    assert after.low is not None
    assert after.high is not None
    least, most = max(after.low - 1, 0.5), after.high + 1
    ratio = after.value / before.value
    if before.value == after.value and before.low == before.high and after.low == after.high:
        return (ratio, ratio), ""
    return (min(ratio, least / max(before.high, 0.5)), max(ratio, most / max(before.low, 0.5))), ""


def _sampled_limits(
    old: Result, new: Result, name: str, ratio: float, confidence: float, seed: int
) -> tuple[tuple[float, float] | None, str]:
    draws = []
    for place, result in enumerate((old, new)):
        # One stream of chance for each record: what is drawn of one says nothing of the other.
        made = _draws(result, name, np.random.default_rng((seed, place)))
        if made is None:
            rounds = len(_measured(result))
            return (
                None,
                f"{rounds} rounds say too little of how rounds differ, {LEAST_ROUNDS} are needed: measure longer",
            )
        draws.append(made)
    rounds = min(len(_measured(result)) for result in (old, new))
    return ratio_limits(ratio, draws[1], draws[0], rounds, confidence), ""


def _measured(result: Result) -> list[Any]:
    return [block for block in result.blocks if len(block.latency_ns)]


def _draws(result: Result, name: str, rng: np.random.Generator) -> tuple[float, Draws] | None:
    """The figure as other rounds might have shown it; None with too few rounds."""
    blocks = _measured(result)
    if len(blocks) < LEAST_ROUNDS:
        return None
    if match := _PERCENTILE.search(name):
        return percentile_draws([block.latency_ns for block in blocks], float(match[1]) / 100, rng)
    values = [
        figure.value for block in blocks for figure in figures_of(result.scenario, (block,)) if figure.name == name
    ]
    values = [value for value in values if value > 0]
    return median_draws(values, rng) if len(values) >= LEAST_ROUNDS else None


def _told(
    new: Result, figure: Figure, old_value: float | None, new_value: float | None, verdict: str, reason: str, ratio: float | None = None,
) -> RecordComparison:  # fmt: skip
    return RecordComparison(
        new.target, scenario_label(new.scenario), figure.name, figure.unit, old_value, new_value, ratio, None, None, CONFIDENCE, verdict, reason,
    )  # fmt: skip


def _whole(result: Result, verdict: str, reason: str) -> RecordComparison:
    """Of all figures of a result at once."""
    return RecordComparison(
        result.target,
        scenario_label(result.scenario),
        "all figures",
        "",
        None,
        None,
        None,
        None,
        None,
        CONFIDENCE,
        verdict,
        reason,
    )


def _gone(result: Result, now: TargetEntry | None) -> RecordComparison:
    if now is not None and now.unsupported:
        return _whole(result, BROKEN, f"in the new record it is unsupported ({now.unsupported})")
    return _whole(result, REFUSED, "only in the old record")


# ---- for people ----

_ORDER = (SLOWER, BROKEN, UNDECIDED, FASTER, SAME)


def headline(found: Sequence[RecordComparison]) -> str:
    """How many figures have which verdict, in one line.

    >>> headline([])
    'nothing could be compared'
    """
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in (*_ORDER, REFUSED)}
    if not any(counts[verdict] for verdict in _ORDER):
        return "nothing could be compared"
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def comparison_tables(old: Record, new: Record, found: Sequence[RecordComparison]) -> tuple[TextTable, ...]:
    """Three tables: what changed between the two runs besides speed, the figures that were compared, and those that were not."""
    compared = [one for one in found if one.verdict in _ORDER and one.figure != "all figures"]
    lines = tuple(
        (
            one.target, one.scenario, heading(one.figure, one.unit), _number(one.old), _number(one.new), _ratio(one),
            verdict_word(one.verdict, one.unit),
        )
        for one in compared
    )  # fmt: skip
    notes = tuple(dict.fromkeys(f"{one.verdict}: {one.reason}" for one in compared if one.reason))
    left_out = tuple(
        (one.target, one.scenario, one.figure, one.verdict, one.reason) for one in found if one not in compared
    )
    made = [TextTable("What is different", ("", "old", "new"), _differences(old, new), 3)]
    if lines:
        made.append(
            TextTable(headline(found), ("target", "scenario", "figure", "old", "new", "new / old", ""), lines, 3, notes)
        )
    if left_out:
        made.append(TextTable("Not compared", ("target", "scenario", "figure", "", "why"), left_out, 5))
    return tuple(made)


def _number(value: float | None) -> str:
    return DASH if value is None else number(value)


def _ratio(one: RecordComparison) -> str:
    if one.ratio is None:
        return DASH
    span = bounds(one.low, one.high)
    return f"{number(one.ratio)} ({span})" if span else number(one.ratio)


def _differences(old: Record, new: Record) -> tuple[tuple[str, str, str], ...]:
    """What a reader must know before the figures: dates, machines, files, precision, versions."""
    lines = [("began", old.began, new.began), ("status", old.status, new.status)]
    machines = [record.conditions.get("machine") for record in (old, new)]
    one, other = (machine if isinstance(machine, Mapping) else {} for machine in machines)
    lines += [
        (name, shown(one.get(name, DASH)), shown(other.get(name, DASH)))
        for name in (*MACHINE, "system")
        if one.get(name) != other.get(name)
    ]
    before = {entry.name: entry.identity for entry in old.targets}
    for entry in new.targets:
        was, now = before.get(entry.name), entry.identity
        if was is None or now is None:
            continue
        pairs = [
            ("file", was.sha256[:12] or was.file, now.sha256[:12] or now.file),
            ("precision", was.precision, now.precision),
            ("engine", was.engine, now.engine),
            ("provider", was.provider, now.provider),
            *(
                (name, was.versions.get(name, DASH), now.versions.get(name, DASH))
                for name in sorted({*was.versions, *now.versions})
            ),
        ]
        lines += [(f"{entry.name}: {name}", a or DASH, b or DASH) for name, a, b in pairs if a != b]
    return tuple(lines)
