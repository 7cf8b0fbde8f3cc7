from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest

from edgevision.bundle.golden import (
    MAX_SIDE_PX,
    choose_golden,
    compare,
    decode_frame,
    decode_outputs,
    encode_outputs,
    shrink,
)
from edgevision.decode import encode_png
from edgevision.errors import BundleError, InputError

FLOAT = np.array([[0.7, 0.2, 0.1], [0.45, 0.35, 0.2]])  # the first has a clear margin, the second has not
OWN = np.array([[0.69, 0.21, 0.1], [0.41, 0.39, 0.2]])


@pytest.mark.parametrize(
    ("difference", "same_device", "passed", "message"),
    [
        ([[0, 0, 0], [0, 0, 0]], True, True, "2 golden frames agree"),
        ([[0, 0, 0], [0, 0, 0]], False, True, "2 golden frames agree"),
        ([[9e-4, -9e-4, 0], [0, 0, 0]], True, True, "worst difference 0.0009, allowed 0.001"),
        ([[0, 0, 0], [0, 2e-3, -2e-3]], True, False, r"golden frame 2 of 2.* 0\.002 .*0\.001 is allowed where it"),
        ([[-0.09, 0.09, 0], [0, 0, 0]], False, True, "agree"),
        ([[-0.11, 0.11, 0], [0, 0, 0]], False, False, r"golden frame 1 of 2.* 0\.11 .*0\.1 is allowed on another"),
        ([[0, 0, 0], [-0.05, 0.05, 0]], False, True, "agree"),  # turned, but float's margin is not clear
        ([[np.nan] * 3, [0, 0, 0]], True, False, "differs by inf"),
        ([[0, 0, 0], [0, np.nan, 0]], False, False, "golden frame 2 of 2.*differs by inf"),
        ([[np.inf, 0, 0], [0, 0, 0]], False, False, "differs by inf"),
    ],
)
def test_compare(difference, same_device, passed, message):
    result = compare(FLOAT, OWN + np.array(difference), OWN, same_device=same_device)
    assert result.passed is passed
    assert re.search(message, result.message)
    if np.isfinite(difference).all():
        assert result.worst == pytest.approx(np.max(difference))


def test_another_device_must_not_turn_a_clear_answer():
    """The variant's own answer was near the edge; 0.1 alone would let the new one pass."""
    reference = np.array([[0.61, 0.39]])
    own, now = np.array([[0.54, 0.46]]), np.array([[0.46, 0.54]])
    result = compare(reference, now, own, same_device=False)
    assert not result.passed
    assert "best class is not float's" in result.message
    assert compare([[0.59, 0.41]], now, own, same_device=False).passed


@pytest.mark.parametrize("now", [OWN[:1], OWN[:, :2], OWN[0], np.empty((0, 3))])
def test_compare_needs_one_shape(now):
    with pytest.raises(InputError, match="one shape"):
        compare(FLOAT, now, OWN, same_device=True)


def test_one_class():
    assert compare([[1.0]], [[1.0]], [[1.0]], same_device=False).passed


# ---- choice ----


def plain(bgr):
    return np.full((40, 40, 3), bgr, np.uint8)


def test_choice_prefers_clear_then_sensitive_then_coloured():
    grey, red = plain((90, 90, 90)), plain((20, 60, 200))
    p = np.array([[0.50, 0.45, 0.05], [0.999999, 0, 0], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.999999, 0, 0]])
    assert choose_golden([red, grey, grey, red, red], p, 5) == [3, 2, 4, 1, 0]


def test_choice_goes_through_the_classes():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 10)
    p = np.full((40, 4), 0.1)
    p[np.arange(40), truth] = 0.7
    images = rng.integers(0, 256, (40, 16, 16, 3), np.uint8)
    assert sorted(truth[choose_golden(images, p, 8)]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert choose_golden(images, p) == choose_golden(iter(images), p)


def test_fewer_photos_than_asked_for():
    assert sorted(choose_golden([plain((1, 2, 3))] * 3, [[0.9, 0.1]] * 3)) == [0, 1, 2]
    assert choose_golden([], np.empty((0, 4))) == []


@pytest.mark.parametrize(("p", "n"), [(np.ones((3, 2)), 8), (np.ones(2), 8), (np.ones((2, 2)), 0)])
def test_choice_refuses_what_does_not_fit(p, n):
    with pytest.raises(InputError):
        choose_golden([plain((1, 2, 3))] * 2, p, n)


def _linear_model(images):
    """A small sensitive classifier: logits linear in the mean colour."""
    weights = np.array([[0.03, 0, -0.03], [-0.03, 0.01, 0.02], [0, -0.02, 0.03]])
    logits = np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]) @ weights
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("same_device", [True, False])
def test_swapped_colours_fail(same_device):
    """Of photos most of which are grey, the choice finds those that show a swap."""
    rng = np.random.default_rng(3)
    grey = [plain((v, v, v)) for v in rng.integers(0, 256, 100)]
    images = grey + [plain(c) for c in rng.integers(0, 256, (10, 3))]
    chosen = [images[i] for i in choose_golden(images, _linear_model(images))]
    p = _linear_model(chosen)
    assert compare(p, p, p, same_device=same_device).passed
    swapped = _linear_model([image[..., ::-1] for image in chosen])
    assert not compare(p, swapped, p, same_device=same_device).passed


# ---- storing ----


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
            "golden",
        ),
    ],
)
def test_frames_are_small_pngs(data, message):
    with pytest.raises(BundleError, match=message):
        decode_frame(data, "golden/0.png")


def test_outputs_round_trip():
    outputs = np.random.default_rng(0).normal(size=(8, 25)).astype(np.float32)
    data = encode_outputs(outputs)
    np.testing.assert_array_equal(np.load(io.BytesIO(data), allow_pickle=False), outputs)  # any NumPy reads it
    back = decode_outputs(data, (8, 25), "x")
    assert back.dtype == np.float32
    assert back.flags.writeable
    np.testing.assert_array_equal(back, outputs)


def test_what_np_save_writes_is_read():
    file = io.BytesIO()
    np.save(file, np.ones((8, 1), np.float32))
    assert decode_outputs(file.getvalue(), (8, 1), "x").shape == (8, 1)


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npy_with_header(text):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(64)


GOOD = np.ones((8, 2), np.float32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a float32 .npy"),
        (npy(GOOD)[:-1], r"shape \(8, 2\).*63 bytes"),
        (npy(GOOD) + b"\0", r"shape \(8, 2\).*65 bytes"),
        (npy(GOOD[:7]), r"got \(7, 2\)"),
        (npy(np.ones((8, 3), np.float32)), r"got \(8, 3\)"),
        (npy(GOOD.astype(np.float64)), "not a float32"),
        (npy(GOOD.astype(">f4")), "not a float32"),
        (npy(GOOD.astype(np.int32)), "not a float32"),
        (npy(GOOD.astype(object), allow_pickle=True), "not a float32"),
        (npy(np.asfortranarray(GOOD)), "not a float32"),
        (npy(GOOD[0]), "not a float32"),
        (npy(GOOD, version=(2, 0)), "not a float32"),
        (npy(np.where(GOOD > 0, np.nan, GOOD).astype(np.float32)), "NaN or infinity"),
        (npy(GOOD * np.float32(np.inf)), "NaN or infinity"),
        (
            npy_with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }\n"),
            r"got \(9999",
        ),
        (
            npy_with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 2), 'x': print(1)}\n"),
            "not a float32",
        ),
        (npy_with_header(b"(" * 5000), "not a float32"),
    ],
)
def test_outputs_are_exactly_what_is_expected(data, message):
    with pytest.raises(BundleError, match=message):
        decode_outputs(data, (8, 2), "golden/x.npy")


@pytest.mark.parametrize("outputs", [[1.0, 2.0], [[np.nan, 1]], [[np.inf, 1]], [[1e300, 1]]])
def test_only_finite_tables_are_stored(outputs):
    with np.errstate(over="ignore"), pytest.raises(InputError, match="finite numbers"):
        encode_outputs(outputs)
