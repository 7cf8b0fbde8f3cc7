"""What every step of `compile` needs to know of the one that runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, DataSplits, prepared, stratified_sample
from edgevision.compiler.effort import Counts
from edgevision.compiler.options import CompileOptions, Objective
from edgevision.compiler.progress import ProgressFn
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.recipes import TRIAL_PHOTOS
from edgevision.compiler.sources.source import SourceModel
from edgevision.compiler.variants import REFERENCE
from edgevision.evaluate.base import Fit, TaskEvaluator
from edgevision.evaluate.registry import make_evaluator
from edgevision.machine import usable_cores

THROUGHPUT_BATCH = 8


@dataclass(frozen=True)
class Job:
    """One compile: what is asked for, of which model, with which photos. ``measure``: how answers of its task are compared.
    ``counts``: what the steps get of photos and rounds. ``reference``: id of the variant that every other is compared with.
    ``dialects``: of the int8 graphs to make for this machine; none where int8 is not tried.
    """

    options: CompileOptions
    model: SourceModel
    measure: AnswerMeasure
    splits: DataSplits
    calibration: tuple[CompilePhoto, ...]
    threads: int
    batch: int
    progress: ProgressFn
    counts: Counts
    reference: str = REFERENCE
    dialects: tuple[Dialect, ...] = ()

    def evaluator_of(self, fit: Fit) -> TaskEvaluator:
        """The task's evaluator with the parameters that were fitted for a variant."""
        return make_evaluator(self.model.task.with_parameters(fit.parameters), self.model.spec)

    @property
    def settings(self) -> tuple[tuple[int, int], ...]:
        """(threads, batch) to measure at; the first is the one that decides."""
        return tuple(dict.fromkeys([(self.threads, self.batch), (self.threads, 1), (1, 1)]))

    def used(self) -> DataSplits:
        """The splits with the calibration photos that were really used: at most ``calibration_limit``."""
        return replace(self.splits, calibration=self.calibration)

    def tensors(self) -> list[npt.NDArray[Any]]:
        """The calibration photos, prepared: batches [n, …]."""
        return list(prepared(self.calibration, self.model.spec))

    def item(self) -> npt.NDArray[Any]:
        """One prepared input [1, …] to measure with."""
        spec = self.model.spec
        if self.calibration:
            return next(prepared(self.calibration[:1], spec))
        return np.random.default_rng(self.options.seed).normal(size=(1, *spec.tensor_shape)).astype(spec.dtype.value)


def make_job(
    options: CompileOptions, model: SourceModel, measure: AnswerMeasure, splits: DataSplits, progress: ProgressFn
) -> Job:
    """The job, with what was left open settled: threads, batch, which photos calibrate."""
    batch = options.batch or (THROUGHPUT_BATCH if options.objective is Objective.THROUGHPUT else 1)
    calibration = stratified_sample(splits.calibration, options.calibration_limit)
    counts = Counts(
        len(calibration), TRIAL_PHOTOS, options.rounds, math.inf, 0.0
    )  # until what the network costs is known
    threads = options.threads or usable_cores()
    return Job(options, model, measure, splits, calibration, threads, batch, progress, counts)
