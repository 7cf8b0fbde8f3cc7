"""Our embedder: EfficientNet-Lite up to its pooled vector, then one linear layer. Pictures of one product get vectors that point
in nearly the same direction, also of products that it was never trained on.

The vectors are not brought to length 1 here: int8 keeps the numbers of a linear layer better than a division by their own
length, which is float work for whoever compares them (``tasks.embed``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevision.errors import InputError
from edgevision.train.efficientnet_lite import (
    STEM_CHANNELS,
    ConvNorm,
    block_plan,
    first_stages,
    initialise_convolutions,
)

AVERAGE, GEM = "average", "gem"
POOLINGS = (AVERAGE, GEM)
MIN_DIMENSION, MAX_DIMENSION = 16, 2048
_GEM_POWER = 3.0  # where training begins (Radenović et al. 2018)
_GEM_LEAST = 1e-3  # of a feature: the slope of x^p is not finite everywhere below


class AveragePooling(nn.Module):
    """The mean over the map: N×C×H×W → N×C."""

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return maps.mean((2, 3))


class GemPooling(nn.Module):
    """Generalised mean, (mean xᵖ)^(1/p) over the map, with a ``power`` p that learns: N×C×H×W → N×C.

    p = 1 is the average, p → ∞ the greatest value (Radenović et al. 2018, arXiv 1711.02512).
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.full((1,), _GEM_POWER))

    def forward(self, maps: Tensor) -> Tensor:
        """See the class. Computed in float32: powers of bfloat16 lose what tells products apart."""
        pooled: Tensor = maps.float().clamp(min=_GEM_LEAST).pow(self.power).mean((2, 3)).pow(1 / self.power)
        return pooled


class LiteEmbedder(nn.Module):
    """The network: N×3×H×W float → N×``dimension`` vectors of any length; any H and W from 32 pixels.

    ``width``, ``depth``, ``features`` and ``drop_path`` as in ``EfficientNetLite``, whose layers and names it has up to the
    pooled vector. ``pooling``: "average" or "gem". Raises InputError for another one, and for more dimensions than features.

    >>> LiteEmbedder(64, width=0.25, depth=0.3, features=64)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self, dimension: int, width: float = 1.0, depth: float = 1.0, features: int = 1280, pooling: str = AVERAGE,
        drop_path: float = 0.1,
    ) -> None:  # fmt: skip
        if pooling not in POOLINGS:
            raise InputError(f"the pooling of an embedder is {' or '.join(POOLINGS)}, got {pooling!r}")
        if not MIN_DIMENSION <= dimension <= features:
            raise InputError(
                f"an embedder of {features} features has a dimension within {MIN_DIMENSION}…{features}, got {dimension}"
            )
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        plan = block_plan(width, depth)
        self.stages = tuple(block.stage for block in plan)
        self.blocks = nn.Sequential(*(block.build(drop_path * place / len(plan)) for place, block in enumerate(plan)))
        self.head = ConvNorm(plan[-1].outputs, features, 1)
        self.pooling: nn.Module = GemPooling() if pooling == GEM else AveragePooling()
        self.projection = nn.Linear(features, dimension)
        initialise_convolutions(self)
        nn.init.orthogonal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        vectors: Tensor = self.projection(self.pooled(x))
        return vectors

    def pooled(self, x: Tensor) -> Tensor:
        """N×3×H×W → N×features: what the linear layer reads."""
        pooled: Tensor = self.pooling(self.head(self.blocks(self.stem(x))))
        return pooled

    def first_stages(self, count: int) -> list[nn.Module]:
        """The stem, and the blocks of the first ``count`` stages; nothing for 0."""
        return first_stages(self.stem, self.blocks, self.stages, count)
