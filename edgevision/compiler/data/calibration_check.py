"""The calibration check: are these photos fit to calibrate with? Looks at the photos themselves, not at a model.

Every int8 range comes from these photos, and nobody sees them again. So what would spoil the ranges without a word is
looked for here: noise in place of photos, one scene over and over, pictures too dark or blown out to show anything,
classes that never occur, and photos that will validate the result as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from edgevision.compiler.data.photos import MIN_CALIBRATION, CompilePhoto
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.errors import DataError
from edgevision.frames import ImageArray
from edgevision.preprocess import ColorOrder, Filter, Preprocessor, PreprocessSpec
from edgevision.tasks.results import Label

ENOUGH = 100  # photos from which on more change little; NNCF takes 300, Ultralytics warns below 300
NOISE_CORRELATION = 0.35  # of neighbouring pixels: photos have 0.8…1, random numbers 0
FLAT_DEVIATION = 2.0  # grey levels: less is a covered lens
DARK_LUMA, BRIGHT_LUMA = 25.0, 235.0  # mean grey level of a picture
CLIPPED_LEVEL, CLIPPED_SHARE = 250, 0.4  # blown out: as much of the picture as bright as this
SAME_BITS = 3  # of 64, in which two pictures of the same scene differ at most
PATCH_PX = 512  # side of the part of a photo that is looked at in full resolution

_LUMA = PreprocessSpec(8, 9, filter=Filter.TRIANGLE, color=ColorOrder.GRAY, mean=(0.0,), std=(1.0,))


class Severity(Enum):
    """``REFUSE``: nothing good can come of it. ``WARN``: the result may suffer. ``NOTE``: good to know."""

    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True)
class PhotoFinding:
    """Something about the photos: how bad, which rule, and a sentence for the user."""

    severity: Severity
    rule: str
    text: str


@dataclass(frozen=True)
class CalibrationReport:
    """What the check found. ``distinct``: photos that are not near copies of another; ``classes``: how many occur."""

    photos: int
    distinct: int
    classes: int | None
    luma: tuple[float, float, float]  # mean grey level of a photo: 5 % quantile, median, 95 % quantile
    findings: tuple[PhotoFinding, ...]

    def check(self) -> None:
        """Raise DataError for photos that must not calibrate anything."""
        refused = [finding.text for finding in self.findings if finding.severity is Severity.REFUSE]
        if refused:
            raise DataError(f"{'; '.join(refused)}. Give --data photos of what the camera will see")

    def notes(self) -> tuple[str, ...]:
        """What to tell the user, worst first."""
        order = list(Severity)
        return tuple(f.text for f in sorted(self.findings, key=lambda f: order.index(f.severity)))


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """One photo: mean and deviation of its grey levels, correlation of neighbours, share of clipped pixels, hash."""

    luma: float
    deviation: float
    correlation: float
    clipped: float
    bits: npt.NDArray[np.bool_]  # [64]: whether each of 8×8 cells is brighter than its right neighbour


def examine(
    photos: Sequence[CompilePhoto], validation: Sequence[CompilePhoto] = (), labels: Sequence[Label] = (),
    progress: ProgressFn = silent,
) -> CalibrationReport:  # fmt: skip
    """Look at calibration photos, and at the validation photos for copies of them.

    ``labels``: the model's classes, for coverage. Raises ImageError for a photo that cannot be read.
    """
    prepare = Preprocessor(_LUMA)
    statistics = []
    for place, photo in enumerate((*photos, *validation)):
        progress("look at photos", place, len(photos) + len(validation))
        statistics.append(_image_statistics(photo.read(), prepare))
    own, others = statistics[: len(photos)], statistics[len(photos) :]
    distinct = _distinct(own)
    luma = np.quantile([one.luma for one in own], [0.05, 0.5, 0.95]) if own else np.zeros(3)
    known = {index for photo in photos for index in photo.classes}
    findings = [
        *_count_findings(len(photos), distinct),
        *_picture_findings(own),
        *_class_findings(known, labels),
        *_copy_findings(own, others),
    ]
    low, middle, high = (float(value) for value in luma)
    return CalibrationReport(len(photos), distinct, len(known) if known else None, (low, middle, high), tuple(findings))


def _image_statistics(image: ImageArray, prepare: Preprocessor) -> ImageStatistics:
    cells = prepare.run(image)[0].astype(np.float32)  # 8 rows of 9: averages of all that the photo shows
    top, left = (max((side - PATCH_PX) // 2, 0) for side in image.shape[:2])
    patch = image[top : top + PATCH_PX, left : left + PATCH_PX]
    gray = patch.mean(axis=2, dtype=np.float32)
    deviation = float(gray.std())
    return ImageStatistics(
        luma=float(cells.mean()),
        deviation=deviation,
        correlation=_neighbour_correlation(gray) if deviation > 0 else 1.0,
        clipped=float((gray >= CLIPPED_LEVEL).mean()),
        bits=(cells[:, :-1] > cells[:, 1:]).ravel(),
    )


def _neighbour_correlation(gray: npt.NDArray[np.float32]) -> float:
    """Pearson correlation of pixels with the next one in their row; 1 where there is nothing to correlate."""
    left, right = gray[:, :-1].ravel(), gray[:, 1:].ravel()
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return 1.0
    return float(np.corrcoef(left, right)[0, 1])


def _same(a: Sequence[ImageStatistics], b: Sequence[ImageStatistics]) -> npt.NDArray[np.bool_]:
    """[len(a), len(b)]: whether two photos show the same, but for noise and compression.

    By difference hash (N. Krawetz, "Kind of like that", 2013), and by mean grey level, which the hash does not hold.
    """
    if not a or not b:
        return np.zeros((len(a), len(b)), bool)
    bits_a, bits_b = (np.stack([one.bits for one in statistics]).astype(np.float32) for statistics in (a, b))
    differing = bits_a @ (1 - bits_b).T + (1 - bits_a) @ bits_b.T
    luma = np.abs(np.subtract.outer([one.luma for one in a], [one.luma for one in b]))
    return np.asarray((differing <= SAME_BITS) & (luma <= 3.0))


def _distinct(statistics: Sequence[ImageStatistics]) -> int:
    """Photos that are not a near copy of an earlier one."""
    same = np.tril(_same(statistics, statistics), -1)
    return int((~same.any(axis=1)).sum()) if statistics else 0


def _count_findings(count: int, distinct: int) -> list[PhotoFinding]:
    if distinct < MIN_CALIBRATION:
        what = f"{count} calibration photos" if distinct == count else (
            f"{count} calibration photos show only {distinct} different scenes"
        )  # fmt: skip
        return [PhotoFinding(Severity.REFUSE, "too-few", f"{what}; at least {MIN_CALIBRATION} are needed")]
    findings = []
    if distinct < ENOUGH:
        findings.append(
            PhotoFinding(
                Severity.WARN, "few", f"{distinct} different calibration photos are few; {ENOUGH} or more are safer"
            )
        )
    if count - distinct > 0.2 * count:
        findings.append(
            PhotoFinding(
                Severity.WARN,
                "near-copies",
                f"{count - distinct} of {count} calibration photos are near copies of others",
            )
        )
    return findings


def _picture_findings(statistics: Sequence[ImageStatistics]) -> list[PhotoFinding]:
    rules = (
        ("noise", "look like random numbers, not photos", _is_noise, True),
        ("flat", "show nothing (one grey level)", _is_flat, True),
        ("dark", "are very dark", lambda one: one.luma < DARK_LUMA, False),
        ("blown-out", "are blown out", _is_blown_out, False),
    )
    findings = []
    for rule, text, applies, spoils in rules:
        count = sum(applies(one) for one in statistics)
        if count > 0.5 * len(statistics) and spoils:
            severity = Severity.REFUSE
        elif count > 0.1 * len(statistics):
            severity = Severity.WARN
        elif count:
            severity = Severity.NOTE
        else:
            continue
        findings.append(PhotoFinding(severity, rule, f"{count} of {len(statistics)} calibration photos {text}"))
    return findings


def _is_flat(one: ImageStatistics) -> bool:
    return one.deviation < FLAT_DEVIATION


def _is_noise(one: ImageStatistics) -> bool:
    return not _is_flat(one) and one.correlation < NOISE_CORRELATION


def _is_blown_out(one: ImageStatistics) -> bool:
    return one.luma > BRIGHT_LUMA or one.clipped > CLIPPED_SHARE


def _class_findings(known: set[int], labels: Sequence[Label]) -> list[PhotoFinding]:
    absent = [label.name for index, label in enumerate(labels) if index not in known]
    if not known or not absent:
        return []
    severity = Severity.WARN if 2 * len(absent) > len(labels) else Severity.NOTE
    names = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
    return [
        PhotoFinding(severity, "coverage", f"{len(absent)} of {len(labels)} classes have no calibration photo: {names}")
    ]


def _copy_findings(own: Sequence[ImageStatistics], validation: Sequence[ImageStatistics]) -> list[PhotoFinding]:
    copies = int(_same(validation, own).any(axis=1).sum()) if validation else 0
    if not copies:
        return []
    severity = Severity.WARN if copies > 0.05 * len(validation) else Severity.NOTE
    return [
        PhotoFinding(
            severity,
            "overlap",
            f"{copies} of {len(validation)} validation photos are near copies of calibration photos",
        )
    ]
