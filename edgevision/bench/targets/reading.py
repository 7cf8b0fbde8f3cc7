"""Results of our tasks as ``Answer``: classes by their place among the labels, so that targets can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.bench.targets.base import Answer
from edgevision.tasks.detections import Detections
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, Label


def answer_of(result: Any, labels: Sequence[Label]) -> Answer:
    """``labels``: of the model that named the classes; of a cascade, the second's. Raises TypeError for a result of another task."""
    if isinstance(result, Classification):
        places = {label.id: place for place, label in enumerate(labels)}
        return Answer(
            np.array([places[one.id] for one in result.top], np.int64),
            np.array([one.score for one in result.top], np.float64),
        )
    if isinstance(result, Detections):
        return Answer(
            result.classes.astype(np.int64), result.scores.astype(np.float64), result.boxes.astype(np.float64)
        )
    if isinstance(result, Embedding):
        return tensors_answer({"embedding": result.vector})
    if isinstance(result, Products):
        return _answer_of_products(result, labels)
    raise TypeError(
        f"a result of type {type(result).__name__} cannot be compared; expected one that classifies, detects or embeds"
    )


def tensors_answer(outputs: Mapping[str, Any]) -> Answer:
    """Of a graph whose task nobody knows: its outputs, flattened."""
    tensors = {name: np.asarray(array, np.float64).reshape(-1) for name, array in outputs.items()}
    return Answer(np.zeros(0, np.int64), np.zeros(0, np.float64), None, tensors)


def _answer_of_products(products: Products, labels: Sequence[Label]) -> Answer:
    """Where they are and how sure that is, by the first model; what they are, by the second."""
    found = products.detections
    best = [answer_of(result, labels).classes[:1] for result in products.results]
    classes = np.concatenate([np.zeros(0, np.int64), *best])
    return Answer(classes, found.scores.astype(np.float64), found.boxes.astype(np.float64))
