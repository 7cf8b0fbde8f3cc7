"""Clean-up of float graphs: simpler, standard, named, and equal."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ModelFileError

pytestmark = pytest.mark.requires("torch", "onnx")


def parsed(body: str, ends: str = "float[n,3,8,8] x) => (float[n,4] y", opset: int = 18):
    import onnx
    from onnx import numpy_helper

    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> net ({ends}) {{ {body} }}')
    for name, shape in {"w": (4, 3, 3, 3), "b4": (4,), "s4": (4,), "m4": (4,), "v4": (4,)}.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32), name))
    return model


def run(model, tensor):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: tensor})[0]


HEAD = "p = GlobalAveragePool(c) y = Flatten(p)"
CASES = {
    "batch norm": (f"r = Conv(x, w) c = BatchNormalization(r, s4, b4, m4, v4) {HEAD}", ["Conv", "GlobalAveragePool", "Flatten"]),
    "asymmetric padding": (
        f"k = Constant<value = int64[8] {{0,0,0,0,0,0,1,1}}>() q = Pad(x, k) c = Conv<strides=[2,2]>(q, w) {HEAD}",
        ["Conv", "GlobalAveragePool", "Flatten"],
    ),
    "identity and dropout": (
        "i = Identity(x) r = Conv(i, w) c = Dropout(r) p = GlobalAveragePool(c) f = Flatten(p) y = Identity(f)",
        ["Conv", "GlobalAveragePool", "Flatten"],
    ),
    "constants": (
        f"one = Constant<value_float = 1.0>() six = Constant<value_float = 6.0>() lo = Sub(one, one) "
        f"r = Conv(x, w) c = Clip(r, lo, six) {HEAD}",
        ["Conv", "Clip", "GlobalAveragePool", "Flatten"],
    ),
    "mean without kept axes": (
        "a = Constant<value = int64[2] {2, 3}>() c = Conv(x, w) y = ReduceMean<keepdims=0>(c, a)",
        ["Conv", "GlobalAveragePool", "Flatten"],
    ),
    "mean with negative axes, then squeeze": (
        "a = Constant<value = int64[2] {-1, -2}>() c = Conv(x, w) m = ReduceMean<keepdims=1>(c, a) y = Squeeze(m, a)",
        ["Conv", "GlobalAveragePool", "Flatten"],
    ),
    "pool, then reshape": (
        "s = Constant<value = int64[2] {-1, 4}>() c = Conv(x, w) p = GlobalAveragePool(c) y = Reshape(p, s)",
        ["Conv", "GlobalAveragePool", "Flatten"],
    ),
    "shape arithmetic": (
        "c = Conv(x, w) p = GlobalAveragePool(c) h = Shape<start=0, end=1>(x) k = Constant<value = int64[1] {4}>() "
        "s = Concat<axis=0>(h, k) y = Reshape(p, s)",
        ["Conv", "GlobalAveragePool", "Shape", "Concat", "Flatten"],
    ),
    "hard swish": (
        f"r = Conv(x, w) c = HardSwish(r) {HEAD}",
        ["Conv", "HardSwish", "GlobalAveragePool", "Flatten"],
    ),
    "hard swish in parts": (
        f"r = Conv(x, w) g = HardSigmoid<alpha = 0.16666667, beta = 0.5>(r) c = Mul(g, r) {HEAD}",
        ["Conv", "HardSwish", "GlobalAveragePool", "Flatten"],
    ),
    "hard sigmoid of another slope stays": (
        f"r = Conv(x, w) g = HardSigmoid<alpha = 0.2, beta = 0.5>(r) c = Mul(r, g) {HEAD}",
        ["Conv", "HardSigmoid", "Mul", "GlobalAveragePool", "Flatten"],
    ),
    "hard sigmoid of something else stays": (
        f"r = Conv(x, w) t = Relu(r) g = HardSigmoid<alpha = 0.16666667, beta = 0.5>(r) c = Mul(t, g) {HEAD}",
        ["Conv", "Relu", "HardSigmoid", "Mul", "GlobalAveragePool", "Flatten"],
    ),
    "mean over channels stays": (
        "a = Constant<value = int64[1] {1}>() c = Conv(x, w) m = ReduceMean<keepdims=1>(c, a) d = Mul(c, m) "
        "p = GlobalAveragePool(d) y = Flatten(p)",
        ["Conv", "ReduceMean", "Mul", "GlobalAveragePool", "Flatten"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_simpler_and_equal(case):
    import onnx

    from edgevision.compiler.sources.graph import clean_graph

    body, expected = CASES[case]
    model = parsed(body)
    before = model.SerializeToString()
    clean = clean_graph(model)
    assert model.SerializeToString() == before  # the argument is left as it is
    operators = [node.op_type for node in clean.graph.node]
    if case != "shape arithmetic":
        assert operators == expected
    else:  # what fed the reshape is gone with it, or harmless
        assert "Reshape" not in operators
    tensor = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(clean, tensor), run(model, tensor), atol=1e-5)
    onnx.checker.check_model(clean, full_check=True)


def test_everything_has_its_place():
    from edgevision.compiler.sources.graph import clean_graph

    model = parsed(f"lo = Constant<value_float = 0.0>() r = Conv(x, w) c = Clip(r, lo) {HEAD}")
    model.graph.node[0].doc_string = model.doc_string = "/home/someone/net.py line 3"
    clean = clean_graph(model)
    assert b"/home/someone" not in clean.SerializeToString()
    initializers = {i.name for i in clean.graph.initializer}
    assert not [node for node in clean.graph.node if node.op_type == "Constant"]
    clip = next(node for node in clean.graph.node if node.op_type == "Clip")
    assert clip.input[1] in initializers
    assert initializers == {name for node in clean.graph.node for name in node.input} & initializers  # none unused
    names = [node.name for node in clean.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    known = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in clean.graph.value_info}
    inner = {name for node in clean.graph.node for name in node.output} - {"output"}
    assert set(known) >= inner
    assert all(shape[0] == "batch" for name, shape in known.items() if name in inner)
    assert clean_graph(model).SerializeToString() == clean.SerializeToString()


@pytest.mark.parametrize(("first", "last"), [("input", "output"), ("output", "input"), ("x", "input"), ("output", "y")])
def test_ends_whose_names_are_taken(first, last):
    from edgevision.compiler.sources.graph import clean_graph

    inner = "output" if "output" not in (first, last) else "inner"
    model = parsed(
        f"{inner} = Conv({first}, w) p = GlobalAveragePool({inner}) {last} = Flatten(p)",
        f"float[n,3,8,8] {first}) => (float[n,4] {last}",
    )
    clean = clean_graph(model)
    assert [i.name for i in clean.graph.input] == ["input"]
    assert [o.name for o in clean.graph.output] == ["output"]
    tensor = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(clean, tensor), run(model, tensor), atol=1e-5)


TWO = "c = Conv(x, w) p = GlobalAveragePool(c) {first} = Flatten(p) {second} = Relu(c)"


@pytest.mark.parametrize("names", [("scores", "map"), ("output", "map"), ("map", "output"), ("input_1", "scores")])
def test_several_outputs_keep_their_names_and_order(names):
    """Also where one is called as an only output would be, and where something inside is called as the input will be."""
    import onnxruntime as ort

    from edgevision.compiler.sources.graph import clean_graph

    first, second = names
    body = TWO.format(first=first, second=second).replace("c = ", "input = ").replace("(c)", "(input)")
    model = parsed(body, f"float[n,3,8,8] x) => (float[n,4] {first}, float[n,4,6,6] {second}")
    clean = clean_graph(model)
    assert [i.name for i in clean.graph.input] == ["input"]
    assert [o.name for o in clean.graph.output] == [first, second]
    assert [o.type.tensor_type.shape.dim[0].dim_param for o in clean.graph.output] == ["batch", "batch"]
    tensor = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    before, after = (
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {end: tensor})
        for m, end in ((model, "x"), (clean, "input"))
    )
    for expected, got in zip(before, after, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_one_of_several_outputs_that_is_called_as_the_input_will_be():
    from edgevision.compiler.sources.graph import clean_graph

    model = parsed(
        TWO.format(first="input", second="map"), "float[n,3,8,8] x) => (float[n,4] input, float[n,4,6,6] map"
    )
    with pytest.raises(ModelFileError, match=r"net calls one of its outputs 'input'.* give it another name"):
        clean_graph(model, "net")


def test_a_graph_that_onnxruntime_refuses():
    from edgevision.compiler.sources.graph import clean_graph

    with pytest.raises(ModelFileError, match=r"ONNX Runtime .* refuses the graph of net"):
        clean_graph(parsed(f"c = Konv(x, w) {HEAD}"), "net")


def test_a_network_of_torchvision(labels):
    import onnx
    import torch
    import torchvision

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceKind, SourceModel
    from edgevision.preprocess.spec import preset
    from edgevision.tasks.classify import classify_spec

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model("mobilenet_v3_small", weights=None, num_classes=len(labels)).eval()
    task = classify_spec(labels)
    source = SourceModel(SourceKind.MODULE, preset("imagenet", 64, 64), task, {"name": "net"}, module=net)
    graph, report = export_float(source)
    model = onnx.load_from_string(graph)
    expected = {"Conv", "HardSigmoid", "HardSwish", "Mul", "Relu", "GlobalAveragePool", "Flatten", "Add", "Gemm"}
    assert {node.op_type for node in model.graph.node} == expected
    assert {node.domain for node in model.graph.node} == {""}
    assert max(report.max_relative_difference.values()) < 1e-4
