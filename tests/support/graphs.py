"""Small ONNX graphs, made node by node, and the check that they have to pass."""

from __future__ import annotations

import numpy as np

from edgevision.engines.graph_check import check_graph

FLOAT, INT64 = 1, 7


def node(kind, inputs=("input",), outputs=("output",), **attributes):
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def constant(name, values, dtype=np.int64):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, dtype), name)


def f32(name, *shape):
    return constant(name, np.random.default_rng(1).random(shape), np.float32)


def model(nodes, weights=(), shape=("batch", 3), output=("batch", 3), opset=18, kind=FLOAT):
    from onnx import helper

    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("output", kind, output)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def data_of(nodes, weights=(), **about):
    return model(nodes, weights, **about).SerializeToString()


def admitted(data):
    return check_graph(data, "an engine")
