"""Measure every variant that can run on this machine: latency interleaved, memory and load time in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.quantize.lint import lint
from edgevision.compiler.quantize.targets import DIALECT_ENGINES
from edgevision.compiler.select.precision_check import check
from edgevision.compiler.variants import ORIGINAL, Candidate, Variant, VariantMeasurement
from edgevision.engines import available_engines
from edgevision.engines.base import EngineOptions
from edgevision.engines.child import Footprint, run_in_child
from edgevision.errors import EngineError
from edgevision.latency import Samples, measure_interleaved

# (engine, precision) to try for a float graph. bfloat16 is the engine's own rounding of it; of what an int8 graph leaves in float too.
_FLOAT_VARIANTS = (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
FOOTPRINT_LIMIT_S = 300


@dataclass(frozen=True, eq=False)
class RunsHere:
    """``variants`` that this machine runs, the ``footprint`` of each by its id, and why others are ``missing``: {id: reason}."""

    variants: tuple[Variant, ...]
    footprints: Mapping[str, Footprint]
    missing: Mapping[str, str]

    def joined(self, other: RunsHere) -> RunsHere:
        """Both."""
        return RunsHere(
            (*self.variants, *other.variants),
            {**self.footprints, **other.footprints},
            {**self.missing, **other.missing},
        )


def open_each(candidates: Sequence[Candidate], threads: int, progress: ProgressFn = silent, batch: int = 1) -> RunsHere:
    """Try every variant of the candidates here. An int8 graph is tried in the engines that its dialect is written for.

    Each is first opened in a process of its own, and run there with one item and with ``batch``: an engine that dies of a
    graph must not take the compile along.
    """
    present = available_engines()
    tried = [
        Variant(_id(candidate, engine, precision), candidate, engine, precision)
        for candidate in candidates
        for engine, precision in _engines(candidate)
    ]
    found: dict[str, Footprint] = {}
    missing: dict[str, str] = {}
    for place, variant in enumerate(tried):
        progress("open the variants", place, len(tried))
        if variant.engine not in present:
            missing[variant.id] = f"not installed: pip install 'edgevision[{variant.engine}]'"
        elif fault := _known_fault(variant):
            missing[variant.id] = fault
        else:
            try:
                found[variant.id] = footprint(variant, threads, batch)
            except EngineError as error:
                missing[variant.id] = str(error)
    return RunsHere(tuple(variant for variant in tried if variant.id in found), found, missing)


def _known_fault(variant: Variant) -> str | None:
    """Why the engine is not to be given an int8 graph, where one of ``lint``'s rules knows."""
    if variant.candidate.precision != "int8":
        return None
    findings = [found for found in lint(variant.candidate.graph, variant.engine) if found.effect == "refused"]
    return f"{findings[0].node}: {findings[0].message}" if findings else None


def _engines(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    if candidate.key == ORIGINAL:
        return _FLOAT_VARIANTS[:1]
    if candidate.precision == "float32":
        return _FLOAT_VARIANTS
    engines = [(engine, "float32") for engine in DIALECT_ENGINES[candidate.dialect]]
    if candidate.dialect.startswith("openvino"):
        engines.append(("openvino", "bfloat16"))
    return tuple(engines)


def _id(candidate: Candidate, engine: str, precision: str) -> str:
    """``onnxruntime-int8``; a second dialect's graph by its name, which begins with its engine's: ``openvino-vnni-int8``. ``-bf16`` at the end:
    what is not int8 is rounded to bfloat16."""
    rounds = precision == "bfloat16"
    if candidate.precision != "int8":
        return f"{engine}-bf16" if rounds else f"{engine}-{candidate.key}"
    name = f"{engine}-{candidate.key}"
    if candidate.key != "int8" and candidate.dialect.startswith(engine):
        name = "openvino-x86-int8" if candidate.dialect == "openvino" else f"{candidate.dialect}-int8"
    return f"{name}-bf16" if rounds else name


def measure(
    found: RunsHere, tensor: npt.NDArray[Any], settings: Sequence[tuple[int, int]], rounds: int, seed: int,
    progress: ProgressFn = silent,
) -> tuple[VariantMeasurement, ...]:  # fmt: skip
    """Measure the variants at each (threads, batch), interleaved so that the machine's moods hit all alike.

    ``tensor``: one prepared item [1, …], repeated to fill a batch.
    """
    samples: dict[str, dict[tuple[int, int], Samples]] = {variant.id: {} for variant in found.variants}
    for place, (threads, batch) in enumerate(settings):
        progress("measure", place, len(settings))
        for name, own in measure_latency(found.variants, tensor, threads, batch, rounds, seed).items():
            samples[name][threads, batch] = own
    return tuple(
        _measurement(variant, samples[variant.id], found.footprints[variant.id], settings[0][0])
        for variant in found.variants
    )


def _measurement(
    variant: Variant, samples: Mapping[tuple[int, int], Samples], own: Footprint, threads: int
) -> VariantMeasurement:
    graph = variant.candidate.graph
    with variant.open(threads) as engine:
        layers = engine.layers()
    checked = check(graph, layers) if variant.candidate.precision == "int8" else None
    return VariantMeasurement(
        variant.id, variant.candidate.key, variant.engine, variant.precision, len(graph), samples, own.load_ms,
        own.rss_bytes, layers, checked,
    )  # fmt: skip


def measure_latency(
    found: Sequence[Variant], tensor: npt.NDArray[Any], threads: int, batch: int, rounds: int, seed: int
) -> Mapping[str, Samples]:
    """Engine latency by variant id, interleaved; ``tensor`` [1, …] is repeated to fill a batch."""
    engines = {variant.id: variant.open(threads) for variant in found}
    try:
        calls = {}
        for name, engine in engines.items():
            slot = engine.slots(batch)[0]
            slot.inputs[engine.inputs[0].name][...] = tensor
            calls[name] = lambda engine=engine, slot=slot: engine.run(slot)
        return measure_interleaved(calls, rounds=rounds, warmup=5, seed=seed)
    finally:
        for engine in engines.values():
            engine.close()


def footprint(variant: Variant, threads: int, batch: int = 1) -> Footprint:
    """What loading the variant and one run cost, in a new process, which runs it with ``batch`` items as well.

    Raises EngineError where the engine refuses the graph, dies of it, or is not done after ``FOOTPRINT_LIMIT_S``; also
    where no process can be started here.
    """
    try:
        options = EngineOptions(threads, variant.precision)
        return run_in_child(variant.engine, variant.candidate.graph, options, FOOTPRINT_LIMIT_S, sorted({1, batch}))
    except OSError as error:
        raise EngineError(
            f"{variant.id} is opened in a process of its own first, which cannot be started: {error}"
        ) from error
