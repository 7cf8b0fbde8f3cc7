"""What a user would take for int8 instead of us: onnxruntime's and NNCF's post-training quantization, by their defaults."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import onnx

from benchmarks.engine_speed import quantize_static

__all__ = ["NNCF_PRESETS", "nncf_quantize", "quantize_static", "with_static_batch"]

NNCF_PRESETS = ("performance", "mixed")  # the first is the default; the second has activations with a zero point
_SCRIPT = Path(__file__).with_name("nncf_quantize.py")


def nncf_quantize(
    python: Path, graph: Path, tensors: Path, target: Path, preset: str, threads: int = 2
) -> dict[str, str]:
    """Quantize the float ONNX ``graph`` with NNCF, which ``python`` (another environment's) has, into the IR ``target``.

    ``tensors``: .npy file of the calibration photos [n, c, h, w]. Returns the versions in that environment.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)
    command = [str(python), str(_SCRIPT), str(graph), str(tensors), str(target), preset]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"NNCF failed on {graph.name} ({preset}):\n{done.stderr.strip()[-2000:]}")
    versions: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return versions


def with_static_batch(graph: bytes, batch: int) -> bytes:
    """The ONNX graph with its dynamic first axes fixed at ``batch``, so that an engine plans its memory once."""
    model = onnx.load_model_from_string(graph)
    values: Sequence[onnx.ValueInfoProto] = [*model.graph.input, *model.graph.output]
    for value in values:
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]  # its sizes follow from those of the input
    return bytes(model.SerializeToString(deterministic=True))
