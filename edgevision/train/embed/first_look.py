"""A first look at the photos, before the first step: it gives the linear layer, the centres and the look-alikes to begin with.

A network that knows ImageNet tells much about products already. How photos of one product differ (light, shop, view) is much the same for
all products, also for those that nobody trains on: beginning with a layer that makes light of it, and with each product's mean for its centre, leaves
little to learn, so that little of what the network knows is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.train.backbones import training_mode
from edgevision.train.compute import Compute
from edgevision.train.lite_embedder import LiteEmbedder
from edgevision.train.validate import PreparedPhotos

LOOK_ALIKES = 5  # of each product
SHRINKAGE = 1.0  # of the mean variance within products; 0.1 finds 1 to 3 points less: benchmarks/README.md

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FirstLook:
    """``centres`` [products, dimension] float32; ``look_alikes`` int64 [products, k], nearest first, k at most ``LOOK_ALIKES``."""

    centres: Tensor
    look_alikes: Numbers


@torch.no_grad()
def pooled_features(network: LiteEmbedder, paths: Sequence[Path], spec: PreprocessSpec, compute: Compute) -> Tensor:
    """The pooled vectors [n, features] float32 of photos prepared as at run time. The network is left on the CPU, in eval mode."""
    training_mode(network, frozen_statistics=True)  # folds batch norms, which is quicker
    network.eval().to(compute.device)
    parts = []
    for images in PreparedPhotos(paths, spec, keep=False):
        with compute.precision():
            parts.append(network.pooled(compute.put(images)).float().cpu())
    network.cpu()
    return torch.cat(parts)


@torch.no_grad()
def take_a_first_look(network: LiteEmbedder, features: Tensor, products: Numbers) -> FirstLook:
    """Give ``network`` its linear layer (``whitened_projection``), and say where products then lie.

    ``features`` [n, features]: of its own (``pooled_features``); ``products`` int64 [n], 0… without gaps.
    """
    weight, bias = whitened_projection(features, products, network.projection.out_features)
    network.projection.weight.copy_(weight)
    assert network.projection.bias is not None
    network.projection.bias.copy_(bias)
    vectors = nn.functional.normalize(network.projection(features))
    count = int(products.max()) + 1
    centres = nn.functional.normalize(_sums(vectors, products, count))
    return FirstLook(centres, look_alikes(centres))


def no_look(products: int, dimension: int) -> FirstLook:
    """Where a network begins that knows nothing yet: random directions (of PyTorch's generator), and no look-alikes."""
    centres = nn.functional.normalize(torch.randn(products, dimension))
    return FirstLook(centres, np.zeros((products, 0), np.int64))


def whitened_projection(features: Tensor, products: Numbers, dimension: int) -> tuple[Tensor, Tensor]:
    """Weight [dimension, d] and bias [dimension] of a linear layer that makes light of what differs between the photos of one product.

    ``features`` [n, d], ``products`` int64 [n]. About their mean, and at length 1, the features' differences from their product's mean have
    the covariance S: light, shop, view. S^(-1/2), with ``SHRINKAGE`` of S's mean variance added, makes these alike in all directions (A. O. Hatch,
    S. Kajarekar, A. Stolcke, "Within-Class Covariance Normalization for SVM-Based Speaker Recognition", 2006). Of what that gives,
    the principal components are kept.
    """
    values = features.double()
    mean = values.mean(0)
    centred = nn.functional.normalize(values - mean)
    counts = torch.from_numpy(np.bincount(products))
    means = _sums(centred, products, len(counts)) / counts[:, None]
    inner = centred - means[products]
    covariance = inner.T @ inner / len(inner)
    sizes, directions = torch.linalg.eigh(covariance)
    scale = (sizes.clamp(min=0) + SHRINKAGE * sizes.mean()).rsqrt()
    whitening = directions * scale @ directions.T
    white = centred @ whitening
    _, kept = torch.linalg.eigh(white.T @ white)  # the greatest last
    weight = kept.flip(1)[:, :dimension].T @ whitening
    return weight.float().contiguous(), (-weight @ mean).float()


def _sums(values: Tensor, products: Numbers, count: int) -> Tensor:
    """Of the rows of ``values`` [n, d] of each product: [count, d]."""
    sums = torch.zeros(count, values.shape[1], dtype=values.dtype)
    return sums.index_add_(0, torch.from_numpy(products), values)


def look_alikes(centres: Tensor) -> Numbers:
    """For each of the unit ``centres`` [products, d] the nearest others, nearest first: int64 [products, min(5, products - 1)]."""
    cosines = centres @ centres.T
    cosines.fill_diagonal_(-2.0)
    nearest = cosines.topk(min(LOOK_ALIKES, len(centres) - 1), 1).indices
    return nearest.numpy()
