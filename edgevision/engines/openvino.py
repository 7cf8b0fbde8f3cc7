"""OpenVINO on the CPU: the fastest int8 and bfloat16 engine on x86."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import Any

import numpy as np

from edgevision.engines.base import EngineOptions, Layer
from edgevision.engines.blob_cache import BlobCache
from edgevision.engines.graph_check import require_fixed_axes
from edgevision.engines.guard import engine_errors, raised_by_handler
from edgevision.engines.host import MOVES, CheckBatch, HostEngine, HostSlot, Launch, load_error, one_line
from edgevision.engines.importing import import_openvino
from edgevision.errors import EngineError
from edgevision.machine import describe_machine
from edgevision.tensors import TensorInfo

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_PRECISIONS = {"i8": "int8", "u8": "int8", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}
# Names of the optimised graph that are no arithmetic, besides ONNX's own.
_MOVES = MOVES | {"Const", "Constant", "Input", "Output", "Parameter", "Reorder", "Result", "StridedSlice", "ShapeOf"}
_KEYS = {"layerType", "runtimePrecision", "outputPrecisions", "originalLayersNames"}
_DTYPES = {"float32", "float16", "float64", "int8", "uint8", "int32", "int64", "bool"}


class OpenVinoEngine(HostEngine):
    """One graph, compiled for each batch size when it is first needed: static shapes run quickest.

    Sizes go up in powers of two (a batch of 3 runs as 4), so that memory for the copies stays bounded.
    """

    runs_side_by_side = False  # it has a single stream

    def __init__(self, graph: bytes, options: EngineOptions, version: str, check_batch: CheckBatch) -> None:
        self._openvino: Any = import_openvino()
        self._core: Any = self._openvino.Core()
        self._config = self._make_config(options)
        self._compile_lock = threading.RLock()  # a signal handler may predict while its thread compiles
        self._compiled: dict[int, Any] = {}
        self._blobs = BlobCache(self._blob_key(graph, version)) if options.cache else None
        with engine_errors(lambda error: load_error("openvino", error)):
            self._model: Any = self._read(graph)
            inputs = [_tensor_info(port) for port in self._model.inputs]
            outputs = [_tensor_info(port) for port in self._model.outputs]
        super().__init__("openvino", version, options, inputs, outputs, check_batch)
        self._compile(self._fixed_batch or 1)  # a graph that cannot be compiled is found now

    def _read(self, graph: bytes) -> Any:
        """OpenVINO's own form of it."""
        return self._core.read_model(model=graph, weights=b"")

    def _make_config(self, options: EngineOptions) -> dict[str, Any]:
        hint = _HINTS.get(options.precision)
        if hint is None:
            raise EngineError(f"precision is one of {sorted(_HINTS)}, got '{options.precision}'")
        if hint == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError(
                "bfloat16 needs a CPU with bfloat16 arithmetic (AVX512_BF16, AMX or ARM bf16), which this one lacks; "
                "use a float32 or int8 variant"
            )
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": hint,
            # Pinned threads of two models, or of two processes, would share the same cores while others idle.
            "ENABLE_CPU_PINNING": False,
        }

    def _compile(self, batch: int) -> Any:
        """The graph compiled for ``batch`` items, from the cache or now."""
        with self._compile_lock:
            if batch in self._compiled:
                return self._compiled[batch]
            with engine_errors(lambda error: load_error("openvino", error)):
                compiled = self._from_cache(batch) or self._from_graph(batch)
            for port in compiled.outputs:
                if not port.get_shape() or port.get_shape()[0] != batch:
                    raise EngineError(
                        f"output of shape {list(port.get_shape())} does not follow a batch of {batch}; "
                        "export the graph with a dynamic batch axis"
                    )
            self._compiled[batch] = compiled
            return compiled

    def _from_graph(self, batch: int) -> Any:
        model = self._model
        if self._fixed_batch is None:
            model = model.clone()
            model.reshape({port: [batch, *list(port.get_partial_shape())[1:]] for port in model.inputs})
        compiled = self._core.compile_model(model, "CPU", self._config)
        if self._blobs is not None:
            stream = io.BytesIO()  # given, every version of OpenVINO writes into it; what it gives without differs
            compiled.export_model(stream)
            self._blobs.keep(batch, stream.getvalue())
        return compiled

    def _from_cache(self, batch: int) -> Any:
        """What an earlier process compiled, or None."""
        if self._blobs is None:
            return None
        blob = self._blobs.read(batch)
        if blob is None:
            return None
        try:
            return self._core.import_model(io.BytesIO(blob), "CPU", self._config)
        except Exception as error:  # whatever it raises, the graph is there
            if raised_by_handler(error):
                raise
            self._blobs.warn_refused(batch, error)
            return None

    def _blob_key(self, graph: bytes, version: str) -> dict[str, Any]:
        """Everything that decides what is compiled, besides the batch."""
        machine = describe_machine()
        return {
            "graph": hashlib.sha256(graph).hexdigest(),
            "openvino": [version, self._openvino.get_version()],
            "cpu": [machine.cpu, *machine.features],
            "able": sorted(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
            "config": self._config,
        }

    def _prepare(self, slot: HostSlot, n_valid: int) -> Launch:
        items = self._fixed_batch or min(1 << (n_valid - 1).bit_length(), slot.batch)
        self._check_batch(items)
        request = self._compile(items).create_infer_request()
        for index, array in enumerate(slot.inputs.values()):
            request.set_input_tensor(index, self._tensor(array[:items]))
        for index, array in enumerate(slot.outputs.values()):
            request.set_output_tensor(index, self._tensor(array[:items]))

        def run() -> None:
            # Not infer(): it would leave something of OpenVINO's in this thread, whose destructor waits for ever in children
            # of fork. It would be some 40 us quicker, for here a thread of OpenVINO's is woken, and begins with cold caches.
            try:
                request.start_async()
            finally:  # also where a signal handler raises in between: the request must not stay busy
                request.wait()

        return run

    def _tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return self._openvino.Tensor(array, shared_memory=True)

    def layers(self) -> tuple[Layer, ...]:
        """From the graph OpenVINO executes: the run-time precision it wrote at each layer."""
        self._check_open()
        with engine_errors(lambda error: EngineError(f"openvino does not tell its layers: {one_line(error)}")):
            nodes = self._compile(self._fixed_batch or 1).get_runtime_model().get_ordered_ops()
            return tuple(layer for node in nodes if (layer := _layer(node)))

    def _release(self) -> None:
        self._compiled.clear()
        self._model = self._core = None


def _layer(node: Any) -> Layer | None:
    """An executed node that does arithmetic, None for one that moves or converts data."""
    info = {key: str(value.astype(str)) for key, value in node.get_rt_info().items() if key in _KEYS}
    if len(info) < len(_KEYS) or info["layerType"] in _MOVES:
        return None
    reads = _PRECISIONS.get(info["runtimePrecision"])
    writes = _PRECISIONS.get(info["outputPrecisions"])
    sources = tuple(name for name in info["originalLayersNames"].split(",") if name)
    alone = len(sources) == 1  # a sum with a fused quantization carries both names
    if info["layerType"] in ("FakeQuantize", "Subgraph") and alone and writes == "int8" and reads != "int8":
        return None
    return None if reads is None else Layer(node.get_friendly_name(), info["layerType"], reads, sources)


def _tensor_info(port: Any) -> TensorInfo:
    dtype = port.get_element_type().to_dtype().name
    name = port.get_any_name()
    if dtype not in _DTYPES:
        raise EngineError(f"tensor '{name}' has type {dtype}; supported are {sorted(_DTYPES)}")
    sides = tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape())
    require_fixed_axes(name, sides)
    return TensorInfo(name, dtype, sides)
