"""What the candidates do on this machine and on the calibration photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgevision.compiler import judge, measure
from edgevision.compiler.job import Job
from edgevision.compiler.measure import Variant
from edgevision.compiler.options import Candidate, Row
from edgevision.tasks.classify import ClassifyTask


@dataclass(frozen=True)
class Measured:
    """The candidates, and what the variants made of them do here. ``outputs``: raw, on the calibration photos."""

    candidates: tuple[Candidate, ...]
    variants: dict[str, Variant]
    missing: dict[str, str]
    rows: dict[str, Row]
    outputs: dict[str, judge.Outputs]
    notes: tuple[str, ...]


def measure_candidates(job: Job, candidates: Sequence[Candidate], known: Measured | None = None) -> Measured:
    """See what runs here, measure it, and fit what says "unknown".

    ``known``: what was measured before; of it, variants of graphs that ``candidates`` replace are forgotten.
    """
    found, missing = measure.variants(candidates)
    rows = measure.measure(found, job.item(), job.settings, job.options.rounds, job.options.seed, job.progress)
    new = Measured(tuple(candidates), {v.id: v for v in found}, missing, {r.id: r for r in rows}, {}, ())
    if job.calibration:
        spec, threads = job.model.spec, job.threads
        outputs = judge.outputs_on(found, job.calibration, spec, threads, "calibration photos", job.progress)
        fitted, notes = fit_rows(job, new.rows, outputs, (known.outputs if known else outputs)[job.reference])
        new = replace(new, outputs=outputs, rows=fitted, notes=notes)
    return new if known is None else _merged(known, new)


def fit_rows(
    job: Job, rows: Mapping[str, Row], outputs: Mapping[str, judge.Outputs], reference: judge.Outputs
) -> tuple[dict[str, Row], tuple[str, ...]]:
    """The rows with temperature, threshold and agreement with float, from raw outputs [n, k] on the calibration photos;
    and what there is to say of it.
    """
    labels, output = job.model.labels, job.model.output
    fit = partial(judge.fit_unknown, photos=job.calibration, labels=labels, output=output, keep=job.options.keep)
    float_temperature, threshold, note = fit(reference)
    expected = ClassifyTask(labels, output, float_temperature).probabilities(reference).max(1)
    fitted, notes = {}, [note]
    for id, row in rows.items():
        temperature, _, note = fit(outputs[id])
        scores = ClassifyTask(labels, output, temperature).probabilities(outputs[id]).max(1)
        carried = 0.0 if threshold is None else judge.carry_threshold(threshold, expected, scores)
        same = judge.agreement(reference, outputs[id])
        fitted[id] = replace(row, temperature=temperature, threshold=carried, agreement=same)
        notes.append(note)
    return fitted, tuple(dict.fromkeys(note for note in notes if note))


def _merged(known: Measured, new: Measured) -> Measured:
    replaced = {candidate.key for candidate in new.candidates}
    kept = [id for id, variant in known.variants.items() if variant.candidate.key not in replaced]
    return Measured(
        (*(c for c in known.candidates if c.key not in replaced), *new.candidates),
        {**{id: known.variants[id] for id in kept}, **new.variants},
        {**known.missing, **new.missing},
        {**{id: known.rows[id] for id in kept}, **new.rows},
        {**{id: known.outputs[id] for id in kept if id in known.outputs}, **new.outputs},
        tuple(dict.fromkeys((*known.notes, *new.notes))),
    )
