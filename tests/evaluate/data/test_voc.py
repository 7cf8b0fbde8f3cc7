from __future__ import annotations

import pytest
from box_data import png, voc_object, voc_xml

from edgevision.errors import DataError
from edgevision.evaluate.data.boxes import Box
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.tasks.results import Label

TEA = voc_object("tea", 1, 1, 200, 100)


def put_voc(put, xml: dict[str, str | None], folder: str = "VOC2007") -> None:
    for grey, (name, text) in enumerate(xml.items()):
        put(f"{folder}/JPEGImages/{name}.png", png(grey))
        if text is not None:
            put(f"{folder}/Annotations/{name}.xml", text)


def test_pixels_count_from_one_and_the_last_belongs_to_the_box(put, tmp_path):
    salt = voc_object("salt", 11, 21, 40, 60, "<difficult>1</difficult><truncated>0</truncated>")
    put_voc(put, {"a": voc_xml(TEA, salt), "b": voc_xml()})
    dataset = read_dataset(tmp_path / "VOC2007")
    assert dataset.labels == (Label(0, "salt"), Label(1, "tea"))
    assert dataset.photos[0].boxes.boxes == (
        Box(1, 0.0, 0.0, 200.0, 100.0),
        Box(0, 10.0, 20.0, 40.0, 60.0, crowd=True),
    )
    assert dataset.photos[1].boxes.boxes == ()
    assert dataset.notes == ()


def test_a_zero_says_that_pixels_count_from_zero(put, tmp_path):
    put_voc(put, {"a": voc_xml(voc_object("tea", 0, 5, 200, 100)), "b": voc_xml(voc_object("tea", 10, 20, 40, 60))})
    dataset = read_dataset(tmp_path / "VOC2007")
    assert [photo.boxes.boxes[0][1:5] for photo in dataset] == [(0.0, 5.0, 200.0, 100.0), (10.0, 20.0, 40.0, 60.0)]
    assert any("counted from 0" in note and note.endswith(": 2") for note in dataset.notes)


def test_files_beside_the_photos(put, tmp_path):
    put("p/a.png", png(1))
    put("p/a.xml", voc_xml(TEA))
    put("p/b.png", png(2))
    dataset = read_dataset(tmp_path / "p")
    assert [len(photo.boxes.boxes) for photo in dataset] == [1, 0]
    assert any("without an annotation file" in note and note.endswith(": 1") for note in dataset.notes)


def test_parts_are_lists(put, tmp_path):
    put_voc(put, {name: voc_xml(TEA) for name in "abc"})
    put("VOC2007/ImageSets/Main/train.txt", "a\nb 1\n")
    put("VOC2007/ImageSets/Main/val.txt", "c\n")

    def names(part: str | None) -> list[str]:
        return [photo.path.stem for photo in read_dataset(tmp_path / "VOC2007", part=part)]

    assert (names(None), names("val"), names("train")) == (["c"], ["c"], ["a", "b"])
    with pytest.raises(DataError, match="cannot read which photos are 'test'"):
        names("test")
    put("VOC2007/ImageSets/Main/val.txt", "c\nd\n")
    with pytest.raises(DataError, match=r"val\.txt line 2: there is no photo 'd'"):
        names("val")


ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<annotation>&b;</annotation>'


@pytest.mark.parametrize("encoding", ["gbk", "shift_jis", "klingon"])
def test_encodings_that_cannot_be_read_are_said(put, tmp_path, encoding):
    put_voc(put, {"a": f'<?xml version="1.0" encoding="{encoding}"?>\n{voc_xml(TEA)}'})
    with pytest.raises(DataError, match=r"a\.xml.*encoding cannot be read .*save it as UTF-8"):
        read_dataset(tmp_path / "VOC2007")


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (voc_xml(TEA, voc_object("tea", 50, 1, 40, 60)), " line 4: the box has a negative size: -9 × 60"),
        (voc_xml(voc_object("tea", 1, 1, 210, 60)), " line 3: the box reaches 10.0 px outside the photo"),
        (voc_xml(voc_object("tea", "", 1, 20, 60)), " line 3: expected the numbers .* got xmin '', ymin '1'"),
        (voc_xml(voc_object("tea", "nan", 1, 20, 60)), " line 3: a number of the box of 'tea' is not finite"),
        (voc_xml("<object><name>tea</name></object>"), " line 3: the object 'tea' has no bndbox"),
        (voc_xml(voc_object("", 1, 1, 20, 60)), " line 3: an object needs a name"),
        (voc_xml(voc_object("tea", 1, 1, 20, 60, "<difficult>x</difficult>")), " line 3: difficult is 0 or 1, got 'x'"),
        (voc_xml(TEA, height=50), " line 2: a.png has 200×100 px, but its boxes were marked on 200×50"),
        ("<annotation>\n<object>\n</annotation>", ": line 3: this is no XML that can be read: mismatched tag"),
        ("", "this is no XML"),
        ("<html/>", " line 1: expected <annotation>, got <html>"),
        (ENTITIES, "a document type .* is not read"),
        ("<annotation>" + "<a>" * 100 + "</a>" * 100 + "</annotation>", "nested deeper"),
    ],
)  # fmt: skip
def test_bad_files_name_their_line(put, tmp_path, xml, message):
    put_voc(put, {"a": xml})
    with pytest.raises(DataError, match=rf"a\.xml{message}" if message[0] in " :" else rf"a\.xml.*{message}"):
        read_dataset(tmp_path / "VOC2007")


def test_photos_without_any_annotation_are_a_wrong_path(put, tmp_path):
    put_voc(put, {"a": None})
    put("VOC2007/Annotations/other.xml", voc_xml(TEA))
    with pytest.raises(DataError, match="none of 1 photos has an annotation file"):
        read_dataset(tmp_path / "VOC2007")


def test_sizes_of_zero_say_nothing(put, tmp_path):
    put_voc(put, {"a": voc_xml(TEA, height=0, width=0)})
    assert len(read_dataset(tmp_path / "VOC2007").photos[0].boxes.boxes) == 1
