from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.evaluate import registry
from edgevision.evaluate.registry import make_evaluator, register_evaluator
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

LABELS = (Label(7, "apple"), Label(9, "pear"))
COUNT = TaskSpec("count", LABELS, ())


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def test_ours_are_made_with_the_parameters_of_the_spec():
    made = make_evaluator(classify_spec(LABELS, temperature=2.5))
    assert isinstance(made, ClassifyEvaluator)
    assert made.task.temperature == 2.5
    assert make_evaluator(classify_spec(LABELS)).task.temperature == 1.0


def test_one_of_your_own_gets_the_spec_and_may_be_replaced():
    register_evaluator("count", lambda spec, _: ("first", spec))
    assert make_evaluator(COUNT) == ("first", COUNT)
    register_evaluator("count", lambda spec, _: ("second", spec))
    assert make_evaluator(COUNT) == ("second", COUNT)


def test_an_installed_one_is_found_by_its_entry_point(monkeypatch):
    class Point:
        def load(self):
            return lambda spec, _: ("installed", spec)

    asked = []

    def entry_points(*, group, name):
        asked.append((group, name))
        return [Point()] if name == "count" else []

    monkeypatch.setattr(registry.metadata, "entry_points", entry_points)
    assert [make_evaluator(COUNT), make_evaluator(COUNT)] == [("installed", COUNT)] * 2
    assert asked == [("edgevision.evaluators", "count")]  # it is loaded once


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    register_evaluator("weigh", lambda spec, _: spec)
    with pytest.raises(
        InputError, match=r"models that count; known are classify, detect, embed, weigh\. .*register_evaluator"
    ):
        make_evaluator(COUNT)


def test_ours_cannot_be_replaced():
    with pytest.raises(InputError, match="edgevision's own"):
        register_evaluator("classify", lambda spec, _: spec)
