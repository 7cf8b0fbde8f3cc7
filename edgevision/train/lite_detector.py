"""Our own detector: EfficientNet-Lite features, a path aggregation neck, an anchor-free head. ReLU6 throughout.

Made for int8: no squeeze-and-excitation, no swish, no normalised exponentials; class scores and distances leave the graph as
outputs of their own, level by level, so that no two kinds of numbers share a scale.

Each *cell* of each level answers for the place in the middle of its square: how much it looks like each class, and how far
it is to the left, top, right and lower edge of the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevision.train.efficientnet_lite import (
    STEM_CHANNELS,
    ConvNorm,
    block_plan,
    first_stages,
    initialise_convolutions,
)

STRIDES = (8, 16, 32)
OUTPUT_NAMES = tuple(f"{kind}_s{stride}" for kind in ("cls", "box") for stride in STRIDES)
_TAPS = (2, 4, 5)  # stages of the backbone whose last block gives the maps at these strides
_FIRST_SCORE = 0.01  # of every cell before training: most cells show nothing (Lin et al. 2017)
_FIRST_DISTANCE = 4.0  # in strides: so each level begins with boxes of eight strides
KERNEL = 5
_LEAK = 0.1  # slope of negative distances while training


class Answers(NamedTuple):
    """What the network says of N pictures, all cells in one row: level by level, each row by row.

    ``logits`` [N, cells, classes]; ``boxes`` [N, cells, 4] as x1 y1 x2 y2 in pixels of the tensor; ``centres`` [cells, 2] as
    x, y, and ``strides`` [cells], in pixels.
    """

    logits: Tensor
    boxes: Tensor
    centres: Tensor
    strides: Tensor


class Features(nn.Module):
    """EfficientNet-Lite up to its sixth stage: N×3×H×W → maps at strides 8, 16 and 32. Parameters have the classifier's names."""

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        plan = [block for block in block_plan(width, depth) if block.stage <= _TAPS[-1]]
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        self.blocks = nn.Sequential(*(block.build() for block in plan))
        self.stages = tuple(block.stage for block in plan)
        last = {block.stage: place for place, block in enumerate(plan)}
        self.taps = tuple(last[stage] for stage in _TAPS)
        self.channels = tuple(plan[tap].outputs for tap in self.taps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        maps = []
        x = self.stem(x)
        for place, block in enumerate(self.blocks):
            x = block(x)
            if place in self.taps:
                maps.append(x)
        return maps

    def first_stages(self, count: int) -> list[nn.Module]:
        """The stem, and the blocks of the first ``count`` stages; nothing for 0."""
        return first_stages(self.stem, self.blocks, self.stages, count)


def kept_blocks(state: Mapping[str, Tensor], stages: Sequence[int], features: Features) -> dict[str, Tensor]:
    """Of the ``state`` of an EfficientNet-Lite whose blocks belong to ``stages``, what ``features`` has a place for: the stem, and
    as many of the first blocks of each stage as it has itself."""
    first = {stage: stages.index(stage) for stage in features.stages}
    own_first = {stage: features.stages.index(stage) for stage in features.stages}
    kept = {name: value for name, value in state.items() if name.startswith("stem.")}
    for place, stage in enumerate(features.stages):
        source = f"blocks.{first[stage] + place - own_first[stage]}."
        kept.update(
            {f"blocks.{place}.{name.removeprefix(source)}": state[name] for name in state if name.startswith(source)}
        )
    return kept


class Separable(nn.Sequential):
    """A depthwise 5×5 convolution, then a 1×1 one, each with batch norm and ReLU6. Keeps size and channels at stride 1."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(
            ConvNorm(channels, channels, KERNEL, stride, groups=channels),
            ConvNorm(channels, channels, 1),
        )


class Merge(nn.Module):
    """Two maps of one size → one: side by side, brought down to ``channels`` by a 1×1 convolution, then ``Separable``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(2 * channels, channels, 1)
        self.mix = Separable(channels)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """N×C×H×W twice → N×C×H×W."""
        merged: Tensor = self.mix(self.reduce(torch.cat([a, b], 1)))
        return merged


class Neck(nn.Module):
    """A path aggregation network (Liu et al. 2018): what coarse levels know goes to the fine ones, and back."""

    def __init__(self, inputs: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvNorm(count, channels, 1) for count in inputs)
        self.downwards = nn.ModuleList(Merge(channels) for _ in inputs[1:])
        self.shrink = nn.ModuleList(Separable(channels, stride=2) for _ in inputs[1:])
        self.upwards = nn.ModuleList(Merge(channels) for _ in inputs[1:])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """A map for each level, fine to coarse, each half the size of the one before → as many, all with ``channels``."""
        levels: list[Tensor] = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for place in range(len(levels) - 2, -1, -1):
            coarse = functional.interpolate(levels[place + 1], scale_factor=2.0, mode="nearest")
            levels[place] = self.downwards[place](levels[place], coarse)
        for place in range(1, len(levels)):
            fine = self.shrink[place - 1](levels[place - 1])
            levels[place] = self.upwards[place - 1](fine, levels[place])
        return levels


class LevelHead(nn.Module):
    """What one level says: two ``Separable`` and a 1×1 convolution for classes, and as much for distances."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Sequential(Separable(channels), Separable(channels))
        self.distances = nn.Sequential(Separable(channels), Separable(channels))
        self.class_logits = nn.Conv2d(channels, num_classes, 1)
        self.edge_distances = nn.Conv2d(channels, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """N×C×H×W → logits N×classes×H×W, and distances N×4×H×W in strides (left, top, right, bottom), at least 0.

        While training, distances below 0 are made small instead of 0: else a cell that once said 0 would learn no more.
        """
        logits: Tensor = self.class_logits(self.classes(x))
        raw: Tensor = self.edge_distances(self.distances(x))
        return logits, functional.leaky_relu(raw, _LEAK) if self.training else functional.relu(raw)

    def initialise(self) -> None:
        """The last layers: a low score everywhere, and boxes of the level's usual size."""
        nn.init.normal_(self.class_logits.weight, 0.0, 0.01)
        nn.init.normal_(self.edge_distances.weight, 0.0, 0.01)
        for layer, value in (
            (self.class_logits, math.log(_FIRST_SCORE / (1 - _FIRST_SCORE))),
            (self.edge_distances, _FIRST_DISTANCE),
        ):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, value)


class LiteDetector(nn.Module):
    """The network. N×3×H×W (H and W multiples of 32) → by the names of ``OUTPUT_NAMES``, in their order: for each level logits
    N×classes×h×w, then for each level distances N×4×h×w in strides.

    ``width`` and ``depth`` scale the backbone as in ``EfficientNetLite``; ``neck_channels`` is the width of neck and head.
    """

    def __init__(self, num_classes: int, width: float = 1.0, depth: float = 1.0, neck_channels: int = 96) -> None:
        super().__init__()
        self.features = Features(width, depth)
        self.neck = Neck(self.features.channels, neck_channels)
        self.heads = nn.ModuleList(LevelHead(neck_channels, num_classes) for _ in STRIDES)
        initialise_convolutions(self)
        for head in self.heads:
            assert isinstance(head, LevelHead)
            head.initialise()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """See the class."""
        answers = [head(level) for head, level in zip(self.heads, self.neck(self.features(x)), strict=True)]
        outputs = (*(logits for logits, _ in answers), *(distances for _, distances in answers))
        return dict(zip(OUTPUT_NAMES, outputs, strict=True))


def read_answers(outputs: Mapping[str, Tensor]) -> Answers:
    """What ``LiteDetector`` gave, as boxes in pixels; differentiable. Computed in float32."""
    logits, boxes, centres, strides = [], [], [], []
    for stride in STRIDES:
        scores, distances = outputs[f"cls_s{stride}"].float(), outputs[f"box_s{stride}"].float()
        middle = cell_centres(scores.shape[2], scores.shape[3], stride, scores.device)
        reach = distances.flatten(2).transpose(1, 2) * stride
        logits.append(scores.flatten(2).transpose(1, 2))
        boxes.append(torch.cat([middle - reach[..., :2], middle + reach[..., 2:]], 2))
        centres.append(middle)
        strides.append(middle.new_full((len(middle),), stride))
    return Answers(torch.cat(logits, 1), torch.cat(boxes, 1), torch.cat(centres), torch.cat(strides))


def cell_centres(height: int, width: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Middles of the cells of a level, [height·width, 2] as x, y in pixels, row by row: ((x + ½)·stride, (y + ½)·stride).

    >>> cell_centres(1, 2, 8).tolist()
    [[4.0, 4.0], [12.0, 4.0]]
    """
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], 1)
