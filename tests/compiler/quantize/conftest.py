"""Small float graphs built node by node, and what engines make of the int8 form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class GraphBuilder:
    """Appends nodes to a float graph with input ``x`` [batch, channels, side, side]; each method returns a tensor name."""

    def __init__(self, channels: int = 3, side: int = 8, seed: int = 0, opset: int = 17) -> None:
        self.shape = (channels, side, side)
        self.random = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        import onnx

        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: Any, name: str = "") -> str:
        name = name or f"constant_{len(self.weights)}"
        self.weights[name] = np.asarray(values)
        return name

    def conv(self, x: str, weight: Any, bias: Any = None, **attributes: Any) -> str:
        inputs = [x, self.constant(np.asarray(weight, np.float32))]
        if bias is not None:
            inputs.append(self.constant(np.asarray(bias, np.float32)))
        return self.node("Conv", inputs, **attributes)

    def random_conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, group: int = 1, **attributes: Any) -> str:
        fan = inputs // group * kernel**2
        weight = self.random.normal(size=(outputs, inputs // group, kernel, kernel)) / np.sqrt(fan)
        pads = [kernel // 2] * 4
        return self.conv(x, weight, self.random.normal(size=outputs) / 10, group=group, pads=pads, **attributes)

    def gemm(self, x: str, weight: Any, bias: Any) -> str:
        names = [self.constant(np.asarray(values, np.float32)) for values in (weight, bias)]
        return self.node("Gemm", [x, *names], transB=1)

    def random_gemm(self, x: str, inputs: int, outputs: int) -> str:
        weight = self.random.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        return self.gemm(x, weight, self.random.normal(size=outputs) / 10)

    def relu6(self, x: str) -> str:
        return self.node("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))])

    def hard_swish(self, x: str) -> str:
        return self.node("HardSwish", [x])

    def build(self, *outputs: str) -> bytes:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.shape])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model).SerializeToString()


def mixed_net(seed: int = 0) -> bytes:
    """Every operator the x86 dialect runs in int8, in the order real networks have them; 10 outputs, logits."""
    b = GraphBuilder(3, 16, seed)
    stem = b.relu6(b.random_conv("x", 3, 16, 3, strides=[2, 2]))
    pooled = b.node("MaxPool", [stem], kernel_shape=[2, 2], strides=[2, 2])
    deep = b.relu6(b.random_conv(pooled, 16, 16, 3, group=16))
    wide = b.node("Relu", [b.node("Add", [b.random_conv(deep, 16, 16), pooled])])
    left = b.node("Relu", [b.random_conv(wide, 16, 16)])
    right = b.node("AveragePool", [wide], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    both = b.node("Concat", [left, right], axis=1)
    last = b.random_conv(b.node("Relu", [b.random_conv(both, 32, 32)]), 32, 32, 3, group=2)
    gate = b.random_conv(b.node("GlobalAveragePool", [last]), 32, 32)
    features = b.node("Flatten", [b.node("GlobalAveragePool", [b.node("Mul", [last, gate])])])
    return b.build(b.random_gemm(features, 32, 10))


def swish_net(seed: int = 0) -> bytes:
    """Two blocks as in MobileNetV3: hard swish, depthwise, squeeze-excite, residual. 10 outputs, logits."""
    b = GraphBuilder(3, 16, seed)
    x = b.hard_swish(b.random_conv("x", 3, 16, 3, strides=[2, 2]))
    for _ in range(2):
        wide = b.hard_swish(b.random_conv(x, 16, 32))
        deep = b.hard_swish(b.random_conv(wide, 32, 32, 3, group=32))
        squeezed = b.node("Relu", [b.random_conv(b.node("GlobalAveragePool", [deep]), 32, 8)])
        gate = b.node("HardSigmoid", [b.random_conv(squeezed, 8, 32)], alpha=1 / 6, beta=0.5)
        x = b.node("Add", [b.random_conv(b.node("Mul", [deep, gate]), 32, 16), x])
    features = b.node("Flatten", [b.node("GlobalAveragePool", [b.hard_swish(b.random_conv(x, 16, 32))])])
    return b.build(b.random_gemm(features, 32, 10))


@pytest.fixture(scope="session")
def swish() -> bytes:
    return swish_net()


@pytest.fixture(scope="session")
def builder() -> type[GraphBuilder]:
    return GraphBuilder


@pytest.fixture(scope="session")
def mixed() -> bytes:
    return mixed_net()


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    """Inputs for ``mixed``: smooth, unlike each other."""
    random = np.random.default_rng(1)
    coarse = random.normal(size=(24, 3, 4, 4)).astype(np.float32)
    fine = coarse.repeat(4, axis=2).repeat(4, axis=3) + random.normal(scale=0.2, size=(24, 3, 16, 16))
    return [fine[i : i + 5].astype(np.float32) for i in range(0, 24, 5)]


@pytest.fixture(scope="session")
def run_ort() -> Callable[..., list[np.ndarray]]:
    """Run a graph's bytes in ONNX Runtime on one input array. Sums are exact on every CPU, also where u8 × s8 saturates."""

    def run(graph: bytes, x: np.ndarray, optimize: bool = True) -> list[np.ndarray]:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.x64quantprecision", "1")
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})

    return run


@pytest.fixture
def ort_graph(tmp_path: Path) -> Callable[[bytes], Any]:
    """The graph ONNX Runtime really runs (before it packs layouts), as an ONNX model."""

    def optimized(graph: bytes) -> Any:
        import onnx
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return onnx.load(tmp_path / "optimized.onnx")

    return optimized


@pytest.fixture(scope="session")
def openvino() -> Callable[
    [bytes, tuple[int, ...]], tuple[Callable[[np.ndarray], np.ndarray], Counter[tuple[str, str]]]
]:
    """Compile for a static input shape: (run, how many runtime layers of which type run in which precision)."""

    def compiled(graph: bytes, shape: tuple[int, ...]) -> Any:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(graph)
        model.reshape(list(shape))
        network = core.compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        )
        layers: Counter[tuple[str, str]] = Counter()
        for layer in network.get_runtime_model().get_ordered_ops():
            info = layer.get_rt_info()
            layers[str(info["layerType"].astype(str)), str(info["runtimePrecision"].astype(str))] += 1
        return (lambda x: np.array(network(x)[0])), layers

    return compiled


@pytest.fixture(scope="session")
def tensorrt_rtx() -> Callable[[bytes], tuple[bool, str]]:
    """Whether TensorRT-RTX's parser takes a graph and its builder makes an engine of it, without a GPU; and why not."""
    import tensorrt_rtx as trt

    class Silent(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            pass

    logger = Silent()

    def build(graph: bytes) -> tuple[bool, str]:
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(graph):
            return False, parser.get_error(0).desc()
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        source = network.get_input(0)
        profile.set_shape(source.name, *((batch, *tuple(source.shape)[1:]) for batch in (1, 1, 4)))
        config.add_optimization_profile(profile)
        return builder.build_serialized_network(network, config) is not None, ""

    return build
