"""Every source becomes one graph that computes the same, says what it is, and is the same each time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from edgevision.errors import ModelFileError

pytestmark = pytest.mark.requires("torch", "onnx")


@pytest.fixture(scope="module")
def load(files, spec, labels):
    from edgevision.compiler.source import SourceOptions, load_source

    def of(kind: str):
        trust = kind == "module"
        return load_source(files[kind], SourceOptions(None, spec, labels, "logits", trust))

    return of


@pytest.mark.parametrize("kind", ["module", "script", "trace", "pt2", "pt2-batch-1", "onnx"])
def test_the_graph_of_each_kind(kind, load, make_net, spec, capfd):
    import onnx
    import onnxruntime as ort
    import torch

    from edgevision.compiler.export import export_float

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
    from edgevision.compiler.export import export_float

    assert export_float(load(kind))[0] == export_float(load(kind))[0]


def test_an_exported_graph_says_everything_itself(files, spec, labels):
    import onnx

    from edgevision.compiler.metadata import read_metadata
    from edgevision.compiler.source import load_source

    source = load_source(files["onnx"])  # without options
    assert (source.spec, source.labels, source.output) == (spec, labels, "logits")
    model = onnx.load(files["onnx"])
    assert {p.key for p in model.metadata_props} == {
        f"edgevision.{k}" for k in ("version", "preprocess", "labels", "output")
    }
    metadata = read_metadata(model, "net")
    assert metadata is not None
    assert metadata.labels == labels


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("edgevision.version", "99", "install the EdgeVision that wrote it"),
        ("edgevision.labels", "[[1]]", "damaged"),
        ("edgevision.labels", "[]", "damaged"),
        ("edgevision.labels", '[["1", "a"]]', "damaged"),
        ("edgevision.output", "scores", "damaged"),
        ("edgevision.preprocess", "{", "damaged"),
        ("edgevision.preprocess", '{"height": 32}', "damaged"),
    ],
)
def test_damaged_metadata(key, value, told, files):
    import onnx

    from edgevision.compiler.metadata import read_metadata

    model = onnx.load(files["onnx"])
    next(p for p in model.metadata_props if p.key == key).value = value
    with pytest.raises(ModelFileError, match=told):
        read_metadata(model, "net.onnx")


def source_of(module, spec, labels, batch=None):
    from edgevision.compiler.source import SourceKind, SourceModel

    return SourceModel(SourceKind.MODULE, spec, labels, "logits", {"name": "net.pt"}, module=module, batch=batch)


def test_networks_that_cannot_be_exported(spec, labels):
    from torch import nn

    from edgevision.compiler.export import export_float

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

    from edgevision.compiler.export import export_float
    from edgevision.compiler.quiet import quiet

    class Bakes(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).reshape(int(x.shape[0]), 3)

    with quiet():
        traced = torch.jit.trace(Bakes(), torch.zeros(1, *spec.tensor_shape))
    with pytest.raises(ModelFileError, match=r"net\.pt"):
        export_float(source_of(traced, spec, labels))


def test_training_mode_is_found_out(make_net, spec, labels):
    from edgevision.compiler.export import export_float

    net = make_net()
    net[1].train()  # its answers then depend on the other items of the batch
    with pytest.raises(ModelFileError):
        export_float(source_of(net, spec, labels))


def shape(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
