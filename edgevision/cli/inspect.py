"""``edgevision inspect``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output

if TYPE_CHECKING:
    from edgevision.tasks.base import TaskSpec


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser("inspect", help="what a bundle holds, and what was proven of it")
    p.add_argument("bundle", type=Path)
    p.add_argument(
        "--report", type=Path, metavar="DIR", help="also write the bundle's report.json and report.html there"
    )
    p.add_argument("--labels", action="store_true", help="list every label")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.bundle.reader import open_bundle
    from edgevision.cli.extras import write_report
    from edgevision.runtime.golden_check import proof_gaps

    with open_bundle(arguments.bundle) as bundle:
        manifest = bundle.manifest
        gaps = proof_gaps(manifest)
        written = write_report(bundle, arguments.report) if arguments.report else []
        if arguments.json:
            output.show_json({"id": bundle.id, "not_proven_here": list(gaps), **manifest.to_dict()})
            return 0
        facts = [
            ["id", bundle.id],
            ["made", f"{manifest.created} by edgevision {manifest.edgevision} from {manifest.source.get('name', '?')}"],
            ["task", f"{manifest.task.kind}, {len(manifest.labels)} labels; {_outputs(manifest.task)}"],
            ["input", _input(manifest.preprocess)],
            ["graphs", ", ".join(f"{k} ({g.precision}, {g.dialect})" for k, g in manifest.graphs.items())],
            ["made on", f"{manifest.environment.cpu}, {manifest.environment.cores} cores"],
            ["proven", "yes" if manifest.proven else "NO"],
        ]
    output.table(manifest.name, ["", ""], facts, left=2)
    for variant in manifest.variants:
        times = ", ".join(f"{x.p50_ms:.2f} ms ({x.threads} threads, batch {x.batch})" for x in variant.latency)
        layers = ", ".join(f"{count} {precision}" for precision, count in variant.layer_precisions.items() if count)
        facts = [
            ["runs", f"graph {variant.graph} in {variant.engine}" + (f", {layers} layers" if layers else "")],
            *([["for", variant.target]] if variant.target else []),
            ["p50 latency where it was made", times or "not measured: it is for another device"],
            *([name, _number(value)] for name, value in manifest.task_of(variant).parameters.items()),
        ]
        output.table(variant.id + (" (chosen)" if variant.id == manifest.chosen else ""), ["", ""], facts, left=2)
    say = output.say
    if manifest.verdict is not None:
        say(f"Verdict: {manifest.verdict.sentence()}")
    for gap in gaps:
        say(f"Not proven here: {gap}")
    if arguments.labels:
        output.table("Labels", ["id", "name"], [[str(label.id), label.name] for label in manifest.labels])
    for path in written:
        say(f"Wrote {path}")
    return 0


def _outputs(task: TaskSpec) -> str:
    return ", ".join(f"{output.role} in '{output.name}' as {output.layout}" for output in task.outputs)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _input(spec: Any) -> str:
    return (
        f"{spec.height}×{spec.width} {spec.color.value}, {spec.fit.value}, {spec.filter.value}, mean {list(spec.mean)}, "
        f"std {list(spec.std)}"
    )
