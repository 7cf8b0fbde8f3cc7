"""What a network costs on this machine, and what int8 promises there, found out by a few runs before hours are spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgevision.compiler.data.photos import stratified_sample
from edgevision.compiler.effort import Effort, Load, counts_for, forecast
from edgevision.compiler.job import Job
from edgevision.compiler.options import Precision
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import ESTIMATORS, estimate
from edgevision.compiler.quantize.placement import WEIGHTED
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.recipes import RUNNERS_UP, TRIAL_PHOTOS, describe_nodes, has_depthwise
from edgevision.compiler.select.measure import RunsHere, open_each
from edgevision.compiler.variants import BASE_ENGINE, Candidate, Variant
from edgevision.errors import EngineError

PROBE_FROM_MS = 30.0  # a photo: below, trying int8 costs less than finding out whether it pays
PROBE_PHOTOS = 8
PROCESS_S = 1.0  # that a process of its own takes before an engine has anything to do
WORTH_IT = 1.05  # int8 that takes this many times as long as float in a few runs will not win in many


@dataclass(frozen=True, eq=False)
class Probe:
    """``job`` with what its effort allows for this network. ``opened``: the float variants; ``expected``: seconds by step;
    ``notes``: what to tell the user."""

    job: Job
    opened: RunsHere
    expected: Mapping[str, float]
    notes: tuple[str, ...] = ()


def probe(job: Job, candidates: Sequence[Candidate], dialects: Sequence[Dialect], keep_int8: bool = False) -> Probe:
    """Open the float ``candidates``, and where a photo takes long, first int8 graphs too.

    ``dialects``: that this machine's engines want; none where int8 is not asked for, or cannot be calibrated.
    ``keep_int8``: other devices want it, whatever it promises here. Raises EngineError where the base runtime does not run
    the network.
    """
    opened = open_each(candidates, job.threads, job.progress, job.batch)
    base = f"{BASE_ENGINE}-{candidates[-1].key}"
    if base not in opened.footprints:
        raise EngineError(f"the float graph does not run: {opened.missing[base]}")
    photo_ms = opened.footprints[base].run_ms
    notes: list[str] = []
    if dialects and photo_ms >= PROBE_FROM_MS:
        int8 = open_each(_first_graphs(job, candidates[-1].graph, dialects), job.threads, job.progress, job.batch)
        promise = _promise(opened, int8)
        notes.append(promise.said)
        may_skip = job.options.precision is Precision.AUTO and job.options.effort is not Effort.THOROUGH
        if may_skip and not promise.pays and not keep_int8:
            dialects = ()
            notes.append("int8 was therefore not tried; --effort thorough, or --int8, tries it all the same")
    load = _load(job, candidates[-1].graph, dialects, opened, photo_ms / 1e3)
    counts = counts_for(job.options.effort, load, TRIAL_PHOTOS)
    if counts.calibration < len(job.calibration):
        notes.append(
            f"{counts.calibration} of {len(job.calibration)} calibration photos were used, for the network takes "
            f"{photo_ms:.0f} ms for each; --effort thorough uses all"
        )
    calibration = stratified_sample(job.calibration, counts.calibration)
    expected = forecast(replace(load, calibration=len(calibration)), counts)
    return Probe(
        replace(job, calibration=calibration, counts=counts, dialects=tuple(dialects)), opened, expected, tuple(notes)
    )


def _first_graphs(job: Job, graph: bytes, dialects: Sequence[Dialect]) -> list[Candidate]:
    """An int8 graph for each dialect, by the ranges of a few photos: as quick as any later one, not as good."""
    photos = replace(job, calibration=stratified_sample(job.calibration, PROBE_PHOTOS)).tensors()
    ranges = estimate(collect_ranges(graph, photos, threads=job.threads), "minmax")
    keep_float = job.measure.float_nodes(describe_nodes(graph))
    return [
        Candidate(f"int8-{d.name}", quantize(graph, ranges, d, keep_float=keep_float).graph, "int8", d.name)
        for d in dialects
    ]


@dataclass(frozen=True)
class _Promise:
    """What to say of the quickest int8 variant beside the quickest float one, and whether int8 may pay."""

    said: str
    pays: bool


def _promise(floating: RunsHere, int8: RunsHere) -> _Promise:
    if not int8.variants:
        reasons = "; ".join(f"{id}: {reason}" for id, reason in int8.missing.items())
        return _Promise(f"no int8 graph of the network runs here ({reasons})", False)
    (float_ms, best), (int8_ms, other) = _quickest(floating), _quickest(int8)
    how = "quicker" if int8_ms < float_ms else "slower"
    ratio = max(float_ms, int8_ms) / max(min(float_ms, int8_ms), 1e-9)
    kind = "bfloat16" if best.precision == "bfloat16" else "float"
    said = (
        f"in a few runs, int8 was {ratio:.2f} times {how} than {kind}: {int8_ms:.0f} ms ({other.engine}) against "
        f"{float_ms:.0f} ms ({best.id})"
    )
    return _Promise(said, int8_ms <= WORTH_IT * float_ms)


def _quickest(opened: RunsHere) -> tuple[float, Variant]:
    return min(((opened.footprints[v.id].run_ms, v) for v in opened.variants), key=lambda pair: pair[0])


def _load(job: Job, graph: bytes, dialects: Sequence[Dialect], opened: RunsHere, photo_s: float) -> Load:
    footprints = opened.footprints.values()
    depthwise = has_depthwise(graph)
    extra = 3 if depthwise else 1  # recipes besides the estimators
    wanted = len(dialects)
    int8 = wanted + 1 if wanted else 0  # the first one's graph is tried in two engines
    return Load(
        photo_s=photo_s, open_s=PROCESS_S + sum(one.load_ms for one in footprints) / 1e3 / len(footprints),
        calibration=len(job.calibration), validation=len(job.splits.validation),
        variants=len(opened.variants) + int8, int8=int8,
        recipes=len(ESTIMATORS) + extra + (wanted - 1) * (RUNNERS_UP + extra) if wanted else 0,
        observations=(2 if depthwise else 1) if wanted else 0,
        nodes=sum(node.operator in WEIGHTED for node in describe_nodes(graph)) if wanted else 0,
        settings=len(job.settings), rounds=job.options.rounds,
    )  # fmt: skip
