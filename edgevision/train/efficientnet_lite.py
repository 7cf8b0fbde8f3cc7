"""EfficientNet-Lite0/1/2: EfficientNet without squeeze-and-excitation, ReLU6 in place of swish, made for int8.

The networks of tensorflow/tpu ``efficientnet/lite``, with the padding of TensorFlow ("SAME": at stride 2 and an even
size, one pixel more below and to the right), so that Google's ImageNet weights fit. The stem, the head and the first
and last stage keep their size when the others are scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevision.train.depthwise import depthwise_conv2d

# (expansion, output channels, blocks, stride of the first block, kernel) of each stage of Lite0
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM_CHANNELS = 32
BATCH_NORM_EPS = 1e-3  # TensorFlow's default, which the weights were trained with


class ConvNorm(nn.Module):
    """Convolution (TensorFlow "SAME" padding) → batch norm → ReLU6 or nothing. N×C×H×W → N×C'×⌈H/s⌉×⌈W/s⌉.

    With ``frozen`` the statistics of the batch norm are constants, folded into the weights at every step:
    w' = w·γ/√(σ²+ε), b' = β - μ·γ/√(σ²+ε). Output and gradients (of w, γ and β too) are those of a batch norm in eval
    mode; two passes over the activations, and their memory, are saved.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)
        self.kernel, self.stride, self.activation = kernel, stride, activation
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x, padding = self._pad(x)
        if self.frozen:
            scale = self.norm.weight * torch.rsqrt(_buffer(self.norm.running_var) + self.norm.eps)
            bias = self.norm.bias - _buffer(self.norm.running_mean) * scale
            x = self._convolve(x, self.conv.weight * scale[:, None, None, None], bias, padding)
        else:
            x = self.norm(self._convolve(x, self.conv.weight, None, padding))
        return functional.relu6(x, inplace=self.training) if self.activation else x

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        if self.conv.groups > 1:
            return depthwise_conv2d(x, weight, bias, self.stride, padding)
        return functional.conv2d(x, weight, bias, self.stride, padding)

    def _pad(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Symmetric padding is left to the convolution; only what it cannot express is a layer of its own."""
        (top, bottom), (left, right) = (same_padding(n, self.kernel, self.stride) for n in x.shape[-2:])
        if top == bottom and left == right:
            return x, (top, left)
        return functional.pad(x, (left, right, top, bottom)), (0, 0)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME": pixels to add before and after, so that the output has ⌈size/stride⌉."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _buffer(value: Tensor | None) -> Tensor:
    assert value is not None  # the batch norms here track their statistics
    return value


class InvertedResidual(nn.Module):
    """1×1 expansion → depthwise → 1×1 projection, added to the input where shapes allow (MobileNetV2's block).

    ``drop_path`` is the probability that a photo skips the block while training (stochastic depth, Huang et al. 2016).
    """

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, 1) if expansion != 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, 1, activation=False)
        self.residual = inputs == outputs and stride == 1
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C'×H'×W'."""
        hidden = x if self.expand is None else self.expand(x)
        y: Tensor = self.project(self.depthwise(hidden))
        if not self.residual:
            return y
        if self.training and self.drop_path:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop_path
            y = y * (kept / (1 - self.drop_path)).to(y.dtype)
        return x + y


class BlockPlan(NamedTuple):
    """One block of a network: the ``stage`` it belongs to (from 0), and what ``InvertedResidual`` takes."""

    stage: int
    inputs: int
    outputs: int
    expansion: int
    kernel: int
    stride: int

    def build(self, drop_path: float = 0.0) -> InvertedResidual:
        """The block, with random weights."""
        return InvertedResidual(self.inputs, self.outputs, self.expansion, self.kernel, self.stride, drop_path)


def block_plan(width: float = 1.0, depth: float = 1.0) -> tuple[BlockPlan, ...]:
    """The blocks between stem and head, in order. ``width`` and ``depth`` as ``EfficientNetLite`` takes them.

    >>> [(block.stage, block.outputs) for block in block_plan()][:4]
    [(0, 16), (1, 24), (1, 24), (2, 40)]
    """
    plan: list[BlockPlan] = []
    inputs = STEM_CHANNELS
    for stage, (expansion, channels, repeats, first_stride, kernel) in enumerate(STAGES):
        outputs = scaled_channels(channels, width)
        fixed = stage in (0, len(STAGES) - 1)
        for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
            stride = first_stride if repeat == 0 else 1
            plan.append(BlockPlan(stage, inputs, outputs, expansion, kernel, stride))
            inputs = outputs
    return tuple(plan)


def initialise_convolutions(network: nn.Module) -> None:
    """Random weights as in tensorflow/tpu: normal with variance 2/fan_out."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] ** 2 * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_out))


class EfficientNetLite(nn.Module):
    """The network; ``width`` and ``depth`` scale channels and blocks of the middle stages.

    Lite0 is 1.0 and 1.0, Lite1 1.0 and 1.1, Lite2 1.1 and 1.2. ``features`` is the size of the pooled vector that the
    classifier reads. Input N×3×H×W float, output N×``num_classes`` logits; any H and W from 32 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        depth: float = 1.0,
        features: int = 1280,
        dropout: float = 0.2,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        plan = block_plan(width, depth)
        self.stages = tuple(block.stage for block in plan)
        self.blocks = nn.Sequential(*(block.build(drop_path * place / len(plan)) for place, block in enumerate(plan)))
        self.head = ConvNorm(plan[-1].outputs, features, 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features, num_classes)
        initialise_convolutions(self)
        nn.init.normal_(self.classifier.weight, 0.0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """N×3×H×W → N×num_classes logits."""
        logits: Tensor = self.classifier(self.dropout(self.features(x)))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """N×3×H×W → N×features, the pooled vector."""
        maps: Tensor = self.head(self.blocks(self.stem(x)))
        return maps.mean((2, 3))

    def first_stages(self, count: int) -> list[nn.Module]:
        """The stem, and the blocks of the first ``count`` stages; nothing for 0."""
        return first_stages(self.stem, self.blocks, self.stages, count)


def scaled_channels(channels: int, width: float) -> int:
    """Scale a channel count and round it to a multiple of 8, never more than 10 % down."""
    if width == 1.0:
        return channels
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def first_stages(stem: nn.Module, blocks: nn.Sequential, stages: Sequence[int], count: int) -> list[nn.Module]:
    """The stem, and those ``blocks`` whose stage (in ``stages``, one for each block) is one of the first ``count``; nothing for 0."""
    if count == 0:
        return []
    return [stem, *(block for stage, block in zip(stages, blocks, strict=True) if stage < count)]


def imagenet_state(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The convolutions of a published state dict, renamed to the names of ``model``: an ``EfficientNetLite``, or a network that
    has its layers up to the pooled vector, in their order.

    Both networks list their convolutions in the order they run; the batch norm of each has the name of its place.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, ConvNorm)}
    published = [key.removesuffix(".weight") for key, value in weights.items() if value.ndim == 4]
    order = ["_conv_stem", *(key for key in published if key.startswith("_blocks.")), "_conv_head"]
    norms = {"_conv_stem": "_bn0", "_conv_head": "_bn1", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1"}
    state: dict[str, Tensor] = {}
    for name, source in zip(layers, order, strict=True):
        prefix, _, last = source.rpartition(".")
        norm = f"{prefix}.{norms.get(last, '_bn2')}".lstrip(".")
        state[f"{name}.conv.weight"] = weights[f"{source}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.norm.{part}"] = weights[f"{norm}.{part}"]
    return state
