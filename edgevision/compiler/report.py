"""What `compile` found, as data, as text, and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.options import CompileOptions, Precision, Row
from edgevision.compiler.pack import environment
from edgevision.compiler.parity import ParityReport
from edgevision.compiler.photos import PhotoSets
from edgevision.compiler.report_classes import ClassLine
from edgevision.compiler.report_layers import GraphNode
from edgevision.tasks.results import Label

TABLE_LEGEND = (
    "top1, agreement: percent on the judge photos, float's and those of the variants that were shown to them; agree: percent of calibration photos whose "
    "best class is float's. ms: engine latency, p50/p90, by threads (t) and batch (×). RAM (MB), load (ms): of the engine, "
    "in a fresh process. file: MB. int8: layers that really run in int8."
)


@dataclass(frozen=True)
class Report:
    """Everything measured. ``rows``: the packed variants first; those without latency are for other devices, and were
    judged here by their answers alone. ``chosen`` is None when nothing fits the budget.

    ``estimators``: mean KL divergence from float, in nats on the calibration photos, by range estimator; ``recipes``: the
    same by dialect and recipe, of which each dialect takes the least. ``sensitivity``: the divergence that quantizing a
    node alone causes, by its name, where that was measured. ``nodes``: of each graph, by its name in the bundle, what it
    writes in which precision. ``classes``: by variant, every class with judge photos. ``steps``: (step, seconds), in the
    order taken. ``hashes``: SHA-256 by entry of the bundle, of those that are written before the report.
    """

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
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    nodes: Mapping[str, tuple[GraphNode, ...]] = field(default_factory=dict)
    classes: Mapping[str, tuple[ClassLine, ...]] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    steps: tuple[tuple[str, float], ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows whose latency was measured on this machine."""
        return tuple(row for row in self.rows if row.latency)

    @property
    def elsewhere(self) -> tuple[Row, ...]:
        """The rows for other devices, whose latency shows there only."""
        return tuple(row for row in self.rows if not row.latency)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the table of variants measured here, as text. ``TABLE_LEGEND`` explains the columns."""
        times = [f"ms {t}t" + (f" ×{b}" if b > 1 else "") for t, b in self.settings]
        header = ["variant", self._metric, "agree", *times, "RAM", "load", "file", "int8"]
        lines = [
            [
                row.id,
                *map(_percent, (row.metric, row.agreement)),
                *("/".join(map(_short, row.latency[s])) if s in row.latency else "–" for s in self.settings),
                f"{row.rss_bytes / 1e6:.0f}",
                f"{row.load_ms:.0f}",
                f"{row.size_bytes / 1e6:.2f}",
                f"{row.layers.get('int8', 0)}/{sum(row.layers.values())}",
            ]
            for row in self.measured
        ]
        return header, lines

    def targets_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the table of variants for other devices, as text; no lines where there are none."""
        header = ["variant", "for", "engine", self._metric, "agree", "ms", "file"]
        lines = [
            [
                row.id,
                row.target or "another device",
                row.engine,
                *map(_percent, (row.metric, row.agreement)),
                "not measured here",
                f"{row.size_bytes / 1e6:.2f}",
            ]
            for row in self.elsewhere
        ]
        return header, lines

    @property
    def _metric(self) -> str:
        return next((v.metric for v in self.verdicts.values()), "judged")

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
        failed = [row.target for row in self.elsewhere if row.id in self.verdicts and not self.verdicts[row.id].passed]
        which = f"int8 variant for {', '.join(dict.fromkeys(failed))}" if self.chosen and failed else "variant"
        lines = [f"no {which} stays within the budget of {self.options.max_drop:g} points; nothing was written."]
        lines += [f"  {name}: {v.sentence()}" for name, v in self.verdicts.items()]
        lines += [f"  {note}" for note in self.notes]
        over = any(v.drop > v.max_drop for v in self.verdicts.values())  # else it is a class that loses too much
        raising = "Raise --max-drop, give" if over else "Give"
        other = "" if self.options.precision is Precision.AUTO else ", or try --precision auto"
        lines.append(f"{raising} more calibration photos with --data{other}.")
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
            "sensitivity_nats": _numbers(self.sensitivity),
            "recipes_nats": {dialect: _numbers(tried) for dialect, tried in self.recipes.items()},
            "nodes": {graph: [asdict(node) for node in nodes] for graph, nodes in self.nodes.items()},
            "classes": {name: [line.to_dict() for line in lines] for name, lines in self.classes.items()},
            "labels": [asdict(label) for label in self.labels],
            "steps": [{"step": step, "seconds": seconds} for step, seconds in self.steps],
            "sha256": dict(self.hashes),
            "environment": asdict(environment()),
        }


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no word for infinity, nor for what is not a number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


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
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
