"""Our own detector's head."""

from __future__ import annotations

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe


def by_role(outputs):
    words = {"cls": "scores", "box": "boxes"}
    return {f"{words[name[:3]]}_{name[5:]}": array[None] for name, array in outputs.items()}


def infos(outputs):
    return {info.name: info for info in describe(outputs)}


@pytest.mark.parametrize("strides", [(8, 16, 32), (16,)], ids=str)
@pytest.mark.parametrize("size", [(160, 160), (96, 224)], ids=["square", "wide"])
@pytest.mark.parametrize("classes", [1, 3, 80])
def test_what_was_placed_is_found(classes, size, strides):
    objects = heads.things(classes, *size)
    outputs = by_role(heads.levels(objects, classes, *size, strides=strides))
    decoder = find_layout("levels").make(Head(classes, *size))
    assert not decoder.unique
    decoder.check(infos(outputs))
    found = decoder.candidates(outputs, 0, 0.25)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-4)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]


@pytest.mark.parametrize("least", [0.0, 0.001, 0.25, 0.5, 0.999, 1.0])
def test_scores_are_sigmoids_and_all_above_the_least_are_there(least):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 6, (3, 12, 20)).astype(np.float32)
    logits[0, 0, :4] = [-300, 300, -np.inf, np.inf]
    outputs = {"scores_8": logits[None], "boxes_8": np.ones((1, 4, 12, 20), np.float32)}
    with np.errstate(over="raise"):
        found = find_layout("levels").make(Head(3, 96, 160)).candidates(outputs, 0, least)
    wide = logits.astype(np.longdouble).max(axis=0)
    expected = np.array([1 / (1 + np.exp(-x)) for x in wide.ravel()]).astype(np.float32)
    np.testing.assert_allclose(np.sort(found.scores), np.sort(expected[expected > least]), atol=1e-6)


def test_what_does_not_fit_is_refused():
    decoder = find_layout("levels").make(Head(3, 96, 160))
    right = infos(by_role(heads.levels([], 3, 96, 160)))
    decoder.check(right)
    for role, shape in (
        ("scores_8", (None, 4, 12, 20)),
        ("boxes_16", (None, 4, 5, 10)),
        ("boxes_32", (None, 32, 3, 5)),
    ):
        with pytest.raises(EngineError, match=f"'{role}' gives items of shape .* 3 labels and an input of 96×160"):
            decoder.check({**right, role: TensorInfo(role, "float32", shape)})
    for roles in ({"scores_8"}, {"scores_8", "boxes_16"}, {"scores_8", "boxes_8", "extra"}, set()):
        with pytest.raises(EngineError, match="expected the roles scores_8 and boxes_8"):
            decoder.check({role: TensorInfo(role, "float32", (None, 3, 12, 20)) for role in roles})
    with pytest.raises(InputError, match="layout 'levels' has none"):
        find_layout("levels").make(Head(3, 96, 160, {"anchors": []}))


@pytest.mark.parametrize(("role", "message"), [("scores_16", "scores hold NaN"), ("boxes_16", "boxes hold NaN")])
def test_nan_is_refused(role, message):
    objects = heads.things(3, 96, 160)
    outputs = by_role(heads.levels(objects, 3, 96, 160))
    for array in outputs[role]:
        array[:] = np.nan
    with pytest.raises(UnreadableOutputError, match=message):
        find_layout("levels").make(Head(3, 96, 160)).candidates(outputs, 0, 0.25)


def test_it_is_known_by_the_names_of_its_outputs():
    labels = tuple(Label(i, str(i)) for i in range(3))
    outputs = describe({name: array[None] for name, array in heads.levels([], 3, 96, 160).items()})
    recognise = find_layout("levels").recognise
    reading = recognise(ModelFacts(outputs, labels, None, (96, 160)))
    assert reading.evidence is Evidence.NAMES
    assert reading.outputs["scores_8"] == "cls_s8"
    assert reading.outputs["boxes_32"] == "box_s32"
    assert recognise(ModelFacts(outputs[1:], labels, None, (96, 160))) is None
    assert recognise(ModelFacts((*outputs, TensorInfo("more", "float32", (None, 2))), labels, None, (96, 160))) is None
