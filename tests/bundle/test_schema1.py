"""Bundles of schema 1, written before tasks had a spec: they open, verify, load and mean what they meant."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile_zip import pack, reseal, unpack
from known_networks import COLORS, RIGHT, answers

import edgevision as ev
from edgevision.bundle import open_bundle, write_bundle
from edgevision.bundle.schema import UnknownSchemaError, manifest_json, parse_manifest, read_manifest
from edgevision.errors import BundleError, DeviceWarning, UnprovenWarning
from edgevision.preprocess import PreprocessSpec
from edgevision.runtime.verify import verify_variants
from edgevision.tasks.registry import make_task

BUNDLE = Path(__file__).parents[1] / "data" / "schema1.edge"
DELETE = object()


@pytest.fixture
def raw():
    with zipfile.ZipFile(BUNDLE) as archive:
        return json.loads(archive.read("manifest.json"))


@pytest.fixture
def resealed():
    """``resealed(change)``: the bundle's bytes with a changed manifest, everything else right."""
    return lambda change: pack(reseal(unpack(BUNDLE.read_bytes()), change))


def put(data, path, value):
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(">")]
    inner = data
    for step in parents:
        inner = inner[step]
    if value is DELETE:
        del inner[last]
    else:
        inner[last] = value


def loaded(source=BUNDLE, **more):
    with warnings.catch_warnings():
        for kind in (UnprovenWarning, DeviceWarning):  # it was compiled on another machine
            warnings.simplefilter("ignore", kind)
        return ev.load(source, **more)


def test_the_file_is_of_schema_1(raw):
    """The tests here are about what the code of that time wrote, not about what this code makes of it."""
    assert raw["schema"] == 1
    assert {"labels", "output"} < set(raw)
    assert {"temperature", "threshold"} < set(raw["variants"][0])
    assert "judge" in raw["data"]


def test_the_id_stays_the_hash_of_the_bytes_that_are_in_the_file():
    with zipfile.ZipFile(BUNDLE) as archive:
        text, digest = archive.read("manifest.json"), archive.read("manifest.sha256").decode()
    with open_bundle(BUNDLE) as bundle:
        assert bundle.id == digest == hashlib.sha256(text).hexdigest()


def test_every_entry_is_there_and_verifies(raw):
    with open_bundle(BUNDLE) as bundle:
        bundle.verify()
        assert {name: (e.sha256, e.size) for name, e in bundle.manifest.entries.items()} == {
            name: (entry["sha256"], entry["size"]) for name, entry in raw["entries"].items()
        }
        for id, graph in raw["graphs"].items():
            assert hashlib.sha256(bundle.graph(id)).hexdigest() == raw["entries"][graph["entry"]]["sha256"]
        assert len(bundle.golden_frames()) == len(raw["golden_frames"]) == 8


def test_the_task_is_what_labels_and_output_said(raw):
    with open_bundle(BUNDLE) as bundle:
        task = bundle.manifest.task
    assert task.kind == raw["task"] == "classify"
    assert [{"id": label.id, "name": label.name} for label in task.labels] == raw["labels"]
    assert [(output.role, output.name, output.layout) for output in task.outputs] == [
        ("scores", "output", raw["output"])
    ]
    assert task.parameters == {}


def test_temperature_and_threshold_are_each_variants_own(resealed):
    def fitted(manifest):
        manifest["variants"][0].update(temperature=1.25, threshold=0.75)
        manifest["variants"][1].update(temperature=2, threshold=0)

    with open_bundle(resealed(fitted)) as bundle:
        tasks = [make_task(bundle.manifest.task_of(variant)) for variant in bundle.manifest.variants]
    assert [(task.temperature, task.threshold, task.top) for task in tasks] == [(1.25, 0.75, 3), (2.0, 0.0, 3)]


def test_everything_else_of_a_variant_is_as_it_was(raw):
    with open_bundle(BUNDLE) as bundle:
        variants = bundle.manifest.variants
        assert bundle.manifest.chosen == raw["chosen"]
    assert len(variants) == len(raw["variants"]) == 2
    for variant, was in zip(variants, raw["variants"], strict=True):
        for key in ("id", "graph", "engine", "precision", "metric", "target", "layer_precisions"):
            assert getattr(variant, key) == was[key]
        assert variant.parameters == {"temperature": was["temperature"], "threshold": was["threshold"]}
        assert variant.golden == {"scores": was["golden"]}
        assert [vars(latency) for latency in variant.latency] == was["latency"]


def test_golden_outputs_are_the_arrays_in_the_file(raw):
    with open_bundle(BUNDLE) as bundle, zipfile.ZipFile(BUNDLE) as archive:
        for entries, was in [
            (bundle.manifest.golden_reference, raw["golden_reference"]),
            *((v.golden, w["golden"]) for v, w in zip(bundle.manifest.variants, raw["variants"], strict=True)),
        ]:
            (role,) = (digest := bundle.golden_outputs(entries))
            assert role == "scores"
            with archive.open(was) as file:
                np.testing.assert_array_equal(digest[role], np.load(file))


def test_verdicts_say_what_they_said(raw):
    with open_bundle(BUNDLE) as bundle:
        manifest = bundle.manifest
    for verdict, was in [
        (manifest.verdict, raw["verdict"]),
        *((v.verdict, w["verdict"]) for v, w in zip(manifest.variants, raw["variants"], strict=True)),
    ]:
        for key, value in was.items():
            assert getattr(verdict, key) == (tuple(value) if isinstance(value, list) else value)
        assert verdict.unit == "points of top-1"
        assert f"drop {was['drop']:+.2f} points of top-1" in verdict.sentence()
    assert manifest.proven is raw["proven"] is False


def test_agreement_without_labels_has_its_own_unit(resealed):
    def unlabelled(manifest):
        for verdict in (manifest["verdict"], *(v["verdict"] for v in manifest["variants"])):
            verdict["metric"] = "agreement"

    with open_bundle(resealed(unlabelled)) as bundle:
        assert bundle.manifest.verdict.unit == "points of agreement with float"


def test_parameters_of_float_photos_preprocessing_and_machine(raw, resealed):
    def fitted(manifest):
        manifest["source"]["float"] = {"temperature": 1.5, "threshold": 0.25}

    with open_bundle(resealed(fitted)) as bundle:
        assert bundle.manifest.source["float"] == {"parameters": {"temperature": 1.5, "threshold": 0.25}}
    with open_bundle(BUNDLE) as bundle:
        manifest = bundle.manifest
    assert manifest.source == {**raw["source"], "float": {"parameters": raw["source"]["float"]}}
    assert manifest.data["calibration"] == raw["data"]["calibration"]
    assert manifest.data["validation"] == raw["data"]["judge"]
    assert set(manifest.data) == {"calibration", "validation", "origin"}
    assert manifest.preprocess == PreprocessSpec.from_dict(raw["preprocess"])
    assert manifest.environment.cpu == raw["environment"]["cpu"]
    assert manifest.environment.versions == raw["environment"]["versions"]
    assert (manifest.name, manifest.created, manifest.edgevision) == (raw["name"], raw["created"], raw["edgevision"])


def test_nodes_in_float_are_read(resealed):
    with open_bundle(resealed(lambda m: m["graphs"]["int8"].update(float_parts=["head", "stem"]))) as bundle:
        assert bundle.manifest.graphs["int8"].float_fallback == ("head", "stem")
    with open_bundle(resealed(lambda m: m["graphs"]["int8"].pop("float_parts"))) as bundle:  # it had a default
        assert bundle.manifest.graphs["int8"].float_fallback == ()


def test_it_answers_rightly():
    assert answers(BUNDLE) == RIGHT


@pytest.mark.requires("openvino")
def test_its_other_variant_answers_rightly_too():
    assert answers(BUNDLE, variant="openvino-int8") == RIGHT


def test_load_runs_its_golden_frames_and_uses_its_threshold(resealed):
    with loaded(
        resealed(lambda m: m["variants"][0].update(temperature=4.0, threshold=0.99)), engine="onnxruntime"
    ) as model:
        assert model.variant.id == "onnxruntime-int8"
        assert model.self_test().passed
        assert model.threshold == 0.99
        assert [label.name for label in model.labels] == list(COLORS)
        image = np.zeros((16, 24, 3), np.uint8)
        image[..., 2] = 128  # red: logits are 30 × the mean of each colour
        result = model.predict(image)
    assert result.best.name == "red"
    assert result.best.score == pytest.approx(1 / (1 + 2 * np.exp(-30 * 128 / 255 / 4)), abs=0.01)
    assert not result.known


def test_its_golden_frames_are_compared(resealed):
    """A variant whose stored outputs are another's answers fails; so they are really read."""
    records = unpack(BUNDLE.read_bytes())
    golden = next(r for r in records if r.name == b"golden/onnxruntime-int8.npy")
    golden.data = golden.data[:-96] + np.frombuffer(golden.data[-96:], "<f4").reshape(8, 3)[:, ::-1].tobytes()
    with open_bundle(pack(reseal(records))) as bundle:
        checks = {check.variant: check for check in verify_variants(bundle)}
    assert checks["onnxruntime-int8"].ran
    assert not checks["onnxruntime-int8"].passed
    with open_bundle(BUNDLE) as bundle:
        assert next(c for c in verify_variants(bundle) if c.variant == "onnxruntime-int8").passed


def test_what_is_read_can_be_written_as_schema_2(tmp_path):
    with open_bundle(BUNDLE) as bundle:
        manifest = bundle.manifest
        entries = {name: bundle.read(name) for name in manifest.entries}
    assert read_manifest(manifest_json(manifest)) == manifest
    write_bundle(tmp_path / "new.edge", manifest, entries)
    with open_bundle(tmp_path / "new.edge") as bundle:
        assert bundle.manifest == manifest
        assert bundle.manifest.schema == 2
    assert answers(tmp_path / "new.edge") == RIGHT


def test_reading_leaves_the_json_as_it_is(raw):
    before = copy.deepcopy(raw)
    parse_manifest(raw)
    assert raw == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # keys that schema 1 had
        ("task", DELETE, "task: the key is missing"),
        ("labels", DELETE, "labels: the key is missing"),
        ("output", DELETE, "output: the key is missing"),
        ("name", DELETE, "name: the key is missing"),
        ("verdict", DELETE, "verdict: the key is missing"),
        ("data", DELETE, "data: the key is missing"),
        ("golden_reference", DELETE, "golden_reference: the key is missing"),
        ("variants>0>golden", DELETE, r"variants\[0\].golden: the key is missing"),
        ("variants>1>temperature", DELETE, r"variants\[1\].temperature: the key is missing"),
        ("variants>1>threshold", DELETE, r"variants\[1\].threshold: the key is missing"),
        ("variants>0>engine", DELETE, r"variants\[0\].engine: the key is missing"),
        ("verdict>lost", DELETE, "verdict.lost: the key is missing"),
        ("preprocess>crop_ratio", DELETE, "preprocess.crop_ratio: the key is missing"),
        ("proven", DELETE, "proven: expected False as in verdict.proven, got None"),
        # keys that it had not
        ("extra", 1, "extra: no such key"),
        ("variants>0>speed", 1, r"variants\[0\].speed: no such key"),
        ("variants>0>parameters", {"threshold": 0.0}, r"variants\[0\].parameters: no such key in schema 1"),
        ("graphs>int8>float_fallback", ["x"], "graphs.int8.float_fallback: no such key in schema 1"),
        ("verdict>unit", "metres", "verdict.unit: no such key in schema 1"),
        ("variants>0>verdict>unit", "metres", r"variants\[0\].verdict.unit: no such key in schema 1"),
        # types and values
        ("task", "juggle", "task: expected 'classify', the only one of schema 1, got 'juggle'"),
        ("task", ["classify"], "task: expected 'classify', the only one of schema 1, got"),
        ("task", {"kind": "classify"}, "task: expected 'classify'"),
        ("task", "x" * 10_000, "task: expected 'classify'"),
        ("output", "scores", "task: output is one of"),
        ("output", 3, "task: an output of a task has as layout a str, got 3"),
        ("output", None, "task: an output of a task has as layout a str, got None"),
        ("labels", {}, "task: the labels of a task are a list, got dict"),
        ("labels", None, "task: the labels of a task are a list, got NoneType"),
        ("labels", [], "task: a classifier has at least 2 labels, got 0"),
        ("labels>0", [0, "red"], "task: a label of a task has the keys"),
        ("labels>0>id", True, "task: a label of a task has as id a int, got True"),
        ("labels>0>id", 10, "task: labels have different ids"),
        ("labels>0>name", "\ud800", r"task.labels\[0\].name: expected Unicode text"),
        ("graphs", [], "graphs: expected an object, got a list"),
        ("graphs>int8", "x", "graphs.int8: expected an object, got 'x'"),
        ("graphs>int8>float_parts", "x", "graphs.int8.float_fallback: expected a list, got 'x'"),
        ("graphs>int8>entry", "graphs/x.onnx", "graphs.int8.entry: expected an entry of the bundle"),
        ("variants", {}, "variants: expected a list, got an object"),
        ("variants", [], "variants: expected at least one"),
        ("variants>0", "x", r"variants\[0\]: expected an object, got 'x'"),
        ("variants>1", None, r"variants\[1\]: expected an object, got None"),
        ("variants>0>temperature", "x", r"variants\[0\].parameters: temperature is a finite number, got 'x'"),
        ("variants>0>temperature", True, r"variants\[0\].parameters: temperature is a finite number, got True"),
        ("variants>0>temperature", None, r"variants\[0\].parameters: temperature is a finite number, got None"),
        ("variants>0>temperature", float("nan"), r"variants\[0\].parameters.temperature: expected a finite number"),
        ("variants>0>temperature", 10**400, r"variants\[0\].parameters.temperature: expected a finite number"),
        ("variants>0>temperature", 0, r"variants\[0\].parameters: temperature is within"),
        ("variants>1>threshold", 1.01, r"variants\[1\].parameters: threshold is within 0…1, got 1.01"),
        ("variants>1>threshold", [0.5], r"variants\[1\].parameters: threshold is a finite number"),
        ("variants>0>golden", "golden/x.npy", r"variants\[0\].golden.scores: expected an entry"),
        ("variants>0>golden", {"scores": "golden/reference.npy"}, r"variants\[0\].golden: expected a string"),
        ("variants>0>golden", None, r"variants\[0\].golden: expected a string, got None"),
        ("golden_reference", "x", "golden_reference.scores: expected an entry"),
        ("golden_reference", ["x"], "golden_reference: expected a string"),
        ("data", [], "data: expected an object, got a list"),
        ("data>judge", float("nan"), "data.validation: expected a finite number"),
        ("source", "x", "source: expected an object, got 'x'"),
        ("source>float>temperature", float("inf"), "source.float.parameters.temperature: expected a finite number"),
        ("verdict", "passed", "verdict: expected an object, got 'passed'"),
        ("verdict>metric", 1, "verdict.metric: expected a string, got 1"),
        ("verdict>interval", [0.0], "verdict.interval: expected a list of 2"),
        ("chosen", "slow", "chosen: expected one of onnxruntime-int8, openvino-int8, got 'slow'"),
        ("chosen", "openvino-int8", None),  # its own verdict is the same
        # what does not bear itself out
        ("proven", True, "proven: expected False as in verdict.proven, got True"),
        ("verdict>proven", True, "proven: expected True as in verdict.proven, got False"),
        ("verdict>drop", 0.6, "verdict.passed: expected false, because the drop of 0.6 is above 0.5"),
        ("variants>1>verdict>drop", 0.6, r"variants\[1\].verdict.passed: expected false"),
    ],
)  # fmt: skip
def test_hostile_manifests_are_refused_at_their_place(raw, path, value, message):
    put(raw, path, value)
    if message is None:
        parse_manifest(raw)
        return
    with pytest.raises(BundleError, match=f"^{message}") as raised:
        parse_manifest(raw)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("key", ["task", "labels", "variants>0>temperature", "verdict"])
def test_nesting_is_bounded(raw, key):
    put(raw, key, "DEEP")
    text = json.dumps(raw).replace('"DEEP"', "[" * 900 + "]" * 900)
    with pytest.raises(BundleError):
        read_manifest(text.encode())


def test_keys_of_schema_1_are_none_of_schema_2(raw):
    raw["schema"] = 2
    with pytest.raises(BundleError, match=r"^labels: no such key|^output: no such key|^task: "):
        parse_manifest(raw)


@pytest.mark.parametrize("schema", [3, 4, 10**9])
def test_later_schemas_are_refused_with_what_to_do(raw, resealed, schema):
    with pytest.raises(
        UnknownSchemaError,
        match=rf"version {schema} \(made by edgevision '0.1.0'\), this edgevision reads up to 2. "
        "Run: pip install --upgrade edgevision; or compile",
    ):
        open_bundle(resealed(lambda m: m.update(schema=schema)))
    with pytest.raises(UnknownSchemaError):  # and nothing of it is looked at before
        parse_manifest({"schema": schema})


@pytest.mark.parametrize("schema", [0, -1, 1.0, True, "1", None])
def test_what_is_no_schema_is_refused(raw, schema):
    raw["schema"] = schema
    with pytest.raises(UnknownSchemaError, match=r"^schema: expected a version number.*compile the model again"):
        parse_manifest(raw)
