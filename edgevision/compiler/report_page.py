"""The compile report as a page that needs nothing beside it."""

from __future__ import annotations

import contextlib
from typing import Literal

from edgevision.compiler.pack import environment, json_bytes
from edgevision.compiler.report import TABLE_LEGEND, Report
from edgevision.errors import MissingExtraError
from edgevision.evaluate import pictures
from edgevision.evaluate.report import Block, Fact, Facts, Figure, Section, Table, Text, html_page


def report_files(report: Report) -> dict[str, bytes]:
    """Entries for the bundle: report.json always, report.html where matplotlib is installed."""
    files = {"report/report.json": json_bytes(report.to_dict())}
    with contextlib.suppress(MissingExtraError):
        files["report/report.html"] = report_page(report).encode()
    return files


def report_page(report: Report) -> str:
    """Self-contained HTML. Raises MissingExtraError without matplotlib."""
    sections = [
        Section("Verdict", (_headline(report), Text(report.verdict_line(), _tone(report)), Text(report.why),
                            *(Text(note, "warning") for note in report.notes))),
        Section("Variants", (*_pictures(report), _variants(report), *_missing(report))),
        Section("Photos", (_photos(report),)),
    ]  # fmt: skip
    if report.estimators:
        rows = tuple((name, value) for name, value in sorted(report.estimators.items(), key=lambda item: item[1]))
        caption = (
            "Mean KL divergence of the int8 graph's answers from float's on the calibration photos; the least is used."
        )
        sections.append(
            Section("Range estimators", (Table(("estimator", "divergence, nats"), rows, caption, 5, (0,)),))
        )
    if report.parity is not None:
        parity = report.parity
        lines = tuple(
            (f"batch {batch}", f"{difference:.2e}", f"{parity.tolerance:.2e}")
            for batch, difference in parity.max_abs_difference.items()
        )
        caption = "Largest difference between the outputs of PyTorch and of the exported ONNX graph, same inputs."
        sections.append(Section("Export", (Table(("batch", "difference", "tolerance"), lines, caption),)))
    sections.append(Section("Source and machine", (_facts(report),)))
    return html_page(f"Compile report: {report.source.get('name', 'model')}", sections, report.why)


def _headline(report: Report) -> Block:
    row = report.rows[0]
    setting = report.settings[0]
    facts = [
        Fact("chosen", row.id, f"{row.layers.get('int8', 0)} of {sum(row.layers.values())} layers in int8"),
        Fact("p50 engine latency", f"{row.latency[setting][0]:.2f} ms", f"{setting[0]} threads, batch {setting[1]}"),
        Fact("graph", f"{row.size_bytes / 1e6:.2f} MB"),
    ]
    if report.verdict is not None:
        v = report.verdict
        name = "top-1" if v.metric == "top1" else "agreement"
        facts.insert(
            1, Fact(name, f"{v.value:.2f} %", f"float {v.reference:.2f} %, drop {v.drop:+.2f} points, n = {v.n}")
        )
    return Facts(tuple(facts))


def _tone(report: Report) -> Literal["plain", "good", "warning", "bad"]:
    if report.verdict is None:
        return "warning"
    return "good" if report.verdict.proven else "plain" if report.verdict.passed else "bad"


def _pictures(report: Report) -> tuple[Block, ...]:
    setting = report.settings[0]
    points = [
        pictures.Point(row.id, row.latency[setting][0], row.metric, row.id == report.chosen)
        for row in report.rows
        if row.metric is not None
    ]
    if not points:
        return ()
    caption = f"What the judge photos were shown; {setting[0]} threads, batch {setting[1]}."
    return (Figure(pictures.latency_accuracy(points), "Up and left is better", caption),)


def _variants(report: Report) -> Block:
    header, lines = report.table()
    return Table(tuple(header), tuple(tuple(line) for line in lines), TABLE_LEGEND, marked=(0,))


def _missing(report: Report) -> tuple[Block, ...]:
    if not report.missing:
        return ()
    return (Table(("not run here", "why"), tuple(report.missing.items())),)


def _photos(report: Report) -> Block:
    described = report.sets.describe()
    columns = ("count", "labelled", "trained_on", "sha256")
    rows = tuple(
        (name, *(described[name][k] for k in columns[:3]), described[name]["sha256"][:16])
        for name in ("calibration", "judge")
    )
    return Table(("set", "photos", "labelled", "trained on", "SHA-256"), rows, f"From: {described['origin']}.")


def _facts(report: Report) -> Block:
    machine = environment()
    rows = [(str(key), str(value)) for key, value in report.source.items()]
    rows += [
        ("CPU", f"{machine.cpu}, {machine.cores} cores, {machine.architecture}"),
        ("instruction sets", " ".join(machine.features)),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items())),
    ]
    return Table(("what", "value"), tuple(rows))
