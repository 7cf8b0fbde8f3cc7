"""``openvino:model.xml`` or ``openvino:model.onnx``: OpenVINO alone on the CPU, as a careful user writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.bench.targets.address import TargetAddress, existing_file
from edgevision.bench.targets.base import Allowance, Identity
from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.knowledge import find_knowledge
from edgevision.bench.targets.onnx import as_float32, fixed_size
from edgevision.bench.targets.onnx_facts import read_facts
from edgevision.bench.targets.openvino_facts import kernels_text, layers_and_kernels
from edgevision.bench.targets.tensor_target import Tensor, TensorTarget, notes_of, plain_spec, task_name
from edgevision.engines.importing import import_openvino
from edgevision.errors import EngineError, InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tensors import TensorInfo

_HINTS = {"f32", "bf16", "f16"}


def open(address: TargetAddress, allowance: Allowance) -> TensorTarget:
    """Compile the model with the latency hint, one stream and ``threads`` threads. ``@precision=f32`` (or bf16, f16) sets the hint of
    precision; without it, OpenVINO takes what it holds to be quickest, and the identity says what that was.

    A model of a free batch is compiled for each number of frames when it is first asked: static shapes run quickest.
    Raises InputError for a file that is none or cannot be asked, EngineError where OpenVINO refuses it, MissingExtraError.
    """
    path = existing_file(address.what, address)
    openvino = import_openvino()
    core = openvino.Core()
    try:
        model = core.read_model(str(path))
    except Exception as error:  # its errors have no base of their own
        raise EngineError(f"'{address.text}': openvino refuses the file: {_first_line(error)}") from None
    if len(model.inputs) != 1:
        raise InputError(f"'{address.text}': expected one input, the picture, got {len(model.inputs)}")
    shape = _shape(model.inputs[0])
    dtype = model.inputs[0].get_element_type().to_dtype().name
    outputs = [_info(place, port) for place, port in enumerate(model.outputs)]

    def outputs_of(spec: PreprocessSpec) -> Sequence[TensorInfo]:
        """Of the model made for that size, where it leaves sizes open."""
        if all(side is not None for one in outputs for side in one.shape[1:]):
            return outputs
        fitted = model.clone()
        fitted.reshape([shape[0] or 1, *spec.tensor_shape])
        return [_info(place, port) for place, port in enumerate(fitted.outputs)]

    knowledge = find_knowledge(address, _metadata(path), outputs_of, fixed_size(shape))
    spec = plain_spec(shape, dtype, f"'{address.text}'") if knowledge is None else knowledge.spec
    compiled = _Compiled(
        core, model, spec.tensor_shape, shape, config_of(allowance.threads, _hint(address)), address.text
    )
    names = [one.name for one in outputs]

    def run(tensor: Tensor) -> Mapping[str, Tensor]:
        request = compiled.request(len(tensor))
        request.infer({0: openvino.Tensor(np.ascontiguousarray(tensor), shared_memory=True)})
        # Copied: the next inference writes into the same memory, and a user keeps results.
        return {name: as_float32(request.get_output_tensor(place).data.copy()) for place, name in enumerate(names)}

    layers, kernels = layers_and_kernels(compiled.model(shape[0] or 1))
    sha256, size = hash_of(path)
    weights = path.with_suffix(".bin")
    notes = notes_of(knowledge, spec)
    if path.suffix == ".xml" and weights.is_file():
        notes = (*notes, f"its weights, {weights.name}, have the SHA-256 {hash_of(weights)[0]}")
    identity = Identity(
        kind="openvino", file=str(path), sha256=sha256, bytes=size, task=task_name(knowledge), precision=precision_text(layers),
        engine=f"openvino {openvino.__version__}", provider=f"OpenVINO CPU: {kernels_text(kernels)}",
        threads=allowance.threads, input_shape=(1, *spec.tensor_shape),
        versions=versions_of(("openvino", "numpy", "opencv-python-headless", "opencv-python")), notes=notes,
    )  # fmt: skip
    return TensorTarget(identity, run, knowledge, spec, shape[0], compiled.close)


class _Compiled:
    """One model, compiled for each batch when it is first asked."""

    def __init__(
        self, core: Any, model: Any, item: tuple[int, ...], shape: list[int | None], config: dict[str, Any], text: str
    ) -> None:
        self._core, self._model, self._item, self._config, self._text = core, model, item, config, text
        self._fixed = all(side is not None for side in shape)
        self._models: dict[int, Any] = {}
        self._requests: dict[int, Any] = {}

    def model(self, batch: int) -> Any:
        if batch not in self._models:
            model = self._model
            try:
                if not self._fixed:
                    model = model.clone()
                    model.reshape([batch, *self._item])
                self._models[batch] = self._core.compile_model(model, "CPU", self._config)
            except Exception as error:
                raise EngineError(
                    f"'{self._text}': openvino cannot compile it for {batch} frames: {_first_line(error)}"
                ) from None
        return self._models[batch]

    def request(self, batch: int) -> Any:
        if batch not in self._requests:
            self._requests[batch] = self.model(batch).create_infer_request()
        return self._requests[batch]

    def close(self) -> None:
        self._requests.clear()
        self._models.clear()


def config_of(threads: int, precision: str | None) -> dict[str, Any]:
    """How a model is compiled for answers as quick as can be. ``precision``: the hint, None to leave it to OpenVINO."""
    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    return config if precision is None else {**config, "INFERENCE_PRECISION_HINT": precision}


def inspect_graph(
    graph: bytes, item: tuple[int, ...], threads: int, precision: str
) -> tuple[dict[str, int], dict[str, int]]:
    """Precisions and kernels (see ``layers_and_kernels``) of an ONNX graph in memory, compiled for one item of shape ``item``. ``precision``: "float32" or "bfloat16", of float
    layers. Raises EngineError."""
    openvino = import_openvino()
    core = openvino.Core()
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    try:
        model = core.read_model(model=graph, weights=b"")
        model.reshape([1, *item])
        return layers_and_kernels(core.compile_model(model, "CPU", config_of(threads, hint)))
    except Exception as error:
        raise EngineError(f"openvino does not tell its layers: {_first_line(error)}") from None


def _hint(address: TargetAddress) -> str | None:
    hint = address.options.get("precision")
    if hint is not None and hint not in _HINTS:
        raise InputError(f"'{address.text}': precision is one of {', '.join(sorted(_HINTS))}, got {hint!r}")
    return hint


def _metadata(path: Path) -> Mapping[str, str]:
    """What the exporter wrote: into an ONNX file, or as Ultralytics does into ``metadata.yaml`` beside an ``.xml``."""
    if path.suffix.lower() == ".onnx":
        return read_facts(path).metadata
    beside = path.with_name("metadata.yaml")
    if not beside.is_file():
        return {}
    from edgevision.engines.importing import import_package

    yaml = import_package("yaml", "detect", "reading metadata.yaml beside an OpenVINO model", needs="safe_load")
    try:
        said = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{beside} cannot be read: {_first_line(error)}") from None
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}


def _shape(port: Any) -> list[int | None]:
    return [side.get_length() if side.is_static else None for side in port.get_partial_shape()]


def _info(place: int, port: Any) -> TensorInfo:
    """What has no name is called as Ultralytics' exporter calls it in ONNX files."""
    dtype = port.get_element_type().to_dtype().name
    name = port.get_any_name() if port.get_names() else f"output{place}"
    return TensorInfo(name, "float32" if dtype == "float16" else dtype, tuple(_shape(port)))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
