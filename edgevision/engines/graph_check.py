"""What a graph may be and cost before an engine sees it: engines trust graphs, and bundles come from anywhere.

Engines allocate what shapes say, fold constants while they load, run loops, and read files that a graph names. So a
graph from memory is read first (``graph_reader``), its shapes are followed through its nodes (``graph_shapes``), what engines
take beside them is added (``graph_scratch``), and it is refused where it would cost more than the limits below. They are far above any network for pictures: ResNet-152 makes
12 thousand million multiply-adds and holds 10 MB at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgevision.engines.graph_reader import Graph, Node, ValueInfo, element_count, read_graph, shown
from edgevision.engines.graph_scratch import scratch_of
from edgevision.engines.graph_shapes import Shape, SizeError, Tensor, rule_of
from edgevision.engines.graph_values import values_of
from edgevision.errors import EngineError

# Each for one item of a batch; elements are counted, most of which take 4 bytes.
MAX_LIVE_ELEMENTS = 2**28  # of tensors and scratch needed at one time, but for the file's own weights and constants
MAX_MADE_ELEMENTS = 2**32  # of all tensors together
MAX_WORK = 10**12  # multiply-adds
# What is the same for every picture, and so computed while loading, once, by slower code.
MAX_CONSTANT_ELEMENTS = 2**25
CONSTANT_ELEMENTS_PER_BYTE = 4  # of the file, where that is more: 16 times its size
MAX_CONSTANT_WORK = 10**9


class SafeGraph:
    """A graph that may be given to an engine. ``check_batch`` asks for other sizes of a batch. Made by ``check_graph``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._last_use = _last_uses(graph)
        self._passed: set[int] = set()

    def check_batch(self, batch: int) -> None:
        """Raise EngineError unless the graph may run with ``batch`` items. A size that passed is not looked at again.

        Takes no lock, for a signal handler may predict while its thread is in here; looking twice does no harm.
        """
        if batch not in self._passed:
            self.shapes(batch)
            self._passed.add(batch)

    def shapes(self, batch: int) -> dict[str, Shape]:
        """The shape of every tensor, for a batch. Goes through the nodes in their order. Raises EngineError as ``check_batch``."""
        graph = self._graph
        tensors = {c.name: Tensor(c.shape, c.values, constant=True) for c in graph.constants.values()}
        given = set(tensors)
        for one in graph.inputs:
            if one.name in tensors:
                raise EngineError(f"it has the input {shown(one.name)} twice; export the model again")
            tensors[one.name] = Tensor(_input_shape(one, batch))
        costs = _Costs(graph.size, batch)
        costs.hold(sum(math.prod(tensors[one.name].shape) for one in graph.inputs), "its inputs")
        for place, node in enumerate(graph.nodes):
            inputs = [_read(tensors, name, node) for name in node.inputs]
            made, work, scratch = _made(node, inputs)
            costs.make(node, made, work, scratch)
            for name, tensor in zip(node.outputs, made, strict=True):
                if name and name in tensors:
                    raise EngineError(f"{node} makes {shown(name)}, which is there already; export the model again")
                tensors[name] = tensor
                if place >= self._last_use.get(name, -1):
                    costs.release(tensor)
            for name in {n for n in node.inputs if n and self._last_use[n] == place} - given:
                costs.release(tensors[name])
        for one in graph.outputs:
            _check_output(one, tensors)
        return {name: tensor.shape for name, tensor in tensors.items()}


class _Costs:
    """Counts what nodes make, against the limits."""

    def __init__(self, file_bytes: int, batch: int) -> None:
        self._batch = batch
        self._constant_limit = max(MAX_CONSTANT_ELEMENTS, CONSTANT_ELEMENTS_PER_BYTE * file_bytes)
        self._live = self._made = self._work = self._constant = self._constant_work = 0

    def hold(self, elements: int, what: str) -> None:
        self._live += elements
        if self._live > MAX_LIVE_ELEMENTS * self._batch + self._constant_limit:
            raise EngineError(
                f"{what} would hold {_bytes(self._live)} at one time for a batch of {self._batch}, the limit is "
                f"{_bytes(MAX_LIVE_ELEMENTS)} for each item and {_bytes(self._constant_limit)} besides; use a smaller "
                "network or smaller pictures"
            )

    def release(self, tensor: Tensor) -> None:
        self._live -= math.prod(tensor.shape)

    def make(self, node: Node, tensors: list[Tensor], work: int, scratch: int) -> None:
        elements = sum(math.prod(tensor.shape) for tensor in tensors)
        self.hold(elements + scratch, f"{node}: with it the graph")
        self._live -= scratch
        self._made += elements
        self._work += work
        if self._made > MAX_MADE_ELEMENTS * self._batch or self._work > MAX_WORK * self._batch:
            raise EngineError(
                f"{node}: up to it the graph makes {self._work:.1e} multiply-adds and {_bytes(self._made)} of tensors, the "
                f"limits are {MAX_WORK:.0e} and {_bytes(MAX_MADE_ELEMENTS)} for each item; use a smaller network"
            )
        if any(tensor.constant for tensor in tensors):
            self._constant += elements
            self._constant_work += work
        if self._constant > self._constant_limit or self._constant_work > MAX_CONSTANT_WORK:
            raise EngineError(
                f"{node}: up to it the graph computes {_bytes(self._constant)} of constants with {self._constant_work:.1e} "
                f"multiply-adds, the limits are {_bytes(self._constant_limit)} and {MAX_CONSTANT_WORK:.0e}; "
                "export the model with constants folded"
            )


def check_graph(data: bytes, engine: str) -> SafeGraph:
    """Read an ONNX graph and make sure that it is self-contained and within the limits, for a batch of 1 or its own.

    Raises EngineError, which names the ``engine`` that it was meant for, what is wrong with "it", the graph, and what
    to do.

    >>> check_graph(Path("model.onnx").read_bytes(), "onnxruntime").check_batch(8)  # doctest: +SKIP
    """
    try:
        graph = SafeGraph(read_graph(data))
        graph.check_batch(1)
    except EngineError as error:
        raise EngineError(f"{engine} cannot load the graph: {error}") from error
    return graph


def require_fixed_axes(name: str, shape: Sequence[int | None] | None) -> None:
    """Raise EngineError for a tensor that has no axes, or a dynamic one besides the first, the batch."""
    if not shape or any(side is None for side in shape[1:]):
        raise EngineError(
            f"tensor {shown(name)} has shape {_text(shape or ())}; only the first axis, the batch, may be dynamic. "
            "Export the graph with fixed sizes"
        )


def _last_uses(graph: Graph) -> dict[str, int]:
    """The place of the last node that reads each tensor; outputs are needed to the end."""
    last = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
    return {**last, **{one.name: len(graph.nodes) for one in graph.outputs}}


def _input_shape(declared: ValueInfo, batch: int) -> Shape:
    require_fixed_axes(declared.name, declared.shape)
    return tuple(batch if side is None else side for side in declared.shape or ())


def _read(tensors: dict[str, Tensor], name: str, node: Node) -> Tensor | None:
    if not name:  # an optional input that is left out
        return None
    if name not in tensors:
        raise EngineError(f"{node} reads {shown(name)}, which nothing before it makes; export the model again")
    return tensors[name]


def _made(node: Node, inputs: list[Tensor | None]) -> tuple[list[Tensor], int, int]:
    """What a node makes, its multiply-adds, and the elements that it holds only while it runs."""
    rule = rule_of(node)
    if not node.outputs:
        raise EngineError(f"{node} makes nothing; export the model again")
    try:
        shapes, work = rule(node, inputs)
        if len(shapes) == 1:
            shapes = shapes * len(node.outputs)
        if len(shapes) < len(node.outputs):
            raise SizeError(f"it has {len(node.outputs)} outputs")
        shapes = shapes[: len(node.outputs)]
        for shape in shapes:
            element_count(shape, node)  # only to check it
        scratch = scratch_of(node, inputs, shapes)
        values = values_of(node, inputs, shapes)
    except (SizeError, IndexError, TypeError, OverflowError) as error:
        raise EngineError(f"{node} does not fit what it reads: {error}; export the model again") from error
    constant = all(tensor is None or tensor.constant for tensor in inputs) or values[0] is not None
    return [Tensor(shape, value, constant) for shape, value in zip(shapes, values, strict=True)], work, scratch


def _check_output(declared: ValueInfo, tensors: dict[str, Tensor]) -> None:
    tensor = tensors.get(declared.name)
    if tensor is None:
        raise EngineError(f"nothing makes its output {shown(declared.name)}; export the model again")
    if declared.shape is None:
        return
    fits = len(declared.shape) == len(tensor.shape) and all(
        side is None or side == real for side, real in zip(declared.shape, tensor.shape, strict=True)
    )
    if not fits:
        raise EngineError(
            f"its output {shown(declared.name)} is declared as {_text(declared.shape)} and "
            f"would be {list(tensor.shape)}; export the model again"
        )


def _text(shape: Sequence[int | None]) -> str:
    return str(["?" if side is None else side for side in shape])


def _bytes(elements: int) -> str:
    size = 4 * elements
    if size < 2**30:
        return f"{size / 2**20:.0f} MiB"
    return f"{size / 2**30:.1f} GiB" if size < 2**40 else f"{size / 2**40:.0f} TiB"
