"""Lint: what an engine would refuse, get wrong, or run slowly in a Q/DQ graph, found by reading it.

Each rule is a fact about an engine that the tests check against the engine itself: TensorRT's by TensorRT-RTX's parser
and builder, ONNX Runtime's by the graph it makes of ours, saturation by its kernels for CPUs without VNNI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgevision.compiler.quantize.dialects import SATURATION_PROOF
from edgevision.compiler.quantize.placement import WEIGHTED
from edgevision.compiler.quantize.targets import cpu_target
from edgevision.errors import InputError, ModelFileError

Effect = Literal["refused", "wrong", "slow"]
_S8, _U8, _S32 = np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int32)
_OPERATORS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})


@dataclass(frozen=True)
class LintFinding:
    """One thing an engine holds against a graph. ``node``: its name. ``effect``: what comes of it.

    ``refused``: the graph does not load. ``wrong``: it runs, and its answers are not those of the graph. ``slow``: it
    runs in float, between conversions.
    """

    node: str
    rule: str
    effect: Effect
    message: str


def lint(graph: bytes, engine: str, cpu: str | None = None) -> list[LintFinding]:
    """What ``engine`` holds against a Q/DQ graph, in graph order; nothing where it runs it as meant.

    Args:
        graph: ONNX with explicit QuantizeLinear and DequantizeLinear.
        engine: ``onnxruntime``, ``openvino``, ``tensorrt`` or ``tensorrt-rtx``.
        cpu: the kind of CPU, a target's name (``x86-vnni``, ``x86``, ``arm``); None = this machine's. TensorRT's
            rules do not depend on it.

    Raises:
        InputError: no rules for such an engine or CPU.
        ModelFileError: not ONNX.
    """
    if engine not in _RULES:
        raise InputError(f"no rules for engine '{engine}'; there are some for {', '.join(_RULES)}")
    if cpu is None:
        cpu = "" if engine.startswith("tensorrt") else cpu_target().name
    elif cpu not in ("x86-vnni", "x86", "arm"):
        raise InputError(f"unknown kind of CPU '{cpu}'; choose x86-vnni, x86 or arm")
    view = _View(graph, cpu)
    order = {node.name: place for place, node in enumerate(view.nodes)}
    found = [finding for rule in _RULES[engine] for finding in rule(view)]
    return sorted(found, key=lambda finding: order[finding.node])


def refused(findings: list[LintFinding]) -> bool:
    """Whether the engine does not load the graph, or gives other answers than it says."""
    return any(finding.effect in ("refused", "wrong") for finding in findings)


class _View:
    """A parsed graph with its lookups."""

    def __init__(self, graph: bytes, cpu: str) -> None:
        try:
            model = onnx.load_model_from_string(graph)
        except Exception as error:  # protobuf's DecodeError is not part of onnx's API
            raise ModelFileError(f"the graph is not readable ONNX: {error}") from error
        self.cpu = cpu
        self.nodes = list(model.graph.node)
        for index, node in enumerate(self.nodes):
            node.name = node.name or f"{node.op_type}_{index}"
        self.outputs = {value.name for value in model.graph.output}
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The initializer's values, or None."""
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def input(self, node: onnx.NodeProto, place: int) -> str:
        return node.input[place] if len(node.input) > place else ""

    def dequantizer(self, node: onnx.NodeProto, place: int) -> onnx.NodeProto | None:
        """The DequantizeLinear that an input comes from."""
        before = self.producer.get(self.input(node, place))
        return before if before is not None and before.op_type == "DequantizeLinear" else None

    def dtype(self, node: onnx.NodeProto) -> np.dtype[np.generic]:
        """The quantized type of a QuantizeLinear or DequantizeLinear; u8 where nothing says so, as in ONNX."""
        for name in (self.input(node, 2), node.input[0] if node.op_type == "DequantizeLinear" else ""):
            if (values := self.constant(name)) is not None:
                return values.dtype
        before = self.producer.get(node.input[0])
        quantized = node.op_type == "DequantizeLinear" and before is not None and before.op_type == "QuantizeLinear"
        return self.dtype(before) if quantized and before is not None else _U8

    def of_type(self, *ops: str) -> Iterator[onnx.NodeProto]:
        return (node for node in self.nodes if node.op_type in ops)

    def int8_weighted(self) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto, NDArray[np.generic]]]:
        """(node, the DequantizeLinear of its data, its int8 weights) of operators between Q/DQ."""
        for node in self.of_type(*WEIGHTED):
            data, weight = self.dequantizer(node, 0), self.dequantizer(node, 1)
            if data is None or weight is None:
                continue
            values = self.constant(weight.input[0])
            if values is not None and self.constant(data.input[0]) is None:
                yield node, data, values


def _zero_points(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type("QuantizeLinear", "DequantizeLinear"):
        zero = view.constant(view.input(node, 2))
        if zero is not None and zero.any():
            yield LintFinding(node.name, "zero-point", "refused", f"zero point {zero.flat[0]}; TensorRT takes 0 alone")


def _unsigned(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type("QuantizeLinear", "DequantizeLinear"):
        if view.dtype(node) == _U8:
            yield LintFinding(
                node.name, "unsigned", "refused", "u8; TensorRT has s8 alone, and refuses u8 or takes it for s8"
            )


def _int32_bias(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type("DequantizeLinear"):
        if view.dtype(node) == _S32:
            yield LintFinding(
                node.name, "int32-bias", "refused", "int32 behind DequantizeLinear; TensorRT wants float32"
            )


def _quantized_constants(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type("DequantizeLinear"):
        constant = view.constant(node.input[0])
        readers = view.readers.get(node.output[0], [])
        if constant is not None and constant.dtype == _S8 and not any(r.op_type in WEIGHTED for r in readers):
            yield LintFinding(
                node.name, "quantized-constant", "refused",
                "a quantized constant that is no weight, which TensorRT's builder does not take; write it in float32",
            )  # fmt: skip


def _operators(view: _View) -> Iterator[LintFinding]:
    for node in view.nodes:
        if node.op_type in _OPERATORS or node.domain not in ("", "ai.onnx"):
            yield LintFinding(
                node.name, "operator", "refused",
                f"{node.op_type}; TensorRT knows quantization as QuantizeLinear and DequantizeLinear alone",
            )  # fmt: skip


def _fuses_nothing(view: _View) -> Iterator[LintFinding]:
    """Q/DQ of activations that no weighted operator reads, and no Add behind a convolution."""
    for node in view.of_type("DequantizeLinear"):
        if node.input[0] not in view.producer:  # weights
            continue
        readers = view.readers.get(node.output[0], [])
        if not any(reader.op_type in WEIGHTED or _is_residual(view, reader) for reader in readers):
            kinds = ", ".join(sorted({reader.op_type for reader in readers})) or "the output"
            yield LintFinding(
                node.name, "fuses-nothing", "slow", f"read by {kinds} alone, which TensorRT runs in float all the same"
            )


def _is_residual(view: _View, node: onnx.NodeProto) -> bool:
    before = [view.producer.get(name) for name in node.input]
    return node.op_type == "Add" and any(entry is not None and entry.op_type == "Conv" for entry in before)


def _half(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type(*WEIGHTED):
        data, weight = view.dequantizer(node, 0), view.dequantizer(node, 1)
        if data is None and weight is not None:
            yield LintFinding(node.name, "half-quantized", "slow", "int8 weights, but float data: runs in float")


def _saturation(view: _View) -> Iterator[LintFinding]:
    if view.cpu != "x86":
        return
    for node, data, values in view.int8_weighted():
        largest = int(np.abs(values.astype(np.int64)).max(initial=0))
        if view.dtype(data) == _U8 and largest > SATURATION_PROOF:
            yield LintFinding(
                node.name, "saturation", "wrong",
                f"u8 × s8 with weights up to {largest}: pairs of products are clamped at 16 bits on CPUs without VNNI; "
                f"at most {SATURATION_PROOF} is safe",
            )  # fmt: skip


def _signed_on_x86(view: _View) -> Iterator[LintFinding]:
    if view.cpu == "arm":
        return
    for node, data, _ in view.int8_weighted():
        if view.dtype(data) == _S8:
            yield LintFinding(
                node.name, "signed-activations", "slow",
                "s8 activations: ONNX Runtime fuses u8 on x86, and leaves most of s8 to float between conversions",
            )  # fmt: skip


def _unfused(view: _View) -> Iterator[LintFinding]:
    for node, _, _ in view.int8_weighted():
        if node.op_type == "Conv" and not _is_quantized_directly(view, node):
            yield LintFinding(
                node.name, "float-output", "slow",
                "the output is not quantized at once: ONNX Runtime has no int8 convolution with float output",
            )  # fmt: skip
        if node.op_type == "Gemm" and view.input(node, 2) and view.dequantizer(node, 2) is None:
            yield LintFinding(
                node.name, "float-bias", "slow", "a float bias: ONNX Runtime's int8 Gemm wants int32 behind DQ"
            )


def _is_quantized_directly(view: _View, node: onnx.NodeProto) -> bool:
    """Whether the only reader of the output is a QuantizeLinear, perhaps behind a Relu or Clip that changes nothing: its bounds
    lie outside of what the int8 range holds."""
    reader = _only_reader(view, node)
    if reader is None or reader.op_type not in {"Relu", "Clip"}:
        return reader is not None and reader.op_type == "QuantizeLinear"
    quantizer = _only_reader(view, reader)
    if quantizer is None or quantizer.op_type != "QuantizeLinear":
        return False
    scale, zero = view.constant(quantizer.input[1]), view.constant(view.input(quantizer, 2))
    if scale is None or scale.size != 1 or zero is None:
        return False
    limits = np.iinfo(np.uint8 if view.dtype(quantizer) == _U8 else np.int8)
    low, high = ((level - int(zero.item())) * float(scale.item()) for level in (limits.min, limits.max))
    bounds = [view.constant(view.input(reader, place)) for place in (1, 2)]
    least = float(bounds[0].item()) if bounds[0] is not None else (0.0 if reader.op_type == "Relu" else -np.inf)
    most = float(bounds[1].item()) if bounds[1] is not None else np.inf
    return bool(least <= low and high <= most * (1 + 1e-6))


def _only_reader(view: _View, node: onnx.NodeProto) -> onnx.NodeProto | None:
    readers = view.readers.get(node.output[0], [])
    return readers[0] if len(readers) == 1 and node.output[0] not in view.outputs else None


def _rounded_weights(view: _View) -> Iterator[LintFinding]:
    for node in view.of_type("Conv", "Gemm"):
        bias = view.input(node, 2)
        if (
            view.dequantizer(node, 0) is not None
            and view.constant(view.input(node, 1)) is not None
            and (not bias or view.constant(bias) is not None)
            and _is_quantized_directly(view, node)
        ):
            yield LintFinding(
                node.name, "rounded-weights", "wrong",
                "float weights between int8 tensors: ONNX Runtime rounds them to int8, with one scale for all channels",
            )  # fmt: skip


def _shared_weights(view: _View) -> Iterator[LintFinding]:
    """Only where ONNX Runtime has to turn weights to u8."""
    if view.cpu != "x86":
        return
    wide = [view.dequantizer(node, 1) for node, _, values in view.int8_weighted() if _exceeds(values)]
    counts = Counter(name for node in wide if node is not None for name in {node.input[0], view.input(node, 2)} if name)
    for node in wide:
        if node is not None and any(counts[name] > 1 for name in (node.input[0], view.input(node, 2))):
            yield LintFinding(
                node.name, "shared-weights", "refused",
                "weights or their zero point are shared: ONNX Runtime cannot turn them to u8 for exact sums",
            )  # fmt: skip


def _exceeds(values: NDArray[np.generic]) -> bool:
    return bool(np.abs(values.astype(np.int64)).max(initial=0) > SATURATION_PROOF)


def _rounded_concat(view: _View) -> Iterator[LintFinding]:
    """See ``OPENVINO_VNNI``: joined, rounded with a zero point, and rounded anew, with float nodes between or without."""
    for node in view.of_type("Concat"):
        quantizer = _only_reader(view, node)
        if quantizer is None or quantizer.op_type != "QuantizeLinear":
            continue
        zero = view.constant(view.input(quantizer, 2))
        dequantizers = view.readers.get(quantizer.output[0], [])
        readers = [reader for dequantizer in dequantizers for reader in view.readers.get(dequantizer.output[0], [])]
        if zero is not None and zero.any() and readers and all(_rounds_again(view, reader) for reader in readers):
            yield LintFinding(
                node.name, "rounded-concat", "refused",
                "joined, rounded with a zero point, and read by float nodes alone: OpenVINO dies of it",
            )  # fmt: skip


def _rounds_again(view: _View, node: onnx.NodeProto) -> bool:
    """Whether what this node reads is rounded once more behind nodes that work on each value by itself."""
    while node.op_type in {"Relu", "Clip", "BatchNormalization", "Mul", "Add"}:
        after = _only_reader(view, node)
        if after is None:
            return False
        node = after
    return str(node.op_type) == "QuantizeLinear"


Rule = Callable[[_View], Iterator[LintFinding]]
_TENSORRT: tuple[Rule, ...] = (
    _operators, _int32_bias, _unsigned, _zero_points, _quantized_constants, _half, _fuses_nothing
)  # fmt: skip
_RULES: Mapping[str, tuple[Rule, ...]] = {
    "onnxruntime": (_saturation, _shared_weights, _signed_on_x86, _unfused, _rounded_weights, _half),
    "openvino": (_saturation, _half, _rounded_concat),
    "tensorrt": _TENSORRT,
    "tensorrt-rtx": _TENSORRT,
}
