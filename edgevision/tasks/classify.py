"""Classify: one row of scores for each picture → its best classes, and whether the model recognises it at all."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError
from edgevision.tasks.postprocess import top_k
from edgevision.tasks.results import Classification, FrameId, Label, Prediction, Timing

OUTPUTS = ("logits", "probabilities")
TOP = 5

_NEGATIVE = -0.01  # what rounding may leave under zero in a probability
_LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)


class ClassifyTask:
    """How a classifier's output tensor becomes results. Immutable, and so shared by threads.

    ``labels``: one for each column, in the columns' order. ``output``: what the columns are, ``logits`` or
    ``probabilities``. ``temperature``: divides the logits (Guo et al. 2017, "On calibration of modern neural networks");
    of probabilities it divides the logarithm. ``threshold``: the best score that still counts as known.

    >>> task = ClassifyTask([Label(7, "apple"), Label(9, "pear")], output="logits", threshold=0.6)
    >>> (result,) = task.decode(np.array([[2.0, 0.0]]), [FrameId()], Timing(0, 0, 0))
    >>> result.best.name, round(result.best.score, 3), result.known
    ('apple', 0.881, True)
    """

    def __init__(
        self,
        labels: Sequence[Label],
        output: str = "logits",
        temperature: float = 1.0,
        threshold: float = 0.0,
        top: int = TOP,
    ) -> None:
        if len(labels) < 2:
            raise InputError(f"a classifier has at least 2 labels, got {len(labels)}")
        if output not in OUTPUTS:
            raise InputError(f"output is one of {list(OUTPUTS)}, got {output!r}")
        if not (math.isfinite(temperature) and temperature > 0):
            raise InputError(f"temperature is a finite number above 0, got {temperature}")
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold is a probability, 0…1, got {threshold}")
        if top < 1:
            raise InputError(f"top is at least 1, got {top}")
        self.labels = tuple(labels)
        self.output = output
        self.temperature = float(temperature)
        self.threshold = float(threshold)
        self.top = min(top, len(self.labels))

    def probabilities(self, raw: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """``raw`` n×k as the engine gave it → probabilities n×k in float64, after the temperature. Rows sum to 1.

        Raises EngineError as ``log_scores`` does.
        """
        scores = self.log_scores(raw) / self.temperature
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def log_scores(self, raw: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """``raw`` n×k as the engine gave it → what the temperature divides: logits, or the logarithm of probabilities.

        A new float64 array. Probabilities are clipped from below at float32's smallest normal number, 2⁻¹²⁶, so that
        0 has a logarithm (-87.3).

        Raises EngineError for another number of columns, and for NaN, infinite or negative "probabilities": an
        answer made of those would look like any other.
        """
        scores = np.array(raw, dtype=np.float64)
        if scores.ndim != 2 or scores.shape[1] != len(self.labels):
            raise EngineError(
                f"the network's output has shape {scores.shape}, expected (n, {len(self.labels)}): one column for "
                "each label"
            )
        if not np.isfinite(scores).all():
            raise EngineError("the network's output holds NaN or infinite values; the graph or its input is broken")
        if self.output == "probabilities":
            if scores.min(initial=0.0) < _NEGATIVE:
                raise EngineError(
                    f"the network's output is declared as probabilities and holds {scores.min():.4g}; if these are "
                    "logits, compile again with --output logits"
                )
            return np.log(np.maximum(scores, _LEAST_PROBABILITY))
        return scores

    def decode(self, raw: npt.ArrayLike, frames: Sequence[FrameId], timing: Timing) -> list[Classification]:
        """One result for each row of ``raw`` n×k, for the ``n`` frames. ``timing.decode_ms`` is filled in here.

        Equal scores keep the labels' order. Raises EngineError as ``probabilities`` does.
        """
        started = time.perf_counter()
        scores = self.probabilities(raw)
        if len(frames) != len(scores):
            raise InputError(f"expected one frame id for each of {len(scores)} rows, got {len(frames)}")
        columns, values = top_k(scores, self.top)
        answers = [
            tuple(Prediction(self.labels[i].id, self.labels[i].name, score) for i, score in zip(*row, strict=True))
            for row in zip(columns.tolist(), values.tolist(), strict=True)
        ]
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [
            Classification(top, top[0].score >= self.threshold, timing, frame)
            for top, frame in zip(answers, frames, strict=True)
        ]
