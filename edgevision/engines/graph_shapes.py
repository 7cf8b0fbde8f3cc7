"""Shapes of what each operator makes, and what it costs, from the shapes of what it reads: a rule for each kind.

The list of rules is the list of operators that are run: those that networks for pictures are made of. Some sizes come from
elements (``Tensor.values``), which ``graph_values`` computes.
Semantics are those of https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from edgevision.engines.graph_reader import Constant, Node, Values
from edgevision.errors import EngineError

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """``values``: the elements, where they are few and known. ``constant``: the same for every picture."""

    shape: Shape
    values: Values | None = None
    constant: bool = False


Inputs: TypeAlias = Sequence["Tensor | None"]
# The shape of each output (a single one may serve them all), and multiply-adds beside one for each element made.
Rule: TypeAlias = Callable[[Node, Inputs], "tuple[list[Shape], int]"]


# Operators that engines run by slow loops count for more than their multiply-adds, which limits are meant for.
SLOW = 8
POWER = 256  # a power of each element
MAX_STEPS = 10_000  # of a recurrent network, one after the other
STEP_WORK = 10**5  # multiply-adds in the time that a step takes, however small it is


class SizeError(ValueError):
    """Shapes that do not fit each other, or cannot be told before the graph runs."""


def rule_of(node: Node) -> Rule:
    """Raises EngineError for an operator that is not run."""
    rule = _RULES.get(node.op_type)
    if rule is None:
        raise EngineError(
            f"{node}: the operator is none of the standard ONNX operators that are run ({len(_RULES)} kinds, see "
            "docs/bundle.md); export the model without it"
        )
    return rule


# ---- reading inputs and attributes ----


def shape_of(inputs: Inputs, index: int) -> Shape:
    """The shape of an input that has to be there."""
    tensor = inputs[index] if index < len(inputs) else None
    if tensor is None:
        raise SizeError(f"its input {index} is missing")
    return tensor.shape


def _given(inputs: Inputs, index: int) -> bool:
    return index < len(inputs) and inputs[index] is not None


def _numbers(inputs: Inputs, index: int) -> list[Any]:
    """The elements of an input that decides about sizes."""
    tensor = inputs[index] if index < len(inputs) else None
    if tensor is None:
        raise SizeError(f"its input {index} is missing")
    if tensor.values is None:
        raise SizeError("the size of what it makes cannot be told before it runs")
    found: list[Any] = tensor.values.reshape(-1).tolist()
    return found


def _ints(inputs: Inputs, index: int) -> list[int]:
    return [int(number) for number in _numbers(inputs, index)]


def int_list(node: Node, inputs: Inputs, name: str, index: int) -> list[int] | None:
    """An attribute of older opsets that became an input; None where it is in neither."""
    if name in node.attributes:
        return _attribute_ints(node, name)
    return _ints(inputs, index) if _given(inputs, index) else None


def _attribute_ints(node: Node, name: str, default: Sequence[int] = ()) -> list[int]:
    value = node.attributes.get(name, default)
    if not isinstance(value, (tuple, list)) or not all(isinstance(v, int) for v in value):
        raise SizeError(f"its attribute '{name}' is no list of ints")
    return list(value)


def int_of(node: Node, name: str, default: int) -> int:
    """An attribute that is an int."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise SizeError(f"its attribute '{name}' is no int")
    return value


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < max(rank, 1):
        raise SizeError(f"it has no axis {axis}")
    return axis % max(rank, 1)


def _spatial(shape: Shape) -> Shape:
    if len(shape) < 2:
        raise SizeError("it reads a tensor of fewer than 2 axes")
    return shape[2:]


def broadcast(*shapes: Shape) -> Shape:
    """The shape that all of them are broadcast to."""
    rank = max(len(shape) for shape in shapes)
    sides = [1] * rank
    for shape in shapes:
        for place, side in enumerate(shape, rank - len(shape)):
            if side != 1 and sides[place] not in (1, side):
                raise SizeError(f"shapes {' and '.join(str(list(s)) for s in shapes)} do not fit each other")
            sides[place] = side if side != 1 else sides[place]
    return tuple(sides)


# ---- rules ----


def _same(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [shape_of(inputs, 0)], 0


def _broadcast_all(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [broadcast(*(shape_of(inputs, i) for i in range(max(1, len(inputs)))))], 0


def _windows(node: Node, spatial: Shape, kernel: Shape) -> Shape:
    """Spatial sizes of what a convolution or a pooling gives."""
    axes = len(spatial)
    strides, dilations = _attribute_ints(node, "strides", [1] * axes), _attribute_ints(node, "dilations", [1] * axes)
    pads = _attribute_ints(node, "pads", [0] * (2 * axes))
    auto, up = node.attributes.get("auto_pad", "NOTSET"), int_of(node, "ceil_mode", 0)
    if not len(kernel) == len(strides) == len(dilations) == axes or len(pads) != 2 * axes:
        raise SizeError("its kernel, strides, dilations or pads do not fit its input")
    if min((*kernel, *strides, *dilations), default=1) < 1 or min(pads, default=0) < 0:
        raise SizeError("its kernel, strides, dilations or pads are not positive")
    sides = []
    for i, side in enumerate(spatial):
        extent = (kernel[i] - 1) * dilations[i] + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            sides.append(-(-side // strides[i]))
            continue
        room = side + (0 if auto == "VALID" else pads[i] + pads[i + axes]) - extent
        if room < 0:
            raise SizeError("its kernel is larger than its input")
        steps = room // strides[i]
        # A last window that begins in the padding behind does not count.
        if up and room % strides[i] and (steps + 1) * strides[i] < side + pads[i]:
            steps += 1
        sides.append(steps + 1)
    return tuple(sides)


def _conv(weight_index: int) -> Rule:
    def rule(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
        picture, weight = shape_of(inputs, 0), shape_of(inputs, weight_index)
        spatial = _spatial(picture)
        if len(weight) != len(picture) or weight[1] * int_of(node, "group", 1) != picture[1]:
            raise SizeError(f"weights {list(weight)} do not fit an input {list(picture)}")
        made = (picture[0], weight[0], *_windows(node, spatial, weight[2:]))
        return [made], math.prod(made) * math.prod(weight[1:])

    return rule


def _conv_transpose(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    picture, weight = shape_of(inputs, 0), shape_of(inputs, 1)
    spatial = _spatial(picture)
    axes = len(spatial)
    if len(weight) != len(picture) or weight[0] != picture[1]:
        raise SizeError(f"weights {list(weight)} do not fit an input {list(picture)}")
    strides, dilations = _attribute_ints(node, "strides", [1] * axes), _attribute_ints(node, "dilations", [1] * axes)
    pads, more = _attribute_ints(node, "pads", [0] * (2 * axes)), _attribute_ints(node, "output_padding", [0] * axes)
    if not len(strides) == len(dilations) == len(more) == axes or len(pads) != 2 * axes:
        raise SizeError("its strides, dilations or pads do not fit its input")
    full = tuple(
        strides[i] * (side - 1) + more[i] + (weight[2 + i] - 1) * dilations[i] + 1 for i, side in enumerate(spatial)
    )
    sides = tuple(side - pads[i] - pads[i + axes] for i, side in enumerate(full))
    if "output_shape" in node.attributes:
        sides = tuple(_attribute_ints(node, "output_shape"))[-axes:]
    elif node.attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        sides = tuple(side * stride for side, stride in zip(spatial, strides, strict=True))
    made = (picture[0], weight[1] * int_of(node, "group", 1), *sides)
    columns = math.prod((*made[:2], *spatial, *weight[2:]))  # added up into the output, one by one
    work = max(math.prod(picture) * math.prod(weight[1:]), math.prod((*made[:2], *full)))
    return [made], work + SLOW * columns


def _pool(cost: int) -> Rule:
    def rule(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
        picture, kernel = shape_of(inputs, 0), tuple(_attribute_ints(node, "kernel_shape"))
        made = (*picture[:2], *_windows(node, _spatial(picture), kernel))
        return [made], cost * math.prod(made) * math.prod(kernel)

    return rule


def _global_pool(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    picture = shape_of(inputs, 0)
    return [(*picture[:2], *(1 for _ in _spatial(picture)))], math.prod(picture)


def _matmul(second: int) -> Rule:
    def rule(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
        a, b = shape_of(inputs, 0), shape_of(inputs, second)
        if not a or not b:
            raise SizeError("it multiplies a single number")
        left, right = a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1)
        if left[-1] != right[-2]:
            raise SizeError(f"shapes {list(a)} and {list(b)} do not fit each other")
        rows = (left[-2],) if len(a) > 1 else ()
        columns = (right[-1],) if len(b) > 1 else ()
        made = (*broadcast(left[:-2], right[:-2]), *rows, *columns)
        return [made], math.prod(made) * left[-1]

    return rule


def _gemm(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    a, b = shape_of(inputs, 0), shape_of(inputs, 1)
    if len(a) != 2 or len(b) != 2:
        raise SizeError("it multiplies tensors that are no matrices")
    a = a[::-1] if int_of(node, "transA", 0) else a
    b = b[::-1] if int_of(node, "transB", 0) else b
    if a[1] != b[0]:
        raise SizeError(f"shapes {list(a)} and {list(b)} do not fit each other")
    return [(a[0], b[1])], a[0] * a[1] * b[1]


def einsum_sides(node: Node, inputs: Inputs) -> tuple[list[str], str, dict[str, int]]:
    """The letters of an Einsum's operands and of what it makes, and the side that each letter stands for.

    Three operands and more are refused: what engines make of them in between may be far larger than all of them.
    """
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    terms, arrow, made = equation.partition("->")
    sides: dict[str, int] = {}
    letters = terms.split(",")
    if not arrow or "." in equation or len(letters) != len(inputs) or len(letters) > 2:
        raise SizeError(
            f"its equation {equation[:60]!r} is of a form that is not run; write it with one or two operands, "
            "as 'ij,jk->ik'"
        )
    for index, term in enumerate(letters):
        shape = shape_of(inputs, index)
        if len(term) != len(shape):
            raise SizeError("its equation does not fit its inputs")
        for letter, side in zip(term, shape, strict=True):
            if side != 1 and sides.get(letter, 1) not in (1, side):
                raise SizeError("its equation does not fit its inputs")
            sides[letter] = max(side, sides.get(letter, 1))
    if set(made) - set(sides) or len(set(made)) != len(made):
        raise SizeError("its equation does not fit its inputs")
    return letters, made, sides


def _einsum(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    _, made, sides = einsum_sides(node, inputs)
    return [tuple(sides[letter] for letter in made)], math.prod(sides.values())


def _reduce(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axes = int_list(node, inputs, "axes", 1)
    if not axes:
        axes = [] if int_of(node, "noop_with_empty_axes", 0) else list(range(len(shape)))
    return [_without(shape, axes, keep=bool(int_of(node, "keepdims", 1)))], math.prod(shape)


def _arg_reduce(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    return [_without(shape, [int_of(node, "axis", 0)], keep=bool(int_of(node, "keepdims", 1)))], math.prod(shape)


def _without(shape: Shape, axes: Sequence[int], *, keep: bool) -> Shape:
    gone = {_axis(axis, len(shape)) for axis in axes}
    if keep:
        return tuple(1 if i in gone else side for i, side in enumerate(shape))
    return tuple(side for i, side in enumerate(shape) if i not in gone)


def _top_k(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    (count,) = _ints(inputs, 1) if _given(inputs, 1) else [int_of(node, "k", 1)]
    axis = _axis(int_of(node, "axis", -1), len(shape))
    return [(*shape[:axis], min(count, shape[axis]), *shape[axis + 1 :])], 32 * math.prod(shape)


def _reshape(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape, wanted = shape_of(inputs, 0), int_list(node, inputs, "shape", 1) or []
    sides = list(wanted)
    if not int_of(node, "allowzero", 0):
        sides = [shape[i] if side == 0 and i < len(shape) else side for i, side in enumerate(wanted)]
    total, known = math.prod(shape), math.prod(side for side in sides if side != -1)
    if sides.count(-1) == 1 and known:
        sides[sides.index(-1)] = total // known
    if math.prod(sides) != total or min(sides, default=0) < 0:
        raise SizeError(f"a tensor {list(shape)} does not become {wanted[:9]}")
    return [tuple(sides)], 0


def _flatten(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axis = int_of(node, "axis", 1)
    axis += len(shape) if axis < 0 else 0
    return [(math.prod(shape[:axis]), math.prod(shape[axis:]))], 0


def _transpose(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    order = _attribute_ints(node, "perm", list(range(len(shape)))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise SizeError(f"its order {order[:9]} does not fit {len(shape)} axes")
    return [tuple(shape[axis] for axis in order)], 0


def _squeeze(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axes = int_list(node, inputs, "axes", 1)
    if axes is None:
        axes = [i for i, side in enumerate(shape) if side == 1]
    if any(shape[_axis(axis, len(shape))] != 1 for axis in axes):
        raise SizeError(f"it takes an axis that is not 1 out of {list(shape)}")
    return [_without(shape, axes, keep=False)], 0


def _unsqueeze(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axes = int_list(node, inputs, "axes", 1) or []
    rank = len(shape) + len(axes)
    places = {_axis(axis, rank) for axis in axes}
    rest = iter(shape)
    return [tuple(1 if i in places else next(rest, 1) for i in range(rank))], 0


def _concat(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shapes = [shape_of(inputs, i) for i in range(max(1, len(inputs)))]
    axis = _axis(int_of(node, "axis", 0), len(shapes[0]))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) != 1 or len({len(shape) for shape in shapes}) != 1:
        raise SizeError(f"shapes {', '.join(str(list(s)) for s in shapes[:4])} cannot be joined")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])], 0


def _split(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axis = _axis(int_of(node, "axis", 0), len(shape))
    parts = int_list(node, inputs, "split", 1)
    if parts is None:
        step = -(-shape[axis] // max(1, len(node.outputs)))
        parts = [max(0, min(step, shape[axis] - i * step)) for i in range(len(node.outputs))]
    if sum(parts) != shape[axis] or len(parts) != len(node.outputs) or min(parts, default=0) < 0:
        raise SizeError(f"an axis of {shape[axis]} is not split into {parts[:9]}")
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts], 0


def slices_of(node: Node, inputs: Sequence[Any], shape: Shape) -> tuple[slice, ...]:
    """What a Slice takes of each axis of an input of that shape."""
    starts, ends = (int_list(node, inputs, name, i) or [] for i, name in ((1, "starts"), (2, "ends")))
    axes = int_list(node, inputs, "axes", 3)
    steps = int_list(node, inputs, "steps", 4)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise SizeError("its starts, ends, axes and steps do not fit each other")
    cut = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = _axis(axis, len(shape))
        side = shape[place]
        low = min(max(start + side if start < 0 else start, 0 if step > 0 else -1), side if step > 0 else side - 1)
        high = min(max(end + side if end < 0 else end, 0 if step > 0 else -1), side)
        cut[place] = slice(low if low >= 0 else 0, high if high >= 0 else None, step) if side else slice(0, 0)
    return tuple(cut)


def _slice(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    cut = slices_of(node, inputs, shape)
    return [tuple(len(range(*one.indices(side))) for one, side in zip(cut, shape, strict=True))], 0


def _gather(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape, places = shape_of(inputs, 0), shape_of(inputs, 1)
    axis = _axis(int_of(node, "axis", 0), len(shape))
    return [(*shape[:axis], *places, *shape[axis + 1 :])], 0


def _gather_elements(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [shape_of(inputs, 1)], 0


def _gather_nd(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape, places, batch = shape_of(inputs, 0), shape_of(inputs, 1), int_of(node, "batch_dims", 0)
    if not places or not 0 <= batch < len(places) or batch + places[-1] > len(shape):
        raise SizeError("its indices do not fit its input")
    return [(*places[:-1], *shape[batch + places[-1] :])], 0


def _expand(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [broadcast(shape_of(inputs, 0), tuple(_ints(inputs, 1)))], 0


def _tile(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape, repeats = shape_of(inputs, 0), _ints(inputs, 1)
    if len(repeats) != len(shape):
        raise SizeError("its repeats do not fit its input")
    return [tuple(side * count for side, count in zip(shape, repeats, strict=True))], 0


def _pad(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    pads = int_list(node, inputs, "pads", 1) or []
    axes = _ints(inputs, 3) if _given(inputs, 3) else list(range(len(shape)))
    if len(pads) != 2 * len(axes):
        raise SizeError("its pads do not fit its input")
    sides = list(shape)
    for i, axis in enumerate(axes):
        sides[_axis(axis, len(shape))] += pads[i] + pads[i + len(axes)]
    return [tuple(sides)], 0


def _resize(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    axes = [_axis(a, len(shape)) for a in _attribute_ints(node, "axes", list(range(len(shape))))]
    scales_at = 2 if len(inputs) > 2 else 1  # without a region in opset 10
    sizes = _ints(inputs, 3) if _given(inputs, 3) else []
    scales = [] if sizes else _numbers(inputs, scales_at)
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if len(sizes or scales) != len(axes):
        raise SizeError("its scales or sizes do not fit its input")
    if sizes and policy != "stretch":
        ratios = [size / max(1, shape[axis]) for size, axis in zip(sizes, axes, strict=True)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = [round(ratio * shape[axis]) for axis in axes]
    sides = list(shape)
    for i, axis in enumerate(axes):
        sides[axis] = sizes[i] if sizes else _scaled(shape[axis], scales[i])
    return [tuple(sides)], 16 * math.prod(sides)


def _upsample(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    scales = node.attributes["scales"] if "scales" in node.attributes else _numbers(inputs, 1)
    if not isinstance(scales, (tuple, list)) or len(scales) != len(shape):
        raise SizeError("its scales do not fit its input")
    made = tuple(_scaled(side, scale) for side, scale in zip(shape, scales, strict=True))
    return [made], 4 * math.prod(made)


def _scaled(side: int, scale: float) -> int:
    if not 0 < scale < 2**62:
        raise SizeError(f"its scale {scale} is no scale")
    return int(np.float32(side) * np.float32(scale))  # rounded as ONNX Runtime does: 320 × 0.7 is 224, and not 223.99


def _depth_to_space(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    batch, channels, height, width = _four(inputs)
    block = max(1, int_of(node, "blocksize", 1))
    return [(batch, channels // block**2, height * block, width * block)], 0


def _space_to_depth(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    batch, channels, height, width = _four(inputs)
    block = max(1, int_of(node, "blocksize", 1))
    return [(batch, channels * block**2, height // block, width // block)], 0


def _four(inputs: Inputs) -> Shape:
    shape = shape_of(inputs, 0)
    if len(shape) != 4:
        raise SizeError(f"it reads a tensor {list(shape)}, which has not 4 axes")
    return shape


def _constant(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [constant_of(node)[0]], 0


def constant_of(node: Node) -> tuple[Shape, Values | None]:
    """Shape of what a Constant makes, and its elements where they are known."""
    (value,) = node.attributes.values() if len(node.attributes) == 1 else (None,)
    if isinstance(value, Constant):
        return value.shape, value.values
    if isinstance(value, (int, float, tuple)):
        values = np.array(value, np.float32 if "float" in next(iter(node.attributes)) else np.int64)
        return values.shape, values
    raise SizeError("it is no constant of numbers")


def _constant_of_shape(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [tuple(_ints(inputs, 0))], 0


def _range(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    (start,), (limit,), (delta,) = (_numbers(inputs, i) for i in range(3))
    if not delta or not math.isfinite(start + limit + delta):
        raise SizeError("it never ends")
    return [(max(0, math.ceil((limit - start) / delta)),)], 0


def _one_hot(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    (depth,) = _ints(inputs, 1)
    axis = _axis(int_of(node, "axis", -1), len(shape) + 1)
    return [(*shape[:axis], depth, *shape[axis:])], 0


def slice_of_shape(node: Node, shape: Shape) -> Shape:
    """The sides that a Shape gives: all, or those between its attributes."""
    return shape[int_of(node, "start", 0) : node.attributes.get("end")]


def _shape_rule(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [(len(slice_of_shape(node, shape_of(inputs, 0))),)], 0


def _scalar(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [()], 0


def _dynamic_quantize(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    return [shape_of(inputs, 0), (), ()], 0


def _grid_sample(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape, grid = shape_of(inputs, 0), shape_of(inputs, 1)
    made = (*shape[:2], *grid[1:-1])
    return [made], 16 * math.prod(made)


def _recurrent(gates: int) -> Rule:
    def rule(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
        sequence, weight = shape_of(inputs, 0), shape_of(inputs, 1)
        if len(sequence) != 3 or len(weight) != 3 or int_of(node, "layout", 0):
            raise SizeError("its input or its weights do not have 3 axes, or the batch comes first")
        steps, batch, _ = sequence
        hidden = weight[1] // gates
        states = (weight[0], batch, hidden)
        if steps > MAX_STEPS:
            raise SizeError(f"its sequence has {steps} steps, the limit is {MAX_STEPS}")
        work = SLOW * steps * batch * weight[0] * weight[1] * (weight[2] + hidden) + STEP_WORK * steps * weight[0]
        return [(steps, weight[0], batch, hidden), states, states][: max(1, len(node.outputs))], work

    return rule


def _lrn(node: Node, inputs: Inputs) -> tuple[list[Shape], int]:
    shape = shape_of(inputs, 0)
    return [shape], math.prod(shape) * max(1, int_of(node, "size", 1))


_SAME = [
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BitwiseNot", "Cast", "CastLike",
    "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumSum", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp", "EyeLike",
    "Floor", "Gelu", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "InstanceNormalization",
    "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization",
    "MeanVarianceNormalization", "Mish", "Neg", "Not", "QuantizeLinear", "RMSNormalization", "Reciprocal", "Relu",
    "Round", "ScatterElements", "ScatterND", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu",
]  # fmt: skip
_BROADCAST = [
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
]  # fmt: skip
_REDUCE = [
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
]  # fmt: skip

_RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME, _same), **dict.fromkeys(_BROADCAST, _broadcast_all), **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool(SLOW)), "LpPool": _pool(POWER),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"), _global_pool),
    "Concat": _concat, "Constant": _constant, "ConstantOfShape": _constant_of_shape, "Conv": _conv(1),
    "ConvInteger": _conv(1), "ConvTranspose": _conv_transpose, "DepthToSpace": _depth_to_space,
    "DynamicQuantizeLinear": _dynamic_quantize, "Einsum": _einsum, "Expand": _expand, "Flatten": _flatten,
    "GRU": _recurrent(3), "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd, "Gemm": _gemm,
    "GridSample": _grid_sample, "LRN": _lrn, "LSTM": _recurrent(4), "MatMul": _matmul(1), "MatMulInteger": _matmul(1),
    "OneHot": _one_hot, "Pad": _pad, "QLinearConv": _conv(3), "QLinearMatMul": _matmul(3), "RNN": _recurrent(1),
    "Range": _range, "Reshape": _reshape, "Resize": _resize, "Shape": _shape_rule, "Size": _scalar, "Slice": _slice,
    "SpaceToDepth": _space_to_depth, "Split": _split, "Squeeze": _squeeze, "Tile": _tile, "TopK": _top_k,
    "Transpose": _transpose, "Unsqueeze": _unsqueeze, "Upsample": _upsample,
}  # fmt: skip

OPERATORS = frozenset(_RULES)  # those that are run
