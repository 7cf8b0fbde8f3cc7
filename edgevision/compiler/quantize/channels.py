"""Statistics of single channels over calibration photos, for what treats channels apart: equalization, bias correction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edgevision.compiler.quantize.placement import Graph
from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import DataError, EngineError, InputError

_PHOTOS_AT_ONCE = 2  # all the asked-for activations of a run are in memory at once


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Of one tensor [n, c, …]: ``mean`` and ``peak`` (greatest magnitude) of each channel, float64 [c]."""

    mean: NDArray[np.float64]
    peak: NDArray[np.float64]


def channel_statistics(
    graph: bytes, names: Collection[str], batches: Iterable[NDArray[np.float32]], *, threads: int = 1
) -> dict[str, ChannelStatistics]:
    """Run the float graph over photos [n, c, h, w] and keep mean and peak per channel of the tensors ``names``.

    Raises:
        DataError: no photos.
        EngineError: ONNX Runtime cannot run the graph.
        InputError: the graph has no such tensor.
    """
    onnxruntime = import_onnxruntime()
    view = Graph.parse(graph)
    if unknown := set(names) - set(view.producer) - {view.input}:
        raise InputError(f"the graph has no tensors {sorted(unknown)[:3]}")
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    inner = [name for name in dict.fromkeys(names) if name != view.input]
    present = {output.name for output in model.graph.output}
    for name in inner:
        if name not in present:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    sums: dict[str, NDArray[np.float64]] = {}
    peaks: dict[str, NDArray[np.float64]] = {}
    counts = dict.fromkeys(names, 0)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for batch in batches:
            for start in range(0, len(batch), _PHOTOS_AT_ONCE):
                part = np.ascontiguousarray(batch[start : start + _PHOTOS_AT_ONCE], np.float32)
                outputs = session.run(inner, {view.input: part}) if inner else []
                for name, values in {view.input: part, **dict(zip(inner, outputs, strict=True))}.items():
                    if name not in counts:
                        continue
                    flat = values.reshape(*values.shape[:2], -1)
                    # NumPy adds a contiguous axis up in pairs: float32 loses nothing that a mean would show.
                    sums[name] = sums.get(name, 0.0) + flat.sum(2).sum(0, dtype=np.float64)
                    peaks[name] = np.maximum(peaks.get(name, 0.0), np.maximum(flat.max(2), -flat.min(2)).max(0))
                    counts[name] += flat.shape[0] * flat.shape[2]
    except Exception as error:  # onnxruntime has no common base class for its errors
        raise EngineError(f"ONNX Runtime cannot run the graph: {error}") from error
    if names and not sums:
        raise DataError("channel statistics need at least one photo, got none")
    return {name: ChannelStatistics(sums[name] / counts[name], peaks[name]) for name in counts}
