"""Tables of the compile report: layers, recipes, steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.compiler.report.layers import GraphNode, ran_in
from edgevision.compiler.report.report import Report
from edgevision.compiler.variants import CompiledVariant
from edgevision.evaluate.page.drawing import shorten
from edgevision.evaluate.page.html import Block, Cell, Rich, Table, Text
from edgevision.evaluate.page.tables import Line, long_table, named

# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def layer_blocks(report: Report) -> tuple[Block, ...]:
    """What each graph writes in which precision, what engines really ran, and what int8 costs each node.

    The chosen variant's graph is open, the others are folded.
    """
    chosen = next((one.measurement.candidate for one in report.variants if one.id == report.chosen), None)
    blocks: list[Block] = []
    for graph in sorted(report.nodes, key=lambda name: name != chosen):
        nodes = report.nodes[graph]
        if not nodes:
            continue
        rows = [one for one in report.variants if one.measurement.candidate == graph and one.measurement.layers]
        columns, lines = _layer_lines(nodes, rows, report.sensitivity)
        about = _about_graph(graph, nodes, rows)
        if graph == chosen:
            worst = sorted(range(len(nodes)), key=lambda i: -report.sensitivity.get(nodes[i].name, -1.0))
            told = [report.sensitivity[node.name] for node in nodes if node.name in report.sensitivity]
            first = "those that int8 hurts most" if told else "the first"
            blocks += [Text(about), *long_table(columns, lines, worst, first, "all, in the graph's order")]
            blocks += [Text(_about_sensitivity(told))] if told else []
        else:
            blocks.append(Table(columns, tuple(lines), about, folded=True))
    return tuple(blocks)


def _layer_lines(
    nodes: Sequence[GraphNode], rows: Sequence[CompiledVariant], sensitivity: Mapping[str, float]
) -> tuple[tuple[str, ...], list[Line]]:
    ran = [ran_in(one) for one in rows]
    known = [sensitivity[node.name] for node in nodes if node.name in sensitivity]
    most = max(known, default=0.0)
    columns = ("#", "layer", "operator", *(["divergence"] if known else []), "written", *(one.id for one in rows))
    lines: list[Line] = []
    for place, node in enumerate(nodes, 1):
        written: Cell = node.written
        if node.is_fallback:
            written = Rich(node.written, f"{node.written}, kept for accuracy", tone="warning")
        alone = (_divergence(sensitivity.get(node.name), most),) if known else ()
        there = (_ran(node, one.get(node.name)) for one in ran)
        lines.append((place, named(node.layer, full=node.name), node.operator, *alone, written, *there))
    return columns, lines


def _ran(node: GraphNode, precision: str | None) -> Cell:
    if precision is None:
        return Rich(None, title="the engine does not name it: fused into another, or gone")
    return Rich(precision, tone="bad") if node.written == "int8" != precision else precision


def _divergence(value: float | None, most: float) -> Cell:
    return None if value is None else Rich(value, f"{value:.2e}", share=value / most if most > 0 else 0.0)


def _about_graph(graph: str, nodes: Sequence[GraphNode], rows: Sequence[CompiledVariant]) -> str:
    int8 = sum(node.written == "int8" for node in nodes)
    parts = [f"Graph {graph}: {int8} of {len(nodes)} nodes that compute are written in int8"]
    if fallbacks := [node.layer for node in nodes if node.is_fallback]:
        parts.append(f"float fallback, for accuracy: {', '.join(shorten(name, 40) for name in fallbacks)}")
    for one in rows:
        ran = ran_in(one)
        otherwise = sum(n.written == "int8" and ran.get(n.name, "int8") != "int8" for n in nodes)
        if otherwise:
            parts.append(f"{one.id} runs {otherwise} of them in another precision (red)")
    beside = " The columns after 'written' say what each engine really ran." if rows else ""
    return "; ".join(parts) + f".{beside}"


def _about_sensitivity(told: Sequence[float]) -> str:
    total, most = sum(told), max(told)
    text = (
        "Divergence: of the network's answers from float's on calibration photos when this node alone runs in "
        f"int8; {len(told)} nodes were measured so"
    )
    return f"{text}, and the worst makes {most / total:.0%} of their sum." if total > 0 else f"{text}."


# ── recipes and steps ───────────────────────────────────────────────────────────────────────────────────────────────


def recipe_blocks(report: Report) -> tuple[Block, ...]:
    """Every recipe that was tried, by dialect."""
    tried = report.recipes or ({"divergence": report.divergence_by_estimator} if report.divergence_by_estimator else {})
    names = {recipe: min(found[recipe] for found in tried.values() if recipe in found)
             for found in tried.values() for recipe in found}  # fmt: skip
    if not names:
        return ()
    used = {dialect: min(found, key=lambda recipe: found[recipe]) for dialect, found in tried.items() if found}

    def cell(dialect: str, recipe: str) -> Cell:
        value = tried[dialect].get(recipe)
        best = used.get(dialect) == recipe
        return None if value is None else Rich(value, f"{value:.2e}", tone="strong" if best else "plain")

    rows = [(recipe, *(cell(dialect, recipe) for dialect in tried)) for recipe in sorted(names, key=lambda r: names[r])]
    caption = (
        "Range estimators, bias correction and equalization: divergence of the int8 graph's answers from float's on the "
        "calibration photos, by dialect. Each dialect takes the least (bold)."
    )
    return (Table(("recipe", *tried), tuple(rows), caption),)


def step_blocks(report: Report) -> tuple[Block, ...]:
    """Seconds and share of each step, in the order taken."""
    total = sum(seconds for _, seconds in report.steps)
    if not total > 0:
        return ()
    rows = tuple(
        (step, seconds, Rich(seconds / total, f"{seconds / total:.0%}", share=seconds / total))
        for step, seconds in report.steps
    )
    caption = f"{total:.1f} s in sum, before the bundle was written."
    return (Table(("step", "seconds", "share"), rows, caption, digits=1),)
