"""The budget: which of the measured variants the validation photos let through, and what falls back to float for it.

The validation photos see finalists only, and few of those: each further comparison on them is a chance to pass by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.data.photos import measurable_truths
from edgevision.compiler.job import Job
from edgevision.compiler.quantize.recipes import Calibrated, fall_back, int8_candidates, sensitive_nodes
from edgevision.compiler.select import choose
from edgevision.compiler.select.candidates import MeasuredCandidates, measure_candidates
from edgevision.compiler.select.run_photos import answers_of
from edgevision.compiler.select.verdict import ScoredVariant, ValidationTruth, score, validation_truth, verdict
from edgevision.compiler.variants import BASE_ENGINE, ORIGINAL, REFERENCE, CompiledVariant, VariantMeasurement
from edgevision.evaluate.base import Fit
from edgevision.tensors import Outputs

MAX_COMPARISONS = 4  # int8 graphs that the validation photos see before compile gives up on int8


@dataclass(frozen=True, eq=False)
class Shown:
    """What the validation photos were shown, by variant id: ``answers`` to them, these scored, and the verdicts on those that
    were finalists. ``comparisons``: int8 graphs so far. ``truth``: None before anything was shown."""

    answers: Mapping[str, Outputs] = field(default_factory=dict)
    scored: Mapping[str, ScoredVariant] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    comparisons: int = 0
    truth: ValidationTruth | None = None


@dataclass(frozen=True, eq=False)
class Validated:
    """``packed``: ids of the variants to offer, best first; empty when nothing fits the budget. ``ranking``: nodes with how
    much their quantization hurts, worst first, where that was measured.
    """

    measured: MeasuredCandidates
    packed: tuple[str, ...]
    shown: Shown = field(default_factory=Shown)
    notes: tuple[str, ...] = ()
    ranking: tuple[tuple[str, float], ...] = ()

    @property
    def int8_failed(self) -> bool:
        """Whether int8 was shown to the validation photos and no variant of it passed."""
        verdicts = [v for id, v in self.shown.verdicts.items() if self.measured.measurements[id].is_int8]
        return bool(verdicts) and not any(v.passed for v in verdicts)

    def variant(self, job: Job, id: str) -> CompiledVariant:
        """All that is known of a variant."""
        measured, scored = self.measured, self.shown.scored.get(id)
        metric = None if scored is None or not self.shown.verdicts else job.measure.evaluator.value(scored.scores)
        return CompiledVariant(
            measured.measurements[id], measured.fits.get(id, Fit()).parameters, measured.agreement.get(id), metric,
            self.shown.verdicts.get(id),
        )  # fmt: skip


def validate_variants(job: Job, measured: MeasuredCandidates, known: Validated | None = None) -> Validated:
    """Show variants to the validation photos, best first, until one stays within the budget, and one of the base runtime.

    What the photos said of graphs in ``known`` that are still there holds.
    """
    finalists = _finalists(job, measured)
    if not job.splits.validation:
        return Validated(measured, _with_base(measured, finalists))
    shown = Shown() if known is None else _still_there(known, measured)
    shown = _compare_finalists(job, measured, finalists, shown)
    shown = _compare_pruned_float(job, measured, shown)
    passed = [one for one in finalists if one.id in shown.verdicts and shown.verdicts[one.id].passed]
    float_fits = REFERENCE not in shown.verdicts or shown.verdicts[REFERENCE].passed
    return Validated(measured, _with_base(measured, passed, REFERENCE if float_fits else None), shown)


def fallback_to_float(job: Job, calibrated: Sequence[Calibrated], validated: Validated) -> Validated:
    """Keep the nodes that hurt most in float: how many is decided on calibration photos, and validated once.

    If that fails, once more with a stricter bound: each further comparison makes the verdict weaker.
    """
    first = calibrated[0]
    ranking = sensitive_nodes(first, job.progress, job.counts.ranking_s)
    truth = measurable_truths(job.calibration, job.measure.evaluator)
    fallbacks = 0
    while validated.shown.comparisons + len(calibrated) <= MAX_COMPARISONS:
        refused = next(c for c in validated.measured.candidates if c.key == "int8")
        candidate = fall_back(first, ranking, refused, job.options.max_drop, truth, job.progress)
        if candidate is None:
            break
        fallbacks = len(candidate.float_fallback)
        made = int8_candidates(calibrated, candidate.float_fallback)
        validated = validate_variants(job, measure_candidates(job, made, validated.measured), validated)
        if not validated.int8_failed:
            note = _fallback_note(validated, candidate.float_fallback)
            return replace(validated, notes=(note,), ranking=tuple(ranking))
    note = f"int8 stays outside the budget even with its {fallbacks} most sensitive layers in float"
    return replace(validated, notes=(note,) if fallbacks else (), ranking=tuple(ranking))


def _finalists(job: Job, measured: MeasuredCandidates) -> tuple[VariantMeasurement, ...]:
    """The variants that may be offered, best first."""
    offered = [one for one in measured.measurements.values() if one.is_what_it_says and one.candidate != ORIGINAL]
    o = job.options
    return choose.ranked(offered, o.precision, o.objective, job.threads, job.batch)


def _still_there(known: Validated, measured: MeasuredCandidates) -> Shown:
    """What was shown of variants whose graph is the same as before."""
    shown = known.shown
    ids = {id for id in shown.answers if measured.variants.get(id) is known.measured.variants[id]}
    return replace(
        shown,
        answers={id: value for id, value in shown.answers.items() if id in ids},
        scored={id: value for id, value in shown.scored.items() if id in ids},
        verdicts={id: value for id, value in shown.verdicts.items() if id in ids},
    )


def _compare_finalists(
    job: Job, measured: MeasuredCandidates, finalists: Sequence[VariantMeasurement], shown: Shown
) -> Shown:
    """Show graph after graph, until a variant passed, and one that the base runtime runs."""
    found = False
    for one in finalists:
        if found and one.engine != BASE_ENGINE:
            continue
        siblings = [other for other in finalists if other.candidate == one.candidate]
        if one.id not in shown.verdicts:
            shown = _compare_graph(job, measured, siblings, shown)
        found = found or shown.verdicts[one.id].passed
        if found and any(s.engine == BASE_ENGINE and shown.verdicts[s.id].passed for s in siblings):
            break
    return shown


def _compare_graph(
    job: Job, measured: MeasuredCandidates, siblings: Sequence[VariantMeasurement], shown: Shown
) -> Shown:
    """Show all variants of one graph together, with float. An int8 graph is one comparison more."""
    ids = [one.id for one in siblings]
    shown = _show(job, measured, (job.reference, REFERENCE, *ids), shown)
    comparisons = shown.comparisons
    weight = 1
    if measured.candidate_of(ids[0]).precision == "int8":
        comparisons += 1
        weight = comparisons
    verdicts = {id: _verdict(job, shown, id, weight) for id in ids}
    return replace(shown, verdicts={**shown.verdicts, **verdicts}, comparisons=comparisons)


def _compare_pruned_float(job: Job, measured: MeasuredCandidates, shown: Shown) -> Shown:
    """The pruned float, which is what runs where int8 cannot, has to be within the budget too."""
    if job.reference == REFERENCE or REFERENCE not in shown.answers or REFERENCE in shown.verdicts:
        return shown
    return replace(shown, verdicts={**shown.verdicts, REFERENCE: _verdict(job, shown, REFERENCE, 1)})


def _show(job: Job, measured: MeasuredCandidates, ids: Sequence[str], shown: Shown) -> Shown:
    """Run those variants over the validation photos that were not yet, and score their answers."""
    wanted = [measured.variants[id] for id in dict.fromkeys(ids) if id not in shown.answers]
    photos = job.splits.validation
    new = answers_of(
        wanted, photos, job.model.spec, job.measure, job.threads, "validation photos", job.progress
    )  # fmt: skip
    answers = {**shown.answers, **new}
    float_evaluator = job.evaluator_of(measured.fits.get(job.reference, Fit()))
    truth = shown.truth or validation_truth(photos, answers[job.reference], float_evaluator)
    scored = {id: score(job.evaluator_of(measured.fits.get(id, Fit())), own, truth) for id, own in new.items()}
    return replace(shown, answers=answers, scored={**shown.scored, **scored}, truth=truth)


def _verdict(job: Job, shown: Shown, id: str, comparisons: int) -> Verdict:
    assert shown.truth is not None
    return verdict(
        job.measure, shown.scored[job.reference], shown.scored[id], shown.truth, job.options, comparisons
    )  # fmt: skip


def _with_base(
    measured: MeasuredCandidates, usable: Sequence[VariantMeasurement], floating: str | None = REFERENCE
) -> tuple[str, ...]:
    """The variants of the best one's graph; behind them, where none of these runs on the base runtime, the best one
    that does, or float. None at all where nothing does: a bundle must load everywhere. ``floating``: id of float, None
    where it is outside the budget itself, as a pruned network's may be.
    """
    packed = [one for one in usable if one.candidate == usable[0].candidate]
    if packed and all(one.engine != BASE_ENGINE for one in packed):
        fallback = None if floating is None else measured.measurements[floating]
        base = next((one for one in usable if one.engine == BASE_ENGINE), fallback)
        if base is None:
            return ()
        packed.append(base)
    return tuple(one.id for one in packed)


def _fallback_note(validated: Validated, nodes: Sequence[str]) -> str:
    names = ", ".join(nodes)
    measurements = validated.measured.measurements
    if any(v.passed and measurements[id].is_int8 for id, v in validated.shown.verdicts.items()):
        return f"kept in float for accuracy: {names}"
    # int8 was not shown again, for float is quicker by now
    return f"int8 loses too much; with {names} in float it is slower than what is packed"
