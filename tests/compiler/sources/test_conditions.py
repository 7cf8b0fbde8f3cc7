"""``If`` on shapes is put in line; ``If`` on pixels stays."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(16, 16, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]


def network(kind: str):
    import torch
    from torch import nn

    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return nn.functional.adaptive_avg_pool2d(self.conv(x), 1).squeeze(3).squeeze(2)

    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.LocalResponseNorm(2)

        def forward(self, x):
            return self.norm(self.conv(x)).mean((2, 3))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"squeeze": Squeezed, "local response norm": Normalised}[kind]().eval()


def load(path):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(None, SPEC, LABELS, "logits"))


@pytest.mark.parametrize("kind", ["squeeze", "local response norm"])
@pytest.mark.parametrize("container", ["script", "trace", "onnx of a script", "onnx of a script, opset 16"])
def test_conditions_on_shapes_are_gone(kind, container, tmp_path):
    import onnx
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet

    net, example = network(kind), torch.zeros(2, *SPEC.tensor_shape)
    path = tmp_path / "net.bin"
    with quiet():
        made = torch.jit.trace(net, example) if "trace" in container else torch.jit.script(net)
        if container.startswith("onnx"):
            torch.onnx.export(made, (example,), path, dynamo=False, opset_version=16 if "16" in container else 18,
                              input_names=["x"], output_names=["y"],
                              dynamic_axes={"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n"}})  # fmt: skip
        else:
            torch.jit.save(made, path)
    graph, _ = export_float(load(path))
    operators = [node.op_type for node in onnx.load_from_string(graph).graph.node]
    assert "If" not in operators
    assert "Equal" not in operators  # nor what asked
    tensor = np.random.default_rng(1).normal(size=(3, *SPEC.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(tensor)).numpy()
    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    np.testing.assert_allclose(got, expected, atol=1e-5)


def folded(body: str):
    """A graph in ONNX's text form, before and after ``fold_conditions``."""
    import onnx

    from edgevision.compiler.sources.conditions import fold_conditions

    text = f'<ir_version: 8, opset_import: ["": 18]> net (float[batch,3,16,16] x) => (float[batch,3] y) {{ {body} }}'
    before = onnx.parser.parse_model(text)
    after = onnx.ModelProto()
    after.CopyFrom(before)
    fold_conditions(after, SPEC, "net")
    onnx.checker.check_model(after, full_check=True)
    return before, after


POOL = "p = GlobalAveragePool(x) f = Flatten(p) "
BRANCHES = (
    "y = If({cond}) <then_branch = a () => (float[n,3] t) {{ s = Constant<value_float = 2.0>() t = Mul(f, s) }}, "
    "else_branch = b () => (float[n,3] u) {{ s = Constant<value_float = 3.0>() u = Mul(f, s) }}>"
)
SIZE = "n = Size(x) z = Constant<value = int64 {0}>() "
BATCH = "h = Shape<start=0, end=1>(x) one = Constant<value = int64[1] {1}>() q = Equal(h, one) c = Squeeze(q) "
# case → (what stands before the If, the factor of the branch that is taken; None = the If stays)
CASES = {
    "always true": (SIZE + "c = Greater(n, z) ", 2.0),
    "always false": (SIZE + "c = Equal(n, z) ", 3.0),
    "a constant": ("c = Constant<value = bool {1}>() ", 2.0),
    "by the batch": (BATCH, None),
    "by the pixels": ("m = ReduceMax<keepdims=0>(x) k = Constant<value_float = 1000.0>() c = Greater(m, k) ", None),
}


@pytest.mark.parametrize("case", CASES)
def test_only_what_is_the_same_for_every_picture_is_put_in_line(case):
    import onnxruntime as ort

    condition, factor = CASES[case]
    before, after = folded(POOL + condition + BRANCHES.format(cond="c"))
    operators = [node.op_type for node in after.graph.node]
    assert ("If" in operators) == (factor is None)
    tensor = np.random.default_rng(1).normal(size=(2, 3, 16, 16)).astype(np.float32)
    results = [
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": tensor})[0]
        for m in (before, after)
    ]
    np.testing.assert_allclose(results[1], results[0], atol=1e-6)
    if factor is not None:
        np.testing.assert_allclose(results[1], factor * tensor.mean((2, 3)), atol=1e-5)


def test_an_if_inside_of_an_if_and_two_with_the_same_names():
    import onnxruntime as ort

    inner = (
        "t = If(c) <then_branch = d () => (float[n,3] v) { s = Constant<value_float = 5.0>() v = Mul(f, s) }, "
        "else_branch = e () => (float[n,3] w) { w = Identity(f) }>"
    )
    outer = (
        f"g = If(c) <then_branch = a () => (float[n,3] t) {{ {inner} }}, else_branch = b () => (float[n,3] u) "
        "{ u = Identity(f) }> "
    )
    again = BRANCHES.format(cond="c").replace("Mul(f", "Mul(g")
    _, after = folded(POOL + SIZE + "c = Greater(n, z) " + outer + again)
    assert "If" not in [node.op_type for node in after.graph.node]
    tensor = np.random.default_rng(1).normal(size=(2, 3, 16, 16)).astype(np.float32)
    session = ort.InferenceSession(after.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": tensor})[0], 10 * tensor.mean((2, 3)), atol=1e-5)
