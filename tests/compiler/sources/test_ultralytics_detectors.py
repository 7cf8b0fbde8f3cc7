"""Checkpoints of Ultralytics: what is read of the network that they hold. Its package is stood in for by classes of its names,
which do what theirs do with the switches that an exporter sets. The real ones are compared in ``benchmarks/decoders.py``."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import Fit, PreprocessSpec, preset

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.requires("torch", "onnx")

STRIDES = (8, 16)


class Detect(nn.Module):
    """A head: finished boxes where it is told to give one for each object, else the grid; beside it its maps, unless exported."""

    def __init__(self, classes):
        super().__init__()
        self.export, self.end2end = False, True
        self.maps = nn.ModuleList(nn.Conv2d(4, 4 + classes, 1) for _ in STRIDES)

    def forward(self, levels):
        maps = [one(level) for one, level in zip(self.maps, levels, strict=True)]
        grid = torch.cat([one.flatten(2) for one in maps], 2).sigmoid()
        answer = grid[:, :, :6].transpose(1, 2) if self.end2end else grid
        return answer if self.export else (answer, maps)


class RTDETRDecoder(Detect):
    """One box for each object, always."""

    def forward(self, levels):
        maps = [one(level) for one, level in zip(self.maps, levels, strict=True)]
        answer = torch.cat([one.flatten(2) for one in maps], 2).sigmoid()[:, :6].transpose(1, 2)
        return answer if self.export else (answer, maps)


class Segment(Detect):
    """That of another task."""


class DetectionModel(nn.Module):
    """Sizes are multiples of 16; ``fuse`` is called once, and never on what the user has."""

    def __init__(self, head, classes=2, **options):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), head(classes))
        self.names = dict(enumerate(["bottle", "can", "jar"][:classes]))
        self.stride = torch.tensor([float(stride) for stride in STRIDES])
        self.args = options
        self.fused = 0

    def fuse(self, verbose=True):
        self.fused += 1
        return self

    @property
    def end2end(self):
        return self.model[-1].end2end

    @end2end.setter
    def end2end(self, value):
        self.model[-1].end2end = value

    def forward(self, x):
        seen = self.model[0](x)
        return self.model[1]([seen, nn.functional.avg_pool2d(seen, 2)])


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """``ultralytics.nn.tasks`` and ``ultralytics.nn.modules.head``, as far as a pickle asks for them."""
    for name, classes in {
        "ultralytics": (), "ultralytics.nn": (), "ultralytics.nn.tasks": (DetectionModel,),
        "ultralytics.nn.head": (Detect, RTDETRDecoder, Segment),
    }.items():  # fmt: skip
        module = types.ModuleType(name)
        for one in classes:
            monkeypatch.setattr(one, "__module__", name)
            setattr(module, one.__name__, one)
        monkeypatch.setitem(sys.modules, name, module)


def network(head=Detect, classes=2, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return DetectionModel(head, classes, **{"task": "detect", "imgsz": 64, **options})


def load(model, tmp_path, **more):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    torch.save({"model": model.half(), "ema": None, "train_args": {}}, tmp_path / "best.pt")
    return load_source(tmp_path / "best.pt", SourceOptions(**{"trust": True, **more}))


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_everything_is_read_from_the_network(classes, tmp_path):
    """The grid of the first head, whichever head was switched on; classes, size and preprocessing."""
    source = load(network(classes=classes), tmp_path)
    assert [label.name for label in source.labels] == ["bottle", "can", "jar"][:classes]
    assert source.spec == preset("yolo", 64, 64)
    assert [(output.role, output.layout) for output in source.task.outputs] == [("boxes_and_scores", "yolo")]
    tensor = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)
    model = network(classes=classes).half().float().eval()
    model.end2end = False
    with torch.no_grad():
        expected = model(torch.from_numpy(tensor))[0].numpy()
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)


def test_the_graph_takes_any_batch(tmp_path):
    import onnxruntime

    from edgevision.compiler.sources.export import export_float

    source = load(network(), tmp_path)
    graph, _ = export_float(source)
    tensor = np.random.default_rng(0).random((5, 3, 64, 64), np.float32)
    (got,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"input": tensor})
    np.testing.assert_allclose(got, source.run(tensor)["output"], atol=1e-5)


def test_an_rtdetr_is_stretched_and_reads_as_one(tmp_path):
    source = load(network(RTDETRDecoder, classes=3), tmp_path)
    assert source.spec.fit is Fit.STRETCH
    assert {output.layout for output in source.task.outputs} == {"cxcywh-score-class"}


@pytest.mark.parametrize(("size", "expected"), [(96, (96, 96)), ([64, 96], (64, 96)), (None, (640, 640))])
def test_the_size_is_that_of_the_training(size, expected, tmp_path):
    spec = load(network(imgsz=size), tmp_path).spec
    assert (spec.height, spec.width) == expected


def test_another_size_may_be_asked_for(tmp_path):
    spec = preset("yolo", 32, 48)
    assert load(network(), tmp_path, preprocess=spec).spec == spec


def test_a_size_between_strides_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="multiples of 16, got 40×64; change --preprocess"):
        load(network(), tmp_path, preprocess=PreprocessSpec(40, 64))


def test_other_tasks_are_refused_by_name(tmp_path):
    with pytest.raises(ModelFileError, match=r"best.pt is a network of Ultralytics for 'segment'"):
        load(network(Segment, task=None), tmp_path)


def test_without_trust_nothing_is_loaded(tmp_path):
    with pytest.raises(ModelFileError, match=r"would call ultralytics.nn.tasks.DetectionModel"):
        load(network(), tmp_path, trust=False)
