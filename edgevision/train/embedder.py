"""Teaching an embedder: photos of products, a margin between these, and for the score how often the most alike photo shows the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.embed import embed_spec
from edgevision.train import backbones
from edgevision.train.checkpoint import PhotoPack
from edgevision.train.compute import Compute
from edgevision.train.data import TrainingData, read_product_data
from edgevision.train.embed.batches import Mixture, ProductBatch, ProductBatchMaker, ProductOrder
from edgevision.train.embed.first_look import no_look, pooled_features, take_a_first_look
from edgevision.train.embed.losses import DEFAULTS, Sharpness, margin_loss
from edgevision.train.embed.validate import RecallScore, RecallValidation
from edgevision.train.lite_embedder import LiteEmbedder
from edgevision.train.loader import PhotoCache, cache_for
from edgevision.train.options import EmbedTrainOptions
from edgevision.train.photos import make_pack
from edgevision.train.progress import Progress
from edgevision.train.rehearsal import rehearse


class WithCentres(nn.Module):
    """An embedder, and a centre for each product that it is taught: they learn together, and the embedder alone is kept."""

    def __init__(self, embedder: LiteEmbedder, centres: Tensor) -> None:
        super().__init__()
        self.embedder = embedder
        self.centres = nn.Parameter(centres)

    def forward(self, x: Tensor) -> Tensor:
        """N×3×H×W → N×dimension."""
        vectors: Tensor = self.embedder(x)
        return vectors


class EmbedTraining:
    """See ``base.Training``. The network is a ``WithCentres``."""

    def __init__(self, options: EmbedTrainOptions, compute: Compute, progress: Progress) -> None:
        """Reads the photos; unless from scratch, looks at each once with the network to begin with. Raises as ``trainer.train`` does."""
        backbones.check_task(options.arch, "embed")
        self._options, self._compute = options, compute
        self.sizes = options.sizes
        self.spec: PreprocessSpec = backbones.default_preprocess(options.arch, options.size)
        self._network = _new_embedder(options)
        cache: PhotoCache = cache_for(self.spec.height, options.cache_mb)
        self.data: TrainingData = read_product_data(options, progress.photos_checked, cache.read)
        self.task: TaskSpec = embed_spec(labels=self.data.labels)
        seen, products = np.unique(self.data.train.truth, return_inverse=True)  # a labels file may name many more
        if options.scratch:
            look = no_look(len(seen), options.dimension)
        else:
            progress.message(f"a first look at {len(products)} photos of {len(seen)} products")
            features = pooled_features(self._network, self.data.train.paths, self.spec, compute)
            look = take_a_first_look(self._network, features, products)
        self._centres = look.centres
        self._validation = None
        if self.data.val is not None:
            is_seen = np.isin(np.arange(len(self.data.labels)), seen)
            self._validation = RecallValidation(self.data.val, is_seen, self.spec)
        mixture = Mixture(options.batch, options.photos_per_product, options.hard_share)
        order = ProductOrder(products, look.look_alikes, mixture, options.seed)
        self._maker = ProductBatchMaker(
            self.data.train, products, order, cache, self.spec, options.seed, options.augmentation
        )
        usual = DEFAULTS[options.loss]
        self._sharpness = Sharpness(
            usual.scale if options.scale is None else options.scale,
            usual.margin if options.margin is None else options.margin,
        )

    def new_network(self) -> nn.Module:  # noqa: D102 - as in Training
        return WithCentres(self._network, self._centres.clone())

    def kept(self, network: nn.Module) -> nn.Module:  # noqa: D102
        return _with_centres(network).embedder

    def head_parameters(self, network: nn.Module) -> Iterable[nn.Parameter]:  # noqa: D102
        return [*_with_centres(network).embedder.projection.parameters(), _with_centres(network).centres]

    def set_mode(self, network: nn.Module, *, head_only: bool) -> None:  # noqa: D102
        backbones.training_mode(network, frozen_statistics=not self._options.scratch)
        network.requires_grad_(not head_only)
        for parameter in self.head_parameters(network):
            parameter.requires_grad_(True)
        if not self._options.scratch:
            for part in _with_centres(network).embedder.first_stages(self._options.frozen_stages):
                part.requires_grad_(False)

    def rehearse(self, network: nn.Module) -> None:  # noqa: D102
        options = self._options
        rehearse(
            options.arch, network, options.batch, self.spec.height, self.sizes, self._compute,
            frozen_statistics=not options.scratch,
        )  # fmt: skip

    def make_batch(self, number: int, size: int, progress: float) -> ProductBatch:  # noqa: D102
        return self._maker.make(number, size)

    def loss(self, network: nn.Module, batch: ProductBatch) -> Tensor:  # noqa: D102
        with self._compute.precision():
            vectors = network(self._compute.put(batch.images))
        centres, products = _with_centres(network).centres, self._compute.put(batch.products)
        return margin_loss(self._options.loss, vectors, centres, products, self._sharpness)

    def score(self, network: nn.Module, *, exact: bool = False) -> RecallScore:  # noqa: D102
        assert self._validation is not None
        return self._validation.score(network, self._compute, exact=exact)

    def score_of(self, metrics: Mapping[str, float]) -> RecallScore:  # noqa: D102
        return RecallScore.from_metrics(metrics)

    def pack(self) -> PhotoPack:  # noqa: D102
        return make_pack(self.data.train, self.data.val, self.spec.height)

    def fingerprint(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def record(self) -> dict[str, Any]:  # noqa: D102
        return {"products": len(self._centres), "scale": self._sharpness.scale, "margin": self._sharpness.margin}


def _new_embedder(options: EmbedTrainOptions) -> LiteEmbedder:
    make = backbones.build if options.scratch else backbones.pretrained
    network = make(options.arch, 0, **options.network_options)
    assert isinstance(network, LiteEmbedder)
    return network


def _with_centres(network: nn.Module) -> WithCentres:
    assert isinstance(network, WithCentres)
    return network
