"""The walk of `compile`: load → export → calibrate → quantize → measure → judge → choose → pack.

Each step takes values and returns a value; none reaches back. Nothing is written before the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.manifest import Manifest, Verdict
from edgevision.compiler import choose, judge, measure, photos
from edgevision.compiler.examination import examine_photos
from edgevision.compiler.export import export_float
from edgevision.compiler.int8 import Calibrated, calibrate, for_dialect, int8_candidates, restore, sensitive_nodes
from edgevision.compiler.measure import ORIGINAL, REFERENCE, Variant
from edgevision.compiler.options import (
    Candidate,
    CompileOptions,
    Objective,
    Precision,
    ProgressFn,
    Row,
    refuse_to_overwrite,
    silent,
)
from edgevision.compiler.pack import pack, pick_golden, read_golden, run_golden
from edgevision.compiler.pruned import Pruned, check_can_save, prune_source, save_pruned
from edgevision.compiler.report import Report
from edgevision.compiler.report_page import report_files
from edgevision.compiler.source import SourceModel, SourceOptions, load_source
from edgevision.compiler.targets import ENGINES, cpu_target
from edgevision.engines import available_engines
from edgevision.errors import BudgetError, InputError
from edgevision.files import ensure_writable
from edgevision.frames import ImageArray
from edgevision.machine import usable_cores
from edgevision.tasks.classify import ClassifyTask

MAX_LOOKS = 4  # int8 graphs that the judge photos see before compile gives up on int8
BASE_ENGINE = "onnxruntime"  # what every installation has
THROUGHPUT_BATCH = 8
RANGES = "calibration/ranges.json"  # in the bundle: the range table, keyed to float graph and photos
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


@dataclass(frozen=True)
class _Job:
    """What every step needs to know."""

    options: CompileOptions
    model: SourceModel
    sets: photos.PhotoSets
    calibration: tuple[photos.CompilePhoto, ...]
    threads: int
    batch: int
    progress: ProgressFn
    reference: str = REFERENCE  # id of the variant that every other is compared with

    @property
    def settings(self) -> tuple[tuple[int, int], ...]:
        """(threads, batch) to measure at; the first is the one that decides."""
        return tuple(dict.fromkeys([(self.threads, self.batch), (self.threads, 1), (1, 1)]))


@dataclass(frozen=True)
class _Measured:
    """The candidates, and what the variants made of them do here."""

    candidates: tuple[Candidate, ...]
    variants: dict[str, Variant]
    missing: dict[str, str]
    rows: dict[str, Row]
    outputs: dict[str, judge.Outputs]  # on the calibration photos
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judged:
    """``packed``: the variants to offer, best first; empty when nothing fits the budget. ``looks``: int8 graphs that the
    judge photos have seen so far.
    """

    measured: _Measured
    packed: tuple[Row, ...]
    verdicts: dict[str, Verdict]
    outputs: dict[str, judge.Outputs]  # on the judge photos, of the variants that were shown to them
    looks: int = 0
    notes: tuple[str, ...] = ()


def compile_model(source: Path, target: Path, options: CompileOptions, progress: ProgressFn = silent) -> CompileResult:
    """Compile ``source`` into the bundle ``target``.

    Raises InputError and its kin for what cannot be used, BudgetError when nothing fits the budget; then ``target``
    is what it was.
    """
    refuse_to_overwrite(target, source, options)
    ensure_writable(target)
    chosen_golden = None if options.golden is None else read_golden(options.golden)
    progress("load", 0, 0)
    model = load_source(
        source, SourceOptions(options.arch, options.preprocess, options.labels, options.output, options.trust)
    )
    sets = photos.gather(options, model.labels, model.photos, model.trained_on)
    job = _job(options, model, sets, progress)
    examined = _examine(job)
    progress("export", 0, 0)
    float_graph, parity = export_float(model)
    candidates = [Candidate("float", float_graph, "float32", "float")]
    pruned = _prune(job)
    if pruned is not None:
        model = pruned.model
        job = replace(job, model=model, reference=f"{BASE_ENGINE}-{ORIGINAL}")
        candidates = [Candidate(ORIGINAL, float_graph, "float32", "float")]
        float_graph, parity = export_float(model)
        candidates.append(Candidate("float", float_graph, "float32", "float"))
    calibrated: tuple[Calibrated, ...] = ()
    if options.precision is not Precision.FLOAT and sets.calibration:
        calibrated = _calibrate(job, float_graph)
        candidates += int8_candidates(calibrated)
    judged = _judge(job, _measure(job, candidates))
    if calibrated and _int8_failed(judged):
        judged = _restore(job, calibrated, judged)

    measured, packed = judged.measured, judged.packed
    report = Report(
        source=model.info, options=options, parity=parity, rows=_table(job, judged), missing=measured.missing,
        chosen=packed[0].id if packed else None, verdict=judged.verdicts.get(packed[0].id) if packed else None,
        verdicts=judged.verdicts, why=_why(job, judged), estimators=calibrated[0].estimators if calibrated else {},
        sets=sets, notes=(*sets.notes, *examined, *_pruning_notes(pruned, judged), *measured.notes, *judged.notes),
        settings=job.settings, pruning=None if pruned is None else pruned.to_dict(),
    )  # fmt: skip
    if not packed:
        raise BudgetError(report.refusal())
    progress("pack", 0, 0)
    frames = _golden_frames(job, measured) if chosen_golden is None else chosen_golden
    golden = run_golden(frames, [measured.variants[row.id] for row in packed], measured.variants[REFERENCE], model.spec)
    bundle_id, manifest = pack(
        target, name=target.stem, labels=model.labels, output=model.output, spec=model.spec,
        candidates={c.key: c for c in measured.candidates}, rows=packed, golden=golden,
        verdicts=judged.verdicts, source=_source(model, measured.rows[job.reference]), data=sets.describe(), attached={**report_files(report), **({RANGES: calibrated[0].plain.table.to_json().encode()} if calibrated else {})},
    )  # fmt: skip
    if pruned is not None and options.save_pruned is not None:
        save_pruned(source, options.save_pruned, pruned)
    return CompileResult(target, bundle_id, manifest, report, float_graph)


def _job(options: CompileOptions, model: SourceModel, sets: photos.PhotoSets, progress: ProgressFn) -> _Job:
    batch = options.batch or (THROUGHPUT_BATCH if options.objective is Objective.THROUGHPUT else 1)
    calibration = photos.spread(sets.calibration, options.calibration_limit)
    return _Job(options, model, sets, calibration, options.threads or usable_cores(), batch, progress)


def _examine(job: _Job) -> tuple[str, ...]:
    """What is said of the photos that the user gave. Raises DataError where they are no good."""
    given = job.options.data is not None or job.model.photos is not None
    if job.options.precision is Precision.FLOAT or not job.calibration or not given:
        return ()
    return examine_photos(job.model, job.calibration, job.sets.judge, job.progress)


def _prune(job: _Job) -> Pruned | None:
    """The model with fewer channels, where that is asked for."""
    o = job.options
    if not o.prunes:
        return None
    if not job.calibration:
        raise InputError("pruning needs photos to see which channels matter; give --data FOLDER_OR_LIST")
    if o.save_pruned is not None:
        check_can_save(job.model)
        ensure_writable(o.save_pruned)
    return prune_source(job.model, job.sets.calibration, o, cpu_target().dialects, job.threads, job.progress)


def _pruning_notes(pruned: Pruned | None, judged: _Judged) -> tuple[str, ...]:
    """What pruning took, and what of the loss is its own."""
    if pruned is None:
        return ()
    rows = judged.measured.rows
    chosen = rows[judged.packed[0].id].metric if judged.packed else None
    return pruned.notes(rows[f"{BASE_ENGINE}-{ORIGINAL}"].metric, rows[REFERENCE].metric, chosen)


def _calibrate(job: _Job, float_graph: bytes) -> tuple[Calibrated, ...]:
    """What calibration found, for each dialect that an engine of this machine wants; the base runtime's comes first."""
    tensors = list(photos.prepared(job.calibration, job.model.spec))
    present = available_engines()
    first, *others = [d for d in cpu_target().dialects if any(engine in present for engine in ENGINES[d.name])]
    calibrated = calibrate(float_graph, tensors, job.model.output, job.threads, job.progress, first)
    return (calibrated, *(for_dialect(calibrated, dialect, job.progress) for dialect in others))


def _measure(job: _Job, candidates: Sequence[Candidate], known: _Measured | None = None) -> _Measured:
    """See what runs here, measure it, and fit what says "unknown".

    ``known``: what was measured before; of it, variants of graphs that ``candidates`` replace are forgotten.
    """
    found, missing = measure.variants(candidates)
    rows = measure.measure(found, _item(job), job.settings, job.options.rounds, job.options.seed, job.progress)
    new = _Measured(tuple(candidates), {v.id: v for v in found}, missing, {r.id: r for r in rows}, {}, ())
    if job.calibration:
        spec, threads = job.model.spec, job.threads
        outputs = judge.outputs_on(found, job.calibration, spec, threads, "calibration photos", job.progress)
        new = _fitted(job, replace(new, outputs=outputs), (known.outputs if known else outputs)[job.reference])
    return new if known is None else _merged(known, new)


def _fitted(job: _Job, measured: _Measured, reference: judge.Outputs) -> _Measured:
    """The rows with temperature, threshold and agreement with float, from the outputs on calibration photos."""
    labels, output = job.model.labels, job.model.output
    fit = partial(judge.fit_unknown, photos=job.calibration, labels=labels, output=output, keep=job.options.keep)
    float_temperature, threshold, note = fit(reference)
    expected = ClassifyTask(labels, output, float_temperature).probabilities(reference).max(1)
    rows, notes = {}, [note]
    for id, row in measured.rows.items():
        outputs = measured.outputs[id]
        temperature, _, note = fit(outputs)
        scores = ClassifyTask(labels, output, temperature).probabilities(outputs).max(1)
        carried = 0.0 if threshold is None else judge.carry_threshold(threshold, expected, scores)
        same = judge.agreement(reference, outputs)
        rows[id] = replace(row, temperature=temperature, threshold=carried, agreement=same)
        notes.append(note)
    return replace(measured, rows=rows, notes=tuple(dict.fromkeys(note for note in notes if note)))


def _source(model: SourceModel, reference: Row) -> dict[str, Any]:
    """Where the bundle comes from, with what was fitted for float: for `eval` of both side by side."""
    return {**model.info, "float": {"temperature": reference.temperature, "threshold": reference.threshold}}


def _merged(known: _Measured, new: _Measured) -> _Measured:
    replaced = {candidate.key for candidate in new.candidates}
    kept = [id for id, variant in known.variants.items() if variant.candidate.key not in replaced]
    return _Measured(
        (*(c for c in known.candidates if c.key not in replaced), *new.candidates),
        {**{id: known.variants[id] for id in kept}, **new.variants},
        {**known.missing, **new.missing},
        {**{id: known.rows[id] for id in kept}, **new.rows},
        {**{id: known.outputs[id] for id in kept if id in known.outputs}, **new.outputs},
        tuple(dict.fromkeys((*known.notes, *new.notes))),
    )


def _judge(job: _Job, measured: _Measured, known: _Judged | None = None) -> _Judged:
    """Show variants to the judge photos, best first, until one stays within the budget, and one of the base runtime.

    Variants of one graph are shown together, with float. What the photos said of graphs in ``known`` that are still
    there holds. Each int8 graph shown is one look more at them.
    """
    o = job.options
    offered = [row for row in measured.rows.values() if row.candidate != ORIGINAL]
    finalists = choose.ranked(offered, o.precision, o.objective, job.threads, job.batch)
    if not job.sets.judge:
        return _Judged(measured, _with_base(measured, finalists, job.reference), {}, {})
    truth = photos.labels_of(job.sets.judge)
    trained_on = any(photo.seen for photo in job.sets.judge)
    still = [i for i in known.outputs if measured.variants.get(i) is known.measured.variants[i]] if known else []
    outputs = {i: known.outputs[i] for i in still} if known else {}
    verdicts = {i: v for i, v in known.verdicts.items() if i in still} if known else {}
    looks = known.looks if known else 0
    found = False
    for row in finalists:
        if found and row.engine != BASE_ENGINE:
            continue
        siblings = [other for other in finalists if other.candidate == row.candidate]
        if row.id not in verdicts:
            wanted = (job.reference, REFERENCE, *(other.id for other in siblings))
            shown = [measured.variants[i] for i in dict.fromkeys(wanted) if i not in outputs]
            outputs |= judge.outputs_on(
                shown, job.sets.judge, job.model.spec, job.threads, "judge photos", job.progress
            )
            is_int8 = measured.variants[row.id].candidate.precision == "int8"
            looks += is_int8
            for other in siblings:
                verdicts[other.id] = judge.verdict(
                    outputs[job.reference], outputs[other.id], truth, o.max_drop, job.model.labels,
                    max_class_drop=o.max_class_drop, trained_on=trained_on, looks=looks if is_int8 else 1,
                )  # fmt: skip
        found = found or verdicts[row.id].passed
        if found and any(verdicts[other.id].passed and other.engine == BASE_ENGINE for other in siblings):
            break
    metrics = {i: v.value for i, v in verdicts.items()}
    if verdicts:
        metrics |= judge.accuracies(
            {i: o for i, o in outputs.items() if i not in metrics}, outputs[job.reference], truth
        )
    rows = {i: replace(row, metric=metrics.get(i)) for i, row in measured.rows.items()}
    judged = replace(measured, rows=rows)
    passed = [rows[row.id] for row in finalists if row.id in verdicts and verdicts[row.id].passed]
    return _Judged(judged, _with_base(judged, passed, job.reference), verdicts, outputs, looks)


def _with_base(measured: _Measured, usable: Sequence[Row], reference: str) -> tuple[Row, ...]:
    """The variants of the best one's graph; behind them, where none of these runs on the base runtime, the best one
    that does, or float.
    """
    packed = tuple(row for row in usable if row.candidate == usable[0].candidate)
    if packed and all(row.engine != BASE_ENGINE for row in packed):
        base = next((row for row in usable if row.engine == BASE_ENGINE), measured.rows[reference])
        return (*packed, base)
    return packed


def _int8_failed(judged: _Judged) -> bool:
    """Whether int8 was shown to the judge photos and no variant of it passed."""
    shown = [v for i, v in judged.verdicts.items() if judged.measured.rows[i].is_int8]
    return bool(shown) and not any(v.passed for v in shown)


def _restore(job: _Job, calibrated: Sequence[Calibrated], judged: _Judged) -> _Judged:
    """Return the nodes that hurt most to float: how many is decided on calibration photos, and judged once.

    If that fails, once more with a stricter bound: each look at the judge photos makes the verdict weaker.
    """
    first = calibrated[0]
    ranking = sensitive_nodes(first, job.progress)
    truth = photos.labels_of(job.calibration)
    back = 0
    while judged.looks < MAX_LOOKS:
        refused = next(c for c in judged.measured.candidates if c.key == "int8")
        candidate = restore(first, ranking, refused, job.options.max_drop, truth, job.progress)
        if candidate is None:
            break
        back = len(candidate.float_parts)
        made = int8_candidates(calibrated, candidate.float_parts)
        judged = _judge(job, _measure(job, made, judged.measured), judged)
        if not _int8_failed(judged):
            note = f"back to float for accuracy's sake: {', '.join(candidate.float_parts)}"
            return replace(judged, notes=(note,))
    note = f"int8 stays outside the budget even with its {back} most sensitive layers back in float"
    return replace(judged, notes=(note,)) if back else judged


def _golden_frames(job: _Job, measured: _Measured) -> tuple[ImageArray, ...]:
    """Calibration photos, chosen by what float says of them."""
    if not job.calibration:
        return pick_golden((), None)
    pool = job.calibration[:GOLDEN_POOL]
    task = ClassifyTask(job.model.labels, job.model.output, measured.rows[REFERENCE].temperature, 0.0)
    return pick_golden([photo.read() for photo in pool], task.probabilities(measured.outputs[REFERENCE][: len(pool)]))


def _table(job: _Job, judged: _Judged) -> tuple[Row, ...]:
    """Every row: the packed ones first, then by latency."""
    packed = [row.id for row in judged.packed]
    rest = [row for row in judged.measured.rows.values() if row.id not in packed]
    return (*judged.packed, *sorted(rest, key=lambda row: row.latency[job.threads, 1]))


def _why(job: _Job, judged: _Judged) -> str:
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


def _item(job: _Job) -> npt.NDArray[Any]:
    """One prepared input [1, …] to measure with."""
    spec = job.model.spec
    if job.calibration:
        return next(photos.prepared(job.calibration[:1], spec))
    return np.random.default_rng(job.options.seed).normal(size=(1, *spec.tensor_shape)).astype(spec.dtype.value)
