"""The Open Inference Protocol over a real server: health, metadata, infer in both forms, pictures, errors."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from colors import colors, plain
from http_clients import served

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.frames import Frame
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.service import Service
from edgevision.preprocess.preprocessor import Preprocessor
from edgevision.runtime.preparation import Item, PreparedItem

pytestmark = pytest.mark.requires("serve")

COLORS = colors(5)


@pytest.fixture
def model(color_bundle):
    with ev.load(color_bundle(), variant="onnxruntime-float", threads=1) as loaded:
        yield loaded


@pytest.fixture
def server(model):
    with served(Service([model], ServiceOptions(max_batch=4))) as running:
        yield running


def tensors(model, count: int):
    prepare = Preprocessor(model.preprocess)
    return np.stack([prepare.run(plain(color)) for color in COLORS[:count]])


def infer(server, request: dict, raw: bytes = b"", path: str = "/v2/models/color/infer", **headers: str):
    head = json.dumps(request).encode()
    more = {"Inference-Header-Content-Length": str(len(head))} if raw else {}
    return server.ask("POST", path, head + raw, {**more, **headers})


def input_of(model, shape, **fields) -> dict:
    return {"name": model.input.name, "shape": list(shape), "datatype": "FP32", **fields}


def test_health_and_metadata(server, model):
    version = model.id[:12]
    assert server.ask("GET", "/v2").json == {
        "name": "edgevision", "version": ev.__version__, "extensions": ["binary_tensor_data"],
    }  # fmt: skip
    assert server.ask("GET", "/v2/health/live").json == {"live": True}
    assert server.ask("GET", "/v2/health/ready").json == {"ready": True}
    expected = {
        "name": "color", "versions": [version], "platform": "edgevision_bundle",
        "inputs": [{"name": model.input.name, "datatype": "FP32", "shape": [-1, 3, 8, 8]}],
        "outputs": [{"name": model.outputs[0].name, "datatype": "FP32", "shape": [-1, 3]}],
    }  # fmt: skip
    for path in ("/v2/models/color", f"/v2/models/color/versions/{version}"):
        assert server.ask("GET", path).json == expected
        assert server.ask("GET", f"{path}/ready").json == {"name": "color", "ready": True}


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("form", ["json", "binary", "binary output"])
def test_tensors_give_what_the_network_gives_in_process(server, model, count, form):
    values = tensors(model, count)
    expected = np.concatenate([model.run_batch([PreparedItem(one)]).outputs[model.outputs[0].name] for one in values])
    request, raw = {"id": "a-1", "inputs": [input_of(model, values.shape, data=values.ravel().tolist())]}, b""
    if form != "json":
        raw = values.tobytes()
        request["inputs"] = [input_of(model, values.shape, parameters={"binary_data_size": len(raw)})]
    if form == "binary output":
        request["parameters"] = {"binary_data_output": True}
    answered = infer(server, request, raw)
    assert answered.status == 200
    length = int(answered.headers.get("inference-header-content-length", len(answered.body)))
    answer = json.loads(answered.body[:length])
    (output,) = answer["outputs"]
    found = np.frombuffer(answered.body[length:], "<f4") if form == "binary output" else np.array(output["data"])
    np.testing.assert_allclose(found.reshape(output["shape"]), expected, rtol=0, atol=1e-6)
    assert answer["id"] == "a-1"
    assert (answer["model_name"], answer["model_version"]) == ("color", model.id[:12])


def test_encoded_pictures_are_prepared_as_the_model_wants_them(server, model):
    pictures = [encode_png(plain(color)) for color in COLORS[:3]]
    raw = b"".join(struct.pack("<I", len(one)) + one for one in pictures)
    one = input_of(model, [3], datatype="BYTES", parameters={"binary_data_size": len(raw)})
    answered = infer(server, {"inputs": [one]}, raw)
    (output,) = answered.json["outputs"]
    frames = [Frame.from_array(plain(color)) for color in COLORS[:3]]
    expected = np.concatenate([model.run_batch([Item(one)]).outputs[output["name"]] for one in frames])
    np.testing.assert_allclose(np.array(output["data"]).reshape(output["shape"]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v2/models/colour/infer", 404, "there is no model 'colour'; there are color"),
        ("/v2/models/color/versions/1/infer", 404, "there is no version '1' of model 'color'; there are "),
        ("/v2/models/Color/infer", 404, "there is no model 'Color'"),
        ("/v2/models/color/infer/", 404, "Not Found"),
        ("/v2/models/color", 405, "Method Not Allowed"),
    ],
)
def test_names_are_exact(server, model, path, status, words):
    values = tensors(model, 1)
    answered = infer(server, {"inputs": [input_of(model, values.shape, data=values.tolist())]}, path=path)
    assert answered.status == status
    assert words in answered.error


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        ({}, b"", 400, "no JSON"),
        ({}, b"{}", 400, "inputs is a list"),
        ({"Inference-Header-Content-Length": "-1"}, b"{}", 400, "is a whole number, got '-1'"),
        ({"Inference-Header-Content-Length": "1e3"}, b"{}", 400, "is a whole number"),
        ({"Inference-Header-Content-Length": "99"}, b"{}", 400, "is 99, the body has 2 bytes"),
        ({"Inference-Header-Content-Length": "9" * 30}, b"{}", 400, "is a whole number"),
        ({"Content-Encoding": "gzip"}, b"{}", 415, "without Content-Encoding, got 'gzip'"),
        ({"EdgeVision-Deadline-Ms": "soon"}, b"{}", 400, "EdgeVision-Deadline-Ms is a number"),
    ],
)
def test_a_wrong_request_is_refused_in_json(server, headers, body, status, words):
    answered = server.ask("POST", "/v2/models/color/infer", body, headers)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json")
    assert words in answered.error


def test_a_picture_that_is_none_is_refused_and_the_others_of_its_request_with_it(server, model):
    pictures = [encode_png(plain(COLORS[0])), b"no picture"]
    raw = b"".join(struct.pack("<I", len(one)) + one for one in pictures)
    one = input_of(model, [2], datatype="BYTES", parameters={"binary_data_size": len(raw)})
    answered = infer(server, {"inputs": [one]}, raw)
    assert answered.status == 400
    assert "image: " in answered.error


def test_answers_without_json_form_are_asked_for_as_binary_data(server, model):
    values = np.full((1, 3, 8, 8), np.nan, np.float32)
    one = input_of(model, values.shape, parameters={"binary_data_size": values.nbytes})
    answered = infer(server, {"inputs": [one]}, values.tobytes())
    assert answered.status == 400
    assert "ask for it as binary data" in answered.error
    answered = infer(server, {"inputs": [one], "parameters": {"binary_data_output": True}}, values.tobytes())
    length = int(answered.headers["inference-header-content-length"])
    assert np.isnan(np.frombuffer(answered.body[length:], "<f4")).all()
