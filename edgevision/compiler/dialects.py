"""Q/DQ dialects: which quantization of weights and activations a kind of engine turns into real int8.

No single int8 graph serves every engine, so the ranges of one table are written out once per dialect. A dialect is a
value: the emitter reads it and has no branches of its own per engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgevision.errors import InputError


@dataclass(frozen=True)
class QuantParams:
    """One tensor's quantization: real = scale × (quantized − zero_point). ``low``, ``high``: the representable reals."""

    scale: float
    zero_point: int
    low: float
    high: float


@dataclass(frozen=True)
class Dialect:
    """How one kind of engine wants its int8 graph.

    ``activation_symmetric``: zero point 0 (s8) or 128 (u8). ``weight_bits``: 8, or 7 for CPUs whose u8×s8
    multiply-add saturates at 16 bits. ``int32_bias``: biases as int32 behind a DequantizeLinear, with scale =
    input scale × weight scale; otherwise plain float32. ``quantize_conv_outputs``: a convolution's output gets Q/DQ
    even when only float nodes read it, because the engine has no int8 convolution with float output. ``shield_float``:
    write float Conv and Gemm nodes so that ONNX Runtime leaves them float (see ``quantize``).
    ``int8_ops``: the ONNX operators that the engines run in int8 between Q/DQ.
    """

    name: str
    activation_dtype: Literal["uint8", "int8"]
    activation_symmetric: bool
    weight_bits: int
    weight_per_channel: bool
    int32_bias: bool
    quantize_conv_outputs: bool
    shield_float: bool
    int8_ops: frozenset[str]

    @property
    def activation_levels(self) -> tuple[int, int]:
        """Least and greatest quantized activation. Symmetric s8 leaves −128 out, so that both sides reach as far."""
        if self.activation_dtype == "uint8":
            return 0, 255
        return (-127, 127) if self.activation_symmetric else (-128, 127)

    @property
    def weight_limit(self) -> int:
        """Greatest magnitude of a quantized weight; weights are always symmetric s8."""
        return (1 << (self.weight_bits - 1)) - 1

    def activation_params(self, low: float, high: float) -> QuantParams:
        """Scale and zero point for activations within [low, high], which is widened to hold 0.

        The scale is rounded to float32, which is how the graph stores it. A tensor that is always 0 gets scale 1.

        Raises:
            InputError: a bound is not finite, or low > high.
        """
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise InputError(f"an activation range must be finite with low <= high; got [{low}, {high}]")
        low, high = min(low, 0.0), max(high, 0.0)
        least, greatest = self.activation_levels
        if self.activation_symmetric:
            zero_point = (least + greatest + 1) // 2
            span = max(-low / (zero_point - least), high / (greatest - zero_point))
        else:
            zero_point = least
            span = (high - low) / (greatest - least)
        # Below this, products with weight scales would leave the normal float32 numbers.
        scale = float(np.float32(max(span, 1e-15))) if span > 0 else 1.0
        if not self.activation_symmetric:
            zero_point = min(max(least + round(-low / scale), least), greatest)
        return QuantParams(scale, zero_point, scale * (least - zero_point), scale * (greatest - zero_point))


# u8 × s8 is what VNNI multiplies. Symmetric weights with per-channel scales cost nothing there, and both ONNX Runtime
# and OpenVINO fuse this form whole (s8 activations leave most convolutions unfused in ONNX Runtime on x86).
X86_VNNI = Dialect(
    name="x86-vnni",
    activation_dtype="uint8",
    activation_symmetric=False,
    weight_bits=8,
    weight_per_channel=True,
    int32_bias=True,
    quantize_conv_outputs=True,
    shield_float=True,
    int8_ops=frozenset(
        {
            "Conv", "Gemm", "MatMul",
            "Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool", "MaxPool",
            "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose",
        }
    ),
)  # fmt: skip
