"""Graphs of RT-DETR's and D-FINE's own exporters: a second input, and an output of whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import PreprocessSpec, preset
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

HEIGHT, WIDTH, QUERIES = 24, 40, 3


def transformer(path, sides=(HEIGHT, WIDTH), size_input="orig_target_sizes", batch="N"):
    """As ``tools/export_onnx.py`` of these projects writes it: boxes are shares of the picture, times the size that is given.

    Its three queries answer for the mean of red, green and blue: the score is the mean, the class counts up, and the box is the
    upper left part of the picture of that share.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def constant(name, value, dtype):
        return numpy_helper.from_array(np.array(value, dtype), name)

    weights = [
        constant("shares", [[[0, 0, 1, 1]]], np.float32), constant("axes", [2, 3], np.int64),
        constant("twice", [1, 2], np.int64), constant("one", [1], np.int64), constant("last", [2], np.int64),
        constant("counted", [[0, 1, 2]], np.int64), constant("zero", 0, np.int64),
    ]  # fmt: skip
    make = helper.make_node
    nodes = [
        make("ReduceMean", ["images", "axes"], ["scores"], keepdims=0),
        make("Unsqueeze", ["scores", "last"], ["column"]),
        make("Mul", ["column", "shares"], ["in_shares"]),
        make("Tile", [size_input, "twice"], ["corners"]),
        make("Unsqueeze", ["corners", "one"], ["wide"]),
        make("Cast", ["wide"], ["wanted"], to=TensorProto.FLOAT),
        make("Mul", ["in_shares", "wanted"], ["boxes"]),
        make("Cast", ["scores"], ["floor"], to=TensorProto.INT64),
        make("Mul", ["floor", "zero"], ["nothing"]),
        make("Add", ["nothing", "counted"], ["labels"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "transformer",
        [value("images", TensorProto.FLOAT, [batch, 3, *sides]), value(size_input, TensorProto.INT64, [batch, 2])],
        [value("labels", TensorProto.INT64, [batch, QUERIES]), value("boxes", TensorProto.FLOAT, [batch, QUERIES, 4]),
         value("scores", TensorProto.FLOAT, [batch, QUERIES])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    save(model, path)
    return path


def load(path, spec=None):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    labels = [Label(i, name) for i, name in enumerate(("can", "jar", "box"))]
    return load_source(
        path, SourceOptions(preprocess=spec or preset("yolo", HEIGHT, WIDTH), labels=labels, task="detect")
    )


@pytest.mark.parametrize("batch", ["N", 1])
def test_boxes_are_in_pixels_of_the_input(batch, tmp_path):
    from edgevision.compiler.sources.export import export_float

    source = load(transformer(tmp_path / "dfine.onnx", batch=batch))
    assert [(output.role, output.layout) for output in source.task.outputs] == [
        (role, "labels-boxes-scores") for role in ("labels", "boxes", "scores")
    ]
    assert (
        source.notes[0] == "dfine.onnx asks for the size in which boxes are wanted: it was fixed to the input's, 40×24"
    )
    graph, _ = export_float(source)
    tensor = np.random.default_rng(0).random((2, 3, HEIGHT, WIDTH), np.float32)
    mean = tensor.mean(axis=(2, 3))
    found = run(graph, tensor)
    assert found["labels"].dtype == np.float32
    np.testing.assert_array_equal(found["labels"], [[0, 1, 2]] * 2)
    np.testing.assert_allclose(found["scores"], mean, atol=1e-6)
    np.testing.assert_allclose(found["boxes"], mean[..., None] * [0, 0, WIDTH, HEIGHT], rtol=1e-5)


def run(graph, tensor):
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: tensor}), strict=True))


@pytest.mark.parametrize(
    ("changes", "spec"),
    [({"size_input": "sizes"}, None), ({"sides": ("height", "width")}, PreprocessSpec(HEIGHT, WIDTH))],
)
def test_an_input_that_is_not_known_is_refused(changes, spec, tmp_path):
    with pytest.raises(ModelFileError, match="has 2 inputs"):
        load(transformer(tmp_path / "other.onnx", **changes), spec)
