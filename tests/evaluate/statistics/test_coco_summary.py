from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from scenes import scene

from edgevision.errors import MissingExtraError
from edgevision.evaluate.statistics.average_precision import (
    AREAS,
    Found,
    Marked,
    average_precision,
    match,
    mean_average_precision,
)
from edgevision.evaluate.statistics.coco_summary import CocoSummary, coco_summary

NOTHING = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
NO_TRUTH = Marked(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0))


def percent(found: list[Found], marked: list[Marked], classes: int, **options: Any) -> float:
    return 100 * float(mean_average_precision(average_precision(match(found, marked, classes, **options)))[0])


@pytest.mark.requires("hotcoco")
@pytest.mark.parametrize("options", [{}, {"crowds": 0.5}, {"levels": 1}, {"pictures": 4, "classes": 9, "unseen": 5}])
def test_what_is_shown_is_what_models_are_compared_by(options):
    for seed in range(3):
        found, marked = scene(seed, **options)
        classes = options.get("classes", 5)
        summary = coco_summary(found, marked, classes)
        assert summary.map == pytest.approx(percent(found, marked, classes), abs=1e-9)
        precisions = average_precision(match(found, marked, classes))
        for value, place in ((summary.map50, 0), (summary.map75, 5)):
            alone = mean_average_precision(precisions[:, place : place + 1])[0]
            assert value == pytest.approx(100 * float(alone), abs=1e-9)
        for name, area in AREAS.items():
            own = percent(found, marked, classes, area=area)
            assert getattr(summary, name) == (None if np.isnan(own) else pytest.approx(own, abs=1e-9))


@pytest.mark.requires("hotcoco")
def test_nothing_found_is_zero_and_nothing_marked_is_unknown():
    found, marked = scene(0)
    summary = coco_summary([NOTHING] * len(marked), marked, 5)
    assert (summary.map, summary.small, summary.recall) == (0.0, 0.0, 0.0)
    assert coco_summary(found, [NO_TRUTH] * len(found), 5) == CocoSummary(*[None] * 7)


def test_without_hotcoco_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def fails(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "hotcoco":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(MissingExtraError, match=r"edgevision\[detect\]"):
        coco_summary([NOTHING], [NO_TRUTH], 1)
