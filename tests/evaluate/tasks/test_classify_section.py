"""The compile report's classes, on digests that are written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluate.page.html import Rich, Table, Text
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

LABELS = tuple(Label(i, name) for i, name in enumerate(("milk", "tea", "rice", "salt")))
EVALUATOR = ClassifyEvaluator(classify_spec(LABELS))
TRUTH = [0] * 3 + [1] * 40 + [2] * 25
FLOAT = [0, 0, 3, *[1] * 30, *[3] * 10, *[2] * 24, 0]


def scores(best, truth=TRUTH):
    return EVALUATOR.scores({"scores": np.eye(4, dtype=np.float32)[best]}, truth)


REFERENCE = scores(FLOAT)
VARIANT = scores([0, 0, 0, *[1] * 26, *[3] * 14, 0, *[2] * 24])  # milk: 1 gained; tea: 4 lost; rice: 1 lost, 1 gained


def blocks_of(others, **more):
    (section,) = EVALUATOR.sections(REFERENCE, others, **more)
    assert section.title == "Classes"
    return section.blocks


def test_the_chosen_variants_classes_worst_first():
    about, table = blocks_of({"int8": VARIANT}, chosen="int8")
    assert isinstance(about, Text)
    assert about.text == (
        "int8: 3 of 3 classes with validation photos are answered differently, 1 classes have none. A class of 20 photos "
        "or more may lose 2, or 3 points where that is more; 2 of these have so many."
    )
    assert isinstance(table, Table)
    assert not table.folded
    assert table.columns == (
        "class", "photos", "float right", "variant right", "lost", "gained", "net loss, points", "class rule",
    )  # fmt: skip
    assert table.rows == (
        ("tea", 40, 30, 26, 4, 0, Rich(10.0, "+10.0"), Rich("loses too much", tone="bad")),
        ("rice", 25, 24, 24, 1, 1, Rich(0.0, "0"), "within"),
        ("milk", 3, 2, 3, 0, 1, Rich(pytest.approx(-100 / 3), "−33.3"), "too few photos"),
    )


@pytest.mark.parametrize(("max_points", "rule"), [(9.9, Rich("loses too much", tone="bad")), (10.0, "within")])
def test_the_rule_is_what_the_user_allows(max_points, rule):
    about, table = blocks_of({"int8": VARIANT}, chosen="int8", max_points=max_points)
    assert table.rows[0][-1] == rule
    assert f"or {max_points:g} points" in about.text


@pytest.mark.parametrize("chosen", ["b", None])
def test_classes_of_other_variants_are_folded_and_come_after(chosen):
    blocks = blocks_of({"a": VARIANT, "b": REFERENCE, "c": VARIANT}, chosen=chosen)
    folded = [block for block in blocks if isinstance(block, Table) and block.folded]
    names = [block.caption.split(":")[0] for block in folded]
    assert names == (["a", "c"] if chosen else ["a", "b", "c"])
    assert isinstance(blocks[0], Text) == (chosen is not None)
    if chosen:
        assert blocks[0].text.startswith("b: 0 of 3 classes")


def test_many_classes_are_folded():
    labels = [Label(i, f"class {i}") for i in range(40)]
    evaluator = ClassifyEvaluator(classify_spec(labels))
    truth = list(range(40))
    same = evaluator.scores({"scores": np.eye(40)}, truth)
    turned = evaluator.scores({"scores": np.eye(40)[[*range(39), 0]]}, truth)  # the last class is lost
    (section,) = evaluator.sections(same, {"int8": turned}, chosen="int8")
    about, few, every = section.blocks
    assert "classes have none" not in about.text
    assert [row[0] for row in few.rows[:2]] == ["class 39", "class 0"]
    assert few.caption == "12 of 40: those that lost most."
    assert (len(few.rows), len(every.rows), every.folded) == (12, 40, True)


def test_names_are_shown_as_text_that_fits():
    labels = [Label(0, "a" * 50), Label(1, "x\ny")]
    evaluator = ClassifyEvaluator(classify_spec(labels))
    one = evaluator.scores({"scores": np.eye(2)}, [0, 1])
    (section,) = evaluator.sections(one, {"int8": one}, chosen="int8")
    assert [row[0].title for row in section.blocks[1].rows] == ["a" * 50, "x\ny"]
    assert len(section.blocks[1].rows[0][0].value) == 36
