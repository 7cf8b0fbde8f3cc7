"""What is said of calibration photos before anything is calibrated on them: by looking at them, and by the network."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.compiler.data.calibration_check import examine
from edgevision.compiler.data.photos import CompilePhoto, prepared, stratified_sample
from edgevision.compiler.data.training_shift import training_shift
from edgevision.compiler.progress import ProgressFn
from edgevision.compiler.sources.source import SourceModel

VALIDATION_COPIES = 1000  # validation photos that are searched for copies of calibration photos
SHIFT_PHOTOS = 32  # that are compared with the training's


def examine_photos(
    model: SourceModel, calibration: Sequence[CompilePhoto], validation: Sequence[CompilePhoto], progress: ProgressFn
) -> tuple[str, ...]:
    """Notes for the report, worst first. Raises DataError for photos that must not calibrate anything."""
    report = examine(calibration, stratified_sample(validation, VALIDATION_COPIES), model.labels, progress)
    report.check()
    notes = list(report.notes())
    if model.module is not None and model.batch is None:
        shift = training_shift(model.module, prepared(calibration[:SHIFT_PHOTOS], model.spec))
        notes += [shift.note()] if shift is not None and shift.note() else []
    return tuple(notes)
