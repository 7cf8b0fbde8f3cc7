"""ONNX Runtime on the CPU: the engine every machine has."""

from __future__ import annotations

import functools
import json
import platform
import re
import tempfile
from pathlib import Path
from typing import Any

from edgevision.engines.base import EngineOptions, Layer
from edgevision.engines.graph_check import require_fixed_axes
from edgevision.engines.guard import engine_errors
from edgevision.engines.host import MOVES, CheckBatch, HostEngine, HostSlot, Launch, load_error, one_line
from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import EngineError
from edgevision.machine import EXACT_U8S8, cpu_features
from edgevision.tensors import TensorInfo

PROVIDERS = ["CPUExecutionProvider"]

_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int8)": "int8",
    "tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool",
}  # fmt: skip
# Element types as profiles name them → precision of the layer that reads them.
_PRECISIONS = {
    "int8": "int8", "uint8": "int8", "float": "float32", "float16": "float16", "bfloat16": "bfloat16",
}  # fmt: skip
_FUSED = re.compile(r"_token_\d+$")  # what it appends to the name of a node that it fused with its Q/DQ
_KERNEL_TIME = "_kernel_time"  # behind a node's name in a profile


class OnnxRuntimeEngine(HostEngine):
    """One session. Slot memory is bound to it, so nothing is copied on the way in or out."""

    def __init__(self, graph: bytes, options: EngineOptions, version: str, check_batch: CheckBatch) -> None:
        if options.precision != "float32":
            raise EngineError(
                f"onnxruntime runs a graph as it is written, precision 'float32'; got '{options.precision}'. "
                "OpenVINO can round float layers to bfloat16"
            )
        self._graph = graph
        self._session: Any = _open_session(graph, _session_options(options.threads))
        super().__init__(
            "onnxruntime",
            version,
            options,
            [_tensor_info(node) for node in self._session.get_inputs()],
            [_tensor_info(node) for node in self._session.get_outputs()],
            check_batch,
        )

    def _prepare(self, slot: HostSlot, n_valid: int) -> Launch:
        session = self._session
        if session is None:
            raise EngineError("the engine is closed; open it again to run more")
        items = self._fixed_batch or n_valid
        binding = session.io_binding()
        for arrays, bind in ((slot.inputs, binding.bind_input), (slot.outputs, binding.bind_output)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype, (items, *array.shape[1:]), array.ctypes.data)
        return functools.partial(session.run_with_iobinding, binding)

    def layers(self) -> tuple[Layer, ...]:
        """From ONNX Runtime's own profile of one run: the kernels that ran, and the type of what each one read."""
        self._check_open()
        with engine_errors(lambda error: EngineError(f"onnxruntime does not tell its layers: {one_line(error)}")):
            return self._profiled_layers()

    def _profiled_layers(self) -> tuple[Layer, ...]:
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            options = _session_options(self.options.threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = _open_session(self._graph, options)
            feed = self.slots(self._fixed_batch or 1)[0].inputs
            session.run(None, dict(feed))
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        layers = []
        for event in events:
            details = event.get("args", {})
            if event.get("cat") != "Node" or not event["name"].endswith(_KERNEL_TIME):
                continue
            kind = str(details.get("op_name"))
            read = [element for tensor in details.get("input_type_shape", []) for element in tensor]
            if kind not in MOVES and read and (precision := _PRECISIONS.get(read[0])):
                name = event["name"].removesuffix(_KERNEL_TIME)
                layers.append(Layer(name, kind, precision, (_FUSED.sub("", name),)))
        return tuple(layers)

    def _release(self) -> None:
        self._session = None


def _session_options(threads: int) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only: warnings about a graph's initialisers mean nothing to a user
    # Idle workers sleep instead of spinning. A camera leaves gaps between frames: MobileNetV2 every 30 ms on two
    # threads cost 16 ms of CPU per frame instead of 63, with no worse a median latency (9.0 against 11.3 ms).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    ask_for_exact_sums(options)
    return options


def ask_for_exact_sums(options: Any) -> None:
    """Have a session (its ``onnxruntime.SessionOptions``) compute int8 graphs as they are written, where the CPU would clamp.

    Weights of a quantized graph become u8, and so do their zero points: the same products, through kernels that do not
    clamp, if slower (kOrtSessionOptionsAvx2PrecisionMode). Weights within ±64 stay as they are.
    """
    if _u8s8_saturates():
        options.add_session_config_entry("session.x64quantprecision", "1")


def _u8s8_saturates() -> bool:
    """Whether this CPU clamps u8 × s8 sums: x86-64 without VNNI or AMX adds pairs of products in 16 bits (PMADDUBSW)."""
    return platform.machine().lower() in ("x86_64", "amd64") and not EXACT_U8S8 & set(cpu_features())


def _open_session(graph: bytes, options: Any) -> Any:
    onnxruntime = import_onnxruntime()
    with engine_errors(lambda error: load_error("onnxruntime", error)):
        return onnxruntime.InferenceSession(graph, options, providers=PROVIDERS)


def _tensor_info(node: Any) -> TensorInfo:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise EngineError(f"tensor '{node.name}' has type {node.type}; supported are {sorted(_DTYPES)}")
    sides = tuple(side if isinstance(side, int) else None for side in node.shape)
    require_fixed_axes(node.name, sides)
    return TensorInfo(node.name, dtype, sides)
