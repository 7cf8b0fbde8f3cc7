"""Attributes: heads cut out of one output, each answered as a classifier answers, against softmax done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.preprocess.geometry import Placement, Region
from edgevision.tasks.attributes import AttributesTask, attributes_spec, heads_of
from edgevision.tasks.base import OutputRole, TaskSpec, View
from edgevision.tasks.registry import ModelFacts, make_task, task_type
from edgevision.tasks.results import FrameId, Label, Timing
from edgevision.tensors import TensorInfo

HEADS = {"colour": ("red", "green", "blue"), "ripe": ("no", "yes")}
RAW = np.array([[2.0, 0.0, -1.0, 0.5, 0.5], [0.0, 1.0, 3.0, -1.0, 1.0]])


def views(count):
    return [View(FrameId(sequence=i), 8, 8, Region(0, 0, 8, 8), Placement(4, 4, 0, 0), 4, 4) for i in range(count)]


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


def test_each_head_has_the_chances_of_its_own_columns():
    task = AttributesTask(attributes_spec(HEADS, temperatures={"ripe": 2.0}))
    first, second = task.decode({"output": RAW}, views(2), Timing(1, 2, 0))
    assert [(row.name, row.value) for row in first] == [("colour", "red"), ("ripe", "no")]  # of equals the first
    assert [(row.name, row.value) for row in second] == [("colour", "blue"), ("ripe", "yes")]
    assert first["colour"].score == pytest.approx(softmax(RAW[0, :3])[0])
    assert second["ripe"].score == pytest.approx(softmax(RAW[1, 3:], 2.0)[1])
    assert (second.frame.sequence, second.timing.infer_ms) == (1, 2)


@pytest.mark.parametrize(
    ("parameters", "known"),
    [
        ({}, {"colour": "red", "ripe": "no"}),
        ({"thresholds": {"ripe": 0.6}}, {"colour": "red"}),
        ({"threshold": 0.6}, {"colour": "red"}),
        ({"threshold": 0.9, "thresholds": {"ripe": 0.5}}, {"ripe": "no"}),
        ({"threshold": 0.9, "thresholds": None}, {}),  # as loading does where somebody asks for one threshold
    ],
)
def test_what_is_known_is_said_by_each_heads_threshold(parameters, known):
    task = AttributesTask(attributes_spec(HEADS, **parameters))
    (found,) = task.decode({"output": RAW[:1]}, views(1), Timing(0, 0, 0))
    assert found.values == known
    assert found.to_dict()["attributes"][0].keys() == {"name", "value", "score", "known"}


def test_an_attribute_is_found_by_its_name():
    (found,) = AttributesTask(attributes_spec(HEADS)).decode({"output": RAW[:1]}, views(1), Timing(0, 0, 0))
    assert len(found) == 2
    with pytest.raises(KeyError, match=r"'weight' is none of the attributes \['colour', 'ripe'\]"):
        found["weight"]


def test_the_spec_survives_json_and_the_registry_makes_the_task():
    spec = attributes_spec(HEADS, "probabilities", "scores", temperatures={"colour": 1.5})
    again = make_task(TaskSpec.from_dict(spec.to_dict()))
    assert isinstance(again, AttributesTask)
    assert {head.name: head.values for head in again.heads} == HEADS


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["colour"], "'attribute: value'"),
        (["colour: "], "'attribute: value'"),
        ([": red"], "'attribute: value'"),
        (["a: 1", "b: 1", "b: 2", "a: 2"], "side by side; those of 'a'"),
        (["a: 1", "a: 1"], "'a: 1' twice"),
        (["a: 1", "b: 1", "b: 2"], "at least 2 values to choose from, 'a' has one"),
        ([], "at least 1 attribute"),
    ],
)
def test_labels_that_are_no_heads_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        heads_of([Label(place, name) for place, name in enumerate(labels)])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 1.0}, r"temperatures, thresholds and threshold, got \['temperature'\]"),
        ({"temperatures": {"size": 1.0}}, r"for the attributes \['colour', 'ripe'\], got one for 'size'"),
        ({"temperatures": [1.0, 2.0]}, "an object with a number for each attribute, got list"),
        ({"thresholds": {"ripe": 2.0}}, "within 0…1"),
        ({"threshold": -1}, "within 0…1"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        AttributesTask(attributes_spec(HEADS, **parameters))


def test_a_spec_has_one_output_with_a_known_layout():
    labels = attributes_spec(HEADS).labels
    with pytest.raises(InputError, match="one output for all of them, got 2"):
        AttributesTask(TaskSpec("attributes", labels, (OutputRole("scores", "a", "logits"), OutputRole("b", "b", "x"))))
    with pytest.raises(InputError, match="output is one of"):
        AttributesTask(attributes_spec(HEADS, "vectors"))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([TensorInfo("colour", "float32", (None, 3)), TensorInfo("ripe", "float32", (None, 2))], "join the heads"),
        ([TensorInfo("other", "float32", (None, 5))], "one output, 'output'"),
        ([TensorInfo("output", "float32", (None, 4))], r"shape \(4,\) and there are 5 values"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(outputs, message):
    task = AttributesTask(attributes_spec(HEADS))
    task.check([TensorInfo("output", "float32", (None, 5))])
    with pytest.raises(EngineError, match=message):
        task.check(outputs)


def test_an_output_that_is_no_answer_is_refused():
    task = AttributesTask(attributes_spec(HEADS))
    with pytest.raises(UnreadableOutputError, match=r"expected \(n, 5\)"):
        task.decode({"output": RAW[:, :4]}, views(2), Timing(0, 0, 0))
    with pytest.raises(UnreadableOutputError, match="NaN"):
        task.decode({"output": np.full((1, 5), np.nan)}, views(1), Timing(0, 0, 0))
    with pytest.raises(InputError, match="one view for each of 2 rows, got 1"):
        task.decode({"output": RAW}, views(1), Timing(0, 0, 0))


def test_golden_frames_are_compared_head_by_head():
    task = AttributesTask(attributes_spec(HEADS))
    stored = task.digest({"output": RAW})
    assert task.compare(stored, stored, stored, same_device=True).passed
    moved = RAW.copy()
    moved[0, 3] += 0.02  # ripe alone: a chance moves by 0.005
    result = task.compare(stored, stored, {"scores": moved}, same_device=True)
    assert not result.passed
    assert result.message.startswith("ripe: golden frame 1 of 2")
    assert result.worst == pytest.approx(softmax([0.52, 0.5])[0] - 0.5, abs=1e-9)
    assert task.compare(stored, stored, {"scores": moved}, same_device=False).passed
    turned = RAW.copy()
    turned[1, 1] = 3.05  # colour's best value changes, by a tenth of a chance or more
    assert task.compare(stored, stored, {"scores": turned}, same_device=False).message.startswith("colour: ")


def test_a_foreign_network_is_read_by_its_labels():
    resolve = task_type("attributes").resolve
    labels = attributes_spec(HEADS).labels
    output = TensorInfo("logits", "float32", (None, 5))
    assert resolve(ModelFacts((output,), labels, "logits")) == TaskSpec(
        "attributes", labels, (OutputRole("scores", "logits", "logits"),)
    )
    for facts, message in [
        (ModelFacts((output,), labels, None), "--output is one of"),
        (ModelFacts((output, output), labels, "logits"), "join them in the network"),
        (ModelFacts((output,), (Label(0, "red"),), "logits"), "'attribute: value'"),
    ]:
        with pytest.raises(InputError, match=message):
            resolve(facts)
