"""edgevision.evaluate.data.folders, by the data sets that are read from folders: classes, links, and what is none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.splits import split_by_content
from edgevision.tasks.results import Label


def names(dataset: Dataset) -> list[str]:
    return [path.name for path in dataset.paths]


def test_each_folder_inside_is_a_class_however_deep_its_photos_lie(put, tmp_path):
    for name in ("tea/b.JPG", "tea/a.jpeg", "salt/fine/iodised/c.png", "salt/d.webp", "empty/notes.txt", "tea/.e.jpg"):
        put("data/" + name)
    put("data/.cache/f.jpg")
    for systems_own in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"):
        put(f"data/{systems_own}/g.jpg")
    put("data/README.md")
    dataset = read_dataset(tmp_path / "data")
    assert dataset.labels == (Label(0, "empty"), Label(1, "salt"), Label(2, "tea"))
    assert [(p.path.name, p.label) for p in dataset] == [("d.webp", 1), ("c.png", 1), ("a.jpeg", 2), ("b.JPG", 2)]
    assert dataset.truth.tolist() == [1, 1, 2, 2]
    assert dataset.truth.dtype == np.int64
    assert dataset.class_counts.tolist() == [0, 2, 2]
    assert dataset.skipped == 3  # notes.txt, .e.jpg, README.md


@pytest.mark.parametrize(
    ("folders", "refused"),
    [(("train", "val"), True), (("Train",), True), (("train", "test", "valid"), True), (("train", "plane"), False)],
)
def test_the_parts_of_a_data_set_are_no_classes(put, tmp_path, folders, refused):
    for name in folders:
        put(f"data/{name}/tea/a.jpg")
    if not refused:
        assert len(read_dataset(tmp_path / "data").labels or ()) == len(folders)
        return
    with pytest.raises(DataError, match="parts of a data set") as caught:
        read_dataset(tmp_path / "data")
    assert str(tmp_path / "data" / sorted(folders)[0]) in str(caught.value)


def test_a_flat_folder_is_unlabelled(put, tmp_path):
    for name in ("b.jpg", "a.jpg", "notes.txt"):
        put(name)
    dataset = read_dataset(tmp_path)
    assert names(dataset) == ["a.jpg", "b.jpg"]
    assert not dataset.labelled
    assert dataset.skipped == 1
    with pytest.raises(DataError, match="needs a class for each photo"):
        _ = dataset.truth


def test_folders_named_by_integers_carry_these_ids(put, tmp_path):
    for name in ("10/a.jpg", "2/b.jpg"):
        put(name)
    dataset = read_dataset(tmp_path)
    assert dataset.labels == (Label(2, "2"), Label(10, "10"))
    assert names(dataset) == ["b.jpg", "a.jpg"]


def test_folders_with_leading_zeros_are_names(put, tmp_path):
    put("007/a.jpg")
    put("008/b.jpg")
    assert read_dataset(tmp_path).labels == (Label(0, "007"), Label(1, "008"))


def test_a_labels_file_orders_the_classes_of_a_folder(put, tmp_path):
    put("data/tea/a.jpg")
    dataset = read_dataset(tmp_path / "data", put("names.txt", "salt\ntea"))
    assert dataset.labels == (Label(0, "salt"), Label(1, "tea"))
    assert dataset.truth.tolist() == [1]


def linked(data: Path, outside: Path) -> None:
    """As DVC, git-annex and caches lay data out: photos and class folders are links to a store elsewhere."""
    (data / "tea/1.jpg").symlink_to(outside / "ab12.jpg")
    (data / "salt").symlink_to(outside / "salt", target_is_directory=True)


def test_links_are_followed_also_out_of_the_folder(put, tmp_path):
    put("store/ab12.jpg")
    put("store/salt/deep/2.jpg")
    put("data/tea/0.jpg")
    linked(tmp_path / "data", tmp_path / "store")
    dataset = read_dataset(tmp_path / "data")
    assert [(p.path.name, dataset.labels[p.label].name) for p in dataset] == [
        ("2.jpg", "salt"), ("0.jpg", "tea"), ("1.jpg", "tea"),
    ]  # fmt: skip
    assert dataset.content_hashes[2] == hashlib.sha256(b"store/ab12.jpg").hexdigest()
    assert dataset.skipped == 0


@pytest.mark.parametrize("target", ["data", "data/tea", ".", "data/tea/deep"])
def test_loops_of_links_end(put, tmp_path, target):
    """The link leads to itself, to a folder it lies in, or to one that is read already."""
    put("data/tea/a.jpg")
    put("data/tea/deep/b.jpg")
    (tmp_path / "data/tea/deep/loop").symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "data/up").symlink_to(tmp_path / "data", target_is_directory=True)
    dataset = read_dataset(tmp_path / "data")
    assert names(dataset) == ["a.jpg", "b.jpg"]
    assert dataset.labels == (Label(0, "tea"),)
    assert dataset.skipped == 2


def test_a_folder_that_two_links_lead_to_is_read_once(put, tmp_path):
    put("store/a.jpg")
    (tmp_path / "data/tea").mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "data/tea" / name).symlink_to(tmp_path / "store", target_is_directory=True)
    dataset = read_dataset(tmp_path / "data")
    assert [path.parent.name for path in dataset.paths] == ["one"]
    assert dataset.skipped == 1


@pytest.mark.parametrize("link", ["tea/gone.jpg", "gone", "tea/itself.jpg"])
def test_broken_links_are_named(put, tmp_path, link):
    put("data/tea/a.jpg")
    path = tmp_path / "data" / link
    path.symlink_to(path if path.stem == "itself" else tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=r"1 links in .*data lead to photos that are not there.*dvc pull") as caught:
        read_dataset(tmp_path / "data")
    assert str(path) in str(caught.value)
    kept = read_dataset(tmp_path / "data", keep_broken_links=True)
    assert kept.broken_links == (path,)
    assert names(kept) == ["a.jpg"]


def test_broken_links_to_other_files_and_what_is_no_file_are_skipped(put, tmp_path):
    put("data/tea/a.jpg")
    (tmp_path / "data/tea/notes.txt").symlink_to(tmp_path / "nowhere.txt")
    os.mkfifo(tmp_path / "data/tea/pipe.jpg")
    dataset = read_dataset(tmp_path / "data")
    assert names(dataset) == ["a.jpg"]
    assert dataset.skipped == 2


def test_the_same_content_under_links_is_one_content(put, tmp_path):
    twin = put("data/tea/a.jpg")
    put("data/tea/b.jpg")
    (tmp_path / "data/tea/c.jpg").symlink_to(twin)
    a, b = split_by_content(read_dataset(tmp_path / "data"))
    assert not set(a.content_hashes) & set(b.content_hashes)
    assert len(a) + len(b) == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no photos"),
        (["notes.txt", ".hidden.jpg"], "no photos.*2 other files"),
        (["tea/notes.txt"], "no photos"),
        (["a.jpg", "tea/b.jpg"], "both photos.*'tea'"),
    ],
)
def test_folders_without_a_clear_meaning_are_refused(put, tmp_path, files, message):
    (tmp_path / "data").mkdir()
    for name in files:
        put("data/" + name)
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path / "data")
