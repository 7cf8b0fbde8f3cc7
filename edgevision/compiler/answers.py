"""The task's measure, applied to what graphs give: everything in a compile that steers by answers asks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.engines.importing import import_onnxruntime
from edgevision.engines.onnxruntime import ask_for_exact_sums
from edgevision.errors import EngineError, InputError
from edgevision.evaluate.base import NodeInfo, TaskEvaluator, Truths
from edgevision.evaluate.registry import make_evaluator
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tensors import Outputs, joined


@dataclass(frozen=True, eq=False)
class AnswerMeasure:
    """How answers of one task are compared. Answers are digests: of one graph, for all photos."""

    evaluator: TaskEvaluator

    @classmethod
    def of(cls, spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> AnswerMeasure:
        """The measure for models with this spec, whose photos are prepared so. Raises InputError for a task that nobody can evaluate."""
        return cls(make_evaluator(spec, preprocess))

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[Any]]:
        """What is kept of a graph's outputs."""
        return dict(self.evaluator.task.digest(outputs))

    def digest_of_array(self, array: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The same for a network with one output, [n, …]. Raises InputError for a task with several."""
        outputs = self.evaluator.task.spec.outputs
        if len(outputs) != 1:
            raise InputError(f"expected a network with one output, its task has {len(outputs)}")
        return self.digest({outputs[0].name: array})

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """How far ``other`` is from ``reference``, 0 = equal."""
        return self.evaluator.divergence(reference, other)

    def agreement(self, reference: Outputs, other: Outputs) -> float:
        """The metric with the reference's answers as the truth, in points."""
        return self.accuracy(other, self.evaluator.pseudo_truth(reference))

    def accuracy(self, digest: Outputs, truth: Truths) -> float:
        """The metric in points."""
        return self.evaluator.value(self.evaluator.scores(digest, truth))

    def run(self, graph: bytes, batches: Iterable[npt.NDArray[Any]], *, threads: int = 1) -> Outputs:
        """The answers of an ONNX graph over all batches [n, c, h, w], in ONNX Runtime.

        Raises EngineError where ONNX Runtime cannot load or run the graph, InputError without a batch.
        """
        found = [self.digest(outputs) for outputs in run_graph(graph, batches, threads=threads)]
        if not found:
            raise InputError("no photos to run the graph on")
        return joined(found)

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """Names of nodes that the task wants in float."""
        return self.evaluator.float_nodes(nodes)


def run_graph(
    graph: bytes, batches: Iterable[npt.NDArray[Any]], *, threads: int = 1
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """The outputs by name of an ONNX graph for each batch, in ONNX Runtime; of int8 graphs for other devices too, with
    exact sums. One batch at a time: dense outputs of many photos are more than memory holds. Raises EngineError as
    ``AnswerMeasure.run`` does.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    ask_for_exact_sums(options)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        outputs = [output.name for output in session.get_outputs()]
    except Exception as error:  # onnxruntime has no common base class for its errors
        raise EngineError(f"ONNX Runtime cannot run the graph: {error}") from error
    for batch in batches:
        try:
            found = session.run(outputs, {name: batch})
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot run the graph: {error}") from error
        yield dict(zip(outputs, found, strict=True))
