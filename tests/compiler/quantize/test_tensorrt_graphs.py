"""Graphs of the compiler are what TensorRT takes: TensorRT-RTX parses and builds them, without a GPU."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper

from edgevision.compiler.quantize.dialects import ARM, TENSORRT, X86_VNNI
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import ESTIMATORS, estimate
from edgevision.compiler.quantize.float16 import to_float16
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.sources.graph import clean_graph, to_bytes
from edgevision.compiler.sources.quiet import quiet
from edgevision.engines.tensorrt import is_engine_file
from edgevision.engines.tensorrt_build import BuildOptions, build_engine, load_tensorrt
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("torch", "onnx", "native", "tensorrt-rtx")

SIDES = {"small": 16, "resnet18": 64}


@pytest.fixture(scope="module")
def trt():
    return load_tensorrt("tensorrt-rtx")


def small():
    """What makes parsers stumble: depthwise, clip, hard swish, squeeze and excite, a residual, asymmetric padding."""
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish())
            self.depthwise = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, 1, groups=8), nn.ReLU6())
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
            self.point = nn.Conv2d(8, 8, 1)
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1))

        def forward(self, x):
            x = self.stem(x)
            y = self.depthwise(x)[:, :, :7, :7]
            return self.head(self.pool(self.point(y * self.gate(y)) + x[:, :, :7, :7]))

    return Net()


@pytest.fixture(scope="module")
def graphs():
    """name, "float32" | "float16" | a dialect → graph; from one calibration each."""
    made = {}
    for name, build in {"small": small, "resnet18": torchvision.models.resnet18}.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = build().eval()
            x = torch.randn(4, 3, SIDES[name], SIDES[name])
        file = io.BytesIO()
        axes = {"input": {0: "batch"}, "output": {0: "batch"}}
        with quiet(), torch.no_grad():  # the older exporter: several times as quick
            torch.onnx.export(
                net, (x,), file, dynamo=False, opset_version=18, input_names=["input"], output_names=["output"],
                dynamic_axes=axes,
            )  # fmt: skip
        model = onnx.load_from_string(file.getvalue())
        graph = made[name, "float32"] = to_bytes(clean_graph(model))
        table = collect_ranges(graph, [x.numpy()], threads=1)
        ranges = estimate(table, next(iter(ESTIMATORS)))
        made[name, "float16"] = to_float16(graph, ranges=ranges).graph
        for dialect in (TENSORRT, X86_VNNI, ARM) if name == "small" else (TENSORRT,):
            made[name, dialect.name] = quantize(graph, ranges, dialect).graph
        made[name, "int8 and float16"] = to_float16(made[name, "tensorrt"], ranges=ranges).graph
    return made


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("kind", ["float32", "float16", "tensorrt", "int8 and float16"])
def test_graphs_are_accepted_and_built_with_profiles(trt, graphs, name, kind):
    graph = graphs[name, kind]
    built = build_engine(graph, trt, BuildOptions((1, 8)))
    assert is_engine_file(built.engine_file)
    assert not is_engine_file(graph)
    # It computes with float32 scales in any case, and says so of float16 ones.
    assert all("scales to fp32" in warning for warning in built.warnings) if "and" in kind else not built.warnings


def test_int8_and_float16_are_in_the_engine_not_only_in_the_graph(trt, graphs):
    sizes = {k: len(build_engine(graphs["resnet18", k], trt).engine_file) for k in ("float32", "float16", "tensorrt")}
    assert sizes["float16"] < 0.6 * sizes["float32"]
    assert sizes["tensorrt"] < 0.4 * sizes["float32"]


@pytest.mark.parametrize("dialect", [X86_VNNI, ARM], ids=lambda dialect: dialect.name)
def test_graphs_of_other_dialects_are_refused_with_what_to_do(trt, graphs, dialect):
    with pytest.raises(EngineError, match=r"^TensorRT-RTX .* refuses the graph: .*the dialect 'tensorrt'") as caught:
        build_engine(graphs["small", dialect.name], trt)
    assert "\n" not in str(caught.value)


def test_u8_that_tensorrt_would_read_as_s8_is_refused(trt):
    """It only warns, and clamps every value above 127."""
    constants = {"s": np.float32(1 / 255), "z": np.uint8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["output"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in ("input", "output")]
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "u8", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    with pytest.raises(EngineError, match=r"UINT8.*dialect 'tensorrt'"):
        build_engine(model.SerializeToString(), trt)


@pytest.mark.parametrize("graph", [b"", b"not a graph"])
def test_broken_graphs_are_refused_in_one_line(trt, graph):
    with pytest.raises(EngineError, match=r"^TensorRT-RTX .* refuses the graph: ") as caught:
        build_engine(graph, trt)
    assert "\n" not in str(caught.value)


def test_the_fake_bindings_are_like_these(trt):
    """What was recorded of TensorRT-RTX, read from the wheel of its bindings alone, is what the whole of it has."""
    folder = Path(__file__).parents[2] / "engines"
    recorded = json.loads((folder / "tensorrt_api.json").read_text()).get(f"tensorrt-rtx {trt.__version__}")
    if recorded is None:
        pytest.skip(f"TensorRT-RTX {trt.__version__} was not recorded")
    spec = importlib.util.spec_from_file_location("record_tensorrt_api", folder / "record_tensorrt_api.py")
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    real = recorder.describe_module(trt)
    assert set(real) == set(recorded)
    for name, names in recorded.items():  # the package's own Python may add to it
        assert names.items() <= real[name].items(), name
