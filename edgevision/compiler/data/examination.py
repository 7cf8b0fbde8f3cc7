"""What is said of calibration photos before anything is calibrated on them: by looking at them, and by the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.compiler.data.calibration_check import examine
from edgevision.compiler.data.photos import CompilePhoto, prepared, stratified_sample
from edgevision.compiler.data.training_shift import training_shift
from edgevision.compiler.progress import ProgressFn
from edgevision.compiler.sources.source import SourceModel

VALIDATION_COPIES = 1000  # validation photos that are searched for copies of calibration photos
SHIFT_PHOTOS = 32  # that are compared with the training's


@dataclass(frozen=True)
class Examined:
    """``notes`` for the report, worst first; ``shifted``: whether photos do not look to the network as its training's did."""

    notes: tuple[str, ...] = ()
    shifted: bool = False


def examine_photos(
    model: SourceModel, calibration: Sequence[CompilePhoto], validation: Sequence[CompilePhoto], progress: ProgressFn
) -> Examined:
    """What there is to say of the photos. Raises DataError for photos that must not calibrate anything."""
    report = examine(calibration, stratified_sample(validation, VALIDATION_COPIES), model.labels, progress)
    report.check()
    notes = list(report.notes())
    if model.module is None or model.batch is not None:
        return Examined(tuple(notes))
    shift = training_shift(model.module, prepared(calibration[:SHIFT_PHOTOS], model.spec))
    if shift is None or not shift.is_odd:
        return Examined(tuple(notes))
    return Examined((*notes, shift.note()), shifted=True)
