"""``infer`` requests as bytes: what is taken, and what is refused before anything of its size is made."""

from __future__ import annotations

import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevision.errors import InputError
from edgevision.kiosk.service.protocol.parsing import parse
from edgevision.kiosk.service.protocol.signature import Port, Signature

OUTPUTS = (Port("scores", "FP32", (-1, 3)), Port("boxes", "FP32", (-1, 4)))
FLOATS = Signature(Port("x", "FP32", (-1, 2, 3)), OUTPUTS, 4)
HALVES = Signature(Port("x", "FP16", (-1, 2, 3)), OUTPUTS, 4)
SHELF = Signature(Port("image", "BYTES", (-1,)), (Port("result", "BYTES", (-1,)),), 4, True)
VALUES = np.random.default_rng(4).normal(size=(2, 2, 3)).astype(np.float32)


def request(**changed):
    """An input of two items as JSON, with fields of the input changed; None: left out."""
    one = {"name": "x", "shape": [2, 2, 3], "datatype": "FP32", "data": VALUES.ravel().tolist(), **changed}
    return {"inputs": [{name: value for name, value in one.items() if value is not None}]}


def with_binary(raw: bytes, size: object = None, **changed) -> tuple[bytes, int]:
    size = len(raw) if size is None else size
    head = json.dumps(request(data=None, parameters={"binary_data_size": size}, **changed)).encode()
    return head + raw, len(head)


def body(data: object) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize("data", [VALUES.ravel().tolist(), VALUES.tolist()], ids=["flat", "nested"])
def test_json_data_may_be_flat_or_nested(data):
    asked = parse(body({**request(data=data), "id": "7"}), None, FLOATS)
    assert asked.id == "7"
    assert asked.tensor.dtype == np.float32
    assert np.array_equal(asked.tensor, VALUES)
    assert asked.outputs == tuple((port, False) for port in OUTPUTS)


def test_binary_data_follow_the_json():
    asked = parse(*with_binary(VALUES.tobytes()), FLOATS)
    assert np.array_equal(asked.tensor, VALUES)
    halves = VALUES.astype(np.float16)
    asked = parse(*with_binary(halves.tobytes(), datatype="FP16"), HALVES)
    assert asked.tensor.dtype == np.float16
    assert np.array_equal(asked.tensor, halves)


def test_numbers_that_are_none_go_through_as_binary_data():
    values = VALUES.copy()
    values[0, 0] = np.nan
    assert np.array_equal(parse(*with_binary(values.tobytes()), FLOATS).tensor, values, equal_nan=True)


@pytest.mark.parametrize(("signature", "name"), [(FLOATS, "x"), (SHELF, "image")])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_encoded_pictures_are_taken_in_place_of_the_tensor(signature, name, shape):
    pictures = (b"\xff\xd8picture", b"")
    raw = b"".join(struct.pack("<I", len(one)) + one for one in pictures)
    asked = parse(*with_binary(raw, name=name, datatype="BYTES", shape=shape), signature)
    assert asked.tensor is None
    assert asked.pictures == pictures


@pytest.mark.parametrize(
    ("parameters", "outputs", "expected"),
    [
        ({}, None, [("scores", False), ("boxes", False)]),
        ({"binary_data_output": True}, None, [("scores", True), ("boxes", True)]),
        ({}, [], [("scores", False), ("boxes", False)]),
        ({}, [{"name": "boxes"}], [("boxes", False)]),
        ({}, [{"name": "boxes", "parameters": {"binary_data": True}}, {"name": "scores"}], [("boxes", True), ("scores", False)]),
        ({"binary_data_output": True}, [{"name": "scores", "parameters": {"binary_data": False}}], [("scores", False)]),
    ],
)  # fmt: skip
def test_outputs_come_as_they_are_asked_for(parameters, outputs, expected):
    asked = parse(body({**request(), "parameters": parameters, "outputs": outputs}), None, FLOATS)
    assert [(port.name, is_binary) for port, is_binary in asked.outputs] == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "the request is a JSON object, got list"),
        ({}, "inputs is a list"),
        ({"inputs": {}}, "inputs is a list"),
        ({"inputs": []}, "expected one input, 'x', got 0"),
        ({"inputs": [1]}, "an input is a JSON object"),
        ({"inputs": [{"name": "x"}] * 65}, "at most 64"),
        ({"inputs": [*request()["inputs"]] * 2}, "expected one input, 'x', got 2: x, x"),
        (request(name="X"), "expected one input, 'x', got 1: X"),
        (request(name=None), "got 1: None"),
        (request(datatype="FP64"), "input 'x' is FP32 or BYTES, got 'FP64'$"),
        (request(datatype="fp32"), "which the protocol does not know"),
        (request(datatype=None), "got 'None'"),
        (request(shape=None), r"shape is a list of whole numbers, \[n, 2, 3\]"),
        (request(shape="2,2,3"), "shape is a list"),
        (request(shape=[2.0, 2, 3]), "shape is a list"),
        (request(shape=[True, 2, 3]), "shape is a list"),
        (request(shape=[2, 2]), r"expected shape \[n, 2, 3\]"),
        (request(shape=[2, 3, 2]), r"expected shape \[n, 2, 3\]"),
        (request(shape=[2, 2, 3, 1]), r"expected shape \[n, 2, 3\]"),
        (request(shape=[2, -2, -3]), r"expected shape \[n, 2, 3\]"),
        (request(shape=[0, 2, 3], data=[]), "expected 1…4 items in a request, got 0"),
        (request(shape=[-2, 2, 3]), "expected 1…4 items in a request, got -2"),
        (request(shape=[5, 2, 3]), "expected 1…4 items in a request, got 5"),
        (request(shape=[10**300, 2, 3]), "expected 1…4 items in a request, got 1000"),
        (request(data=[1.0]), "expected data of shape"),
        (request(data=None), "expected data as a list, got NoneType"),
        (request(parameters=[]), "parameters of an input is a JSON object"),
        ({**request(), "parameters": 1}, "parameters is a JSON object"),
        ({**request(), "parameters": {"binary_data_output": 1}}, "binary_data_output is true or false"),
        ({**request(), "id": 7}, "id is a text"),
        ({**request(), "id": "7" * 257}, "id is a text of at most 256"),
        ({**request(), "outputs": [{"name": "score"}]}, "outputs are scores, boxes, got 'score'"),
        ({**request(), "outputs": [{}]}, "got 'None'"),
        ({**request(), "outputs": [{"name": ["scores"]}]}, "outputs are"),
        ({**request(), "outputs": [{"name": "scores"}] * 2}, "asked for twice"),
        ({**request(), "outputs": "scores"}, "outputs is a list"),
        ({**request(), "outputs": [{"name": "scores", "parameters": {"binary_data": "yes"}}]}, "binary_data is true or false"),
        ({**request(), "outputs": [{"name": "scores", "parameters": {"classification": 3}}]}, "extension that is not served"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_protocol_or_the_model_want_it_is_refused(data, words):
    with pytest.raises(InputError, match=words):
        parse(body(data), None, FLOATS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"inputs": NaN}', "NaN is no JSON"),
        (b'{"inputs": -Infinity}', "-Infinity is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"id": ' + b"9" * 100_000 + b"}", "is no JSON|no number of any datatype"),
    ],
)
def test_hostile_json_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse(text, None, FLOATS)


def test_a_number_too_large_for_a_float_is_refused():
    text = body(request(data=None))[:-3] + b', "data": [1e999' + b", 0" * 11 + b"]}]}"
    with pytest.raises(InputError, match="larger"):
        parse(text, None, FLOATS)


RAW = VALUES.tobytes()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (with_binary(RAW[:-1]), "expected 48 bytes"),
        (with_binary(RAW + b"\0"), "expected 48 bytes"),
        (with_binary(RAW, 47), "binary_data_size of input 'x' is 47, 48 bytes follow"),
        (with_binary(RAW, 49), "binary_data_size of input 'x' is 49, 48 bytes follow"),
        (with_binary(RAW, -48), "is -48"),
        (with_binary(RAW, 48.0), "is 48.0"),
        (with_binary(RAW, True), "is True"),
        (with_binary(RAW, "48"), "is 48, 48 bytes"),
        (with_binary(RAW, 2**63), "is 9223372036854775808"),
        (with_binary(b"", 0), "expected 48 bytes for FP32"),
        (with_binary(RAW, shape=[1, 2, 3]), "expected 24 bytes"),
        (with_binary(RAW, shape=[4, 2, 3]), "expected 96 bytes"),
        ((body(request()) + b"more", len(body(request()))), "4 bytes follow the JSON, and no input has binary_data_size"),
        ((body(request()), 10**11), "Inference-Header-Content-Length is 100000000000"),
        ((body(request()), len(body(request())) + 1), "Inference-Header-Content-Length is"),
        ((body(request()), 5), "is no JSON"),
        ((body(request()), 0), "is no JSON"),
    ],
)  # fmt: skip
def test_lengths_and_places_that_do_not_fit_are_refused(made, words):
    with pytest.raises(InputError, match=words):
        parse(*made, FLOATS)


def test_data_and_binary_data_together_are_refused():
    head = body(request(parameters={"binary_data_size": 48}))
    with pytest.raises(InputError, match="give one of them"):
        parse(head + RAW, len(head), FLOATS)


def test_fp16_has_no_json():
    with pytest.raises(InputError, match="send it as binary data"):
        parse(body(request(datatype="FP16")), None, HALVES)


def test_nothing_of_the_size_that_a_request_claims_is_made():
    wide = Signature(Port("x", "FP32", (-1, 4096, 4096)), OUTPUTS, 4)
    shapes = ([4, 4096, 4096], [4, 4096, 4097], [2**40, 4096, 4096])
    tracemalloc.start()
    try:
        for shape in shapes:
            for made in (with_binary(b"few", shape=shape), (body(request(shape=shape)), None)):
                with pytest.raises(InputError):
                    parse(*made, wide)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.none() | st.integers(0, 80), st.integers(0, 400), st.integers(0, 255))
def test_a_spoiled_request_is_taken_or_refused_and_nothing_else(tail, length, place, value):
    """Bytes changed at random, and lengths that do not fit: no other error than ours."""
    made, right = with_binary(RAW)
    spoiled = bytearray(made + tail)
    spoiled[place % len(spoiled)] = value
    try:
        asked = parse(bytes(spoiled), right if length is None else length, FLOATS)
    except InputError:
        return
    assert asked.pictures or asked.tensor.shape == (2, 2, 3)
