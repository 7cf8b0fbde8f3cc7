"""``--output-name``: one of several outputs, in graphs and in networks of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from containers import save_network

from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(16, 16, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]


def network(kind: str):
    """A classifier with an auxiliary head, by what it returns."""
    import torch
    from torch import nn

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.aux = nn.Linear(4, 4)
            self.fc = nn.Linear(4, 4)

        def both(self, x):
            seen = self.stem(x).mean((2, 3))
            return self.aux(seen), self.fc(seen)

    class Dict(Heads):
        def forward(self, x):
            aux, out = self.both(x)
            return {"aux": aux, "out": out}

    class Pair(Heads):
        def forward(self, x):
            return self.both(x)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"dict": Dict, "tuple": Pair}[kind]().eval()


NAMES = {"dict": ("aux", "out"), "tuple": ("output_0", "output_1")}


def saved(kind: str, container: str, path, monkeypatch):
    import torch

    net = network(kind)
    save_network(net, torch.zeros(2, *SPEC.tensor_shape), container, path, NAMES[kind], monkeypatch)
    return net


def load(path, *names, **more):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(None, SPEC, LABELS, "logits", output_names=names, **more))


WAYS = [
    ("dict", "onnx"),
    ("tuple", "onnx"),
    ("dict", "module"),
    ("tuple", "module"),
    ("tuple", "trace"),
    ("dict", "pt2"),
]


@pytest.mark.parametrize(("kind", "container"), WAYS)
@pytest.mark.parametrize("number", [0, 1])
def test_the_output_that_is_named_is_the_only_one(kind, container, number, tmp_path, monkeypatch):
    import onnx
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float

    net = saved(kind, container, tmp_path / "net.bin", monkeypatch)
    source = load(tmp_path / "net.bin", NAMES[kind][number])
    tensor = np.random.default_rng(1).normal(size=(3, *SPEC.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = net.both(torch.from_numpy(tensor))[number].numpy()
    graph, report = export_float(source)
    assert set(report.max_abs_difference) == {1, 2, 5}
    model = onnx.load_from_string(graph)
    assert [value.name for value in model.graph.output] == ["output"]
    assert len([node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]) == 1  # the other head is gone
    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    for found in (source.run(tensor), {"output": got}):
        assert list(found) == ["output"]
        np.testing.assert_allclose(found["output"], expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "container"), WAYS)
def test_without_a_name_the_outputs_are_listed_with_the_way_out(kind, container, tmp_path, monkeypatch):
    saved(kind, container, tmp_path / "net.bin", monkeypatch)
    first, second = NAMES[kind]
    told = rf"Its outputs are '{first}' \[\?, 4\], '{second}' \[\?, 4\]: choose with --output-name NAME"
    with pytest.raises(ModelFileError, match=told):
        load(tmp_path / "net.bin")


@pytest.mark.parametrize(("kind", "container"), WAYS)
def test_a_name_that_no_output_has(kind, container, tmp_path, monkeypatch):
    saved(kind, container, tmp_path / "net.bin", monkeypatch)
    with pytest.raises(InputError, match=rf"no output 'logit' for --output-name; it has '{NAMES[kind][0]}'"):
        load(tmp_path / "net.bin", "logit")


def test_several_outputs_can_be_kept(tmp_path, monkeypatch):
    """For tasks that read more than one; by the names that the file gives them, in its order."""
    import onnx
    from measures import raw_spec, register_raw

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceOptions, load_source

    register_raw(monkeypatch)
    text = (
        '<ir_version: 8, opset_import: ["": 18]> net (float[batch,3,16,16] x) => (float[batch,3,1,1] a, float[batch,3] b, '
        "int64[4] c) { a = GlobalAveragePool(x) b = Flatten(a) c = Shape(x) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "net.onnx")
    said = SourceOptions(None, SPEC, LABELS, None, task="raw", output_names=("b", "a"))
    source = load_source(tmp_path / "net.onnx", said)
    assert source.task == raw_spec("a", "b")
    graph, _ = export_float(source)
    assert [value.name for value in onnx.load_from_string(graph).graph.output] == ["a", "b"]


def test_an_unused_output_of_another_type_does_not_matter_once_one_is_named(tmp_path):
    import onnx

    text = (
        '<ir_version: 8, opset_import: ["": 18]> net (float[batch,3,16,16] x) => (float[batch,3] y, int64[batch] best) { '
        "p = GlobalAveragePool(x) y = Flatten(p) best = ArgMax<axis=1, keepdims=0>(y) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "net.onnx")
    from edgevision.compiler.sources.source import SourceOptions, load_source

    said = SourceOptions(None, SPEC, LABELS[:3], "logits")
    with pytest.raises(
        ModelFileError, match=r"'best' is int64.*'y' \[\?, 3\], 'best' \[\?\]: choose with --output-name"
    ):
        load_source(tmp_path / "net.onnx", said)
    source = load_source(tmp_path / "net.onnx", SourceOptions(None, SPEC, LABELS[:3], "logits", output_names=("y",)))
    assert source.run(np.zeros((2, 3, 16, 16), np.float32))["output"].shape == (2, 3)


def test_a_file_that_says_itself_what_its_outputs_are_takes_no_name(files):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    with pytest.raises(InputError, match="carries its own output-name"):
        load_source(files["onnx"], SourceOptions(output_names=("output",)))
