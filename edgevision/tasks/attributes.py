"""Attributes: one row of scores for each picture, cut into heads; each head is an attribute with values of its own.

One network, one output [n, columns]: the columns of a head stand side by side. A column's label is ``"colour: red"``, the
head's name and the value's. What holds of a classifier holds of each head, so that a head is read by a ``ClassifyTask``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.attribute_results import Attribute, Attributes
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, View, number
from edgevision.tasks.classify import LAYOUTS, SCORES, ClassifyTask
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import Label, Timing
from edgevision.tensors import Outputs, TensorInfo

KIND = "attributes"
SEPARATOR = ": "  # between a head's name and a value's, in a label


@dataclass(frozen=True, eq=False)
class Head:
    """One attribute. ``task`` reads its scores; its labels are the values, with the ids of the columns' labels.
    ``columns``: where they stand in the output."""

    name: str
    columns: slice
    task: ClassifyTask

    @property
    def values(self) -> tuple[str, ...]:
        """The values' names, in the columns' order."""
        return tuple(label.name for label in self.task.labels)

    def digest(self, digest: Outputs) -> dict[str, npt.NDArray[Any]]:
        """This head's part of a digest of all heads: a digest of ``task``."""
        return {SCORES: digest[SCORES][:, self.columns]}


class AttributesTask:
    """How the output of a network with several heads becomes ``Attributes``. Immutable, and so shared by threads.

    ``spec.labels``: one for each column, ``"colour: red"``; at least two for each head, those of a head side by side. The
    output's layout is ``logits``, or ``probabilities`` where each head's columns sum to 1. Parameters: ``temperatures`` by head
    (1 where it has none), as a classifier's; ``thresholds`` by head: the score, 0…1, that its best value must reach to be known.
    ``threshold``: the same for heads that have none of their own (default 0).

    Raises InputError for a spec that is not so.

    >>> task = AttributesTask(attributes_spec({"colour": ("red", "green"), "ripe": ("no", "yes")}))
    >>> [head.name for head in task.heads], task.heads[1].columns
    (['colour', 'ripe'], slice(2, 4, None))
    """

    def __init__(self, spec: TaskSpec) -> None:
        if len(spec.outputs) != 1:
            raise InputError(f"a model of attributes has one output for all of them, got {len(spec.outputs)}")
        output = spec.output(SCORES)
        if output.layout not in LAYOUTS:
            raise InputError(f"output is one of {list(LAYOUTS)}, got {output.layout!r}")
        if unknown := set(spec.parameters) - {"temperatures", "thresholds", "threshold"}:
            raise InputError(
                f"a model of attributes has the parameters temperatures, thresholds and threshold, got {sorted(unknown)}"
            )
        self.spec = spec
        self.layout = output.layout
        self.heads = _heads(spec)
        self._name = output.name

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``: one output, one column for each label."""
        names = [output.name for output in outputs]
        if names != [self._name]:
            raise EngineError(
                f"a graph of attributes has one output, '{self._name}', with the columns of all heads, got {names}; join the heads "
                "in the network, and compile the model again"
            )
        if outputs[0].shape[1:] != (len(self.spec.labels),):
            raise EngineError(
                f"the graph gives items of shape {outputs[0].shape[1:]} and there are {len(self.spec.labels)} values of "
                "attributes; give one label for each output, 'attribute: value', in the order of the outputs"
            )

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[Any]]:
        """See ``Task``: ``scores`` [n, columns] as the network gave them."""
        scores = outputs[self._name]
        if scores.ndim != 2 or scores.shape[1] != len(self.spec.labels):
            raise UnreadableOutputError(
                f"the network's output has shape {scores.shape}, expected (n, {len(self.spec.labels)}): one column for each value"
            )
        return {SCORES: scores}

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Attributes]:
        """See ``Task``. Of values with equal scores the first is the best."""
        started = time.perf_counter()
        digest = self.digest(outputs)
        if len(views) != len(digest[SCORES]):
            raise InputError(f"expected one view for each of {len(digest[SCORES])} rows, got {len(views)}")
        columns = [_answers(head, digest) for head in self.heads]
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [
            Attributes(tuple(column[place] for column in columns), timing, view.frame)
            for place, view in enumerate(views)
        ]

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task``: every head has to agree as a classifier does. The result is that of the head which agrees least."""
        results = [
            (head.name, head.task.compare(*map(head.digest, (reference, stored, now)), same_device=same_device))
            for head in self.heads
        ]
        name, worst = min(results, key=lambda one: (one[1].passed, -one[1].worst))
        return replace(worst, message=f"{name}: {worst.message}")


def attributes_spec(
    heads: Mapping[str, Sequence[str]], layout: str = "logits", name: str = "output", **parameters: Any
) -> TaskSpec:
    """The spec of a network whose one output is called ``name``. ``heads``: the values of each attribute, in the columns' order.

    >>> [label.name for label in attributes_spec({"colour": ("red", "green")}).labels]
    ['colour: red', 'colour: green']
    """
    names = [f"{head}{SEPARATOR}{value}" for head, values in heads.items() for value in values]
    labels = tuple(Label(place, text) for place, text in enumerate(names))
    return TaskSpec(KIND, labels, (OutputRole(SCORES, name, layout),), parameters)


def heads_of(labels: Sequence[Label]) -> dict[str, tuple[str, ...]]:
    """The values of each attribute that the labels name, in their order.

    Raises InputError for a label that is no ``"attribute: value"``, an attribute whose labels do not stand side by side, or has
    fewer than two of them, or one of them twice.

    >>> heads_of([Label(0, "colour: red"), Label(1, "colour: green")])
    {'colour': ('red', 'green')}
    """
    heads: dict[str, list[str]] = {}
    last = ""
    for label in labels:
        head, separator, value = label.name.partition(SEPARATOR)
        if not head.strip() or not separator or not value.strip():
            raise InputError(f"a label of attributes is 'attribute: value', such as 'colour: red', got {label.name!r}")
        if head in heads and head != last:
            raise InputError(f"the values of an attribute stand side by side; those of {head!r} are in several places")
        if value in heads.setdefault(head, []):
            raise InputError(f"a value stands once in its attribute, got {label.name!r} twice")
        heads[head].append(value)
        last = head
    if not heads:
        raise InputError("a model of attributes has at least 1 attribute, got none")
    if single := [head for head, values in heads.items() if len(values) < 2]:
        raise InputError(f"an attribute has at least 2 values to choose from, {single[0]!r} has one")
    return {head: tuple(values) for head, values in heads.items()}


def _heads(spec: TaskSpec) -> tuple[Head, ...]:
    layout = spec.output(SCORES).layout
    temperatures, thresholds = (_by_head(spec.parameters, name) for name in ("temperatures", "thresholds"))
    common = number(spec.parameters, "threshold", 0.0, 0.0, 1.0)
    found = heads_of(spec.labels)
    for name, given in (("temperatures", temperatures), ("thresholds", thresholds)):
        if unknown := sorted(set(given) - set(found)):
            raise InputError(f"{name} are for the attributes {list(found)}, got one for {unknown[0]!r}")
    heads, start = [], 0
    for name, values in found.items():
        columns = slice(start, start + len(values))
        labels = [Label(label.id, value) for label, value in zip(spec.labels[columns], values, strict=True)]
        own = {} if name not in temperatures else {"temperature": temperatures[name]}
        if name in thresholds or "threshold" in spec.parameters:
            own["threshold"] = thresholds.get(name, common)
        heads.append(
            Head(
                name,
                columns,
                ClassifyTask(
                    TaskSpec("classify", tuple(labels), (OutputRole(SCORES, spec.output(SCORES).name, layout),), own)
                ),
            )
        )
        start = columns.stop
    return tuple(heads)


def _by_head(parameters: Mapping[str, Any], name: str) -> dict[str, float]:
    """A parameter that has a number for some of the heads; None counts as nothing."""
    given = parameters.get(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{name} are an object with a number for each attribute, got {type(given).__name__}")
    return dict(given)


def _answers(head: Head, digest: Outputs) -> list[Attribute]:
    """The best value of each item. Raises UnreadableOutputError for numbers that are no answer."""
    probabilities = head.task.probabilities(head.digest(digest)[SCORES])
    best = probabilities.argmax(axis=1)
    scores = probabilities[np.arange(len(best)), best]
    return [
        Attribute(head.name, head.values[place], score, score >= head.task.threshold)
        for place, score in zip(best.tolist(), scores.tolist(), strict=True)
    ]


def _resolve(facts: ModelFacts) -> TaskSpec:
    """The spec of a network with this output. What a column means cannot be seen: labels and ``facts.layout`` have to say it."""
    if facts.layout not in LAYOUTS:
        raise InputError(f"--output is one of {list(LAYOUTS)}, got {facts.layout!r}")
    if len(facts.outputs) != 1:
        names = [output.name for output in facts.outputs]
        raise InputError(
            f"a model of attributes has one output with the columns of all attributes, got {names}; join them in the network"
        )
    heads_of(facts.labels)
    return TaskSpec(KIND, facts.labels, (OutputRole(SCORES, facts.outputs[0].name, facts.layout),))


TASK = TaskType(KIND, AttributesTask, _resolve, LAYOUTS, layout_required=True)
