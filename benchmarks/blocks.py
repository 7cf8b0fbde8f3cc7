"""Timing calls of tens of microseconds: blocks of calls, interleaved, without those that lost their core.

One call of each candidate in turn would measure what the others left in the caches. So a candidate makes a block of
calls, of which the first few are not kept; blocks take turns in shuffled order, and ratios pair the blocks of a round.
"""

from __future__ import annotations

import ctypes
import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgevision.errors import InputError
from edgevision.latency import Samples

Call = Callable[[int], object]

UNKEPT_CALLS = 2  # at the start of each block: code and outputs come back into the caches
LEAST_CALLS, MOST_CALLS = 3, 25  # kept calls of a block
BLOCK_NS = 8_000_000  # a block is about as long as this, within those limits
ATTEMPTS = 4  # to get a block with an undisturbed call
WARMUP_ROUNDS = 2  # not kept: freed memory finds its places


class Usage(NamedTuple):
    """Counts of this process so far."""

    preemptions: int
    page_faults: int


@dataclass(frozen=True, eq=False)
class Blocks:
    """One candidate. ``medians``: of each round's block, the median of the kept calls.

    ``kept``: share of the calls, 0…1, during which no thread of the process lost its core; the others are dropped.
    """

    medians: Samples
    kept: float
    page_faults_per_call: float
    calls_per_block: int

    @property
    def median_us(self) -> float:
        """Median over the rounds, microseconds."""
        return float(np.median(self.medians.ns)) / 1e3


def process_usage() -> Usage:
    """What the operating system has counted so far, over all threads."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(usage.ru_nivcsw, usage.ru_minflt)


def measure_blocks(
    candidates: Mapping[str, Call],
    frames: int,
    *,
    cold: bool,
    seconds: float,
    least_rounds: int = 10,
    pause_s: float = 0.0,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    usage: Callable[[], Usage] = process_usage,
) -> dict[str, Blocks]:
    """Measure candidates, each a function of the index of a frame, for about ``seconds``, ``least_rounds`` at least.

    Hot: every call gets frame 0. Cold: every call, whoever makes it, gets the next of ``frames``, so a frame was last
    read, by anyone, when all the others had been read since; it is for the caller to have enough of them. ``pause_s``
    before each block lets the threads of the one before fall asleep. ``clock`` gives nanoseconds.
    """
    if not candidates or frames < 1 or least_rounds < 1:
        raise InputError(f"expected candidates, frames and rounds, got {len(candidates)}, {frames}, {least_rounds}")
    cursor = iter(_cycle(frames if cold else 1))
    shuffle = random.Random(seed).shuffle
    order = list(candidates)
    medians: dict[str, list[float]] = {name: [] for name in order}
    made, kept, faults = (dict.fromkeys(order, 0) for _ in range(3))

    def block(name: str, calls: int) -> tuple[list[int], list[int]]:
        """Nanoseconds of all calls, and of the undisturbed among them."""
        call = candidates[name]
        if pause_s:
            time.sleep(pause_s)
        for _ in range(UNKEPT_CALLS):
            call(next(cursor))
        every, undisturbed = [], []
        for _ in range(calls):
            index = next(cursor)
            before = usage()
            start = clock()
            call(index)
            ns = clock() - start
            after = usage()
            every.append(ns)
            if after.preemptions == before.preemptions:
                undisturbed.append(ns)
            faults[name] += after.page_faults - before.page_faults
        made[name] += calls
        kept[name] += len(undisturbed)
        return every, undisturbed

    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        sizes = {}
        for name in order:
            typical = float(np.median(block(name, LEAST_CALLS)[0]))
            sizes[name] = int(np.clip(BLOCK_NS / max(typical, 1.0), LEAST_CALLS, MOST_CALLS))
        for _ in range(WARMUP_ROUNDS):
            for name in order:
                block(name, sizes[name])
        for counts in (made, kept, faults):  # of the measurement alone
            counts.update(dict.fromkeys(order, 0))
        deadline = clock() + int(seconds * 1e9)
        while len(medians[order[0]]) < least_rounds or clock() < deadline:
            shuffle(order)
            for name in order:
                for _ in range(ATTEMPTS):
                    every, undisturbed = block(name, sizes[name])
                    if undisturbed:
                        break
                medians[name].append(float(np.median(undisturbed or every)))
    finally:
        if collecting:
            gc.enable()
    return {
        name: Blocks(
            Samples(np.rint(medians[name]).astype(np.int64)), kept[name] / made[name], faults[name] / made[name],
            sizes[name],
        )
        for name in candidates
    }  # fmt: skip


def keep_freed_memory() -> str:
    """Make glibc keep what is freed, so that no candidate pays page faults for its temporaries; says what was done.

    As a long-running process would have it. In a fresh one every large allocation is mapped, faulted in and unmapped
    again, which would cost chains that allocate their output several times what the pixels cost.
    """
    settings = {"M_MMAP_THRESHOLD": (-3, 32 << 20), "M_TRIM_THRESHOLD": (-1, 1 << 30), "M_TOP_PAD": (-2, 64 << 20)}
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return "allocator as it is: this C library has no mallopt"
    done = [f"{name} {value >> 20} MiB" for name, (key, value) in settings.items() if mallopt(key, value) == 1]
    return "allocator warmed: " + ", ".join(done)


def _cycle(count: int) -> Iterator[int]:
    while True:
        yield from range(count)
