from __future__ import annotations

import re
from pathlib import Path

import pytest
from box_data import png, put_yolo

from edgevision.errors import DataError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.yolo import labels_file
from edgevision.tasks.results import Label


def boxes_of(dataset: Dataset) -> dict[str, tuple[Box, ...]]:
    assert all(photo.boxes is not None for photo in dataset)
    return {photo.path.stem: photo.boxes.boxes for photo in dataset.photos if photo.boxes}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 0.5 0.5 0.5 0.2", [Box(1, 50.0, 40.0, 150.0, 60.0)]),
        ("0 0.25 0.5 0.1 0.2\n\n1 0.5 0.5 1 1\n", [Box(0, 40.0, 40.0, 60.0, 60.0), Box(1, 0.0, 0.0, 200.0, 100.0)]),
        ("0.0 .5 5e-1 +0.5 0.2\r\n", [Box(0, 50.0, 40.0, 150.0, 60.0)]),
        # a diamond: half of its box
        ("0 0.5 0.2 0.6 0.5 0.5 0.8 0.4 0.5", [Box(0, 80.0, 20.0, 120.0, 80.0, area=1200.0)]),
        ("0 0.5 0.2 0.4 0.5 0.5 0.8 0.6 0.5", [Box(0, 80.0, 20.0, 120.0, 80.0, area=1200.0)]),  # the other way round
        ("", []),
        # rounding: 1.0000001, and an edge 0.0005 outside
        ("0 0.5 0.5 1.0000001 1", [Box(0, 0.0, 0.0, 200.0, 100.0)]),
        ("0 0.0995 0.5 0.2 0.2", [Box(0, 0.0, 40.0, 39.9, 60.0)]),
    ],
)
def test_rows_become_boxes_in_pixels(put, tmp_path, text, expected):
    put_yolo(put, {"a": text, "b": "1 0.5 0.5 0.1 0.1"})
    found = boxes_of(read_dataset(tmp_path / "set/train"))["a"]
    assert len(found) == len(expected)
    for own, known in zip(found, expected, strict=True):
        assert (own.label, own.crowd, own.area is None) == (known.label, known.crowd, known.area is None)
        assert own[1:5] == pytest.approx(known[1:5], abs=1e-9)
        assert own.pixels == pytest.approx(known.pixels)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5", "3 numbers"),
        ("0 0.5 0.5 0.1", "4 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 numbers .* remove the score"),
        ("0 0.5 0.5 0.1 0.1 0.9 7", "7 numbers may be an outline of three points, or a box with a score and a track"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1", "odd number of coordinates .7."),
        ("0 0.5 0.5 1.1 0.1", "0…1 .* got 1.1$"),
        ("0 320 240 64 48", "got 320; these look like pixels"),
        ("0 0.5 -0.2 0.1 0.1", "got -0.2"),
        ("0 0.5 0.5 -0.0005 0.1", "negative size: -0.0005 × 0.1"),
        ("0 0.1 0.5 0.3 0.1", "10.0 px outside the photo of 200×100 px"),
        ("0 0.5 0.5 nan 0.1", "not finite"),
        ("0 0.5 0.5 inf 0.1", "not finite"),
        ("-1 0.5 0.5 0.1 0.1", "whole number from 0, got -1"),
        ("0.5 0.5 0.5 0.1 0.1", "whole number from 0, got 0.5"),
        ("1e30 0.5 0.5 0.1 0.1", "class 1e.30 is more"),
        ("bottle 0.5 0.5 0.1 0.1", "expected numbers, got 'bottle 0.5"),
        ("0,0.5,0.5,0.1,0.1", "expected numbers"),
    ],
)
def test_bad_rows_name_their_file_and_line(put, tmp_path, row, message):
    put_yolo(put, {"a": f"0 0.5 0.5 0.1 0.1\n\n{row}\n"})
    with pytest.raises(DataError, match=rf"labels/a\.txt line 3: .*{message}"):
        read_dataset(tmp_path / "set/train")


def test_all_bad_rows_are_named_together(put, tmp_path):
    put_yolo(put, dict.fromkeys("abcde", "0 1 2"))
    with pytest.raises(DataError, match=r"5 faults in 5 files: .*a\.txt line 1.*b\.txt line 1.*c\.txt.* and 2 more"):
        read_dataset(tmp_path / "set/train")


def test_a_photo_without_labels_shows_no_product_and_that_is_said(put, tmp_path):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1", "b": None, "c": "", "d": None})
    dataset = read_dataset(tmp_path / "set/train")
    assert {name: len(boxes) for name, boxes in boxes_of(dataset).items()} == {"a": 1, "b": 0, "c": 0, "d": 0}
    assert any("without a label file" in note and note.endswith(": 2") for note in dataset.notes)
    assert any("empty label file" in note and note.endswith(": 1") for note in dataset.notes)


def test_boxes_without_area_and_repeated_rows_are_left_out_and_counted(put, tmp_path):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n1 0.5 0.5 0.1 0.1"})
    dataset = read_dataset(tmp_path / "set/train")
    assert [box.label for box in boxes_of(dataset)["a"]] == [0, 1]
    assert any("twice" in note and note.endswith(": 1") for note in dataset.notes)
    assert any("without area" in note and note.endswith(": 1") for note in dataset.notes)


def test_a_photo_turned_by_exif_is_measured_upright(put, tmp_path):
    import cv2
    import numpy as np
    from picture_files import exif, jpeg_with_exif

    stored = cv2.imencode(".jpg", np.zeros((40, 80, 3), np.uint8))[1].tobytes()
    put("set/images/a.jpg", jpeg_with_exif(stored, exif(6)))
    put("set/labels/a.txt", "0 0.5 0.5 1 0.5")
    photo = read_dataset(tmp_path / "set").photos[0]
    assert photo.boxes == PhotoBoxes(80, 40, (Box(0, 0.0, 20.0, 40.0, 60.0),))


def test_a_damaged_photo_has_no_boxes_and_stays_for_the_check_of_photos(put, tmp_path):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1", "b": "0 0.5 0.5 0.1 0.1"})
    put("set/train/images/b.png", "no picture")
    dataset = read_dataset(tmp_path / "set/train")
    assert [photo.boxes is None for photo in dataset] == [False, True]
    assert dataset.boxed


@pytest.mark.parametrize("source", ["set/train", "set/train/images"])
def test_a_folder_without_yaml_knows_its_classes_by_number_or_by_classes_txt(put, tmp_path, source):
    put_yolo(put, {"a": "2 0.5 0.5 0.1 0.1"})
    assert read_dataset(tmp_path / source).labels == (Label(0, "0"), Label(1, "1"), Label(2, "2"))
    named = read_dataset(tmp_path / source, put("names.txt", "tea\nsalt\nrice\noil"))
    assert (named.labels[2], [box.label for box in boxes_of(named)["a"]]) == (Label(2, "rice"), [2])
    put("set/train/labels/classes.txt", "tea\nsalt\nrice\n")
    assert read_dataset(tmp_path / source).labels == (Label(0, "tea"), Label(1, "salt"), Label(2, "rice"))
    put("set/train/labels/classes.txt", "tea\nsalt\n")
    with pytest.raises(DataError, match=r"a\.txt line 1: class 2 is not one of the 2 classes 0…1"):
        read_dataset(tmp_path / source)


def test_labels_beside_photos_need_a_classes_txt(put, tmp_path, monkeypatch):
    put("p/a.png", png())
    put("p/a.txt", "0 0.5 0.5 0.1 0.1")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "p", Path("p")):
        assert read_dataset(path).labels is None  # a text beside a photo may be anything
    put("p/classes.txt", "tea")
    assert read_dataset(tmp_path / "p").labels == (Label(0, "tea"),)


def test_labels_of_no_photo_at_all_are_a_wrong_path(put, tmp_path):
    put("set/images/a.png", png())
    put("set/labels/other.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match=r"none of 1 photos has a label file; expected such as .*set/labels/a\.txt"):
        read_dataset(tmp_path / "set")


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ("/d/images/a.jpg", "/d/labels/a.txt"),
        ("/images/d/images/train/a.b.png", "/images/d/labels/train/a.b.txt"),  # the last folder called so
        ("/d/pictures/a.jpg", "/d/pictures/a.txt"),
        ("/d/images.old/images", "/d/images.old/images.txt"),  # a file called images
    ],
)
def test_where_labels_are(photo, expected):
    assert labels_file(Path(photo)).as_posix() == expected


# ---- data.yaml ----

YAML = "train: train/images\nval: val/images\nnc: 2\nnames: [bottle, can]\n"


@pytest.fixture
def parts(put):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1", "b": "1 0.5 0.5 0.1 0.1"}, "set/train")
    put_yolo(put, {"c": "1 0.5 0.5 0.2 0.2"}, "set/val")
    return put


@pytest.mark.requires("yaml")
@pytest.mark.parametrize(
    "text",
    [
        YAML,
        "path: .\n" + YAML,
        "path: ../set\n" + YAML,
        "train: ../train/images\nval: ../val/images\nnames: {1: can, 0: bottle}\n",  # as Roboflow writes it
        "train: [train/images]\nvalid: val\nnames:\n- bottle\n- can\n",
        "train: list.txt\nval: [val/images, val/images]\nnames: [bottle, can]\n",
    ],
)
def test_data_yaml_as_people_write_it(parts, tmp_path, text):
    file = parts("set/data.yaml", text)
    parts("set/list.txt", "./train/images/a.png\ntrain/images/b.png\n")
    for source in (file, tmp_path / "set"):
        assert sorted(boxes_of(read_dataset(source))) == ["c"]
        train = read_dataset(source, part="train")
        assert sorted(boxes_of(train)) == ["a", "b"]
        assert train.labels == (Label(0, "bottle"), Label(1, "can"))


@pytest.mark.requires("yaml")
def test_names_without_words_are_the_numbers_and_val_may_be_missing(parts):
    dataset = read_dataset(parts("set/data.yaml", "train: train/images\nnc: 2\n"))
    assert dataset.labels == (Label(0, "0"), Label(1, "1"))
    assert sorted(boxes_of(dataset)) == ["a", "b"]


@pytest.mark.requires("yaml")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train: t\nval: v/images\nnames: [a]\n",
            "line 2: val is 'v/images', which is not there; looked for .*set/v/images",
        ),
        ("path: /nowhere\n" + YAML, "line 1: path is the folder '/nowhere', which is not there"),
        ("path: [1]\n" + YAML, "line 1: path is a folder, got"),
        ("val: val/images\nnames: [a, b, c]\n\nnc: 2\n", "line 4: nc is 2, but names .line 2. has 3 classes"),
        ("val: val/images\nnc: two\nnames: [a]\n", "line 2: nc is the number of classes, .* got 'two'"),
        ("val: val/images\nnc: 0\n", "line 2: nc is the number"),
        ("val: val/images\nnames: {1: a, 2: b}\n", "line 2: names by number have the numbers 0…1, got 1, 2"),
        ("val: val/images\nnames: [a, a]\n", "line 2: each name .* repeated: 'a'"),
        ("val: val/images\nnames: [a, [b]]\n", "line 2: names is a list of words"),
        ("val: val/images\nnames: [yes, a]\n", "line 2: YAML reads yes, no, on and off as true or false"),
        ("val: val/images\nnames: []\n", "line 2: names is a list of words"),
        ("val: val/images\n", "got neither names nor nc"),
        ("val: {a: b}\nnames: [a]\n", "line 1: val is a folder, a list file or a list"),
        ("names: [a]\n", "names no photos as 'val' or 'train'"),
        ("val: [\n", "line 2: this is no YAML"),
        ("- a\n- b\n", "expected the keys train, val and names"),
        ("val: &a val/images\ntrain: *a\nnames: [a]\n", "aliases"),
        ("val: val/images\nnames: [bottle]\n", r"val/labels/c\.txt line 1: class 1 is not one of the 1 classes"),
        ("val: !!python/object/apply:os.system [ls]\nnames: [a]\n", "line 1: this is no YAML"),
        ("a: " + "[" * 1500, "no YAML"),
    ],
)
def test_bad_yaml_names_its_line(parts, text, message):
    file = parts("set/data.yaml", text)
    with pytest.raises(DataError, match=re.escape(str(file.parent)) + ".*" + message):
        read_dataset(file)


@pytest.mark.requires("yaml")
def test_a_part_that_is_not_there(parts):
    with pytest.raises(DataError, match="names no photos as 'test'; it has the keys train, val, nc"):
        read_dataset(parts("set/data.yaml", YAML), part="test")
    with pytest.raises(DataError, match="names no parts, and 'train' of it"):
        read_dataset(parts("list.txt", "set/train/images/a.png"), part="train")


def test_without_pyyaml_the_extra_is_named(parts, monkeypatch):
    import builtins

    from edgevision.errors import MissingExtraError

    real = builtins.__import__

    def fails(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(MissingExtraError, match=r"data.yaml needs the package 'pyyaml'.*edgevision\[detect\]"):
        read_dataset(parts("set/data.yaml", YAML))
