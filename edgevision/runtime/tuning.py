"""Which variant is quickest on this very machine: measured on request, remembered by ``tuning_cache``.

``load`` never measures by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle.reader import Bundle, open_bundle
from edgevision.errors import CacheWarning, EngineError, InputError, MissingExtraError, SelfTestError
from edgevision.latency import Samples, measure_interleaved, within_noise
from edgevision.machine import usable_cores
from edgevision.runtime.golden_check import golden_result
from edgevision.runtime.opening import open_variant
from edgevision.runtime.runner import Runner
from edgevision.runtime.tuning_cache import Choice, choice_file, read_choice, version_of_choice, write_choice
from edgevision.runtime.tuning_lock import measuring_alone

ROUNDS = 40
WARMUP_ROUNDS = 5
WAIT_S = 180.0  # for other processes that measure


@dataclass(frozen=True)
class TuneRow:
    """A variant measured here: median engine latency of one prepared item, or None and why it was not measured."""

    variant: str
    p50_ms: float | None
    message: str


@dataclass(frozen=True)
class TuneResult:
    """The quickest variant, all that run here from the quickest on, what was measured, and the file that remembers it
    (None: it could not be written)."""

    variant: str
    order: tuple[str, ...]
    threads: int
    rows: tuple[TuneRow, ...]
    cache: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def _silent(message: str) -> None:
    return None


def tune(
    path: str | Path | bytes,
    *,
    threads: int | None = None,
    rounds: int = ROUNDS,
    say: Callable[[str], object] = _silent,
) -> TuneResult:
    """Measure the variants of a bundle on this machine with ``threads`` (default: its physical cores) and remember.

    The quickest is chosen; within the noise of the quickest, the variant that ``compile`` chose comes first, then the
    bundle's order. Variants that cannot run here, or whose golden frames fail, are left out, with the reason in their row.

    One process measures at a time; others wait, for ``WAIT_S`` seconds at most (``say`` is told), and take what was
    found for the same bundle and threads meanwhile. What was measured beside others all the same is a CacheWarning, and
    not remembered. Raises SelfTestError or EngineError when no variant is left; a cache that cannot be written is a
    CacheWarning.
    """
    with open_bundle(path) as bundle:
        return tune_bundle(bundle, threads=threads, rounds=rounds, say=say)


def tune_bundle(
    bundle: Bundle, *, threads: int | None = None, rounds: int = ROUNDS, say: Callable[[str], object] = _silent
) -> TuneResult:
    """``tune`` for a bundle that is open already."""
    if (threads is not None and threads < 1) or rounds < 1:
        raise InputError(f"tuning needs at least 1 thread and 1 round, got {threads} and {rounds}")
    count = usable_cores() if threads is None else threads
    before = version_of_choice(bundle)

    def on_wait() -> None:
        say(f"another process is measuring on this machine; waiting for it, {WAIT_S:.0f} s at most")

    with measuring_alone(WAIT_S, on_wait) as alone:
        if version_of_choice(bundle) != before and (found := _found_meanwhile(bundle, count)):
            return found
        measured, reasons = _measure(bundle, count, rounds)
        order = _rank(measured, bundle.manifest.chosen)
        medians = {name: samples.p50_ms for name, samples in measured.items()}
        cache = write_choice(bundle, Choice(tuple(order), count, medians)) if alone else None
    if not alone:
        warnings.warn(
            f"other processes were still measuring after {WAIT_S:.0f} s: the choice may be theirs to disturb, and is not "
            "remembered; run: edgevision tune",
            CacheWarning,
            stacklevel=3,
        )
    return _result(bundle, tuple(order), count, medians, reasons, str(cache) if cache else None)


def _measure(bundle: Bundle, threads: int, rounds: int) -> tuple[dict[str, Samples], dict[str, str]]:
    """What each variant that runs here took, and why the others do not run: both by id, in the bundle's order."""
    runners: dict[str, Runner] = {}
    reasons: dict[str, str] = {}
    failed = False
    try:
        for variant in bundle.manifest.variants:
            try:
                runner = open_variant(bundle, variant, threads)
            except (MissingExtraError, EngineError, SelfTestError) as error:
                failed = failed or isinstance(error, SelfTestError)
                reasons[variant.id] = str(error)
                continue
            runners[variant.id] = runner
            try:
                golden = golden_result(bundle, variant, runner)
            except EngineError as error:
                reasons[variant.id] = str(error)
            else:
                if not golden.passed:
                    failed = True
                    reasons[variant.id] = f"self-test failed: {golden.message}"
            if variant.id in reasons:
                runners.pop(variant.id).close()
        if not runners:
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise (SelfTestError if failed else EngineError)(f"no variant runs on this machine. {why}")
        launchers = {name: _launcher(runner) for name, runner in runners.items()}
        return measure_interleaved(launchers, rounds, WARMUP_ROUNDS), reasons
    finally:
        for runner in runners.values():
            runner.close()


def _found_meanwhile(bundle: Bundle, threads: int) -> TuneResult | None:
    """What another process measured for the same threads while this one waited."""
    choice = read_choice(bundle)
    if choice is None or choice.threads != threads:
        return None
    left_out = "does not run here, as another process found that measured at the same time"
    reasons = {v.id: left_out for v in bundle.manifest.variants if v.id not in choice.variants}
    return _result(bundle, choice.variants, threads, choice.p50_ms, reasons, str(choice_file(bundle)))


def _result(
    bundle: Bundle, order: tuple[str, ...], threads: int, medians: Mapping[str, float], reasons: Mapping[str, str],
    cache: str | None,
) -> TuneResult:  # fmt: skip
    rows = tuple(
        TuneRow(v.id, medians.get(v.id), reasons.get(v.id, "chosen" if v.id == order[0] else ""))
        for v in bundle.manifest.variants
    )
    return TuneResult(order[0], order, threads, rows, cache)


def _launcher(runner: Runner) -> Callable[[], object]:
    """Engine latency as the bundle states it: one prepared item in the slot → outputs readable."""
    slot = runner.engine.slots(runner.engine.inputs[0].shape[0] or 1)[0]
    return lambda: runner.engine.run(slot)


def _rank(measured: Mapping[str, Samples], chosen: str) -> list[str]:
    """Quickest first. ``measured`` is in the bundle's order; within the noise the chosen variant, then that order, wins."""
    left = sorted(measured, key=lambda name: name != chosen)
    order = []
    while left:
        quickest = min(left, key=lambda name: measured[name].p50_ms)
        best = next(name for name in left if name == quickest or within_noise(measured[name], measured[quickest]))
        order.append(best)
        left.remove(best)
    return order
