from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from edgevision.bundle.golden import MAX_SIDE_PX, decode_frame, decode_outputs, encode_outputs, shrink
from edgevision.decode import encode_png
from edgevision.errors import BundleError, InputError


@pytest.mark.parametrize(("height", "width"), [(512, 300), (100, 100), (2000, 1000), (513, 513), (1, 5000)])
def test_shrink(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    small = shrink(image)
    assert max(small.shape) <= MAX_SIDE_PX
    assert small.shape[1] / small.shape[0] == pytest.approx(width / height, rel=0.01) or min(small.shape[:2]) == 1
    if max(height, width) <= MAX_SIDE_PX:
        np.testing.assert_array_equal(small, image)
    np.testing.assert_array_equal(decode_frame(encode_png(small), "golden/0.png"), small)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG"),
        (b"\xff\xd8\xff\xe0", "not a PNG"),
        (encode_png(np.zeros((8, 8, 3), np.uint8))[:-20], "golden/0.png: .*compile"),
        (encode_png(np.zeros((1, 513, 3), np.uint8)), "at most 512 pixels a side, got 513×1"),
        (encode_png(np.zeros((600, 600, 3), np.uint8)), "600×600"),
        (
            encode_png(np.zeros((8, 8, 3), np.uint8)).replace(b"\0\0\0\x08\0\0\0\x08", b"\0\0\x75\x30\0\0\x75\x30"),
            "30000×30000 pixels of this PNG take 5400 MB to decode, the limit is 4.1943 MB",
        ),
    ],
)
def test_frames_are_small_pngs(data, message):
    with pytest.raises(BundleError, match=message):
        decode_frame(data, "golden/0.png")


def numbers(dtype, shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(dtype) if dtype == "f4" else rng.integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1"])
@pytest.mark.parametrize("shape", [(8, 25), (8, 1), (1, 1), (3, 100, 6), (2, 1, 1), (2, 3, 4, 5), (64, 1, 1, 1)])
def test_outputs_round_trip(dtype, shape):
    outputs = numbers(dtype, shape)
    data = encode_outputs(outputs)
    plain = np.load(io.BytesIO(data), allow_pickle=False)  # any NumPy reads it
    assert plain.dtype == outputs.dtype
    np.testing.assert_array_equal(plain, outputs)
    back = decode_outputs(data, shape[0], "x")
    assert back.dtype == outputs.dtype
    assert back.dtype.isnative
    assert back.flags.writeable
    np.testing.assert_array_equal(back, outputs)


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1"])
def test_any_layout_in_memory_is_stored_alike(dtype):
    outputs = numbers(dtype, (4, 6, 2))
    expected = encode_outputs(outputs)
    for same in (np.asfortranarray(outputs), np.repeat(outputs, 2, axis=1)[:, ::2], outputs.astype(f">{dtype}")):
        assert encode_outputs(same) == expected


@pytest.mark.parametrize(
    ("given", "stored"), [("f8", "f4"), ("f2", "f4"), ("i8", "i4"), ("i2", "i4"), ("i1", "i4"), ("u1", "u1")]
)
def test_other_widths_are_stored_as_those_there_are(given, stored):
    outputs = np.array([[1, 2], [3, 100]], given)
    back = decode_outputs(encode_outputs(outputs), 2, "x")
    assert back.dtype == stored
    np.testing.assert_array_equal(back, outputs)


def test_lists_are_stored_too():
    np.testing.assert_array_equal(decode_outputs(encode_outputs([[0.5, -1.0]]), 1, "x"), np.float32([[0.5, -1]]))


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1"])
def test_what_np_save_writes_is_read(dtype):
    file = io.BytesIO()
    np.save(file, np.ones((8, 1), dtype))
    assert decode_outputs(file.getvalue(), 8, "x").shape == (8, 1)


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npy_with_header(text, content=bytes(64)):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def header(shape="(8, 2)", descr="<f4", order="False", after=", "):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}{after}}}\n".encode()


GOOD = np.ones((8, 2), np.float32)
NOT_ONE = "golden/x.npy is not an .npy array as golden outputs are stored; compile"


def test_the_lies_below_are_told_in_headers_that_pass_when_true():
    assert decode_outputs(npy_with_header(header()), 8, "golden/x.npy").shape == (8, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", NOT_ONE),
        (npy(GOOD)[:-1], r"shape \(8, 2\).*63 bytes"),
        (npy(GOOD) + b"\0", r"shape \(8, 2\).*65 bytes"),
        (npy(GOOD[:7]), r"a row for each of 8 golden frames, got shape \(7, 2\)"),
        (npy(np.ones((9, 2, 3), np.uint8)), r"a row for each of 8 golden frames, got shape \(9, 2, 3\)"),
        (npy(GOOD.astype(np.float64)), NOT_ONE),
        (npy(GOOD.astype(np.float16)), NOT_ONE),
        (npy(GOOD.astype(">f4")), NOT_ONE),
        (npy(GOOD.astype(">i4")), NOT_ONE),
        (npy(GOOD.astype(np.int64)), NOT_ONE),
        (npy(GOOD.astype(np.int8)), NOT_ONE),
        (npy(GOOD.astype(bool)), NOT_ONE),
        (npy(GOOD.astype(complex)), NOT_ONE),
        (npy(GOOD.astype("S4")), NOT_ONE),
        (npy(GOOD.astype(object), allow_pickle=True), NOT_ONE),
        (npy(np.asfortranarray(GOOD)), NOT_ONE),
        (npy(GOOD[0]), NOT_ONE),
        (npy(GOOD[:, :1, None, None, None]), NOT_ONE),
        (npy(np.float32(1)[()].reshape(())), NOT_ONE),
        (npy(GOOD, version=(2, 0)), NOT_ONE),
        (npy(GOOD, version=(3, 0)), NOT_ONE),
        (npy(np.where(GOOD > 0, np.nan, GOOD).astype(np.float32)), "golden/x.npy holds NaN or infinity"),
        (npy(GOOD * np.float32(np.inf)), "golden/x.npy holds NaN or infinity"),
        # Headers that say what is not so.
        (npy_with_header(header("(999999999, 999999999)")), r"got shape \(9999"),
        (npy_with_header(header("(8, 999999999, 999999999, 999999999)")), r"got shape \(8, 9999.* and 64 bytes"),
        (npy_with_header(header("(8, 2, 4)")), r"got shape \(8, 2, 4\) and 64 bytes"),
        (npy_with_header(header("(8, 0)")), r"got shape \(8, 0\) and 64 bytes"),
        (npy_with_header(header("(8, 2)", "|u1")), r"got shape \(8, 2\) and 64 bytes"),
        (npy_with_header(header("(0, 2)"), b""), r"got shape \(0, 2\)"),
        (npy_with_header(header("(8, -2)")), NOT_ONE),
        (npy_with_header(header("(8, 2L)")), NOT_ONE),
        (npy_with_header(header("(8, 1e1)")), NOT_ONE),
        (npy_with_header(header("(8, 9999999999)")), NOT_ONE),
        (npy_with_header(header("(8,2)")), NOT_ONE),
        (npy_with_header(header("[8, 2]")), NOT_ONE),
        (npy_with_header(header(order="True")), NOT_ONE),
        (npy_with_header(header(descr="<f4', 'x': '")), NOT_ONE),
        (npy_with_header(header(descr="|O")), NOT_ONE),
        (npy_with_header(header(descr="<u1")), NOT_ONE),
        (npy_with_header(header(after=", 'x': print(1)")), NOT_ONE),
        (npy_with_header(header() + b"\n"), r"65 bytes|is not an \.npy"),
        (npy_with_header(header()[:-1] + b"x\n"), NOT_ONE),
        (npy_with_header(b"(" * 5000), NOT_ONE),
        (b"\x93NUMPY\1\0" + struct.pack("<H", len(header()) - 1) + header() + bytes(64), NOT_ONE),
        (b"\x93NUMPY\1\0" + struct.pack("<H", len(header()) + 64) + header() + bytes(64), NOT_ONE),
    ],
)
def test_outputs_are_exactly_what_is_expected(data, message):
    with pytest.raises(BundleError, match=message):
        decode_outputs(data, 8, "golden/x.npy")


@pytest.mark.parametrize(
    "outputs",
    [
        [1.0, 2.0], 1.0, np.ones((1, 1, 1, 1, 1)), [[np.nan, 1]], [[np.inf, 1]], [[[1.0, -np.inf]]], [["a"]], [[True]],
        [[1j]], [[None]], [[1e300, 1]],
    ],
)  # fmt: skip
def test_only_finite_tables_are_stored(outputs):
    with pytest.raises(InputError, match="finite numbers"):
        encode_outputs(outputs)


@pytest.mark.parametrize("outputs", [np.array([[300]], np.uint16), np.array([[2**40]]), np.array([[-(2**31) - 1]])])
def test_whole_numbers_that_would_not_come_back_are_not_stored(outputs):
    with pytest.raises(InputError, match="finite numbers"):
        encode_outputs(outputs)
