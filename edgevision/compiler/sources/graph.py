"""Clean-up of a float ONNX graph, so that engines and the quantizer see a simple one.

ONNX Runtime's basic optimisations (which give standard operators) fold constants, batch norm and padding into the
convolutions, and remove identities and dropout. What they leave is done here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgevision.compiler.sources.parity import ONLY_OUTPUT, brief
from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import ModelFileError

INPUT, OUTPUT, BATCH = "input", ONLY_OUTPUT, "batch"
MAX_PROTO = 2**31 - 1  # protobuf's own limit
_SPATIAL = (2, 3)
_FIRST_HARD_SWISH = 14  # opset


def clean_graph(model: onnx.ModelProto, name: str = "the model") -> onnx.ModelProto:
    """The same network, simpler. Its input is called ``input``, an only output ``output``; axis 0 of all is named ``batch``.

    Only operators of the standard domain, weights and bounds as initializers, shapes of all tensors in ``value_info``,
    no documentation strings. The same model gives the same bytes.

    Raises ModelFileError when ONNX Runtime or the ONNX checker refuses the graph, or one of several outputs has the name
    of the input.
    """
    model = fold_constants(_bare(model), name)
    _remove_identities(model.graph)
    _restore_hard_swish(model)
    if len(model.graph.output) > 1 and INPUT in {output.name for output in model.graph.output}:
        raise ModelFileError(
            f"{name} calls one of its outputs '{INPUT}', as the picture is called here; give it another name and export "
            "the model again"
        )
    rename_ends(model.graph)
    shapes = inferred_shapes(model)
    _pool_globally(model.graph, shapes)
    _flatten_pooled(model.graph, shapes)
    _name_nodes(model.graph)
    _drop_unused(model)
    del model.graph.value_info[:]
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelFileError(f"the cleaned graph of {name} is not valid ONNX: {brief(error)}") from error
    return model


def to_bytes(model: onnx.ModelProto, name: str = "the model") -> bytes:
    """The model as a file's content. Raises ModelFileError when it is larger than a protobuf can be."""
    if model.ByteSize() > MAX_PROTO:
        raise ModelFileError(f"{name} has {model.ByteSize() / 2**30:.1f} GiB; graphs of up to 2 GiB can be compiled")
    return bytes(model.SerializeToString(deterministic=True))


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """Shape of an input or output, None for each axis that is not fixed; None when the graph does not say its rank."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)


def rename_ends(graph: onnx.GraphProto) -> None:
    """Name the only input ``input``, an only output ``output``, and the first axis of all ``batch``. Several outputs keep
    their names, by which their task knows them."""
    renamed = {input_of(graph).name: INPUT}
    if len(graph.output) == 1:
        renamed[graph.output[0].name] = OUTPUT
    aside = {name: f"{name}_aside" for name in renamed.values()}  # inside, by chance called so
    for old, new in aside.items():
        _rename(graph, old, new)
    for old, new in renamed.items():
        _rename(graph, aside.get(old, old), new)
    inputs = [i for i in graph.input if i.name == INPUT]
    for value in (*inputs, *graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.Clear()
        axis.dim_param = BATCH
    for extra in [i for i in graph.input if i.name != INPUT]:
        graph.input.remove(extra)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without what exporters write for people: stack traces would be most of a small file."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for field in ("doc_string", "producer_name", "producer_version", "domain", "model_version", "metadata_props"):
        bare.ClearField(field)
    graph = bare.graph
    graph.name = "edgevision"
    graph.ClearField("value_info")
    for item in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        item.ClearField("doc_string")
        if "metadata_props" in item.DESCRIPTOR.fields_by_name:
            item.ClearField("metadata_props")
    return bare


def fold_constants(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The graph after ONNX Runtime's basic optimisations. Raises ModelFileError where it refuses the graph."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        target = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(to_bytes(model, name), options, providers=["CPUExecutionProvider"])
            folded = onnx.load(target)
        except ModelFileError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise ModelFileError(
                f"ONNX Runtime {ort.__version__} refuses the graph of {name}: {brief(error)}. "
                "Export it with standard operators, opset 17 or 18"
            ) from error
    folded.graph.name = "edgevision"
    return _bare(folded)


def _remove_identities(graph: onnx.GraphProto) -> None:
    """Identities in the way of the graph's output, which ONNX Runtime keeps."""
    made_by_nodes = {name for node in graph.node for name in node.output}
    outputs = {o.name for o in graph.output}
    for node in [n for n in graph.node if n.op_type == "Identity"]:
        source, target = node.input[0], node.output[0]
        if target not in outputs:
            graph.node.remove(node)
            _rename(graph, target, source)
        elif source in made_by_nodes and source not in outputs:
            graph.node.remove(node)
            _rename(graph, source, target)


def _restore_hard_swish(model: onnx.ModelProto) -> None:
    """x·HardSigmoid(x) is HardSwish, which ONNX Runtime takes apart when it loads a graph (and so in ``fold_constants``).

    OpenVINO runs it inside the convolution before, and HardSigmoid on its own: MobileNetV3-Large takes 1.1 times as
    long there in float and 1.3 times in int8 without this.
    """
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < _FIRST_HARD_SWISH:
        return
    graph = model.graph
    outputs = {o.name for o in graph.output}
    for gate in [n for n in graph.node if n.op_type == "HardSigmoid"]:
        readers = [n for n in graph.node if gate.output[0] in n.input]
        values = {a.name: a.f for a in gate.attribute}
        if (
            len(readers) == 1
            and readers[0].op_type == "Mul"
            and set(readers[0].input) == {gate.input[0], gate.output[0]}
            and gate.output[0] not in outputs
            and abs(values.get("alpha", 0.2) - 1 / 6) < 1e-6
            and values.get("beta", 0.5) == 0.5
        ):
            product = readers[0]
            swish = onnx.helper.make_node("HardSwish", [gate.input[0]], list(product.output), product.name)
            _replace(graph, list(graph.node).index(product), [swish])
            graph.node.remove(gate)


def _pool_globally(graph: onnx.GraphProto, shapes: dict[str, tuple[int | None, ...]]) -> None:
    """ReduceMean over height and width is GlobalAveragePool, which engines have in int8."""
    constants = {i.name: i for i in graph.initializer}
    for index, node in reversed(list(enumerate(graph.node))):
        if node.op_type != "ReduceMean" or len(shapes.get(node.input[0], ())) != 4:
            continue
        axes = _axes(node, constants)
        if axes is None or tuple(sorted(a % 4 for a in axes)) != _SPATIAL:
            continue
        keeps = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
        pooled = node.output[0] if keeps else f"{node.output[0]}_pooled"
        replacement = [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], node.name)]
        if not keeps:
            replacement.append(
                onnx.helper.make_node("Flatten", [pooled], [node.output[0]], f"{node.name}_flatten", axis=1)
            )
        _replace(graph, index, replacement)
        shapes[pooled] = (*shapes[node.input[0]][:2], 1, 1)


def _flatten_pooled(graph: onnx.GraphProto, shapes: dict[str, tuple[int | None, ...]]) -> None:
    """Reshape or Squeeze of [n, c, 1, 1] to [n, c] is Flatten: no shape tensor, so no batch in it."""
    for index, node in reversed(list(enumerate(graph.node))):
        if node.op_type not in ("Reshape", "Squeeze"):
            continue
        before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
        pooled = len(before) == 4 and before[2:] == (1, 1) and before[1] is not None
        if pooled and len(after) == 2 and after[1] == before[1]:
            flatten = onnx.helper.make_node("Flatten", [node.input[0]], [node.output[0]], node.name, axis=1)
            _replace(graph, index, [flatten])


def _axes(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> tuple[int, ...] | None:
    """Axes of a ReduceMean: an attribute before opset 18, then an input."""
    for attribute in node.attribute:
        if attribute.name == "axes":
            return tuple(attribute.ints)
    if len(node.input) > 1 and node.input[1] in constants:
        return tuple(int(a) for a in np.atleast_1d(numpy_helper.to_array(constants[node.input[1]])))
    return None


def _replace(graph: onnx.GraphProto, index: int, nodes: list[onnx.NodeProto]) -> None:
    del graph.node[index]
    for offset, node in enumerate(nodes):
        graph.node.insert(index + offset, node)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """A name for each node, of its own: reports and the list of float layers speak of nodes by name."""
    used: set[str] = set()
    for node in graph.node:
        name = node.name or f"{node.op_type}_{node.output[0]}"
        while name in used:
            name += "_"
        node.name = name
        used.add(name)


def _drop_unused(model: onnx.ModelProto) -> None:
    """Initializers no node reads, and the operator sets ONNX Runtime declares without need."""
    read = {name for node in all_nodes(model.graph) for name in node.input} | {o.name for o in model.graph.output}
    initializers = [i for i in model.graph.initializer if i.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)
    domains = {node.domain for node in all_nodes(model.graph)} | {""}
    versions = [(o.domain, o.version) for o in model.opset_import if o.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions)


def input_of(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The only input of a graph, initializers that are listed as inputs apart."""
    initializers = {i.name for i in graph.initializer}
    (value,) = [i for i in graph.input if i.name not in initializers]
    return value


def inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """The shapes of a graph's tensors by name, as far as they follow from its input's; None for an axis that is not fixed."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes: dict[str, tuple[int | None, ...]] = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    return {**shapes, **{value.name: shape for value in values if (shape := shape_of(value)) is not None}}


def remove_unused_nodes(graph: onnx.GraphProto) -> None:
    """Take the nodes out that no output of the graph needs, in place."""
    needed = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(read_by(node))


def read_by(node: onnx.NodeProto) -> list[str]:
    """The tensors that a node reads, in the graphs inside it too."""
    return [name for one in all_nodes(onnx.GraphProto(node=[node])) for name in one.input]


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in all_nodes(graph):
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
    for item in (*graph.initializer, *graph.input, *graph.output):
        if item.name == old:
            item.name = new


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the graphs inside its control flow."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from all_graphs(inner)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the graphs inside its control flow."""
    for one in all_graphs(graph):
        yield from one.node
