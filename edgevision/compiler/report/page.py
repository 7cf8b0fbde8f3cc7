"""The compile report as a page that needs nothing beside it."""

from __future__ import annotations

import contextlib
import json
from typing import Literal

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.report.pruning import pruning_blocks
from edgevision.compiler.report.report import TABLE_LEGEND, Report
from edgevision.compiler.report.tables import layer_blocks, recipe_blocks, step_blocks
from edgevision.compiler.variants import ORIGINAL, REFERENCE, CompiledVariant
from edgevision.errors import MissingExtraError
from edgevision.evaluate.page import pictures
from edgevision.evaluate.page.html import Block, Cell, Fact, Facts, Figure, Rich, Section, Side, Table, Text, html_page


def json_bytes(data: object) -> bytes:
    """JSON as it is stored: sorted keys, indented, UTF-8."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def report_files(report: Report) -> dict[str, bytes]:
    """Entries for the bundle: report.json always, report.html where matplotlib is installed."""
    files = {"report/report.json": json_bytes(report.to_dict())}
    with contextlib.suppress(MissingExtraError):
        files["report/report.html"] = report_page(report).encode()
    return files


def report_page(report: Report) -> str:
    """Self-contained HTML. Raises MissingExtraError without matplotlib."""
    sections = (
        Section("Verdict", _verdict(report)),
        Section("Variants", (*_pictures(report), _variants(report), *_missing(report))),
        Section("Other targets", _elsewhere(report)),
        Section("Layers", layer_blocks(report)),
        *report.task_sections,  # titles are the task's own, and may be like one of ours
        Section("Recipes", recipe_blocks(report)),
        Section("Pruning", pruning_blocks(report)),
        Section("What each step cost", step_blocks(report)),
        Section("Photos", (_photos(report),)),
        Section("Export", _parity(report)),
        Section("Source and machine", (_facts(report), *_hashes(report))),
    )
    filled = [section for section in sections if section.blocks]
    return html_page(f"Compile report: {report.source.get('name', 'model')}", filled, report.why)


# ── what was decided ────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(report: Report) -> tuple[Block, ...]:
    notes = (Text(note, "warning") for note in report.notes)
    said = (Text(report.verdict_line(), _tone(report)), Text(report.why), *notes)
    return (_headline(report), *said, *_compared(report))


def _headline(report: Report) -> Block:
    one = _chosen(report)
    if one is None:
        return Facts((Fact("chosen", "none", "nothing fits the budget"),))
    facts = [Fact("chosen", one.id, _int8_layers(one))]
    if (v := report.verdict) is not None:
        name = v.metric
        note = f"float {v.reference:.2f} %, drop {v.drop:+.2f} points, n = {v.n}"
        facts.append(Fact(name, f"{v.value:.2f} %", note))
        if v.calibration_error is not None:
            float_error = v.reference_calibration_error
            note = "" if float_error is None else f"float {100 * float_error:.2f} %; expected, of the scores (ECE)"
            facts.append(Fact("calibration error", f"{100 * v.calibration_error:.2f} %", note))
    threads, batch = setting = report.settings[0]
    if setting in one.measurement.latency:
        note = f"{threads} threads, batch {batch}"
        facts.append(Fact("p50 engine latency", f"{one.measurement.latency[setting][0]:.2f} ms", note))
    else:
        facts.append(Fact("p50 engine latency", "–", "not measured here: for another device"))
    return Facts((*facts, Fact("graph", f"{one.measurement.size_bytes / 1e6:.2f} MB")))


def _int8_layers(one: CompiledVariant) -> str:
    total = sum(one.measurement.layer_precisions.values())
    return f"{one.measurement.layer_precisions.get('int8', 0)} of {total} layers in int8" if total else ""


def _chosen(report: Report) -> CompiledVariant | None:
    return next((one for one in report.variants if one.id == report.chosen), None)


def _tone(report: Report) -> Literal["plain", "good", "warning", "bad"]:
    if report.verdict is None:
        return "warning"
    if report.verdict.proven:
        return "good"
    return "plain" if report.verdict.passed else "bad"


def _compared(report: Report) -> tuple[Block, ...]:
    """Every variant that the validation photos saw."""
    if not report.verdicts:
        return ()
    first = next(iter(report.verdicts.values()))
    with_errors = any(v.calibration_error is not None for v in report.verdicts.values())
    rows: list[tuple[Cell, ...]] = []
    for name, v in report.verdicts.items():
        interval = "…".join(f"{end:+.2f}" for end in v.interval).replace("-", "−")
        own_error = None if v.calibration_error is None else 100 * v.calibration_error
        rows.append(
            (name, _outcome(v), v.value, Rich(v.drop, f"{v.drop:+.2f}".replace("-", "−")), interval,
             Rich(v.confidence, f"{100 * v.confidence:.3g} %"), v.lost, v.gained, *([own_error] if with_errors else []))
        )  # fmt: skip
    value = f"{first.metric} %"
    columns = ("variant", "outcome", value, "drop", "its interval", "confidence", "lost", "gained",
               *(["ECE %"] if with_errors else []))  # fmt: skip
    marked = tuple(i for i, name in enumerate(report.verdicts) if name == report.chosen)
    caption = f"What the {first.n} validation photos were shown; float: {first.reference:.2f} %. Lost: float right, variant wrong."
    if with_errors:
        error = first.reference_calibration_error
        caption += " ECE: expected calibration error of the scores" + (
            "." if error is None else f"; float's is {100 * error:.2f} %."
        )
    return (Table(columns, tuple(rows), caption, marked=marked),)


def _outcome(verdict: Verdict) -> Cell:
    if verdict.proven:
        return Rich("proven", tone="good")
    return "passed" if verdict.passed else Rich("failed", tone="bad")


# ── variants ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pictures(report: Report) -> tuple[Block, ...]:
    threads, batch = setting = report.settings[0]
    rows = [one for one in report.variants if setting in one.measurement.latency]
    # A pruned network is compared with what it was before.
    pruned = any(one.measurement.candidate == ORIGINAL for one in rows)
    axis = f"p50 latency, ms (batch {batch}, {threads} threads; left is better)"

    def points(quality: dict[str, float | None]) -> list[pictures.Point]:
        return [
            pictures.Point(
                one.id, one.measurement.latency[setting][0], value, one.id == report.chosen,
                one.measurement.candidate == ORIGINAL if pruned else one.id == REFERENCE,
            )
            for one in rows
            if (value := quality[one.id]) is not None
        ]  # fmt: skip

    figures = []
    if everyone := points({one.id: one.agreement for one in rows}):
        diamond = "float before pruning" if pruned else "float"
        caption = f"Every candidate, on the calibration photos. Filled: the chosen one; diamond: {diamond}."
        svg = pictures.latency_accuracy(everyone, front=True, latency=axis, accuracy="agreement with float, %")
        figures.append(Figure(svg, "Up and left is better", caption))
    if shown := points({one.id: one.metric for one in rows}):
        metric = next((v.metric for v in report.verdicts.values()), "metric")
        caption = "Only finalists, and float: no other candidate was shown to the validation photos."
        what = f"{metric} on the validation photos, %"
        figures.append(
            Figure(pictures.latency_accuracy(shown, latency=axis, accuracy=what), "The validation photos", caption)
        )
    return (Side(tuple(figures)),) if figures else ()


def _variants(report: Report) -> Block:
    header, lines = report.table()
    marked = tuple(i for i, one in enumerate(report.measured) if one.id == report.chosen)
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
        "Graphs for other devices, written from the same calibration. Their answers were compared here; how quick they are, "
        "`edgevision tune` finds out on the device."
    )
    marked = tuple(i for i, one in enumerate(report.elsewhere) if one.id == report.chosen)
    return (Table(tuple(header), tuple(tuple(line) for line in lines), caption, marked=marked),)


# ── what it was made of ─────────────────────────────────────────────────────────────────────────────────────────────


def _photos(report: Report) -> Block:
    described = report.splits.describe()
    columns = ("count", "labelled", "trained_on", "sha256")
    rows = tuple((name, *(described[name][column] for column in columns)) for name in ("calibration", "validation"))
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
    machine, o = report.environment, report.options
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
