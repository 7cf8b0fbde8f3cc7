"""The network against a reference written from the papers' formulas, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from edgevision.train import backbones
from edgevision.train.efficientnet_lite import ConvNorm, EfficientNetLite, same_padding, scaled_channels

pytestmark = pytest.mark.requires("torch")

# tensorflow/models official, efficientnet: repeats, kernel, stride, expansion, filters of B0
B0 = (
    "r1_k3_s1_e1_o16 r2_k3_s2_e6_o24 r2_k5_s2_e6_o40 r3_k3_s2_e6_o80 r3_k5_s1_e6_o112 r4_k5_s2_e6_o192 r1_k3_s1_e6_o320"
)


def conv_norm(x, weight, norm, stride=1, groups=1, relu6=True):
    """TensorFlow's SAME convolution, (y - mean)/√(var + 1e-3)·γ + β, clipped to 0…6."""
    k = weight.shape[-1]
    pads = []
    for n in reversed(x.shape[-2:]):
        total = max((math.ceil(n / stride) - 1) * stride + k - n, 0)
        pads += [total // 2, total - total // 2]
    y = functional.conv2d(functional.pad(x, pads), weight, None, stride, 0, 1, groups)
    gamma, beta, mean, var = (
        norm[part].view(1, -1, 1, 1) for part in ("weight", "bias", "running_mean", "running_var")
    )
    y = (y - mean) / torch.sqrt(var + 1e-3) * gamma + beta
    return y.clamp(0, 6) if relu6 else y


def reference_features(published, x, depth):
    """Pooled features from a state dict with the names of the PyPI packages."""
    state = {key: value.double() for key, value in published.items() if value.is_floating_point()}

    def norm(name):
        return {part: state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}

    x = conv_norm(x, state["_conv_stem.weight"], norm("_bn0"), 2)
    number = 0
    stages = [[int(field[1:]) for field in stage.split("_")] for stage in B0.split()]
    for stage, (repeats, _, stride, expansion, _) in enumerate(stages):
        for repeat in range(repeats if stage in (0, 6) else math.ceil(depth * repeats)):
            name, before = f"_blocks.{number}", x
            if expansion != 1:
                x = conv_norm(x, state[f"{name}._expand_conv.weight"], norm(f"{name}._bn0"))
            weight = state[f"{name}._depthwise_conv.weight"]
            x = conv_norm(x, weight, norm(f"{name}._bn1"), stride if repeat == 0 else 1, len(weight))
            x = conv_norm(x, state[f"{name}._project_conv.weight"], norm(f"{name}._bn2"), relu6=False)
            if x.shape == before.shape:
                x = x + before
            number += 1
    return conv_norm(x, state["_conv_head.weight"], norm("_bn1")).mean((2, 3))


@pytest.mark.requires("lite-weights")
@pytest.mark.parametrize(
    ("arch", "depth", "shape"), [("lite0", 1.0, (32, 32)), ("lite1", 1.1, (31, 32)), ("lite2", 1.2, (32, 33))]
)
def test_imagenet_features_equal_the_reference(arch, depth, shape):
    published = torch.load(backbones._lite_weights_file(arch), weights_only=True)
    x = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(1)).double()
    expected = reference_features(published, x, depth)
    model = backbones.pretrained(arch, 5).double().eval()
    with torch.no_grad():
        got = model.features(x)
        backbones.training_mode(model, frozen_statistics=True)
        folded = model.eval().features(x)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(folded, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("arch", "parameters"), [("lite0", 4_652_008), ("lite1", 5_416_680), ("lite2", 6_092_072)]
)  # of the published networks with 1000 classes
def test_parameter_counts_are_the_published_ones(arch, parameters):
    with torch.device("meta"):
        model = backbones.build(arch, 1000)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "size"),
    [(3, 2, 1, (12, 12)), (3, 2, 6, (11, 12)), (5, 2, 6, (9, 9)), (5, 1, 6, (8, 8)), (1, 1, 1, (5, 5))],
)
def test_folded_batch_norm_has_the_output_and_gradients_of_eval_mode(kernel, stride, groups, size):
    torch.manual_seed(kernel + stride)
    layer = ConvNorm(6, 12 if groups == 1 else 6, kernel, stride, groups).double().eval()
    for value in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
        value.data.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    x = torch.randn(3, 6, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for frozen in (False, True):
        layer.frozen = frozen
        y = layer(x)
        inputs = [x, layer.conv.weight, layer.norm.weight, layer.norm.bias]
        results.append((y, *torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum(), inputs)))
    assert results[0][0].shape[-2:] == tuple(math.ceil(n / stride) for n in size)
    for plain, folded in zip(*results, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (224, 5, 2, (1, 2)),
        (7, 3, 2, (1, 1)),
        (7, 5, 2, (2, 2)),
        (8, 3, 1, (1, 1)),
        (8, 1, 1, (0, 0)),
        (1, 3, 2, (1, 1)),
    ],
)
def test_same_padding(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(32, 1.0, 32), (40, 1.1, 48), (24, 1.1, 24), (320, 1.1, 352), (112, 1.1, 120), (16, 0.1, 8)],
)
def test_channels_are_rounded_to_eights(channels, width, expected):
    assert scaled_channels(channels, width) == expected


def test_only_asymmetric_padding_is_a_layer_of_its_own():
    layer = ConvNorm(3, 4, 3, 2)
    padded, padding = layer._pad(torch.zeros(1, 3, 8, 8))
    assert (padded.shape[-1], padding) == (9, (0, 0))
    same, padding = layer._pad(torch.zeros(1, 3, 7, 7))
    assert (same.shape[-1], padding) == (7, (1, 1))


def test_stochastic_depth_keeps_the_mean():
    torch.manual_seed(0)
    block = EfficientNetLite(2, drop_path=0.8).blocks[-2]
    assert block.residual
    assert block.drop_path == pytest.approx(0.8 * 14 / 16)
    backbones.training_mode(block, frozen_statistics=True)
    x = torch.rand(1, 192, 2, 2).expand(1000, -1, -1, -1)
    branch = block(x) - x
    kept = branch.flatten(1).abs().sum(1) > 0
    assert float(kept.float().mean()) == pytest.approx(1 - block.drop_path, abs=0.06)
    block.drop_path = 0.0
    torch.testing.assert_close(branch[kept][0], (block(x[:1]) - x[:1])[0] / (1 - 0.8 * 14 / 16), rtol=1e-3, atol=1e-4)
