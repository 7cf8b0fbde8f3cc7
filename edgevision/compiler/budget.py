"""The budget: which of the measured variants the judge photos let through, and what goes back to float for it.

The judge photos see finalists only, and few of those: each further look at them is a chance to pass by luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevision.bundle.manifest import Verdict
from edgevision.compiler import choose, judge, photos
from edgevision.compiler.int8 import Calibrated, int8_candidates, restore, sensitive_nodes
from edgevision.compiler.job import BASE_ENGINE, Job
from edgevision.compiler.measure import ORIGINAL, REFERENCE
from edgevision.compiler.measured import Measured, measure_candidates
from edgevision.compiler.options import Row
from edgevision.tasks.classify import ClassifyTask

MAX_LOOKS = 4  # int8 graphs that the judge photos see before compile gives up on int8


@dataclass(frozen=True)
class Judged:
    """``packed``: the variants to offer, best first; empty when nothing fits the budget. ``outputs``: raw, on the judge
    photos, of the variants that were shown to them. ``looks``: int8 graphs that they have seen so far. ``ranking``:
    nodes with how much their quantization hurts, worst first, where that was measured.
    """

    measured: Measured
    packed: tuple[Row, ...]
    verdicts: dict[str, Verdict]
    outputs: dict[str, judge.Outputs]
    looks: int = 0
    notes: tuple[str, ...] = ()
    ranking: tuple[tuple[str, float], ...] = ()

    @property
    def int8_failed(self) -> bool:
        """Whether int8 was shown to the judge photos and no variant of it passed."""
        shown = [v for i, v in self.verdicts.items() if self.measured.rows[i].is_int8]
        return bool(shown) and not any(v.passed for v in shown)


def judge_variants(job: Job, measured: Measured, known: Judged | None = None) -> Judged:
    """Show variants to the judge photos, best first, until one stays within the budget, and one of the base runtime.

    Variants of one graph are shown together, with float. What the photos said of graphs in ``known`` that are still
    there holds. Each int8 graph shown is one look more at them.
    """
    o = job.options
    # What is int8 in name only is not offered, as int8 or as anything else.
    honest = [row for row in measured.rows.values() if row.truth is None or row.truth.holds]
    offered = [row for row in honest if row.candidate != ORIGINAL]
    finalists = choose.ranked(offered, o.precision, o.objective, job.threads, job.batch)
    if not job.sets.judge:
        return Judged(measured, _with_base(measured, finalists), {}, {})
    truth = photos.labels_of(job.sets.judge)
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
                verdicts[other.id] = verdict_on(
                    job, measured.rows[job.reference], other, outputs[job.reference], outputs[other.id],
                    looks=looks if is_int8 else 1,
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
    if job.reference != REFERENCE and REFERENCE in outputs and REFERENCE not in verdicts:
        # The pruned float, which is what runs where int8 cannot, has to be within the budget too.
        verdicts[REFERENCE] = verdict_on(
            job, measured.rows[job.reference], rows[REFERENCE], outputs[job.reference], outputs[REFERENCE]
        )
    fits = REFERENCE not in verdicts or verdicts[REFERENCE].passed
    return Judged(judged, _with_base(judged, passed, REFERENCE if fits else None), verdicts, outputs, looks)


def verdict_on(
    job: Job, reference: Row, row: Row, expected: judge.Outputs, outputs: judge.Outputs, looks: int = 1
) -> Verdict:
    """What the judge photos say of the variant ``row`` against ``reference``, by the raw outputs [n, k] of both."""
    o, model = job.options, job.model

    def scores(of: Row, raw: judge.Outputs) -> judge.Scores:
        best: judge.Scores = ClassifyTask(model.labels, model.output, of.temperature).probabilities(raw).max(1)
        return best

    return judge.verdict(
        expected, outputs, photos.labels_of(job.sets.judge), o.max_drop, model.labels, max_class_drop=o.max_class_drop,
        trained_on=any(photo.seen for photo in job.sets.judge), looks=looks,
        scores=(scores(reference, expected), scores(row, outputs)), max_calibration_rise=o.max_calibration_rise,
    )  # fmt: skip


def _with_base(measured: Measured, usable: Sequence[Row], floating: str | None = REFERENCE) -> tuple[Row, ...]:
    """The variants of the best one's graph; behind them, where none of these runs on the base runtime, the best one
    that does, or float. None at all where nothing does: a bundle must load everywhere. ``floating``: id of float, None
    where it is outside the budget itself, as a pruned network's may be.
    """
    packed = tuple(row for row in usable if row.candidate == usable[0].candidate)
    if packed and all(row.engine != BASE_ENGINE for row in packed):
        fallback = None if floating is None else measured.rows[floating]
        base = next((row for row in usable if row.engine == BASE_ENGINE), fallback)
        return () if base is None else (*packed, base)
    return packed


def restore_layers(job: Job, calibrated: Sequence[Calibrated], judged: Judged) -> Judged:
    """Return the nodes that hurt most to float: how many is decided on calibration photos, and judged once.

    If that fails, once more with a stricter bound: each look at the judge photos makes the verdict weaker.
    """
    first = calibrated[0]
    ranking = sensitive_nodes(first, job.progress)
    truth = photos.labels_of(job.calibration)
    back = 0
    while judged.looks + len(calibrated) <= MAX_LOOKS:
        refused = next(c for c in judged.measured.candidates if c.key == "int8")
        candidate = restore(first, ranking, refused, job.options.max_drop, truth, job.progress)
        if candidate is None:
            break
        back = len(candidate.float_parts)
        made = int8_candidates(calibrated, candidate.float_parts)
        judged = judge_variants(job, measure_candidates(job, made, judged.measured), judged)
        if not judged.int8_failed:
            names = ", ".join(candidate.float_parts)
            rows = judged.measured.rows
            if any(v.passed and rows[i].is_int8 for i, v in judged.verdicts.items()):
                note = f"back to float for accuracy's sake: {names}"
            else:  # int8 was not shown again, for float is quicker by now
                note = f"int8 loses too much; with {names} back in float it is slower than what is packed"
            return replace(judged, notes=(note,), ranking=tuple(ranking))
    note = f"int8 stays outside the budget even with its {back} most sensitive layers back in float"
    return replace(judged, notes=(note,) if back else (), ranking=tuple(ranking))
