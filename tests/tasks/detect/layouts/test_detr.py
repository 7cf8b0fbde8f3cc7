"""Transformers: three outputs, or boxes and logits that only names tell apart."""

from __future__ import annotations

import json

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe

SIZES = pytest.mark.parametrize("size", [(160, 160), (96, 224)], ids=["square", "wide"])
CLASSES = pytest.mark.parametrize("classes", [1, 3, 80])  # 3 classes and no object: as wide as a box


def logits_of(objects, columns, size):
    boxes, scores = heads.queries(objects, columns, *size)
    return {"boxes": boxes[None], "logits": heads.logit(scores)[None].astype(np.float32)}


def agree(found, objects):
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-4)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def checked(decoder, outputs):
    assert decoder.unique
    decoder.check({info.name: info for info in describe(outputs)})
    return decoder


@SIZES
@CLASSES
def test_three_outputs(classes, size):
    objects = heads.things(classes, *size)
    rows = heads.finished(objects, *size)[None]
    outputs = {"boxes": rows[..., :4], "scores": rows[..., 4], "labels": rows[..., 5].astype(np.int64)}
    decoder = checked(find_layout("labels-boxes-scores").make(Head(classes, *size)), outputs)
    agree(decoder.candidates(outputs, 0, 0.25), objects)


@SIZES
@CLASSES
def test_logits_of_transformers(classes, size):
    objects = heads.things(classes, *size)
    outputs = logits_of(objects, classes, size)
    decoder = checked(find_layout("detr-logits").make(Head(classes, *size)), outputs)
    agree(decoder.candidates(outputs, 0, 0.25), objects)


@SIZES
@CLASSES
def test_rfdetr_with_a_column_for_no_object(classes, size):
    objects = heads.things(classes, *size)
    outputs = logits_of(objects, classes + 1, size)
    outputs["logits"][..., -1] = 9.0  # sure that nothing is there: it is nobody's class
    decoder = checked(find_layout("rfdetr").make(Head(classes, *size)), outputs)
    agree(decoder.candidates(outputs, 0, 0.25), objects)


def test_rfdetr_with_cocos_numbers():
    """Labels 13, 1 and 90 of 91 columns; one object in a column that has no label."""
    objects = heads.things(3, 96, 96, count=3)
    columns = (13, 1, 90)
    placed = [thing._replace(label=columns[thing.label]) for thing in objects]
    outputs = logits_of([*placed, heads.Thing(12, 0.9, 1, 1, 5, 5)], 91, (96, 96))
    decoder = checked(find_layout("rfdetr").make(Head(3, 96, 96, {"columns": list(columns)})), outputs)
    agree(decoder.candidates(outputs, 0, 0.25), objects)


@pytest.mark.parametrize("least", [0.001, 0.25])
def test_the_best_pairs_of_query_and_class_are_taken(least):
    """As many as there are queries, out of all pairs; against sorting all of them in float64."""
    rng = np.random.default_rng(0)
    logits, boxes = rng.normal(0, 3, (20, 5)).astype(np.float32), rng.uniform(0.2, 0.4, (20, 4)).astype(np.float32)
    outputs = {"boxes": boxes[None], "logits": logits[None]}
    found = find_layout("detr-logits").make(Head(5, 100, 100)).candidates(outputs, 0, least)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    pairs = sorted(((s, q, c) for (q, c), s in np.ndenumerate(scores) if s > least), reverse=True)[:20]
    assert len(pairs) == 20 or least > 0.1
    np.testing.assert_allclose(np.sort(found.scores)[::-1], [s for s, _, _ in pairs], rtol=1e-5)
    order = np.argsort(-found.scores)
    assert found.classes[order].tolist() == [c for _, _, c in pairs]
    corner = (boxes[:, 0] - boxes[:, 2] / 2) * 100
    np.testing.assert_allclose(found.boxes[order, 0], [corner[q] for _, q, _ in pairs], rtol=1e-5)
    assert len({q for _, q, _ in pairs}) < len(pairs)  # some queries come with more than one class


# ---- what is refused ----


def test_answers_that_are_none_are_refused():
    objects = heads.things(3, 96, 96, count=2)
    rows = heads.finished(objects, 96, 96)[None]
    good = {"boxes": rows[..., :4], "scores": rows[..., 4], "labels": rows[..., 5].astype(np.int64)}
    decoder = find_layout("labels-boxes-scores").make(Head(3, 96, 96))
    with pytest.raises(UnreadableOutputError, match="gives classes 90…91, and there are 3 labels"):
        decoder.candidates({**good, "labels": good["labels"] + 90}, 0, 0.25)
    with pytest.raises(UnreadableOutputError, match="scores hold NaN"):
        decoder.candidates({**good, "scores": good["scores"] * np.nan}, 0, 0.25)
    with pytest.raises(UnreadableOutputError, match="expected scores 0…1"):
        decoder.candidates({**good, "scores": good["scores"] * 9}, 0, 0.25)
    logits = logits_of(objects, 3, (96, 96))
    for layout in ("detr-logits", "rfdetr"):
        decoder = find_layout(layout).make(Head(3, 96, 96))
        with pytest.raises(UnreadableOutputError, match="scores hold NaN"):
            decoder.candidates({**logits, "logits": logits["logits"] * np.nan}, 0, 0.25)
        with pytest.raises(UnreadableOutputError, match="boxes hold NaN"):
            decoder.candidates({**logits, "boxes": logits["boxes"] * np.inf}, 0, 0.25)


def tensors(**shapes):
    return {role: TensorInfo(role, "float32", (None, *shape)) for role, shape in shapes.items()}


@pytest.mark.parametrize(
    ("layout", "outputs"),
    [
        ("labels-boxes-scores", tensors(labels=(300,), boxes=(300, 4), scores=(200,))),
        ("labels-boxes-scores", tensors(labels=(300, 1), boxes=(300, 4), scores=(300,))),
        ("labels-boxes-scores", tensors(labels=(300,), boxes=(300, 5), scores=(300,))),
        ("detr-logits", tensors(logits=(300, 4), boxes=(300, 4))),  # 3 labels
        ("detr-logits", tensors(logits=(300, 2), boxes=(300, 4))),
        ("detr-logits", tensors(logits=(200, 3), boxes=(300, 4))),
        ("detr-logits", tensors(logits=(300, 3), boxes=(300, 3))),
        ("rfdetr", tensors(logits=(300, 2), boxes=(300, 4))),
        ("rfdetr", tensors(logits=(300,), boxes=(300, 4))),
    ],
)
def test_what_does_not_fit_is_refused(layout, outputs):
    with pytest.raises(EngineError, match=r"has shape .*; expected .* choose another --output"):
        find_layout(layout).make(Head(3, 96, 96)).check(outputs)


@pytest.mark.parametrize("layout", ["labels-boxes-scores", "detr-logits", "rfdetr"])
def test_other_roles_are_refused(layout):
    with pytest.raises(EngineError, match=f"the layout '{layout}' has the roles"):
        find_layout(layout).make(Head(3, 96, 96)).check(tensors(boxes=(300, 4)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": [0, 1]}, "one for each of 3 labels, got 2"),
        ({"columns": [0, 1, 1]}, "different numbers"),
        ({"columns": [0, 1, -1]}, "columns are a list"),
        ({"columns": [0, 1, 2.0]}, "columns are a list"),
        ({"columns": [0, 1, True]}, "columns are a list"),
        ({"columns": 3}, "columns are a list"),
        ({"slots": 3}, "layout 'rfdetr' has only columns; got .*slots"),
    ],
)
def test_parameters_that_are_none_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        find_layout("rfdetr").make(Head(3, 96, 96, parameters))


# ---- recognition ----


def facts(shapes, classes=80, layout=None, **metadata):
    outputs = tuple(TensorInfo(name, "float32", (None, *shape)) for name, shape in shapes.items())
    return ModelFacts(outputs, tuple(Label(i, str(i)) for i in range(classes)), layout, (560, 560), metadata)


LAYOUTS = ["labels-boxes-scores", "detr-logits", "rfdetr"]
NAMES, SHAPES, METADATA = Evidence.NAMES, Evidence.SHAPES, Evidence.METADATA
ORIGINAL = {"labels": (300,), "boxes": (300, 4), "scores": (300,)}


def rfdetr(names, task="detect"):
    return {"rfdetr_inference": json.dumps({"task": task, "class_id_to_name": {str(i): f"n{i}" for i in names}})}


def dets(columns, queries=300):
    return {"dets": (queries, 4), "labels": (queries, columns)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(ORIGINAL), {"labels-boxes-scores": NAMES}),
        (facts({"labels": (), "boxes": (4,), "scores": ()}), {}),  # torchvision's, of one picture
        (facts({"labels": (100,), "boxes": (300, 4), "scores": (300,)}), {}),
        (facts({"logits": (300, 80), "pred_boxes": (300, 4)}), {"detr-logits": NAMES}),
        (facts({"logits": (300, 4), "pred_boxes": (300, 4)}, classes=4), {"detr-logits": NAMES}),
        (facts({"logits": (300, 81), "pred_boxes": (300, 4)}), {}),  # DETR: softmax, and a class for no object
        (facts(dets(81)), {"rfdetr": NAMES}),
        (facts(dets(80)), {"rfdetr": NAMES}),
        (facts(dets(4), classes=3), {"rfdetr": NAMES}),  # 3 + 1 = 4
        (facts(dets(4), classes=4), {"rfdetr": NAMES}),
        (facts({"labels": (300, 4), "dets": (300, 4)}, classes=3), {"rfdetr": NAMES}),
        (facts(dets(91)), {}),  # which 80 of 91?
        (facts(dets(91), classes=90), {}),
        (facts(dets(91), classes=91), {"rfdetr": NAMES}),
        (facts(dets(91), classes=3, **rfdetr([1, 13, 90])), {"rfdetr": METADATA}),
        (facts(dets(4), classes=3, **rfdetr([0, 1, 2])), {"rfdetr": METADATA}),
        (facts(dets(4), classes=3, **rfdetr([0, 1, 2], task="segment")), {}),
        (facts({"a": (300, 4), "b": (300, 80)}), {}),
        (facts({"a": (300, 4), "b": (300, 80)}, layout="detr-logits"), {"detr-logits": SHAPES}),
        (facts({"b": (300, 81), "a": (300, 4)}, layout="rfdetr"), {"rfdetr": SHAPES}),
        (facts({"a": (300, 4), "b": (200, 80)}, layout="detr-logits"), {}),
        (facts({"a": (300, 4)}, layout="detr-logits"), {}),
    ],
)
def test_recognition(given, expected):
    names = LAYOUTS if given.layout is None else [given.layout]
    found = {name: find_layout(name).recognise(given) for name in names}
    assert {name: reading.evidence for name, reading in found.items() if reading is not None} == expected
    for reading in (one for one in found.values() if one is not None):
        assert set(reading.outputs.values()) == {output.name for output in given.outputs}
        decoder = find_layout(reading.layout).make(Head(len(given.labels), 560, 560, reading.parameters))
        decoder.check(
            {role: next(o for o in given.outputs if o.name == name) for role, name in reading.outputs.items()}
        )
        if "boxes" in reading.outputs:
            assert reading.outputs["boxes"] in {"boxes", "pred_boxes", "dets", "a"}


def test_the_columns_are_those_that_the_file_names():
    reading = find_layout("rfdetr").recognise(facts(dets(91), classes=3, **rfdetr([90, 1, 13])))
    assert reading.parameters == {"columns": [1, 13, 90]}


@pytest.mark.parametrize(("layout", "classes"), [("detr-logits", 4), ("rfdetr", 3), ("rfdetr", 4)])
def test_boxes_that_look_like_logits_are_refused(layout, classes):
    given = facts({"a": (300, 4), "b": (300, 4)}, classes=classes, layout=layout)
    with pytest.raises(InputError, match=r"both outputs, 'a' and 'b', have shape .*only names tell boxes from scores"):
        find_layout(layout).recognise(given)
