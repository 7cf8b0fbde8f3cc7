"""Does the ONNX graph compute what the original computes, at any batch size?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import Layout, PreprocessSpec

TOLERANCE = 1e-3  # of the largest output, or absolute where outputs are smaller than 1
BATCHES = (1, 2, 5)

FloatArray = npt.NDArray[np.float32]
Reference = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class ParityReport:
    """Largest differences between the original and its ONNX graph, by batch size.

    ``tolerance``: what each absolute difference had to stay within, ``TOLERANCE × max(1, largest output)``.
    """

    max_abs_difference: dict[int, float]
    max_relative_difference: dict[int, float]  # of the largest output at that batch size
    tolerance: float
    seeds: tuple[int, ...]


def check_parity(
    reference: Reference,
    graph: bytes,
    spec: PreprocessSpec,
    name: str = "the model",
    batches: Sequence[int] = BATCHES,
    seeds: Sequence[int] = (0, 1),
) -> ParityReport:
    """Run ``reference`` and the ONNX ``graph`` on the same tensors and compare.

    Tensors are noise in the range that ``spec`` gives to pixels, float32 [n, *spec.tensor_shape]. Every item of a
    batch is also run by itself: a graph whose answer depends on the batch around it is refused.

    Raises ModelFileError when the graph does not run at one of ``batches``, when outputs differ by more than the
    tolerance, or are not finite.
    """
    session = open_session(graph, name)
    absolute: dict[int, float] = {}
    relative: dict[int, float] = {}
    largest = 0.0
    for batch in batches:
        differences, scale = [], 0.0
        for seed in seeds:
            tensor = pixels(spec, batch, seed)
            expected = reference(tensor)
            got = _run(session, tensor, name)
            alone = np.concatenate([_run(session, tensor[i : i + 1], name) for i in range(batch)])
            for other in (got, alone):
                if other.shape != expected.shape:
                    raise ModelFileError(
                        _wrong_batch(name, batch, f"outputs {other.shape} instead of {expected.shape}")
                    )
                if not np.isfinite(other).all() or not np.isfinite(expected).all():
                    raise ModelFileError(f"{name} gives outputs that are not finite numbers; check its weights")
                differences.append(float(np.abs(other.astype(np.float64) - expected).max()))
            scale = max(scale, float(np.abs(expected).max()))
        absolute[batch] = max(differences)
        relative[batch] = absolute[batch] / max(scale, 1e-12)
        largest = max(largest, scale)
    report = ParityReport(absolute, relative, TOLERANCE * max(1.0, largest), tuple(seeds))
    if worst := [batch for batch, difference in absolute.items() if difference > report.tolerance]:
        batch = worst[0]
        raise ModelFileError(
            f"the ONNX graph of {name} differs from the original by {absolute[batch]:.2g} at batch {batch} "
            f"(allowed: {report.tolerance:.2g}). Its answers depend on the batch, on chance or on training mode: "
            "call model.eval(), avoid Python numbers made from x.shape[0], and export again"
        )
    return report


def pixels(spec: PreprocessSpec, batch: int, seed: int) -> FloatArray:
    """Noise pixels as the model would see them: float32 [batch, *spec.tensor_shape]."""
    values = np.random.default_rng((seed, batch)).integers(0, 256, (batch, *spec.tensor_shape)).astype(np.float32)
    shape = (-1, 1, 1) if spec.layout is Layout.NCHW else (-1,)
    mean, std = (np.asarray(v, np.float32).reshape(shape) for v in (spec.mean, spec.std))
    return ((values - mean) / std).astype(np.float32)


def open_session(graph: bytes, name: str) -> object:
    """An ONNX Runtime session that runs the graph as it is written, on one thread. Raises ModelFileError."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelFileError(
            f"ONNX Runtime {ort.__version__} cannot load the graph of {name}: {brief(error)}. "
            "Export it with standard operators, opset 17 or 18"
        ) from error


def run_session(session: object, tensor: FloatArray) -> FloatArray:
    """The only output of a session for its only input."""
    (info,) = session.get_inputs()  # type: ignore[attr-defined]
    (output,) = session.run(None, {info.name: tensor})  # type: ignore[attr-defined]
    return np.asarray(output)


def _run(session: object, tensor: FloatArray, name: str) -> FloatArray:
    try:
        return run_session(session, tensor)
    except Exception as error:
        raise ModelFileError(_wrong_batch(name, len(tensor), brief(error))) from error


def _wrong_batch(name: str, batch: int, what: str) -> str:
    return (
        f"the ONNX graph of {name} does not run at batch {batch} ({what}): a batch size is baked into it. "
        "Export it with a dynamic batch axis: torch.onnx.export(..., dynamic_shapes=({0: torch.export.Dim('batch')},))"
    )


def brief(error: BaseException) -> str:
    """The first line of a library's message, without its banners."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
