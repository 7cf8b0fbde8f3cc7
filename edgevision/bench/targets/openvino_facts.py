"""What OpenVINO tells of a compiled model: precisions and kernels of its layers. It imports nothing of OpenVINO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

# What counts as a layer in OpenVINO's runtime graph: what has weights, or multiplies matrices.
_LAYERS = {
    "Convolution", "GroupConvolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell", "MHA",
    "ScaledDotProductAttention", "ScaledDotProductAttentionWithKVCache", "LLMMLP", "QKVProjection",
}  # fmt: skip
_PRECISIONS = {"i8": "int8", "u8": "int8", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_SHOWN_KERNELS = 4


def layers_and_kernels(compiled: Any) -> tuple[dict[str, int], dict[str, int]]:
    """How many layers run in which precision, and by which kernels, as OpenVINO wrote into the graph that it executes."""
    precisions: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = {key: str(value.astype(str)) for key, value in node.get_rt_info().items()
                if key in ("layerType", "runtimePrecision", "primitiveType")}  # fmt: skip
        if info.get("layerType") in _LAYERS:
            told = info.get("runtimePrecision", "")
            precisions[_PRECISIONS.get(told, told or "unknown")] += 1
            kernels[info.get("primitiveType", "unknown")] += 1
    return dict(precisions), dict(kernels)


def kernels_text(kernels: Mapping[str, int]) -> str:
    """The kernels that run most layers.

    >>> kernels_text({"brgconv_avx512_I8": 5, "jit_gemm_FP32": 1})
    'brgconv_avx512_I8 in 5 layers, jit_gemm_FP32 in 1'
    """
    counted = sorted(((count, name) for name, count in kernels.items()), key=lambda one: (-one[0], one[1]))
    parts = [f"{name} in {count}" for count, name in counted[:_SHOWN_KERNELS]]
    if not parts:
        return "it does not tell its kernels"
    parts[0] += " layers"
    more = len(counted) - _SHOWN_KERNELS
    return ", ".join(parts) + (f", and {more} more" if more > 0 else "")
