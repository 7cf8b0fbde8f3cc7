"""The networks that benchmarks run: our trained classifier, torchvision's, and a detector of YOLO's size.

All but the first have seeded random weights. Their batch norms' statistics are estimated on real photos, so that
activations have the spread of a trained network's: with the initial statistics they die out within a few layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.common import GROCERY, RUNS, classes_of
from edgevision.compiler.answers import AnswerMeasure, run_graph
from edgevision.compiler.data.photos import CompilePhoto, gather, prepared, stratified_sample
from edgevision.compiler.options import CompileOptions
from edgevision.compiler.sources.graph import BATCH, INPUT, OUTPUT, clean_graph, to_bytes
from edgevision.compiler.sources.onnx_file import OPSET
from edgevision.compiler.sources.parity import TOLERANCE
from edgevision.compiler.sources.quiet import quiet
from edgevision.compiler.sources.source import SourceKind, SourceModel, load_source
from edgevision.compiler.sources.weights import build_network
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.preprocess import PreprocessSpec
from edgevision.preprocess.spec import Filter, Fit, preset
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import SCORES, ClassifyTask, classify_spec
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

TRAINED = "lite0"
DETECTOR = "yolo"
SEEDED = ("resnet50", "mobilenet_v3_large", "efficientnet_b0")
NAMES = (TRAINED, *SEEDED, DETECTOR)
DETECTOR_SIDE_PX = 640
DETECTOR_CALIBRATION, DETECTOR_CHECK = 32, 16  # photos; each is eight of a classifier's and gives 8400 boxes
CLASSIFIER_CALIBRATION, CLASSIFIER_CHECK = 300, 64  # NNCF's default; what agreement is to be seen on
NORM_PHOTOS, NORM_BATCH = 64, 16


@dataclass(frozen=True, eq=False)
class BenchmarkNetwork:
    """A network, the photos that calibrate it, and others to check candidates with. ``proven``: they have labels, and
    the network was trained for them.
    """

    source: SourceModel
    calibration: tuple[CompilePhoto, ...]
    check: tuple[CompilePhoto, ...]
    proven: bool
    is_detector: bool

    @property
    def measure(self) -> AnswerMeasure:
        """How answers of int8 graphs are compared with float's."""
        return measure_of(self.source.task, self.is_detector)


class OneRowTask(ClassifyTask):
    """An output of any shape, laid out as one row of logits for each item."""

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[Any]]:
        """``scores`` [n, k]: all numbers of the one output."""
        scores = super().digest(outputs)[SCORES]
        return {SCORES: scores.reshape(len(scores), -1)}


class OneRowEvaluator(ClassifyEvaluator):
    """The KL divergence of ``OneRowTask``'s rows, for a detector whose boxes and scores are one output: no task reads
    that yet. Of the classifier's measures the divergence alone means anything here; it is what recipes are chosen by.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self.task = OneRowTask(spec)


def measure_of(spec: TaskSpec, is_detector: bool) -> AnswerMeasure:
    """The measure of a benchmark's network."""
    return AnswerMeasure(OneRowEvaluator(spec)) if is_detector else AnswerMeasure.of(spec)


def network(name: str, calibration: int | None = None) -> BenchmarkNetwork:
    """One of ``NAMES``. ``calibration``: at most so many photos calibrate (default: see the constants above)."""
    if name == TRAINED:
        source = load_source(RUNS / "grocery-lite0.pt")
        evaluator = measure_of(source.task, is_detector=False).evaluator
        sets = gather(CompileOptions(), evaluator, source.photos, source.trained_on)
        kept = stratified_sample(sets.calibration, calibration or CompileOptions().calibration_limit)
        return BenchmarkNetwork(source, kept, sets.validation, proven=True, is_detector=False)
    is_detector = name == DETECTOR
    count = calibration or (DETECTOR_CALIBRATION if is_detector else CLASSIFIER_CALIBRATION)
    checked = DETECTOR_CHECK if is_detector else CLASSIFIER_CHECK
    dataset = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    hashed = zip(dataset.photos, dataset.content_hashes, strict=True)
    drawn = stratified_sample(
        [CompilePhoto(photo.path, photo.label, sha256, classes=classes_of(photo.label)) for photo, sha256 in hashed],
        count + checked,
    )
    torch.manual_seed(0)
    module: nn.Module = Detector() if is_detector else build_network(f"torchvision:{name}", 1000)
    spec = preset("imagenet", 224)
    if is_detector:
        side = DETECTOR_SIDE_PX
        spec = PreprocessSpec(side, side, fit=Fit.LETTERBOX, filter=Filter.BILINEAR)
    estimate_norms(module, drawn[checked:][:NORM_PHOTOS], spec)
    labels = tuple(Label(index, str(index)) for index in range(CLASSES if is_detector else 1000))
    task = classify_spec(labels, name=OUTPUT)
    source = SourceModel(SourceKind.MODULE, spec, task, {"name": name, "arch": name}, module.eval())
    return BenchmarkNetwork(source, drawn[checked:], drawn[:checked], proven=False, is_detector=is_detector)


def float_graph(made: BenchmarkNetwork) -> bytes:
    """The network as clean float ONNX, batch dynamic, compared with PyTorch on photos.

    `compile` compares on noise. Batch norms that only know photos amplify that a thousandfold in EfficientNet-B0, and
    with it the rounding.
    """
    module, name = made.source.module, made.source.name
    assert module is not None
    photos = next(prepared(made.check[:2], made.source.spec))
    with quiet(), torch.no_grad():
        shapes = ({0: Dim(BATCH, min=1, max=256)},)
        program = torch.export.export(module, (torch.from_numpy(photos),), dynamic_shapes=shapes, strict=False)
        exported = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    assert exported is not None
    graph = to_bytes(clean_graph(exported.model_proto, name), name)
    expected = made.source.run(photos)[OUTPUT]
    (found,) = run_graph(graph, [photos])
    difference = np.abs(found[OUTPUT] - expected).max() / np.abs(expected).max()
    if not difference <= TOLERANCE:
        raise SystemExit(f"the ONNX graph of {name} differs from the network by {difference:.2g} of the largest output")
    return graph


def estimate_norms(module: nn.Module, photos: tuple[CompilePhoto, ...], spec: PreprocessSpec) -> None:
    """Set all batch norms' means and variances to those of ``photos``, averaged over batches, in place."""
    module.eval()
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # cumulative averages
            layer.train()
    with torch.no_grad():
        for tensor in prepared(photos, spec, NORM_BATCH):
            module(torch.from_numpy(tensor))
    module.eval()


# A detector as YOLOv8-nano is built (Jocher et al., ultralytics/cfg/models/v8/yolov8.yaml): 3.2 M parameters, 4.4 G
# multiply-adds at 640 px. Widths and depths are its; the code is ours.
CLASSES = 80
WIDTHS = (16, 32, 64, 128, 256)
STRIDES = (8, 16, 32)
BINS = 16  # that the distance from an anchor to a box's side is a distribution over


class Unit(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs, eps=1e-3), nn.SiLU())


class Residual(nn.Module):
    """Two 3×3 units, added to what came in where ``shortcut`` says so."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.units = nn.Sequential(Unit(channels, channels, 3), Unit(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] → the same."""
        y: Tensor = self.units(x)
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """Cross-stage partial block: half of the channels go through residuals, and every stage is kept for the end."""

    def __init__(self, inputs: int, outputs: int, depth: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.enter = Unit(inputs, outputs)
        self.stages = nn.ModuleList(Residual(half, shortcut) for _ in range(depth))
        self.leave = Unit((2 + depth) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] → [n, outputs, h, w]."""
        kept = list(self.enter(x).chunk(2, 1))
        for stage in self.stages:
            kept.append(stage(kept[-1]))
        y: Tensor = self.leave(torch.cat(kept, 1))
        return y


class PoolPyramid(nn.Module):
    """Three 5×5 max pools one after another, all kept: the fast form of spatial pyramid pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = Unit(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = Unit(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] → the same."""
        kept = [self.enter(x)]
        for _ in range(3):
            kept.append(self.pool(kept[-1]))
        y: Tensor = self.leave(torch.cat(kept, 1))
        return y


class Detector(nn.Module):
    """Images [n, 3, 640, 640] float32 → [n, 4 + 80, 8400]: centre x, centre y, width, height in pixels, and scores of
    the classes, 0…1, for every anchor of three scales.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = WIDTHS
        self.stem = nn.Sequential(Unit(3, a, 3, 2), Unit(a, b, 3, 2), CrossStage(b, b, 1, True))
        self.fine = nn.Sequential(Unit(b, c, 3, 2), CrossStage(c, c, 2, True))
        self.middle = nn.Sequential(Unit(c, d, 3, 2), CrossStage(d, d, 2, True))
        self.coarse = nn.Sequential(Unit(d, e, 3, 2), CrossStage(e, e, 1, True), PoolPyramid(e))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.up_middle, self.up_fine = CrossStage(d + e, d), CrossStage(c + d, c)
        self.down_middle, self.down_coarse = Unit(c, c, 3, 2), Unit(d, d, 3, 2)
        self.join_middle, self.join_coarse = CrossStage(c + d, d), CrossStage(d + e, e)
        self.boxes = nn.ModuleList(_head(width, 64, 4 * BINS, bias=0.0) for width in (c, d, e))
        self.classes = nn.ModuleList(_head(width, CLASSES, CLASSES, bias=-3.0) for width in (c, d, e))
        self.expected = nn.Conv2d(BINS, 1, 1, bias=False)  # of the distribution over the bins
        self.expected.weight.data[:] = torch.arange(BINS, dtype=torch.float32).reshape(1, BINS, 1, 1)
        sides = [DETECTOR_SIDE_PX // stride for stride in STRIDES]
        grids = [torch.meshgrid(*2 * [torch.arange(side) + 0.5], indexing="ij") for side in sides]
        centres = torch.cat([torch.stack([x.flatten(), y.flatten()]) for y, x in grids], 1)
        scales = zip(STRIDES, sides, strict=True)
        self.centres = nn.Buffer(centres)
        self.strides = nn.Buffer(torch.cat([torch.full((side * side,), float(s)) for s, side in scales]))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up_middle = self.up_middle(torch.cat([self.up(coarse), middle], 1))
        up_fine = self.up_fine(torch.cat([self.up(up_middle), fine], 1))
        join_middle = self.join_middle(torch.cat([self.down_middle(up_fine), up_middle], 1))
        join_coarse = self.join_coarse(torch.cat([self.down_coarse(join_middle), coarse], 1))
        scales = (up_fine, join_middle, join_coarse)
        parts = [
            torch.cat([boxes(scale), classes(scale)], 1).flatten(2)
            for boxes, classes, scale in zip(self.boxes, self.classes, scales, strict=True)
        ]
        joined = torch.cat(parts, 2)
        distances, scores = joined[:, : 4 * BINS], joined[:, 4 * BINS :]
        bins = distances.reshape(-1, 4, BINS, len(self.strides)).transpose(1, 2).softmax(1)
        before, after = self.expected(bins).squeeze(1).chunk(2, 1)
        low, high = self.centres - before, self.centres + after
        pixels = torch.cat([(low + high) / 2, high - low], 1) * self.strides
        return torch.cat([pixels, scores.sigmoid()], 1)


def _head(inputs: int, width: int, outputs: int, bias: float) -> nn.Sequential:
    """Two 3×3 units and a projection to ``outputs`` of mean ``bias`` and a spread of about 2, as a trained one has."""
    projection = nn.Conv2d(width, outputs, 1)
    nn.init.normal_(projection.weight, std=2 / (0.36 * width) ** 0.5)  # 0.36: the mean square of SiLU of N(0, 1)
    nn.init.constant_(projection.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(Unit(inputs, width, 3), Unit(width, width, 3), projection)
