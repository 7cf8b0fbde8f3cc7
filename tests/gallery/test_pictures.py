"""Finding the files of a gallery's pictures: by their bytes alone, whatever they are called."""

from __future__ import annotations

import hashlib

import pytest

from edgevision.evaluate.data.folders import photos_below
from edgevision.gallery import pictures, sources
from edgevision.gallery.examples import Example
from edgevision.gallery.pictures import find_pictures
from edgevision.gallery.sources import source_of_file


def example(content: bytes, note: str = "") -> Example:
    return Example(1, hashlib.sha256(content).hexdigest(), "2026-01-02T03:04:05Z", note)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.jpg").write_bytes(b"other")
    (tmp_path / "deep" / "er" / "renamed.PNG").write_bytes(b"one")
    (tmp_path / "deep" / "b.jpg").write_bytes(b"two")
    (tmp_path / "deep" / "three.txt").write_bytes(b"three")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    return tmp_path


def test_bytes_decide(folder):
    wanted = [
        example(b"one", "a.jpg"),
        example(b"two", "b.jpg"),
        example(b"three", "three.txt"),
        example(b"four", "a.jpg"),
    ]
    found = find_pictures(wanted, photos_below(folder).photos)
    assert found.paths == {
        wanted[0].source: folder / "deep" / "er" / "renamed.PNG",
        wanted[1].source: folder / "deep" / "b.jpg",
    }
    assert found.missing == (wanted[2], wanted[3])


def test_files_of_that_name_are_read_first_and_no_more_than_needed(folder, monkeypatch):
    read = []
    monkeypatch.setattr(pictures, "source_of_file", lambda path: read.append(path.name) or source_of_file(path))
    assert len(find_pictures([example(b"two", "album/b.jpg")], photos_below(folder).photos).paths) == 1
    assert read == ["b.jpg"]


def test_nothing_wanted_reads_nothing(folder, monkeypatch):
    monkeypatch.setattr(pictures, "source_of_file", lambda path: pytest.fail("read"))
    assert find_pictures([], photos_below(folder).photos).paths == {}


def test_a_file_that_is_too_large_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(sources, "MAX_PHOTO_BYTES", 2)
    assert find_pictures([example(b"one")], photos_below(folder).photos).paths == {}
