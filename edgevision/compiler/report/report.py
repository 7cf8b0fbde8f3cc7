"""What `compile` found, as data, as text, and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.bundle.manifest import Environment, Verdict
from edgevision.compiler.data.photos import DataSplits
from edgevision.compiler.options import CompileOptions, Precision
from edgevision.compiler.report.layers import GraphNode
from edgevision.compiler.sources.parity import ParityReport
from edgevision.compiler.variants import CompiledVariant
from edgevision.evaluate.page.html import Section
from edgevision.tasks.base import TaskSpec

TABLE_LEGEND = (
    "The second column: points on the validation photos, float's and those of the variants that were shown to them; agree: points of agreement with "
    "float on the calibration photos. ms: engine latency, p50/p90, by threads (t) and batch (×). RAM (MB), load (ms): of the engine, "
    "in a fresh process. file: MB. int8: layers that really run in int8."
)


@dataclass(frozen=True)
class Report:
    """Everything measured. ``variants``: the packed ones first; those without latency are for other devices, and were
    compared here by their answers alone. ``chosen`` is None when nothing fits the budget.

    ``divergence_by_estimator``: of the int8 graph from float on the calibration photos, in the task's own measure;
    ``recipes``: the same by dialect and recipe, of which each dialect takes the least. ``sensitivity``: the divergence that
    quantizing a node alone causes, by its name, where that was measured. ``nodes``: of each graph, by its name in the
    bundle, what it writes in which precision. ``groups``: by variant, what each group of validation photos lost, as the
    task's evaluator has it; ``task_sections``: what the task adds to the page. ``steps``: (step, seconds), in the order
    taken. ``hashes``: SHA-256 by entry of the bundle, of those that are written before the report.
    """

    source: Mapping[str, Any]
    options: CompileOptions
    task: TaskSpec
    parity: ParityReport | None
    variants: tuple[CompiledVariant, ...]
    missing: Mapping[str, str]
    chosen: str | None
    why: str
    divergence_by_estimator: Mapping[str, float]
    splits: DataSplits
    notes: tuple[str, ...]
    settings: tuple[tuple[int, int], ...]
    environment: Environment
    pruning: Mapping[str, Any] | None = None
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    nodes: Mapping[str, tuple[GraphNode, ...]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    task_sections: tuple[Section, ...] = ()
    steps: tuple[tuple[str, float], ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By variant, of all that the validation photos were shown to as finalists."""
        return {one.id: one.verdict for one in self.variants if one.verdict is not None}

    @property
    def verdict(self) -> Verdict | None:
        """On the chosen variant."""
        return None if self.chosen is None else self.verdicts.get(self.chosen)

    @property
    def measured(self) -> tuple[CompiledVariant, ...]:
        """The rows whose latency was measured on this machine."""
        return tuple(one for one in self.variants if one.measurement.latency)

    @property
    def elsewhere(self) -> tuple[CompiledVariant, ...]:
        """The rows for other devices, whose latency shows there only."""
        return tuple(one for one in self.variants if not one.measurement.latency)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the table of variants measured here, as text. ``TABLE_LEGEND`` explains the columns."""
        times = [f"ms {t}t" + (f" ×{b}" if b > 1 else "") for t, b in self.settings]
        header = ["variant", self._metric, "agree", *times, "RAM", "load", "file", "int8"]
        lines = [
            [
                one.id,
                *map(_percent, (one.metric, one.agreement)),
                *(
                    "/".join(map(_short, one.measurement.latency[s])) if s in one.measurement.latency else "–"
                    for s in self.settings
                ),
                f"{one.measurement.rss_bytes / 1e6:.0f}",
                f"{one.measurement.load_ms:.0f}",
                f"{one.measurement.size_bytes / 1e6:.2f}",
                f"{one.measurement.layer_precisions.get('int8', 0)}/{sum(one.measurement.layer_precisions.values())}",
            ]
            for one in self.measured
        ]
        return header, lines

    def targets_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the table of variants for other devices, as text; no lines where there are none."""
        header = ["variant", "for", "engine", self._metric, "agree", "ms", "file"]
        lines = [
            [
                one.id,
                one.target or "another device",
                one.measurement.engine,
                *map(_percent, (one.metric, one.agreement)),
                "not measured here",
                f"{one.measurement.size_bytes / 1e6:.2f}",
            ]
            for one in self.elsewhere
        ]
        return header, lines

    @property
    def _metric(self) -> str:
        return next((v.metric for v in self.verdicts.values()), "compared")

    def verdict_line(self) -> str:
        """The verdict in one sentence."""
        if self.verdict is None:
            return "Not proven: nothing was compared."
        return self.verdict.sentence()

    def refusal(self) -> str:
        """Why there is no bundle: each finalist's drop, and what was tried."""
        if not self.verdicts:
            why = "; ".join(f"{name}: {reason}" for name, reason in self.missing.items()) or "no layer can run in int8"
            return f"nothing was written: no {self.options.precision.value} variant runs on this machine ({why})"
        failed = [one.target for one in self.elsewhere if one.id in self.verdicts and not self.verdicts[one.id].passed]
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
            "variants": [_variant_dict(one) for one in self.variants],
            "not_run": dict(self.missing),
            "chosen": self.chosen,
            "why": self.why,
            "verdict": None if self.verdict is None else asdict(self.verdict),
            "verdicts": {name: asdict(v) for name, v in self.verdicts.items()},
            "range_estimators": dict(self.divergence_by_estimator),
            "data": self.splits.describe(),
            "notes": list(self.notes),
            "pruning": None if self.pruning is None else dict(self.pruning),
            "sensitivity": _numbers(self.sensitivity),
            "recipes": {dialect: _numbers(tried) for dialect, tried in self.recipes.items()},
            "nodes": {graph: [asdict(node) for node in nodes] for graph, nodes in self.nodes.items()},
            "groups": {name: [dict(group) for group in groups] for name, groups in self.groups.items()},
            "task": self.task.to_dict(),
            "steps": [{"step": step, "seconds": seconds} for step, seconds in self.steps],
            "sha256": dict(self.hashes),
            "environment": asdict(self.environment),
        }


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no word for infinity, nor for what is not a number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _short(ms: float) -> str:
    """Three figures are as many as latency has."""
    digits = 2
    if ms >= 9.995:
        digits = 1
    if ms >= 99.95:
        digits = 0
    return f"{ms:.{digits}f}"


def _variant_dict(one: CompiledVariant) -> dict[str, Any]:
    data = asdict(one)
    measurement = data.pop("measurement")
    del measurement["samples"]
    measurement["latency"] = [
        {"threads": t, "batch": b, "p50_ms": p50_ms, "p90_ms": p90_ms}
        for (t, b), (p50_ms, p90_ms) in one.measurement.latency.items()
    ]
    measurement["layer_precisions"] = one.measurement.layer_precisions
    return {**measurement, **data}


def _plain(value: Any) -> Any:
    if hasattr(value, "value"):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
