"""Answers of ``infer`` as bytes, read as a client reads them."""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError
from edgevision.kiosk.service.protocol.encoding import encode
from edgevision.kiosk.service.protocol.parsing import Asked
from edgevision.kiosk.service.protocol.signature import Port

SCORES, BOXES = Port("scores", "FP32", (-1, 3)), Port("boxes", "FP32", (-1, 4))
RNG = np.random.default_rng(5)
ANSWERS = [
    {"scores": RNG.normal(size=3).astype(np.float32), "boxes": RNG.normal(size=4).astype(np.float32)} for _ in range(2)
]


def asked(*outputs, id: str | None = None) -> Asked:
    return Asked(id, None, (b"",), outputs)


def test_outputs_as_json_are_exact():
    encoded = encode(asked((BOXES, False), (SCORES, False), id="9"), ANSWERS, "color", "1f2e")
    assert encoded.json_length is None
    answer = json.loads(encoded.body)
    assert {key: answer[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "color",
        "model_version": "1f2e",
        "id": "9",
    }
    assert [(one["name"], one["datatype"], one["shape"]) for one in answer["outputs"]] == [
        ("boxes", "FP32", [2, 4]),
        ("scores", "FP32", [2, 3]),
    ]
    for one in answer["outputs"]:
        expected = np.stack([each[one["name"]] for each in ANSWERS])
        assert np.array_equal(np.array(one["data"], np.float32).reshape(one["shape"]), expected)


def test_binary_outputs_follow_the_json_in_its_order():
    encoded = encode(asked((SCORES, True), (BOXES, False), (SCORES, True)), ANSWERS, "color", "1f2e")
    answer = json.loads(encoded.body[: encoded.json_length])
    assert "id" not in answer
    raw = np.stack([each["scores"] for each in ANSWERS]).tobytes()
    assert encoded.body[encoded.json_length :] == raw + raw
    assert [one.get("parameters") for one in answer["outputs"]] == [
        {"binary_data_size": len(raw)},
        None,
        {"binary_data_size": len(raw)},
    ]
    assert ["data" in one for one in answer["outputs"]] == [False, True, False]


def test_results_of_a_cascade_are_texts():
    port = Port("result", "BYTES", (-1,))
    results = [SimpleNamespace(to_dict=lambda: {"products": [], "score": float("nan")})]
    answer = json.loads(encode(asked((port, False)), results, "shelf", "1").body)
    assert answer["outputs"][0]["shape"] == [1]
    assert json.loads(answer["outputs"][0]["data"][0]) == {"products": [], "score": None}
    encoded = encode(asked((port, True)), results, "shelf", "1")
    raw = encoded.body[encoded.json_length :]
    (length,) = struct.unpack_from("<I", raw)
    assert json.loads(raw[4:]) == {"products": [], "score": None}
    assert length == len(raw) - 4


def test_what_json_cannot_hold_is_refused():
    answers = [{"scores": np.array([1, np.nan, 2], np.float32)}]
    with pytest.raises(InputError, match="as binary data"):
        encode(asked((SCORES, False)), answers, "color", "1")
    assert encode(asked((SCORES, True)), answers, "color", "1").body.endswith(answers[0]["scores"].tobytes())


def test_items_of_different_shapes_are_no_tensor():
    answers = [{"scores": np.zeros(3, np.float32)}, {"scores": np.zeros(2, np.float32)}]
    with pytest.raises(EngineError, match="one by one"):
        encode(asked((SCORES, True)), answers, "color", "1")
