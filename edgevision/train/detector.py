"""Teaching a detector: photos with boxes, losses over the cells that a product was given to, mAP on the photos to validate with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.detect.layouts.levels import NAME as LEVELS
from edgevision.tasks.detect.task import detect_spec
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.checkpoint import PhotoPack
from edgevision.train.compute import Compute
from edgevision.train.data import TrainingData, read_boxed_data
from edgevision.train.detect.assign import Targets
from edgevision.train.detect.batches import BoxBatch, BoxBatchMaker
from edgevision.train.detect.losses import detection_loss
from edgevision.train.detect.validate import BoxScore, BoxValidation
from edgevision.train.lite_detector import STRIDES, LiteDetector, read_answers
from edgevision.train.loader import PhotoCache, cache_for
from edgevision.train.options import DetectTrainOptions
from edgevision.train.photos import make_pack
from edgevision.train.progress import Progress
from edgevision.train.rehearsal import rehearse


class DetectTraining:
    """See ``base.Training``."""

    def __init__(self, options: DetectTrainOptions, compute: Compute, progress: Progress) -> None:
        """Reads the photos. Raises as ``trainer.train`` does."""
        backbones.check_task(options.arch, "detect")
        self._options, self._compute = options, compute
        self.spec: PreprocessSpec = backbones.default_preprocess(options.arch, options.size)
        self.sizes = tuple(_whole_cells(share, self.spec.height) for share in options.sizes)
        cache: PhotoCache = cache_for(self.spec.height, options.cache_mb)
        self.data: TrainingData = read_boxed_data(options, progress.photos_checked, cache.read)
        self.task: TaskSpec = lite_detect_spec(self.data.labels, self.spec)
        self._validation = None if self.data.val is None else BoxValidation(self.data.val, self.spec, self.task)
        self._maker = BoxBatchMaker(
            self.data.train, cache, self.spec, options.batch, options.seed, options.augmentation
        )

    def new_network(self) -> nn.Module:  # noqa: D102 - as in Training
        options, classes = self._options, len(self.data.labels)
        make = backbones.build if options.scratch else backbones.pretrained
        return make(options.arch, classes, **options.arch_options)

    def kept(self, network: nn.Module) -> nn.Module:  # noqa: D102
        return network

    def head_parameters(self, network: nn.Module) -> Iterable[nn.Parameter]:  # noqa: D102
        features = {id(parameter) for parameter in _detector(network).features.parameters()}
        return [parameter for parameter in network.parameters() if id(parameter) not in features]

    def set_mode(self, network: nn.Module, *, head_only: bool) -> None:  # noqa: D102
        detector, options = _detector(network), self._options
        backbones.training_mode(detector, frozen_statistics=not options.scratch)
        detector.requires_grad_(True)
        if head_only:
            detector.features.requires_grad_(False)
        elif not options.scratch:
            for part in detector.features.first_stages(options.frozen_stages):
                part.requires_grad_(False)

    def rehearse(self, network: nn.Module) -> None:  # noqa: D102
        rehearse(
            self._options.arch, network, self._options.batch, self.spec.height, self.sizes, self._compute,
            frozen_statistics=not self._options.scratch,
        )  # fmt: skip

    def make_batch(self, number: int, size: int, progress: float) -> BoxBatch:  # noqa: D102
        return self._maker.make(number, size, progress)

    def loss(self, network: nn.Module, batch: BoxBatch) -> Tensor:  # noqa: D102
        with self._compute.precision():
            outputs = network(self._compute.put(batch.images))
        targets = Targets(*(self._compute.put(part) for part in batch.targets))
        return detection_loss(read_answers(outputs), targets)

    def score(self, network: nn.Module, *, exact: bool = False) -> BoxScore:  # noqa: D102
        assert self._validation is not None
        return self._validation.score(network, self._compute, exact=exact)

    def score_of(self, metrics: Mapping[str, float]) -> BoxScore:  # noqa: D102
        return BoxScore(**metrics)

    def pack(self) -> PhotoPack:  # noqa: D102
        return make_pack(self.data.train, self.data.val, self.spec.height)

    def fingerprint(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def record(self) -> dict[str, Any]:  # noqa: D102
        return {}


def lite_detect_spec(labels: tuple[Label, ...], spec: PreprocessSpec) -> TaskSpec:
    """The task of ``LiteDetector`` for pictures prepared as ``spec`` says."""
    outputs = {f"{role}_{stride}": f"{name}_s{stride}" for role, name in _ROLES for stride in STRIDES}
    return detect_spec(labels, LEVELS, outputs, height=spec.height, width=spec.width)


def _whole_cells(share: float, side_px: int) -> float:
    """The share of the side next to ``share`` whose pictures have whole cells at every level."""
    grain = STRIDES[-1]
    return max(grain, round(share * side_px / grain) * grain) / side_px


_ROLES = (("scores", "cls"), ("boxes", "box"))


def _detector(network: nn.Module) -> LiteDetector:
    assert isinstance(network, LiteDetector)
    return network
