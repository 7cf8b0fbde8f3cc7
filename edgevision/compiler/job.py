"""What every step of `compile` needs to know of the one that runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler import photos
from edgevision.compiler.measure import REFERENCE
from edgevision.compiler.options import CompileOptions, Objective, ProgressFn
from edgevision.compiler.source import SourceModel
from edgevision.machine import usable_cores

BASE_ENGINE = "onnxruntime"  # what every installation has
THROUGHPUT_BATCH = 8


@dataclass(frozen=True)
class Job:
    """One compile: what is asked for, of which model, with which photos. ``reference``: id of the variant that every
    other is compared with.
    """

    options: CompileOptions
    model: SourceModel
    sets: photos.PhotoSets
    calibration: tuple[photos.CompilePhoto, ...]
    threads: int
    batch: int
    progress: ProgressFn
    reference: str = REFERENCE

    @property
    def settings(self) -> tuple[tuple[int, int], ...]:
        """(threads, batch) to measure at; the first is the one that decides."""
        return tuple(dict.fromkeys([(self.threads, self.batch), (self.threads, 1), (1, 1)]))

    def used(self) -> photos.PhotoSets:
        """The sets with the calibration photos that were really used: at most ``calibration_limit``."""
        return replace(self.sets, calibration=self.calibration)

    def tensors(self) -> list[npt.NDArray[Any]]:
        """The calibration photos, prepared: batches [n, …]."""
        return list(photos.prepared(self.calibration, self.model.spec))

    def item(self) -> npt.NDArray[Any]:
        """One prepared input [1, …] to measure with."""
        spec = self.model.spec
        if self.calibration:
            return next(photos.prepared(self.calibration[:1], spec))
        return np.random.default_rng(self.options.seed).normal(size=(1, *spec.tensor_shape)).astype(spec.dtype.value)


def make_job(options: CompileOptions, model: SourceModel, sets: photos.PhotoSets, progress: ProgressFn) -> Job:
    """The job, with what was left open settled: threads, batch, which photos calibrate."""
    batch = options.batch or (THROUGHPUT_BATCH if options.objective is Objective.THROUGHPUT else 1)
    calibration = photos.spread(sets.calibration, options.calibration_limit)
    return Job(options, model, sets, calibration, options.threads or usable_cores(), batch, progress)
