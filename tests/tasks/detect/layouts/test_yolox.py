"""YOLOX's head: boxes that were placed are found under both layouts, and one layout's numbers are not read as the other's."""

from __future__ import annotations

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.detect.resolve import resolve
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe

LAYOUTS = ["yolox", "yolox-decoded"]
ROLE = "boxes_and_scores"


def encoded(layout, objects, classes, size, strides=(8, 16, 32), seed=3):
    """[cells, 5 + classes]: the objects in cells of any level, sure ones that see nothing, and unsure ones."""
    rng = np.random.default_rng(seed)
    cells = [
        (x, y, stride) for stride in strides for y in range(-(-size[0] // stride)) for x in range(-(-size[1] // stride))
    ]
    rows = np.concatenate(
        [
            rng.uniform(0.1, 0.9, (len(cells), 4)),
            rng.uniform(0, heads.NOISE, (len(cells), 1)),
            rng.uniform(0, 1, (len(cells), classes)),
        ],
        axis=1,
    )
    for thing, place in zip(objects, rng.permutation(len(cells)), strict=False):
        x, y, stride = cells[place]
        centre_x, centre_y, width, height = thing.centre_and_size
        rows[place, :4] = centre_x, centre_y, width, height
        if layout == "yolox":
            rows[place, :4] = (
                centre_x / stride - x, centre_y / stride - y, np.log(width / stride), np.log(height / stride)
            )  # fmt: skip
        rows[place, 4] = 0.99
        rows[place, 5:] = 0.1
        rows[place, 5 + thing.label] = thing.score / 0.99
    return rows.astype(np.float32)


@pytest.mark.parametrize("size", [(160, 160), (416, 416), (100, 230)], ids=["square", "64 does not divide", "odd"])
@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16, 32, 64)], ids=["usual", "P6"])
@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_placed_is_found(layout, classes, strides, size):
    objects = heads.things(classes, *size)
    both = np.stack([encoded(layout, placed, classes, size, strides) for placed in ([], objects)])
    decoder = find_layout(layout).make(Head(classes, *size, {"strides": list(strides)}))
    assert not decoder.unique
    decoder.check({info.name: info for info in describe({ROLE: both})})
    assert len(decoder.candidates({ROLE: both}, 0, 0.25).scores) == 0
    found = decoder.candidates({ROLE: both}, 1, 0.25)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-3)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_of_a_cell_the_best_class_counts_and_its_product_with_the_objectness():
    rows = np.zeros((21, 7), np.float32)
    rows[0] = [20, 20, 10, 10, 0.5, 0.6, 0.8]
    rows[1] = [20, 20, 10, 10, 0.2, 1.0, 0.0]
    found = find_layout("yolox-decoded").make(Head(2, 32, 32)).candidates({ROLE: rows[None]}, 0, 0.25)
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.4)])


@pytest.mark.parametrize(
    ("layout", "size", "message"),
    [
        ("yolox-decoded", -0.5, "width or height is negative.*--output yolox$"),
        ("yolox", 120.0, r"e\^120 strides.*--output yolox-decoded"),
    ],
)
def test_numbers_of_the_other_layout_are_refused(layout, size, message):
    """A small object's offsets have a negative logarithm; a box of 120 pixels read as a logarithm is beyond any picture."""
    rows = np.zeros((1, 21, 7), np.float32)
    rows[0, 3] = [0.5, 0.5, size, size, 0.9, 0.9, 0.0]
    with pytest.raises(UnreadableOutputError, match=message):
        find_layout(layout).make(Head(2, 32, 32)).candidates({ROLE: rows}, 0, 0.25)


@pytest.mark.parametrize("column", [4, 6])
@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (-3.0, "expected scores 0…1")])
def test_scores_that_are_none_are_refused(column, value, message):
    rows = np.zeros((1, 21, 7), np.float32)
    rows[0, 2, column] = value
    with pytest.raises(UnreadableOutputError, match=message):
        find_layout("yolox").make(Head(2, 32, 32)).candidates({ROLE: rows}, 0, 0.25)


def test_boxes_with_nan_are_refused():
    rows = np.zeros((1, 21, 7), np.float32)
    rows[0, 2] = [np.nan, 0, 0, 0, 0.9, 0.9, 0.9]
    with pytest.raises(UnreadableOutputError, match="boxes hold NaN"):
        find_layout("yolox").make(Head(2, 32, 32)).candidates({ROLE: rows}, 0, 0.25)


@pytest.mark.parametrize("shape", [(None, 21, 6), (None, 20, 7), (None, 7, 21), (None, 21)])
def test_shapes_that_do_not_fit_are_refused(shape):
    decoder = find_layout("yolox").make(Head(2, 32, 32))
    with pytest.raises(EngineError, match=r"expected \[21, 7\] for 2 labels, an input of 32×32"):
        decoder.check({ROLE: TensorInfo("out", "float32", shape)})


def test_other_roles_are_refused():
    with pytest.raises(EngineError, match="one output, for the role 'boxes_and_scores'"):
        find_layout("yolox").make(Head(2, 32, 32)).check({"scores": TensorInfo("out", "float32", (None, 21, 7))})


@pytest.mark.parametrize(
    "strides", [[], [0, 8], [16, 8], [8, 8], [8.0], "8", [True], [2048], list(range(1, 12))], ids=str
)
def test_strides_that_are_none_are_refused(strides):
    with pytest.raises(InputError, match="strides are"):
        find_layout("yolox").make(Head(2, 32, 32, {"strides": strides}))


def test_unknown_parameters_are_refused():
    with pytest.raises(InputError, match=r"parameter strides, got \['anchors'\]"):
        find_layout("yolox").make(Head(2, 32, 32, {"anchors": []}))


# ---- which of them a file has ----


def facts(shape, classes, size=(640, 640), metadata=None, layout=None):
    labels = tuple(Label(i, str(i)) for i in range(classes))
    return ModelFacts((TensorInfo("output", "float32", shape),), labels, layout, size, metadata or {})


@pytest.mark.parametrize(("cells", "strides"), [(8400, [8, 16, 32]), (8500, [8, 16, 32, 64])])
def test_both_readings_are_shown_and_one_is_chosen(cells, strides):
    """The shape is the same, and YOLOX writes nothing into its files."""
    with pytest.raises(InputError, match=r"(?s)2 ways.*--output yolox: .*--output yolox-decoded: "):
        resolve(facts((None, cells, 85), 80))
    for layout in LAYOUTS:
        spec = resolve(facts((None, cells, 85), 80, layout=layout))
        assert {output.layout for output in spec.outputs} == {layout}
        assert spec.parameters["strides"] == strides


def test_metadata_of_libreyolo_choose():
    spec = resolve(facts((None, 8400, 8), 3, metadata={"model_family": "yolox"}))
    assert {output.layout for output in spec.outputs} == {"yolox-decoded"}
    reading = find_layout("yolox-decoded").recognise(facts((None, 8400, 8), 3, metadata={"model_family": "yolox"}))
    assert reading.evidence is Evidence.METADATA


@pytest.mark.parametrize(
    ("shape", "classes", "size"),
    [
        ((None, 25200, 85), 80, (640, 640)),  # YOLOv5: three boxes for each cell
        ((None, 8400, 84), 80, (640, 640)),  # no objectness
        ((None, 85, 8400), 80, (640, 640)),
        ((None, 8400, 85), 80, (320, 320)),
        ((None, 8400, 85), 80, None),
        ((None, None, 85), 80, (640, 640)),
    ],
)
def test_other_heads_are_none(shape, classes, size):
    for layout in LAYOUTS:
        assert find_layout(layout).recognise(facts(shape, classes, size)) is None
