"""What is said of calibration photos before anything is calibrated on them: by the doctor, and by the network."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.compiler.calibration_doctor import examine
from edgevision.compiler.options import ProgressFn
from edgevision.compiler.photos import CompilePhoto, prepared, spread
from edgevision.compiler.source import SourceModel
from edgevision.compiler.training_ranges import training_shift

JUDGE_COPIES = 1000  # judge photos that are searched for copies of calibration photos
SHIFT_PHOTOS = 32  # that are compared with the training's


def examine_photos(
    model: SourceModel, calibration: Sequence[CompilePhoto], judge: Sequence[CompilePhoto], progress: ProgressFn
) -> tuple[str, ...]:
    """Notes for the report, worst first. Raises DataError for photos that must not calibrate anything."""
    diagnosis = examine(calibration, spread(judge, JUDGE_COPIES), model.labels, progress)
    diagnosis.check()
    notes = list(diagnosis.notes())
    if model.module is not None and model.batch is None:
        shift = training_shift(model.module, prepared(calibration[:SHIFT_PHOTOS], model.spec))
        notes += [shift.note()] if shift is not None and shift.note() else []
    return tuple(notes)
