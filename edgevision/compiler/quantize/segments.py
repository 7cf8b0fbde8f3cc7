"""A float graph cut into segments that run one after another: what one changed node does to the answers, cheaply.

Up to that node everything stays as it was, and is kept from one run of the float graph; behind it, the segments that
are there already run once more. On average that is half of the network, and no session for all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgevision.compiler.quantize.placement import Graph
from edgevision.engines.importing import import_onnxruntime
from edgevision.engines.onnxruntime import ask_for_exact_sums
from edgevision.errors import EngineError

SHORTEST, LONGEST = 4, 12  # nodes of a segment; between them a cut goes where the fewest tensors cross it
LARGE_WEIGHT_BYTES = 1 << 16  # weights larger than this are left out of segments that do not read them
Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Segment:
    """``nodes``: their names. ``inputs``, ``outputs``: tensors read from, and handed on to, other segments."""

    nodes: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class SegmentedGraph:
    """A float graph in segments, with an ONNX Runtime session for each.

    Args:
        graph: float ONNX, as for ``quantize``.
        threads: for ONNX Runtime.

    Raises:
        EngineError: ONNX Runtime cannot run a segment.
        ModelFileError: the graph cannot be read.
    """

    def __init__(self, graph: bytes, *, threads: int = 1) -> None:
        view = Graph.parse(graph)
        typed = {value.name for value in [*view.model.graph.value_info, *view.model.graph.output]}
        if any(name not in typed for node in view.model.graph.node for name in node.output if name):
            view = Graph.parse(onnx.shape_inference.infer_shapes(view.model).SerializeToString())
        self.view = view
        self.outputs = tuple(value.name for value in view.model.graph.output)
        self._threads = threads
        self._types = {
            value.name: value
            for value in [*view.model.graph.input, *view.model.graph.output, *view.model.graph.value_info]
        }
        self.segments = _cut(view)
        self._place = {name: place for place, segment in enumerate(self.segments) for name in segment.nodes}
        self._results = {node.name: view.result(node) for node in view.model.graph.node}
        self._sessions = [
            self._session(self._part(view.model, segment.inputs, segment.outputs)) for segment in self.segments
        ]

    def segment_of(self, node: str) -> int:
        """The place of the segment that the node is in."""
        return self._place[node]

    def run(self, photos: NDArray[np.float32]) -> list[Values]:
        """What each segment reads and what goes past it, for photos [n, c, h, w]; last, the outputs."""
        values: Values = {self.view.input: np.ascontiguousarray(photos, np.float32)}
        kept = [values]
        for place in range(len(self.segments)):
            values = self._step(place, values)
            kept.append(values)
        return kept

    def without_other_weights(self, place: int) -> bytes:
        """The whole graph without the weights that only other segments read: quick to rewrite, not to be run."""
        own = {name for node in self._nodes(place) for name in node.input}
        model = onnx.ModelProto()
        model.ir_version = self.view.model.ir_version
        model.opset_import.extend(self.view.model.opset_import)
        graph, whole = model.graph, self.view.model.graph
        graph.name = whole.name
        graph.node.extend(whole.node)
        graph.input.extend(whole.input)
        graph.output.extend(whole.output)
        graph.value_info.extend(whole.value_info)
        for tensor in whole.initializer:
            if tensor.name in own or tensor.ByteSize() <= LARGE_WEIGHT_BYTES:
                graph.initializer.append(tensor)
            else:
                graph.initializer.append(
                    onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
                )
        return bytes(model.SerializeToString())

    def outputs_with(self, node: str, changed: onnx.ModelProto, values: Values) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name where one node is that of another graph.

        Args:
            node: its name in the float graph.
            changed: the float graph with that node rewritten, as ``quantize`` does: other tensors keep their names, and
                what is to be read in place of the node's result is called so with ``_dequantized`` behind it.
            values: what ``run`` gave for the node's segment.
        """
        place = self._place[node]
        segment = self.segments[place]
        result = self._results[node]
        dequantized = f"{result}_dequantized"
        renamed = result not in self.view.outputs and any(dequantized in other.output for other in changed.graph.node)
        wanted = [dequantized if renamed and name == result else name for name in segment.outputs]
        session = self._session(self._part(changed, segment.inputs, wanted))
        made = self._outputs(session, wanted, {entry.name: values[entry.name] for entry in session.get_inputs()})
        values = self._passed_on(place, values, dict(zip(segment.outputs, made, strict=True)))
        for later in range(place + 1, len(self.segments)):
            values = self._step(later, values)
        return self.answer(values)

    def answer(self, values: Values) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name among the last of what ``run`` gives."""
        return {name: values[name] for name in self.outputs}

    def _nodes(self, place: int) -> Iterable[onnx.NodeProto]:
        return (node for node in self.view.model.graph.node if node.name in self.segments[place].nodes)

    def _step(self, place: int, values: Values) -> Values:
        segment = self.segments[place]
        made = self._outputs(self._sessions[place], segment.outputs, {name: values[name] for name in segment.inputs})
        return self._passed_on(place, values, dict(zip(segment.outputs, made, strict=True)))

    def _passed_on(self, place: int, values: Values, made: Values) -> Values:
        """With ``made``, without what no later segment reads."""
        read = {name for segment in self.segments[place + 1 :] for name in segment.inputs} | self.view.outputs
        return {name: value for name, value in {**values, **made}.items() if name in read}

    def _part(self, model: onnx.ModelProto, inputs: Collection[str], outputs: Collection[str]) -> onnx.ModelProto:
        """The part of the model between these tensors: what ``outputs`` need that ``inputs`` do not give."""
        nodes = model.graph.node
        producer = {name: place for place, node in enumerate(nodes) for name in node.output if name}
        wanted, needed, read = list(outputs), set[int](), set[str]()
        while wanted:
            name = wanted.pop()
            if name in read:
                continue
            read.add(name)
            if name not in inputs and name in producer:
                needed.add(producer[name])
                wanted += [other for other in nodes[producer[name]].input if other]
        part = onnx.ModelProto()
        part.ir_version = model.ir_version
        part.opset_import.extend(model.opset_import)
        part.graph.name = model.graph.name or "part"
        part.graph.node.extend(nodes[place] for place in sorted(needed))
        part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
        part.graph.input.extend(self._types[name] for name in sorted(read & set(inputs)))
        part.graph.output.extend(self._types.get(name) or _float_tensor(name) for name in outputs)
        return part

    def _session(self, model: onnx.ModelProto) -> Any:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Many sessions take turns: threads of one that spun while they wait would take the cores from the next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        ask_for_exact_sums(options)
        try:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise EngineError(f"ONNX Runtime cannot load a part of the graph: {error}") from error

    def _outputs(self, session: Any, names: Collection[str], inputs: Values) -> list[NDArray[Any]]:
        try:
            outputs: list[NDArray[Any]] = session.run(list(names), dict(inputs))
        except Exception as error:  # as above
            raise EngineError(f"ONNX Runtime cannot run a part of the graph: {error}") from error
        return outputs


def _float_tensor(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def _cut(view: Graph) -> tuple[Segment, ...]:
    nodes = list(view.model.graph.node)
    crossing = _crossing(view)
    inside = _inside_pairs(view)
    allowed = [place for place in range(1, len(nodes)) if crossing[place] <= view.floats and place not in inside]
    cuts = [0]
    while len(nodes) - cuts[-1] > LONGEST:
        near = [place for place in allowed if cuts[-1] + SHORTEST <= place <= cuts[-1] + LONGEST]
        further = [place for place in allowed if place > cuts[-1] + LONGEST]
        if not near and not further:
            break
        cuts.append(min(near, key=lambda place: len(crossing[place])) if near else further[0])
    cuts.append(len(nodes))
    segments = []
    for start, end in pairwise(cuts):
        own = nodes[start:end]
        read = {name for node in own for name in node.input}
        made = {name for node in own for name in node.output}
        inputs = tuple(sorted(name for name in crossing[start] if name in read))
        outputs = tuple(sorted(name for name in crossing[end] if name in made))
        segments.append(Segment(frozenset(node.name for node in own), inputs, outputs))
    return tuple(segments)


def _crossing(view: Graph) -> list[frozenset[str]]:
    """Tensors made before each place between two nodes, the graph's input too, and read behind it; at the end, outputs."""
    found = [frozenset(view.outputs)]
    alive = set(view.outputs)
    for node in reversed(view.model.graph.node):
        alive -= set(node.output)
        alive |= {name for name in node.input if name and name not in view.constants}
        found.append(frozenset(alive))
    return found[::-1]


def _inside_pairs(view: Graph) -> set[int]:
    """The places between a node and the activation function that belongs to it."""
    position = {node.name: place for place, node in enumerate(view.model.graph.node)}
    found: set[int] = set()
    for place, node in enumerate(view.model.graph.node):
        if (activation := view.activation_of(node)) is not None:
            found.update(range(place + 1, position[activation.name] + 1))
    return found
