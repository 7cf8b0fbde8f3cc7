"""Graphs of many kinds, built here: what engines accept, and how they refuse."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from edgevision.engines import EngineOptions, open_engine
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("onnx")


def build(nodes, *, input_shape=("batch", 3), output_shape=("batch", 3), weights=(), opset=17, kind="FLOAT"):
    from onnx import TensorProto, helper

    element = getattr(TensorProto, kind)
    domains = {"": opset, **{node.domain: 1 for node in nodes if node.domain}}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", element, input_shape)],
        [helper.make_tensor_value_info("output", element, output_shape)],
        list(weights),
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def node(kind, inputs=("input",), outputs=("output",), **attributes):
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def test_custom_operators_are_refused_with_their_name(engine_name):
    with pytest.raises(EngineError, match=r"acme[.:]Foo.*standard ONNX operators"):
        open_engine(engine_name, build([node("Foo", domain="acme")]))


def test_a_fixed_batch_is_kept(engine_name):
    with open_engine(engine_name, build([node("Abs")], input_shape=(2, 3), output_shape=(2, 3))) as engine:
        assert engine.inputs[0].shape == (2, 3)
        with pytest.raises(EngineError, match="exactly 2, asked for 4"):
            engine.slots(4)
        (slot,) = engine.slots(2)
        slot.inputs["input"][:] = [[-1, 2, -3], [4, -5, 6]]
        engine.run(slot, 1)
        np.testing.assert_array_equal(slot.outputs["output"][0], [1, 2, 3])
        engine.run(slot)
        np.testing.assert_array_equal(slot.outputs["output"], [[1, 2, 3], [4, 5, 6]])
        assert sum(engine.layer_precisions().values()) == 1


def test_dynamic_picture_sizes_are_refused(engine_name):
    shape = ("batch", 3, "height", "width")
    with pytest.raises(EngineError, match=r"\['\?', 3, '\?', '\?'\]; only the first axis"):
        open_engine(engine_name, build([node("Abs")], input_shape=shape, output_shape=shape))


def test_text_tensors_are_refused(engine_name):
    with pytest.raises(EngineError):
        open_engine(engine_name, build([node("Identity")], kind="STRING"))


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8", "INT64", "DOUBLE"])
def test_element_types_map_to_numpy(engine_name, kind):
    dtype = {"FLOAT16": "float16", "UINT8": "uint8", "INT64": "int64", "DOUBLE": "float64"}[kind]
    with open_engine(engine_name, build([node("Identity")], kind=kind)) as engine:
        assert engine.inputs[0].dtype == dtype
        (slot,) = engine.slots(2)
        slot.inputs["input"][:] = [[1, 2, 3], [4, 5, 6]]
        engine.run(slot)
        np.testing.assert_array_equal(slot.outputs["output"], [[1, 2, 3], [4, 5, 6]])


@pytest.mark.requires("openvino")
def test_bfloat16_runs_where_the_cpu_has_it_and_says_why_not(graph):
    import openvino

    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options = EngineOptions(1, "bfloat16")
    if not able:
        with pytest.raises(EngineError, match="bfloat16 needs a CPU"):
            open_engine("openvino", graph("color"), options)
        return
    with open_engine("openvino", graph("color"), options) as engine:
        assert "bfloat16" in engine.layer_precisions()
        (slot,) = engine.slots(1)
        slot.inputs["input"][:] = 0.7
        engine.run(slot)
        np.testing.assert_allclose(slot.outputs["output"], 5.6, rtol=2**-7)  # bfloat16 keeps 8 bits


@pytest.mark.requires("openvino")
def test_openvino_refuses_bfloat16_without_the_instructions(graph, monkeypatch):
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(EngineError, match=r"bfloat16 needs a CPU.*use a float32 or int8 variant"):
        open_engine("openvino", graph("color"), EngineOptions(1, "bfloat16"))


@pytest.mark.requires("openvino")
def test_openvino_compiles_no_more_sizes_than_powers_of_two(graph):
    with open_engine("openvino", graph("color")) as engine:
        (slot,) = engine.slots(8)
        for n in range(1, 9):
            engine.run(slot, n)
        assert sorted(engine._compiled) == [1, 2, 4, 8]


@pytest.mark.parametrize("name", ["color", "color-int8"])
def test_the_committed_graphs_are_what_their_script_makes(name):
    import onnx

    data = Path(__file__).parents[1] / "data"
    spec = importlib.util.spec_from_file_location("make_graphs", data / "make_graphs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.color_graph(int8=name == "color-int8")
    assert onnx.load_from_string(made) == onnx.load(data / f"{name}.onnx")
