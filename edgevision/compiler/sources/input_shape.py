"""The shape of a float graph's input: any batch size, and the height and width of the preprocess spec.

Exporters that trace a network at one batch size leave it behind as a number: in the targets of Reshape, and in constants that
stand once for each item (a transformer's class token).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgevision.compiler.sources.graph import BATCH, fold_constants, inferred_shapes, input_of

Dims = tuple[int | None, ...]
_REWRITTEN = ("Reshape", "Concat")
_SMALL = 1024  # elements: tensors that may be shapes


def with_dynamic_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the graph that takes any batch size, where it is not written for one."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _set_batch(copy.graph, BATCH)
    return copy


def without_batch(model: onnx.ModelProto, batch: int, name: str, *, fold: bool) -> onnx.ModelProto:
    """A copy of a graph that is written for the size ``batch``, for any batch size: numbers inside that repeat it are
    rewritten where that is plain. Whether the copy computes the same at other sizes is for ``check_parity`` to say.

    ``fold``: make constants first of all that follows from the input's shape. That shows more of what repeats the batch,
    and makes numbers of what asks for it rightly. Raises ModelFileError where ONNX Runtime refuses the graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if fold:
        _set_batch(copy.graph, batch)
        copy = fold_constants(copy, name)
    _set_batch(copy.graph, BATCH)
    _BatchRemover(copy, batch).run()
    return copy


def fix_size(model: onnx.ModelProto, item: Sequence[int]) -> None:
    """Give the graph's input the shape [batch, *item], in place. What depends on it is left to shape inference."""
    graph = model.graph
    for axis, size in zip(input_of(graph).type.tensor_type.shape.dim[1:], item, strict=True):
        axis.dim_value = size
    del graph.value_info[:]
    for output in graph.output:
        for axis in output.type.tensor_type.shape.dim[1:]:
            if not axis.HasField("dim_value"):
                axis.Clear()


def _set_batch(graph: onnx.GraphProto, batch: int | str) -> None:
    """Let the first axis of the input and of the outputs be ``batch``, a size or a name."""
    del graph.value_info[:]
    for value in (input_of(graph), *graph.output):
        if value.type.tensor_type.shape.dim:
            axis = value.type.tensor_type.shape.dim[0]
            axis.Clear()
            if isinstance(batch, str):
                axis.dim_param = batch
            else:
                axis.dim_value = batch


class _BatchRemover:
    """Rewrites what repeats ``batch`` in ``model``, in place, from the input on: only when a tensor's shape is known for
    any batch, those after it can be."""

    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self._graph, self._model, self._batch = model.graph, model, batch
        name = input_of(model.graph).name
        self._constants = _constants(model.graph)
        self._at_batch = inferred_shapes(_at_batch(_outline(model), name, batch))
        self._varying = _reached(model.graph, name)
        self._outside: dict[str, int] = {}

    def run(self) -> None:
        """Rounds, each with what the one before made known, until nothing is left to be done."""
        done: set[str] = set()
        for _ in range(len(self._graph.node)):
            before = len(done)
            shapes = inferred_shapes(_outline(self._model))
            self._find_outside(shapes)
            unclear: set[str] = set()  # tensors whose shape is another, or may be, than ``shapes`` says
            for node in list(self._graph.node):
                if not unclear.isdisjoint(node.input):
                    unclear.update(node.output)
                elif node.op_type in _REWRITTEN and node.output[0] not in done:
                    if self._rewrite(node, shapes):
                        done.add(node.output[0])
                        unclear.update(node.output)
                    elif node.op_type == "Reshape" and self._waits(node, shapes):
                        unclear.update(node.output)
            if len(done) == before:
                return

    def _waits(self, node: onnx.NodeProto, shapes: Mapping[str, Dims]) -> bool:
        """Whether a Reshape of what depends on the input cannot be judged yet: one [1, 64, -1] would seem to move the batch."""
        return node.input[0] in self._varying and self._axis_after(node, shapes) is None

    def _rewrite(self, node: onnx.NodeProto, shapes: Mapping[str, Dims]) -> bool:
        """Whether the node repeated the batch, and does so no more."""
        if node.op_type == "Concat":
            return self._repeat_constants(node, shapes)
        target = self._free_target(node, shapes)
        if target is None:
            return False
        node.input[1] = self._add(f"{node.output[0]}_any_batch", target)
        return True

    def _free_target(self, node: onnx.NodeProto, shapes: Mapping[str, Dims]) -> npt.NDArray[np.int64] | None:
        """The target of a Reshape without the batch; None where it does not hold it, or that is not known yet."""
        target, sizes = self._constants.get(node.input[1]), self._sizes(node)
        axis = self._axis_after(node, shapes)
        if target is None or axis is None or len(sizes) != len(target) or target[axis] <= 0:
            return None
        return np.array([*sizes[:axis], -1, *sizes[axis + 1 :]], np.int64)

    def _sizes(self, node: onnx.NodeProto) -> list[int]:
        """The shape of what a node gives, at the batch that the graph is written for; empty where it is not known."""
        shape = self._at_batch.get(node.output[0], ())
        sizes = [size for size in shape if size]
        return sizes if len(sizes) == len(shape) else []

    def _axis_after(self, node: onnx.NodeProto, shapes: Mapping[str, Dims]) -> int | None:
        """The axis that holds the batch after a Reshape; None where it is not known before."""
        outside = self._before_batch(node.input[0], shapes)
        return None if outside is None else _batch_axis(self._sizes(node), outside, self._batch)

    def _before_batch(self, tensor: str, shapes: Mapping[str, Dims]) -> int | None:
        """How many steps the axes make that lie outside of the batch's; None where that is not known."""
        shape = shapes.get(tensor, ())
        if shape.count(None) != 1:
            return None
        before = math.prod(size for size in shape[: shape.index(None)] if size is not None)
        return before * self._outside.get(tensor, 1) or None

    def _find_outside(self, shapes: Mapping[str, Dims]) -> None:
        """Of tensors in which one axis holds more than the batch and what is inside of it: the steps outside of it there, as
        in [tokens × batch, features]. Only a Reshape makes such an axis; others pass it on."""
        self._outside = {}
        for node in self._graph.node:
            if node.op_type == "Reshape":
                axis, before = self._axis_after(node, shapes), self._before_batch(node.input[0], shapes)
                if axis is not None and before is not None:
                    self._outside[node.output[0]] = max(1, before // math.prod(self._sizes(node)[:axis]))
            else:
                steps = max((self._outside.get(name, 1) for name in node.input), default=1)
                self._outside.update(dict.fromkeys(node.output, steps))

    def _repeat_constants(self, node: onnx.NodeProto, shapes: Mapping[str, Dims]) -> bool:
        """Of a Concat of items with a constant that stands once for each: repeat the constant as often as there are items."""
        known = [shapes.get(name, ()) for name in node.input]
        items = [name for name, shape in zip(node.input, known, strict=True) if shape[:1] == (None,)]
        fixed = [
            number
            for number, (name, shape) in enumerate(zip(node.input, known, strict=True))
            if shape[:1] == (self._batch,) and name not in self._varying
        ]
        axis = next(a.i for a in node.attribute if a.name == "axis")
        if not items or not fixed or axis in (0, -len(known[0])):
            return False
        for number in fixed:
            node.input[number] = self._expanded(node, number, items[0], len(known[number]))
        return True

    def _expanded(self, node: onnx.NodeProto, number: int, like: str, rank: int) -> str:
        """The first row of the node's input ``number``, repeated to the first axis of ``like``."""
        stem = f"{node.output[0]}_{number}"
        start, end = self._add(f"{stem}_from", [0]), self._add(f"{stem}_to", [1])
        make = onnx.helper.make_node
        added = [
            make("Slice", [node.input[number], start, end, start], [f"{stem}_row"]),
            make("Shape", [like], [f"{stem}_items"], start=0, end=1),
            make("Concat", [f"{stem}_items", self._add(f"{stem}_ones", [1] * (rank - 1))], [f"{stem}_shape"], axis=0),
            make("Expand", [f"{stem}_row", f"{stem}_shape"], [f"{stem}_repeated"]),
        ]
        place = next(i for i, other in enumerate(self._graph.node) if node.output[0] in other.output)
        for offset, one in enumerate(added):
            self._graph.node.insert(place + offset, one)
        return f"{stem}_repeated"

    def _add(self, name: str, values: npt.ArrayLike) -> str:
        """A new constant; its name."""
        self._graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def _batch_axis(sizes: Sequence[int], outside: int, batch: int) -> int | None:
    """The axis of ``sizes`` that holds the batch, with ``outside`` steps outside of it in row-major order, in which a
    reshape keeps it: the axis that begins there, but for the last, which holds features; else the one in which it lies."""
    before = [math.prod(sizes[:axis]) for axis in range(len(sizes))]
    begins = [axis for axis in range(len(sizes) - 1) if before[axis] == outside and sizes[axis] % batch == 0]
    holds = [
        axis
        for axis, size in enumerate(sizes)
        if before[axis] <= outside and before[axis] * size % (outside * batch) == 0
    ]
    return next(iter((*begins, *holds)), None)


def _at_batch(model: onnx.ModelProto, name: str, batch: int) -> onnx.ModelProto:
    """A copy whose input ``name`` has the given batch."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (value,) = [i for i in copy.graph.input if i.name == name]
    value.type.tensor_type.shape.dim[0].dim_value = batch
    return copy


def _outline(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without large weights, which are inputs in it: shapes are inferred quickly. Its outputs' shapes are open."""
    copy = onnx.ModelProto(ir_version=model.ir_version)
    copy.opset_import.extend(model.opset_import)
    copy.graph.name = "outline"
    copy.graph.node.extend(model.graph.node)
    copy.graph.input.extend(model.graph.input)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            copy.graph.initializer.append(tensor)
        else:
            copy.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    for output in model.graph.output:
        copy.graph.output.append(
            onnx.helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, None)
        )
    return copy


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.int64]]:
    """Constants that may be shapes, by name."""
    found = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.data_type == onnx.TensorProto.INT64}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        value = node.attribute[0]
        if value.name == "value" and value.t.data_type == onnx.TensorProto.INT64:
            found[node.output[0]] = numpy_helper.to_array(value.t)
        elif value.name == "value_ints":
            found[node.output[0]] = np.array(value.ints, np.int64)
    return found


def _reached(graph: onnx.GraphProto, name: str) -> set[str]:
    """The tensors that depend on ``name``, itself among them."""
    reached = {name}
    for node in graph.node:
        if not reached.isdisjoint(node.input):
            reached.update(node.output)
    return reached
