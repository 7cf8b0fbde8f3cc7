"""Numbers and texts in the protocol's two forms, against NumPy and struct."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.protocol.datatypes import (
    DTYPES,
    NAMES,
    from_bytes,
    from_json,
    texts_from_bytes,
    texts_from_json,
    texts_to_bytes,
    to_bytes,
    to_json,
)

SHAPE = (2, 3, 2)


def numbers(datatype: str, seed: int = 1):
    """Of all that the datatype holds, its limits among them."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype({name: numpy_name for numpy_name, name in NAMES.items()}[datatype])
    if dtype.kind == "b":
        return rng.integers(0, 2, SHAPE).astype(dtype)
    if dtype.kind == "f":
        values = rng.normal(size=SHAPE).astype(dtype)
        values.flat[:2] = np.finfo(dtype).max, np.finfo(dtype).min
        return values
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, SHAPE, dtype=dtype)
    values.flat[:2] = limits.max, limits.min
    return values


@pytest.mark.parametrize("datatype", sorted(DTYPES))
def test_binary_numbers_come_back_and_are_little_endian(datatype):
    values = numbers(datatype)
    raw = to_bytes(values)
    assert raw == values.astype(values.dtype.newbyteorder("<")).tobytes()
    found = from_bytes(memoryview(raw), datatype, SHAPE)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


@pytest.mark.parametrize("datatype", sorted(DTYPES))
def test_big_endian_numbers_are_turned(datatype):
    values = numbers(datatype)
    assert to_bytes(values.astype(values.dtype.newbyteorder(">"))) == to_bytes(values)


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"FP16"}))
@pytest.mark.parametrize("nested", [False, True])
def test_json_numbers_come_back(datatype, nested):
    values = numbers(datatype)
    text = json.dumps(values.tolist() if nested else to_json(values, "x"))
    found = from_json(json.loads(text), datatype, SHAPE)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "words"),
    [
        ([1, 2, 3], "FP32", (1, 4), "expected data of shape"),
        ([1, 2, 3, 4, 5], "FP32", (1, 4), "expected data of shape"),
        ([], "FP32", (1, 1), "expected data of shape"),
        ([[1, 2], [3]], "FP32", (2, 2), "expected data of shape"),
        ([[1, 2, 3, 4]], "FP32", (2, 2), "expected data of shape"),
        ([[[1, 2]], [[3, 4]]], "FP32", (2, 2), "expected data of shape"),
        ([[1, 2], 3], "FP32", (2, 2), "expected data of shape"),
        ([[1, 2], [3, [4]]], "FP32", (2, 2), "got list"),
        ({"0": 1}, "FP32", (1,), "got dict"),
        ("AAAA", "UINT8", (4,), "got str"),
        (None, "FP32", (1,), "got NoneType"),
        ([1, "2"], "FP32", (2,), "got str"),
        ([1, None], "FP32", (2,), "got NoneType"),
        ([1, True], "FP32", (2,), "got bool"),
        ([1, True], "INT32", (2,), "got bool"),
        ([1, 0], "BOOL", (2,), "got int"),
        ([1.0], "INT32", (1,), "got float"),
        ([256], "UINT8", (1,), "0 … 255"),
        ([-1], "UINT64", (1,), "0 … 18446744073709551615"),
        ([2**64], "UINT64", (1,), "18446744073709551615"),
        ([10**300], "INT64", (1,), "9223372036854775807"),
        ([-129], "INT8", (1,), "-128 … 127"),
        ([1e39], "FP32", (1,), "larger"),
        ([10**39], "FP32", (1,), "larger"),
        ([10**400], "FP32", (1,), "larger"),
        ([math.inf], "FP64", (1,), "larger"),
        ([math.nan], "FP64", (1,), "larger"),
        ([1.0], "FP16", (1,), "no form in JSON"),
    ],
)
def test_json_that_the_datatype_cannot_hold_is_refused(data, datatype, shape, words):
    with pytest.raises(InputError, match=words):
        from_json(data, datatype, shape)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 32])
def test_binary_numbers_of_another_length_are_refused(length):
    with pytest.raises(InputError, match=f"expected 16 bytes for FP32 of shape \\[2, 2\\], got {length}"):
        from_bytes(memoryview(bytes(length)), "FP32", (2, 2))


def test_a_bool_is_0_or_1():
    with pytest.raises(InputError, match="0 and 1"):
        from_bytes(memoryview(b"\x00\x02"), "BOOL", (2,))


TEXTS = [b"", b"\xff\xd8\xff", "größer".encode(), bytes(300)]


def test_binary_texts_are_as_struct_packs_them():
    raw = b"".join(struct.pack("<I", len(text)) + text for text in TEXTS)
    assert texts_to_bytes(TEXTS) == raw
    assert texts_from_bytes(memoryview(raw), len(TEXTS)) == TEXTS


@pytest.mark.parametrize(
    ("raw", "count", "words"),
    [
        (b"", 1, "end before element 0"),
        (b"\x01\x00\x00", 1, "end before element 0"),
        (struct.pack("<I", 5) + b"four", 1, "is to have 5 bytes, 4 are left"),
        (struct.pack("<I", 0xFFFFFFFF), 1, "is to have 4294967295 bytes, 0 are left"),
        (struct.pack("<I", 1) + b"a", 2, "end before element 1"),
        (struct.pack("<I", 1) + b"ab", 1, "1 bytes are left over"),
        (struct.pack("<I", 1) + b"a" + struct.pack("<I", 0), 1, "4 bytes are left over"),
    ],
)
def test_binary_texts_that_do_not_fill_their_bytes_are_refused(raw, count, words):
    with pytest.raises(InputError, match=words):
        texts_from_bytes(memoryview(raw), count)


def test_json_texts_are_utf8():
    assert texts_from_json(["größer", ""], (2,)) == ["größer".encode(), b""]
    with pytest.raises(InputError, match="got int"):
        texts_from_json(["a", 1], (2,))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_does_not_have_is_to_be_asked_for_as_binary_data(value):
    with pytest.raises(InputError, match="'scores' holds numbers that JSON does not have"):
        to_json(np.array([[1.0, value]], np.float32), "scores")
    with pytest.raises(InputError, match="'scores' is FP16"):
        to_json(np.array([1.0], np.float16), "scores")
