"""How a record's values are written for people: scenarios, figures with their bounds, shares, ratios."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.bench.record import Figure, Record, Result
from edgevision.bench.scenarios.base import Scenario

# How long a block is and when it ends: the harness chooses them for each target and run, and they do not change what is asked.
_LENGTHS = frozenset({"seconds", "most_requests", "settle"})

# How carefully a search went: part of what was asked, and no part of a heading.
_EFFORT = frozenset({"repeats", "probe_seconds", "workers", "rule"})  # the rule stands by its value alone

# What a slower target has more of. Everything else says "better" and "worse".
_SPEED_UNITS = frozenset({"ns", "µs", "us", "ms", "s", "frames/s", "requests/s", "fps", "1/s"})

DASH = "–"


def scenario_key(scenario: Scenario) -> str:
    """What two runs must have alike for their figures to be of the same scenario: name and parameters, without lengths and seed.

    >>> scenario_key(Scenario("fixed-rate", {"fps": 15.0, "cameras": 4, "seconds": 0.7}))
    'fixed-rate {"cameras": 4, "fps": 15}'
    """
    asked = {name: _whole(value) for name, value in scenario.parameters.items() if name not in _LENGTHS}
    return f"{scenario.name} {json.dumps(asked, sort_keys=True, default=str)}" if asked else scenario.name


def scenario_label(scenario: Scenario) -> str:
    """The scenario for people: short, and so without what only says how carefully a search went.

    >>> scenario_label(Scenario("fixed-rate", {"cameras": 4, "fps": 15.0, "seconds": 0.7}))
    'fixed-rate, cameras 4, fps 15'
    """
    hidden = _LENGTHS | _EFFORT
    asked = [f"{name} {_plain(value)}" for name, value in scenario.parameters.items() if name not in hidden]
    rule = str(scenario.parameters.get("rule", ""))
    return ", ".join([scenario.name, *filter(None, [rule]), *asked])


def scenarios_of(record: Record) -> dict[str, list[Result]]:
    """The results by ``scenario_key``, in the order in which they stand in the record."""
    found: dict[str, list[Result]] = {}
    for result in record.results:
        found.setdefault(scenario_key(result.scenario), []).append(result)
    return found


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits that count, and no exponent where people would not expect one; whole numbers as such.

    >>> [number(x) for x in (0.012345, 1.2345, 123.45, 12345.6, 4.0, math.inf)]
    ['0.0123', '1.23', '123', '12346', '4', '∞']
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value.is_integer() and abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    size = math.floor(math.log10(abs(value)))
    if size < -6 or size > 11:
        return f"{value:.{digits}g}".replace("-", "−")
    return f"{value:.{max(0, digits - 1 - size)}f}".replace("-", "−")


def bounds(low: float | None, high: float | None) -> str:
    """An interval; a missing end as a dash, nothing where both are missing.

    >>> bounds(1.2, 1.34), bounds(1.2, None), bounds(None, None)
    ('1.20…1.34', '1.20…–', '')
    """
    if low is None and high is None:
        return ""
    return "…".join(DASH if end is None else number(end) for end in (low, high))


def figure_text(figure: Figure | None) -> str:
    """A figure with its bounds, without its unit; a dash where there is none.

    >>> figure_text(Figure("p90", "ms", 12.345, 12.1, 12.6, 0.99, False, 800))
    '12.3 (12.1…12.6)'
    """
    if figure is None:
        return DASH
    span = bounds(figure.low, figure.high)
    return f"{number(figure.value)} ({span})" if span else number(figure.value)


def figure_columns(results: Sequence[Result]) -> dict[str, str]:
    """The names of all figures of these results with their units, in the order of their first appearance."""
    columns: dict[str, str] = {}
    for result in results:
        for figure in result.figures:
            columns.setdefault(figure.name, figure.unit)
    return columns


def heading(name: str, unit: str) -> str:
    """A figure's column: its name, and its unit where it has one."""
    return f"{name}, {unit}" if unit not in ("", name) else name


def share(value: float | None) -> str:
    """A share 0…1 in percent; what is nearly all is not rounded to all.

    >>> share(0.5), share(0.9999), share(1.0), share(None)
    ('50.0 %', '> 99.9 %', '100 %', '–')
    """
    if value is None:
        return DASH
    if value >= 1.0:
        return "100 %"
    return "> 99.9 %" if value > 0.9995 else f"{100 * value:.1f} %"


def verdict_word(verdict: str, unit: str) -> str:
    """The words "slower" and "faster" are said of times and rates alone: of cameras, more are "better"."""
    if unit in _SPEED_UNITS:
        return verdict
    return {"slower": "worse", "faster": "better"}.get(verdict, verdict)


def byte_size(size: int) -> str:
    """The size of a file; a dash where there is none.

    >>> byte_size(0), byte_size(999), byte_size(12_345_678)
    ('–', '999 B', '12.3 MB')
    """
    if size <= 0:
        return DASH
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{number(size / factor)} {unit}"
    return f"{size} B"


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain values as lines of name and text; names of inner values follow a dot.

    >>> flat({"load": {"before": 0.5, "after": None}, "features": ["avx2", "fma"]})
    [('load.before', '0.5'), ('load.after', '–'), ('features', 'avx2, fma')]
    """
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        where = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            lines += flat(value, f"{where}.")
        else:
            lines.append((where, _plain(value)))
    return lines


def _plain(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        simple = all(isinstance(item, (str, int, float)) for item in value)
        return ", ".join(map(_plain, value)) if simple else json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _whole(value: Any) -> Any:
    """15.0 and 15 are the same parameter."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
