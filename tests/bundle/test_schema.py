from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from edgevision.bundle.manifest import Entry, Manifest
from edgevision.bundle.schema import manifest_json, parse_manifest, read_manifest
from edgevision.errors import BundleError, InputError
from edgevision.preprocess import Rounding
from edgevision.tasks import registry
from edgevision.tasks.registry import TaskType, make_task, register_task

DELETE = object()


@pytest.fixture
def data(manifest: Manifest, entries: dict[str, bytes]) -> dict[str, Any]:
    listed = {name: Entry("0f" * 32, len(content)) for name, content in entries.items()}
    return json.loads(json.dumps(dataclasses.replace(manifest, entries=listed).to_dict()))


def put(data: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """``data`` with the value at ``a.0.b`` replaced (or deleted)."""
    changed = copy.deepcopy(data)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(">")]
    inner: Any = changed
    for step in parents:
        inner = inner[step]
    if value is DELETE:
        del inner[last]
    else:
        inner[last] = value
    return changed


def test_round_trip(data, manifest):
    parsed = parse_manifest(data)
    assert dataclasses.replace(parsed, entries={}) == manifest
    assert read_manifest(manifest_json(parsed)) == parsed
    assert isinstance(parsed.variants, tuple)
    assert isinstance(parsed.labels, tuple)


def test_whole_numbers_become_floats(data):
    parsed = parse_manifest(put(put(data, "variants>0>metric", 90), "variants>0>parameters>temperature", 2))
    assert type(parsed.variants[0].metric) is float
    assert type(make_task(parsed.task_of(parsed.variants[0])).temperature) is float


def test_without_a_verdict(data):
    parsed = parse_manifest(put(put(data, "verdict", None), "proven", False))
    assert parsed.verdict is None
    assert not parsed.proven


@pytest.mark.parametrize(
    "path", ["variants>0>metric", "variants>1>verdict", "variants>0>latency", "graphs>int8>float_fallback"]
)
def test_keys_with_a_default_may_be_missing(data, path):
    parse_manifest(put(data, path, DELETE))


def test_a_bundle_from_before_rounding_had_names_keeps_ours(data):
    assert parse_manifest(put(data, "preprocess>rounding", DELETE)).preprocess.rounding is Rounding.EDGEVISION


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # keys
        ("name", DELETE, "name: the key is missing"),
        ("extra", 1, "extra: no such key; the keys here are chosen, created"),
        ("variants>0>speed", 1, r"variants\[0\].speed: no such key"),
        ("graphs>int8>entry", DELETE, "graphs.int8.entry: the key is missing"),
        ("preprocess>crop_ratio", DELETE, "preprocess.crop_ratio: the key is missing"),
        ("proven", DELETE, "proven: expected True as in verdict.proven, got None"),
        # types
        ("name", 3, "name: expected a string, got 3"),
        ("name", None, "name: expected a string, got None"),
        ("name", "\ud800", "name: expected Unicode text"),
        ("task", "classify", "task: a task spec has the keys kind, labels, outputs and parameters, got str"),
        ("task>kind", DELETE, "task: a task spec has the keys kind, labels, outputs and parameters, got"),
        ("task>extra", 1, "task: a task spec has the keys kind, labels, outputs and parameters, got"),
        ("task>labels", {}, "task: the labels of a task are a list, got dict"),
        ("task>labels", "ab", "task: the labels of a task are a list, got str"),
        ("task>labels>0", [1, "a"], r"task: a label of a task has the keys \['id', 'name'\], got \[1, 'a'\]"),
        ("task>labels>1>id", 1.0, "task: a label of a task has as id a int, got 1.0"),
        ("task>labels>1>id", True, "task: a label of a task has as id a int, got True"),
        ("task>labels>1>id", "1", "task: a label of a task has as id a int, got '1'"),
        ("task>labels>1>name", "\ud800", r"task.labels\[1\].name: expected Unicode text"),
        ("task>parameters", {"threshold": float("nan")}, "task.parameters.threshold: expected a finite number"),
        ("graphs", [], "graphs: expected an object, got a list"),
        ("graphs>int8", "x", "graphs.int8: expected an object, got 'x'"),
        ("graphs>int8>float_fallback", ["a", 1], r"graphs.int8.float_fallback\[1\]: expected a string"),
        ("variants>0>parameters", [], r"variants\[0\].parameters: expected an object, got a list"),
        ("variants>0>parameters>temperature", "x", r"variants\[0\].parameters: temperature is a finite number, got 'x'"),
        ("variants>0>parameters>temperature", True, r"variants\[0\].parameters: temperature is a finite number, got True"),
        ("variants>0>parameters>temperature", float("nan"), r"variants\[0\].parameters.temperature: expected a finite number"),
        ("variants>0>parameters>temperature", float("inf"), r"variants\[0\].parameters.temperature: expected a finite number"),
        ("variants>0>parameters>temperature", 10**400, r"variants\[0\].parameters.temperature: expected a finite number"),
        ("variants>0>metric", "x", r"variants\[0\].metric: expected a number"),
        ("variants>0>layer_precisions", {"int8": 1.5}, r"variants\[0\].layer_precisions.int8: expected a whole number"),
        ("verdict>interval", [1], "verdict.interval: expected a list of 2"),
        ("verdict>interval", [0, "x"], r"verdict.interval\[1\]: expected a number"),
        ("verdict>passed", 1, "verdict.passed: expected true or false, got 1"),
        ("source", {"x": [0, {"y": float("nan")}]}, r"source.x\[1\].y: expected a finite number"),
        ("source", [], "source: expected an object"),
        ("preprocess", None, "preprocess: a preprocess spec is a JSON object"),
        ("preprocess>fit", "zoom", "preprocess: preprocess fit is one of"),
        ("preprocess>rounding", "keras", "preprocess: preprocess rounding is one of .*newer EdgeVision"),
        ("preprocess>resampling", 1, "preprocess: unknown preprocess keys .*newer EdgeVision"),
        ("preprocess>fit", [], "preprocess: preprocess fit is one of|expected a preprocess spec"),
        ("preprocess>height", 0, "preprocess: preprocess height"),
        ("preprocess>std", [1, 1, 0], "preprocess: preprocess std"),
        # between values
        ("task>kind", "", "task: the kind of a task is a word, such as 'classify', got ''"),
        ("task>outputs>0>layout", "scores", r"task: output is one of \['logits', 'probabilities'\], got 'scores'"),
        ("task>outputs>0>role", "boxes", "task: expected an output for the role 'scores'"),
        ("task>outputs", [], "task: a classifier has one output, got 0"),
        ("task>labels", [], "task: a classifier has at least 2 labels, got 0"),
        ("task>labels>1>id", 7, "task: labels have different ids; got 2 labels, some with the same id"),
        ("task>parameters", {"speed": 1}, "task: a classifier has the parameters temperature, threshold and top, got"),
        ("chosen", "slow", "chosen: expected one of fast, base, got 'slow'"),
        ("graphs", {}, "graphs: expected at least one"),
        ("graphs>int8>entry", "graphs/x.onnx", "graphs.int8.entry: expected an entry of the bundle, got 'graphs/x.onnx'"),
        ("variants", [], "variants: expected at least one"),
        ("variants>1>id", "fast", "variants: expected a different id each, got 'fast' twice"),
        ("variants>1>graph", "x", r"variants\[1\].graph: expected one of int8, float, got 'x'"),
        ("variants>1>golden", "golden/x.npy", r"variants\[1\].golden: expected an object, got 'golden/x.npy'"),
        ("variants>1>golden", {}, r"variants\[1\].golden: expected at least one"),
        ("variants>1>golden>scores", "golden/x.npy", r"variants\[1\].golden.scores: expected an entry"),
        ("variants>0>parameters>speed", 1, r"variants\[0\].parameters: a classifier has the parameters temperature"),
        ("variants>0>parameters>temperature", 0, r"variants\[0\].parameters: temperature is within 1e-06…1e\+06, got 0"),
        ("variants>0>parameters>temperature", -1, r"variants\[0\].parameters: temperature is within"),
        ("variants>0>parameters>threshold", 1.01, r"variants\[0\].parameters: threshold is within 0…1, got 1.01"),
        ("variants>0>parameters>threshold", -0.1, r"variants\[0\].parameters: threshold is within 0…1"),
        ("variants>0>latency>0>threads", 0, r"variants\[0\].latency\[0\].threads: expected at least 1"),
        ("variants>0>latency>0>p50_ms", -1, r"variants\[0\].latency\[0\].p50_ms: expected at least 0"),
        ("variants>0>latency>0>p90_ms", 1, r"variants\[0\].latency\[0\].p90_ms: expected at least 2.5"),
        ("golden_frames", [], "golden_frames: expected at least one"),
        ("golden_frames", ["golden/0.png"] * 2, "golden_frames: expected a different name each, got 'golden/0.png' twice"),
        ("golden_frames", ["golden/9.png"], r"golden_frames\[0\]: expected an entry"),
        ("golden_reference", "x", "golden_reference: expected an object, got 'x'"),
        ("golden_reference", {}, "golden_reference: expected at least one"),
        ("golden_reference>scores", "x", "golden_reference.scores: expected an entry"),
        ("entries>golden/0.png>sha256", "0F" * 32, "entries.golden/0.png.sha256: expected 64 hexadecimal digits"),
        ("entries>golden/0.png>sha256", "00", "entries.golden/0.png.sha256: expected 64 hexadecimal digits"),
        ("entries>golden/0.png>size", -1, "entries.golden/0.png.size: expected 0…1073741824, got -1"),
        ("entries>golden/0.png>size", 2**31, "entries.golden/0.png.size: expected 0…1073741824"),
        ("entries>../x", {"sha256": "0" * 64, "size": 0}, "entries: no entry may have the name '../x'"),
        ("entries>manifest.json", {"sha256": "0" * 64, "size": 0}, "entries: no entry may have the name"),
        ("verdict>n", -1, "verdict.n: expected at least 0"),
        ("verdict>confidence", 95, "verdict.confidence: expected 0…1"),
        ("verdict>interval", [1, 0], "verdict.interval: expected its lower end first"),
        ("verdict>passed", False, "verdict.proven: expected false, because passed is false"),
        ("verdict>n", 0, "verdict.proven: expected false, because no photo was shown"),
        ("verdict>interval", [-0.25, 0.51], "verdict.proven: expected false, because the interval's upper end of 0.51 is above 0.5"),
        ("verdict>drop", 0.51, "verdict.passed: expected false, because the drop of 0.51 is above 0.5"),
        ("verdict>max_drop", -1.0, "verdict.passed: expected false, because the drop of 0 is above -1"),
        ("variants>1>verdict>passed", True, r"variants\[1\].verdict.passed: expected false, because the drop of 1 is above"),
        ("variants>1>verdict>proven", True, r"variants\[1\].verdict.proven: expected false, because passed is false"),
        ("variants>1>verdict>n", "30", r"variants\[1\].verdict.n: expected a whole number"),
        ("variants>1>verdict>lost", DELETE, r"variants\[1\].verdict.lost: the key is missing"),
        ("chosen", "base", r"variants\[1\].verdict: expected the same as 'verdict'"),
        ("proven", False, "proven: expected True as in verdict.proven, got False"),
        ("verdict", None, "proven: expected False as in verdict.proven, got True"),
    ],
)  # fmt: skip
def test_refusals_name_the_place(data, path, value, message):
    with pytest.raises(BundleError, match=f"^{message}") as raised:
        parse_manifest(put(data, path, value))
    assert len(str(raised.value)) < 400


def test_of_a_task_that_nobody_here_brings_nothing_is_said(data, monkeypatch):
    """Such a bundle can be inspected; as soon as the task is there, its spec has to suit it."""
    juggling = put(
        put(data, "task>kind", "juggle"), "variants>0>parameters", {"balls": 3, "hands": [1, {"left": True}]}
    )
    manifest = parse_manifest(juggling)
    assert manifest.task.kind == "juggle"
    assert manifest.task_of(manifest.variants[0]).parameters == {"balls": 3, "hands": [1, {"left": True}]}
    assert parse_manifest(json.loads(manifest_json(manifest))) == manifest

    def make(spec):
        if spec.parameters.get("balls", 3) < 5:
            raise InputError("five balls at least")

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    register_task(TaskType("juggle", make, lambda *_: None))
    with pytest.raises(BundleError, match=r"^task: five balls at least"):
        parse_manifest(juggling)


def test_a_metric_that_counts_no_photos_has_no_flips(data):
    verdict = parse_manifest(put(put(data, "verdict>lost", None), "verdict>gained", None)).verdict
    assert (verdict.lost, verdict.gained) == (None, None)
    assert "lost" not in verdict.sentence()
    assert "1 lost, 1 gained" in parse_manifest(data).verdict.sentence()


def test_parameters_of_a_variant_go_over_those_of_the_task(data):
    manifest = parse_manifest(put(data, "task>parameters", {"threshold": 0.9, "top": 1}))
    assert manifest.task_of(manifest.variants[0]).parameters == {"threshold": 0.4, "top": 1, "temperature": 1.25}
    assert manifest.task.parameters == {"threshold": 0.9, "top": 1}


@pytest.mark.parametrize(("key", "value"), [("drop", 0.5 + 1e-12), ("interval", [0, 0.5 + 1e-12]), ("max_drop", 0.25)])
def test_figures_at_the_very_budget_are_within_it(data, key, value):
    assert parse_manifest(put(data, f"verdict>{key}", value)).proven


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_not_an_object(value):
    with pytest.raises(BundleError, match="manifest: expected an object"):
        parse_manifest(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        (b'\xef\xbb\xbf{"schema": 1}', "not valid JSON"),
        ('{"schema": 1}'.encode("utf-16"), "not valid JSON"),
        (b'{"schema": 1, "schema": 1}', "the key 'schema' is there twice"),
        (b'{"schema": 1, "x": {"a": 1, "b": 2, "b": 3}}', "the key 'b' is there twice"),
        (b'{"schema": NaN}', "NaN is not a JSON number"),
        (b'{"schema": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"schema": 1e999}', "1e999 is too large"),
        (b'{"schema": ' + b"1" * 10_000 + b"}", "not valid JSON|expected a version|reads up to"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"schema": 1} {}', "not valid JSON"),
        (b"[]", "expected an object"),
    ],
)
def test_only_strict_json(text, message):
    with pytest.raises(BundleError, match=message) as raised:
        read_manifest(text)
    assert len(str(raised.value)) < 400


def test_deep_nesting_where_keys_are_free(data):
    text = json.dumps(put(data, "source", {"x": "DEEP"})).replace('"DEEP"', "[" * 900 + "]" * 900)
    with pytest.raises(BundleError, match=r"nested too deeply|not valid JSON"):
        read_manifest(text.encode())


def test_json_is_for_people_too(data):
    text = manifest_json(parse_manifest(data)).decode()
    assert "Äpfel" in text
    assert text.count("\n") > 100
