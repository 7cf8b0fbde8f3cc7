"""``onnx:model.onnx``: ONNX Runtime alone, as a careful user writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.bench.targets.address import TargetAddress, existing_file
from edgevision.bench.targets.base import Allowance, Identity
from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.knowledge import find_knowledge
from edgevision.bench.targets.onnx_facts import read_facts
from edgevision.bench.targets.tensor_target import Tensor, TensorTarget, notes_of, plain_spec, task_name
from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import EngineError, InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tensors import TensorInfo, describe

_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int8)": "int8",
    "tensor(double)": "float64", "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(bool)": "bool",
}  # fmt: skip


def open(address: TargetAddress, allowance: Allowance) -> TensorTarget:
    """Open the file in a session of the CPU provider: all optimisations, ``threads`` intra-op threads, all else as it is by default.

    Raises InputError for a file that is none, or that cannot be asked; EngineError where ONNX Runtime refuses it.
    """
    path = existing_file(address.what, address)
    facts = read_facts(path)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = allowance.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise EngineError(f"'{address.text}': onnxruntime refuses the file: {str(error).splitlines()[0]}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(f"'{address.text}': expected one input, the picture, got {len(inputs)}")
    shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
    dtype = _DTYPES.get(inputs[0].type, inputs[0].type)
    outputs = [_info(node) for node in session.get_outputs()]

    def outputs_of(spec: PreprocessSpec) -> Sequence[TensorInfo]:
        """Run once, where sizes are left open: then they are seen."""
        if all(side is not None for one in outputs for side in one.shape[1:]):
            return outputs
        zeros = np.zeros((shape[0] or 1, *spec.tensor_shape), spec.dtype.value)
        return describe(dict(zip(names, map(as_float32, session.run(None, {name: zeros})), strict=True)))

    name, names = inputs[0].name, [one.name for one in outputs]
    knowledge = find_knowledge(address, facts.metadata, outputs_of, fixed_size(shape))
    spec = plain_spec(shape, dtype, f"'{address.text}'") if knowledge is None else knowledge.spec

    def run(tensor: Tensor) -> Mapping[str, Tensor]:
        return dict(zip(names, map(as_float32, session.run(None, {name: tensor})), strict=True))

    sha256, size = hash_of(path)
    identity = Identity(
        kind="onnx", file=str(path), sha256=sha256, bytes=size, task=task_name(knowledge),
        precision=f"{precision_text(facts.layers)}, as the graph is written", engine=f"onnxruntime {onnxruntime.__version__}",
        provider=", ".join(session.get_providers()), threads=allowance.threads, input_shape=(1, *spec.tensor_shape),
        versions=versions_of(("onnxruntime", "numpy", "opencv-python-headless", "opencv-python")),
        notes=notes_of(knowledge, spec),
    )  # fmt: skip
    return TensorTarget(identity, run, knowledge, spec, shape[0])


def fixed_size(shape: list[int | None]) -> tuple[int, int] | None:
    """Height and width of an input [batch, channels, height, width], where both are fixed."""
    if len(shape) != 4:
        return None
    height, width = (shape[2], shape[3]) if shape[1] in (1, 3) else (shape[1], shape[2])
    return None if height is None or width is None else (height, width)


def as_float32(given: Any) -> Tensor:
    """Half precision as float32, as whoever reads the outputs does; all else as it is."""
    array: Tensor = np.asarray(given)
    return np.asarray(array, np.float32) if array.dtype == np.float16 else array


def _info(node: Any) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    dtype = _DTYPES.get(node.type, node.type)
    return TensorInfo(node.name, "float32" if dtype == "float16" else dtype, shape)
