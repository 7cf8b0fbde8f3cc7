"""Does the ONNX graph compute what the original computes, at any batch size?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import Layout, PreprocessSpec
from edgevision.tensors import Outputs, joined

TOLERANCE = 1e-3  # of the largest output, or absolute where outputs are smaller than 1
CAST_TOLERANCE = 0.05  # likewise, of a graph in half precision
BATCHES = (1, 2, 5)
_OF_CHANCE = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"}
)
ONLY_OUTPUT = "output"  # the name of the output of a model that has one

FloatArray = npt.NDArray[np.float32]
RunFloat = Callable[[FloatArray], Outputs]


@dataclass(frozen=True)
class ParityReport:
    """Largest differences between the original and its ONNX graph, by batch size; of several outputs, those of the one
    that comes nearest to its tolerance.

    ``tolerance``: what each absolute difference had to stay within, ``TOLERANCE × max(1, largest output)``.
    """

    max_abs_difference: dict[int, float]
    max_relative_difference: dict[int, float]  # of the largest output at that batch size
    tolerance: float
    seeds: tuple[int, ...]


def check_parity(
    reference: RunFloat,
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
    tolerance, or are not finite; and when the same tensor does not always give the same outputs, to the last bit.
    """
    session = open_session(graph, name)
    found: dict[str, dict[int, float]] = {}  # output → batch → largest difference
    scale: dict[str, dict[int, float]] = {}  # output → batch → largest value
    for batch in batches:
        for seed in seeds:
            tensor = pixels(spec, batch, seed)
            expected = reference(tensor)
            got = _run(session, tensor, name)
            if batch == batches[-1] and seed == seeds[0]:  # once is enough, and of many items some differ
                _refuse_chance(got, _run(session, tensor, name), graph, name)
            alone = joined([dict(_run(session, tensor[i : i + 1], name)) for i in range(batch)])
            for output, values in expected.items():
                worst = max(_difference(output, values, other, name, batch) for other in (got, alone))
                _raise_to(found.setdefault(output, {}), batch, worst)
                _raise_to(scale.setdefault(output, {}), batch, float(np.abs(values).max(initial=0.0)))
    reports = [_report(found[output], scale[output], seeds) for output in found]
    report = max(reports, key=lambda one: max(one.max_abs_difference.values()) / one.tolerance)
    if late := [batch for batch, difference in report.max_abs_difference.items() if difference > report.tolerance]:
        raise ModelFileError(
            f"the ONNX graph of {name} differs from the original by {report.max_abs_difference[late[0]]:.2g} at batch "
            f"{late[0]} (allowed: {report.tolerance:.2g}). Its answers depend on the batch, on chance or on training mode: "
            "call model.eval(), avoid Python numbers made from x.shape[0], and export again"
        )
    return report


def _refuse_chance(first: Outputs, second: Outputs, graph: bytes, name: str) -> None:
    """Raise ModelFileError where two runs on the same tensor differ: on one thread, only chance can make them. Outputs far
    smaller than 1 would hide it within the tolerance."""
    if all(np.array_equal(first[output], second[output], equal_nan=True) for output in first):
        return
    nodes = onnx.load_from_string(graph).graph.node
    drawn = [f"{node.op_type} '{node.name or node.output[0]}'" for node in nodes if node.op_type in _OF_CHANCE]
    raise ModelFileError(
        f"{name} gives other answers to the same input each time: its graph draws random numbers"
        f"{f' ({drawn[0]})' if drawn else ''}. Take the noise out of its forward(), and call model.eval() before it is exported"
    )


def check_cast(original: onnx.ModelProto, outputs: Outputs, spec: PreprocessSpec, name: str) -> None:
    """Compare what a graph gave that was cast to float32 with what the ``original`` gives in its own float types.

    ``outputs``: for ``pixels(spec, 1, seed=0)``. Half precision rounds each layer, and so only tells whether the cast
    graph is the same network. Nothing is compared where ONNX Runtime does not compute in these types on a CPU, or the
    original overflows. Raises ModelFileError.
    """
    try:
        session = open_session(original.SerializeToString(), name)
        (info,) = session.get_inputs()  # type: ignore[attr-defined]
        kind = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(info.type, np.float32)
        own = run_session(session, pixels(spec, 1, seed=0).astype(kind))
    except Exception:  # bfloat16 on a CPU
        return
    for output, values in outputs.items():
        other = own[output].astype(np.float64)
        largest = max(1.0, float(np.abs(values).max(initial=0.0)))
        difference = float(np.abs(other - values).max(initial=0.0))
        if np.isfinite(difference) and difference > CAST_TOLERANCE * largest:
            raise ModelFileError(
                f"{name}, cast to float32, gives other answers than as it is: they differ by {difference:.2g} (allowed: "
                f"{CAST_TOLERANCE * largest:.2g}). Export the float32 model"
            )


def _report(differences: dict[int, float], scale: dict[int, float], seeds: Sequence[int]) -> ParityReport:
    """Of one output. Each has a tolerance of its own: boxes of hundreds of pixels excuse nothing in scores of 0…1."""
    relative = {batch: difference / max(scale[batch], 1e-12) for batch, difference in differences.items()}
    return ParityReport(differences, relative, TOLERANCE * max(1.0, *scale.values()), tuple(seeds))


def _raise_to(largest: dict[int, float], batch: int, value: float) -> None:
    largest[batch] = max(largest.get(batch, 0.0), value)


def _difference(output: str, values: FloatArray, got: Outputs, name: str, batch: int) -> float:
    """The largest difference of one output. Raises ModelFileError where it is not the same output."""
    other = got.get(output)
    if other is None or other.shape != values.shape:
        found = "nothing" if other is None else f"{other.shape}"
        raise ModelFileError(_wrong_batch(name, batch, f"output '{output}' is {found} instead of {values.shape}"))
    if not np.isfinite(other).all() or not np.isfinite(values).all():
        raise ModelFileError(f"{name} gives outputs that are not finite numbers; check its weights")
    return float(np.abs(other.astype(np.float64) - values).max(initial=0.0))


def pixels(spec: PreprocessSpec, batch: int, seed: int) -> FloatArray:
    """Noise pixels as the model would see them: float32 [batch, *spec.tensor_shape]."""
    values = np.random.default_rng((seed, batch)).integers(0, 256, (batch, *spec.tensor_shape)).astype(np.float32)
    shape = (-1, 1, 1) if spec.layout is Layout.NCHW else (-1,)
    mean, std = (np.asarray(v, np.float32).reshape(shape) for v in (spec.mean, spec.std))
    return ((values - mean) / std).astype(np.float32)


def open_session(graph: bytes, name: str) -> object:
    """An ONNX Runtime session that runs the graph as it is written, on one thread. Raises ModelFileError."""
    ort = import_onnxruntime()
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


def run_session(session: object, tensor: FloatArray) -> dict[str, FloatArray]:
    """The outputs of a session for its only input, by name; an only output is called ``output``, as in clean graphs."""
    (info,) = session.get_inputs()  # type: ignore[attr-defined]
    names = [output.name for output in session.get_outputs()]  # type: ignore[attr-defined]
    values = session.run(None, {info.name: tensor})  # type: ignore[attr-defined]
    if len(names) == 1:
        names = [ONLY_OUTPUT]
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _run(session: object, tensor: FloatArray, name: str) -> dict[str, FloatArray]:
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
