"""Tiny networks with every tie that channels can have, and photos for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def photos() -> Any:
    """float32 [24, 3, 16, 16]: smooth noise."""
    coarse = np.random.default_rng(5).normal(size=(24, 3, 8, 8))
    return np.kron(coarse, np.ones((1, 1, 2, 2))).astype(np.float32)


@pytest.fixture(scope="session")
def nets() -> dict[str, Callable[[], Any]]:
    """Makers of networks with seeded weights and batch norms that are not the identity; 5 classes."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        """Stem and block end are added: one group; the block's middle is another."""

        def __init__(self) -> None:
            super().__init__()
            self.stem, self.n0 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
            self.a, self.n1 = nn.Conv2d(16, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24)
            self.b, self.n2 = nn.Conv2d(24, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
            self.fc = nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            x = self.n0(self.stem(x)).relu()
            x = (x + self.n2(self.b(self.n1(self.a(x)).relu()))).relu()
            return self.fc(x.mean((2, 3)))

    class Mobile(nn.Module):
        """Expansion, depthwise, squeeze and excite, projection: a group that is scaled by its own mean."""

        def __init__(self) -> None:
            super().__init__()
            self.expand, self.n0 = nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16)
            self.depthwise, self.n1 = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16)
            self.squeeze, self.excite = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
            self.project, self.n2 = nn.Conv2d(16, 12, 1, bias=False), nn.BatchNorm2d(12)
            self.fc = nn.Linear(12, 5)

        def forward(self, x: Any) -> Any:
            x = self.n1(self.depthwise(self.n0(self.expand(x)).relu())).relu()
            x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
            return self.fc(self.n2(self.project(x)).mean((2, 3)))

    class Joined(nn.Module):
        """A concatenation, a grouped convolution, and a map flattened into a linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3, padding=1)
            self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
            self.last = nn.Conv2d(16, 8, 3, stride=4, padding=1)
            self.fc1, self.fc2 = nn.Linear(8 * 4 * 4, 16), nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            x = torch.cat([self.left(x), self.right(x)], 1).relu()
            x = self.last(self.grouped(x).relu()).relu()
            return self.fc2(self.fc1(x.flatten(1)).relu())

    def lite() -> Any:
        from edgevision.train import backbones

        return backbones.build("lite0", 5, width=0.25, depth=0.3, features=32)

    def maker(kind: Callable[[], Any], seed: int) -> Callable[[], Any]:
        def make() -> Any:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                network = kind()
                for layer in network.modules():
                    if isinstance(layer, nn.BatchNorm2d):
                        for value in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                            value.uniform_(0.5, 1.5)
            return network.eval()

        return make

    kinds: dict[str, Callable[[], Any]] = {"residual": Residual, "mobile": Mobile, "joined": Joined, "lite": lite}
    return {name: maker(kind, seed) for seed, (name, kind) in enumerate(kinds.items())}
