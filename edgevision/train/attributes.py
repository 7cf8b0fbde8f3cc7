"""Teaching attributes: one network, a head for each attribute, photos of which not everything need be known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.tasks.attributes_scores import NOT_KNOWN, head_truths
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.attributes import AttributesTask, attributes_spec, heads_of
from edgevision.tasks.base import TaskSpec
from edgevision.train import backbones
from edgevision.train.attributes_batches import AttributesBatch, AttributesBatchMaker
from edgevision.train.attributes_validate import AttributesScore, AttributesValidation
from edgevision.train.checkpoint import PhotoPack
from edgevision.train.compute import Compute
from edgevision.train.data import TrainingData, read_described_data
from edgevision.train.loader import PhotoCache, cache_for
from edgevision.train.masked_loss import attributes_loss, value_weights
from edgevision.train.options import AttributesTrainOptions
from edgevision.train.photos import make_pack
from edgevision.train.progress import Progress
from edgevision.train.rehearsal import rehearse


class AttributesTraining:
    """See ``base.Training``. The network is a classifier whose last layer has a column for each value of each attribute."""

    def __init__(self, options: AttributesTrainOptions, compute: Compute, progress: Progress) -> None:
        """Reads the photos. Raises as ``trainer.train`` does."""
        backbones.check_task(options.arch, "attributes")
        self._options, self._compute = options, compute
        self.spec: PreprocessSpec = backbones.default_preprocess(options.arch, options.size)
        self.sizes = (1.0,) if backbones.has_fixed_size(options.arch) else options.sizes
        cache: PhotoCache = cache_for(self.spec.height, options.cache_mb)
        self.data: TrainingData = read_described_data(options, progress.photos_checked, cache.read)
        self.task: TaskSpec = attributes_spec(heads_of(self.data.labels))
        self._heads = AttributesTask(self.task).heads
        self._values = self._values_of(self.data.train)
        self._weights = [
            torch.from_numpy(value_weights(column, len(head.values), options.class_balance)).to(compute.device)
            for head, column in zip(self._heads, self._values.T, strict=True)
        ]
        self._validation = None
        if self.data.val is not None:
            known = self._values_of(self.data.val)
            self._validation = AttributesValidation(self.data.val.paths, known, self.spec, self._heads)
        self._maker = AttributesBatchMaker(
            self.data.train.paths, self._values, cache, self.spec, options.batch, options.seed, options.augmentation
        )

    def _values_of(self, dataset: Dataset) -> Any:
        return head_truths(self._heads, [photo.attributes for photo in dataset])

    def new_network(self) -> nn.Module:  # noqa: D102 - as in Training
        options = self._options
        make = backbones.build if options.scratch else backbones.pretrained
        return make(options.arch, len(self.task.labels), **options.arch_options)

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

    def rehearse(self, network: nn.Module) -> None:  # noqa: D102
        rehearse(
            self._options.arch, network, self._options.batch, self.spec.height, self.sizes, self._compute,
            frozen_statistics=not self._options.scratch,
        )  # fmt: skip

    def make_batch(self, number: int, size: int, progress: float) -> AttributesBatch:  # noqa: D102
        return self._maker.make(number, size)

    def loss(self, network: nn.Module, batch: AttributesBatch) -> Tensor:  # noqa: D102
        images, values = self._compute.put(batch.images), self._compute.put(batch.values)
        with self._compute.precision():
            logits = network(images)
        return attributes_loss(logits, values, self._heads, self._weights, self._options.label_smoothing)

    def score(self, network: nn.Module, *, exact: bool = False) -> AttributesScore:  # noqa: D102
        assert self._validation is not None
        return self._validation.score(network, self._compute, exact=exact)

    def score_of(self, metrics: Mapping[str, float]) -> AttributesScore:  # noqa: D102
        return AttributesScore.of(metrics)

    def pack(self) -> PhotoPack:  # noqa: D102
        return make_pack(self.data.train, self.data.val, self.spec.height)

    def fingerprint(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def record(self) -> dict[str, Any]:  # noqa: D102
        known = (self._values != NOT_KNOWN).sum(axis=0).tolist()
        return {
            "attributes": {
                head.name: {"values": len(head.values), "known_of": count}
                for head, count in zip(self._heads, known, strict=True)
            }
        }
