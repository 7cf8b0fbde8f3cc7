"""A detector's outputs → boxes in the caller's frame, thresholds, suppression, digests. Truth by construction: the boxes are
placed, and written into outputs by encoders of the tests' own (``heads``)."""

from __future__ import annotations

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.frames import Frame
from edgevision.preprocess import Fit, Preprocessor, PreprocessSpec
from edgevision.preprocess.geometry import Placement, Region
from edgevision.runtime.preparation import view_of
from edgevision.tasks import FrameId, Label, Timing, View
from edgevision.tasks.detect.task import DetectTask, detect_spec
from edgevision.tasks.registry import make_task
from edgevision.tensors import TensorInfo, describe

pytestmark = pytest.mark.requires("native")

TIMING = Timing(1.5, 2.5, 0.0, batch=2)
SIZE = (96, 160)
NO_FRAME = FrameId()


def labels_of(count):
    return [Label(100 + i, f"product {i}") for i in range(count)]


def task_of(classes=3, layout="yolo", height=SIZE[0], width=SIZE[1], **parameters):
    outputs = {"boxes_and_scores": "output0"}
    return DetectTask(detect_spec(labels_of(classes), layout, outputs, height=height, width=width, **parameters))


def same_view(height=SIZE[0], width=SIZE[1], frame=NO_FRAME):
    """The frame is the tensor."""
    return View(frame, height, width, Region(0, 0, width, height), Placement(height, width, 0, 0), height, width)


def rows_of(*things, classes=3):
    """A YOLO output [1, 4 + classes, n] of exactly these (class, score, box)."""
    grid = np.zeros((4 + classes, max(len(things), 1)), np.float32)
    for i, (label, score, box) in enumerate(things):
        grid[:4, i] = heads.Thing(label, score, *box).centre_and_size
        grid[4 + label, i] = score
    return {"output0": grid[None]}


def decoded(task, outputs, view=None):
    (found,) = task.decode(outputs, [view or same_view(task.height, task.width)], TIMING)
    return found


# ---- into the frame ----


@pytest.mark.parametrize("part", [None, (0.1, 0.2, 0.7, 0.6)], ids=["frame", "region"])
@pytest.mark.parametrize("frame", [(480, 640), (123, 77), (97, 311), (1080, 1920)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("fit", Fit)
def test_boxes_come_back_to_where_they_are_in_the_frame(fit, frame, part):
    """Boxes are placed in the frame and carried into the tensor by the placement's scale, in float64."""
    height, width = frame
    region = part and Region(*(round(p * side) for p, side in zip(part, (width, height) * 2, strict=True)))
    spec = PreprocessSpec(160, 224, fit)
    picture = Frame.from_array(np.zeros((height, width, 3), np.uint8), camera="shelf", sequence=4)
    view = view_of(picture, Preprocessor(spec).plan(picture, region))
    area, place = view.region, view.placement
    scale = np.array([place.width / area.width, place.height / area.height])
    # Between 30 % and 70 % of each side: inside of what every fit shows.
    rng = np.random.default_rng(0)
    spots = np.sort(rng.uniform(0.3, 0.7, (5, 2, 2)), axis=1) * (area.width, area.height) + (area.x, area.y)
    in_tensor = (spots - (area.x, area.y)) * scale + (place.left, place.top)
    objects = [heads.Thing(i % 3, 0.9 - i / 10, *box) for i, box in enumerate(in_tensor.reshape(-1, 4).tolist())]
    task = task_of(height=160, width=224, iou=1.0)
    found = decoded(task, {"output0": heads.yolo(objects, 3, 160, 224)[None]}, view)
    np.testing.assert_allclose(found.boxes, spots.reshape(-1, 4), atol=2e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7, 0.6, 0.5], rtol=1e-6)
    assert found.classes.tolist() == [0, 1, 2, 0, 1]
    assert found.frame == FrameId("shelf", 4, None)


def test_boxes_end_at_the_edge_of_the_region_and_none_lie_outside():
    view = View(FrameId(), 400, 600, Region(100, 50, 400, 200), Placement(80, 160, 8, 0), 96, 160)
    outputs = rows_of(
        (0, 0.9, (-20, 10, 40, 60)),  # over the left edge
        (1, 0.8, (120, 0, 200, 96)),  # over three edges, and into the padding
        (2, 0.7, (10, 0, 50, 8)),  # all of it in the padding
        (0, 0.6, (170, 20, 190, 40)),  # right of the picture
        (1, 0.5, (60, 40, 61, 41)),
    )
    found = decoded(task_of(), outputs, view)
    assert found.boxes.tolist() == [[100, 55, 200, 180], [400, 50, 500, 250], [250, 130, 252.5, 132.5]]
    assert found.classes.tolist() == [0, 1, 1]


def test_each_item_has_its_own_view_and_frame():
    one, other = rows_of((0, 0.9, (10, 10, 20, 20))), rows_of((1, 0.8, (30, 30, 50, 60)))
    outputs = {"output0": np.concatenate([one["output0"], other["output0"]])}
    wide = View(FrameId("b", 2), 192, 320, Region(0, 0, 320, 192), Placement(96, 160, 0, 0), 96, 160)
    first, second = task_of().decode(outputs, [same_view(frame=FrameId("a", 1)), wide], TIMING)
    assert first.boxes.tolist() == [[10, 10, 20, 20]]
    assert second.boxes.tolist() == [[60, 60, 100, 120]]
    assert (first.frame.camera, second.frame.camera) == ("a", "b")
    assert first.timing.decode_ms > 0
    assert (first.timing.infer_ms, first.timing.batch) == (2.5, 2)
    with pytest.raises(InputError, match="one view for each of 2 items, got 1"):
        task_of().decode(outputs, [wide], TIMING)


# ---- thresholds and suppression ----

FOUR = [(0, 0.9, (10, 10, 30, 30)), (1, 0.5, (50, 10, 70, 30)), (2, 0.3, (90, 10, 110, 30)), (1, 0.2, (10, 50, 30, 70))]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0.9, 0.5, 0.3]),  # 0.25
        ({"threshold": 0.5}, [0.9]),  # above, not at
        ({"threshold": 0.0}, [0.9, 0.5, 0.3, 0.2]),
        ({"threshold": 1.0}, []),
        ({"thresholds": [0.95, 0.1, 0.4]}, [0.5, 0.2]),
        ({"thresholds": [0.95, 0.1, 0.4], "threshold": 0.25}, [0.5, 0.2]),
        ({"thresholds": None, "threshold": 0.4}, [0.9, 0.5]),
        ({"max_detections": 2}, [0.9, 0.5]),
    ],
)
def test_thresholds(parameters, expected):
    found = decoded(task_of(**parameters), rows_of(*FOUR))
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)


PAIR = [(0, 0.9, (10, 10, 50, 50)), (0, 0.8, (10, 10, 50, 46)), (1, 0.7, (10, 10, 50, 50))]  # IoU 0.9 and 1


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [(0, 0.9), (1, 0.7)]),
        ({"class_agnostic": True}, [(0, 0.9)]),
        ({"iou": 0.95}, [(0, 0.9), (0, 0.8), (1, 0.7)]),
        ({"iou": 0.95, "class_agnostic": True}, [(0, 0.9), (0, 0.8)]),
        # What a class's own threshold leaves out suppresses nothing.
        ({"class_agnostic": True, "thresholds": [0.95, 0.1, 0.1]}, [(1, 0.7)]),
    ],
)
def test_suppression(parameters, expected):
    found = decoded(task_of(**parameters), rows_of(*PAIR))
    assert list(zip(found.classes.tolist(), found.scores.round(6).tolist(), strict=True)) == [
        (label, pytest.approx(score)) for label, score in expected
    ]


@pytest.mark.parametrize("classes", [1, 3, 80])
def test_nothing_found(classes):
    task = task_of(classes)
    outputs = {"output0": np.zeros((2, 4 + classes, 315), np.float32)}
    for found in task.decode(outputs, [same_view()] * 2, TIMING):
        assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))
    digest = task.digest(outputs)
    assert not digest["scores"].any()
    assert not digest["boxes"].any()
    assert (digest["classes"] == -1).all()
    assert task.compare(digest, digest, digest, same_device=True).passed
    assert task.decode({"output0": outputs["output0"][:0]}, [], TIMING) == []


def test_boxes_without_width_are_no_boxes():
    outputs = rows_of((0, 0.9, (30, 30, 30, 60)), (1, 0.8, (60, 60, 40, 50)), (2, 0.7, (5, 5, 9, 9)))
    assert decoded(task_of(), outputs).classes.tolist() == [2]


# ---- digests ----


def test_a_digest_is_the_best_boxes_in_the_tensors_pixels():
    task = task_of(max_detections=5)
    outputs = rows_of(*PAIR, (2, 0.002, (90, 10, 110, 30)), (2, 0.0005, (120, 10, 130, 30)))
    digest = task.digest(outputs)
    assert {role: (a.shape, a.dtype.name) for role, a in digest.items()} == {
        "boxes": ((1, 5, 4), "float32"), "scores": ((1, 5), "float32"), "classes": ((1, 5), "float32"),
    }  # fmt: skip
    np.testing.assert_allclose(digest["scores"], [[0.9, 0.7, 0.002, 0, 0]], rtol=1e-6)
    assert digest["classes"].tolist() == [[0, 1, 2, -1, -1]]
    np.testing.assert_allclose(
        digest["boxes"][0], [[10, 10, 50, 50]] * 2 + [[90, 10, 110, 30]] + [[0] * 4] * 2, rtol=1e-6
    )


def test_a_digest_does_not_depend_on_thresholds():
    outputs = {"output0": heads.yolo(heads.things(3, *SIZE), 3, *SIZE)[None]}
    expected = task_of().digest(outputs)
    assert (expected["scores"] > 0).sum() > 100
    for parameters in ({"threshold": 0.9}, {"thresholds": [0.1, 0.9, 0.5]}):
        found = task_of(**parameters).digest(outputs)
        for role in expected:
            np.testing.assert_array_equal(found[role], expected[role])


# ---- what is refused ----


def spoiled(value, row):
    grid = heads.yolo(heads.things(3, *SIZE), 3, *SIZE)
    grid[row, grid[4:].max(axis=0).argmax()] = value
    return {"output0": grid[None]}


@pytest.mark.parametrize(
    ("value", "row", "message"),
    [
        (np.nan, 5, "scores hold NaN"),
        (np.inf, 5, "expected scores 0…1, got .*inf"),
        (1.5, 5, "expected scores 0…1, got .*1.5"),
        (-0.5, 5, "expected scores 0…1, got -0.5"),
        (np.nan, 2, "boxes hold NaN or infinite"),
        (np.inf, 0, "boxes hold NaN or infinite"),
    ],
)
def test_outputs_that_are_no_answer_are_refused(value, row, message):
    task, outputs = task_of(), spoiled(value, row)
    with pytest.raises(UnreadableOutputError, match=message):
        decoded(task, outputs)
    with pytest.raises(UnreadableOutputError, match=message):
        task.digest(outputs)


def test_rounding_over_the_edge_of_a_score_is_forgiven():
    assert decoded(task_of(), spoiled(1.004, 5)).scores[0] == 1.0


@pytest.mark.parametrize("shape", [(1, 8, 315), (1, 6, 315), (315, 7), (1, 315, 7)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UnreadableOutputError, match=r"'boxes_and_scores' has shape .*with 7 for 3 labels"):
        task_of().digest({"output0": np.zeros(shape, np.float32)})


def test_a_graph_is_checked_when_it_is_opened():
    task = task_of(3)
    task.check([TensorInfo("other", "float32", (None, 9)), TensorInfo("output0", "float32", (None, 7, 315))])
    task.check(describe({"output0": np.zeros((1, 7, 315))}))
    with pytest.raises(EngineError, match=r"no output 'output0', which its task spec speaks of; it has \['logits'\]"):
        task.check([TensorInfo("logits", "float32", (None, 7, 315))])
    with pytest.raises(EngineError, match=r"with 7 for 3 labels\. Give one label for each class"):
        task.check([TensorInfo("output0", "float32", (None, 84, 315))])


SPEC = task_of().spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ()}, "at least 1 label"),
        ({"outputs": ()}, "got no outputs"),
        ({"outputs": SPEC.outputs * 2}, "different roles"),
        ({"layout": "yolo3000"}, "laid out as one of .*'yolo'.* got 'yolo3000'"),
        ({"height": None}, "height of a detector is a whole number 1…16384, got None"),
        ({"width": 640.0}, "width of a detector .*got 640.0"),
        ({"width": True}, "width of a detector .*got True"),
        ({"height": 0}, "height of a detector .*got 0"),
        ({"threshold": 1.5}, "threshold is within 0…1, got 1.5"),
        ({"thresholds": [0.1, 0.2]}, "a score for each of 3 labels, got 2"),
        ({"thresholds": 0.5}, "a score for each of 3 labels, got 0.5"),
        ({"thresholds": [0.1, "0.2", 0.3]}, r"thresholds\[1\] is a finite number, got '0.2'"),
        ({"thresholds": [0.1, 0.2, -0.3]}, r"thresholds\[2\] is within 0…1"),
        ({"iou": 2}, "iou is within 0…1"),
        ({"class_agnostic": 1}, "class_agnostic is true or false, got 1"),
        ({"max_detections": 0}, "max_detections of a detector is a whole number 1…1000, got 0"),
        ({"max_detections": 10_000}, "max_detections .*got 10000"),
        ({"speed": 3}, r"layout 'yolo' has none; got \['speed'\]"),
    ],
)
def test_specs_that_do_not_fit_are_refused(change, message):
    data = SPEC.to_dict()
    for name, value in change.items():
        if name in ("labels", "outputs"):
            data[name] = [item if isinstance(item, dict) else vars(item) for item in value]
        elif name == "layout":
            data["outputs"][0]["layout"] = value
        else:
            data["parameters"][name] = value
    with pytest.raises(InputError, match=message):
        make_task(type(SPEC).from_dict(data))
