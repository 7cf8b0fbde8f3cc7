"""Measure every variant that can run on this machine: latency interleaved, memory and load time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.quantize.targets import DIALECT_ENGINES
from edgevision.compiler.select.precision_check import check
from edgevision.compiler.variants import ORIGINAL, Candidate, Variant, VariantMeasurement
from edgevision.engines import available_engines
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.latency import Samples, measure_interleaved

# (engine, precision) to try for a float graph. bfloat16 is the engine's own rounding of it.
_FLOAT_VARIANTS = (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
FOOTPRINT_LIMIT_S = 300


def variants(candidates: Sequence[Candidate]) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """Every variant of the candidates that runs here, and why the others do not: {id: reason}.

    An int8 graph is tried in the engines that its dialect is written for.
    """
    present = available_engines()
    found: list[Variant] = []
    missing: dict[str, str] = {}
    for candidate in candidates:
        for engine, precision in _engines(candidate):
            variant = Variant(_id(candidate, engine, precision), candidate, engine, precision)
            if engine not in present:
                missing[variant.id] = f"not installed: pip install 'edgevision[{engine}]'"
                continue
            try:
                with variant.open(1) as opened:
                    opened.run(opened.slots(1)[0])
            except EngineError as error:
                missing[variant.id] = str(error)
                continue
            found.append(variant)
    return tuple(found), missing


def _engines(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    if candidate.key == ORIGINAL:
        return _FLOAT_VARIANTS[:1]
    if candidate.precision == "float32":
        return _FLOAT_VARIANTS
    return tuple((engine, "float32") for engine in DIALECT_ENGINES[candidate.dialect])


def _id(candidate: Candidate, engine: str, precision: str) -> str:
    """``onnxruntime-int8``; a second dialect's graph by its name, which begins with its engine's: ``openvino-vnni-int8``."""
    if precision == "bfloat16":
        return f"{engine}-bf16"
    second = candidate.key != "int8" and candidate.dialect.startswith(engine)
    if second:
        return "openvino-x86-int8" if candidate.dialect == "openvino" else f"{candidate.dialect}-int8"
    return f"{engine}-{candidate.key}"


def measure(
    found: Sequence[Variant], tensor: npt.NDArray[Any], settings: Sequence[tuple[int, int]], rounds: int, seed: int,
    progress: ProgressFn = silent,
) -> tuple[VariantMeasurement, ...]:  # fmt: skip
    """Measure the variants at each (threads, batch), interleaved so that the machine's moods hit all alike.

    ``tensor``: one prepared item [1, …], repeated to fill a batch.
    """
    samples: dict[str, dict[tuple[int, int], Samples]] = {variant.id: {} for variant in found}
    for place, (threads, batch) in enumerate(settings):
        progress("measure", place, len(settings) + 1)
        for name, own in measure_latency(found, tensor, threads, batch, rounds, seed).items():
            samples[name][threads, batch] = own
    measurements = []
    for place, variant in enumerate(found):
        progress("memory and load time", place, len(found))
        measurements.append(_measurement(variant, samples[variant.id], settings[0][0]))
    return tuple(measurements)


def _measurement(variant: Variant, samples: Mapping[tuple[int, int], Samples], threads: int) -> VariantMeasurement:
    load_ms, rss_bytes = footprint(variant, threads)
    graph = variant.candidate.graph
    with variant.open(threads) as engine:
        layers = engine.layers()
    checked = check(graph, layers) if variant.candidate.precision == "int8" else None
    return VariantMeasurement(
        variant.id, variant.candidate.key, variant.engine, variant.precision, len(graph), samples, load_ms, rss_bytes,
        layers, checked,
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


def footprint(variant: Variant, threads: int) -> tuple[float, int]:
    """Load time (ms) and resident memory (bytes) that loading and one run add, in a new process."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        graph = Path(folder, "graph.onnx")
        graph.write_bytes(variant.candidate.graph)
        command = [
            sys.executable,
            "-m",
            "edgevision.engines.footprint",
            variant.engine,
            str(graph),
            str(threads),
            variant.precision,
        ]
        # This process's own import path, from a folder of ours: a user's json.py or onnx.py here must not be imported.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=FOOTPRINT_LIMIT_S,
                cwd=folder,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"loading {variant.id} in a process of its own took over {FOOTPRINT_LIMIT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        raise EdgeVisionError(
            f"measuring {variant.id} in a process of its own failed (status {done.returncode}): {last}"
        )
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return float(figures["load_ms"]), int(figures["rss_bytes"])
