"""The evaluators by the kind of their task; one of your own is registered as your task is (``tasks.registry``).

The group of entry points is ``edgevision.evaluators``; an entry point gives a
function: task spec, preprocess spec → ``TaskEvaluator``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata

from edgevision.errors import InputError
from edgevision.evaluate.base import TaskEvaluator
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.registry import load_entry_point

ENTRY_POINTS = "edgevision.evaluators"

MakeEvaluator = Callable[[TaskSpec, PreprocessSpec | None], TaskEvaluator]
# Evaluators of ours, imported when first asked for: kind → module that has a make_evaluator.
_OWN = {
    "classify": "edgevision.evaluate.tasks.classify",
    "detect": "edgevision.evaluate.tasks.detect",
    "embed": "edgevision.evaluate.tasks.embed",
}
_registered: dict[str, MakeEvaluator] = {}


def register_evaluator(kind: str, make: MakeEvaluator) -> None:
    """Make the evaluator of a task known. The same kind again replaces it; ours cannot be replaced (InputError)."""
    if kind in _OWN:
        raise InputError(f"the evaluator of '{kind}' is edgevision's own; give your task another kind")
    _registered[kind] = make


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> TaskEvaluator:
    """The evaluator for models with this spec. ``preprocess``: how photos become their tensors; None where no photos are
    behind the digests. Raises InputError for a kind that nobody brings an evaluator for, or whose package is broken."""
    make = _registered.get(spec.kind)
    if make is None:
        if spec.kind in _OWN:
            make = importlib.import_module(_OWN[spec.kind]).make_evaluator
        else:
            point = next(iter(metadata.entry_points(group=ENTRY_POINTS, name=spec.kind)), None)
            if point is None:
                known = ", ".join((*_OWN, *_registered))
                raise InputError(
                    f"nothing here knows how to compare models that {spec.kind}; known are {known}. Install the package "
                    "that brings the task, or call edgevision.evaluate.registry.register_evaluator before"
                )
            make = load_entry_point(point, ENTRY_POINTS)
            if not callable(make):
                raise InputError(f"the entry point '{spec.kind}' of {ENTRY_POINTS} is to give a function, got {make!r}")
        _registered[spec.kind] = make
    return make(spec, preprocess)
