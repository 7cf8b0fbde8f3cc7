"""The walk of `compile`: load → export → calibrate → quantize → measure → judge → choose → pack.

Each step takes values and returns a value; none reaches back. Nothing is written before the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.manifest import Manifest, Verdict
from edgevision.compiler import choose, judge, measure, photos
from edgevision.compiler.export import export_float
from edgevision.compiler.int8 import Calibrated, calibrate, int8_candidate, sensitive_nodes
from edgevision.compiler.measure import REFERENCE, Way
from edgevision.compiler.options import Candidate, CompileOptions, Objective, Precision, ProgressFn, Row, silent
from edgevision.compiler.pack import pack, pick_golden, read_golden, run_golden
from edgevision.compiler.report import Report, report_files
from edgevision.compiler.source import SourceModel, SourceOptions, load_source
from edgevision.errors import BudgetError, InputError
from edgevision.files import ensure_writable
from edgevision.frames import ImageArray
from edgevision.machine import usable_cores
from edgevision.tasks.classify import ClassifyTask

RESTORE_STEPS = (1, 2, 4, 8)  # how many of the most sensitive nodes go back to float, until the budget fits
BASE_ENGINE = "onnxruntime"  # what every installation has
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

    @property
    def settings(self) -> tuple[tuple[int, int], ...]:
        """(threads, batch) to measure at; the first is the one that decides."""
        return tuple(dict.fromkeys([(self.threads, self.batch), (self.threads, 1), (1, 1)]))


@dataclass(frozen=True)
class _Measured:
    """The candidates, and what the variants made of them do here."""

    candidates: tuple[Candidate, ...]
    ways: dict[str, Way]
    missing: dict[str, str]
    rows: dict[str, Row]
    outputs: dict[str, npt.NDArray[np.float32]]  # on the calibration photos
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judged:
    """``packed``: the variants to offer, best first; empty when nothing fits the budget."""

    measured: _Measured
    packed: tuple[Row, ...]
    verdicts: dict[str, Verdict]
    notes: tuple[str, ...] = ()


def compile_model(source: Path, target: Path, options: CompileOptions, progress: ProgressFn = silent) -> CompileResult:
    """Compile ``source`` into the bundle ``target``.

    Raises InputError and its kin for what cannot be used, BudgetError when nothing fits the budget; then ``target``
    is what it was.
    """
    _refuse_to_overwrite(target, source, options)
    ensure_writable(target)
    chosen_golden = None if options.golden is None else read_golden(options.golden)
    progress("load", 0, 0)
    model = load_source(
        source, SourceOptions(options.arch, options.preprocess, options.labels, options.output, options.trust)
    )
    sets = photos.gather(options, model.labels, model.photos)
    progress("export", 0, 0)
    float_graph, parity = export_float(model)
    job = _job(options, model, sets, progress)

    candidates = [Candidate("float", float_graph, "float32", "float")]
    calibrated = None
    if options.precision is not Precision.FLOAT and sets.calibration:
        calibrated = _calibrate(job, float_graph)
        candidates.append(int8_candidate(calibrated))
    judged = _judge(job, _measure(job, candidates))
    if calibrated is not None and sets.judge and not _int8_passed(judged):
        judged = _restore(job, calibrated, judged)

    measured, packed = judged.measured, judged.packed
    report = Report(
        source=model.info, options=options, parity=parity, rows=_table(job, judged), missing=measured.missing,
        chosen=packed[0].id if packed else None, verdict=judged.verdicts.get(packed[0].id) if packed else None,
        verdicts=judged.verdicts, why=_why(job, judged), estimators=calibrated.estimators if calibrated else {},
        sets=sets, notes=(*sets.notes, *measured.notes, *judged.notes), settings=job.settings,
    )  # fmt: skip
    if not packed:
        raise BudgetError(report.refusal())
    progress("pack", 0, 0)
    frames = _golden_frames(job, measured) if chosen_golden is None else chosen_golden
    golden = run_golden(frames, [measured.ways[row.id] for row in packed], measured.ways[REFERENCE], model.spec)
    bundle_id, manifest = pack(
        target, name=target.stem, labels=model.labels, output=model.output, spec=model.spec,
        candidates={c.key: c for c in measured.candidates}, rows=packed, chosen=packed[0], golden=golden,
        verdict=report.verdict, source=model.info, data=sets.describe(), report=report_files(report),
    )  # fmt: skip
    return CompileResult(target, bundle_id, manifest, report, float_graph)


def _refuse_to_overwrite(target: Path, source: Path, options: CompileOptions) -> None:
    """Raise InputError when the bundle would replace something that it is made of."""
    given = (source, options.data, options.val, options.labels, options.preprocess)
    for path in (Path(value) for value in given if value is not None):
        if target.is_file() and path.is_file() and target.samefile(path):
            raise InputError(f"{target} is read to make the bundle and would be replaced by it; name another with -o")


def _job(options: CompileOptions, model: SourceModel, sets: photos.PhotoSets, progress: ProgressFn) -> _Job:
    batch = max(options.batch, 8 if options.objective is Objective.THROUGHPUT else 1)
    calibration = photos.spread(sets.calibration, options.calibration_limit)
    return _Job(options, model, sets, calibration, options.threads or usable_cores(), batch, progress)


def _calibrate(job: _Job, float_graph: bytes) -> Calibrated:
    tensors = list(photos.prepared(job.calibration, job.model.spec))
    return calibrate(float_graph, tensors, job.model.output, job.threads, job.progress)


def _measure(job: _Job, candidates: Sequence[Candidate]) -> _Measured:
    """See what runs here, measure it, and fit what says "unknown"."""
    ways, missing = measure.ways(candidates)
    rows = measure.measure(ways, _item(job), job.settings, job.options.rounds, job.options.seed, job.progress)
    if not job.calibration:
        return _Measured(tuple(candidates), {w.id: w for w in ways}, missing, {r.id: r for r in rows}, {}, ())
    spec, labels = job.model.spec, job.model.labels
    outputs = judge.outputs_on(ways, job.calibration, spec, job.threads, "calibration photos", job.progress)
    fitted, notes = {}, {}
    for row in rows:
        temperature, threshold, note = judge.fit_unknown(
            outputs[row.id], job.calibration, labels, job.model.output, job.options.keep
        )
        same = judge.agreement(outputs[REFERENCE], outputs[row.id])
        fitted[row.id] = replace(row, temperature=temperature, threshold=threshold, agreement=same)
        notes[note] = bool(note)
    said = tuple(note for note, worth in notes.items() if worth)
    return _Measured(tuple(candidates), {w.id: w for w in ways}, missing, fitted, outputs, said)


def _judge(job: _Job, measured: _Measured) -> _Judged:
    """Show the finalists to the judge photos, and keep the best graph's variants that stay within the budget."""
    o = job.options
    finalists = choose.ranked(list(measured.rows.values()), o.precision, o.objective, job.threads, job.batch)
    if not job.sets.judge:
        return _Judged(measured, _with_base(measured, finalists), {})
    shown = [measured.ways[i] for i in dict.fromkeys([REFERENCE, *(row.id for row in finalists)])]
    outputs = judge.outputs_on(shown, job.sets.judge, job.model.spec, job.threads, "judge photos", job.progress)
    truth = photos.labels_of(job.sets.judge)
    trained_on = any(photo.seen for photo in job.sets.judge)
    verdicts = {
        row.id: judge.verdict(outputs[REFERENCE], outputs[row.id], truth, o.max_drop, trained_on) for row in finalists
    }
    metrics = {i: v.value for i, v in verdicts.items()}
    if verdicts:
        metrics[REFERENCE] = next(iter(verdicts.values())).reference
    rows = {i: replace(row, metric=metrics.get(i)) for i, row in measured.rows.items()}
    judged = replace(measured, rows=rows)
    return _Judged(judged, _with_base(judged, [rows[row.id] for row in finalists if verdicts[row.id].passed]), verdicts)


def _with_base(measured: _Measured, usable: Sequence[Row]) -> tuple[Row, ...]:
    """The variants of the best one's graph; behind them, where none of these runs on the base runtime, float."""
    packed = tuple(row for row in usable if row.candidate == usable[0].candidate)
    if packed and all(row.engine != BASE_ENGINE for row in packed):
        return (*packed, measured.rows[REFERENCE])
    return packed


def _int8_passed(judged: _Judged) -> bool:
    return any(v.passed and judged.measured.rows[i].is_int8 for i, v in judged.verdicts.items())


def _restore(job: _Job, calibrated: Calibrated, judged: _Judged) -> _Judged:
    """Return the nodes that hurt most to float, by measured loss on calibration photos, until the budget fits."""
    nodes = sensitive_nodes(calibrated, job.progress)
    floating = judged.measured.candidates[0]
    tried = 0
    for count in (step for step in RESTORE_STEPS if step < len(nodes)):
        candidate, tried = int8_candidate(calibrated, nodes[:count]), count
        judged = _judge(job, _measure(job, [floating, candidate]))
        if _int8_passed(judged):
            note = f"back to float for accuracy's sake: {', '.join(candidate.float_parts)}"
            return replace(judged, notes=(note,))
    note = f"int8 stays outside the budget even with its {tried} most sensitive layers back in float"
    return replace(judged, notes=(note,)) if tried else judged


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
