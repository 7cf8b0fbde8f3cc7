from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgevision.train.depthwise import DepthwiseConv2d, _DepthwiseConv, depthwise_conv2d, use_quick_depthwise

pytestmark = pytest.mark.requires("torch")

# kernel, stride, padding, height, width
CASES = [
    (3, 1, (1, 1), 7, 9), (3, 2, (1, 1), 7, 9), (3, 2, (0, 0), 9, 12), (5, 1, (2, 2), 8, 8), (5, 2, (2, 2), 9, 7),
    (5, 2, (0, 0), 11, 14), (3, 2, (1, 1), 8, 8), (3, 1, (0, 1), 6, 5), (5, 2, (2, 2), 5, 5), (3, 3, (1, 0), 10, 9),
]  # fmt: skip


def tensors(kernel, height, width, dtype):
    generator = torch.Generator().manual_seed(kernel * height * width)
    shapes = ((2, 6, height, width), (6, 1, kernel, kernel), (6,))
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def gradients(function, inputs, *rest):
    output = function(*inputs, *rest)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return output, torch.autograd.grad((output * weights).sum(), inputs)


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), CASES)
def test_gradients_equal_autograd_in_float64(kernel, stride, padding, height, width):
    inputs = tensors(kernel, height, width, torch.float64)
    output, got = gradients(_DepthwiseConv.apply, inputs, stride, padding)
    expected_output, expected = gradients(
        lambda x, w, b: functional.conv2d(x, w, b, stride, padding, 1, x.shape[1]), inputs
    )
    torch.testing.assert_close(output, expected_output, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_autocast_gradients_are_those_of_float32_up_to_bfloat16_rounding(kernel, stride):
    inputs = tensors(kernel, 12, 12, torch.float32)
    padding = (kernel // 2, kernel // 2)
    with torch.autocast("cpu", torch.bfloat16):
        output, got = gradients(depthwise_conv2d, inputs, stride, padding)
    _, expected = gradients(depthwise_conv2d, inputs, stride, padding)
    assert output.dtype == torch.bfloat16
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_gradients_that_nobody_wants_are_not_computed():
    x, weight, bias = tensors(5, 8, 8, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x.detach(), weight, None, 2, (2, 2)).float().sum().backward()
    assert x.grad is None
    assert bias.grad is None
    assert weight.grad is not None


def test_layers_change_class_and_nothing_else():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.Conv2d(8, 8, 3, 2, 1, groups=8),
        torch.nn.Conv2d(8, 8, 3, groups=4),
        torch.nn.Conv2d(8, 8, 3, dilation=2, groups=8),
    )
    x = torch.randn(2, 3, 24, 24)
    before, names = layers(x), list(layers.state_dict())
    assert use_quick_depthwise(layers) == 1
    assert [type(layer) is DepthwiseConv2d for layer in layers] == [False, True, False, False]
    assert list(layers.state_dict()) == names
    assert torch.equal(layers(x), before)
