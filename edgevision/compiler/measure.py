"""Measure every variant that can run on this machine: latency interleaved, memory and load time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.options import Candidate, ProgressFn, Row, silent
from edgevision.engines import available_engines, open_engine
from edgevision.engines.base import Engine, EngineOptions
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.latency import measure_interleaved

# (engine, precision) to try for a graph of each kind. bfloat16 is the engine's own rounding of a float graph.
_WAYS: dict[str, tuple[tuple[str, str], ...]] = {
    "float32": (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")),
    "int8": (("onnxruntime", "float32"), ("openvino", "float32")),
}
FOOTPRINT_LIMIT_S = 300
REFERENCE = "onnxruntime-float"  # the variant that every other is compared with


@dataclass(frozen=True)
class Way:
    """A variant to be: its id, graph, engine and engine precision."""

    id: str
    candidate: Candidate
    engine: str
    precision: str

    def open(self, threads: int) -> Engine:
        """Load the graph with that many threads. Raises EngineError."""
        return open_engine(self.engine, self.candidate.graph, EngineOptions(threads, self.precision))


def ways(candidates: Sequence[Candidate]) -> tuple[tuple[Way, ...], dict[str, str]]:
    """Every variant of the candidates that runs here, and why the others do not: {id: reason}."""
    present = available_engines()
    found: list[Way] = []
    missing: dict[str, str] = {}
    for candidate in candidates:
        for engine, precision in _WAYS[candidate.precision]:
            kind = "bf16" if precision == "bfloat16" else candidate.key
            way = Way(f"{engine}-{kind}", candidate, engine, precision)
            if engine not in present:
                missing[way.id] = f"not installed: pip install 'edgevision[{engine}]'"
                continue
            try:
                with way.open(1) as opened:
                    opened.run(opened.slots(1)[0])
            except EngineError as error:
                missing[way.id] = str(error)
                continue
            found.append(way)
    return tuple(found), missing


def measure(
    found: Sequence[Way], tensor: npt.NDArray[Any], settings: Sequence[tuple[int, int]], rounds: int, seed: int,
    progress: ProgressFn = silent,
) -> tuple[Row, ...]:  # fmt: skip
    """Measure the variants at each (threads, batch), interleaved so that the machine's moods hit all alike.

    ``tensor``: one prepared item [1, …], repeated to fill a batch.
    """
    latency: dict[str, dict[tuple[int, int], tuple[float, float]]] = {way.id: {} for way in found}
    for place, (threads, batch) in enumerate(settings):
        progress("measure", place, len(settings) + 1)
        for name, times in _latency(found, tensor, threads, batch, rounds, seed).items():
            latency[name][threads, batch] = times
    rows = []
    for place, way in enumerate(found):
        progress("memory and load time", place, len(found))
        load_ms, rss_bytes, layers = footprint(way, settings[0][0])
        rows.append(
            Row(
                way.id,
                way.candidate.key,
                way.engine,
                way.precision,
                latency[way.id],
                len(way.candidate.graph),
                load_ms,
                rss_bytes,
                layers,
            )
        )
    return tuple(rows)


def _latency(
    found: Sequence[Way], tensor: npt.NDArray[Any], threads: int, batch: int, rounds: int, seed: int
) -> Mapping[str, tuple[float, float]]:
    engines = {way.id: way.open(threads) for way in found}
    try:
        calls = {}
        for name, engine in engines.items():
            slot = engine.slots(batch)[0]
            slot.inputs[engine.inputs[0].name][...] = tensor
            calls[name] = lambda engine=engine, slot=slot: engine.run(slot)
        samples = measure_interleaved(calls, rounds=rounds, warmup=5, seed=seed)
        return {name: (float(s.p50_ms), float(s.p90_ms)) for name, s in samples.items()}
    finally:
        for engine in engines.values():
            engine.close()


def footprint(way: Way, threads: int) -> tuple[float, int, dict[str, int]]:
    """Load time (ms), resident memory (bytes) that loading and one run add, and layer precisions, in a new process."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        graph = Path(folder, "graph.onnx")
        graph.write_bytes(way.candidate.graph)
        command = [
            sys.executable,
            "-m",
            "edgevision.engines.footprint",
            way.engine,
            str(graph),
            str(threads),
            way.precision,
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
            raise EngineError(f"loading {way.id} in a process of its own took over {FOOTPRINT_LIMIT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        raise EdgeVisionError(f"measuring {way.id} in a process of its own failed (status {done.returncode}): {last}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return float(figures["load_ms"]), int(figures["rss_bytes"]), dict(figures["layers"])


def run_all(engines: Mapping[str, Engine], tensors: Any, outputs: dict[str, list[npt.NDArray[np.float32]]]) -> None:
    """Run every engine over an iterator of tensors [n, …] and append raw outputs [n, k] to ``outputs[name]``."""
    slots: dict[tuple[str, int], Any] = {}
    for tensor in tensors:
        for name, engine in engines.items():
            slot = slots.get((name, 1)) or slots.setdefault((name, 1), engine.slots(1)[0])
            for item in tensor:
                slot.inputs[engine.inputs[0].name][0] = item
                engine.run(slot)
                outputs[name].append(np.array(slot.outputs[engine.outputs[0].name][0], np.float32))
