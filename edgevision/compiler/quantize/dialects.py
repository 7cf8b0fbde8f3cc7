"""Q/DQ dialects: which quantization of weights and activations a kind of engine turns into real int8.

No single int8 graph serves every engine, so the ranges of one table are written out once per dialect. A dialect is a
value: the emitter reads it and has no branches of its own per engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from edgevision.errors import InputError

# Without VNNI, x86 multiplies u8 × s8 with PMADDUBSW, which adds pairs of products in 16 bits and clamps the sum. With
# weights of at most 64 none can be clamped, whatever the order of the weights: 2 × 255 × 64 = 32,640 < 2^15. One more
# could: 2 × 255 × 65 = 33,150. ONNX Runtime draws the same line (its Avx2WeightS8ToU8 leaves ±64 as they are).
SATURATION_PROOF = 64


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

    * ``activation_symmetric``: zero point 0 (s8) or 128 (u8).
    * ``weight_limit``: greatest magnitude of an int8 weight, at most 127; ``SATURATION_PROOF`` for CPUs whose u8 × s8
      multiply-add saturates at 16 bits. Weights are symmetric s8, zero point 0, in every dialect.
    * ``int32_bias``: biases as int32 behind a DequantizeLinear, with scale = input scale × weight scale; else float32.
    * ``quantize_conv_outputs``: a convolution's output gets Q/DQ even when only float nodes read it, because the engine
      has no int8 convolution with float output.
    * ``quantize_concat_for_float``: a Concat's output gets Q/DQ even when only float nodes read it.
    * ``fuses_residual``: the engine adds a residual inside the convolution before the Add, so only the Add's other
      input is quantized, and an Add without such a convolution stays float.
    * ``shield_float``: write float Conv and Gemm nodes so that ONNX Runtime leaves them float (see ``quantize``).
    * ``int8_ops``: the ONNX operators that the engines run in int8 between Q/DQ.
    """

    name: str
    activation_dtype: Literal["uint8", "int8"]
    activation_symmetric: bool
    weight_limit: int
    weight_per_channel: bool
    int32_bias: bool
    quantize_conv_outputs: bool
    quantize_concat_for_float: bool
    fuses_residual: bool
    shield_float: bool
    int8_ops: frozenset[str]

    @property
    def activation_levels(self) -> tuple[int, int]:
        """Least and greatest quantized activation. Symmetric s8 leaves −128 out, so that both sides reach as far."""
        if self.activation_dtype == "uint8":
            return 0, 255
        return (-127, 127) if self.activation_symmetric else (-128, 127)

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


# u8 × s8 is what VNNI multiplies. Symmetric weights with per-channel scales cost nothing there, and ONNX Runtime fuses
# this form whole (s8 activations leave most of its convolutions on x86 unfused).
X86_VNNI = Dialect(
    name="x86-vnni",
    activation_dtype="uint8",
    activation_symmetric=False,
    weight_limit=127,
    weight_per_channel=True,
    int32_bias=True,
    quantize_conv_outputs=True,
    quantize_concat_for_float=True,
    fuses_residual=False,
    shield_float=True,
    int8_ops=frozenset(
        {
            "Conv", "Gemm", "MatMul",
            "Add", "Mul", "HardSigmoid", "HardSwish", "Concat", "GlobalAveragePool", "AveragePool", "MaxPool",
            "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose",
        }
    ),
)  # fmt: skip

# The same for CPUs without VNNI, and so for an x86 CPU that is not known: safe everywhere, one bit coarser.
X86 = replace(X86_VNNI, name="x86", weight_limit=SATURATION_PROOF)

# OpenVINO runs activation functions and the rounding to u8 inside the convolution before them: a convolution with float
# output costs nothing, and Q/DQ around a swish or a squeeze-excite only break it up. One thread, against x86-vnni in
# OpenVINO: MobileNetV3-Large 1.2 times as fast, EfficientNet-B0 1.5 times; ResNets the same.
#
# OpenVINO (2026.4.1) dies of a segmentation fault over a Concat whose output is rounded to u8 with a zero point, and is read
# by float nodes alone: each dense layer of a DenseNet, behind whose Concat a batch norm stands. Its inputs are rounded,
# mostly with one scale, so a second rounding says nothing new; OpenVINO joins them in u8 without it.
OPENVINO_VNNI = replace(
    X86_VNNI,
    name="openvino-vnni",
    quantize_conv_outputs=False,
    quantize_concat_for_float=False,
    int8_ops=X86_VNNI.int8_ops - {"Mul", "HardSigmoid", "HardSwish", "GlobalAveragePool"},
)

OPENVINO = replace(OPENVINO_VNNI, name="openvino", weight_limit=SATURATION_PROOF)

# ARM's dot product multiplies s8 × s8, and ONNX Runtime's kernels there want s8 activations with any zero point.
ARM = replace(X86_VNNI, name="arm", activation_dtype="int8")

# TensorRT's parser takes no zero points but 0, no u8, and int32 nowhere behind a DequantizeLinear. It fuses what the
# convolution before and after allows; Q/DQ elsewhere only keep it from that. They stand at the inputs of weighted
# operators, and at the residual input of an Add behind a convolution, as NVIDIA's TensorFlow quantization toolkit has
# it for ResNets ("Add Custom QDQ Insertion Case"). What TensorRT makes of them on a GPU was never measured.
TENSORRT = Dialect(
    name="tensorrt",
    activation_dtype="int8",
    activation_symmetric=True,
    weight_limit=127,
    weight_per_channel=True,
    int32_bias=False,
    quantize_conv_outputs=False,
    quantize_concat_for_float=False,
    fuses_residual=True,
    shield_float=False,
    int8_ops=frozenset({"Conv", "Gemm", "MatMul", "Add"}),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (X86_VNNI, OPENVINO_VNNI, X86, OPENVINO, ARM, TENSORRT)}
)
