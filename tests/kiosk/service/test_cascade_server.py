"""Cascades and detectors over a real server, on spots whose places and colours are known by construction."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from http_clients import served
from spots import CELL, spot_picture, write_spot_finder

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.kiosk.service.models import ModelSource
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.service import Service
from edgevision.runtime.preparation import PreparedItem

pytestmark = pytest.mark.requires("serve", "onnx")

RED, BLUE = (255, 10, 10), (10, 10, 230)
SPOTS = [{(0, 0): RED, (2, 4): BLUE}, {}, {(2, 2): BLUE}]
NAMES = [{(0, 0): "red", (2, 4): "blue"}, {}, {(2, 2): "blue"}]
PICTURES = [encode_png(spot_picture(spots, 3)) for spots in SPOTS]
OPTIONS = ServiceOptions(engine="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    return write_spot_finder(tmp_path_factory.mktemp("finder") / "spots.edge")


def cell_of(box: list[float]) -> tuple[int, int]:
    return round(box[1] / CELL / 3), round(box[0] / CELL / 3)


def named(told) -> dict[tuple[int, int], str]:
    """Cell → name of the class that the second model gave it."""
    return {cell_of(one["detection"]["box"]): one["result"]["top"][0]["name"] for one in told["products"]}


@pytest.fixture
def cascade(finder, color_bundle):
    service = Service([ModelSource(finder, color_bundle(), name="shelf")], OPTIONS)
    with served(service) as running:
        yield service, running


def test_a_cascade_recognises_each_box(cascade):
    service, server = cascade
    for picture, names in zip(PICTURES, NAMES, strict=True):
        told = server.ask("POST", "/v1/recognise", picture).json
        assert named(told) == names
        assert told["model"]["version"].count("-") == 1
    version = service.models.get()
    assert version.id == "-".join(part.id for part in version.parts)


@pytest.mark.parametrize("is_binary", [False, True])
def test_a_cascade_takes_pictures_and_gives_texts_over_the_protocol(cascade, is_binary):
    _, server = cascade
    told = server.ask("GET", "/v2/models/shelf").json
    assert told["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert told["outputs"] == [{"name": "result", "datatype": "BYTES", "shape": [-1]}]
    raw = b"".join(struct.pack("<I", len(one)) + one for one in PICTURES)
    one = {"name": "image", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [one], "parameters": {"binary_data_output": is_binary}}).encode()
    answered = server.ask(
        "POST", "/v2/models/shelf/infer", head + raw, {"Inference-Header-Content-Length": str(len(head))}
    )
    assert answered.status == 200, answered.body
    texts = []
    if is_binary:
        rest = answered.body[int(answered.headers["inference-header-content-length"]) :]
        while rest:
            (length,) = struct.unpack_from("<I", rest)
            texts.append(rest[4 : 4 + length])
            rest = rest[4 + length :]
    else:
        texts = answered.json["outputs"][0]["data"]
    assert [named(json.loads(text)) for text in texts] == NAMES


def test_a_detector_has_boxes_in_the_pictures_pixels_and_all_its_outputs_as_tensors(finder):
    with ev.load(finder, engine="onnxruntime", threads=1) as model, served(Service([model])) as server:
        (name,) = (one["name"] for one in [server.ask("POST", "/v1/recognise", PICTURES[0]).json["model"]])
        told = server.ask("POST", "/v1/recognise", PICTURES[0]).json
        assert {cell_of(one["box"]) for one in told["detections"]} == set(NAMES[0])
        values = np.random.default_rng(6).uniform(0, 255, (2, *model.input.shape[1:])).astype(np.float32)
        one = {"name": "input", "shape": list(values.shape), "datatype": "FP32", "data": values.ravel().tolist()}
        answered = server.ask("POST", f"/v2/models/{name}/infer", json.dumps({"inputs": [one]}).encode())
        expected = [model.run_batch([PreparedItem(each)]).outputs for each in values]
        found = {
            output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answered.json["outputs"]
        }
        assert set(found) == {"cls_s8", "box_s8"}
        for output, array in found.items():
            np.testing.assert_allclose(array, np.concatenate([one[output] for one in expected]), rtol=0, atol=1e-5)


def test_a_new_bundle_of_either_half_is_taken_up_and_one_of_another_task_is_not(finder, color_bundle, tmp_path):
    first = tmp_path / "first.edge"
    first.write_bytes(finder.read_bytes())
    second = color_bundle("second.edge")
    with Service([ModelSource(first, second, name="shelf"), ModelSource(second, name="till")], OPTIONS) as service:
        assert not service.models.reload("shelf").changed
        color_bundle("new.edge", manifest={"created": "2026-02-02T00:00:00Z"}).replace(second)
        before = service.models.get("shelf").version
        assert service.models.reload("shelf").changed
        old, new = before.split("-"), service.models.get("shelf").version.split("-")
        assert (old[0] == new[0], old[1] == new[1]) == (True, False)
        first.replace(second)
        with pytest.raises(ev.errors.EdgeVisionError, match="can detect, and the live model can classify"):
            service.models.reload("till")
