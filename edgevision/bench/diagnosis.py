"""What speaks against a figure: blocks, conditions and answers are looked over, and each doubt says its numbers and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.bench.conditions import rules
from edgevision.bench.record import Doubt
from edgevision.bench.scenarios.base import Block
from edgevision.bench.statistics.agreement import agreement, same_answer
from edgevision.bench.statistics.drift import drifts
from edgevision.bench.statistics.modes import Modes, two_modes
from edgevision.bench.statistics.percentiles import Numbers, needed_samples
from edgevision.bench.targets.base import Answer
from edgevision.errors import InputError

LEAST_ROUNDS = 5
DRIFT_P, DRIFT_CHANGE = 0.01, 0.05
LEAST_NS = 1000  # what is nearer than this lies in clock and harness, which take some of it themselves
LEAST_KEPT = 0.9  # share of requests whose thread stayed on its core
FAULTS, FAULT_NS, FAULT_SHARE = 64, 500, 0.05  # a page given and cleared takes about half a microsecond
BOUND = {"decode": 0.5, "infer": 0.9, "schedule": 0.5}  # shares of the time from which a stage decides the figure
LEAST_AGREEMENT, FATAL_AGREEMENT = 0.9, 0.5
CACHED = 0.5  # of a new frame's time
CLOCK_STEPS = 50  # in a median latency


def doubts_of(
    blocks: Sequence[Block],
    conditions: Mapping[str, Any],
    answers: Sequence[Answer],
    *,
    reference: Sequence[Answer] | None = None,
    again: Sequence[Answer] | None = None,
    repeated: Sequence[Block] = (),
    fresh: Sequence[Block] = (),
    different_frames: bool = True,
) -> tuple[Doubt, ...]:
    """Doubts about one target in one scenario.

    ``blocks``: what figures are made of. ``conditions``: of a ``Watcher``; what is not in them is not judged, so {} leaves the machine out
    (``doubts_of_machine`` alone is for the whole run). ``answers``: one for each frame of the workload, empty where unknown. ``reference``: the
    same of the target that answers are compared with. ``again``: answers to the same frames, asked a second time. ``repeated``: blocks in
    which each frame is asked several times in a row. ``fresh``: blocks with frames that this target never saw before, where there are some.
    ``different_frames``: whether the workload's frames differ, so that a target that tells all alike is odd.
    """
    found = [
        *doubts_of_machine(conditions),
        *_of_length(blocks),
        *_of_shape(blocks),
        *_of_work(blocks),
        *_of_outputs(blocks, answers, reference, again, different_frames),
        *_of_cache(blocks, repeated, fresh),
    ]
    return tuple(found)


def doubts_of_machine(conditions: Mapping[str, Any]) -> tuple[Doubt, ...]:
    """Doubts about the machine: "noisy-machine", "steal", "throttled"."""
    checks = (("noisy-machine", rules.noisy), ("steal", rules.stolen), ("throttled", rules.throttled))
    return tuple(Doubt(code, _sentence(reason)) for code, check in checks if (reason := check(conditions)))


def _of_length(blocks: Sequence[Block]) -> Iterator[Doubt]:
    """Too few samples or rounds, or a clock that cannot see one request."""
    latencies = _latencies(blocks)
    rounds = len({block.round for block in blocks})
    # A request of the offline scenario is the whole workload: there, only rounds count.
    offline = bool(blocks) and all(block.scenario.name == "offline" for block in blocks)
    needed = needed_samples(0.9)
    if (len(latencies) < needed and not offline) or rounds < LEAST_ROUNDS:
        wanted = (
            f"{LEAST_ROUNDS} rounds" if offline else f"{LEAST_ROUNDS} rounds and {needed} requests, which p90 needs"
        )
        yield Doubt(
            "too-short",
            f"{len(latencies)} requests in {rounds} rounds were measured; it takes {wanted}: give it more time.",
        )
    if len(latencies) >= 20:
        step, median = int(np.gcd.reduce(latencies)), float(np.median(latencies))
        if median < CLOCK_STEPS * step or median <= 0:
            yield Doubt(
                "clock-too-coarse",
                f"The clock moves in steps of {step} ns, and half the requests take {median:.0f} ns or less: ask for several frames at once.",
            )


def _of_shape(blocks: Sequence[Block]) -> Iterator[Doubt]:
    """Figures that change with time, samples of two kinds, requests that lost their core."""
    medians = [
        float(np.median(block.latency_ns))
        for block in sorted(blocks, key=lambda block: block.began_ns)
        if len(block.latency_ns)
    ]
    if len(medians) >= 8 and min(medians) > 0:
        drift = drifts(medians)
        moved_ns = abs(drift.change - 1) * float(np.median(medians))
        if drift.p <= DRIFT_P and abs(math.log(drift.change)) >= math.log1p(DRIFT_CHANGE) and moved_ns >= LEAST_NS:
            yield Doubt(
                "drift",
                f"Latency changed by {drift.change - 1:+.0%} over {drift.n} rounds (p = {drift.p:.2g}): warm up for longer, or look for "
                "memory that grows or a machine that becomes hot.",
            )
    latencies = _latencies(blocks)
    modes = two_modes(latencies)
    if modes is not None and modes.upper - modes.lower >= LEAST_NS:
        yield Doubt(
            "two-modes",
            f"Requests are of two kinds: {1 - modes.share:.0%} around {modes.lower / 1e6:.3g} ms and {modes.share:.0%} around "
            f"{modes.upper / 1e6:.3g} ms. {_kind_of_modes(blocks, modes)}",
        )
    switched = np.concatenate([block.switched for block in blocks]) if blocks else np.zeros(0, bool)
    if len(switched) and 1 - switched.mean() < LEAST_KEPT:
        yield Doubt(
            "switched",
            f"{1 - switched.mean():.0%} of requests kept their core throughout, at least {LEAST_KEPT:.0%} should: give the target cores "
            "that nothing else uses.",
        )


def _of_work(blocks: Sequence[Block]) -> Iterator[Doubt]:
    """What the time goes to."""
    latencies = _latencies(blocks)
    counted = [block for block in blocks if block.counters.minor_faults is not None and len(block.latency_ns)]
    if counted:
        faults = sum(block.counters.minor_faults or 0 for block in counted) / sum(
            len(block.latency_ns) for block in counted
        )
        share = faults * FAULT_NS / max(1.0, float(np.median(latencies)))
        if faults >= FAULTS and share >= FAULT_SHARE:
            yield Doubt(
                "allocator-bound",
                f"Each request is given {faults:.0f} new pages of memory, about {min(1.0, share):.0%} of its time: keep buffers, or set "
                "MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_.",
            )
    advice = {
        "decode": "the figure is the decoder's; give frames decoded to measure the model",
        "infer": "the figure is the engine's; what lies around it is not visible in it",
        "schedule": "the figure is of waiting; ask for less at once to measure the target",
    }
    names = {"decode": "decode-bound", "infer": "engine-bound", "schedule": "schedule-bound"}
    for stage, limit in BOUND.items():
        told = [block for block in blocks if len(block.stages.get(stage, ())) and len(block.latency_ns)]
        whole = sum(_time_of(block, stage) for block in told)
        share = sum(float(np.sum(block.stages[stage])) for block in told) / whole if whole else 0.0
        if share >= limit:
            yield Doubt(names[stage], f"{min(1.0, share):.0%} of the time goes to '{stage}': {advice[stage]}.")


def _of_outputs(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    reference: Sequence[Answer] | None,
    again: Sequence[Answer] | None,
    different_frames: bool,
) -> Iterator[Doubt]:
    """Answers that cannot be right, that differ from the reference's, or that do not depend on the frame."""
    wrong, asked = sum(len(block.wrong) for block in blocks), sum(len(block.latency_ns) for block in blocks)
    if wrong:
        text = f"{wrong} of {asked} answers in the timed part are not what the target says of the same frames otherwise: it does not do the work."
        yield Doubt("output-wrong", text, fatal=True)
    broken = sum(not _finite(answer) for answer in answers)
    if broken:
        text = (
            f"{broken} of {len(answers)} answers hold numbers that are not finite: the model or its export is broken."
        )
        yield Doubt("output-wrong", text, fatal=True)
    if reference is not None and answers and not broken:
        yield from _of_reference(answers, reference)
    if different_frames and len(answers) > 1 and all(same_answer(answers[0], answer, 1e-6) for answer in answers[1:]):
        what = "finds nothing on any" if _nothing(answers[0]) else "says the same of all"
        yield Doubt(
            "ignores-input", f"The target {what} of {len(answers)} different frames: check its input.", fatal=True
        )
    if again:
        changed = sum(not same_answer(first, second) for first, second in zip(answers, again, strict=False))
        if changed:
            yield Doubt(
                "answer-changes",
                f"{changed} of {len(again)} frames were answered otherwise when they were asked again: which answer is right?",
            )


def _of_reference(answers: Sequence[Answer], reference: Sequence[Answer]) -> Iterator[Doubt]:
    try:
        found = agreement(answers, reference)
    except InputError as error:
        yield Doubt("output-differs", f"The answers cannot be compared with the reference's: {error}.", fatal=True)
        return
    if found.share < LEAST_AGREEMENT:
        text = f"The target does not answer as the reference does: {found.text}. Compare speed only of models that do the same."
        yield Doubt("output-differs", text, fatal=found.share < FATAL_AGREEMENT)


def _of_cache(blocks: Sequence[Block], repeated: Sequence[Block], fresh: Sequence[Block]) -> Iterator[Doubt]:
    """Frames that were just asked are answered much quicker than others."""
    new = [latency for block in (*blocks, *repeated) for latency in _by_repetition(block, False)]
    same = [latency for block in repeated for latency in _by_repetition(block, True)]
    if fresh:
        new = [latency for block in fresh for latency in block.latency_ns.tolist()]
        same = same or _latencies(blocks).tolist()
    if len(new) < 5 or len(same) < 5:
        return
    of_new, of_same = float(np.median(new)), float(np.median(same))
    if of_same < CACHED * of_new:
        text = (
            f"A frame that was asked before takes {of_same / 1e6:.3g} ms, a new one {of_new / 1e6:.3g} ms: the target keeps answers. "
            "Switch its cache off; cameras do not send a frame twice."
        )
        yield Doubt("cached", text, fatal=True)


def _kind_of_modes(blocks: Sequence[Block], modes: Modes) -> str:
    """Whether requests differ, or times."""
    above = [float(np.mean(block.latency_ns > modes.valley)) for block in blocks if len(block.latency_ns)]
    pure = np.mean([share < 0.1 or share > 0.9 for share in above])
    if pure > 0.7:
        return "Most rounds are of one kind alone: the machine, or the target, was in two states; compare targets within rounds only."
    return "Both come in the same rounds: look for frames that differ, or a target with two ways; a median says little of either."


def _by_repetition(block: Block, repetition: bool) -> list[int]:
    """Latencies of requests whose frame was that of the request before, or was not."""
    if len(block.frames) < 2 or len(block.frames) != len(block.latency_ns):
        return []
    is_same = block.frames[1:] == block.frames[:-1]
    known = (block.frames[1:] >= 0) & (block.frames[:-1] >= 0)
    chosen: list[int] = block.latency_ns[1:][known & (is_same == repetition)].tolist()
    return chosen


def _latencies(blocks: Sequence[Block]) -> Numbers:
    return np.concatenate([block.latency_ns for block in blocks]) if blocks else np.zeros(0, np.int64)


def _time_of(block: Block, stage: str) -> float:
    """Nanoseconds of those requests whose stage is told; of all where only some are, in proportion."""
    return float(np.sum(block.latency_ns)) * len(block.stages[stage]) / len(block.latency_ns)


def _finite(answer: Answer) -> bool:
    arrays = [answer.scores, *answer.tensors.values(), *([] if answer.boxes is None else [answer.boxes])]
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _nothing(answer: Answer) -> bool:
    return not len(answer.classes) and not answer.tensors


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."
