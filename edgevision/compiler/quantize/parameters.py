"""Weights and biases in int8 and int32: symmetric, per output channel, computed in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import ModelFileError

# An int32 accumulator takes bias plus products: a bias of at most 2^30 leaves 2^30, enough for 2^30 / (255 × 127) ≈
# 33,000 products at their worst.
BIAS_LIMIT = 2**30
SMALLEST_SCALE = 1e-20  # times an activation scale (at least 1e-15) still a normal float32


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """``weight``: int8, shape of the float one. ``scale``: float32 [channels], or [] for the whole tensor.

    ``bias``: int32 [channels] with ``bias_scale`` float32 (shape of ``scale``) = input scale × scale; None without one.
    """

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.int32] | None
    bias_scale: NDArray[np.float32] | None


def quantize_weights(
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    input_scale: float,
    *,
    axis: int,
    limit: int = 127,
    per_channel: bool = True,
) -> QuantizedWeights:
    """Round weights to multiples of a scale per channel of ``axis``, and the bias to multiples of the products' scale.

    scale = max|w| / ``limit``. Where the bias would not fit int32 (weights very small beside it: dead channels after
    batch-norm folding), the scale grows until it does; the weights lost to that are below the bias's own precision.
    A channel of zeros gets the scale its bias needs, or 1.

    Raises:
        ModelFileError: a weight or bias is NaN or infinite.
    """
    if not np.isfinite(weight).all() or (bias is not None and not np.isfinite(bias).all()):
        raise ModelFileError("the float graph has weights that are NaN or infinite; check the trained model")
    other_axes = tuple(i for i in range(weight.ndim) if i != axis) if per_channel else None
    scale = np.abs(weight.astype(np.float64)).max(axis=other_axes) / limit
    if bias is not None:
        needed = np.abs(bias.astype(np.float64)) / (input_scale * BIAS_LIMIT)
        scale = np.maximum(scale, needed if per_channel else needed.max())
    scale = np.where(scale == 0, 1.0, np.maximum(scale, SMALLEST_SCALE)).astype(np.float32)
    shape = [1] * weight.ndim
    if per_channel:
        shape[axis] = -1
    steps = weight / scale.astype(np.float64).reshape(shape)
    quantized = np.clip(np.rint(steps), -limit, limit).astype(np.int8)
    if bias is None:
        return QuantizedWeights(quantized, scale, None, None)
    # Engines multiply the two scales in float32: so does the stored one.
    bias_scale = np.asarray(np.float32(input_scale) * scale, np.float32)
    int_bias = np.rint(bias / bias_scale.astype(np.float64)).astype(np.int32)
    return QuantizedWeights(quantized, scale, int_bias, bias_scale)


def exact_bias(bias: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The bias as int32 signs and float32 scales [channels] whose products are the same float32 values exactly."""
    return np.sign(bias).astype(np.int32), np.where(bias == 0, np.float32(1), np.abs(bias)).astype(np.float32)
