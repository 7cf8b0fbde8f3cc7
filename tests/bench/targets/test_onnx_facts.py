"""Precision and metadata found in ONNX files, compared with how the files were made."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.onnx_facts import facts_in, read_facts
from edgevision.errors import EngineError, InputError

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("name", "layers"),
    [("color.onnx", {"float32": 1}), ("color-int8.onnx", {"int8": 1}), ("cells.onnx", {"float32": 2})],
)
def test_graphs_that_are_known(name, layers):
    assert read_facts(DATA / name).layers == layers


def graph(*, activations="float", weights="float", kind="Conv"):
    """One layer, between whatever makes its two inputs."""
    from onnx import TensorProto, helper, numpy_helper

    half = "float16" in (activations, weights)
    dtype = np.float16 if half else np.float32
    nodes, constants = (
        [],
        {"scale": np.array(0.1, dtype), "zero": np.array(0, np.uint8), "zero_s": np.array(0, np.int8)},
    )
    picture = "input"
    if half:
        nodes.append(helper.make_node("Cast", ["input"], ["cast"], to=TensorProto.FLOAT16))
        picture = "cast"
    if activations == "int8":
        nodes += [
            helper.make_node("QuantizeLinear", [picture, "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        ]
        picture = "dq"
    weight = "weight"
    shape = (3, 3, 1, 1) if kind == "Conv" else (8, 8)
    if weights == "int8":
        constants["weight_q"] = np.ones(shape, np.int8)
        nodes.append(helper.make_node("DequantizeLinear", ["weight_q", "scale", "zero_s"], ["moved"]))
        nodes.append(helper.make_node("Identity", ["moved"], ["weight"]))
    elif weights == "constant":
        value = numpy_helper.from_array(np.ones(shape, dtype))
        nodes.append(helper.make_node("Constant", [], ["weight"], value=value))
    else:
        constants["weight"] = np.ones(shape, dtype)
    nodes.append(helper.make_node(kind, [picture, weight], ["made"]))
    nodes.append(helper.make_node("Relu", ["made"], ["output"]))
    made = helper.make_graph(
        nodes, "one", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT16 if half else TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"author": "Ultralytics", "names": "{0: 'ä'}"})
    return model.SerializeToString()


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("kind", ["Conv", "MatMul"])
@pytest.mark.parametrize(
    ("activations", "weights", "expected"),
    [
        ("float", "float", "float32"),
        ("float", "constant", "float32"),
        ("float16", "float16", "float16"),
        ("int8", "int8", "int8"),
        ("float", "int8", "float32 with int8 weights"),
        ("int8", "float", "float32"),
    ],
)
def test_a_layer_is_counted_by_what_it_reads(kind, activations, weights, expected):
    facts = facts_in(graph(activations=activations, weights=weights, kind=kind))
    assert facts.layers == {expected: 1}
    assert facts.metadata == {"author": "Ultralytics", "names": "{0: 'ä'}"}


@pytest.mark.requires("onnx")
def test_products_of_two_activations_and_whole_number_operators():
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("MatMul", ["input", "input"], ["a"]),
        helper.make_node("MatMulInteger", ["b", "c"], ["d"]),
        helper.make_node("MatMulNBits", ["a", "w"], ["output"], domain="com.microsoft"),
    ]
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes, "x", [info("input", TensorProto.DOUBLE, [2, 2])], [info("output", TensorProto.DOUBLE, [2, 2])]
    )
    assert facts_in(helper.make_model(made).SerializeToString()).layers == {
        "float64": 1, "int8": 1, "weights of few bits": 1,
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"no protobuf at all", b"\x08\x01", b"\x3a\x05ab"])
def test_what_is_no_onnx_is_refused(data, tmp_path):
    with pytest.raises(EngineError):
        facts_in(data)
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"m\.onnx is no ONNX file"):
        read_facts(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_facts(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_damaged_files_give_facts_or_an_error_and_nothing_else(place):
    data = bytearray((DATA / "color-int8.onnx").read_bytes())
    data[place % len(data)] ^= 0x85
    with contextlib.suppress(EngineError):
        facts_in(bytes(data))


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ({}, "no layers were found"),
        ({"int8": 0, "float32": 3}, "float32 in all 3 layers"),
        ({"float32": 3, "int8": 3}, "float32 in 3 of 6 layers, int8 in 3"),
    ],
)
def test_counts_in_words(layers, text):
    assert precision_text(layers) == text


def test_hashes_of_files_and_folders(tmp_path):
    import hashlib

    (tmp_path / "a").write_bytes(b"one")
    assert hash_of(tmp_path / "a") == (hashlib.sha256(b"one").hexdigest(), 3)
    folder, size = hash_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert hash_of(tmp_path)[0] != folder
    assert size == 3


def test_versions_of_what_is_installed():
    found = versions_of(["numpy", "no-such-package-at-all"])
    assert set(found) == {"python", "numpy"}
    assert found["numpy"] == np.__version__
