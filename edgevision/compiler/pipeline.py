"""The walk of `compile`: load → examine → prune → export → calibrate → quantize → measure → judge → choose → pack.

Each step takes values and returns a value; none reaches back. Nothing is written before the last step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevision.bundle.golden import shrink
from edgevision.bundle.manifest import Manifest, Verdict
from edgevision.compiler import choose, photos
from edgevision.compiler.budget import Judged, judge_variants, restore_layers
from edgevision.compiler.examination import examine_photos
from edgevision.compiler.export import export_float
from edgevision.compiler.int8 import Calibrated, calibrate, for_dialect, int8_candidates, sensitivities
from edgevision.compiler.job import BASE_ENGINE, Job, make_job
from edgevision.compiler.measure import ORIGINAL, REFERENCE
from edgevision.compiler.measured import Measured, measure_candidates
from edgevision.compiler.options import (
    Candidate,
    CompileOptions,
    Precision,
    ProgressFn,
    Row,
    refuse_to_overwrite,
    silent,
)
from edgevision.compiler.other_targets import OtherTargets, Reference, other_targets, prepare_targets
from edgevision.compiler.pack import pack, pick_golden, read_golden, run_golden
from edgevision.compiler.pruned import Pruned, check_can_save, prune_source, save_pruned
from edgevision.compiler.report import Report
from edgevision.compiler.report_classes import ClassLine, class_lines
from edgevision.compiler.report_layers import graph_nodes
from edgevision.compiler.report_page import report_files
from edgevision.compiler.source import SourceModel, SourceOptions, load_source
from edgevision.compiler.steps import StepClock
from edgevision.compiler.targets import ENGINES, Target, cpu_target, parse_targets
from edgevision.engines import available_engines
from edgevision.errors import BudgetError, InputError
from edgevision.files import ensure_writable
from edgevision.frames import ImageArray
from edgevision.tasks.classify import ClassifyTask

RANGES = "calibration/ranges.json"  # in the bundle: the range table, keyed to float graph and photos
LATENCY_SLACK = 0.1  # of --target-latency: two measurements on a machine in use differ by so much
GOLDEN_POOL = 64  # calibration photos that golden frames are chosen from


@dataclass(frozen=True)
class CompileResult:
    """What was written, and everything measured on the variant. ``float_graph``: the exported ONNX, not quantized."""

    path: Path
    bundle_id: str
    manifest: Manifest
    report: Report
    float_graph: bytes

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table of variants, the packed ones first."""
        return self.report.rows

    @property
    def verdict(self) -> Verdict | None:
        """What the judge photos said; None for an unproven bundle."""
        return self.report.verdict


def compile_model(source: Path, target: Path, options: CompileOptions, progress: ProgressFn = silent) -> CompileResult:
    """Compile ``source`` into the bundle ``target``.

    Raises InputError and its kin for what cannot be used, BudgetError when nothing fits the budget; then ``target``
    is what it was.
    """
    refuse_to_overwrite(target, source, options)
    ensure_writable(target)
    elsewhere = other_targets(parse_targets(options.targets))
    chosen_golden = None if options.golden is None else read_golden(options.golden)
    clock = StepClock(progress)
    clock("load", 0, 0)
    model = load_source(
        source, SourceOptions(options.arch, options.preprocess, options.labels, options.output, options.trust)
    )
    sets = photos.gather(options, model.labels, model.photos, model.trained_on)
    job = make_job(options, model, sets, clock)
    examined = _examine(job)
    clock("export", 0, 0)
    float_graph, parity = export_float(model)
    candidates = [Candidate("float", float_graph, "float32", "float")]
    pruned = _prune(job)
    if pruned is not None:
        model = pruned.model
        sets = replace(sets, calibration=pruned.marked(sets.calibration))
        job = replace(job, model=model, reference=f"{BASE_ENGINE}-{ORIGINAL}", sets=sets,
                      calibration=pruned.marked(job.calibration))  # fmt: skip
        candidates = [Candidate(ORIGINAL, float_graph, "float32", "float")]
        float_graph, parity = export_float(model)
        candidates.append(Candidate("float", float_graph, "float32", "float"))
    calibrated: tuple[Calibrated, ...] = ()
    if options.precision is not Precision.FLOAT and sets.calibration:
        calibrated = _calibrate(job, float_graph)
        candidates += int8_candidates(calibrated)
    judged = judge_variants(job, measure_candidates(job, candidates))
    if calibrated and judged.int8_failed:
        judged = restore_layers(job, calibrated, judged)
    others = OtherTargets()
    if judged.packed and elsewhere:
        others = _for_elsewhere(job, elsewhere, float_graph, calibrated, judged)

    measured, rows = judged.measured, (*judged.packed, *(one.row for one in others.packed))
    candidates = [*measured.candidates, *(one.candidate for one in others.packed)]
    ranges = {RANGES: calibrated[0].plain.table.to_json().encode()} if calibrated else {}
    report = _report(job, judged, others, calibrated)
    report = replace(
        report, parity=parity, pruning=None if pruned is None else pruned.to_dict(),
        notes=(*sets.notes, *examined, *_pruning_notes(pruned, judged), *report.notes),
        nodes={c.key: graph_nodes(c) for c in candidates if c.precision == "int8"},
        hashes=_hashes({**{f"graphs/{c.key}.onnx": c.graph for c in candidates}, **ranges, **dict(others.engines)}),
        steps=clock.steps(),
    )  # fmt: skip
    if not rows or (options.precision is Precision.INT8 and others.refused):
        raise BudgetError(report.refusal(), report)
    _check_latency(job, rows[0], report)
    clock("pack", 0, 0)
    frames = _golden_frames(job, measured) if chosen_golden is None else chosen_golden
    shown = [*(measured.variants[row.id] for row in judged.packed), *(one.stand_in for one in others.packed)]
    golden = run_golden(frames, shown, measured.variants[REFERENCE], model.spec)
    bundle_id, manifest = pack(
        target, name=target.stem, labels=model.labels, output=model.output, spec=model.spec,
        candidates={c.key: c for c in candidates}, rows=rows, golden=golden, verdicts=report.verdicts, source=_source(model, measured.rows[job.reference]),
        data=job.used().describe(), attached={**report_files(report), **ranges, **dict(others.engines)},
    )  # fmt: skip
    if pruned is not None and options.save_pruned is not None:
        save_pruned(source, options.save_pruned, pruned)
    return CompileResult(target, bundle_id, manifest, report, float_graph)


def _examine(job: Job) -> tuple[str, ...]:
    """What is said of the photos that the user gave. Raises DataError where they are no good."""
    given = job.options.data is not None or job.model.photos is not None
    if job.options.precision is Precision.FLOAT or not job.calibration or not given:
        return ()
    return examine_photos(job.model, job.calibration, job.sets.judge, job.progress)


def _prune(job: Job) -> Pruned | None:
    """The model with fewer channels, where that is asked for."""
    o = job.options
    if not o.prunes:
        return None
    if not job.calibration:
        raise InputError("pruning needs photos to see which channels matter; give --data FOLDER_OR_LIST")
    if o.save_pruned is not None:
        check_can_save(job.model)
        ensure_writable(o.save_pruned)
    return prune_source(job.model, job.sets.calibration, o, cpu_target().dialects, job.threads, job.batch, job.progress)


def _pruning_notes(pruned: Pruned | None, judged: Judged) -> tuple[str, ...]:
    """What pruning took, and what of the loss is its own."""
    if pruned is None:
        return ()
    rows = judged.measured.rows
    chosen = rows[judged.packed[0].id].metric if judged.packed else None
    return pruned.notes(rows[f"{BASE_ENGINE}-{ORIGINAL}"].metric, rows[REFERENCE].metric, chosen)


def _calibrate(job: Job, float_graph: bytes) -> tuple[Calibrated, ...]:
    """What calibration found, for each dialect that an engine of this machine wants; the base runtime's comes first."""
    tensors = job.tensors()
    present = available_engines()
    first, *others = [d for d in cpu_target().dialects if any(engine in present for engine in ENGINES[d.name])]
    calibrated = calibrate(float_graph, tensors, job.model.output, job.threads, job.progress, first)
    return (calibrated, *(for_dialect(calibrated, dialect, job.progress) for dialect in others))


def _for_elsewhere(
    job: Job, targets: Sequence[Target], float_graph: bytes, calibrated: Sequence[Calibrated], judged: Judged
) -> OtherTargets:
    """The variants for other devices, compared with what this machine's were compared with."""
    id, first = job.reference, next(iter(calibrated), None)
    reference = Reference(judged.measured.rows[id], judged.measured.outputs.get(id), judged.outputs.get(id))
    returned = next((c.float_parts for c in judged.measured.candidates if c.key == "int8"), ())
    return prepare_targets(job, targets, float_graph, first, reference, returned)


def _check_latency(job: Job, chosen: Row, report: Report) -> None:
    """Raise BudgetError where what was chosen is slower than ``--target-latency`` by more than measuring varies."""
    target_ms, (p50_ms, _) = job.options.target_latency_ms, chosen.latency[job.threads, job.batch]
    if target_ms is not None and p50_ms > (1 + LATENCY_SLACK) * target_ms:
        raise BudgetError(
            f"{chosen.id} is the quickest variant within the budget and takes {p50_ms:.2f} ms; {target_ms:g} ms were asked "
            "for, and nothing was written. Allow more with --target-latency or --max-drop, or tune longer with "
            "--prune-minutes",
            report,
        )


def _report(job: Job, judged: Judged, others: OtherTargets, calibrated: Sequence[Calibrated]) -> Report:
    """What was measured and judged, so far as these say it."""
    verdicts = {**judged.verdicts, **others.verdicts}
    chosen = judged.packed[0].id if judged.packed else None
    return Report(
        source=job.model.info, options=job.options, parity=None, rows=_table(job, judged, others),
        missing=judged.measured.missing, chosen=chosen, verdict=None if chosen is None else verdicts.get(chosen),
        verdicts=verdicts, why=_why(job, judged), estimators=calibrated[0].estimators if calibrated else {},
        sets=job.used(), settings=job.settings,
        notes=(*judged.measured.notes, *judged.notes, *others.notes, *(f"{r.id}: {n}" for r in judged.packed for n in r.notes)),
        sensitivity=_sensitivity(job, judged, calibrated), classes=_classes(job, judged, others), labels=job.model.labels,
        recipes={c.dialect.name: {r.name: v for r, v in c.recipes.items()} for c in calibrated},
    )  # fmt: skip


def _sensitivity(job: Job, judged: Judged, calibrated: Sequence[Calibrated]) -> dict[str, float]:
    """How much quantizing each node alone hurts; measured for the report where no node had to be sought out before."""
    if judged.ranking or not judged.packed or not calibrated:
        return dict(judged.ranking)
    return dict(sensitivities(calibrated[0], job.progress))


def _classes(job: Job, judged: Judged, others: OtherTargets) -> dict[str, tuple[ClassLine, ...]]:
    """Class by class, what each judged variant lost; empty without labels."""
    truth = photos.labels_of(job.sets.judge) if judged.outputs else None
    if truth is None:
        return {}
    expected = judged.outputs[job.reference].argmax(1) == truth
    shown = {id: judged.outputs[id] for id in judged.verdicts}
    shown |= {one.row.id: one.outputs for one in (*others.packed, *others.refused) if one.outputs is not None}
    return {id: class_lines(expected, raw.argmax(1) == truth, truth, job.model.labels) for id, raw in shown.items()}


def _hashes(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}


def _source(model: SourceModel, reference: Row) -> dict[str, Any]:
    """Where the bundle comes from, with what was fitted for float: for `eval` of both side by side."""
    return {**model.info, "float": {"temperature": reference.temperature, "threshold": reference.threshold}}


def _golden_frames(job: Job, measured: Measured) -> tuple[ImageArray, ...]:
    """Calibration photos, chosen by what float says of them."""
    if not job.calibration:
        return pick_golden((), None)
    pool = job.calibration[:GOLDEN_POOL]
    task = ClassifyTask(job.model.labels, job.model.output, measured.rows[REFERENCE].temperature, 0.0)
    return pick_golden(
        [shrink(photo.read()) for photo in pool], task.probabilities(measured.outputs[REFERENCE][: len(pool)])
    )


def _table(job: Job, judged: Judged, others: OtherTargets) -> tuple[Row, ...]:
    """Every row: the packed ones first, then by latency, then those for other devices."""
    packed = [row.id for row in judged.packed]
    rest = [row for row in judged.measured.rows.values() if row.id not in packed]
    travelling = (one.row for one in (*others.packed, *others.refused))
    return (*judged.packed, *sorted(rest, key=lambda row: row.latency[job.threads, 1]), *travelling)


def _why(job: Job, judged: Judged) -> str:
    """One or two sentences on the choice."""
    if not judged.packed:
        return "no variant stays within the budget"
    best, o = judged.packed[0], job.options
    ms = choose.cost_ms(best, o.objective, job.threads, job.batch)
    kind = "" if o.precision is Precision.AUTO else f" {o.precision.value}"
    budget = " within the budget" if judged.verdicts else ""
    text = f"{best.id} is the quickest{kind} variant{budget}: {ms:.2f} ms with {job.threads} threads."
    rows = list(judged.measured.rows.values())
    other = choose.faster_elsewhere(best, rows, o.objective, job.threads, job.batch)
    return f"{text} {other}." if other and o.precision is not Precision.AUTO else text
