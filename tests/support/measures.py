"""Measures of answers: of classifiers, and of a task that reads any outputs, several too, as they are."""

from __future__ import annotations

import numpy as np
import onnx

from edgevision.compiler.answers import AnswerMeasure
from edgevision.errors import EngineError, InputError
from edgevision.evaluate import registry as evaluators
from edgevision.tasks import registry as tasks
from edgevision.tasks.base import OutputRole, TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.registry import TaskType
from edgevision.tasks.results import Label


def classify_measure(classes: int, name: str = "output", layout: str = "logits") -> AnswerMeasure:
    """Of a classifier with that many classes, whose one output is called ``name``."""
    return AnswerMeasure.of(classify_spec([Label(i, str(i)) for i in range(classes)], layout, name))


def measure_of(graph: bytes) -> AnswerMeasure:
    """Of an ONNX graph whose first output [batch, classes] is a classifier's logits, under the name that it has there."""
    output = onnx.load_model_from_string(graph).graph.output[0]
    return classify_measure(output.type.tensor_type.shape.dim[1].dim_value, output.name)


class RawTask:
    """Every output is a result. In digests they are called by their roles."""

    def __init__(self, spec: TaskSpec) -> None:
        if not spec.outputs:
            raise InputError("a raw task has outputs")
        self.spec = spec

    def check(self, outputs) -> None:
        expected, got = [output.name for output in self.spec.outputs], [output.name for output in outputs]
        if got != expected:
            raise EngineError(f"expected the outputs {expected}, got {got}")

    def digest(self, outputs):
        return {output.role: outputs[output.name] for output in self.spec.outputs}


class RawEvaluator:
    """Compares numbers. Divergence is the noise's share of the power, summed over the outputs; an answer is the sign of
    each photo's first number of each output."""

    def __init__(self, spec: TaskSpec, preprocess: object = None) -> None:
        self.task = RawTask(spec)

    def divergence(self, reference, other) -> float:
        return sum(float(np.sum((other[k] - v) ** 2.0) / np.sum(v**2.0)) for k, v in reference.items())

    def pseudo_truth(self, digest):
        return [
            tuple(signs) for signs in zip(*((v.reshape(len(v), -1)[:, 0] > 0) for v in digest.values()), strict=True)
        ]

    def scores(self, digest, truth):
        return [own == true for own, true in zip(self.pseudo_truth(digest), truth, strict=True)]

    def value(self, scores) -> float:
        return 100.0 * sum(scores) / len(scores)

    def float_nodes(self, nodes):
        return frozenset()


def raw_spec(*names: str) -> TaskSpec:
    """Outputs of these names, whose roles are the names in upper case."""
    return TaskSpec("raw", (Label(0, "thing"),), tuple(OutputRole(name.upper(), name, "plain") for name in names))


def register_raw(monkeypatch) -> None:
    """Make the task 'raw' known, for as long as ``monkeypatch`` lasts."""
    resolve = lambda facts: raw_spec(*(output.name for output in facts.outputs))  # noqa: E731
    known = {**tasks._registered, "raw": TaskType("raw", RawTask, resolve, ("plain",))}
    monkeypatch.setattr(tasks, "_registered", known)
    monkeypatch.setattr(evaluators, "_registered", {**evaluators._registered, "raw": RawEvaluator})
