"""NanoDet and PicoDet: boxes that were placed are found, whatever form their distances have."""

from __future__ import annotations

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.detect.layouts.nanodet import mean_distances
from edgevision.tasks.detect.resolve import resolve
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe

OFFSETS = {"nanodet-plus": 0.0, "picodet": 0.5}
STRIDES = (8, 16, 32, 64)


def distribution(distance, bins):
    """Logits over 0 … bins − 1 with this mean: all weight on the two whole numbers around it."""
    weights = np.full(bins, 1e-9)
    low = min(int(distance), bins - 2)
    weights[low], weights[low + 1] = low + 1 - distance + 1e-9, distance - low + 1e-9
    return np.log(weights) + 3.0  # a constant changes nothing


def levels(layout, objects, classes, size, bins, strides=STRIDES, seed=4):
    """Of each level scores [cells, classes] and distances [cells, 4 · bins]: objects in cells whose point is inside them."""
    rng = np.random.default_rng(seed)
    points, found = [], []
    for level, stride in enumerate(strides):
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        for cell in range(rows * columns):
            y, x = divmod(cell, columns)
            points.append((level, cell, stride, (x + OFFSETS[layout]) * stride, (y + OFFSETS[layout]) * stride))
        numbers = rng.uniform(0, 1, (rows * columns, 4 * bins))
        found.append((rng.uniform(0, heads.NOISE, (rows * columns, classes)), numbers))
    for thing in objects:
        usable = [
            point for point in points
            if all(0 <= side / point[2] <= max(bins - 1, 1e9 * (bins == 1)) for side in sides(thing, point))
        ]  # fmt: skip
        level, cell, stride, _, _ = point = usable[rng.integers(len(usable))]
        scores, distances = found[level]
        scores[cell] = 0.01
        scores[cell, thing.label] = thing.score
        reach = [side / stride for side in sides(thing, point)]
        distances[cell] = reach if bins == 1 else np.concatenate([distribution(side, bins) for side in reach])
        points.remove(point)
    return [(scores.astype(np.float32), distances.astype(np.float32)) for scores, distances in found]


def sides(thing, point):
    """How far left, top, right and bottom of the object are from a point."""
    _, _, _, x, y = point
    return x - thing.x1, y - thing.y1, thing.x2 - x, thing.y2 - y


def large_things(classes, height, width, count=3, seed=0):
    """Objects that hold points of cells: at least 20 pixels, at most 100."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        x, y = rng.uniform(0, (width - 100) / count) + i * (width / count), rng.uniform(0, height - 100)
        found.append(heads.Thing(i % classes, 0.9 - 0.1 * i, x, y, x + rng.uniform(20, 60), y + rng.uniform(20, 100)))
    return found


def outputs_of(layout, items, strides=STRIDES):
    """By role, of several items."""
    if layout == "nanodet-plus":
        joined = [np.concatenate([np.concatenate(level, axis=1) for level in item]) for item in items]
        return {"scores_and_distances": np.stack(joined)}
    roles = {}
    for place, stride in enumerate(strides):
        roles[f"scores_{stride}"] = np.stack([item[place][0] for item in items])
        roles[f"boxes_{stride}"] = np.stack([item[place][1] for item in items])
    return roles


@pytest.mark.parametrize("size", [(320, 320), (416, 416), (250, 301)], ids=["square", "64 does not divide", "odd"])
@pytest.mark.parametrize("bins", [1, 8, 17])
@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("layout", list(OFFSETS))
def test_what_was_placed_is_found(layout, classes, bins, size):
    objects = large_things(classes, *size)
    outputs = outputs_of(layout, [levels(layout, placed, classes, size, bins) for placed in ([], objects)])
    decoder = find_layout(layout).make(Head(classes, *size))
    assert not decoder.unique
    decoder.check({info.name: info for info in describe(outputs)})
    assert len(decoder.candidates(outputs, 0, 0.25).scores) == 0
    found = decoder.candidates(outputs, 1, 0.25)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-3)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_means_of_distributions():
    """Against the textbook softmax in float64, logits of hundreds among them."""
    logits = np.random.default_rng(0).normal(size=(50, 4, 8)) * np.array([1, 10, 100, 300])[:, None]
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected = (powers / powers.sum(axis=2, keepdims=True) * np.arange(8)).sum(axis=2)
    found = mean_distances(logits.reshape(50, 32).astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("layout", [*OFFSETS, "picodet-decoded"])
def test_each_class_of_a_cell_gives_a_box_cut_at_the_edge(layout):
    scores = np.zeros((21, 3), np.float32)
    scores[0] = [0.9, 0.1, 0.5]
    if layout == "picodet-decoded":
        outputs = {"boxes_and_scores": np.concatenate([np.full((21, 4), [-5, 2, 50, 20]), scores], axis=1)[None]}
        head = Head(3, 32, 32)
    else:
        distances = np.full((21, 4), [9, 0, 9, 1], np.float32)
        parts = np.split(np.arange(21), [16, 20])
        strides = (8, 16, 32)
        outputs = outputs_of(layout, [[(scores[part], distances[part]) for part in parts]], strides)
        head = Head(3, 32, 32, {"strides": list(strides)})
    found = find_layout(layout).make(head).candidates(outputs, 0, 0.25)
    assert found.classes.tolist() == [0, 2]
    assert found.scores.tolist() == [pytest.approx(0.9), 0.5]
    assert found.boxes[:, 0].tolist() == [0, 0]
    assert found.boxes[:, 2].tolist() == [32, 32]


@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (4.0, "expected scores 0…1")])
@pytest.mark.parametrize("layout", list(OFFSETS))
def test_scores_that_are_none_are_refused(layout, value, message):
    items = levels(layout, [], 3, (64, 64), 8)
    items[1][0][2, 1] = value
    with pytest.raises(UnreadableOutputError, match=message):
        find_layout(layout).make(Head(3, 64, 64)).candidates(outputs_of(layout, [items]), 0, 0.25)


@pytest.mark.parametrize("layout", list(OFFSETS))
def test_boxes_with_nan_are_refused(layout):
    items = levels(layout, [], 3, (64, 64), 8)
    items[0][0][5, 1], items[0][1][5, 3] = 0.9, np.nan
    with pytest.raises(UnreadableOutputError, match="boxes hold NaN"):
        find_layout(layout).make(Head(3, 64, 64)).candidates(outputs_of(layout, [items]), 0, 0.25)


@pytest.mark.parametrize("shape", [(None, 2125, 111), (None, 2100, 112), (None, 112, 2125), (None, 2125)])
def test_shapes_that_do_not_fit_are_refused(shape):
    decoder = find_layout("nanodet-plus").make(Head(80, 320, 320))
    with pytest.raises(EngineError, match=r"expected \[2125, classes \+ 4 · bins\] for 80 labels"):
        decoder.check({"scores_and_distances": TensorInfo("out", "float32", shape)})


@pytest.mark.parametrize(
    ("name", "shape"), [("scores_8", (1600, 79)), ("boxes_16", (400, 30)), ("boxes_16", (399, 32))]
)
def test_shapes_of_levels_that_do_not_fit_are_refused(name, shape):
    outputs = {info.name: info for info in describe(outputs_of("picodet", [levels("picodet", [], 80, (320, 320), 8)]))}
    decoder = find_layout("picodet").make(Head(80, 320, 320))
    decoder.check(outputs)
    with pytest.raises(EngineError, match=f"'{name}' gives items"):
        decoder.check({**outputs, name: TensorInfo(name, "float32", (None, *shape))})


def test_other_roles_and_parameters_are_refused():
    with pytest.raises(EngineError, match="has the roles"):
        find_layout("picodet").make(Head(3, 64, 64)).check({})
    with pytest.raises(EngineError, match="for the role"):
        find_layout("picodet-decoded").make(Head(3, 64, 64)).check({})
    with pytest.raises(InputError, match=r"has the parameters \['strides'\], got \['reg_max'\]"):
        find_layout("nanodet-plus").make(Head(3, 64, 64, {"reg_max": 7}))
    with pytest.raises(InputError, match=r"has the parameters \[\]"):
        find_layout("picodet-decoded").make(Head(3, 64, 64, {"strides": [8]}))


# ---- which of them a file has ----


def facts(outputs, classes, size=(320, 320), layout=None, metadata=None):
    found = tuple(TensorInfo(name, "float32", (None, *shape)) for name, shape in outputs.items())
    return ModelFacts(found, tuple(Label(i, str(i)) for i in range(classes)), layout, size, metadata or {})


def picodet(classes, bins=8, names=("s{}", "d{}")):
    cells = {8: 1600, 16: 400, 32: 100, 64: 25}
    scores = {names[0].format(stride): (count, classes) for stride, count in cells.items()}
    return {**scores, **{names[1].format(stride): (count, 4 * bins) for stride, count in cells.items()}}


NANODET_NAMES = ("cls_pred_stride_{}", "dis_pred_stride_{}")


@pytest.mark.parametrize(
    ("outputs", "classes", "size", "layout", "evidence", "strides"),
    [
        ({"output": (2125, 112)}, 80, (320, 320), "nanodet-plus", Evidence.SHAPES, [8, 16, 32, 64]),
        ({"output": (2100, 112)}, 80, (320, 320), "nanodet-plus", Evidence.SHAPES, [8, 16, 32]),
        ({"output": (3598, 35)}, 3, (416, 416), "nanodet-plus", Evidence.SHAPES, [8, 16, 32, 64]),
        ({"output": (2125, 33)}, 1, (320, 320), "nanodet-plus", Evidence.SHAPES, [8, 16, 32, 64]),
        (picodet(80), 80, (320, 320), "picodet", Evidence.SHAPES, [8, 16, 32, 64]),
        (picodet(1), 1, (320, 320), "picodet", Evidence.SHAPES, [8, 16, 32, 64]),
        (picodet(80, names=NANODET_NAMES), 80, (320, 320), "picodet", Evidence.NAMES, [8, 16, 32, 64]),
        (picodet(32, names=NANODET_NAMES), 32, (320, 320), "picodet", Evidence.NAMES, [8, 16, 32, 64]),
        (picodet(4, bins=1, names=NANODET_NAMES), 4, (320, 320), "picodet", Evidence.NAMES, [8, 16, 32, 64]),
    ],
)  # fmt: skip
def test_files_are_recognised(outputs, classes, size, layout, evidence, strides):
    given = facts(outputs, classes, size)
    assert find_layout(layout).recognise(given).evidence is evidence
    spec = resolve(given)
    assert {output.layout for output in spec.outputs} == {layout}
    assert spec.parameters["strides"] == strides
    roles = {output.role: output.name for output in spec.outputs}
    if layout == "picodet":
        assert outputs[roles["scores_16"]] == (400, classes)
        assert outputs[roles["boxes_64"]][0] == 25
        assert roles["scores_16"] != roles["boxes_16"]


def test_scores_and_distances_of_one_width_are_not_guessed_at():
    """32 classes, and 8 numbers for each of four distances."""
    with pytest.raises(InputError, match=r"both have 32 columns.*cls_pred_stride_8 and dis_pred_stride_8"):
        resolve(facts(picodet(32), 32))


def test_plain_distances_are_read_where_they_are_asked_for():
    """YOLO, transposed, has the same shape, and is what such a file nearly always is."""
    outputs = {"output": (2100, 84)}
    assert {one.layout for one in resolve(facts(outputs, 80)).outputs} == {"yolo-transposed"}
    assert {one.layout for one in resolve(facts(outputs, 80, layout="nanodet-plus")).outputs} == {"nanodet-plus"}
    assert find_layout("picodet").recognise(facts(picodet(80, bins=1), 80)) is None
    assert find_layout("picodet").recognise(facts(picodet(80, bins=1), 80, layout="picodet")) is not None


def test_corners_of_libreyolo_are_known_by_its_metadata():
    """Read as YOLO, transposed, they would be centres and sizes."""
    outputs, said = {"output": (2125, 7)}, {"model_family": "picodet"}
    assert {one.layout for one in resolve(facts(outputs, 3, metadata=said)).outputs} == {"picodet-decoded"}
    assert {one.layout for one in resolve(facts(outputs, 3)).outputs} == {"yolo-transposed"}
    assert {one.layout for one in resolve(facts(outputs, 3, layout="picodet-decoded")).outputs} == {"picodet-decoded"}


@pytest.mark.parametrize(
    ("outputs", "size"),
    [
        ({"output": (2125, 112)}, None),
        ({"output": (2124, 112)}, (320, 320)),
        ({"output": (2125, 113)}, (320, 320)),
        ({"output": (2125, 80 + 4 * 65)}, (320, 320)),
        ({"output": (2125, 112, 1)}, (320, 320)),
        ({**picodet(80), "s8": (1599, 80)}, (320, 320)),
        ({**picodet(80), "s8": (1600, 32)}, (320, 320)),
        ({name: shape for name, shape in picodet(80).items() if name != "d8"}, (320, 320)),
    ],
)
def test_other_heads_are_none(outputs, size):
    for layout in (*OFFSETS, "picodet-decoded"):
        assert find_layout(layout).recognise(facts(outputs, 80, size)) is None
