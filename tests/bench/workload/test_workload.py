"""The frozen workload: hashed, written, mapped, and refused where it is damaged."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from edgevision.bench.workload import Workload, load
from edgevision.bench.workload.photos import from_folder
from edgevision.bench.workload.rendered import encode_jpeg, picture, render
from edgevision.decode import encode_png, read_image
from edgevision.errors import EdgeVisionError, ImageError, InputError


@pytest.fixture(params=[False, True], ids=["bgr", "jpeg"])
def workload(request):
    return render(40, 24, count=3, seed=5, encoded=request.param)


def test_a_workload_comes_back_mapped_and_unwritable(workload, tmp_path):
    path = tmp_path / "frames"
    workload.save(path)
    again = load(path)
    assert again.describe() == workload.describe()
    for frame, one in zip(workload.frames, again.frames, strict=True):
        if workload.encoded:
            assert one == frame
            assert type(one) is bytes
        else:
            np.testing.assert_array_equal(one, frame)
            assert one.flags.aligned
            assert one.flags.c_contiguous
            with pytest.raises(ValueError, match="read-only"):
                one[0, 0] = 1


def test_what_is_described(workload):
    told = workload.describe()
    assert (told["count"], told["seed"]) == (3, 5)
    assert told["format"] == ("jpeg" if workload.encoded else "bgr")
    assert told["sizes"] == [{"width": 40, "height": 24, "count": 3}]
    assert told["bytes"] == sum(len(f) if workload.encoded else f.nbytes for f in workload.frames)
    json.dumps(told)
    assert workload.count == 3


def test_the_hash_is_over_format_sizes_and_bytes():
    frame = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    workload = Workload("x", [frame], ((4, 2),))
    expected = hashlib.sha256(b"bgr" + b"\n4x2:24\n" + frame.tobytes()).hexdigest()
    assert workload.sha256 == expected
    assert Workload("y", [frame[:, ::-1][:, ::-1]], ((4, 2),)).sha256 == expected  # whatever its strides and name
    assert Workload("x", [frame.reshape(4, 2, 3)], ((2, 4),)).sha256 != expected
    assert Workload("x", [frame.tobytes()], ((4, 2),), "jpeg").sha256 != expected
    assert Workload("x", [frame, frame], ((4, 2),) * 2).sha256 != expected


@pytest.mark.parametrize(
    ("frames", "sizes", "format", "said"),
    [
        ([], (), "bgr", "at least one frame"),
        ([np.zeros((2, 2, 3), np.uint8)], (), "bgr", "each with its size"),
        ([np.zeros((2, 2), np.uint8)], ((2, 2),), "bgr", "uint8 .height, width, 3."),
        ([np.zeros((2, 2, 3), np.float32)], ((2, 2),), "bgr", "uint8 .height, width, 3."),
        ([np.zeros((2, 2, 3), np.uint8)], ((2, 2),), "jpeg", "bytes of JPEG"),
        ([b"x"], ((2, 2),), "png", "'bgr' or 'jpeg'"),
    ],
)
def test_what_is_no_workload(frames, sizes, format, said):
    with pytest.raises(InputError, match=said):
        Workload("x", frames, sizes, format)


def test_too_many_bytes_are_refused(monkeypatch):
    from edgevision.bench.workload import workload as module

    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="over the limit"):
        render(8, 8, count=2)


def damaged(change):
    """A workload's file with its head changed."""

    def make(data):
        (length,) = struct.unpack("<I", data[8:12])
        head = json.loads(data[12 : 12 + length])
        change(head)
        text = json.dumps(head).encode().ljust(length)
        return data[:8] + struct.pack("<I", len(text)) + text + data[12 + length :]

    return make


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "cannot be read"),
        (lambda data: b"PK\3\4" + data[4:], "is no workload"),
        (lambda data: data[:9], "is no workload"),
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "its head has"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "was altered"),
        (damaged(lambda head: head.update(sizes=[[1, 1]] * 3)), "is no workload"),
        (damaged(lambda head: head.update(sizes=[[0, 0]] * 3)), "size that cannot be"),
        (damaged(lambda head: head.update(lengths=[-5, 1, 1])), "cut short"),
        (damaged(lambda head: head.pop("seed")), "is no workload"),
        (damaged(lambda head: head.update(lengths=[2880, 2880])), "is no workload"),
    ],
)
def test_damaged_files_are_refused(spoil, said, tmp_path):
    path = tmp_path / "frames"
    render(40, 24, count=3).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=said):
        load(path)


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(EdgeVisionError):
        render(8, 8, count=1).save(tmp_path / "nowhere" / "frames")


# ---- rendered ----


def test_rendered_pictures_are_the_same_for_a_seed_and_differ_else():
    # The hash is the promise that records of many machines can be compared: where it changes, the pictures have.
    first = render(320, 200, count=2, seed=1)
    assert first.sha256 == "3371005be32ffd3a7b2ab3339493beae6848cb86e64f855275536c0e8e5edbb2"
    assert render(320, 200, count=2, seed=1).sha256 == first.sha256
    assert render(320, 200, count=2, seed=2).sha256 != first.sha256
    assert not np.array_equal(first.frames[0], first.frames[1])


def test_rendered_pictures_give_work_like_photos():
    image = render(640, 480, count=1).frames[0]
    assert image.std() > 20
    assert len(np.unique(image)) > 150
    size = len(encode_jpeg(image))
    assert 0.03 < size / image.nbytes < 0.3  # a photo of quality 90 keeps about a tenth


@pytest.mark.parametrize(("size", "count"), [((7, 8), 1), ((8, 20_000), 1), ((8, 8), 0), ((8, 8), 10**6)])
def test_sizes_outside_the_limits(size, count):
    with pytest.raises(InputError):
        render(*size, count=count)


# ---- photos ----


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.jpg", "a/1.jpg", "a/0.JPEG"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_jpeg(picture(40, 24, (int(path.stem),))))
    (tmp_path / "a" / "3.png").write_bytes(encode_png(picture(16, 8, (3,))))
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def test_photos_in_the_order_of_their_names(folder):
    workload = from_folder(folder)
    assert workload.sizes == ((40, 24), (40, 24), (16, 8), (40, 24))
    for frame, name in zip(workload.frames, ("a/0.JPEG", "a/1.jpg", "a/3.png", "b/2.jpg"), strict=True):
        np.testing.assert_array_equal(frame, read_image(folder / name))
    assert workload.describe()["sizes"] == [
        {"width": 40, "height": 24, "count": 3}, {"width": 16, "height": 8, "count": 1},
    ]  # fmt: skip


def test_encoded_photos_are_the_files_bytes(folder):
    workload = from_folder(folder, encoded=True)
    assert workload.frames == [(folder / name).read_bytes() for name in ("a/0.JPEG", "a/1.jpg", "b/2.jpg")]
    assert workload.encoded


def test_a_count_takes_photos_from_all_folders(folder):
    assert from_folder(folder, count=2).frames[1].shape == (8, 16, 3)
    assert from_folder(folder, count=2, encoded=True).frames[1] == (folder / "a" / "1.jpg").read_bytes()


@pytest.mark.parametrize(
    ("content", "name", "encoded", "error", "said"),
    [
        (None, "", False, InputError, "has no photos"),
        (b"GIF89a", "x.jpg", True, ImageError, r"x\.jpg is no JPEG"),
        (b"\xff\xd8\xff", "x.jpg", True, ImageError, r"x\.jpg"),
        (b"nothing", "x.png", False, ImageError, r"x\.png"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, content, name, encoded, error, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=said):
        from_folder(tmp_path, encoded=encoded)


def test_no_folder_and_no_count(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        from_folder(tmp_path / "nothing")
    with pytest.raises(InputError, match="1 to"):
        from_folder(tmp_path, count=0)


def test_a_frozen_workload_can_be_described_anew(workload):
    assert replace(workload, name="other").sha256 == workload.sha256
