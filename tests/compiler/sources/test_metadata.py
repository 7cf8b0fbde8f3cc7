"""What an ONNX file says of itself: written, read back, also as version 1 wrote it, and found out when damaged."""

from __future__ import annotations

import json

import pytest
from measures import raw_spec, register_raw

from edgevision.compiler.sources.metadata import ModelMetadata, read_metadata, write_metadata
from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(32, 24, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = (Label(30, "Käse"), Label(10, "tea"))


def bare():
    import onnx

    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> net (float[n,4] x) => (float[n,4] y) { y = Relu(x) }'
    )


def props(model) -> dict[str, str]:
    return {p.key: p.value for p in model.metadata_props}


def set_props(model, **values: str | None) -> None:
    import onnx

    kept = {**props(model), **{f"edgevision.{key}": value for key, value in values.items()}}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})


@pytest.fixture
def written():
    model = bare()
    write_metadata(model, ModelMetadata(SPEC, classify_spec(LABELS, "probabilities", temperature=1.5, threshold=0.25)))
    return model


@pytest.fixture
def version_1():
    """As EdgeVision wrote it when it knew one task."""
    model = bare()
    set_props(
        model, version="1", preprocess=json.dumps(SPEC.to_dict()), labels=json.dumps([[30, "Käse"], [10, "tea"]]),
        output="probabilities",
    )  # fmt: skip
    return model


def test_what_was_written_comes_back(written):
    import onnx

    again = onnx.load_from_string(written.SerializeToString())
    task = classify_spec(LABELS, "probabilities", temperature=1.5, threshold=0.25)
    assert read_metadata(again, "net.onnx") == ModelMetadata(SPEC, task)
    assert props(again)["edgevision.version"] == "2"
    assert json.loads(props(again)["edgevision.task"]) == json.loads(json.dumps(task.to_dict()))
    assert "Käse" in props(again)["edgevision.task"]  # for people who look into the file


def test_a_task_of_several_outputs_comes_back(monkeypatch):
    register_raw(monkeypatch)
    model = bare()
    write_metadata(model, ModelMetadata(SPEC, raw_spec("boxes", "masks")))
    assert read_metadata(model, "net.onnx") == ModelMetadata(SPEC, raw_spec("boxes", "masks"))


def test_version_1_still_reads(version_1):
    assert read_metadata(version_1, "net.onnx") == ModelMetadata(SPEC, classify_spec(LABELS, "probabilities"))


def test_what_others_wrote_stays_and_what_we_wrote_goes(version_1):
    import onnx

    onnx.helper.set_model_props(version_1, {**props(version_1), "author": "someone"})
    write_metadata(version_1, ModelMetadata(SPEC, classify_spec(LABELS)))
    assert set(props(version_1)) == {"author", *(f"edgevision.{key}" for key in ("version", "preprocess", "task"))}
    assert read_metadata(version_1, "net.onnx") == ModelMetadata(SPEC, classify_spec(LABELS))


def test_a_file_that_says_nothing():
    import onnx

    model = bare()
    assert read_metadata(model, "net.onnx") is None
    onnx.helper.set_model_props(model, {"author": "someone"})
    assert read_metadata(model, "net.onnx") is None


SOUND = classify_spec(LABELS).to_dict()


@pytest.mark.parametrize("version", ["0", "3", "99", ""])
def test_other_versions(version, written):
    set_props(written, version=version)
    with pytest.raises(ModelFileError, match="install the EdgeVision that wrote it"):
        read_metadata(written, "net.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", "[[1]]"),
        ("labels", "[]"),
        ("labels", '[["1", "a"]]'),
        ("labels", '[["1", "a"], ["2", "b"]]'),
        ("labels", '[[1, "a"], [1, "b"]]'),
        ("labels", None),
        ("output", "scores"),
        ("output", None),
        ("preprocess", "{"),
        ("preprocess", None),
    ],
)
def test_damaged_metadata_of_version_1(key, value, version_1):
    set_props(version_1, **{key: value})
    with pytest.raises(ModelFileError, match=r"net\.onnx is damaged"):
        read_metadata(version_1, "net.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocess", "{"),
        ("preprocess", '{"height": 32}'),
        ("preprocess", None),
        ("task", "{"),
        ("task", "[" * 100_000),
        ("task", "[]"),
        ("task", "{}"),
        ("task", None),
        ("task", json.dumps({**SOUND, "kind": "juggle"})),  # nobody brings it
        ("task", json.dumps({**SOUND, "kind": 3})),
        ("task", json.dumps({**SOUND, "labels": []})),
        ("task", json.dumps({**SOUND, "labels": [{"id": 1, "name": "a"}] * 2})),
        ("task", json.dumps({**SOUND, "labels": [{"id": "1", "name": "a"}, {"id": 2, "name": "b"}]})),
        ("task", json.dumps({**SOUND, "outputs": []})),
        ("task", json.dumps({**SOUND, "outputs": [{**SOUND["outputs"][0], "layout": "scores"}]})),
        ("task", json.dumps({**SOUND, "parameters": {"temperature": "hot"}})),
        ("task", json.dumps({**SOUND, "parameters": {"temperature": float("nan")}})),
    ],
)
def test_damaged_metadata(key, value, written):
    set_props(written, **{key: value})
    with pytest.raises(ModelFileError, match=r"net\.onnx is damaged"):
        read_metadata(written, "net.onnx")
