"""Graphs in half and double precision become float32 graphs that compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(8, 8, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]


def load(path):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(preprocess=SPEC, labels=LABELS, output="logits"))


def parsed(body: str, ends: str, weights: str, opset: int = 18):
    """A model in ONNX's text form, its weights ``w`` and ``b`` of the given type."""
    import onnx
    from onnx import numpy_helper

    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> net ({ends}) {{ {body} }}')
    rng = np.random.default_rng(0)
    for name, shape in {"w": (4, 3, 3, 3), "b": (4,)}.items():
        values = rng.normal(size=shape).astype(weights)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


HALF = "float16[batch,3,8,8] x) => (float16[batch,4] y"
MIXED = "float[batch,3,8,8] x) => (float[batch,4] y"
POOL = "p = GlobalAveragePool(r) {y} = Flatten(p)"
# case → (body, ends, type of the weights, type of the input)
CASES = {
    "all in half": (f"c = Conv(x, w, b) r = Relu(c) {POOL.format(y='y')}", HALF, "float16", "float16"),
    "half inside, float outside": (
        f"h = Cast<to=10>(x) c = Conv(h, w, b) r = Relu(c) {POOL.format(y='z')} y = Cast<to=1>(z)", MIXED, "float16", "float32",
    ),
    "only stored in half": (
        f"f = Cast<to=1>(w) g = Cast<to=1>(b) c = Conv(x, f, g) r = Relu(c) {POOL.format(y='y')}", MIXED, "float16", "float32",
    ),
    "half constants": (
        f"k = Constant<value = float16[1] {{2}}>() c = Conv(x, w, b) r = Mul(c, k) {POOL.format(y='y')}", HALF, "float16",
        "float16",
    ),
    "a type that follows another": (
        f"k = Constant<value_float = 0.5>() h = CastLike(k, x) c = Conv(x, w, b) r = Add(c, h) {POOL.format(y='y')}", HALF,
        "float16", "float16",
    ),
    "a part of it in float": (
        f"c = Conv(x, w, b) f = Cast<to=1>(c) s = Sigmoid(f) r = Cast<to=10>(s) {POOL.format(y='y')}", HALF, "float16",
        "float16",
    ),
    "inside of an If": (
        "n = Size(x) o = Constant<value = int64 {0}>() e = Greater(n, o) c = Conv(x, w, b) "
        "r = If(e) <then_branch = g1 () => (float16[n,4,6,6] t) { k = Constant<value = float16[1] {2}>() t = Mul(c, k) }, "
        "else_branch = g2 () => (float16[n,4,6,6] u) { u = Identity(c) }> " + POOL.format(y="y"), HALF, "float16", "float16",
    ),
    "double": (
        f"c = Conv(x, w, b) r = Relu(c) {POOL.format(y='y')}", HALF.replace("float16", "double"), "float64", "float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_float32_graph_computes_what_the_file_does(case, tmp_path):
    import onnx
    import onnxruntime as ort

    from edgevision.compiler.sources.export import export_float

    body, ends, weights, kind = CASES[case]
    model = parsed(body, ends, weights)
    onnx.save(model, tmp_path / "net.onnx")
    source = load(tmp_path / "net.onnx")
    name = {"float16": "float16", "float64": "float64"}[weights]
    assert source.notes == (f"net.onnx holds {name} numbers: all were cast to float32 before anything else",)
    graph, _ = export_float(source)
    made = onnx.load_from_string(graph)
    types = {i.data_type for i in made.graph.initializer} | {
        v.type.tensor_type.elem_type for v in (*made.graph.input, *made.graph.output, *made.graph.value_info)
    }
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert "Cast" not in [node.op_type for node in made.graph.node]
    tensor = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float16)
    (expected,) = run(model.SerializeToString(), tensor.astype(kind))
    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(
        None, {"input": tensor.astype("float32")}
    )
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=0.01 if weights == "float16" else 1e-5)  # half has three digits


def run(graph: bytes, tensor):
    """As the file has it, by ONNX's own reference implementation: ONNX Runtime has no convolution of float64."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(graph).run(None, {"x": tensor})


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("container", ["onnx", "pt2"])
def test_networks_of_pytorch_in_other_precisions(kind, container, make_net, spec, labels, tmp_path):
    """Compared with the network in float32, with weights rounded as in the file."""
    import onnx
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet
    from edgevision.compiler.sources.source import SourceOptions, load_source

    dtype = getattr(torch, kind)
    net, example = make_net().to(dtype), torch.zeros(2, *spec.tensor_shape, dtype=dtype)
    path = tmp_path / "net.bin"
    with quiet():
        axes = ({0: torch.export.Dim("batch", min=1, max=64)},)
        program = torch.export.export(net, (example,), dynamic_shapes=axes)
        if container == "pt2":
            torch.export.save(program, path)
        else:
            torch.onnx.export(program, (), path, dynamo=True, verbose=False)
    source = load_source(path, SourceOptions(None, spec, labels, "logits"))
    assert len(source.notes) == 1
    assert kind in source.notes[0]
    graph, _ = export_float(source)
    tensor = np.random.default_rng(1).normal(size=(3, *spec.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = net.float()(torch.from_numpy(tensor)).numpy()
    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    # An exporter that folds batch norm into a convolution rounds once more.
    np.testing.assert_allclose(got, expected, atol={"float16": 1e-3, "bfloat16": 0.02, "float64": 1e-5}[kind])
    assert {i.data_type for i in onnx.load_from_string(graph).graph.initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }


def test_numbers_that_float32_cannot_hold_become_its_largest():
    import onnx
    from onnx import numpy_helper

    from edgevision.compiler.sources.float_types import cast_to_float32

    values = np.array([1e300, -1e300, np.inf, 1.0, 0.1])
    tensor = numpy_helper.from_array(values, "w")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    cast_to_float32(model, "net")
    largest = np.finfo(np.float32).max
    got = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(got, np.array([largest, -largest, np.inf, 1.0, np.float32(0.1)], np.float32))


def test_a_tensor_that_is_too_short_is_refused(tmp_path):
    import onnx

    body, ends, weights, _ = CASES["all in half"]
    model = parsed(body, ends, weights)
    model.graph.initializer[0].raw_data = b"\0\0"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelFileError, match=r"net\.onnx is damaged: tensor 'w'"):
        load(tmp_path / "net.onnx")


def test_a_float32_graph_says_nothing(tmp_path):
    import onnx

    onnx.save(parsed(f"c = Conv(x, w, b) r = Relu(c) {POOL.format(y='y')}", MIXED, "float32"), tmp_path / "net.onnx")
    assert load(tmp_path / "net.onnx").notes == ()


@pytest.mark.parametrize(("error", "fits"), [(0.04, True), (0.06, False)])
def test_a_cast_graph_that_is_another_network_is_refused(error, fits):
    from edgevision.compiler.sources.parity import check_cast, pixels

    body, ends, weights, _ = CASES["all in half"]
    model = parsed(body, ends, weights)
    (expected,) = run(model.SerializeToString(), pixels(SPEC, 1, seed=0).astype(np.float16))
    values = expected.astype(np.float32)
    shifted = {"output": values + error * max(1.0, float(np.abs(values).max()))}
    if fits:
        check_cast(model, shifted, SPEC, "net")
    else:
        with pytest.raises(ModelFileError, match="net, cast to float32, gives other answers"):
            check_cast(model, shifted, SPEC, "net")
