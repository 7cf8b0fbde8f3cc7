"""The pipeline of `compile`: load → examine → export → doubt → prune → calibrate → quantize → measure → validate → choose → pack.

Each step takes values and returns a value; none reaches back. Nothing is written before the last step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevision.bundle.golden import shrink
from edgevision.bundle.manifest import Environment, Manifest, Verdict
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data import photos
from edgevision.compiler.data.examination import Examined, examine_photos
from edgevision.compiler.golden import pick_golden, read_golden, run_golden
from edgevision.compiler.job import Job, make_job
from edgevision.compiler.options import CompileOptions, Precision, refuse_to_overwrite
from edgevision.compiler.pack import pack
from edgevision.compiler.progress import ProgressFn, StepClock, ignore, silent
from edgevision.compiler.prune.step import Pruned, check_can_save, prune_source, save_pruned
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.recipes import (
    Calibrated,
    calibrate,
    for_dialect,
    int8_candidates,
    sensitivities,
)
from edgevision.compiler.quantize.targets import DIALECT_ENGINES, Target, cpu_target, parse_targets
from edgevision.compiler.report.layers import graph_nodes
from edgevision.compiler.report.page import report_files
from edgevision.compiler.report.report import Report
from edgevision.compiler.select import choose
from edgevision.compiler.select.budget import Validated, fallback_to_float, validate_variants
from edgevision.compiler.select.candidates import MeasuredCandidates, measure_candidates
from edgevision.compiler.select.cross_target import OtherTargets, float_reference, other_targets, prepare_targets
from edgevision.compiler.select.doubts import check_answers
from edgevision.compiler.select.probe import probe
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.parity import ParityReport
from edgevision.compiler.sources.source import SourceOptions, load_source
from edgevision.compiler.variants import BASE_ENGINE, ORIGINAL, REFERENCE, Candidate, CompiledVariant
from edgevision.engines import available_engines
from edgevision.engines.child import interpreter
from edgevision.errors import BudgetError, EngineError, InputError
from edgevision.evaluate.base import ImageScores
from edgevision.evaluate.page.html import Section
from edgevision.files import ensure_writable
from edgevision.frames import ImageArray
from edgevision.tensors import items_of

RANGES = "calibration/ranges.json"  # in the bundle: the range table, keyed to float graph and photos
LATENCY_SLACK = 0.1  # of --target-latency: two measurements on a machine in use differ by so much
GOLDEN_POOL = 64  # calibration photos that golden frames are chosen from


@dataclass(frozen=True)
class CompileResult:
    """What was written, and everything measured on the way. ``float_graph``: the exported ONNX, not quantized."""

    path: Path
    bundle_id: str
    manifest: Manifest
    report: Report
    float_graph: bytes

    @property
    def variants(self) -> tuple[CompiledVariant, ...]:
        """The table of variants, the packed ones first."""
        return self.report.variants

    @property
    def verdict(self) -> Verdict | None:
        """What the validation photos said; None for a bundle that was not validated."""
        return self.report.verdict


@dataclass(frozen=True, eq=False)
class _Exported:
    """The job after pruning, with the float graph and all float candidates. ``doubts``: notes on float's own answers."""

    job: Job
    graph: bytes
    parity: ParityReport | None
    candidates: tuple[Candidate, ...]
    pruned: Pruned | None
    doubts: tuple[str, ...]


def compile_model(
    source: Path, target: Path, options: CompileOptions, progress: ProgressFn = silent,
    expect: Callable[[Mapping[str, float]], None] = ignore,
) -> CompileResult:  # fmt: skip
    """Compile ``source`` into the bundle ``target``.

    ``expect`` is told, once that is known, what each step to come will take: seconds by its name, as ``progress`` hears it.
    Raises InputError and its kin for what cannot be used, BudgetError when nothing fits the budget; then ``target``
    is what it was.
    """
    if interpreter() is None:
        raise EngineError(
            "compile opens graphs in processes of their own, and this program is no Python that one could be started with; "
            "use the edgevision command, or a plain Python"
        )
    refuse_to_overwrite(target, source, options)
    ensure_writable(target)
    elsewhere = other_targets(parse_targets(options.targets))
    given_golden = None if options.golden is None else read_golden(options.golden)
    clock = StepClock(progress)
    clock("load", 0, 0)
    job = _load(source, options, clock)
    examined = _examine(job)
    exported = _export(job, examined.shifted)
    probed = probe(exported.job, exported.candidates, _dialects(exported.job), keep_int8=bool(elsewhere))
    job = probed.job
    expect(probed.expected)
    calibrated = _calibrate(job, exported.graph)
    candidates = [*exported.candidates, *int8_candidates(calibrated)]
    validated = validate_variants(job, measure_candidates(job, candidates, opened=probed.opened))
    if calibrated and validated.int8_failed:
        validated = fallback_to_float(job, calibrated, validated)
    others = OtherTargets()
    if validated.packed and elsewhere:
        others = _for_elsewhere(job, elsewhere, exported.graph, calibrated, validated)

    graphs = (*validated.measured.candidates, *(one.candidate for one in others.packed))
    ranges = {RANGES: calibrated[0].plain.table.to_json().encode()} if calibrated else {}
    hashed = {**{f"graphs/{c.key}.onnx": c.graph for c in graphs}, **ranges, **dict(others.engines)}
    report = _report(job, validated, others, calibrated)
    report = replace(
        report, parity=exported.parity, pruning=None if exported.pruned is None else exported.pruned.to_dict(),
        notes=(
            *exported.doubts, *job.model.notes, *job.splits.notes, *examined.notes, *probed.notes,
            *_pruning_notes(exported.pruned, report), *report.notes,
        ),
        nodes={c.key: graph_nodes(c) for c in graphs if c.precision == "int8"}, hashes=_hashes(hashed),
        steps=clock.steps(),
    )  # fmt: skip
    packed = _packed(job, validated, others)
    if not packed or (options.precision is Precision.INT8 and others.refused):
        raise BudgetError(report.refusal(), report)
    _check_latency(job, packed[0], report)
    clock("pack", 0, 0)
    frames = given_golden or _golden_frames(job, validated.measured)
    shown = [*(validated.measured.variants[id] for id in validated.packed), *(one.proxy for one in others.packed)]
    bundle_id, manifest = pack(
        target, name=target.stem, task=job.model.task, spec=job.model.spec, candidates={c.key: c for c in graphs},
        variants=packed,
        golden=run_golden(frames, shown, validated.measured.variants[REFERENCE], job.model.spec, job.measure),
        environment=report.environment, source=_source(job, validated), data=job.used().describe(),
        attached={**report_files(report), **ranges, **dict(others.engines)},
    )  # fmt: skip
    if exported.pruned is not None and options.save_pruned is not None:
        save_pruned(source, options.save_pruned, exported.pruned)
    return CompileResult(target, bundle_id, manifest, report, exported.graph)


def _load(source: Path, options: CompileOptions, progress: ProgressFn) -> Job:
    """The model and the photos."""
    o = options
    said = SourceOptions(o.arch, o.preprocess, o.labels, o.output, o.trust, o.task, o.output_names)
    model = load_source(source, said)
    measure = AnswerMeasure.of(model.task, model.spec)
    splits = photos.gather(options, measure.evaluator, model.photos, model.trained_on, progress)
    return make_job(options, model, measure, splits, progress)


def _examine(job: Job) -> Examined:
    """What is said of the photos that the user gave. Raises DataError where they are no good."""
    given = job.options.data is not None or job.model.photos is not None
    if job.options.precision is Precision.FLOAT or not job.calibration or not given:
        return Examined()
    return examine_photos(job.model, job.calibration, job.splits.validation, job.progress)


def _export(job: Job, shifted: bool) -> _Exported:
    """The float graph; of a network that is pruned also the one before, which everything is then compared with. ``shifted``:
    see ``Examined``."""
    job.progress("export", 0, 0)
    graph, parity = export_float(job.model)
    doubts = check_answers(job, graph, shifted)  # before hours are spent on pruning and int8
    pruned = _prune(job)
    if pruned is None:
        return _Exported(job, graph, parity, (Candidate("float", graph, "float32", "float"),), None, doubts)
    before = Candidate(ORIGINAL, graph, "float32", "float")
    job = replace(
        job, model=pruned.model, reference=f"{BASE_ENGINE}-{ORIGINAL}",
        splits=replace(job.splits, calibration=pruned.marked(job.splits.calibration)),
        calibration=pruned.marked(job.calibration),
    )  # fmt: skip
    graph, parity = export_float(job.model)
    return _Exported(job, graph, parity, (before, Candidate("float", graph, "float32", "float")), pruned, doubts)


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
    return prune_source(
        job.model, job.splits.calibration, o, cpu_target().dialects, job.threads, job.batch, job.progress
    )  # fmt: skip


def _pruning_notes(pruned: Pruned | None, report: Report) -> tuple[str, ...]:
    """What pruning took, and what of the loss is its own."""
    if pruned is None:
        return ()
    metrics = {one.id: one.metric for one in report.variants}
    chosen = None if report.chosen is None else metrics[report.chosen]
    return pruned.notes(metrics[f"{BASE_ENGINE}-{ORIGINAL}"], metrics[REFERENCE], chosen)


def _dialects(job: Job) -> tuple[Dialect, ...]:
    """The int8 dialects that engines of this machine want; none where int8 is not wanted, or cannot be calibrated."""
    if job.options.precision is Precision.FLOAT or not job.splits.calibration:
        return ()
    present = available_engines()
    return tuple(d for d in cpu_target().dialects if any(engine in present for engine in DIALECT_ENGINES[d.name]))


def _calibrate(job: Job, float_graph: bytes) -> tuple[Calibrated, ...]:
    """What calibration found, for each dialect that an engine of this machine wants; the base runtime's comes first.
    Nothing where int8 is not tried."""
    if not job.dialects:
        return ()
    first, *others = job.dialects
    calibrated = calibrate(float_graph, job.tensors(), job.measure, job.threads, job.progress, first, job.counts.trials)
    return (calibrated, *(for_dialect(calibrated, dialect, job.progress) for dialect in others))


def _for_elsewhere(
    job: Job, targets: Sequence[Target], float_graph: bytes, calibrated: Sequence[Calibrated], validated: Validated
) -> OtherTargets:
    """The variants for other devices, compared with what this machine's were compared with."""
    fallback = next((c.float_fallback for c in validated.measured.candidates if c.key == "int8"), ())
    return prepare_targets(
        job, targets, float_graph, next(iter(calibrated), None), float_reference(job, validated), fallback
    )


def _packed(job: Job, validated: Validated, others: OtherTargets) -> tuple[CompiledVariant, ...]:
    """What is to be packed, the chosen variant first."""
    here = (validated.variant(job, id) for id in validated.packed)
    return (*here, *(one.variant for one in others.packed))


def _check_latency(job: Job, chosen: CompiledVariant, report: Report) -> None:
    """Raise BudgetError where what was chosen is slower than ``--target-latency`` by more than measuring varies."""
    target_ms, (p50_ms, _) = job.options.target_latency_ms, chosen.measurement.latency[job.threads, job.batch]
    if target_ms is not None and p50_ms > (1 + LATENCY_SLACK) * target_ms:
        raise BudgetError(
            f"{chosen.id} is the quickest variant within the budget and takes {p50_ms:.2f} ms; {target_ms:g} ms were asked "
            "for, and nothing was written. Allow more with --target-latency or --max-drop, or tune longer with "
            "--prune-minutes",
            report,
        )


def _report(job: Job, validated: Validated, others: OtherTargets, calibrated: Sequence[Calibrated]) -> Report:
    """What was measured and compared, so far as these say it."""
    measured = validated.measured
    chosen = next(iter(validated.packed), None)
    checks = {id: measured.measurements[id].precision_check for id in validated.packed}
    reference, scored = _scored(job, validated, others)
    return Report(
        source=job.model.info, options=job.options, task=job.model.task, parity=None,
        variants=_table(job, validated, others), missing=measured.missing, chosen=chosen, why=_why(job, validated),
        divergence_by_estimator=calibrated[0].estimators if calibrated else {}, splits=job.used(), settings=job.settings,
        notes=(
            *measured.notes, *validated.notes, *others.notes,
            *(f"{id}: {check.note()}" for id, check in checks.items() if check is not None and check.note()),
        ),
        sensitivity=_sensitivity(job, validated, calibrated),
        recipes={c.dialect.name: {r.name: v for r, v in c.recipes.items()} for c in calibrated},
        groups=_groups(job, reference, scored),
        task_sections=_task_sections(job, reference, scored, chosen),
        environment=Environment.here(),
    )  # fmt: skip


def _scored(job: Job, validated: Validated, others: OtherTargets) -> tuple[ImageScores | None, dict[str, ImageScores]]:
    """Float's scores on the validation photos, and those of all variants with a verdict, the chosen one first; none
    where the photos' truth is not known."""
    shown = validated.shown
    if shown.truth is None or not shown.truth.is_known:
        return None, {}
    ids = [*(id for id in validated.packed if id in shown.verdicts), *shown.verdicts]
    scored = {id: shown.scored[id].scores for id in dict.fromkeys(ids)}
    for one in (*others.packed, *others.refused):
        if one.scored is not None:
            scored[one.variant.id] = one.scored.scores
    return shown.scored[job.reference].scores, scored


def _groups(job: Job, reference: ImageScores | None, scored: Mapping[str, ImageScores]) -> dict[str, list[Any]]:
    """Group by group, what each variant lost, for report.json."""
    if reference is None:
        return {}
    evaluator = job.measure.evaluator
    return {id: [g.to_dict() for g in evaluator.group_losses(reference, own)] for id, own in scored.items()}


def _task_sections(
    job: Job, reference: ImageScores | None, scored: Mapping[str, ImageScores], chosen: str | None
) -> tuple[Section, ...]:
    if reference is None:
        return ()
    return tuple(job.measure.evaluator.sections(reference, scored, chosen, job.options.max_class_drop))


def _sensitivity(job: Job, validated: Validated, calibrated: Sequence[Calibrated]) -> dict[str, float]:
    """How much quantizing each node alone hurts; measured for the report where no node had to be sought out before."""
    if validated.ranking or not validated.packed or not calibrated or not job.counts.report_s:
        return dict(validated.ranking)
    return dict(sensitivities(calibrated[0], job.progress, job.counts.report_s))


def _hashes(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}


def _source(job: Job, validated: Validated) -> dict[str, Any]:
    """Where the bundle comes from, with what was fitted for float: for `eval` of both side by side."""
    fit = validated.measured.fits.get(job.reference)
    return {**job.model.info, "float": {"parameters": {} if fit is None else dict(fit.parameters)}}


def _golden_frames(job: Job, measured: MeasuredCandidates) -> tuple[ImageArray, ...]:
    """Calibration photos, chosen by what float says of them."""
    if not job.calibration:
        return pick_golden((), None)
    pool = job.calibration[:GOLDEN_POOL]
    spec = job.model.task.with_parameters(measured.fits[REFERENCE].parameters)
    fitted = AnswerMeasure.of(spec, job.model.spec)
    answers = items_of(measured.answers[REFERENCE], slice(len(pool)))
    return pick_golden([shrink(photo.read()) for photo in pool], fitted.evaluator.golden_worth(answers))


def _table(job: Job, validated: Validated, others: OtherTargets) -> tuple[CompiledVariant, ...]:
    """Every variant: the packed ones first, then by latency, then those for other devices."""
    measured = validated.measured.measurements
    rest = sorted(
        (id for id in measured if id not in validated.packed), key=lambda id: measured[id].latency[job.threads, 1]
    )
    here = (validated.variant(job, id) for id in (*validated.packed, *rest))
    return (*here, *(one.variant for one in (*others.packed, *others.refused)))


def _why(job: Job, validated: Validated) -> str:
    """One or two sentences on the choice."""
    if not validated.packed:
        return "no variant stays within the budget"
    measured, o = validated.measured.measurements, job.options
    best = measured[validated.packed[0]]
    ms = choose.cost_ms(best, o.objective, job.threads, job.batch)
    kind = "" if o.precision is Precision.AUTO else f" {o.precision.value}"
    budget = " within the budget" if validated.shown.verdicts else ""
    text = f"{best.id} is the quickest{kind} variant{budget}: {ms:.2f} ms with {job.threads} threads."
    other = choose.faster_elsewhere(best, list(measured.values()), o.objective, job.threads, job.batch)
    return f"{text} {other}." if other and o.precision is not Precision.AUTO else text
