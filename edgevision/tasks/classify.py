"""Classify: one row of scores for each picture → its best classes, and whether the model recognises it at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, View, number
from edgevision.tasks.postprocess import top_k
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import Classification, Label, Prediction, Timing
from edgevision.tensors import Outputs, TensorInfo

LAYOUTS = ("logits", "probabilities")
SCORES = "scores"  # the role of the one output, and its name in digests
TOP = 5

# Of the golden frames: what a probability may differ by from the stored one.
SAME_DEVICE_TOLERANCE = 1e-3  # same variant, same instruction set: only the order of sums may differ
OTHER_DEVICE_TOLERANCE = 0.1
CLEAR_MARGIN = 0.2  # between float's best two probabilities: less than that, another device may well prefer the other

_NEGATIVE = -0.01  # what rounding may leave under zero in a probability
_LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)


class ClassifyTask:
    """How a classifier's output tensor becomes results. Immutable, and so shared by threads.

    ``spec.labels``: one for each column of the output, in the columns' order. Its layout says what the columns are,
    ``logits`` or ``probabilities``. Parameters: ``temperature`` divides the logits (Guo et al. 2017, "On calibration of
    modern neural networks"); of probabilities it divides the logarithm. ``threshold``: the score, 0…1, that the best class
    must reach to count as known. ``top``: how many classes a result names.

    >>> task = ClassifyTask(classify_spec([Label(7, "apple"), Label(9, "pear")], threshold=0.6))
    >>> task.probabilities(np.array([[2.0, 0.0]])).round(3).tolist()
    [[0.881, 0.119]]
    """

    def __init__(self, spec: TaskSpec) -> None:
        if len(spec.labels) < 2:
            raise InputError(f"a classifier has at least 2 labels, got {len(spec.labels)}")
        if len(spec.outputs) != 1:
            raise InputError(f"a classifier has one output, got {len(spec.outputs)}")
        output = spec.output(SCORES)
        if output.layout not in LAYOUTS:
            raise InputError(f"output is one of {list(LAYOUTS)}, got {output.layout!r}")
        if unknown := set(spec.parameters) - {"temperature", "threshold", "top"}:
            raise InputError(f"a classifier has the parameters temperature, threshold and top, got {sorted(unknown)}")
        self.spec = spec
        self.labels = spec.labels
        self.layout = output.layout
        self.temperature = number(spec.parameters, "temperature", 1.0, 1e-6, 1e6)
        self.threshold = number(spec.parameters, "threshold", 0.0, 0.0, 1.0)
        top = number(spec.parameters, "top", TOP, 1, 1e6)
        self.top = min(int(top), len(self.labels))
        self._name = output.name

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``: one output, one column for each label."""
        if len(outputs) != 1:
            raise EngineError(
                f"a classifier's graph has one output, [batch, classes], got {len(outputs)}: "
                f"{', '.join(repr(output.name) for output in outputs) or 'none'}; export only that one"
            )
        (scores,) = outputs
        if scores.name != self._name:
            raise EngineError(
                f"the graph's output is called '{scores.name}', its task spec speaks of '{self._name}'; compile the model again"
            )
        if scores.shape[1:] != (len(self.labels),):
            raise EngineError(
                f"the graph gives items of shape {scores.shape[1:]} and there are {len(self.labels)} labels; give one label "
                "for each output, in the order of the outputs"
            )

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[Any]]:
        """See ``Task``: ``scores`` [n, classes] as the network gave them, which temperature and threshold are fitted to."""
        return {SCORES: outputs[self._name]}

    def probabilities(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """``scores`` [n, classes] of a digest → probabilities [n, classes], after the temperature. Rows sum to 1.

        Raises UnreadableOutputError as ``log_scores`` does.
        """
        values = self.log_scores(scores) / self.temperature
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= values.sum(axis=1, keepdims=True)
        return values

    def log_scores(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """``scores`` [n, classes] → what the temperature divides: logits, or the logarithm of probabilities.

        A new float64 array. Probabilities are clipped from below at float32's smallest normal number, 2⁻¹²⁶, so that
        0 has a logarithm (-87.3).

        Raises UnreadableOutputError for another number of columns, and for NaN, infinite or negative "probabilities": an
        answer made of those would look like any other.
        """
        values = np.array(scores, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise UnreadableOutputError(
                f"the network's output has shape {values.shape}, expected (n, {len(self.labels)}): one column for "
                "each label"
            )
        if not np.isfinite(values).all():
            raise UnreadableOutputError(
                "the network's output holds NaN or infinite values; the graph or its input is broken"
            )
        if self.layout == "probabilities":
            if values.min(initial=0.0) < _NEGATIVE:
                raise UnreadableOutputError(
                    f"the network's output is declared as probabilities and holds {values.min():.4g}; if these are "
                    "logits, compile again with --output logits"
                )
            return np.log(np.maximum(values, _LEAST_PROBABILITY))
        return values

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Classification]:
        """See ``Task``. Equal scores keep the labels' order. Raises UnreadableOutputError as ``log_scores`` does."""
        started = time.perf_counter()
        scores = self.probabilities(self.digest(outputs)[SCORES])
        if len(views) != len(scores):
            raise InputError(f"expected one view for each of {len(scores)} rows, got {len(views)}")
        columns, values = top_k(scores, self.top)
        answers = [
            tuple(Prediction(self.labels[i].id, self.labels[i].name, score) for i, score in zip(*row, strict=True))
            for row in zip(columns.tolist(), values.tolist(), strict=True)
        ]
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [
            Classification(top, top[0].score >= self.threshold, timing, view.frame)
            for top, view in zip(answers, views, strict=True)
        ]

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task``.

        ``same_device``: every probability within 1e-3 of its own. Otherwise: within 0.1 of its own, and the same best
        class as float wherever float's best two are 0.2 or more apart.
        """
        float_, expected, found = (self.probabilities(digest[SCORES]) for digest in (reference, stored, now))
        if not expected.shape == found.shape == float_.shape or not len(found):
            raise InputError(
                f"golden frames: expected three arrays [n, classes] of one shape, got {float_.shape}, {found.shape}, "
                f"{expected.shape}; the graph's outputs and the labels do not belong together"
            )
        difference = np.abs(found - expected)
        worst = float(difference.max())
        tolerance = SAME_DEVICE_TOLERANCE if same_device else OTHER_DEVICE_TOLERANCE
        count = len(found)
        if worst > tolerance:
            frame = int(difference.max(axis=1).argmax())
            place = "where it was compiled" if same_device else "on another engine or device"
            message = (
                f"golden frame {frame + 1} of {count}: a probability differs by {worst:.3g} from the stored one, "
                f"{tolerance:g} is allowed {place}"
            )
            return GoldenResult(False, worst, message)
        clear = margins(float_) >= CLEAR_MARGIN
        turned = np.flatnonzero(clear & (found.argmax(axis=1) != float_.argmax(axis=1)))
        if not same_device and turned.size:
            message = (
                f"golden frame {turned[0] + 1} of {count}: the best class is not float's, though float's best two are "
                f"{CLEAR_MARGIN:g} or more apart"
            )
            return GoldenResult(False, worst, message)
        return GoldenResult(
            True, worst, f"{count} golden frames agree: worst difference {worst:.2g}, allowed {tolerance:g}"
        )


def classify_spec(
    labels: Sequence[Label], layout: str = "logits", name: str = "output", **parameters: float
) -> TaskSpec:
    """The spec of a classifier whose one output is called ``name``.

    >>> classify_spec([Label(7, "apple"), Label(9, "pear")], temperature=1.5).parameters
    {'temperature': 1.5}
    """
    return TaskSpec("classify", tuple(labels), (OutputRole(SCORES, name, layout),), parameters)


def margins(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Best minus second best of each row [n, classes]: [n]; 1 where there is one class only."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    ordered = np.sort(probabilities, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def _resolve(facts: ModelFacts) -> TaskSpec:
    """The spec of a network with these outputs. What a column means cannot be seen: ``facts.layout`` has to say it."""
    if facts.layout not in LAYOUTS:
        raise InputError(f"--output is one of {list(LAYOUTS)}, got {facts.layout!r}")
    return classify_spec(facts.labels, facts.layout, facts.outputs[0].name if len(facts.outputs) == 1 else "output")


TASK = TaskType("classify", ClassifyTask, _resolve, LAYOUTS, layout_required=True)
