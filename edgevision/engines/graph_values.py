"""The elements of small tensors, computed from those that are known: sizes come from them (Shape → Gather → Concat → Reshape).

Semantics are those of https://onnx.ai/onnx/operators. Where NumPy raises, nothing is known, and whoever needs it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgevision.engines.graph_reader import MAX_VALUES, Node, Values
from edgevision.engines.graph_shapes import (
    Inputs,
    Shape,
    Tensor,
    broadcast,
    constant_of,
    int_list,
    int_of,
    rule_of,
    shape_of,
    slice_of_shape,
    slices_of,
)


def values_of(node: Node, inputs: Inputs, shapes: list[Shape]) -> list[Values | None]:
    """The elements of the outputs, where they follow from those of the inputs and are few; else None for each."""
    nothing: list[Values | None] = [None] * len(shapes)
    if any(math.prod(shape) > MAX_VALUES for shape in shapes):
        return nothing
    if node.op_type == "Shape":
        return [np.array(slice_of_shape(node, shape_of(inputs, 0)), np.int64)]
    if node.op_type == "Size":
        return [np.array(math.prod(shape_of(inputs, 0)), np.int64)]
    make = _VALUES.get(node.op_type)
    if make is None or any(tensor is not None and tensor.values is None for tensor in inputs):
        return nothing
    with np.errstate(all="ignore"):
        try:
            made = make(node, [None if tensor is None else tensor.values for tensor in inputs])
            found = [np.asarray(one) for one in (made if isinstance(made, list) else [made])]
        except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError, KeyError):
            return nothing
    if [one.shape for one in found] != shapes:
        return nothing
    return list(found)


_CASTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip


def _as_tensors(values: Sequence[Values | None]) -> list[Tensor | None]:
    return [None if v is None else Tensor(v.shape, v) for v in values]


def _divided(a: Values, b: Values) -> Values:
    """Ints are divided towards zero."""
    quotient = np.asarray(a / b)
    return np.trunc(quotient).astype(a.dtype) if a.dtype.kind in "iu" else quotient.astype(a.dtype)


def _moved(node: Node, values: Sequence[Any]) -> Values:
    """What only gives the same elements another shape."""
    (shape,), _ = rule_of(node)(node, _as_tensors(values))
    return np.asarray(values[0]).reshape(shape)


def _split_values(node: Node, values: Sequence[Any]) -> list[Values]:
    shapes, _ = rule_of(node)(node, _as_tensors(values))
    axis = int_of(node, "axis", 0)
    return np.split(values[0], np.cumsum([shape[axis] for shape in shapes])[:-1], axis)


def _filled(node: Node, values: Sequence[Any]) -> Values:
    fill = node.attributes.get("value")
    element = np.zeros((), np.float32) if fill is None else fill.values.reshape(-1)[0]
    return np.full(tuple(values[0].reshape(-1).tolist()), element)


def _sliced(node: Node, values: Sequence[Any]) -> Values:
    return np.asarray(values[0][slices_of(node, _as_tensors(values), values[0].shape)])


def _reduced(action: Callable[..., Any]) -> Callable[[Node, Sequence[Any]], Values]:
    def make(node: Node, values: Sequence[Any]) -> Values:
        (shape,), _ = rule_of(node)(node, _as_tensors(values))
        axes = int_list(node, _as_tensors(values), "axes", 1)
        if not axes and int_of(node, "noop_with_empty_axes", 0):
            return np.asarray(values[0])
        return np.asarray(action(values[0], axis=tuple(axes) if axes else None), values[0].dtype).reshape(shape)

    return make


def _clipped(node: Node, values: Sequence[Any]) -> Values:
    low, high = (*values[1:], None, None)[:2]
    low = node.attributes.get("min", low)
    high = node.attributes.get("max", high)
    return np.asarray(values[0] if low is None and high is None else np.clip(values[0], low, high), values[0].dtype)


_VALUES: dict[str, Callable[[Node, Sequence[Any]], Any]] = {
    "Constant": lambda n, v: constant_of(n)[1],
    "Identity": lambda n, v: v[0],
    "Cast": lambda n, v: v[0].astype(_CASTS[n.attributes["to"]]),
    "Abs": lambda n, v: np.abs(v[0]),
    "Neg": lambda n, v: -v[0],
    "Floor": lambda n, v: np.floor(v[0]),
    "Ceil": lambda n, v: np.ceil(v[0]),
    "Round": lambda n, v: np.round(v[0]),
    "Sqrt": lambda n, v: np.sqrt(v[0]),
    "Not": lambda n, v: ~v[0],
    "Add": lambda n, v: v[0] + v[1],
    "Sub": lambda n, v: v[0] - v[1],
    "Mul": lambda n, v: v[0] * v[1],
    "Div": lambda n, v: _divided(v[0], v[1]),
    "Mod": lambda n, v: np.fmod(v[0], v[1]) if n.attributes.get("fmod") else np.mod(v[0], v[1]),
    "Pow": lambda n, v: np.asarray(np.power(v[0].astype(np.float64), v[1])).astype(v[0].dtype),
    "Min": lambda n, v: np.minimum.reduce(np.broadcast_arrays(*v)),
    "Max": lambda n, v: np.maximum.reduce(np.broadcast_arrays(*v)),
    "Equal": lambda n, v: v[0] == v[1],
    "Less": lambda n, v: v[0] < v[1],
    "LessOrEqual": lambda n, v: v[0] <= v[1],
    "Greater": lambda n, v: v[0] > v[1],
    "GreaterOrEqual": lambda n, v: v[0] >= v[1],
    "And": lambda n, v: v[0] & v[1],
    "Or": lambda n, v: v[0] | v[1],
    "Where": lambda n, v: np.where(v[0], v[1], v[2]),
    "Clip": _clipped,
    "Concat": lambda n, v: np.concatenate(v, n.attributes["axis"]),
    "Gather": lambda n, v: np.take(v[0], v[1], n.attributes.get("axis", 0)),
    "Slice": _sliced,
    "Split": _split_values,
    "Expand": lambda n, v: np.broadcast_to(v[0], broadcast(v[0].shape, tuple(v[1].tolist()))),
    "Tile": lambda n, v: np.tile(v[0], v[1].tolist()),
    "Range": lambda n, v: np.arange(v[0].item(), v[1].item(), v[2].item()).astype(v[0].dtype),
    "ConstantOfShape": _filled,
    "Transpose": lambda n, v: np.transpose(v[0], n.attributes.get("perm")),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), _moved),
}  # fmt: skip
