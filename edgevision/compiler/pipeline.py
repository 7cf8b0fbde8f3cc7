"""The walk of `compile`: load → export → calibrate → quantize → measure → choose → judge → pack.

Each step takes and returns a value; none reaches back. Nothing is written before the last step.
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
from edgevision.compiler.int8 import Calibrated, calibrate, int8_candidate, restored
from edgevision.compiler.measure import REFERENCE, Way
from edgevision.compiler.options import Candidate, CompileOptions, Objective, Precision, ProgressFn, Row, silent
from edgevision.compiler.pack import pack, pick_golden, read_golden, run_golden
from edgevision.compiler.report import Report, report_files
from edgevision.compiler.source import SourceModel, SourceOptions, load_source
from edgevision.errors import BudgetError
from edgevision.files import check_writable
from edgevision.machine import usable_cores
from edgevision.tasks.classify import ClassifyTask

RESTORE_STEPS = (1, 2, 4, 8)  # how many of the most sensitive parts go back to float, until the budget fits


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
        """The table of variants."""
        return self.report.rows

    @property
    def verdict(self) -> Verdict | None:
        """What the judge photos said; None for an unproven bundle."""
        return self.report.verdict


def compile_model(
    source: Path, target: Path, options: CompileOptions, progress: ProgressFn = silent
) -> CompileResult:
    """Compile ``source`` into the bundle ``target``.

    Raises InputError and its kin for what cannot be used, BudgetError when nothing fits the budget; then ``target``
    is what it was.
    """
    check_writable(target)
    progress("load", 0, 0)
    model = load_source(
        source, SourceOptions(options.arch, options.preprocess, options.labels, options.output, options.trust)
    )
    sets = photos.gather(options, model.labels, model.photos)
    progress("export", 0, 0)
    float_graph, parity = export_float(model)
    walk = _Walk(options, model, sets, float_graph, progress)
    walk.quantize_and_measure()
    order, verdicts = walk.judged()
    report = Report(
        source=model.info, options=options, parity=parity, rows=walk.table(order), missing=walk.missing,
        chosen=order[0].id if order else None, verdict=verdicts.get(order[0].id) if order else None,
        verdicts=verdicts, why=walk.why(order, verdicts), estimators=walk.estimators, sets=sets, notes=tuple(walk.notes),
        settings=walk.settings,
    )  # fmt: skip
    if not order:
        raise BudgetError(report.refusal())
    golden = run_golden(walk.golden_frames(), [walk.ways[row.id] for row in order], walk.ways[REFERENCE], model.spec, 1)
    bundle_id, manifest = pack(
        target, name=target.stem, labels=model.labels, output=model.output, spec=model.spec,
        candidates={c.key: c for c in walk.candidates}, rows=order, chosen=order[0], golden=golden,
        verdict=report.verdict, source=model.info, data=sets.describe(), report=report_files(report),
    )  # fmt: skip
    return CompileResult(target, bundle_id, manifest, report, float_graph)


class _Walk:
    """The values of one compilation, in the order in which the steps fill them."""

    def __init__(
        self, options: CompileOptions, model: SourceModel, sets: photos.PhotoSets, float_graph: bytes,
        progress: ProgressFn,
    ) -> None:  # fmt: skip
        self.options, self.model, self.sets, self.progress = options, model, sets, progress
        self.notes: list[str] = list(sets.notes)
        self.threads = options.threads or usable_cores()
        self.batch = max(options.batch, 8 if options.objective is Objective.THROUGHPUT else 1)
        self.settings = tuple(dict.fromkeys([(self.threads, self.batch), (self.threads, 1), (1, 1)]))
        self.calibration = photos.spread(sets.calibration, options.calibration_limit)
        self.candidates: list[Candidate] = [Candidate("float", float_graph, "float32", "float")]
        self.calibrated: Calibrated | None = None
        self.estimators: dict[str, float] = {}
        self.ways: dict[str, Way] = {}
        self.missing: dict[str, str] = {}
        self.rows: dict[str, Row] = {}
        self.calibration_outputs: dict[str, npt.NDArray[np.float32]] = {}

    def quantize_and_measure(self) -> None:
        """Quantize, see what runs here, measure it, and fit what says "unknown"."""
        if self.options.precision is not Precision.FLOAT:
            tensors = list(photos.prepared(self.calibration, self.model.spec))
            self.calibrated = calibrate(self.candidates[0].graph, tensors, self.model.output, self.progress)
            self.estimators = self.calibrated.estimators
            self.candidates.append(int8_candidate(self.calibrated))
        self._measure()

    def _measure(self) -> None:
        found, self.missing = measure.ways(self.candidates)
        self.ways = {way.id: way for way in found}
        rows = measure.measure(
            found, self._item(), self.settings, self.options.rounds, self.options.seed, self.progress
        )
        outputs = judge.outputs_on(
            found, self.calibration, self.model.spec, self.threads, "calibration photos", self.progress
        ) if self.calibration else {}  # fmt: skip
        self.calibration_outputs = outputs
        for row in rows:
            if not outputs:
                self.rows[row.id] = row
                continue
            temperature, threshold, note = judge.fit_unknown(
                outputs[row.id], self.calibration, self.model.labels, self.model.output, self.options.keep
            )
            if note and note not in self.notes:
                self.notes.append(note)
            self.rows[row.id] = replace(
                row, temperature=temperature, threshold=threshold,
                agreement=judge.agreement(outputs, outputs, row.id, REFERENCE),
            )  # fmt: skip

    def judged(self) -> tuple[tuple[Row, ...], dict[str, Verdict]]:
        """The variants to pack, best first, and the verdicts. Without judge photos: unproven, and no verdict."""
        order = self._finalists()
        if not self.sets.judge:
            return order, {}
        verdicts = self._verdicts(order)
        if self.calibrated is not None and not any(v.passed and self.rows[i].is_int8 for i, v in verdicts.items()):
            verdicts = self._restore(verdicts)
            order = self._finalists()
        passed = tuple(row for row in order if row.id in verdicts and verdicts[row.id].passed)
        # One graph in the bundle: the best variant's, and every variant of it that passed.
        packed = tuple(self.rows[row.id] for row in passed if row.candidate == passed[0].candidate)
        return packed, verdicts

    def _finalists(self) -> tuple[Row, ...]:
        order = choose.ranked(
            list(self.rows.values()), self.options.precision, self.options.objective, self.threads, self.batch
        )
        if self.sets.judge or not order:
            return order
        return tuple(row for row in order if row.candidate == order[0].candidate)

    def _verdicts(self, finalists: Sequence[Row]) -> dict[str, Verdict]:
        ids = dict.fromkeys([REFERENCE, *(row.id for row in finalists)])
        outputs = judge.outputs_on(
            [self.ways[i] for i in ids], self.sets.judge, self.model.spec, self.threads, "judge photos", self.progress
        )
        truth = photos.labels_of(self.sets.judge)
        trained_on = any(photo.seen for photo in self.sets.judge)
        verdicts = {
            i: judge.verdict(outputs[REFERENCE], outputs[i], truth, self.options.max_drop, trained_on) for i in ids
        }
        for i, found in verdicts.items():
            self.rows[i] = replace(self.rows[i], metric=found.value)
        return {row.id: verdicts[row.id] for row in finalists}

    def _restore(self, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
        """Return the parts that hurt most to float, by measured loss on calibration photos, until the budget fits."""
        assert self.calibrated is not None
        for count in RESTORE_STEPS:
            candidate = restored(self.calibrated, count, self.progress)
            if candidate is None:
                break
            self.candidates[-1] = candidate
            self._measure()
            verdicts = self._verdicts(self._finalists())
            if any(v.passed and self.rows[i].is_int8 for i, v in verdicts.items()):
                self.notes.append(f"back to float for accuracy's sake: {', '.join(candidate.float_parts)}")
                break
        return verdicts

    def golden_frames(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """``--golden``'s pictures, or calibration photos that float is sure about."""
        if self.options.golden is not None:
            return read_golden(self.options.golden)
        if not self.calibration:
            return pick_golden((), None)
        some = list(self.calibration[:64])
        task = ClassifyTask(self.model.labels, self.model.output, 1.0, 0.0)
        probabilities = task.probabilities(self.calibration_outputs[REFERENCE][: len(some)])
        return pick_golden([photo.read() for photo in some], probabilities)

    def table(self, packed: Sequence[Row]) -> tuple[Row, ...]:
        """Every row, the packed ones first, then by latency."""
        first = [row.id for row in packed]
        rest = sorted((r for r in self.rows.values() if r.id not in first), key=lambda r: r.latency[self.threads, 1])
        return (*(self.rows[i] for i in first), *rest)

    def why(self, order: Sequence[Row], verdicts: dict[str, Verdict]) -> str:
        """One or two sentences on the choice."""
        if not order:
            return "no variant stays within the budget"
        best, options = order[0], self.options
        ms = choose.cost_ms(best, options.objective, self.threads, self.batch)
        kind = "" if options.precision is Precision.AUTO else f" {options.precision.value}"
        text = f"{best.id} is the quickest{kind} variant within the budget: {ms:.2f} ms at {self.threads} threads"
        if not verdicts:
            text = f"{best.id} is the quickest{kind} variant ({ms:.2f} ms at {self.threads} threads); nothing was judged"
        other = choose.faster_elsewhere(best, list(self.rows.values()), options.objective, self.threads, self.batch)
        return f"{text}. {other}." if other and options.precision is not Precision.AUTO else f"{text}."

    def _item(self) -> npt.NDArray[Any]:
        if self.calibration:
            return next(photos.prepared(self.calibration[:1], self.model.spec))
        noise = np.random.default_rng(self.options.seed).normal(size=(1, *self.model.spec.tensor_shape))
        return noise.astype(self.model.spec.dtype.value)
