"""torchvision's heads without torchvision: each number against a formula in Python's own, one anchor and class at a time.

That the same comes out of torchvision itself is tested in tests/compiler/sources/test_torchvision_detectors.py.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.detect.layouts.torchvision import HEAD, PARAMETERS, grid_of
from edgevision.tasks.detect.resolve import resolve
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe

SIZE = (64, 96)
ANCHORS = [
    {"rows": 3, "columns": 4, "step": [24.0, 20.5], "cell": [[-4, -6, 12.5, 10], [0, 0, 8, 8]]},
    {"rows": 1, "columns": 2, "step": [48.0, 64.0], "cell": [[-10, -10, 50, 40]]},
]
COUNT = 26
LAYOUTS = ["ssd", "retinanet", "fcos"]


def anchors_one_by_one():
    found = []
    for level in ANCHORS:
        for y in range(level["rows"]):
            for x in range(level["columns"]):
                dx, dy = x * level["step"][0], y * level["step"][1]
                found += [(a + dx, b + dy, c + dx, d + dy) for a, b, c, d in level["cell"]]
    return found


def head_of(layout, columns, seed=0, items=1):
    rng = np.random.default_rng(seed)
    roles = {"scores": rng.normal(0, 2, (items, COUNT, columns)), "boxes": rng.normal(0, 1, (items, COUNT, 4))}
    if layout == "fcos":
        roles["boxes"] = np.abs(roles["boxes"])
        roles["centerness"] = rng.normal(0, 2, (items, COUNT, 1))
    return {role: values.astype(np.float32) for role, values in roles.items()}


def decoder_of(layout, classes, **parameters):
    return find_layout(layout).make(Head(classes, *SIZE, {"anchors": ANCHORS, **parameters}))


def one_by_one(layout, roles, classes, least, weights=(10, 10, 5, 5)):
    """Every (anchor, class) with a score above ``least``: (anchor, class) → score and box."""
    found = {}
    for row, (x1, y1, x2, y2) in enumerate(anchors_one_by_one()):
        logits = [float(value) for value in roles["scores"][0, row]]
        numbers = [float(value) for value in roles["boxes"][0, row]]
        background = len(logits) - classes
        width, height, cx, cy = x2 - x1, y2 - y1, (x1 + x2) / 2, (y1 + y2) / 2
        if layout == "fcos":
            box = (cx - numbers[0] * width, cy - numbers[1] * height, cx + numbers[2] * width, cy + numbers[3] * height)
        else:
            dx, dy, dw, dh = (number / weight for number, weight in zip(numbers, weights, strict=True))
            w, h = (math.exp(min(d, math.log(62.5))) * side for d, side in ((dw, width), (dh, height)))
            x, y = cx + dx * width, cy + dy * height
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        box = tuple(min(max(side, 0), SIZE[1 - place % 2]) for place, side in enumerate(box))
        total = math.fsum(math.exp(logit) for logit in logits)
        for place in range(classes):
            logit = logits[background + place]
            score = math.exp(logit) / total if layout == "ssd" else 1 / (1 + math.exp(-logit))
            if layout == "fcos":
                score = math.sqrt(score / (1 + math.exp(-float(roles["centerness"][0, row, 0]))))
            if score > least:
                found[row, place] = (score, box)
    return found


@pytest.mark.parametrize("least", [0.0, 0.001, 0.3, 0.7])
@pytest.mark.parametrize("classes", [1, 3, 90])
@pytest.mark.parametrize(
    ("layout", "background"), [("ssd", 1), ("retinanet", 0), ("retinanet", 1), ("fcos", 0), ("fcos", 1)]
)
def test_every_anchor_and_class(layout, background, classes, least):
    roles = head_of(layout, classes + background)
    parameters = {} if layout == "fcos" else {"box_weights": [10, 10, 5, 5]}
    decoder = decoder_of(layout, classes, best=10_000, **parameters)
    assert not decoder.unique
    decoder.check({info.name: info for info in describe(roles)})
    found = decoder.candidates(roles, 0, least)
    expected = one_by_one(layout, roles, classes, least)
    assert found.classes.tolist() == [place for _, place in expected]
    np.testing.assert_allclose(found.scores, [score for score, _ in expected.values()], atol=1e-6)
    np.testing.assert_allclose(
        found.boxes.reshape(-1, 4), np.reshape([box for _, box in expected.values()], (-1, 4)), atol=1e-4
    )
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_weights_of_boxes_are_those_of_torchvision_where_none_are_given():
    for layout, weights in (("ssd", (10, 10, 5, 5)), ("retinanet", (1, 1, 1, 1))):
        roles = head_of(layout, 4)
        expected = one_by_one(layout, roles, 3, 0.3, weights)
        boxes = decoder_of(layout, 3).candidates(roles, 0, 0.3).boxes
        np.testing.assert_allclose(boxes, [box for _, box in expected.values()], atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_best_of_a_group_are_kept(layout):
    """Of SSD's each class, of the others' each level: 24 anchors, and 2."""
    roles = head_of(layout, 4)
    every = one_by_one(layout, roles, 3, 0.05, (10, 10, 5, 5) if layout == "ssd" else (1, 1, 1, 1))
    groups = {}
    for key, (score, _) in every.items():
        groups.setdefault(key[1] if layout == "ssd" else key[0] >= 24, []).append(score)
    expected = sorted(score for scores in groups.values() for score in sorted(scores)[-5:])
    assert len(expected) < len(every)
    found = decoder_of(layout, 3, best=5).candidates(roles, 0, 0.05)
    np.testing.assert_allclose(np.sort(found.scores), expected, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_items_are_read_by_themselves(layout):
    roles = head_of(layout, 4, items=3)
    decoder = decoder_of(layout, 3)
    for item in range(3):
        alone = decoder.candidates({role: values[item : item + 1] for role, values in roles.items()}, 0, 0.3)
        found = decoder.candidates(roles, item, 0.3)
        np.testing.assert_array_equal(found.boxes, alone.boxes)
        np.testing.assert_array_equal(found.scores, alone.scores)


def test_anchors_of_a_grid():
    grid = grid_of(ANCHORS)
    np.testing.assert_allclose(grid.boxes, anchors_one_by_one())
    assert grid.level.tolist() == [0] * 24 + [1] * 2


# ---- what cannot be read is refused ----


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("layout", "role"), [("ssd", "scores"), ("retinanet", "scores"), ("fcos", "scores"), ("fcos", "centerness")]
)
def test_scores_that_are_none_are_refused(layout, role, value):
    roles = head_of(layout, 4)
    roles[role][0, 5, 0] = value
    if layout == "fcos" and role == "scores":
        roles["scores"][0, 5, 0], roles["scores"][0, 5, 1] = 0.0, value
    if layout != "ssd" and value == np.inf:
        assert decoder_of(layout, 3).candidates(roles, 0, 0.3).scores.max() <= 1
        return
    with pytest.raises(UnreadableOutputError, match="scores hold"):
        decoder_of(layout, 3).candidates(roles, 0, 0.3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_with_nan_are_refused(layout):
    roles = head_of(layout, 4)
    roles["boxes"][0, :, 2] = np.nan
    with pytest.raises(UnreadableOutputError, match="boxes hold NaN"):
        decoder_of(layout, 3).candidates(roles, 0, 0.3)


@pytest.mark.parametrize(
    ("layout", "role", "shape"),
    [
        ("ssd", "scores", (COUNT, 3)),  # the background is missing, or counted among the labels
        ("ssd", "scores", (COUNT, 5)),
        ("retinanet", "scores", (COUNT, 5)),
        ("retinanet", "scores", (COUNT + 1, 3)),
        ("fcos", "boxes", (COUNT, 5)),
        ("fcos", "centerness", (COUNT,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layout, role, shape):
    outputs = {info.name: info for info in describe(head_of(layout, 4))}
    decoder_of(layout, 3).check(outputs)
    with pytest.raises(EngineError, match=f"'{role}' gives items .* without the background"):
        decoder_of(layout, 3).check({**outputs, role: TensorInfo(role, "float32", (None, *shape))})


def test_other_roles_are_refused():
    outputs = {info.name: info for info in describe(head_of("retinanet", 4))}
    with pytest.raises(EngineError, match="has the roles"):
        decoder_of("fcos", 3).check(outputs)


LEVEL = ANCHORS[1]


@pytest.mark.parametrize(
    "anchors",
    [
        None, [], "x", [3], [{}], [{**LEVEL, "more": 1}], [{**LEVEL, "rows": 0}], [{**LEVEL, "rows": 2.0}],
        [{**LEVEL, "columns": True}], [{**LEVEL, "columns": 9000}], [{**LEVEL, "step": [1]}], [{**LEVEL, "step": ["a", "b"]}],
        [{**LEVEL, "step": [math.nan, 1]}], [{**LEVEL, "cell": []}], [{**LEVEL, "cell": [[1, 2, 3]]}],
        [{**LEVEL, "cell": [[1, 2, 3, math.inf]]}], [{**LEVEL, "cell": [[0, 0, 1, 1]] * 65}], [LEVEL] * 17,
        [{**LEVEL, "rows": 8192, "columns": 8192}],
        [{**LEVEL, "rows": 8192, "columns": 8192, "cell": [[0, 0, 1, 1]] * 64}],  # 137 GB, were they made
    ],
    ids=lambda anchors: str(anchors)[:40],
)  # fmt: skip
def test_anchors_that_are_none_are_refused(anchors):
    with pytest.raises(InputError, match="the anchors of a torchvision head are"):
        grid_of(anchors)


@pytest.mark.parametrize(
    ("layout", "parameters", "message"),
    [
        ("ssd", {"best": 0}, "best is within"),
        ("ssd", {"stride": 8}, "has the parameters"),
        ("fcos", {"box_weights": [1, 1, 1, 1]}, "has the parameters"),
        ("ssd", {"box_weights": [1, 1, 1]}, "four numbers"),
        ("ssd", {"box_weights": [1, 1, 1, 0]}, "box_weights is within"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(layout, parameters, message):
    with pytest.raises(InputError, match=message):
        decoder_of(layout, 3, **parameters)


def test_a_head_without_anchors_is_refused_with_the_cure():
    with pytest.raises(InputError, match="--arch torchvision:NAME"):
        find_layout("ssd").make(Head(3, *SIZE))


# ---- which of them a file has ----

NAMES = {"scores": "cls_logits", "boxes": "bbox_regression", "centerness": "bbox_ctrness"}


def facts(layout, metadata, classes=3):
    found = [TensorInfo(NAMES[info.name], info.dtype, info.shape) for info in describe(head_of(layout, classes + 1))]
    labels = tuple(Label(i, str(i)) for i in range(classes))
    return ModelFacts(tuple(reversed(found)), labels, None, SIZE, metadata)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_metadata_say_layout_and_parameters(layout):
    parameters = {"anchors": ANCHORS, "best": 7, "iou": 0.45, "max_detections": 99}
    given = facts(layout, {HEAD: layout, PARAMETERS: json.dumps(parameters)})
    assert find_layout(layout).recognise(given).evidence is Evidence.METADATA
    spec = resolve(given)
    assert {output.role: output.name for output in spec.outputs} == {
        role: name for role, name in NAMES.items() if layout == "fcos" or role != "centerness"
    }
    assert {output.layout for output in spec.outputs} == {layout}
    assert {key: spec.parameters[key] for key in parameters} == parameters


@pytest.mark.parametrize("layout", LAYOUTS)
def test_heads_that_were_exported_without_their_anchors_are_refused(layout):
    with pytest.raises(InputError, match=r"anchors are not in the file.*--arch torchvision:NAME"):
        resolve(facts(layout, {}))


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_damaged_metadata_are_refused(text):
    with pytest.raises(InputError, match="is damaged"):
        resolve(facts("ssd", {HEAD: "ssd", PARAMETERS: text}))


def test_other_heads_are_none():
    outputs = (TensorInfo("output", "float32", (None, 8400, 85)),)
    given = ModelFacts(
        outputs, tuple(Label(i, str(i)) for i in range(80)), None, (640, 640), {HEAD: "ssd", PARAMETERS: "{}"}
    )
    for layout in LAYOUTS:
        assert find_layout(layout).recognise(given) is None
