"""What the candidates do on this machine and on the calibration photos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from edgevision.compiler.job import Job
from edgevision.compiler.select import measure
from edgevision.compiler.select.measure import RunsHere
from edgevision.compiler.select.run_photos import answers_of
from edgevision.compiler.variants import Candidate, Variant, VariantMeasurement
from edgevision.evaluate.base import Fit
from edgevision.tensors import Outputs

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class MeasuredCandidates:
    """The candidates, and what the variants made of them do here, by variant id.

    ``missing``: why variants do not run here. ``answers``: to the calibration photos; ``fits``: task parameters fitted to
    these; ``agreement``: with float's answers, in points. The last three are empty without calibration photos.
    """

    candidates: tuple[Candidate, ...]
    variants: Mapping[str, Variant]
    missing: Mapping[str, str]
    measurements: Mapping[str, VariantMeasurement]
    answers: Mapping[str, Outputs]
    fits: Mapping[str, Fit]
    agreement: Mapping[str, float]

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the fits, each once."""
        return tuple(dict.fromkeys(fit.note for fit in self.fits.values() if fit.note))

    def candidate_of(self, id: str) -> Candidate:
        """The graph of a variant."""
        return self.variants[id].candidate


def measure_candidates(
    job: Job, candidates: Sequence[Candidate], known: MeasuredCandidates | None = None, opened: RunsHere | None = None
) -> MeasuredCandidates:
    """See what runs here, measure it, and fit the task's parameters.

    ``known``: what was measured before; of it, variants of graphs that ``candidates`` replace are forgotten. ``opened``:
    variants of some of the candidates that were opened already.
    """
    o = job.options
    before = {variant.candidate.key for variant in opened.variants} if opened else set()
    found = measure.open_each([c for c in candidates if c.key not in before], job.threads, job.progress, job.batch)
    found = found if opened is None else opened.joined(found)
    measured = measure.measure(found, job.item(), job.settings, job.counts.rounds, o.seed, job.progress)
    new = MeasuredCandidates(
        tuple(candidates), {v.id: v for v in found.variants}, found.missing, {m.id: m for m in measured}, {}, {}, {}
    )
    if job.calibration:
        answers = answers_of(
            found.variants,
            job.calibration,
            job.model.spec,
            job.measure,
            job.threads,
            "calibration photos",
            job.progress,
        )
        reference = (known.answers if known else answers)[job.reference]
        new = replace(
            new,
            answers=answers,
            fits={id: fit(job, reference, own) for id, own in answers.items()},
            agreement={id: job.measure.agreement(reference, own) for id, own in answers.items()},
        )
    return new if known is None else _merged(known, new)


def fit(job: Job, reference: Outputs, own: Outputs) -> Fit:
    """The task's parameters for a variant, from its ``own`` answers to the calibration photos and float's."""
    photos = job.calibration
    return job.measure.evaluator.fit(
        reference, own, [photo.truth for photo in photos], [photo.in_training_set for photo in photos],
        job.options.true_accept_rate,
    )  # fmt: skip


def _merged(known: MeasuredCandidates, new: MeasuredCandidates) -> MeasuredCandidates:
    replaced = {candidate.key for candidate in new.candidates}
    kept = {id for id, variant in known.variants.items() if variant.candidate.key not in replaced}

    return MeasuredCandidates(
        (*(c for c in known.candidates if c.key not in replaced), *new.candidates),
        {**_some(known.variants, kept), **new.variants},
        {**known.missing, **new.missing},
        {**_some(known.measurements, kept), **new.measurements},
        {**_some(known.answers, kept), **new.answers},
        {**_some(known.fits, kept), **new.fits},
        {**_some(known.agreement, kept), **new.agreement},
    )


def _some(values: Mapping[str, _T], ids: Collection[str]) -> dict[str, _T]:
    return {id: value for id, value in values.items() if id in ids}
