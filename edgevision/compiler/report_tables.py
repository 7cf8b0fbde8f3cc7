"""Tables of the compile report: layers, classes, recipes, steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.compiler.options import Row
from edgevision.compiler.report import Report
from edgevision.compiler.report_classes import ClassLine
from edgevision.compiler.report_layers import GraphNode, ran_in
from edgevision.evaluate.paired import MAX_PHOTOS_LOST, MIN_PHOTOS_PER_CLASS
from edgevision.evaluate.pictures import shorten
from edgevision.evaluate.report import Block, Cell, Rich, Table, Text

LONGEST = 30  # rows of a table that is shown whole
FIRST = 12  # rows that are shown of a longer one

Line = tuple[Cell, ...]


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def layer_blocks(report: Report) -> tuple[Block, ...]:
    """What each graph writes in which precision, what engines really ran, and what int8 costs each node.

    The chosen variant's graph is open, the others are folded.
    """
    chosen = next((row.candidate for row in report.rows if row.id == report.chosen), None)
    blocks: list[Block] = []
    for graph in sorted(report.nodes, key=lambda name: name != chosen):
        nodes = report.nodes[graph]
        if not nodes:
            continue
        rows = [row for row in report.rows if row.candidate == graph and row.ran]
        columns, lines = _layer_lines(nodes, rows, report.sensitivity)
        about = _about_graph(graph, nodes, rows)
        if graph == chosen:
            worst = sorted(range(len(nodes)), key=lambda i: -report.sensitivity.get(nodes[i].name, -1.0))
            told = [report.sensitivity[node.name] for node in nodes if node.name in report.sensitivity]
            first = "those that int8 hurts most" if told else "the first"
            blocks += [Text(about), *_long_table(columns, lines, worst, first, "all, in the graph's order")]
            blocks += [Text(_about_sensitivity(told))] if told else []
        else:
            blocks.append(Table(columns, tuple(lines), about, folded=True))
    return tuple(blocks)


def _layer_lines(
    nodes: Sequence[GraphNode], rows: Sequence[Row], sensitivity: Mapping[str, float]
) -> tuple[tuple[str, ...], list[Line]]:
    ran = [ran_in(row) for row in rows]
    known = [sensitivity[node.name] for node in nodes if node.name in sensitivity]
    most = max(known, default=0.0)
    columns = ("#", "layer", "operator", *(["KL, nats"] if known else []), "written", *(row.id for row in rows))
    lines: list[Line] = []
    for place, node in enumerate(nodes, 1):
        written: Cell = node.written
        if node.returned:
            written = Rich(node.written, f"{node.written}, kept for accuracy", tone="warning")
        alone = (_nats(sensitivity.get(node.name), most),) if known else ()
        there = (_ran(node, one.get(node.name)) for one in ran)
        lines.append((place, named(node.layer, full=node.name), node.operator, *alone, written, *there))
    return columns, lines


def _ran(node: GraphNode, precision: str | None) -> Cell:
    if precision is None:
        return Rich(None, title="the engine does not name it: fused into another, or gone")
    return Rich(precision, tone="bad") if node.written == "int8" != precision else precision


def _nats(value: float | None, most: float) -> Cell:
    return None if value is None else Rich(value, f"{value:.2e}", share=value / most if most > 0 else 0.0)


def _about_graph(graph: str, nodes: Sequence[GraphNode], rows: Sequence[Row]) -> str:
    int8 = sum(node.written == "int8" for node in nodes)
    parts = [f"Graph {graph}: {int8} of {len(nodes)} nodes that compute are written in int8"]
    if returned := [node.layer for node in nodes if node.returned]:
        parts.append(f"kept in float for accuracy: {', '.join(shorten(name, 40) for name in returned)}")
    for row in rows:
        ran = ran_in(row)
        otherwise = sum(n.written == "int8" and ran.get(n.name, "int8") != "int8" for n in nodes)
        if otherwise:
            parts.append(f"{row.id} runs {otherwise} of them in another precision (red)")
    beside = " The columns after 'written' say what each engine really ran." if rows else ""
    return "; ".join(parts) + f".{beside}"


def _about_sensitivity(told: Sequence[float]) -> str:
    total, most = sum(told), max(told)
    text = (
        "KL: mean divergence of the network's answers from float's on calibration photos when this node alone runs in "
        f"int8; {len(told)} nodes were measured so"
    )
    return f"{text}, and the worst makes {most / total:.0%} of their sum." if total > 0 else f"{text}."


# ── classes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def class_blocks(report: Report) -> tuple[Block, ...]:
    """What each class lost on the judge photos, worst first; the chosen variant's classes are open, others folded."""
    blocks: list[Block] = []
    for variant in sorted(report.classes, key=lambda name: name != report.chosen):
        lines = report.classes[variant]
        if not lines:
            continue
        columns = (
            "class",
            "photos",
            "float right",
            "variant right",
            "lost",
            "gained",
            "net loss, points",
            "class rule",
        )
        rows = [_class_line(line, report.options.max_class_drop) for line in lines]
        about = _about_classes(variant, lines, report)
        if variant == report.chosen:
            blocks += [Text(about), *_long_table(columns, rows, range(len(rows)), "those that lost most", "all")]
        else:
            blocks.append(Table(columns, tuple(rows), about, folded=True))
    return tuple(blocks)


def _class_line(line: ClassLine, max_class_drop: float) -> Line:
    loss = line.loss
    rule: Cell = "within"
    if not line.ruled:
        rule = "too few photos"
    elif loss.exceeds(max_class_drop):
        rule = Rich("loses too much", tone="bad")
    points = f"{100 * loss.net / loss.n:+.1f}".replace("-", "−") if loss.net else "0"
    counts = (loss.n, line.float_right, line.variant_right, loss.lost, loss.gained)
    return (named(line.name), *counts, Rich(100 * loss.net / loss.n, points), rule)


def _about_classes(variant: str, lines: Sequence[ClassLine], report: Report) -> str:
    changed = sum(bool(line.loss.lost or line.loss.gained) for line in lines)
    ruled = sum(line.ruled for line in lines)
    without = f", {len(report.labels) - len(lines)} classes have none" if len(report.labels) > len(lines) else ""
    return (
        f"{variant}: {changed} of {len(lines)} classes with judge photos are answered differently{without}. A class of "
        f"{MIN_PHOTOS_PER_CLASS} photos or more may lose {MAX_PHOTOS_LOST}, or {report.options.max_class_drop:g} points "
        f"where that is more; {ruled} of these have so many."
    )


# ── recipes and steps ───────────────────────────────────────────────────────────────────────────────────────────────


def recipe_blocks(report: Report) -> tuple[Block, ...]:
    """Every recipe that was tried, by dialect."""
    tried = report.recipes or ({"divergence, nats": report.estimators} if report.estimators else {})
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
        "Range estimators, bias correction and equalization: mean KL divergence of the int8 graph's answers from float's on "
        "the calibration photos, in nats, by dialect. Each dialect takes the least (bold)."
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


# ── how all of them are laid out ────────────────────────────────────────────────────────────────────────────────────


def named(text: str, length: int = 36, full: str = "") -> Cell:
    """``text`` on one line; what is too long loses its middle. The title has ``full``, or all of ``text``, if that differs."""
    plain = shorten(text, max(1, len(text)))
    head = length // 3
    shown = plain if len(plain) <= length else f"{plain[:head]}…{plain[len(plain) - (length - head - 1) :]}"
    title = full or text
    return shown if shown == title else Rich(shown, title=title)


def _long_table(
    columns: tuple[str, ...], lines: Sequence[Line], order: Sequence[int], first: str, whole: str
) -> tuple[Table, ...]:
    """The table in ``order``; where it is long, its first rows, and all of them, as they are given, folded."""
    ranked = [lines[index] for index in order]
    if len(lines) <= LONGEST:
        return (Table(columns, tuple(ranked)),)
    return (
        Table(columns, tuple(ranked[:FIRST]), f"{FIRST} of {len(lines)}: {first}."),
        Table(columns, tuple(lines), f"{len(lines)} rows: {whole}", folded=True),
    )
