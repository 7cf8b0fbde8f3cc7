"""What the model is shown, and how its answers are read."""

from __future__ import annotations

import numpy as np
import pytest
from station_frames import LABELS, TIMING, ScriptedModel, classification, detections

from edgevision.errors import InputError
from edgevision.frames import Frame, PixelFormat
from edgevision.kiosk.station.looks import Eyes, overlap, part_of, picture_of, windows
from edgevision.preprocess.reference import to_bgr
from edgevision.tasks.products import Products
from edgevision.tasks.results import Prediction

RNG = np.random.default_rng(4)


def frame_of(format: str) -> Frame:
    height, width = 24, 32
    shapes = {
        "bgr": ((height, width, 3),), "rgb": ((height, width, 3),), "bgra": ((height, width, 4),), "gray": ((height, width),),
        "nv12": ((height, width), (height // 2, width // 2, 2)), "i420": ((height, width), *2 * ((height // 2, width // 2),)),
        "yuyv": ((height, width, 2),),
    }[format]  # fmt: skip
    planes = tuple(RNG.integers(0, 256, shape, np.uint8) for shape in shapes)
    return Frame(planes, height, width, PixelFormat(format), camera="till", sequence=3)


@pytest.mark.parametrize("format", ["bgr", "rgb", "bgra", "gray", "nv12", "i420", "yuyv"])
@pytest.mark.parametrize(
    "box", [(4, 6, 20, 18), (3.2, 5.9, 19.1, 17.5), (-5, -5, 9, 9), (30.5, 22.5, 60, 60), (0, 0, 32, 24)]
)
def test_a_part_is_what_the_reference_cuts_out(format, box):
    whole = frame_of(format)
    part = part_of(whole, box)
    step = 2 if whole.format.is_yuv else 1
    x1, y1 = (int(np.clip(np.floor(v), 0, end - step)) // step * step for v, end in zip(box[:2], (32, 24), strict=True))
    x2, y2 = (
        int(min(end, -(-max(np.ceil(v), low + 1) // step) * step))
        for v, low, end in zip(box[2:], (x1, y1), (32, 24), strict=True)
    )
    assert np.array_equal(to_bgr(part), to_bgr(whole)[y1:y2, x1:x2])
    assert (part.camera, part.sequence) == ("till", 3)
    assert all(np.shares_memory(one, other) for one, other in zip(part.planes, whole.planes, strict=True))


def test_a_picture_is_a_copy_with_a_little_around():
    whole = frame_of("bgr")
    picture = picture_of(whole, (10, 6, 20, 16))
    assert picture.shape == (12, 12, 3)  # half a pixel on each side, grown to whole ones
    assert not np.shares_memory(picture, whole.planes[0])
    assert np.array_equal(picture_of(whole, None), whole.planes[0])
    assert not np.shares_memory(picture_of(whole, None), whole.planes[0])


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((40, 40, 60, 60), 0.0, (40, 40, 60, 60)),
        ((40, 30, 60, 70), 0.25, (20, 20, 80, 80)),  # a square around the longer side
        ((0, 0, 20, 20), 0.5, (0, 0, 40, 40)),  # moved into the picture
        ((5, 5, 195, 95), 0.1, (0, 0, 200, 100)),  # cut to it
    ],
)
def test_windows_are_squares_within_the_picture(box, margin, expected):
    assert windows(box, 200, 100, [margin]) == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 10, 10), 1.0), ((5, 0, 15, 10), 1 / 3), ((10, 0, 20, 10), 0.0), ((2, 2, 4, 4), 0.04)],
)
def test_overlap(other, expected):
    assert overlap((0, 0, 10, 10), other) == pytest.approx(expected)


def test_answers_of_each_kind_are_read():
    box = (1.0, 2.0, 3.0, 4.0)
    found = detections((box, 2, 0.75))
    one = frame_of("bgr")
    for answer, expected in (
        (classification(0.2, 0.7), (None, [(1, 0.7), (0, 0.2)], True)),
        (found, (box, [(2, 0.75)], True)),
        (Products(found, (classification(0.6, known=False),)), (box, [(0, 0.6)], False)),
        (Products(found, ("what an embedding gives",)), (box, [(2, 0.75)], True)),
    ):
        ((look,),) = Eyes(ScriptedModel(lambda _, answer=answer: answer)).look([one])
        assert (look.box, [(p.id, p.score) for p in look.predictions], look.known) == expected
    assert Eyes(ScriptedModel(lambda _: detections())).look([one]) == [[]]


def test_other_answers_and_models_are_refused():
    with pytest.raises(InputError, match="understands Classification"):
        Eyes(ScriptedModel(lambda _: "apple")).look([frame_of("bgr")])
    with pytest.raises(InputError, match="expected a model"):
        Eyes(object())


def test_names_are_those_of_the_labels():
    found = detections(((0, 0, 1, 1), 4, 0.5))
    ((look,),) = Eyes(ScriptedModel(lambda _: found)).look([frame_of("bgr")])
    assert look.predictions == (Prediction(4, LABELS[4].name, 0.5),)
    assert TIMING.batch == 1
