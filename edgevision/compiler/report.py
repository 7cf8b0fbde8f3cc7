"""What `compile` found, as data, as text, and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.options import CompileOptions, Row
from edgevision.compiler.pack import environment
from edgevision.compiler.parity import ParityReport
from edgevision.compiler.photos import PhotoSets

TABLE_LEGEND = (
    "top1, agreement: percent on the judge photos, float's and those of the variants that were shown to them; agree: percent of calibration photos whose "
    "best class is float's. ms: engine latency, p50/p90, by threads (t) and batch (×). RAM (MB), load (ms): of the engine, "
    "in a fresh process. file: MB. int8: layers that really run in int8."
)


@dataclass(frozen=True)
class Report:
    """Everything measured. ``rows``: the packed variants first. ``chosen`` is None when nothing fits the budget."""

    source: Mapping[str, Any]
    options: CompileOptions
    parity: ParityReport | None
    rows: tuple[Row, ...]
    missing: Mapping[str, str]
    chosen: str | None
    verdict: Verdict | None
    verdicts: Mapping[str, Verdict]
    why: str
    estimators: Mapping[str, float]
    sets: PhotoSets
    notes: tuple[str, ...]
    settings: tuple[tuple[int, int], ...]
    pruning: Mapping[str, Any] | None = None

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the table of variants, as text. ``TABLE_LEGEND`` explains the columns."""
        metric = next((v.metric for v in self.verdicts.values()), "judged")
        times = [f"ms {t}t" + (f" ×{b}" if b > 1 else "") for t, b in self.settings]
        header = ["variant", metric, "agree", *times, "RAM", "load", "file", "int8"]
        lines = []
        for row in self.rows:
            counted = sum(row.layers.values())
            lines.append(
                [
                    row.id,
                    *("–" if value is None else f"{value:.1f}" for value in (row.metric, row.agreement)),
                    *("/".join(map(_short, row.latency[s])) for s in self.settings),
                    f"{row.rss_bytes / 1e6:.0f}",
                    f"{row.load_ms:.0f}",
                    f"{row.size_bytes / 1e6:.2f}",
                    f"{row.layers.get('int8', 0)}/{counted}",
                ]
            )
        return header, lines

    def verdict_line(self) -> str:
        """The verdict in one sentence."""
        if self.verdict is None:
            return "Not proven: nothing was judged."
        return self.verdict.sentence()

    def refusal(self) -> str:
        """Why there is no bundle: each finalist's drop, and what was tried."""
        if not self.verdicts:
            why = "; ".join(f"{name}: {reason}" for name, reason in self.missing.items()) or "no layer can run in int8"
            return f"nothing was written: no {self.options.precision.value} variant runs on this machine ({why})"
        lines = [f"no variant stays within the budget of {self.options.max_drop:g} points; nothing was written."]
        lines += [f"  {name}: {v.sentence()}" for name, v in self.verdicts.items()]
        lines += [f"  {note}" for note in self.notes]
        over = any(v.drop > v.max_drop for v in self.verdicts.values())  # else it is a class that loses too much
        raising = "Raise --max-drop, give" if over else "Give"
        lines.append(f"{raising} more calibration photos with --data, or try --precision auto.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: the content of report.json."""
        options = {k: _plain(v) for k, v in asdict(self.options).items()}
        return {
            "source": dict(self.source),
            "options": options,
            "parity": None if self.parity is None else asdict(self.parity),
            "variants": [_row_dict(row) for row in self.rows],
            "not_run": dict(self.missing),
            "chosen": self.chosen,
            "why": self.why,
            "verdict": None if self.verdict is None else asdict(self.verdict),
            "verdicts": {name: asdict(v) for name, v in self.verdicts.items()},
            "range_estimators": dict(self.estimators),
            "data": self.sets.describe(),
            "notes": list(self.notes),
            "pruning": None if self.pruning is None else dict(self.pruning),
            "environment": asdict(environment()),
        }


def _short(ms: float) -> str:
    """Three figures are as many as latency has."""
    return f"{ms:.{2 if ms < 9.995 else 1 if ms < 99.95 else 0}f}"


def _row_dict(row: Row) -> dict[str, Any]:
    data = asdict(row)
    data["latency"] = [
        {"threads": t, "batch": b, "p50_ms": p50_ms, "p90_ms": p90_ms}
        for (t, b), (p50_ms, p90_ms) in row.latency.items()
    ]
    return data


def _plain(value: Any) -> Any:
    if hasattr(value, "value"):
        return value.value
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
