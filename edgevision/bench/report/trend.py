"""Many records of one machine in the order of time: what became quicker or slower over weeks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevision.bench.record import Record
from edgevision.bench.report.compare import TOLERANCE, unusable
from edgevision.bench.report.table import TextTable
from edgevision.bench.report.words import DASH, heading, number, scenario_key, scenario_label, verdict_word

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 24  # of a sparkline: the newest


@dataclass(frozen=True)
class TrendPoint:
    """A figure in one record. ``began``: ISO 8601; ``record``: its id; ``doubted``: it must not be compared, for a
    doubt forbids it or the target failed later in the run."""

    began: str
    record: str
    value: float
    low: float | None
    high: float | None
    doubted: bool


@dataclass(frozen=True)
class TrendLine:
    """A figure of one target in one scenario over time, on one machine and with the same frames, input and allowance.

    ``points``: in the order of time. ``setting``: what tells lines of the same figure apart, such as the CPU; empty where nothing does.
    ``change``: the newest value / the oldest one, without doubted points; None with fewer than two. ``verdict``: "slower" or "faster"
    where the change is more than the tolerance and the bounds of the two points do not meet; "same" where it is less; else "undecided".
    """

    target: str
    scenario: str
    figure: str
    unit: str
    higher_is_better: bool
    setting: str
    points: tuple[TrendPoint, ...]
    change: float | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def trend(records: Sequence[Record], tolerance: float = TOLERANCE) -> list[TrendLine]:
    """One line for each target, scenario and figure; records of other machines or frames make lines of their own.

    A record that is there twice counts once. Lines stand in the order in which they first appear.
    """
    ordered = sorted({record.id: record for record in records}.values(), key=lambda record: moment(record.began))
    points: dict[tuple[str, ...], list[TrendPoint]] = {}
    heads: dict[tuple[str, ...], tuple[str, str, str, str, bool]] = {}
    settings: dict[tuple[str, ...], dict[str, str]] = {}
    for record in ordered:
        for result in record.results:
            setting = _setting(record, result.target)
            doubted = bool(unusable(result))
            for figure in result.figures:
                key: tuple[str, ...] = (
                    result.target,
                    scenario_key(result.scenario),
                    figure.name,
                    figure.unit,
                    json.dumps(setting),
                )
                point = TrendPoint(record.began, record.id, figure.value, figure.low, figure.high, doubted)
                points.setdefault(key, []).append(point)
                label = scenario_label(result.scenario)
                heads.setdefault(key, (result.target, label, figure.name, figure.unit, figure.higher_is_better))
                settings.setdefault(key, setting)
    differing = _differing(list(settings.values()))
    lines = []
    for key, found in points.items():
        told = ", ".join(f"{name} {settings[key][name]}" for name in differing)
        change, verdict = _change(found, tolerance, higher_is_better=heads[key][4])
        lines.append(TrendLine(*heads[key], told, tuple(found), change, verdict))
    return lines


def moment(began: str) -> datetime:
    """The time of a record; one that cannot be read comes first."""
    try:
        found = datetime.fromisoformat(began.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _setting(record: Record, target: str) -> dict[str, str]:
    """What must be alike for two figures to be of one line."""
    machine = record.conditions.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    entry = next((entry for entry in record.targets if entry.name == target), None)
    found = {
        "cpu": str(machine.get("cpu", "unknown")),
        "cores": str(machine.get("cores", "unknown")),
        "frames": str(record.workload.get("sha256", "unknown"))[:12],
    }
    if entry is not None:
        found |= {"threads": str(entry.allowance.threads), "batch": str(entry.allowance.max_batch)}
        if entry.identity is not None:
            found["input"] = "×".join(map(str, entry.identity.input_shape))
    return found


def _differing(settings: Sequence[dict[str, str]]) -> list[str]:
    names = list(dict.fromkeys(name for setting in settings for name in setting))
    return [
        name
        for name in names
        if len({setting.get(name) for setting in settings}) > 1 and all(name in s for s in settings)
    ]


def _change(points: Sequence[TrendPoint], tolerance: float, *, higher_is_better: bool) -> tuple[float | None, str]:
    sound = [point for point in points if not point.doubted]
    if len(sound) < 2 or sound[0].value <= 0:
        return None, "undecided"
    first, last = sound[0], sound[-1]
    change = last.value / first.value
    if 1 / (1 + tolerance) <= change <= 1 + tolerance:
        return change, "same"
    if first.low is None or first.high is None or last.low is None or last.high is None:
        return change, "undecided"
    if first.low <= last.high and last.low <= first.high:
        return change, "undecided"
    return change, "faster" if (change > 1) == higher_is_better else "slower"


def sparkline(values: Sequence[float]) -> str:
    """The newest values as bars, the lowest as the lowest bar; they show the course, not the size.

    >>> sparkline([1, 2, 3, 4, 8]), sparkline([2, 2]), sparkline([])
    ('▁▂▃▄█', '▄▄', '')
    """
    shown = list(values)[-_MOST_BARS:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high <= low:
        return _BARS[3] * len(shown)
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in shown)


def trend_table(lines: Sequence[TrendLine], skipped: Sequence[tuple[Path, str]] = ()) -> TextTable:
    """One line for each figure; ``skipped``: files that are no records, and why."""
    with_setting = any(line.setting for line in lines)
    header = (
        "target",
        "scenario",
        *(("of",) if with_setting else ()),
        "figure",
        "course",
        "runs",
        "first",
        "last",
        "last / first",
        "",
    )
    rows = []
    for line in lines:
        setting = (line.setting,) if with_setting else ()
        change = DASH if line.change is None else number(line.change)
        word = verdict_word(line.verdict, line.unit)
        values = [point.value for point in line.points]
        rows.append(
            (
                line.target, line.scenario, *setting, heading(line.figure, line.unit), sparkline(values), str(len(values)),
                number(values[0]), number(values[-1]), change, word,
            )
        )  # fmt: skip
    doubted = sum(point.doubted for line in lines for point in line.points)
    notes = [f"skipped {path.name}: {reason}" for path, reason in skipped]
    notes += (
        [f"{doubted} values are shown and not judged: a doubt forbids comparing them, or the target failed"]
        if doubted
        else []
    )
    return TextTable("Over time", header, tuple(rows), 4 if not with_setting else 5, tuple(notes))
