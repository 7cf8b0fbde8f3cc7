"""Graphs for devices that this machine is not: written from the same calibration, compared here by their answers.

How quick such a graph is shows on the device only, so nothing here is measured or chosen: each target gets its int8
graph (TensorRT a float16 one too), and what loses too much falls back to float by the same budget as for this machine.
Answers come from a proxy engine of this machine that computes the graph as it is written; so a verdict here is on the
numbers, and the golden frames check on the device that they are what its engine makes of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import onnx

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.data.photos import measurable_truths
from edgevision.compiler.job import Job
from edgevision.compiler.options import Precision
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.float16 import to_float16
from edgevision.compiler.quantize.lint import lint, refused
from edgevision.compiler.quantize.ranges import Ranges, collect_ranges
from edgevision.compiler.quantize.recipes import (
    Calibrated,
    describe_nodes,
    fall_back,
    for_dialect,
    int8_candidate,
    sensitive_nodes,
)
from edgevision.compiler.quantize.targets import Target, cpu_target, exact_engines
from edgevision.compiler.select.budget import MAX_COMPARISONS, Validated
from edgevision.compiler.select.candidates import fit
from edgevision.compiler.select.run_photos import answers_of
from edgevision.compiler.select.verdict import ScoredVariant, ValidationTruth, score, verdict
from edgevision.compiler.variants import BASE_ENGINE, Candidate, CompiledVariant, Variant, VariantMeasurement
from edgevision.cuda.engine_driver import open_engine_driver
from edgevision.engines import available_engines
from edgevision.errors import EngineError, MissingExtraError
from edgevision.evaluate.base import Fit
from edgevision.runtime.engine_cache import build_entry
from edgevision.tensors import Outputs

TENSORRT = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True, eq=False)
class CrossTargetVariant:
    """One variant for another device. ``candidate``: what is packed; ``proxy``: the same numbers in an engine of this
    machine; ``scored``: its answers to the validation photos, None without them.
    """

    candidate: Candidate
    variant: CompiledVariant
    proxy: Variant
    scored: ScoredVariant | None = None

    @property
    def passed(self) -> bool:
        """Whether it may be packed: within the budget, or nothing to compare on."""
        return self.variant.verdict is None or self.variant.verdict.passed


@dataclass(frozen=True)
class OtherTargets:
    """``packed`` variants, those that the budget refused, device engines as bundle entries, and what there is to say."""

    packed: tuple[CrossTargetVariant, ...] = ()
    refused: tuple[CrossTargetVariant, ...] = ()
    engines: tuple[tuple[str, bytes], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By variant, of all that were compared."""
        found = (one.variant for one in (*self.packed, *self.refused))
        return {one.id: one.verdict for one in found if one.verdict is not None}


@dataclass(frozen=True, eq=False)
class FloatReference:
    """Float: what the others are compared with. Its answers to the calibration photos, and scored to the validation photos
    with their truth; None where there are none.
    """

    calibration: Outputs | None
    scored: ScoredVariant | None
    truth: ValidationTruth | None


def float_reference(job: Job, validated: Validated) -> FloatReference:
    """What this machine's variants were compared with."""
    id, shown = job.reference, validated.shown
    return FloatReference(validated.measured.answers.get(id), shown.scored.get(id), shown.truth)


def other_targets(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Those that this machine is not."""
    return tuple(target for target in targets if target != cpu_target())


def prepare_targets(
    job: Job, targets: Sequence[Target], float_graph: bytes, calibrated: Calibrated | None, reference: FloatReference,
    keep_float: Sequence[str] = (),
) -> OtherTargets:  # fmt: skip
    """The variants for ``targets``, each compared with ``reference``. ``keep_float``: nodes to begin with in float,
    because the validation photos refused int8 without them.

    Raises EngineError where int8 is asked for and an engine refuses the graph.
    """
    kept: list[CrossTargetVariant] = []
    over: list[CrossTargetVariant] = []
    notes: list[str] = []
    engines: list[tuple[str, bytes]] = []
    made: dict[str, CrossTargetVariant] = {}  # by dialect: two targets of one dialect have the same graph
    for place, target in enumerate(targets):
        job.progress("other targets", place, len(targets))
        found = []
        for dialect in _dialects(job, target, calibrated):
            if dialect.name not in made:
                made[dialect.name] = _int8(job, target, dialect, calibrated, reference, keep_float)
            found.append(_for_target(made[dialect.name], target))
        if target.name in TENSORRT and job.options.precision is not Precision.INT8:
            if "float16" not in made:
                made["float16"] = _float16(job, target, float_graph, calibrated, reference)
            found.append(_for_target(made["float16"], target))
        if not found:
            notes.append(f"{target.name}: the float graph runs there as it is")
        over += [one for one in found if not one.passed]
        for one in (one for one in found if one.passed):
            try:
                entry, note = _engine(job, target.name, one.candidate) if target.name in TENSORRT else ([], "")
            except EngineError as error:
                if job.options.precision is Precision.INT8:
                    raise
                notes.append(f"{one.variant.id} is left out: {error}")
                continue
            kept.append(one)
            engines += entry
            notes += [note] if note else []
    notes += [f"{one.variant.id} is left out: {_sentence(one)}" for one in over]
    return OtherTargets(tuple(kept), tuple(over), tuple(dict(engines).items()), tuple(notes))


def _dialects(job: Job, target: Target, calibrated: Calibrated | None) -> tuple[Dialect, ...]:
    return target.dialects if calibrated is not None and job.options.precision is not Precision.FLOAT else ()


def _sentence(one: CrossTargetVariant) -> str:
    return "" if one.variant.verdict is None else one.variant.verdict.sentence()


def _for_target(one: CrossTargetVariant, target: Target) -> CrossTargetVariant:
    """The same graph and verdict under another target's id and engine: both targets take its dialect."""
    if one.variant.target == target.name:
        return one
    engine = target.name if target.name in TENSORRT else one.variant.measurement.engine
    id = _id(engine, target, one.candidate.precision)
    measurement = replace(one.variant.measurement, id=id, engine=engine)
    return replace(
        one, variant=replace(one.variant, measurement=measurement, target=target.name), proxy=replace(one.proxy, id=id)
    )


def _id(engine: str, target: Target, precision: str) -> str:
    cpu = "" if target.name in TENSORRT else f"-{target.name}"
    return f"{engine}{cpu}-{precision}"


def _float16(
    job: Job, target: Target, float_graph: bytes, calibrated: Calibrated | None, reference: FloatReference
) -> CrossTargetVariant:
    """The float16 variant. What calibration saw outgrow float16 stays float32."""
    ranges = None if calibrated is None else calibrated.ranges
    if calibrated is None and job.calibration:
        seen = collect_ranges(
            float_graph, job.tensors(), threads=job.threads, progress=partial(job.progress, "calibrate")
        )
        ranges = estimate(seen, "minmax")
    graph = _as_float16(float_graph, ranges, job.measure.float_nodes(describe_nodes(float_graph)))
    found = _variant(job, target, target.name, Candidate("float16", graph, "float16", "float"), reference)
    return replace(found, variant=_not_proven(found.variant))


def _as_float16(graph: bytes, ranges: Ranges | None, always_float: frozenset[str]) -> bytes:
    """The graph in float16, but for what the task wants in float: places in a picture need more than its 11 bits."""
    there = {node.name for node in onnx.load_model_from_string(graph).graph.node}  # int8 takes some activations in
    return to_float16(graph, ranges=ranges, keep_float32=always_float & there).graph


def _not_proven(variant: CompiledVariant) -> CompiledVariant:
    """Of float16 on TensorRT: no engine here computes it as TensorRT does (ONNX Runtime's sums are float32)."""
    if variant.verdict is None:
        return variant
    said = "compared here with float32 sums, where TensorRT takes float16"
    note = "; ".join(filter(None, (variant.verdict.note, said)))
    return replace(variant, verdict=replace(variant.verdict, proven=False, note=note))


def _int8(
    job: Job, target: Target, dialect: Dialect, calibrated: Calibrated | None, reference: FloatReference,
    keep_float: Sequence[str],
) -> CrossTargetVariant:  # fmt: skip
    """The int8 variant by the target's dialect, with as many nodes in float as the budget needs."""
    assert calibrated is not None
    engine = _engine_of(target, dialect)
    own = for_dialect(calibrated, dialect, job.progress)
    key = f"int8-{dialect.name}"
    candidate = int8_candidate(own, keep_float, key)
    ranking: list[tuple[str, float]] = []
    first = 2 if keep_float else 1  # that nodes are kept float was learnt by a comparison on these photos too
    for comparison in range(first, MAX_COMPARISONS + 1):
        found = _variant(job, target, engine, candidate, reference, comparison)
        if found.passed or comparison == MAX_COMPARISONS:
            break
        ranking = ranking or sensitive_nodes(own, job.progress, job.counts.ranking_s)
        truth = measurable_truths(job.calibration, job.measure.evaluator)
        fallen_back = fall_back(own, ranking, candidate, job.options.max_drop, truth, job.progress)
        if fallen_back is None:
            break
        candidate = replace(fallen_back, key=key)
    if target.name in TENSORRT:  # what stays float runs in float16 there; its answers are compared before that
        packed = replace(candidate, graph=_as_float16(candidate.graph, own.ranges, own.always_float))
        _check(packed, engine, target)
        measurement = replace(found.variant.measurement, size_bytes=len(packed.graph))
        variant = _not_proven(replace(found.variant, measurement=measurement))
        found = replace(found, candidate=packed, variant=variant)
    return found


def _engine_of(target: Target, dialect: Dialect) -> str:
    if target.name in TENSORRT:
        return target.name
    return "openvino" if "openvino" in dialect.name else BASE_ENGINE


def _variant(
    job: Job, target: Target, engine: str, candidate: Candidate, reference: FloatReference, comparison: int = 1
) -> CrossTargetVariant:
    """The variant with task parameters and verdict, by its answers in a proxy engine."""
    if candidate.precision == "int8":
        _check(candidate, engine, target)
    id = _id(engine, target, candidate.precision)
    proxy = Variant(id, candidate, _proxy_engine(engine, candidate, target, available_engines()), "float32")
    measurement = VariantMeasurement(id, candidate.key, engine, "float32", len(candidate.graph))
    variant = CompiledVariant(measurement, target=target.name)
    fitted = Fit()
    spec, threads = job.model.spec, job.threads
    if reference.calibration is not None:
        step = f"{id}: calibration"
        own = answers_of([proxy], job.calibration, spec, job.measure, threads, step, job.progress)[id]
        fitted = fit(job, reference.calibration, own)
        agreement = job.measure.agreement(reference.calibration, own)
        variant = replace(variant, parameters=fitted.parameters, agreement=agreement)
    if not job.splits.validation or reference.scored is None or reference.truth is None:
        return CrossTargetVariant(candidate, variant, proxy)
    step = f"{id}: validation photos"
    shown = answers_of([proxy], job.splits.validation, spec, job.measure, threads, step, job.progress)[id]
    scored = score(job.evaluator_of(fitted), shown, reference.truth)
    said = verdict(job.measure, reference.scored, scored, reference.truth, job.options, comparison)
    return CrossTargetVariant(candidate, replace(variant, metric=said.value, verdict=said), proxy, scored)


def _check(candidate: Candidate, engine: str, target: Target) -> None:
    """Raise EngineError where the target's engine would refuse the graph, or get it wrong."""
    cpu = None if target.name in TENSORRT else target.name
    findings = lint(candidate.graph, engine, cpu)
    if refused(findings):
        first = next(f for f in findings if f.effect in ("refused", "wrong"))
        raise EngineError(
            f"the int8 graph for {target.name} is none that {engine} runs rightly: {first.node}: {first.message}; "
            "this is a fault of edgevision, please report it"
        )


def _proxy_engine(engine: str, candidate: Candidate, target: Target, installed: Collection[str]) -> str:
    """The engine of this machine whose answers are those of the graph: its own if it is here and exact, else the base."""
    dialect = next((d for d in target.dialects if d.name == candidate.dialect), None)
    if dialect is None or engine in TENSORRT:
        return BASE_ENGINE
    return engine if engine in exact_engines(dialect, installed) else BASE_ENGINE


def _engine(job: Job, kind: str, candidate: Candidate) -> tuple[list[tuple[str, bytes]], str]:
    """The device engine as a bundle entry, where it can be built here; else why not. Raises EngineError where TensorRT
    refuses the graph.
    """
    batches = tuple(sorted({1, job.batch, 8}))
    installed = available_engines()
    if kind not in installed:
        later = f"no {kind} here: a device builds its engine of '{candidate.key}' at the first load"
        if "tensorrt-rtx" not in installed:
            return [], later
        build_entry(candidate.key, candidate.graph, "tensorrt-rtx", batches)  # refuses what TensorRT 11 refuses
        return [], f"{later}; TensorRT-RTX's parser and builder took the graph"
    if kind == "tensorrt":  # TensorRT-RTX builds without a GPU
        try:
            open_engine_driver()
        except (MissingExtraError, EngineError) as error:
            return [], f"no {kind} engine was built here ({error}): a device builds its own at the first load"
    return [build_entry(candidate.key, candidate.graph, kind, batches, job.options.version_compatible)], ""
