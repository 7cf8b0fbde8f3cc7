"""Every source becomes one graph that computes the same, says what it is, and is the same each time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from containers import save_network

from edgevision.errors import ModelFileError
from edgevision.tasks.classify import classify_spec

pytestmark = pytest.mark.requires("torch", "onnx")


@pytest.fixture(scope="module")
def load(files, spec, labels):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    def of(kind: str):
        trust = kind == "module"
        return load_source(files[kind], SourceOptions(None, spec, labels, "logits", trust))

    return of


@pytest.mark.parametrize("kind", ["module", "script", "trace", "pt2", "pt2-batch-1", "onnx"])
def test_the_graph_of_each_kind(kind, load, make_net, spec, capfd):
    import onnx
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float

    source = load(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph, report = export_float(source)
    assert capfd.readouterr() == ("", "")  # exporters chatter
    assert not caught
    assert set(report.max_abs_difference) == {1, 2, 5}
    assert max(report.max_abs_difference.values()) < 1e-5 < report.tolerance

    model = onnx.load_from_string(graph)
    # Batch norm is in the first convolution, the asymmetric padding in the second, dropout is gone.
    assert [n.op_type for n in model.graph.node] == [
        "Conv",
        "Clip",
        "Conv",
        "Clip",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    ]
    assert list(next(a.ints for a in model.graph.node[2].attribute if a.name == "pads")) == [0, 0, 1, 1]
    assert [(i.name, shape(i)) for i in model.graph.input] == [("input", ["batch", 3, 32, 32])]
    assert [(o.name, shape(o)) for o in model.graph.output] == [("output", ["batch", 5])]
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]

    tensor = np.random.default_rng(1).normal(size=(7, *spec.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = make_net()(torch.from_numpy(tensor)).numpy()
    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["script", "pt2", "onnx"])
def test_the_same_source_gives_the_same_bytes(kind, load):
    from edgevision.compiler.sources.export import export_float

    assert export_float(load(kind))[0] == export_float(load(kind))[0]


def test_an_exported_graph_says_everything_itself(files, spec, labels):
    import onnx

    from edgevision.compiler.sources.metadata import read_metadata
    from edgevision.compiler.sources.source import load_source

    source = load_source(files["onnx"])  # without options
    assert (source.spec, source.task) == (spec, classify_spec(labels))
    model = onnx.load(files["onnx"])
    assert {p.key for p in model.metadata_props} == {f"edgevision.{k}" for k in ("version", "preprocess", "task")}
    metadata = read_metadata(model, "net")
    assert metadata is not None
    assert metadata.task == classify_spec(labels)


def source_of(module, spec, labels, batch=None):
    from edgevision.compiler.sources.source import SourceKind, SourceModel

    return SourceModel(SourceKind.MODULE, spec, classify_spec(labels), {"name": "net.pt"}, module=module, batch=batch)


def test_networks_that_cannot_be_exported(spec, labels):
    from torch import nn

    from edgevision.compiler.sources.export import export_float

    class AsksValues(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))

    class KnowsItsBatch(nn.Module):
        def forward(self, x):
            return x.reshape(2, 3, -1).mean(2) if x.shape[0] == 2 else x.amax((2, 3))

    for module, told in ((AsksValues(), "data-dependent"), (KnowsItsBatch(), "at one batch size only")):
        with pytest.raises(
            ModelFileError, match=rf"net\.pt cannot be exported to ONNX: .*{told}.* Simplify its forward"
        ):
            export_float(source_of(module, spec, labels))


def test_a_traced_batch_is_refused(spec, labels):
    """torch.jit.trace writes the batch of its example into the graph as a number."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet

    class Bakes(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).reshape(int(x.shape[0]), 3)

    with quiet():
        traced = torch.jit.trace(Bakes(), torch.zeros(1, *spec.tensor_shape))
    with pytest.raises(
        ModelFileError, match=r"net\.pt cannot be exported to ONNX: .* failed in the TorchScript interpreter"
    ):
        export_float(source_of(traced, spec, labels))


def test_training_mode_is_found_out(make_net, spec, labels):
    from edgevision.compiler.sources.export import export_float

    net = make_net()
    net[1].train()  # its answers then depend on the other items of the batch
    with pytest.raises(ModelFileError, match=r"net\.pt differs from the original by .* training mode"):
        export_float(source_of(net, spec, labels))


# ---- several outputs ----


def two_headed(kind: str):
    """Networks whose second output is a map, and comes first; by what they return."""
    import torch
    from torch import nn

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    class Dict(Heads):
        def forward(self, x):
            seen = self.stem(x)
            return {"map": seen.relu(), "boxes": seen.mean((2, 3))}

    class Pair(Heads):
        def forward(self, x):
            seen = self.stem(x)
            return seen.relu(), seen.mean((2, 3))

    class Listed(Heads):
        def forward(self, x):
            seen = self.stem(x)
            return [seen.relu(), seen.mean((2, 3))]

    class Alone(Heads):
        def forward(self, x):
            return {"features": self.stem(x).mean((2, 3))}

    return {"dict": Dict, "tuple": Pair, "list": Listed, "alone": Alone}[kind]().eval()


NAMES = {
    "dict": ["map", "boxes"], "tuple": ["output_0", "output_1"], "list": ["output_0", "output_1"], "alone": ["output"],
}  # fmt: skip


def by_name(result, kind):
    """What a network of ``two_headed`` returned, by the names that it is to have."""
    values = list(result.values()) if isinstance(result, dict) else list(result)
    return {name: value.numpy() for name, value in zip(NAMES[kind], values, strict=True)}


@pytest.mark.parametrize(
    ("kind", "container"),
    [("dict", "module"), ("dict", "pt2"), ("dict", "onnx"), ("tuple", "module"), ("tuple", "trace"), ("list", "pt2"),
     ("alone", "module"), ("alone", "onnx")],
)  # fmt: skip
def test_outputs_keep_their_names_and_what_they_hold(kind, container, spec, labels, tmp_path, monkeypatch):
    """Through every container, in the file as in the graph that is made of it; an only output is called ``output``."""
    import onnx
    import onnxruntime as ort
    import torch
    from measures import raw_spec, register_raw

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceOptions, load_source

    register_raw(monkeypatch)
    net, example = two_headed(kind), torch.zeros(2, *spec.tensor_shape)
    path = tmp_path / "net.bin"
    save_network(net, example, container, path, NAMES[kind], monkeypatch)
    source = load_source(path, SourceOptions(None, spec, labels, None, task="raw"))
    assert source.task == raw_spec(*NAMES[kind])
    tensor = np.random.default_rng(1).normal(size=(5, *spec.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = by_name(net(torch.from_numpy(tensor)), kind)
    graph, report = export_float(source)
    assert set(report.max_abs_difference) == {1, 2, 5}
    model = onnx.load_from_string(graph)
    assert [(o.name, shape(o)[0]) for o in model.graph.output] == [(name, "batch") for name in NAMES[kind]]
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = dict(zip(NAMES[kind], session.run(NAMES[kind], {"input": tensor}), strict=True))
    for outputs in (source.run(tensor), found):
        assert list(outputs) == NAMES[kind]
        for name, array in expected.items():
            np.testing.assert_allclose(outputs[name], array, atol=1e-5)
    (tmp_path / "again.onnx").write_bytes(graph)
    assert load_source(tmp_path / "again.onnx").task == source.task  # it says itself what its outputs are


@pytest.mark.parametrize("kind", ["dict", "list", "alone"])
def test_torchscript_that_returns_no_tuple_is_refused_with_a_way_out(kind, spec, labels):
    """PyTorch's exporter for TorchScript knows tensors and tuples only."""
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet

    with quiet():
        traced = torch.jit.trace(two_headed(kind), torch.zeros(2, *spec.tensor_shape), strict=False)
    source = source_of(traced, spec, labels)
    assert list(source.run(np.zeros((1, *spec.tensor_shape), np.float32))) == NAMES[kind]
    with pytest.raises(ModelFileError, match=r"cannot be exported to ONNX: .*export it to ONNX yourself"):
        export_float(source)


def shape(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_our_detector_keeps_its_outputs_apart_and_by_name(tmp_path):
    """Scores and boxes of each level, under the names that its task spec has."""
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import load_source
    from edgevision.preprocess.spec import preset
    from edgevision.tasks.results import Label
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint
    from edgevision.train.detector import lite_detect_spec
    from edgevision.train.lite_detector import OUTPUT_NAMES

    small = {"width": 0.25, "depth": 0.3, "neck_channels": 16}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = backbones.build("lite0-detect", 2, **small).eval()
    spec = preset("yolo", 64, 96)
    task = lite_detect_spec((Label(0, "bottle"), Label(1, "can")), spec)
    save_checkpoint(tmp_path / "det.pt", Checkpoint("lite0-detect", network.state_dict(), spec, task, small))
    source = load_source(tmp_path / "det.pt")
    assert source.task == task
    graph, _ = export_float(source)
    tensor = np.random.default_rng(0).random((3, 3, 64, 96), np.float32)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(torch.from_numpy(tensor))
    assert [output.name for output in session.get_outputs()] == list(OUTPUT_NAMES)
    for name, got in zip(OUTPUT_NAMES, session.run(None, {"input": tensor}), strict=True):
        np.testing.assert_allclose(got, expected[name].numpy(), atol=1e-4)
