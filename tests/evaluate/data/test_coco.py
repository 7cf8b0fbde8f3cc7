from __future__ import annotations

import json
from typing import Any

import pytest
from box_data import png

from edgevision.errors import DataError
from edgevision.evaluate.data.boxes import Box
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.tasks.results import Label

CATEGORIES = [{"id": 90, "name": "can"}, {"id": 7, "name": "bottle", "supercategory": "x"}]  # gaps, and out of order


def coco(annotations: list[Any], **changes: Any) -> str:
    images = [
        {"id": 5, "file_name": "a.png", "height": 100, "width": 200},
        {"id": "six", "file_name": "b.png"},
    ]
    return json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES, **changes})


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 5, "category_id": 90, "bbox": [10, 20, 30, 40], "area": 600, "iscrowd": 0, **changes}


@pytest.fixture
def photos(put):
    put("set/a.png", png(1))
    put("set/b.png", png(2))
    return put


def test_boxes_crowds_areas_and_gaps_in_the_ids(photos):
    rle = {"counts": [10, 5, 3], "size": [100, 200]}
    file = photos(
        "set/_annotations.coco.json",
        coco(
            [
                annotation(),
                annotation(id=2, category_id=7, iscrowd=1, segmentation=rle),
                {"image_id": 5, "category_id": 7, "bbox": [0.5, 0, 199.5, 100.05]},  # the least there can be
                annotation(id=3, bbox=[1, 1, 0, 5]),
            ]
        ),
    )
    for source in (file, file.parent):
        dataset = read_dataset(source)
        assert dataset.labels == (Label(7, "bottle"), Label(90, "can"))
        assert [photo.path.name for photo in dataset] == ["a.png", "b.png"]
        assert dataset.photos[0].boxes.boxes == (
            Box(1, 10.0, 20.0, 40.0, 60.0, False, 600.0),
            Box(0, 10.0, 20.0, 40.0, 60.0, True, 600.0),
            Box(0, 0.5, 0.0, 200.0, 100.0),
        )
        assert dataset.photos[1].boxes.boxes == ()
        assert any("without area" in note and note.endswith(": 1") for note in dataset.notes)


@pytest.mark.parametrize(
    ("file", "photo"),
    [
        ("d/annotations/instances_val2017.json", "d/val2017/{}"),
        ("d/annotations/instances_val2017.json", "d/images/val2017/{}"),
        ("d/annotations.json", "d/images/{}"),
        ("d/annotations/train.json", "d/{}"),
    ],
)
def test_where_photos_are_looked_for(put, file, photo):
    for name in ("a.png", "b.png"):
        put(photo.format(name), png())
    assert len(read_dataset(put(file, coco([annotation()])))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (coco([annotation(bbox=[1, 2, 3])]), r"annotations\[0\] .id 1.: a bbox is \[x, y, width, height\]"),
        (coco([annotation(), annotation(id=9, bbox=[1, 2, -3, 4])]), r"annotations\[1\] .id 9.: .* negative size: -3 × 4"),
        (coco([annotation(bbox=[1, 2, float("nan"), 4])]), "not finite"),
        (coco([annotation(bbox=["1", 2, 3, 4])]), "a bbox is"),
        (coco([annotation(bbox=[190, 2, 30, 4])]), "20.0 px outside the photo of 200×100"),
        (coco([annotation(category_id=8)]), "category_id 8 is not among the 2 categories"),
        (coco([annotation(category_id=[8])]), "category_id .8. is not among"),
        (coco([annotation(image_id=99)]), r"annotations\[0\] .id 1.: its image_id is not among the images"),
        (coco([annotation(image_id=[5])]), "its image_id is not among"),
        (coco([7]), r"annotations\[0\] .id None.: its image_id"),
        (coco([annotation(area=-1)]), "area is a number of square pixels, got -1"),
        (coco([annotation(iscrowd=2)]), "iscrowd is 0 or 1, got 2"),
        (coco([], categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "two categories have one id"),
        (coco([], categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "repeated: 'a'"),
        (coco([], categories=[{"id": 1}]), r"categories\[0\] needs an id .* and a name"),
        (coco([], images=[{"id": 1, "file_name": "a.png"}] * 2), r"images\[1\] has the id 1, which another has too"),
        (coco([], images=[{"id": 1}]), r"images\[0\] needs an id and a file_name"),
        (coco([], images=[]), "has no images"),
        (coco([], images=[{"id": 1, "file_name": "none.png"}]), "1 of 1 images are not there: none.png. Looked for in .*set"),
        (coco([], images=[{"id": 1, "file_name": "../set/a.png"}]), "are not there"),  # out of the data set
        (coco([], images=[{"id": 1, "file_name": "a.png", "height": 9, "width": 9}]), "a.png has 200×100 px, but .* 9×9"),
        (coco([], images=[{"id": 1, "file_name": "a.png", "height": 200, "width": 100}]), "EXIF orientation"),
        ("[]", "lists of images, annotations and categories, got list"),
        ('{"images": []}', "got images"),
        ('{\n"images": ,', "line 2: this is no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)  # fmt: skip
def test_bad_files_name_what_is_wrong(photos, text, message):
    with pytest.raises(DataError, match=rf"x\.json.*{message}"):
        read_dataset(photos("set/x.json", text))
