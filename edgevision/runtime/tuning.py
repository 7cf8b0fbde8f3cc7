"""Which variant is quickest on this very machine: measured on request, remembered in a cache.

``load`` never measures by itself. The cache holds one small JSON file for each machine and bundle, named by the hash
of its key: CPU model and features, number of usable cores, GPU and driver, engine versions, bundle id. Anything that changes there
asks for a new measurement.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle.reader import Bundle, open_bundle
from edgevision.engines import available_engines
from edgevision.errors import CacheWarning, EdgeVisionError, EngineError, InputError, MissingExtraError, SelfTestError
from edgevision.files import atomic_write, cache_folder
from edgevision.latency import TIE, measure_interleaved
from edgevision.machine import describe_machine, usable_cores
from edgevision.runtime.engine_cache import describe_gpu, open_variant
from edgevision.runtime.golden_check import check_golden
from edgevision.runtime.runner import Runner

ROUNDS = 40
WARMUP_ROUNDS = 5

_MAX_CACHE_BYTES = 1 << 20


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


@dataclass(frozen=True)
class Choice:
    """What the cache says: variants quickest first, measured with ``threads``."""

    variants: tuple[str, ...]
    threads: int


def tune(path: str | Path | bytes, *, threads: int | None = None, rounds: int = ROUNDS) -> TuneResult:
    """Measure the variants of a bundle on this machine with ``threads`` (default: its physical cores) and remember.

    Variants that cannot run here, or whose golden frames fail, are left out, with the reason in their row. Raises
    SelfTestError or EngineError when none is left; a cache that cannot be written is a CacheWarning.
    """
    with open_bundle(path) as bundle:
        return tune_bundle(bundle, threads=threads, rounds=rounds)


def tune_bundle(bundle: Bundle, *, threads: int | None = None, rounds: int = ROUNDS) -> TuneResult:
    """``tune`` for a bundle that is open already."""
    if (threads is not None and threads < 1) or rounds < 1:
        raise InputError(f"tuning needs at least 1 thread and 1 round, got {threads} and {rounds}")
    count = usable_cores() if threads is None else threads
    runners: dict[str, Runner] = {}
    reasons: dict[str, str] = {}
    failed = False
    try:
        for variant in bundle.manifest.variants:
            try:
                runner = open_variant(bundle, variant, count)
            except (MissingExtraError, EngineError, SelfTestError) as error:
                failed = failed or isinstance(error, SelfTestError)
                reasons[variant.id] = str(error)
                continue
            runners[variant.id] = runner
            try:
                golden = check_golden(bundle, variant, runner)
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
        measured = measure_interleaved(launchers, rounds, WARMUP_ROUNDS)
    finally:
        for runner in runners.values():
            runner.close()
    medians = {name: samples.p50_ms for name, samples in measured.items()}
    order = _rank(medians, bundle.manifest.chosen)
    cache = _write_choice(bundle, Choice(tuple(order), count), medians)
    rows = tuple(
        TuneRow(v.id, medians.get(v.id), reasons.get(v.id, "chosen" if v.id == order[0] else ""))
        for v in bundle.manifest.variants
    )
    return TuneResult(order[0], tuple(order), count, rows, str(cache) if cache else None)


def read_choice(bundle: Bundle) -> Choice | None:
    """What ``tune`` remembered for this machine and this bundle, or None. Never raises: a bad cache is no cache."""
    path = _cache_file(bundle)
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MAX_CACHE_BYTES))
        variants, threads = data["variants"], data["threads"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        warnings.warn(f"the tuning cache {path} cannot be read; run: edgevision tune", CacheWarning, stacklevel=3)
        return None
    known = {variant.id for variant in bundle.manifest.variants}
    if not isinstance(variants, list) or not isinstance(threads, int) or not 1 <= threads <= 4096:
        return None
    kept = tuple(name for name in variants if isinstance(name, str) and name in known)
    return Choice(kept, threads) if kept else None


def _launcher(runner: Runner) -> Callable[[], object]:
    """Engine latency as the bundle states it: one prepared item in the slot → outputs readable."""
    slot = runner.engine.slots(runner.engine.inputs[0].shape[0] or 1)[0]
    return lambda: runner.engine.run(slot)


def _rank(medians: Mapping[str, float], chosen: str) -> list[str]:
    """Quickest first. ``medians`` come in the bundle's order; the chosen variant, then that order, wins near ties."""
    left = sorted(medians, key=lambda name: name != chosen)
    order = []
    while left:
        bound = (1 + TIE) * min(medians[name] for name in left)
        best = next(name for name in left if medians[name] <= bound)
        order.append(best)
        left.remove(best)
    return order


def _key(bundle: Bundle) -> dict[str, Any]:
    machine = describe_machine()
    return {
        "cpu": machine.cpu,
        "features": sorted(machine.features),
        "cores": machine.cores,
        "engines": available_engines(),
        "gpu": describe_gpu(bundle),
        "bundle": bundle.id,
    }


def _cache_file(bundle: Bundle) -> Path:
    digest = hashlib.sha256(json.dumps(_key(bundle), sort_keys=True).encode()).hexdigest()
    return cache_folder() / "tuning" / f"{digest[:32]}.json"


def _write_choice(bundle: Bundle, choice: Choice, medians: Mapping[str, float]) -> Path | None:
    path = _cache_file(bundle)
    data = {"key": _key(bundle), **asdict(choice), "p50_ms": dict(medians)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(data, indent=1).encode())
    except (OSError, EdgeVisionError) as error:
        warnings.warn(
            f"the choice cannot be remembered ({error}); set EDGEVISION_CACHE to a folder that can be written",
            CacheWarning,
            stacklevel=4,
        )
        return None
    return path
