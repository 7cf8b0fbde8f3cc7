from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from edgevision.compiler.quantize.dialects import X86_VNNI
from edgevision.compiler.quantize.parameters import exact_bias, quantize_weights
from edgevision.errors import InputError, ModelFileError

S8 = dataclasses.replace(X86_VNNI, name="s8", activation_dtype="int8", activation_symmetric=True)


class TestDialect:
    @pytest.mark.parametrize(
        ("low", "high"), [(0, 6), (-1, 3), (-3, 0), (2, 5), (-5, -2), (0, 1e-30), (-1e6, 1e6), (0, 0.1)]
    )
    @pytest.mark.parametrize("dialect", [X86_VNNI, S8], ids=lambda d: d.name)
    def test_params(self, dialect, low, high):
        params = dialect.activation_params(low, high)
        least, greatest = dialect.activation_levels
        assert np.float32(params.scale) == params.scale > 0
        assert least <= params.zero_point <= greatest
        assert params.low <= 0 <= params.high
        # Covers the range to within half a step of zero-point rounding (and float32's rounding of the scale).
        slack = params.scale * 0.5001
        assert params.low <= min(low, 0) + slack
        assert params.high >= max(high, 0) - slack
        if high - low > 1e-10:
            assert params.high - params.low <= 2 * max(high, -low, high - low) * 1.0001

    def test_relu6_range_is_exact(self):
        params = X86_VNNI.activation_params(0, 6)
        assert (params.zero_point, params.scale) == (0, np.float32(6 / 255))

    def test_tensor_of_zeros(self):
        assert X86_VNNI.activation_params(0, 0).scale == 1

    @pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (0, math.inf), (2, 1)])
    def test_bad_range(self, low, high):
        with pytest.raises(InputError, match="finite with low <= high"):
            X86_VNNI.activation_params(low, high)


class TestParameters:
    @pytest.mark.parametrize(("shape", "axis"), [((6, 3, 3, 3), 0), ((8, 1, 5, 5), 0), ((4, 7), 0), ((7, 4), 1)])
    @pytest.mark.parametrize("limit", [127, 63])
    def test_per_channel_against_numpy(self, shape, axis, limit):
        random = np.random.default_rng(0)
        weight = (random.normal(size=shape) * random.uniform(0.01, 10, size=shape[axis]).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))])).astype(np.float32)  # fmt: skip
        bias = random.normal(size=shape[axis]).astype(np.float32)
        got = quantize_weights(weight, bias, 0.05, axis=axis, limit=limit)
        for channel in range(shape[axis]):
            w = np.take(weight, channel, axis)
            scale = np.float32(np.abs(w).max() / limit)
            assert got.scale[channel] == pytest.approx(scale, rel=1e-6)
            assert np.abs(np.take(got.weight, channel, axis)).max() == limit
            assert np.abs(np.take(got.weight, channel, axis) * scale - w).max() <= scale * 0.501
            assert got.bias[channel] * got.bias_scale[channel] == pytest.approx(bias[channel], abs=float(0.05 * scale))
            assert got.bias_scale[channel] == np.float32(0.05) * got.scale[channel]

    def test_per_tensor(self):
        weight = np.array([[1.0, -4], [2, 3]], np.float32)
        got = quantize_weights(weight, np.array([1.0, 2], np.float32), 0.5, axis=0, per_channel=False)
        assert got.scale.shape == ()
        np.testing.assert_array_equal(got.weight, [[32, -127], [64, 95]])

    def test_dead_channels_keep_their_bias(self):
        """Weights of zero, or far smaller than the bias: an int32 bias at scale max|w|/127 would overflow."""
        weight = np.array([[0.0, 0], [1e-30, -2e-30], [1e-9, 1e-9], [1, 1]], np.float32)
        bias = np.array([3.0, -5, 1000, 0.5], np.float32)
        got = quantize_weights(weight, bias, 1e-3, axis=0)
        assert np.isfinite(got.scale).all()
        assert (got.scale > 0).all()
        np.testing.assert_allclose(got.bias * got.bias_scale.astype(np.float64), bias, rtol=1e-5)
        np.testing.assert_array_equal(got.weight[0], 0)

    def test_zero_weights_and_bias(self):
        got = quantize_weights(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), 0.1, axis=0)
        assert not got.weight.any()
        assert not got.bias.any()
        np.testing.assert_array_equal(got.scale, 1)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_bad_weights(self, bad):
        with pytest.raises(ModelFileError, match="NaN or infinite"):
            quantize_weights(np.array([[bad]], np.float32), None, 1, axis=0)

    def test_exact_bias(self):
        bias = np.array([0, -0.1, 3e8, 1e-30], np.float32)
        values, scale = exact_bias(bias)
        np.testing.assert_array_equal(values.astype(np.float32) * scale, bias)
