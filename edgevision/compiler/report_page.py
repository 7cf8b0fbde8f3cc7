"""The compile report as a page that needs nothing beside it."""

from __future__ import annotations

import contextlib
from typing import Literal

from edgevision.compiler.measure import ORIGINAL, REFERENCE
from edgevision.compiler.options import Row
from edgevision.compiler.pack import environment, json_bytes
from edgevision.compiler.report import TABLE_LEGEND, Report
from edgevision.compiler.report_pruning import pruning_blocks
from edgevision.compiler.report_tables import class_blocks, layer_blocks, recipe_blocks, step_blocks
from edgevision.errors import MissingExtraError
from edgevision.evaluate import pictures
from edgevision.evaluate.report import Block, Cell, Fact, Facts, Figure, Rich, Section, Side, Table, Text, html_page


def report_files(report: Report) -> dict[str, bytes]:
    """Entries for the bundle: report.json always, report.html where matplotlib is installed."""
    files = {"report/report.json": json_bytes(report.to_dict())}
    with contextlib.suppress(MissingExtraError):
        files["report/report.html"] = report_page(report).encode()
    return files


def report_page(report: Report) -> str:
    """Self-contained HTML. Raises MissingExtraError without matplotlib."""
    sections = {
        "Verdict": _verdict(report),
        "Variants": (*_pictures(report), _variants(report), *_missing(report)),
        "Other targets": _elsewhere(report),
        "Layers": layer_blocks(report),
        "Classes": class_blocks(report),
        "Recipes": recipe_blocks(report),
        "Pruning": pruning_blocks(report),
        "What each step cost": step_blocks(report),
        "Photos": (_photos(report),),
        "Export": _parity(report),
        "Source and machine": (_facts(report), *_hashes(report)),
    }
    filled = [Section(title, blocks) for title, blocks in sections.items() if blocks]
    return html_page(f"Compile report: {report.source.get('name', 'model')}", filled, report.why)


# ── what was decided ────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(report: Report) -> tuple[Block, ...]:
    notes = (Text(note, "warning") for note in report.notes)
    said = (Text(report.verdict_line(), _tone(report)), Text(report.why), *notes)
    return (_headline(report), *said, *_judged(report))


def _headline(report: Report) -> Block:
    row = _chosen(report)
    if row is None:
        return Facts((Fact("chosen", "none", "nothing fits the budget"),))
    facts = [Fact("chosen", row.id, _int8_layers(row))]
    if (v := report.verdict) is not None:
        name = "top-1" if v.metric == "top1" else "agreement"
        note = f"float {v.reference:.2f} %, drop {v.drop:+.2f} points, n = {v.n}"
        facts.append(Fact(name, f"{v.value:.2f} %", note))
        if v.calibration_error is not None:
            float_error = v.reference_calibration_error
            note = "" if float_error is None else f"float {100 * float_error:.2f} %; expected, of the scores (ECE)"
            facts.append(Fact("calibration error", f"{100 * v.calibration_error:.2f} %", note))
    threads, batch = setting = report.settings[0]
    if setting in row.latency:
        note = f"{threads} threads, batch {batch}"
        facts.append(Fact("p50 engine latency", f"{row.latency[setting][0]:.2f} ms", note))
    else:
        facts.append(Fact("p50 engine latency", "–", "not measured here: for another device"))
    return Facts((*facts, Fact("graph", f"{row.size_bytes / 1e6:.2f} MB")))


def _int8_layers(row: Row) -> str:
    total = sum(row.layers.values())
    return f"{row.layers.get('int8', 0)} of {total} layers in int8" if total else ""


def _chosen(report: Report) -> Row | None:
    return next((row for row in report.rows if row.id == report.chosen), None)


def _tone(report: Report) -> Literal["plain", "good", "warning", "bad"]:
    if report.verdict is None:
        return "warning"
    return "good" if report.verdict.proven else "plain" if report.verdict.passed else "bad"


def _judged(report: Report) -> tuple[Block, ...]:
    """Every variant that the judge photos saw."""
    if not report.verdicts:
        return ()
    first = next(iter(report.verdicts.values()))
    with_errors = any(v.calibration_error is not None for v in report.verdicts.values())
    rows: list[tuple[Cell, ...]] = []
    for name, v in report.verdicts.items():
        outcome = Rich("proven", tone="good") if v.proven else "passed" if v.passed else Rich("failed", tone="bad")
        interval = "…".join(f"{end:+.2f}" for end in v.interval).replace("-", "−")
        own_error = None if v.calibration_error is None else 100 * v.calibration_error
        rows.append(
            (name, outcome, v.value, Rich(v.drop, f"{v.drop:+.2f}".replace("-", "−")), interval,
             Rich(v.confidence, f"{100 * v.confidence:.3g} %"), v.lost, v.gained, *([own_error] if with_errors else []))
        )  # fmt: skip
    value = "top-1 %" if first.metric == "top1" else "agreement %"
    columns = ("variant", "outcome", value, "drop", "its interval", "confidence", "lost", "gained",
               *(["ECE %"] if with_errors else []))  # fmt: skip
    marked = tuple(i for i, name in enumerate(report.verdicts) if name == report.chosen)
    caption = (
        f"What the {first.n} judge photos were shown; float: {first.reference:.2f} %. Lost: float right, variant wrong."
    )
    if with_errors:
        error = first.reference_calibration_error
        caption += " ECE: expected calibration error of the scores" + (
            "." if error is None else f"; float's is {100 * error:.2f} %."
        )
    return (Table(columns, tuple(rows), caption, marked=marked),)


# ── variants ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pictures(report: Report) -> tuple[Block, ...]:
    threads, batch = setting = report.settings[0]
    rows = [row for row in report.rows if setting in row.latency]
    # A pruned network is compared with what it was before.
    pruned = any(row.candidate == ORIGINAL for row in rows)
    axis = f"p50 latency, ms (batch {batch}, {threads} threads; left is better)"

    def points(quality: dict[str, float | None]) -> list[pictures.Point]:
        return [
            pictures.Point(
                row.id, row.latency[setting][0], value, row.id == report.chosen,
                row.candidate == ORIGINAL if pruned else row.id == REFERENCE,
            )
            for row in rows
            if (value := quality[row.id]) is not None
        ]  # fmt: skip

    figures = []
    if everyone := points({row.id: row.agreement for row in rows}):
        diamond = "float before pruning" if pruned else "float"
        caption = f"Every candidate, on the calibration photos. Filled: the chosen one; diamond: {diamond}."
        svg = pictures.latency_accuracy(everyone, front=True, latency=axis, accuracy="agreement with float, %")
        figures.append(Figure(svg, "Up and left is better", caption))
    if shown := points({row.id: row.metric for row in rows}):
        by_labels = any(v.metric == "top1" for v in report.verdicts.values())
        caption = "Only finalists, and float: no other candidate was shown to the judge photos."
        what = "top-1 on the judge photos, %" if by_labels else "agreement on the judge photos, %"
        figures.append(
            Figure(pictures.latency_accuracy(shown, latency=axis, accuracy=what), "The judge photos", caption)
        )
    return (Side(tuple(figures)),) if figures else ()


def _variants(report: Report) -> Block:
    header, lines = report.table()
    marked = tuple(i for i, row in enumerate(report.measured) if row.id == report.chosen)
    return Table(tuple(header), tuple(tuple(line) for line in lines), TABLE_LEGEND, marked=marked)


def _missing(report: Report) -> tuple[Block, ...]:
    if not report.missing:
        return ()
    return (Table(("not run here", "why"), tuple(report.missing.items())),)


def _elsewhere(report: Report) -> tuple[Block, ...]:
    header, lines = report.targets_table()
    if not lines:
        return ()
    caption = (
        "Graphs for other devices, written from the same calibration. Their answers were judged here; how quick they are, "
        "`edgevision tune` finds out on the device."
    )
    marked = tuple(i for i, row in enumerate(report.elsewhere) if row.id == report.chosen)
    return (Table(tuple(header), tuple(tuple(line) for line in lines), caption, marked=marked),)


# ── what it was made of ─────────────────────────────────────────────────────────────────────────────────────────────


def _photos(report: Report) -> Block:
    described = report.sets.describe()
    columns = ("count", "labelled", "trained_on", "sha256")
    rows = tuple((name, *(described[name][column] for column in columns)) for name in ("calibration", "judge"))
    return Table(("set", "photos", "labelled", "trained on", "SHA-256"), rows, f"From: {described['origin']}.")


def _parity(report: Report) -> tuple[Block, ...]:
    if report.parity is None:
        return ()
    tolerance = f"{report.parity.tolerance:.2e}"
    rows = tuple(
        (f"batch {batch}", f"{difference:.2e}", tolerance)
        for batch, difference in report.parity.max_abs_difference.items()
    )
    caption = "Largest difference between the outputs of PyTorch and of the exported ONNX graph, same inputs."
    return (Table(("batch", "difference", "tolerance"), rows, caption),)


def _facts(report: Report) -> Block:
    machine, o = environment(), report.options
    rows = [(str(key), str(value)) for key, value in report.source.items()]
    rows += [
        ("asked for", f"{o.precision.value}, at most {o.max_drop:g} points lost, {o.max_class_drop:g} in a class; "
                      f"{o.objective.value} with {report.settings[0][0]} threads, batch {report.settings[0][1]}; "
                      f"seed {o.seed}"),
        ("CPU", f"{machine.cpu}, {machine.cores} cores, {machine.architecture}"),
        ("system", machine.system),
        ("instruction sets", " ".join(machine.features)),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items())),
    ]  # fmt: skip
    return Table(("what", "value"), tuple(rows))


def _hashes(report: Report) -> tuple[Block, ...]:
    if not report.hashes:
        return ()
    caption = "Entries of the bundle that were written before this page; its manifest has the hash of every one."
    return (Table(("entry", "SHA-256"), tuple(sorted(report.hashes.items())), caption),)
