"""edgevision.compiler.select.measure: which variants run here, found out in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from footprints import opened_here

from edgevision.compiler.select import measure
from edgevision.compiler.variants import Candidate
from edgevision.engines import child
from edgevision.engines.child import EngineDiedError

pytestmark = pytest.mark.requires("onnx", "openvino")


@pytest.fixture
def candidates():
    graph = (Path(__file__).parents[2] / "data" / "color.onnx").read_bytes()
    return [Candidate("float", graph, "float32", "float"), Candidate("original", graph, "float32", "float")]


def test_an_engine_that_dies_is_named_and_the_others_go_on(monkeypatch, candidates):
    def footprint(variant, threads, batch):
        if variant.id == "openvino-float":
            raise EngineDiedError("openvino died of a segmentation fault over this graph")
        return opened_here(variant, threads)

    monkeypatch.setattr(measure, "footprint", footprint)
    found = measure.open_each(candidates, 1)
    assert {"onnxruntime-float", "onnxruntime-original"} <= {variant.id for variant in found.variants}
    assert found.missing["openvino-float"] == "openvino died of a segmentation fault over this graph"
    assert set(found.footprints) == {variant.id for variant in found.variants}


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1]), (8, [1, 8])])
def test_each_is_tried_at_the_batch_that_is_measured(monkeypatch, candidates, batch, sizes):
    tried = []

    def run_in_child(engine, graph, options, limit_s, batches):
        tried.append(batches)
        return child.Footprint(1.0, 1)

    monkeypatch.setattr(measure, "run_in_child", run_in_child)
    measure.open_each(candidates, 1, batch=batch)
    assert tried == [sizes] * 4


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_this_process_lives_on(monkeypatch, candidates):
    """Every child dies, whatever the variant."""
    monkeypatch.setattr(child, "_PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    found = measure.open_each(candidates, 1)
    assert found.variants == ()
    assert all("died of a segmentation fault" in reason for reason in found.missing.values())


def test_where_no_process_can_be_started_that_is_said(monkeypatch, candidates):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    found = measure.open_each(candidates, 1)
    assert found.variants == ()
    assert "which cannot be started: /usr/bin/uwsgi is no Python" in found.missing["onnxruntime-float"]


@pytest.mark.parametrize(
    ("key", "precision", "dialect", "expected"),
    [
        ("float", "float32", "float", {"onnxruntime-float": "float32", "openvino-float": "float32", "openvino-bf16": "bfloat16"}),
        ("original", "float32", "float", {"onnxruntime-original": "float32"}),
        ("int8", "int8", "x86-vnni", {"onnxruntime-int8": "float32", "openvino-int8": "float32"}),
        ("int8-openvino-vnni", "int8", "openvino-vnni", {"openvino-vnni-int8": "float32", "openvino-vnni-int8-bf16": "bfloat16"}),
        ("int8-openvino", "int8", "openvino", {"openvino-x86-int8": "float32", "openvino-x86-int8-bf16": "bfloat16"}),
        ("int8", "int8", "arm", {"onnxruntime-int8": "float32"}),
    ],
)  # fmt: skip
def test_what_is_tried_of_a_graph(monkeypatch, candidates, key, precision, dialect, expected):
    """Of an int8 graph for OpenVINO too, what is not int8 may be rounded to bfloat16."""
    monkeypatch.setattr(measure, "lint", lambda graph, engine: [])
    monkeypatch.setattr(measure, "footprint", lambda variant, threads, batch: child.Footprint(1.0, 1))
    found = measure.open_each([Candidate(key, candidates[0].graph, precision, dialect)], 1)
    assert {variant.id: variant.precision for variant in found.variants} == expected
