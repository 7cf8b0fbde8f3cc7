"""Graphs for devices that this machine is not: written from the same calibration, judged here by their answers.

How quick such a graph is shows on the device only, so nothing here is measured or chosen: each target gets its int8
graph (TensorRT a float16 one too), and what loses too much goes back to float by the same budget as for this machine.
Answers come from an engine of this machine that computes the graph as it is written; so a verdict here is on the
numbers, and the golden frames check on the device that they are what its engine makes of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgevision.bundle.manifest import Verdict
from edgevision.compiler import judge
from edgevision.compiler.budget import MAX_LOOKS, verdict_on
from edgevision.compiler.dialects import Dialect
from edgevision.compiler.estimators import estimate
from edgevision.compiler.float16 import to_float16
from edgevision.compiler.int8 import Calibrated, for_dialect, int8_candidate, restore, sensitive_nodes
from edgevision.compiler.job import BASE_ENGINE, Job
from edgevision.compiler.lint import lint, refused
from edgevision.compiler.measure import Variant
from edgevision.compiler.measured import fit_rows
from edgevision.compiler.options import Candidate, Precision, Row
from edgevision.compiler.photos import labels_of
from edgevision.compiler.ranges import collect_ranges
from edgevision.compiler.targets import Target, cpu_target, exact_engines
from edgevision.engines import available_engines
from edgevision.engines.cuda import open_engine_driver
from edgevision.errors import EngineError, MissingExtraError
from edgevision.plans import build_entry

TENSORRT = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True)
class Travelling:
    """One variant for another device. ``candidate``: what is packed; ``stand_in``: the same numbers in an engine of this
    machine; ``outputs``: raw, on the judge photos, None without them.
    """

    candidate: Candidate
    row: Row
    stand_in: Variant
    verdict: Verdict | None
    outputs: judge.Outputs | None = None

    @property
    def passed(self) -> bool:
        """Whether it may be packed: within the budget, or nothing judged."""
        return self.verdict is None or self.verdict.passed


@dataclass(frozen=True)
class OtherTargets:
    """``packed`` variants, those that the budget refused, device engines as bundle entries, and what there is to say."""

    packed: tuple[Travelling, ...] = ()
    refused: tuple[Travelling, ...] = ()
    engines: tuple[tuple[str, bytes], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By variant, of all that were judged."""
        shown = (*self.packed, *self.refused)
        return {one.row.id: one.verdict for one in shown if one.verdict is not None}


@dataclass(frozen=True)
class Reference:
    """Float: what the others are compared with. Raw outputs [n, k] on the calibration and on the judge photos, None
    where there are none.
    """

    row: Row
    calibration: judge.Outputs | None
    judged: judge.Outputs | None


def other_targets(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Those that this machine is not."""
    return tuple(target for target in targets if target != cpu_target())


def prepare_targets(
    job: Job, targets: Sequence[Target], float_graph: bytes, calibrated: Calibrated | None, reference: Reference,
    keep_float: Sequence[str] = (),
) -> OtherTargets:  # fmt: skip
    """The variants for ``targets``, each judged against ``reference``. ``keep_float``: nodes to begin with in float,
    because the judge photos refused int8 without them.

    Raises EngineError where int8 is asked for and an engine refuses the graph.
    """
    kept: list[Travelling] = []
    over: list[Travelling] = []
    notes: list[str] = []
    engines: list[tuple[str, bytes]] = []
    made: dict[str, Travelling] = {}  # by dialect: two targets of one dialect have the same graph
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
                notes.append(f"{one.row.id} is left out: {error}")
                continue
            kept.append(one)
            engines += entry
            notes += [note] if note else []
    notes += [f"{one.row.id} is left out: {one.verdict.sentence()}" for one in over if one.verdict is not None]
    return OtherTargets(tuple(kept), tuple(over), tuple(dict(engines).items()), tuple(notes))


def _dialects(job: Job, target: Target, calibrated: Calibrated | None) -> tuple[Dialect, ...]:
    return target.dialects if calibrated is not None and job.options.precision is not Precision.FLOAT else ()


def _for_target(one: Travelling, target: Target) -> Travelling:
    """The variant, made for another target of the same dialect."""
    if one.row.target == target.name:
        return one
    engine = target.name if target.name in TENSORRT else one.row.engine
    id = _id(engine, target, one.candidate.precision)
    row = replace(one.row, id=id, engine=engine, target=target.name)
    return replace(one, row=row, stand_in=replace(one.stand_in, id=id))


def _id(engine: str, target: Target, precision: str) -> str:
    cpu = "" if target.name in TENSORRT else f"-{target.name}"
    return f"{engine}{cpu}-{precision}"


def _float16(
    job: Job, target: Target, float_graph: bytes, calibrated: Calibrated | None, reference: Reference
) -> Travelling:
    """The float16 variant. What calibration saw outgrow float16 stays float32."""
    ranges = None if calibrated is None else calibrated.ranges
    if calibrated is None and job.calibration:
        seen = collect_ranges(
            float_graph, job.tensors(), threads=job.threads, progress=partial(job.progress, "calibrate")
        )
        ranges = estimate(seen, "minmax")
    graph = to_float16(float_graph, ranges=ranges).graph
    found = _variant(job, target, target.name, Candidate("float16", graph, "float16", "float"), reference)
    return replace(found, verdict=_not_proven(found.verdict))


def _not_proven(verdict: Verdict | None) -> Verdict | None:
    """Of float16 on TensorRT: no engine here computes it as TensorRT does (ONNX Runtime's sums are float32)."""
    if verdict is None:
        return None
    note = "; ".join(filter(None, (verdict.note, "judged here with float32 sums, where TensorRT takes float16")))
    return replace(verdict, proven=False, note=note)


def _int8(
    job: Job, target: Target, dialect: Dialect, calibrated: Calibrated | None, reference: Reference,
    keep_float: Sequence[str],
) -> Travelling:  # fmt: skip
    """The int8 variant by the target's dialect, with as many nodes in float as the budget needs."""
    assert calibrated is not None
    engine = target.name if target.name in TENSORRT else "openvino" if "openvino" in dialect.name else BASE_ENGINE
    own = for_dialect(calibrated, dialect, job.progress)
    key = f"int8-{dialect.name}"
    candidate = int8_candidate(own, keep_float, key)
    ranking: list[tuple[str, float]] = []
    for look in range(1 + bool(keep_float), MAX_LOOKS + 1):  # that nodes are kept float was a look at the photos too
        found = _variant(job, target, engine, candidate, reference, look)
        if found.passed or look == MAX_LOOKS:
            break
        ranking = ranking or sensitive_nodes(own, job.progress)
        restored = restore(own, ranking, candidate, job.options.max_drop, labels_of(job.calibration), job.progress)
        if restored is None:
            break
        candidate = replace(restored, key=key)
    if target.name in TENSORRT:  # what stays float runs in float16 there; its answers are judged before that
        packed = replace(candidate, graph=to_float16(candidate.graph, ranges=own.ranges).graph)
        _check(packed, engine, target)
        row = replace(found.row, size_bytes=len(packed.graph))
        found = replace(found, candidate=packed, row=row, verdict=_not_proven(found.verdict))
    return found


def _variant(
    job: Job, target: Target, engine: str, candidate: Candidate, reference: Reference, look: int = 1
) -> Travelling:
    """The variant with temperature, threshold and verdict, by its answers in an engine of this machine."""
    if candidate.precision == "int8":
        _check(candidate, engine, target)
    id = _id(engine, target, candidate.precision)
    stand_in = Variant(id, candidate, _stand_in(engine, candidate, target, available_engines()), "float32")
    row = Row(id, candidate.key, engine, "float32", {}, len(candidate.graph), 0.0, 0, {}, target=target.name)
    spec, threads = job.model.spec, job.threads
    if reference.calibration is not None:
        outputs = judge.outputs_on([stand_in], job.calibration, spec, threads, f"{id}: calibration", job.progress)
        row = fit_rows(job, {id: row}, outputs, reference.calibration)[0][id]
    if not job.sets.judge or reference.judged is None:
        return Travelling(candidate, row, stand_in, None)
    shown = judge.outputs_on([stand_in], job.sets.judge, spec, threads, f"{id}: judge photos", job.progress)[id]
    verdict = verdict_on(job, reference.row, row, reference.judged, shown, look)
    return Travelling(candidate, replace(row, metric=verdict.value), stand_in, verdict, shown)


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


def _stand_in(engine: str, candidate: Candidate, target: Target, installed: Collection[str]) -> str:
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
