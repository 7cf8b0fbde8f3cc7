"""How well a quantized graph agrees with the float one, measured on outputs over the same photos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import EngineError, InputError


@dataclass(frozen=True)
class Agreement:
    """``top1``: share of photos with the same best class, 0–1. ``kl``: mean KL(float ‖ quantized) in nats.

    ``sqnr_db``: signal-to-quantization-noise ratio of the raw outputs in dB; infinite when they are equal.
    """

    photos: int
    top1: float
    kl: float
    sqnr_db: float


def agreement(
    reference: NDArray[np.floating], outputs: NDArray[np.floating], *, probabilities: bool = False
) -> Agreement:
    """Compare raw outputs [n, k] with the float model's. ``probabilities``: outputs are that already, not logits.

    Raises:
        InputError: shapes differ, are not [n, k], or n is 0.
    """
    if reference.shape != outputs.shape or reference.ndim != 2 or not len(reference):
        raise InputError(f"agreement needs two arrays [n, k] of one shape; got {reference.shape} and {outputs.shape}")
    expected, actual = reference.astype(np.float64), outputs.astype(np.float64)
    log_p, log_q = (_log_probabilities(x, probabilities) for x in (expected, actual))
    noise = float(np.sum((expected - actual) ** 2))
    signal = float(np.sum(expected**2))
    return Agreement(
        photos=len(expected),
        top1=float(np.mean(expected.argmax(1) == actual.argmax(1))),
        kl=float(np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=1))),
        sqnr_db=10 * float(np.log10(signal / noise))
        if noise > 0 and signal > 0
        else (np.inf if noise == 0 else -np.inf),
    )


def _log_probabilities(x: NDArray[np.float64], probabilities: bool) -> NDArray[np.float64]:
    if probabilities:
        return np.log(np.maximum(x, 1e-12))
    shifted = x - x.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return result


def graph_outputs(graph: bytes, batches: Iterable[NDArray[np.float32]], *, threads: int = 1) -> NDArray[np.float32]:
    """The graph's first output over all batches [n, c, h, w], joined and flattened to [photos, k], in ONNX Runtime.

    Raises:
        EngineError: ONNX Runtime cannot load or run the graph.
        InputError: no batches.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        output = session.get_outputs()[0].name
        parts: Sequence[NDArray[np.float32]] = [session.run([output], {name: batch})[0] for batch in batches]
    except Exception as error:  # onnxruntime has no common base class for its errors
        raise EngineError(f"ONNX Runtime cannot run the graph: {error}") from error
    if not parts:
        raise InputError("no photos to run the graph on")
    return np.concatenate([part.reshape(len(part), -1) for part in parts])
