"""Messages between the run and a target's process: whole ones come back, damaged ones are refused."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from edgevision.bench.process import messages
from edgevision.bench.process.messages import Message, MessageError, read_message, write_message
from edgevision.bench.process.plain import (
    answers_from_message,
    answers_to_message,
    block_from_message,
    block_to_message,
    identity_from_plain,
    identity_to_plain,
)
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.targets.base import Answer, Identity


def there_and_back(message: Message) -> Message:
    stream = io.BytesIO()
    write_message(stream, message)
    stream.seek(0)
    again = read_message(stream.read)
    assert again is not None
    assert read_message(stream.read) is None
    return again


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5, dtype=np.int64),
        np.zeros(0, np.float64),
        np.zeros((3, 0, 2), np.float32),
        np.array(7, np.int32),
        np.array([True, False]),
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(4, dtype=">f8"),
        np.array([np.nan, np.inf]),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_come_back(array):
    again = there_and_back(
        Message({"is": "x", "text": "ü\n"}, {"a": array, "b:ö": array[..., :0] if array.ndim else array})
    )
    assert again.head == {"is": "x", "text": "ü\n"}
    np.testing.assert_array_equal(again.arrays["a"], array)
    assert again.arrays["a"].shape == array.shape
    assert again.arrays["a"].flags.writeable


@pytest.mark.parametrize("dtype", [object, np.complex128, "U3", np.float16])
def test_other_types_are_not_sent(dtype):
    with pytest.raises(MessageError, match="cannot be sent"):
        write_message(io.BytesIO(), Message({}, {"a": np.zeros(2, dtype)}))


def framed(head: object, rest: bytes = b"", magic: bytes = b"EVB1") -> bytes:
    data = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<4sI", magic, len(data)) + data + rest


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"EVB", "ended after 3 of 8"),
        (b"Traceback (most recent call last)", "expected a message"),
        (struct.pack("<4sI", b"EVB1", 2**31), "over the limits"),
        (framed(b"{"), "damaged head"),
        (framed(b"\xff"), "damaged head"),
        (framed([1]), "damaged head"),
        (framed({}), "damaged head"),
        (framed({"arrays": [["a"]]}), "no message|damaged head|not enough"),
        (framed({"arrays": [["a", "|O8", [1]]]}), "not taken"),
        (framed({"arrays": [["a", "<f8", [-1]]]}), "shape"),
        (framed({"arrays": [["a", "<f8", [1] * 9]]}), "not taken"),
        (framed({"arrays": [["a", "<f8", [2**20, 2**20]]]}), "over the limits"),
        (framed({"arrays": [["a", "<f8", [4]]]}, bytes(31)), "ended after 31 of 32"),
        (framed({"arrays": [["a", "<f8", [2**28]]]}, bytes(5)), "ended after 5"),  # and no 2 GB are taken for it
    ],
)
def test_what_is_no_message_is_refused(data, said):
    with pytest.raises(MessageError, match=said):
        read_message(io.BytesIO(data).read)


def test_a_head_that_is_too_long_is_not_sent(monkeypatch):
    monkeypatch.setattr(messages, "MAX_HEAD_BYTES", 50)
    with pytest.raises(MessageError, match="over the limits"):
        write_message(io.BytesIO(), Message({"text": "x" * 60}))


def test_answers_come_back():
    answers = [
        Answer(np.array([3, 1]), np.array([0.5, 0.25])),
        Answer(np.array([2]), np.array([0.5]), np.array([[1.0, 2, 3, 4]])),
        Answer(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4))),
        Answer(np.zeros(0, np.int64), np.zeros(0), None, {"out:put": np.arange(6.0)}),
    ]
    again = answers_from_message(there_and_back(answers_to_message(answers)))
    assert len(again) == len(answers)
    for answer, one in zip(answers, again, strict=True):
        np.testing.assert_array_equal(one.classes, answer.classes)
        np.testing.assert_array_equal(one.scores, answer.scores)
        assert (one.boxes is None) == (answer.boxes is None)
        if answer.boxes is not None:
            np.testing.assert_array_equal(one.boxes, answer.boxes)
        assert list(one.tensors) == list(answer.tensors)


def test_blocks_come_back():
    block = Block(
        "a", Scenario("fixed-rate", {"cameras": 4, "fps": 15.0, "how": None}, 3), 7, 10**15, 5, np.array([1, 2**62]), np.array([0, -1]),
        np.array([True, False]), np.array([5, 6]), {"decode": np.array([1, 1]), "infer": np.array([2, 3])}, np.array([0, 1]),
        (0, 5), (7, 8), (1,), Counters(1, None, 3, 4),
    )  # fmt: skip
    again = block_from_message(there_and_back(block_to_message(block)))
    for name in vars(block):
        expected, got = getattr(block, name), getattr(again, name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(got, expected)
        elif name == "stages":
            assert {stage: list(times) for stage, times in got.items()} == {"decode": [1, 1], "infer": [2, 3]}
        elif name == "counters":
            assert vars(got) == vars(expected)
        else:
            assert got == expected


def test_identities_come_back():
    identity = Identity(
        "onnx", "m.onnx", "ab", 5, "detect", "float32", "e", "p", 2, (1, 3, 4, 4), {"numpy": "2"}, ("one", "two")
    )
    assert identity_from_plain(json.loads(json.dumps(identity_to_plain(identity)))) == identity
