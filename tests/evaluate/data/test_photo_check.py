"""All photos of a data set are read first, and all bad ones are named together."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.errors import BadPhotosError, DataError, ImageError
from edgevision.evaluate.data.photo_check import OnBadPhoto, read_checked

GOOD = encode_png(np.full((8, 8, 3), 90, np.uint8))
# What became of a photo → what is said of it.
DAMAGE = {
    "empty.png": (b"", "no bytes at all"),
    "cut.png": (GOOD[:-20], "truncated"),
    "page.jpg": (b"<html>not found</html>", "a web page"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "git lfs pull"),
}


@pytest.fixture
def shelf(put, tmp_path: Path) -> Path:
    """Classes salt and tea with three good photos each, three damaged ones in tea, and a broken link in salt."""
    for name in ("salt", "tea"):
        for i in range(3):
            put(f"data/{name}/{i}.png", GOOD)
    for name, (content, _) in DAMAGE.items():
        put(f"data/tea/{name}", content)
    (tmp_path / "data/salt/gone.png").symlink_to("../../store/ab.png")
    return tmp_path / "data"


def test_all_bad_photos_are_named_with_what_is_wrong(shelf):
    with pytest.raises(BadPhotosError) as caught:
        read_checked(shelf)
    told = {Path(photo).name: reason for photo, reason in caught.value.photos}
    assert set(told) == {*DAMAGE, "gone.png"}
    for name, (_, reason) in DAMAGE.items():
        assert reason in told[name]
    assert "../../store/ab.png, which is not there" in told["gone.png"]
    lines = str(caught.value).splitlines()
    assert lines[0] == f"5 photos of {shelf} cannot be read:"
    assert all(any(line == f"  {photo}: {reason}" for line in lines) for photo, reason in caught.value.photos)
    assert "--on-bad-photo skip" in lines[-1]
    assert len(lines) == 7


def test_a_message_names_ten_and_the_error_all(put, tmp_path):
    put("data/tea/good.png", GOOD)
    for i in range(13):
        put(f"data/tea/{i:02}.png", b"x")
    with pytest.raises(BadPhotosError, match="13 photos of") as caught:
        read_checked(tmp_path / "data")
    assert [Path(photo).stem for photo, _ in caught.value.photos] == [f"{i:02}" for i in range(13)]
    lines = str(caught.value).splitlines()
    assert sum(".png: " in line for line in lines) == 10
    assert lines[-2] == "  and 3 more (--json lists all)"


def test_skip_goes_on_without_them_and_counts_them(shelf):
    checked = read_checked(shelf, on_bad_photo=OnBadPhoto.SKIP)
    assert [(path.parent.name, path.name) for path in checked.dataset.paths] == [
        (name, f"{i}.png") for name in ("salt", "tea") for i in range(3)
    ]
    assert checked.dataset.truth.tolist() == [0, 0, 0, 1, 1, 1]
    assert {photo.path.name for photo in checked.bad} == {*DAMAGE, "gone.png"}
    assert checked.notes[0].startswith(f"5 photos of {shelf} cannot be read, and were left out:")
    assert checked.dataset.content_hashes  # every photo left is there


def test_a_class_without_a_photo_left_is_kept(put, tmp_path):
    put("data/salt/a.png", GOOD)
    put("data/tea/b.png", b"x")
    checked = read_checked(tmp_path / "data", on_bad_photo=OnBadPhoto.SKIP)
    assert checked.dataset.class_counts.tolist() == [1, 0]


def test_nothing_left_is_an_error_also_with_skip(put, tmp_path):
    put("data/tea/a.png", b"x")
    with pytest.raises(DataError, match=r"1 photo of .*and none is left:\n.*a\.png"):
        read_checked(tmp_path / "data", on_bad_photo=OnBadPhoto.SKIP)


@pytest.mark.parametrize("on_bad_photo", OnBadPhoto)
def test_good_photos_are_all_there(put, tmp_path, on_bad_photo):
    for i in range(20):
        put(f"data/{i % 3}/{i}.png", GOOD)
    seen: list[tuple[int, int]] = []
    checked = read_checked(tmp_path / "data", None, on_bad_photo, lambda done, total: seen.append((done, total)))
    assert (len(checked.dataset), checked.bad, checked.notes) == (20, (), ())
    assert seen == [(done, 20) for done in range(1, 21)]


def test_each_photo_is_read_once_by_the_reader_given(shelf):
    lock, read = threading.Lock(), []

    def reader(path: Path) -> None:
        with lock:
            read.append(path.name)
        if path.name == "1.png":
            raise ImageError(f"{path}: torn")

    checked = read_checked(shelf, on_bad_photo=OnBadPhoto.SKIP, read=reader)
    assert sorted(read) == sorted([*DAMAGE, "0.png", "1.png", "2.png", "0.png", "1.png", "2.png"])
    assert {(photo.path.name, photo.reason) for photo in checked.bad if photo.path.name != "gone.png"} == {
        ("1.png", "torn")
    }


def test_other_errors_of_the_reader_come_through_and_leave_no_thread(shelf):
    def reader(path: Path) -> None:
        raise RuntimeError("not about a photo")

    with pytest.raises(RuntimeError, match="not about a photo"):
        read_checked(shelf, read=reader)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgevision-check")]
