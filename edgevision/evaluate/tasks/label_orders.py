"""Other orders of a model's labels: those that people take by mistake, and the one that its answers suggest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.tasks.results import Label

NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class LabelOrder:
    """``name``: in words, behind "with the labels". ``label_of`` int64 [classes]: for each output the place of its label,
    ``NO_LABEL`` where it has none."""

    name: str
    label_of: npt.NDArray[np.int64]

    def answers(self, answers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The best outputs [n] → the labels that they mean in this order."""
        return np.asarray(self.label_of[answers])


def usual_orders(labels: Sequence[Label]) -> tuple[LabelOrder, ...]:
    """The orders that labels files are usually in, other than the given one, each once.

    >>> [order.name for order in usual_orders([Label(1, "b"), Label(2, "a"), Label(10, "c")])][:2]
    ['sorted by name', 'sorted by id as text (1, 10, 2)']
    """
    count = len(labels)
    keys: dict[str, Callable[[int], Any]] = {
        "sorted by name": lambda i: labels[i].name,
        "sorted by name without regard to case": lambda i: labels[i].name.casefold(),
        "sorted by the numbers in their names": lambda i: _natural(labels[i].name),
        "sorted by id": lambda i: labels[i].id,
        "sorted by id as text (1, 10, 2)": lambda i: str(labels[i].id),
    }
    found = [(name, sorted(range(count), key=key)) for name, key in keys.items()]
    found += [
        ("backwards", list(range(count))[::-1]),
        ("one place later (output 0 is none of them, such as a background)", [NO_LABEL, *range(count - 1)]),
        ("one place earlier (the first is of no output, such as a background)", [*range(1, count), NO_LABEL]),
    ]
    orders: dict[tuple[int, ...], str] = {}
    for name, order in found:
        if order != list(range(count)):
            orders.setdefault(tuple(order), name)
    return tuple(LabelOrder(name, np.array(order, np.int64)) for order, name in orders.items())


def learnt_order(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The labels one-to-one to the outputs, so that the most frequent pairs of best output and true label come first: int64
    [classes], as ``LabelOrder.label_of``. Where nothing speaks for another label, an output keeps its own.

    Greedy: where most photos of a class have one answer, that is the best assignment as well.

    >>> learnt_order(np.array([1, 1, 0, 2]), np.array([0, 0, 1, 2]), 3).tolist()
    [1, 0, 2]
    """
    label_of = np.full(classes, NO_LABEL, np.int64)
    taken: set[int] = set()
    pairs = Counter(zip(answers.tolist(), truth.tolist(), strict=True))
    for (output, label), _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0][0] != item[0][1], item[0])):
        if label_of[output] == NO_LABEL and label not in taken:
            label_of[output] = label
            taken.add(label)
    for output in np.flatnonzero(label_of == NO_LABEL):
        if int(output) not in taken:
            label_of[output] = output
            taken.add(int(output))
    return label_of


def exchanged(label_of: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The part of an order that only exchanges labels among outputs: every other output keeps its own label.

    >>> exchanged(np.array([1, 0, 3, -1])).tolist()
    [1, 0, 2, 3]
    """
    kept = np.arange(len(label_of))
    seen = np.zeros(len(label_of), bool)
    for start in range(len(label_of)):
        if seen[start]:
            continue
        chain = [start]
        seen[start] = True
        following = int(label_of[start])
        while following != NO_LABEL and not seen[following]:
            chain.append(following)
            seen[following] = True
            following = int(label_of[following])
        if following == start:
            kept[chain] = label_of[chain]
    return kept


def _natural(name: str) -> list[tuple[int, str]]:
    """For sorting: digits as the number that they are."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
