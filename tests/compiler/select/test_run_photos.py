"""Variants over photos: what is kept is the digest, however large the outputs are."""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto
from edgevision.compiler.select.run_photos import answers_of, run_all
from edgevision.compiler.variants import Candidate, Variant
from edgevision.decode import encode_png
from edgevision.errors import EngineError, InputError
from edgevision.preprocess.spec import PreprocessSpec

pytestmark = pytest.mark.requires("torch", "onnx")

SIDE = 8
SPEC = PreprocessSpec(SIDE, SIDE, mean=(0.0,) * 3, std=(255.0,) * 3)


def graph(factor: float = 1.0) -> bytes:
    """The picture times ``factor``, and its mean: dense outputs, as of a network that segments."""
    nodes = [
        helper.make_node("Mul", ["input", "factor"], ["dense"], "multiply"),
        helper.make_node("ReduceMean", ["dense"], ["mean"], "mean", axes=[1, 2, 3], keepdims=0),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))
        for name, shape in (("input", (3, SIDE, SIDE)), ("dense", (3, SIDE, SIDE)), ("mean", ()))
    ]
    constant = helper.make_tensor("factor", TensorProto.FLOAT, (), [factor])
    made = helper.make_graph(nodes, "dense", ends[:1], ends[1:], [constant])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class Watched:
    """A measure that keeps one number of each item, and sees how many outputs are in memory when it is asked."""

    def __init__(self) -> None:
        self.outputs: list[weakref.ref] = []
        self.most_alive = 0
        self.measure = AnswerMeasure(SimpleNamespace(task=self))

    def digest(self, outputs):
        assert set(outputs) == {"dense", "mean"}
        self.outputs.append(weakref.ref(outputs["dense"]))
        self.most_alive = max(self.most_alive, sum(one() is not None for one in self.outputs))
        return {"sum": outputs["dense"].reshape(len(outputs["dense"]), -1).sum(axis=1, keepdims=True)}


def tensors(count: int, batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((batch, 3, SIDE, SIDE), np.float32) for _ in range(count)]


def test_outputs_of_a_graph_are_digested_batch_by_batch():
    watched, batches = Watched(), tensors(20, 4)
    found = watched.measure.run(graph(), iter(batches))
    assert found.keys() == {"sum"}
    np.testing.assert_allclose(found["sum"][:, 0], np.concatenate(batches).sum(axis=(1, 2, 3)), rtol=1e-5)
    assert len(watched.outputs) == 20
    assert watched.most_alive <= 2  # this batch's, and at most the one before


def test_outputs_of_variants_are_digested_item_by_item():
    watched, batches = Watched(), tensors(5, 4)
    engines = {name: variant(name, factor).open(1) for name, factor in (("a", 1.0), ("b", 2.0))}
    try:
        found = run_all(engines, iter(batches), watched.measure)
    finally:
        for engine in engines.values():
            engine.close()
    assert len(watched.outputs) == 2 * 20
    assert watched.most_alive <= 2
    expected = np.concatenate(batches).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found["a"]["sum"][:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(found["b"]["sum"][:, 0], 2 * expected, rtol=1e-5)


def variant(id: str, factor: float) -> Variant:
    return Variant(id, Candidate(id, graph(factor), "float32", "float"), "onnxruntime", "float32")


def test_photos_are_prepared_once_for_all_and_progress_is_told():
    photos = []
    for value in range(10):
        png = encode_png(np.full((SIDE, SIDE, 3), 10 * value, np.uint8))
        photos.append(CompilePhoto(png, None, str(value)))
    told = []
    found = answers_of(
        [variant("a", 1.0), variant("b", 0.5)], photos, SPEC, Watched().measure, 1, "photos",
        lambda *call: told.append(call),
    )  # fmt: skip
    expected = np.arange(10) * 10 / 255 * 3 * SIDE * SIDE
    np.testing.assert_allclose(found["a"]["sum"][:, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(found["b"]["sum"][:, 0], expected / 2, rtol=1e-4)
    assert told == [("photos", 0, 10), ("photos", 8, 10), ("photos", 10, 10)]


def test_a_graph_that_cannot_run_is_an_engine_error():
    measure = Watched().measure
    with pytest.raises(EngineError, match="ONNX Runtime cannot run the graph"):
        measure.run(b"no graph", tensors(1, 1))
    with pytest.raises(EngineError, match="ONNX Runtime cannot run the graph"):
        measure.run(graph(), [np.zeros((1, 3, SIDE, SIDE + 1), np.float32)])
    with pytest.raises(InputError, match="no photos"):
        measure.run(graph(), [])
