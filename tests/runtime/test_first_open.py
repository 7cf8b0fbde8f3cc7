"""edgevision.runtime.first_open: what a graph does to its engine is found out in a child process, once."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import edgevision as ev
from edgevision.engines import child
from edgevision.engines.child import EngineDiedError, Footprint
from edgevision.errors import DeviceWarning, EngineError
from edgevision.runtime import first_open

VARIANTS = (("onnxruntime-int8", "onnxruntime", "int8"), ("onnxruntime-float", "onnxruntime", "float"))
SEGFAULT = EngineDiedError("onnxruntime died of a segmentation fault over this graph")
IMPATIENT = EngineDiedError("onnxruntime had not opened and run the graph after 120 s", always=False)


@pytest.fixture
def tried(monkeypatch, tmp_path):
    """How the next children end (an error, or well), set by its ``ends``; and the graphs that children tried, the last one
    at its ``batches``."""
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGEVISION_FIRST_OPEN", raising=False)

    class Tried(list):
        def __init__(self):
            super().__init__()
            self.ends: dict[int, BaseException] = {}
            self.batches: list[int] = []

    tried = Tried()

    def run_in_child(engine, graph, options, limit_s, batches):
        tried.append(graph)
        tried.batches = batches
        if error := tried.ends.get(len(tried)):
            raise error
        return Footprint(1.0, 1)

    monkeypatch.setattr(child, "run_in_child", run_in_child)
    return tried


def load(path, **more):
    """The variant that was loaded, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ev.load(path, **more) as model:
            return model.variant.id, [str(w.message) for w in caught if issubclass(w.category, DeviceWarning)]


def test_a_graph_that_kills_its_engine_is_passed_over(color_bundle, tried):
    tried.ends = {1: SEGFAULT}
    bundle = color_bundle(variants=VARIANTS)
    for start in range(3):  # the later ones know it without a child
        variant, warned = load(bundle)
        assert variant == "onnxruntime-float"
        assert "variant 'onnxruntime-int8': onnxruntime died of a segmentation fault" in warned[0], start
    assert len(tried) == 2  # of each graph, once
    with pytest.raises(EngineError, match="segmentation fault"):
        ev.load(bundle, variant="onnxruntime-int8")
    (message,) = [w for w in warned if "To try again" in w]
    Path(message.partition("To try again, delete ")[2].partition(". Using")[0]).unlink()
    assert load(bundle)[0] == "onnxruntime-int8"


def test_tune_and_verify_pass_it_over_too(color_bundle, tried):
    from edgevision.bundle.reader import open_bundle
    from edgevision.runtime.tuning import tune
    from edgevision.runtime.verify import verify_variants

    tried.ends = {1: SEGFAULT}
    bundle = color_bundle(variants=VARIANTS)
    rows = {row.variant: row for row in tune(bundle, threads=1, rounds=2).rows}
    assert rows["onnxruntime-float"].p50_ms is not None
    assert "segmentation fault" in rows["onnxruntime-int8"].message
    with open_bundle(bundle) as opened:
        checks = {check.variant: check for check in verify_variants(opened)}
    assert checks["onnxruntime-float"].passed
    assert "segmentation fault" in checks["onnxruntime-int8"].message
    assert not checks["onnxruntime-int8"].ran


def test_what_may_be_otherwise_next_time_is_not_remembered(color_bundle, tried):
    tried.ends = {1: IMPATIENT}
    bundle = color_bundle(variants=VARIANTS)
    assert load(bundle)[0] == "onnxruntime-float"
    assert load(bundle) == ("onnxruntime-int8", [])


@pytest.mark.parametrize("error", [EngineError("refused"), OSError("no processes here"), ValueError("garbled")])
def test_where_the_child_says_nothing_the_engine_is_asked_here(color_bundle, tried, error):
    tried.ends = {1: error}
    bundle = color_bundle(variants=VARIANTS)
    assert load(bundle) == ("onnxruntime-int8", [])
    assert load(bundle) == ("onnxruntime-int8", [])
    assert len(tried) == 2  # nothing was learnt, so it was tried again


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fault": 3}', '{"fault": null}', "null", "[" * 100_000])
def test_a_record_that_is_no_record_is_made_anew(color_bundle, tried, tmp_path, content):
    bundle = color_bundle(variants=VARIANTS)
    load(bundle)
    (record,) = (tmp_path / "cache" / "opened").iterdir()
    record.write_text(content)
    assert load(bundle) == ("onnxruntime-int8", [])
    assert json.loads(record.read_text())["fault"] == ""
    assert len(tried) == 2


def test_without_a_cache_it_is_tried_at_each_start(color_bundle, tried, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    bundle = color_bundle(variants=VARIANTS)
    assert load(bundle)[0] == load(bundle)[0] == "onnxruntime-int8"
    assert len(tried) == 2


@pytest.mark.parametrize(("variable", "children"), [(None, 1), ("", 1), ("child", 1), ("here", 0)])
def test_it_can_be_switched_off(color_bundle, tried, monkeypatch, variable, children):
    if variable is not None:
        monkeypatch.setenv("EDGEVISION_FIRST_OPEN", variable)
    load(color_bundle(variants=VARIANTS))
    assert len(tried) == children


@pytest.mark.parametrize(("given", "batches"), [({}, [1, 8]), ({"max_batch": 1}, [1]), ({"max_batch": 3}, [1, 3])])
def test_it_is_tried_at_the_batches_that_will_run(color_bundle, tried, given, batches):
    load(color_bundle(variants=VARIANTS), **given)
    assert tried.batches == batches


@pytest.mark.parametrize("changed", ["graph", "engine", "precision", "cpu", "batch"])
def test_a_verdict_counts_for_what_it_was_found_on(tried, monkeypatch, changed):
    """Another graph, engine version, precision, CPU or batch asks for another trial."""
    from edgevision.engines.base import EngineOptions

    tried.ends = {1: SEGFAULT}
    given = {"graph": b"graph", "sha256": "00", "engine": "onnxruntime", "options": EngineOptions(1)}
    for _ in range(2):
        with pytest.raises(EngineError):
            first_open.try_in_child(**given)
    assert len(tried) == 1
    if changed == "graph":
        given["sha256"] = "01"
    if changed == "precision":
        given["options"] = EngineOptions(1, "bfloat16")
    if changed == "batch":
        given["max_batch"] = 8
    if changed == "engine":
        monkeypatch.setattr(first_open, "available_engines", lambda: {"onnxruntime": "99.0"})
    if changed == "cpu":
        from dataclasses import replace

        machine = replace(first_open.describe_machine(), cpu="another")
        monkeypatch.setattr(first_open, "describe_machine", lambda: machine)
    first_open.try_in_child(**given)
    assert len(tried) == 2


@pytest.mark.parametrize(
    ("engine", "compiled"), [("onnxruntime", 0), pytest.param("openvino", 2, marks=pytest.mark.requires("openvino"))]
)
def test_a_real_child_leaves_what_it_compiled(color_bundle, monkeypatch, tmp_path, engine, compiled):
    """OpenVINO compiles for each batch: for 1 and for 8."""
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGEVISION_FIRST_OPEN", raising=False)
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    assert load(bundle) == (f"{engine}-float", [])
    (record,) = (tmp_path / "cache" / "opened").iterdir()
    assert json.loads(record.read_text())["fault"] == ""
    assert len(list((tmp_path / "cache").glob("openvino/*.blob"))) == compiled
