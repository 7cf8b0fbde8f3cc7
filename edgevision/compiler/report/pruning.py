"""Pruning in the compile report: the ways that were tried, and what of the loss is pruning's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.compiler.report.report import Report
from edgevision.compiler.variants import ORIGINAL, REFERENCE
from edgevision.evaluate.page.html import Block, Cell, Rich, Table, Text
from edgevision.evaluate.page.tables import Line, named


def pruning_blocks(report: Report) -> tuple[Block, ...]:
    """From ``Report.pruning``, which is ``Pruned.to_dict()``; nothing without it."""
    pruning = report.pruning
    if pruning is None:
        return ()
    blocks: list[Block] = [Text(_summary(pruning)), *_split(report), _trials(pruning)]
    if pruning.get("search"):
        blocks.append(_search(pruning["search"]))
    channels = pruning.get("channels") or {}
    if channels:
        rows = tuple((named(layer), int(counts[0]), int(counts[1])) for layer, counts in channels.items())
        blocks.append(
            Table(("layer", "channels in", "channels out"), rows, f"{len(rows)} layers as pruned", folded=True)
        )
    return tuple(blocks)


def _summary(pruning: Mapping[str, Any]) -> str:
    now, was = pruning.get("tuned") or pruning["chosen"], pruning["original"]
    tuned = ", and then fine-tuned" if pruning.get("tuned") else ""
    return (
        f"{100 * now['reached']:.1f} % of the channels were removed by {now['importance']}{tuned}. Left: "
        f"{now['parameters'] / was['parameters']:.1%} of {was['parameters'] / 1e6:.2f} million parameters, "
        f"{now['macs'] / was['macs']:.1%} of {was['macs'] / 1e6:.0f} million multiply-adds."
    )


def _split(report: Report) -> tuple[Block, ...]:
    """Where the loss comes from: prune, export, quantize. Only where all three were compared."""
    metric = {one.id: one.metric for one in report.variants}
    original = next((one.metric for one in report.variants if one.measurement.candidate == ORIGINAL), None)
    pruned, chosen = metric.get(REFERENCE), metric.get(report.chosen or "")
    if original is None or pruned is None or chosen is None:
        return (Text("What of the loss is pruning's was not compared."),)
    export = "–"
    if report.parity is not None:
        worst = max(report.parity.max_abs_difference.values(), default=0.0)
        export = f"outputs differ by {worst:.1e} at most, {report.parity.tolerance:.1e} is allowed"
    rows: tuple[Line, ...] = (
        ("original network", original, None, ""),
        ("pruned", pruned, original - pruned, "float against float"),
        ("exported", pruned, 0.0, export),
        ("quantized: what is packed", chosen, pruned - chosen, str(report.chosen)),
    )
    columns = ("after each step", "on the validation photos, %", "points lost by it", "how it is known")
    return (Table(columns, rows, f"{original - chosen:+.2f} points lost in sum.", marked=(3,)),)


def _trials(pruning: Mapping[str, Any]) -> Table:
    chosen = pruning["chosen"]
    trials = [*pruning["trials"], *([pruning["tuned"]] if pruning.get("tuned") else [])]
    most = max((trial["divergence"] for trial in trials), default=0.0)
    marked = (len(trials) - 1,) if pruning.get("tuned") else tuple(i for i, t in enumerate(trials) if t == chosen)
    rows = []
    for index, trial in enumerate(trials):
        name = trial["importance"] + (", fine-tuned" if index == len(pruning["trials"]) else "")
        accuracy: Cell = None if trial["accuracy"] is None else 100 * trial["accuracy"]
        divergence = Rich(
            trial["divergence"], f"{trial['divergence']:.3g}", share=trial["divergence"] / most if most > 0 else 0.0
        )
        rows.append((name, 100 * trial["reached"], trial["parameters"] / 1e6, trial["macs"] / 1e6,
                     divergence, 100 * trial["agreement"], accuracy))  # fmt: skip
    columns = ("importance", "channels gone, %", "params, M", "MACs, M", "divergence", "agree, %", "right, %")
    prices = " or ".join(dict.fromkeys(str(trial["price"]) for trial in trials))
    caption = (
        f"Ways to choose the channels; a channel's harm is weighed by its {prices}. Divergence: from the original's "
        "answers, on calibration photos that nothing was learnt from."
    )
    return Table(columns, tuple(rows), caption, marked=marked)


def _search(search: Mapping[str, Any]) -> Table:
    rows: list[Line] = [
        (100 * trial["ratio"], 100 * trial["reached"], trial["latency_ms"],
         Rich("yes", tone="good") if trial["meets"] else "no")
        for trial in search["trials"]
    ]  # fmt: skip
    caption = f"Search for the least pruning that reaches {search['target_latency_ms']:g} ms, in the order measured."
    return Table(("asked for, %", "channels gone, %", "p50 latency, ms", "quick enough"), tuple(rows), caption)
