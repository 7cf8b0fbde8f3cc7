"""``If`` nodes whose condition is the same for every picture, put in line.

TorchScript's exporter writes them for what depends on shapes: ``squeeze`` asks whether an axis has one element, local
response normalisation whether its input is empty. Engines and the quantizer would have to take control flow for it.
"""

from __future__ import annotations

import numpy as np
import onnx

from edgevision.compiler.sources.graph import all_graphs, all_nodes, read_by, remove_unused_nodes, to_bytes
from edgevision.compiler.sources.parity import BATCHES, open_session, pixels
from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import PreprocessSpec

_SHAPES = ("Shape", "Size")


def fold_conditions(model: onnx.ModelProto, spec: PreprocessSpec, name: str) -> None:
    """Put the branch of each ``If`` in line that is always taken, in place.

    That is known where its condition depends on the input's shape only, and is the same at every batch of ``BATCHES``. A
    condition on pixels stays, as does one of a graph that does not run at these batches.
    """
    while True:
        conditions = _on_shapes(model.graph)
        if not conditions:
            return
        values = _evaluate(model, conditions, spec, name)
        if not values:
            return
        for node in [node for node in model.graph.node if node.op_type == "If" and node.input[0] in values]:
            _put_in_line(model.graph, node, values[node.input[0]])
        remove_unused_nodes(model.graph)  # the conditions


def _on_shapes(graph: onnx.GraphProto) -> list[str]:
    """The conditions that no tensor's values reach, only shapes."""
    inputs = {value.name for value in graph.input}
    by_values = set(inputs)  # what depends on the pixels
    for node in graph.node:
        if node.op_type not in _SHAPES and not by_values.isdisjoint(read_by(node)):
            by_values.update(node.output)
    return list({n.input[0]: None for n in graph.node if n.op_type == "If" and n.input[0] not in by_values})


def _evaluate(model: onnx.ModelProto, conditions: list[str], spec: PreprocessSpec, name: str) -> dict[str, bool]:
    """The conditions that are the same at every batch, with what they are."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(
        onnx.helper.make_tensor_value_info(one, onnx.TensorProto.BOOL, None) for one in conditions
    )
    found: dict[str, set[bool]] = {one: set() for one in conditions}
    try:
        session = open_session(to_bytes(asked, name), name)
        for batch in BATCHES:
            feed = {asked.graph.input[0].name: pixels(spec, batch, seed=0)}
            for one, value in zip(conditions, session.run(conditions, feed), strict=True):  # type: ignore[attr-defined]
                found[one].add(bool(np.asarray(value).all()))
    except ModelFileError:
        raise
    except Exception:  # ONNX Runtime's; whatever does not run is told by those who run the whole graph
        return {}
    return {one: values.pop() for one, values in found.items() if len(values) == 1}


def _put_in_line(graph: onnx.GraphProto, node: onnx.NodeProto, taken: bool) -> None:
    """The nodes of the branch in place of the ``If``; names inside get its own before them, so that none is there twice."""
    branch = next(a.g for a in node.attribute if a.name == ("then_branch" if taken else "else_branch"))
    inner = onnx.GraphProto()
    inner.CopyFrom(branch)
    made = {name for one in inner.node for name in one.output} | {i.name for i in inner.initializer}
    renamed = {name: f"{node.output[0]}_branch/{name}" for name in made if name}
    for one in all_nodes(inner):
        one.input[:] = [renamed.get(name, name) for name in one.input]
        one.output[:] = [renamed.get(name, name) for name in one.output]
    for sub in all_graphs(inner):
        for value in (*sub.output, *sub.initializer):
            value.name = renamed.get(value.name, value.name)
    ends = [
        onnx.helper.make_node("Identity", [result.name], [output])
        for result, output in zip(inner.output, node.output, strict=True)
    ]
    place = list(graph.node).index(node)
    del graph.node[place]
    for offset, one in enumerate((*inner.node, *ends)):
        graph.node.insert(place + offset, one)
    graph.initializer.extend(inner.initializer)
