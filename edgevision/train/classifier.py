"""Teaching a classifier: labelled photos, cross-entropy and perhaps a teacher, top-1 on the photos to validate with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from edgevision.errors import InputError
from edgevision.files import is_same_file
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.train import backbones
from edgevision.train.checkpoint import PhotoPack
from edgevision.train.compute import Compute
from edgevision.train.data import TrainingData, read_training_data, with_ood_photos
from edgevision.train.efficientnet_lite import EfficientNetLite
from edgevision.train.loader import Batch, BatchMaker, PhotoCache, cache_for
from edgevision.train.objective import Teacher, distillation_loss, label_loss
from edgevision.train.options import TrainOptions
from edgevision.train.photos import make_pack
from edgevision.train.progress import Progress
from edgevision.train.rehearsal import rehearse, rehearse_teacher
from edgevision.train.validate import Score, Validation


class ClassifyTraining:
    """See ``base.Training``."""

    def __init__(self, options: TrainOptions, compute: Compute, progress: Progress) -> None:
        """Reads the photos. Raises as ``trainer.train`` does."""
        for path in (options.teacher, options.ood_data):
            if path is not None and is_same_file(options.output, path):
                raise InputError(
                    f"{path} is read to train and would be replaced by the checkpoint; name another with -o"
                )
        backbones.check_task(options.arch, "classify")
        self._options, self._compute = options, compute
        self.spec: PreprocessSpec = backbones.default_preprocess(options.arch, options.side_px)
        self.sizes = (1.0,) if backbones.has_fixed_size(options.arch) else options.sizes
        cache: PhotoCache = cache_for(self.spec.height, options.cache_mb)
        data = read_training_data(options, progress.photos_checked, cache.read)
        self.data: TrainingData = with_ood_photos(data, options, progress.photos_checked, cache.read)
        self.task: TaskSpec = classify_spec(self.data.labels)
        self._teacher: Teacher | None = None
        if options.teacher is not None:
            self._teacher = Teacher(options.teacher, self.data.labels, self.spec, compute.device)
        self._validation = None if self.data.val is None else Validation(self.data.val, self.spec)
        self._maker = BatchMaker(
            self.data.train, cache, self.spec, options.batch, options.seed, options.augmentation, options.mixup,
            options.cutmix, () if self.data.ood is None else self.data.ood.paths, math.ceil(options.ood_share * options.batch),
        )  # fmt: skip

    def new_network(self) -> nn.Module:  # noqa: D102 - as in Training
        options, classes = self._options, len(self.data.labels)
        make = backbones.build if options.scratch else backbones.pretrained
        return make(options.arch, classes, **options.arch_options)

    def kept(self, network: nn.Module) -> nn.Module:  # noqa: D102
        return network

    def head_parameters(self, network: nn.Module) -> Iterable[nn.Parameter]:  # noqa: D102
        return backbones.classifier_head(network).parameters()

    def set_mode(self, network: nn.Module, *, head_only: bool) -> None:  # noqa: D102
        if head_only:
            network.eval()
        else:
            backbones.training_mode(network, frozen_statistics=not self._options.scratch)
        network.requires_grad_(not head_only)
        for parameter in self.head_parameters(network):
            parameter.requires_grad_(True)
        if self._options.frozen_stages:
            assert isinstance(network, EfficientNetLite)  # as the options ask for
            for part in network.first_stages(self._options.frozen_stages):
                part.requires_grad_(False)

    def rehearse(self, network: nn.Module) -> None:  # noqa: D102
        options, size = self._options, self.spec.height
        rehearse(
            options.arch, network, self._maker.rows, size, self.sizes, self._compute,
            frozen_statistics=not options.scratch,
        )  # fmt: skip
        if self._teacher is not None:
            rehearse_teacher(self._teacher.logits, size, self.sizes, self._compute)

    def make_batch(self, number: int, size: int, progress: float) -> Batch:  # noqa: D102
        return self._maker.make(number, size)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:  # noqa: D102
        images, targets = self._compute.put(batch.images), self._compute.put(batch.targets)
        known = len(images) - batch.ood
        with self._compute.precision():
            logits = network(images)
            answers = None if self._teacher is None else self._teacher.logits(images[:known])
        loss = label_loss(logits[:known], targets[:known], self._options.label_smoothing)
        if answers is not None:
            weight, temperature = self._options.distil_weight, self._options.distil_temperature
            loss = (1 - weight) * loss + weight * distillation_loss(logits[:known], answers, temperature)
        if batch.ood:
            loss = loss + self._options.ood_weight * label_loss(logits[known:], targets[known:], 0.0)
        return loss

    def score(self, network: nn.Module, *, exact: bool = False) -> Score:  # noqa: D102
        assert self._validation is not None
        return self._validation.score(network, self._compute, exact=exact)

    def score_of(self, metrics: Mapping[str, float]) -> Score:  # noqa: D102
        return Score(**metrics)

    def pack(self) -> PhotoPack:  # noqa: D102
        return make_pack(self.data.train, self.data.val, self.spec.height)

    def fingerprint(self) -> dict[str, Any]:  # noqa: D102
        return self.record()

    def record(self) -> dict[str, Any]:  # noqa: D102
        return {"teacher": None if self._teacher is None else self._teacher.digest}
