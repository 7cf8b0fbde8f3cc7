"""What a TensorRT engine really runs, from the JSON of its inspector.

Its forms differ: a tensor's type is a sentence in older versions ("Thirty-two wide channel vectorized row major Int8
format.") and a word in later ones ("Int8", "Half"), and layers that TensorRT compiled itself ("kgen", "Myelin…") say
their origin in other places. An engine built without detailed profiling has names only, and its precision is not known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from edgevision.engines.base import Layer
from edgevision.errors import EngineError

# Kinds of layers that move or convert data, or none at all.
_MOVES = frozenset({
    "reformat", "noop", "constant", "shuffle", "slice", "concatenation", "concat", "copy", "cast", "identity", "shape",
    "shapehosttodevice", "devicetoshapehost", "shapeshuffle", "signal", "wait", "resize", "gather", "padding", "quantize",
    "dequantize", "scatter", "select", "assertion", "memset", "reinterpretcast",
})  # fmt: skip
# In the order that tells them apart: "bf16" has "f16" in it.
_TYPES = (
    (re.compile(r"bf16|bfloat16", re.IGNORECASE), "bfloat16"),
    (re.compile(r"int8|\bu?i8\b", re.IGNORECASE), "int8"),
    (re.compile(r"half|f(?:p|loat)?16\b", re.IGNORECASE), "float16"),
    (re.compile(r"float\b|f(?:p|loat)?32\b", re.IGNORECASE), "float32"),
)
_TENSOR_KEYS = ("Format/Datatype", "Datatype", "DataType", "Type", "Format")
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
# TensorRT takes in nodes one after another, and names what it fused "a + b".
_FUSED = " + "


def read_layers(information: str) -> tuple[Layer, ...]:
    """The layers that do arithmetic, in the order they run, with the type that each one reads.

    ``information``: ``EngineInspector.get_engine_information(JSON)``. Raises EngineError where it does not say types.
    """
    try:
        entries = list(json.loads(information)["Layers"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"expected the engine inspector's JSON, got {information[:60]!r}") from error
    if any(not isinstance(entry, dict) for entry in entries):
        raise EngineError(
            "the engine tells the names of its layers and not their types; build it with detailed profiling verbosity"
        )
    layers = []
    for entry in entries:
        kind = str(entry.get("LayerType", ""))
        precision = None if _is_move(entry, kind) else _precision(entry)
        if precision:
            name = str(entry.get("Name", ""))
            layers.append(Layer(name, kind, precision, _sources(entry, name)))
    return tuple(layers)


def _is_move(entry: Mapping[str, Any], kind: str) -> bool:
    if kind.lower() in _MOVES or str(entry.get("ParameterType", "")).lower() in _MOVES:
        return True
    # A kernel of TensorRT's own compiler, all of whose nodes only convert, between int8 and another type.
    sources = _ONNX_LAYER.findall(str(entry.get("Metadata", "")))
    return bool(sources) and all("QuantizeLinear" in s or "DequantizeLinear" in s for s in sources)


def _precision(entry: Mapping[str, Any]) -> str | None:
    """The type of the weights' partner: the first input whose type is known, else the weights."""
    for tensor in entry.get("Inputs") or ():
        if isinstance(tensor, dict):
            for key in _TENSOR_KEYS:
                if found := _named(str(tensor.get(key, ""))):
                    return found
    weights = entry.get("Weights")
    return _named(str(weights.get("Type", ""))) if isinstance(weights, dict) else None


def _named(text: str) -> str | None:
    return next((name for pattern, name in _TYPES if pattern.search(text)), None)


def _sources(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    told = _ONNX_LAYER.findall(str(entry.get("Metadata", "")))
    return tuple(dict.fromkeys(told)) or tuple(part for part in name.split(_FUSED) if part)
