"""Any batch size, and the size of the preprocess spec: graphs that were written for less, or for more."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import Layout, PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(16, 16, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]


def load(path, **more):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(**{"preprocess": SPEC, "labels": LABELS, "output": "logits", **more}))


def shapes(graph: bytes):
    import onnx

    model = onnx.load_from_string(graph)
    return {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }


def run(graph: bytes, tensor):
    import onnxruntime as ort

    (got,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    return got


def tensor_of(batch: int, spec=SPEC):
    return np.random.default_rng(batch).normal(size=(batch, *spec.tensor_shape)).astype(np.float32)


def answers(net, tensor):
    import torch

    with torch.no_grad():
        return net(torch.from_numpy(tensor)).numpy()


# ---- height and width ----


def convolutional():
    """A network that takes any size, and computes with it."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.fc = nn.Linear(8, 4)

        def forward(self, x):
            seen = self.conv(x).relu()
            larger = nn.functional.interpolate(seen, scale_factor=2.0)
            return self.fc(larger.flatten(2).sum(2) / (x.shape[2] * x.shape[3]))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def saved(net, path, container: str, sizes=("batch", "height", "width"), **more):
    import torch

    from edgevision.compiler.sources.quiet import quiet

    example = torch.zeros(2, *SPEC.tensor_shape)
    named = {axis: name for axis, name in zip((0, 2, 3), sizes, strict=False) if name}
    dims = {axis: torch.export.Dim(name, min=1 if axis == 0 else 8, max=512) for axis, name in named.items()}
    with quiet():
        if container == "onnx, old exporter":
            torch.onnx.export(net, (example,), path, dynamo=False, opset_version=18, input_names=["x"], output_names=["y"],
                              dynamic_axes={"x": named, "y": {0: "batch"}})  # fmt: skip
        elif container == "onnx":
            program = torch.export.export(net, (example,), dynamic_shapes=(dims,))
            torch.onnx.export(program, (), path, dynamo=True, verbose=False)
        else:
            torch.export.save(torch.export.export(net, (example,), dynamic_shapes=(dims,)), path)


@pytest.mark.parametrize("container", ["onnx", "onnx, old exporter", "pt2"])
@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_a_graph_of_any_size_gets_that_of_the_spec(container, size, tmp_path):
    from edgevision.compiler.sources.export import export_float

    net, spec = convolutional(), dataclasses.replace(SPEC, height=size[0], width=size[1])
    saved(net, tmp_path / "net.bin", container)
    source = load(tmp_path / "net.bin", preprocess=spec)
    assert source.notes == (
        f"net.bin takes any height and width; the bundle is for {size[0]}×{size[1]}, as its spec says",
    )
    graph, _ = export_float(source)
    found = shapes(graph)
    assert found["input"] == ["batch", 3, *size]
    assert found["output"] == ["batch", 4]
    assert all(isinstance(axis, int) for shape in found.values() if len(shape) == 4 for axis in shape[1:])
    tensor = tensor_of(3, spec)
    np.testing.assert_allclose(run(graph, tensor), answers(net, tensor), atol=1e-5)


def test_the_height_alone_can_be_open(tmp_path):
    from edgevision.compiler.sources.export import export_float

    saved(convolutional(), tmp_path / "net.onnx", "onnx", ("batch", "height", None))
    with pytest.raises(InputError, match=r"\[3, 16, 24\].*\[3, 'any', 16\]"):
        load(tmp_path / "net.onnx", preprocess=dataclasses.replace(SPEC, width=24))
    graph, _ = export_float(load(tmp_path / "net.onnx", preprocess=dataclasses.replace(SPEC, height=32)))
    assert shapes(graph)["input"] == ["batch", 3, 32, 16]


def test_a_preset_has_no_size_and_none_is_guessed(tmp_path):
    saved(convolutional(), tmp_path / "net.onnx", "onnx")
    with pytest.raises(
        InputError, match=r"net\.onnx takes pictures of any size, and --preprocess imagenet says none"
    ) as caught:
        load(tmp_path / "net.onnx", preprocess="imagenet")
    template = re.search(r"\{.*\}", str(caught.value))
    assert template is not None
    assert PreprocessSpec.from_dict(json.loads(template[0])).layout is Layout.NCHW
    saved(convolutional(), tmp_path / "fixed.onnx", "onnx", ("batch", None, None))
    assert load(tmp_path / "fixed.onnx", preprocess="imagenet").spec.tensor_shape == (3, 16, 16)


# ---- batch ----


def transformer():
    """Patches, a class token, attention, windows: each asks for the batch's size, which tracing makes a number."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.token = nn.Parameter(torch.randn(1, 1, 8))
            self.position = nn.Parameter(torch.randn(1, 17, 8))
            self.qkv = nn.Linear(8, 24)
            self.out = nn.Linear(8, 8)
            self.fc = nn.Linear(8, 4)

        def attend(self, x):
            n, tokens, width = x.shape
            q, k, v = self.qkv(x).reshape(n, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4)
            q, k, v = (one.reshape(n * 2, tokens, 4) for one in (q, k, v))
            seen = (q @ k.transpose(1, 2) / 2).softmax(-1) @ v
            return self.out(seen.reshape(n, 2, tokens, 4).transpose(1, 2).reshape(n, tokens, width))

        def forward(self, x):
            n = x.shape[0]
            seen = self.patches(x)
            windows = seen.view(n, 8, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(n * 4, 4, 8)
            tokens = windows.tanh().view(n, 16, 8)
            tokens = torch.cat([self.token.expand(n, -1, -1), tokens], 1) + self.position
            return self.fc((tokens + self.attend(tokens))[:, 0])

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def batch_second():
    """Attention as ``nn.MultiheadAttention`` writes it: the batch is the second axis."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.key = nn.Linear(8, 8)
            self.out = nn.Linear(8, 8)
            self.fc = nn.Linear(8, 4)

        def forward(self, x):
            n = x.shape[0]
            tokens = self.patches(x).flatten(2).permute(2, 0, 1)
            heads = self.key(tokens).view(16, n * 2, 4).transpose(0, 1)
            seen = (heads @ heads.transpose(1, 2)).softmax(-1) @ heads
            back = seen.transpose(0, 1).reshape(16 * n, 8)
            return self.fc(self.out(back).view(16, n, 8).mean(0))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def distributions():
    """A head as YOLO's: two grids laid out in rows ([n, 8, -1]), joined, and read as distributions ([n, 4, 2, cells])."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fine = nn.Conv2d(3, 8, 4, stride=4)
            self.coarse = nn.Conv2d(3, 8, 8, stride=8)
            self.mean = nn.Conv2d(2, 1, 1, bias=False)

        def forward(self, x):
            n = x.shape[0]
            rows = torch.cat([grid.view(n, 8, -1) for grid in (self.fine(x), self.coarse(x))], 2)
            cells = rows.shape[2]
            read = self.mean(rows.view(n, 4, 2, cells).transpose(2, 1).softmax(1)).view(n, 4, cells)
            return read.amax(2) - read.mean(2)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def traced(net, path, container: str, batch: int):
    """The network with ``batch`` written into it as a number."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.quiet import quiet

    class Baked(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x)

    example = torch.zeros(batch, *SPEC.tensor_shape)
    with quiet():
        if container == "pt2":
            torch.export.save(torch.export.export(Baked().eval(), (example,)), path)
        elif container == "TorchScript":
            torch.jit.save(frozen(net, example), path)
        else:
            axes = {"x": {0: "batch"}, "y": {0: "batch"}} if container == "onnx that says any batch" else {}
            torch.onnx.export(frozen(net, example), (example,), path, dynamo=False, opset_version=18, input_names=["x"],
                              output_names=["y"], dynamic_axes=axes)  # fmt: skip


def frozen(net, example):
    """Traced with ``x.shape[0]`` as a Python number, as networks do that compute with int(x.shape[0])."""
    import torch

    class Shaped(torch.Tensor):
        pass

    from unittest import mock

    real = torch.Tensor.shape

    class Numbers:
        def __get__(self, tensor, owner=None):
            return torch.Size([int(size) for size in real.__get__(tensor)])

    with mock.patch.object(torch.Tensor, "shape", Numbers()):
        return torch.jit.trace(net, example, check_trace=False)


@pytest.mark.parametrize("make", [transformer, batch_second, distributions])
@pytest.mark.parametrize("container", ["onnx", "onnx that says any batch", "TorchScript", "pt2"])
def test_a_batch_of_one_written_into_a_network_is_taken_out(make, container, tmp_path):
    from edgevision.compiler.sources.export import export_float

    net = make()
    traced(net, tmp_path / "net.bin", container, 1)
    source = load(tmp_path / "net.bin")
    assert source.batch == 1
    graph, report = export_float(source)
    assert set(report.max_abs_difference) == {1, 2, 5}
    for batch in (1, 2, 7):
        tensor = tensor_of(batch)
        np.testing.assert_allclose(run(graph, tensor), answers(net, tensor), atol=1e-5)
    says = container in ("onnx that says any batch", "TorchScript")
    assert source.notes == (
        ("net.bin runs on one picture at a time, as it was exported; its graph was rewritten for any batch",)
        if says
        else ()
    )


@pytest.mark.parametrize("make", [transformer, batch_second, distributions])
def test_a_larger_batch_written_into_a_network_is_taken_out(make, tmp_path):
    from edgevision.compiler.sources.export import export_float

    net = make()
    traced(net, tmp_path / "net.onnx", "onnx", 3)
    source = load(tmp_path / "net.onnx")
    assert source.batch == 3
    graph, _ = export_float(source)
    tensor = tensor_of(7)
    np.testing.assert_allclose(run(graph, tensor), answers(net, tensor), atol=1e-5)


def test_what_mixes_the_items_of_a_batch_is_refused(tmp_path):
    """No rewriting makes it right: it answers for one picture only as a batch of one."""
    import onnx

    from edgevision.compiler.sources.export import export_float

    text = (
        '<ir_version: 8, opset_import: ["": 18]> net (float[1,3,16,16] x) => (float[1,3] y) { a = Constant<value = int64[3] '
        "{0,2,3}>() m = ReduceMean<keepdims=0>(x, a) s = Constant<value = int64[2] {1,3}>() y = Reshape(m, s) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "net.onnx")
    with pytest.raises(ModelFileError, match=r"batch 2.*baked into it"):
        export_float(load(tmp_path / "net.onnx", labels=LABELS[:3]))


# sizes at the batch of one or of two, elements outside of the batch → the axis that holds it
AXES = [
    ([1, 49, 8], 1, 1, 0),  # items
    ([12, 49, 8], 1, 1, 0),  # heads of items
    ([16, 1, 8], 16, 1, 1),  # the batch second
    ([16, 2, 4], 16, 1, 1),  # the batch second, with heads
    ([16, 8], 16, 1, 0),  # tokens of items: never the features
    ([2, 4], 1, 2, 0),
    ([16, 6, 4], 16, 2, 1),
    ([32, 8], 16, 2, 0),
    ([3, 5], 2, 1, None),
]


@pytest.mark.parametrize(("sizes", "outside", "batch", "axis"), AXES)
def test_the_axis_of_the_batch(sizes, outside, batch, axis):
    from edgevision.compiler.sources.input_shape import _batch_axis

    assert _batch_axis(sizes, outside, batch) == axis
