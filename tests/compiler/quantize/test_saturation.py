"""CPUs without VNNI add pairs of u8 × s8 products in 16 bits, and clamp: where that ruins x86-vnni, x86 holds.

Shown three ways: on a model of the instruction in NumPy, on ONNX Runtime's own kernels for such a CPU (under an emulator
of one), and on OpenVINO's (told to use no more than AVX2).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from measures import measure_of
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from edgevision.compiler.answers import run_graph
from edgevision.compiler.quantize.dialects import X86, X86_VNNI
from edgevision.compiler.quantize.emitter import quantizable_nodes, quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.sensitivity import measure_nodes

pytestmark = pytest.mark.requires("onnx")


def maddubs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """VPMADDUBSW along the last axis: u8 × s8, neighbouring products added and clamped to int16. Exact in int64."""
    products = a.astype(np.int64) * b.astype(np.int64)
    return np.clip(products[..., 0::2] + products[..., 1::2], -(2**15), 2**15 - 1)


def columns(x: np.ndarray, kernel: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """[n, h, w, kh·kw·c] windows of x [n, c, h, w] that is padded already, channels last, as the engines lay them out."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    return windows.transpose(0, 2, 3, 4, 5, 1).reshape(*windows.shape[:1], *windows.shape[2:4], -1)


class MaddubsConv(OpRun):
    """Conv of group 1 from u8 and s8: (x, x scale, x zero point, w, w scale, bias int32) → float, by ``maddubs``."""

    op_domain = "test"

    def _run(self, x, scale, zero, w, w_scale, bias, strides=None, pads=None, exact=None):
        padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=zero)
        left = columns(padded, w.shape[2:], strides)
        right = w.transpose(0, 2, 3, 1).reshape(len(w), -1)
        if left.shape[-1] % 2:
            left, right = (np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, 1)]) for a in (left, right))
        sums = np.empty((*left.shape[:3], len(w)), np.int64)
        for channel, weights in enumerate(right):
            if exact:
                sums[..., channel] = left.astype(np.int64) @ weights.astype(np.int64)
            else:
                sums[..., channel] = maddubs(left, weights).sum(-1)
        # The zero point's share is taken off afterwards, exactly, as engines do.
        sums += bias - int(zero) * right.astype(np.int64).sum(1)
        return ((sums * (scale * w_scale.astype(np.float64))).transpose(0, 3, 1, 2).astype(np.float32),)


def on_a_cpu_without_vnni(graph: bytes, x: np.ndarray, exact: bool = False) -> np.ndarray:
    """The graph's answers with its dense convolutions computed by ``maddubs``. Depthwise ones have kernels without it."""
    model = onnx.load_model_from_string(graph)
    producer = {name: node for node in model.graph.node for name in node.output}
    for node in [n for n in model.graph.node if n.op_type == "Conv"]:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if attributes.get("group", 1) != 1:
            continue
        data, weight, bias = (producer[name] for name in node.input)
        replacement = helper.make_node(
            "MaddubsConv", [*data.input, *weight.input[:2], bias.input[0]], node.output, node.name, domain="test",
            strides=attributes.get("strides", [1, 1]), pads=attributes.get("pads", [0] * 4), exact=int(exact),
        )  # fmt: skip
        index = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        model.graph.node.insert(index, replacement)
    model.opset_import.append(helper.make_opsetid("test", 1))
    return ReferenceEvaluator(model, new_ops=[MaddubsConv]).run(None, {"x": x})[0]


def sqnr(reference: np.ndarray, values: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / max(np.sum((reference - values) ** 2), 1e-30)))


OPSET = 19  # the first that onnx's reference has DequantizeLinear for


def means(builder):
    """A blurring filter over a bright photo: equal weights, and activations near the end of their range."""
    b = builder(16, 8, opset=OPSET)
    blurred = b.node("Relu", [b.conv("x", np.full((16, 16, 1, 1), 1 / 16), np.zeros(16))])
    graph = b.build(b.random_gemm(b.node("Flatten", [blurred]), 1024, 10))
    return graph, np.random.default_rng(0).uniform(4, 6, (4, 16, 8, 8)).astype(np.float32)


def real(builder):
    """What trained nets have and random ones lack: smooth filters, and channels whose weights mostly share a sign."""
    b = builder(3, 16, seed=4, opset=OPSET)
    smooth = np.outer([1, 2, 1], [1, 2, 1]) / 16

    def leaning(x: str, inputs: int, outputs: int) -> str:
        lean = b.random.choice([-1.0, 1.0], size=(outputs, 1, 1, 1))
        return b.conv(
            x, (b.random.normal(size=(outputs, inputs, 1, 1)) / 5 + lean) / inputs, b.random.normal(size=outputs)
        )

    colors = b.random.uniform(0.3, 1, size=(16, 3, 1, 1)) * b.random.choice([-1.0, 1.0], size=(16, 1, 1, 1))
    stem = b.relu6(b.conv("x", colors * smooth, b.random.uniform(3, 5, 16), pads=[1] * 4, strides=[2, 2]))
    kernels = smooth + b.random.normal(scale=0.03, size=(32, 1, 3, 3))
    deep = b.relu6(b.conv(b.relu6(leaning(stem, 16, 32)), kernels, np.zeros(32), group=32, pads=[1] * 4))
    last = b.node("Relu", [b.node("Add", [leaning(deep, 32, 16), stem])])
    graph = b.build(b.random_gemm(b.node("Flatten", [b.node("GlobalAveragePool", [last])]), 16, 10))
    random = np.random.default_rng(7)
    photos = random.uniform(0.2, 2.5, (8, 3, 1, 1)) + random.normal(scale=0.3, size=(8, 3, 16, 16))
    return graph, photos.astype(np.float32)


@pytest.fixture(scope="module", params=[means, real], ids=lambda make: make.__name__)
def case(request, builder, run_ort):
    """(inputs, float answers, x86-vnni graph, x86 graph)."""
    graph, x = request.param(builder)
    ranges = estimate(collect_ranges(graph, [x]), "minmax")
    return x, run_ort(graph, x)[0], quantize(graph, ranges, X86_VNNI).graph, quantize(graph, ranges, X86).graph


def check(float_answers: np.ndarray, vnni: np.ndarray, proof: np.ndarray) -> None:
    """x86's errors are those of int8 anywhere; those of x86-vnni have at least four times the power."""
    assert sqnr(float_answers, proof) > 22
    assert sqnr(float_answers, vnni) < sqnr(float_answers, proof) - 6


class TestEmulation:
    def test_is_the_instruction(self):
        a = np.array([255, 255, 255, 1, 0, 255], np.uint8)
        b = np.array([127, 127, -128, -128, 127, 64], np.int8)
        np.testing.assert_array_equal(maddubs(a, b), [32767, -32768, 255 * 64])

    def test_without_the_clamp_it_is_the_graph(self, case, run_ort):
        x, _, vnni, proof = case
        for graph in (vnni, proof):
            np.testing.assert_allclose(
                on_a_cpu_without_vnni(graph, x, exact=True), run_ort(graph, x, optimize=False)[0], rtol=1e-3, atol=0.05
            )

    def test_one_breaks_the_other_holds(self, case):
        x, answers, vnni, proof = case
        check(answers, on_a_cpu_without_vnni(vnni, x), on_a_cpu_without_vnni(proof, x))
        np.testing.assert_array_equal(on_a_cpu_without_vnni(proof, x), on_a_cpu_without_vnni(proof, x, exact=True))


class TestOurRuns:
    """What recipes and sensitivities are decided on: graphs for other CPUs too, on whatever CPU this is."""

    def test_answers_are_those_of_the_graph(self, case, run_ort):
        x, answers, vnni, proof = case
        for graph in (vnni, proof):
            (made,) = run_graph(graph, [x])
            (values,) = made.values()
            np.testing.assert_allclose(values, run_ort(graph, x, optimize=False)[0], rtol=1e-3, atol=0.05)
            assert sqnr(answers, values) > 20

    def test_losses_of_nodes_are_those_of_the_graph(self, builder, run_ort):
        graph, x = means(builder)
        ranges = estimate(collect_ranges(graph, [x]), "minmax")
        conv, everything = "conv_0", frozenset(quantizable_nodes(graph, X86_VNNI))
        alone = quantize(graph, ranges, X86_VNNI, keep_float=everything - {conv}).graph
        measure = measure_of(graph)
        float_, int8 = (measure.digest_of_array(run_ort(one, x, optimize=False)[0]) for one in (graph, alone))
        assert everything > {conv}
        losses = measure_nodes(graph, ranges, X86_VNNI, [x], measure)
        assert losses[conv] == pytest.approx(measure.divergence(float_, int8), rel=0.3)


IN_ONNXRUNTIME = """
import json, sys, numpy as np, onnxruntime as ort
x = np.load("x.npy")
answers = {}
for name in ("vnni", "proof"):
    for precision in ("0", "1"):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.x64quantprecision", precision)
        session = ort.InferenceSession(name + ".onnx", options, providers=["CPUExecutionProvider"])
        answers[name + precision] = session.run(None, {"x": x})[0].tolist()
print(json.dumps(answers))
"""
IN_OPENVINO = """
import json, numpy as np, openvino as ov
x = np.load("x.npy")
answers = {}
for name in ("vnni", "proof"):
    core = ov.Core()
    model = core.read_model(name + ".onnx")
    model.reshape(list(x.shape))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    answers[name] = np.array(compiled(x)[0]).tolist()
print(json.dumps(answers))
"""


def elsewhere(case, folder: Path, command: list[str], script: str, **environment: str) -> dict[str, np.ndarray]:
    x, _, vnni, proof = case
    np.save(folder / "x.npy", x)
    (folder / "vnni.onnx").write_bytes(vnni)
    (folder / "proof.onnx").write_bytes(proof)
    # The interpreter by its own name: an emulator does not find packages through a virtual environment's link.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    done = subprocess.run(
        [*command, str(Path(sys.executable).resolve()), "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: np.array(values, np.float32) for name, values in json.loads(done.stdout.splitlines()[-1]).items()}


X86_64 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these kernels are of x86-64")


@X86_64
class TestRealKernels:
    @pytest.mark.requires("x86-emulator")
    def test_onnxruntime(self, case, tmp_path):
        """Under an emulated Haswell. With x64quantprecision it is exact for both: 8-bit weights become u8."""
        emulator = [str(shutil.which("qemu-x86_64")), "-cpu", "Haswell"]
        answers = elsewhere(case, tmp_path, emulator, IN_ONNXRUNTIME)
        check(case[1], answers["vnni0"], answers["proof0"])
        assert sqnr(case[1], answers["vnni1"]) > 20
        np.testing.assert_array_equal(answers["proof1"], answers["proof0"])

    @pytest.mark.requires("openvino")
    def test_openvino(self, case, tmp_path):
        answers = elsewhere(case, tmp_path, [], IN_OPENVINO, ONEDNN_MAX_CPU_ISA="AVX2")
        check(case[1], answers["vnni"], answers["proof"])
