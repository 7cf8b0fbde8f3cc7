"""What a user would take for int8 instead of us: onnxruntime's and NNCF's post-training quantization, by their defaults."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgevision.engines import Engine, EngineOptions, available_engines, open_engine
from edgevision.engines.openvino import OpenVinoEngine

NNCF_PRESETS = ("performance", "mixed")  # the first is the default; the second has activations with a zero point
_SCRIPT = Path(__file__).with_name("nncf_quantize.py")


def quantize_static(graph: bytes, tensors: list[np.ndarray], how: dict[str, Any]) -> bytes:
    """onnxruntime's own static quantization, as its documentation calls it (with its pre-processing step)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.left = iter(tensors)

        def get_next(self) -> dict[str, np.ndarray] | None:
            tensor = next(self.left, None)
            return None if tensor is None else {"input": tensor}

    more: dict[str, Any] = {"per_channel": how.get("per_channel", False)}
    if how.get("activations") == "u8":
        more["activation_type"] = QuantType.QUInt8
    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (Path(folder, f"{name}.onnx") for name in ("float", "ready", "int8"))
        before.write_bytes(graph)
        quant_pre_process(str(before), str(ready), skip_symbolic_shape=True)
        quantize_static(str(ready), str(after), Reader(), **more)
        return after.read_bytes()


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


def open_graph(engine: str, graph: bytes | Path, options: EngineOptions) -> Engine:
    """``open_engine``, which opens OpenVINO's IR too, as NNCF writes it: what compile packs is ONNX, and nothing else is opened there."""
    if isinstance(graph, Path) and graph.suffix == ".xml":
        return _IrEngine(graph, options)
    return open_engine(engine, graph, options)


class _IrEngine(OpenVinoEngine):
    """Runs an IR, whose weights lie beside it."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        self._path = path
        super().__init__(
            path.read_bytes(), replace(options, cache=False), available_engines()["openvino"], lambda _: None
        )

    def _read(self, graph: bytes) -> Any:
        return self._core.read_model(str(self._path))


def with_static_batch(graph: bytes, batch: int) -> bytes:
    """The ONNX graph with its dynamic first axes fixed at ``batch``, so that an engine plans its memory once."""
    model = onnx.load_model_from_string(graph)
    values: Sequence[onnx.ValueInfoProto] = [*model.graph.input, *model.graph.output]
    for value in values:
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]  # its sizes follow from those of the input
    return bytes(model.SerializeToString(deterministic=True))
