"""The calibration check finds what was put there, and leaves sound photos alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from edgevision.compiler.data.calibration_check import CalibrationReport, Severity, examine
from edgevision.compiler.data.photos import CompilePhoto
from edgevision.decode import encode_png
from edgevision.errors import DataError
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("onnx", "torch")

LABELS = tuple(Label(i, f"product {i}") for i in range(5))


def scene(seed: int) -> np.ndarray:
    """Blurred shapes and texture: neighbouring pixels alike, as in photos."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.uniform(40, 215, (6, 8, 3)), np.ones((20, 20, 1)))
    image += np.kron(rng.normal(0, 12, (60, 80, 3)), np.ones((2, 2, 1)))
    return np.clip(image, 0, 255).astype(np.uint8)


def photo(image: np.ndarray, label: int | None = None) -> CompilePhoto:
    png = encode_png(image)
    classes = () if label is None else (label,)
    return CompilePhoto(png, label, hashlib.sha256(png).hexdigest(), classes=classes)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def photos(make: Callable[[int], np.ndarray], count: int, start: int = 0) -> list[CompilePhoto]:
    return [photo(make(seed), seed % len(LABELS)) for seed in range(start, start + count)]


def rules(diagnosis: CalibrationReport) -> dict[str, Severity]:
    return {finding.rule: finding.severity for finding in diagnosis.findings}


def test_sound_photos_raise_no_finding() -> None:
    diagnosis = examine(photos(scene, 110), photos(scene, 30, start=500), LABELS)
    assert rules(diagnosis) == {}
    assert (diagnosis.photos, diagnosis.distinct, diagnosis.classes) == (110, 110, 5)
    assert 100 < diagnosis.luma[1] < 155
    diagnosis.check()


@pytest.mark.parametrize(
    ("name", "make", "count", "severity"),
    [
        ("noise", noise, 80, Severity.REFUSE),
        ("noise", noise, 30, Severity.WARN),
        ("noise", noise, 2, Severity.NOTE),
        ("flat", lambda s: np.full((120, 160, 3), 90 + s % 60, np.uint8), 70, Severity.REFUSE),
        ("dark", lambda s: scene(s) // 16, 30, Severity.WARN),
        ("blown-out", lambda s: np.clip(scene(s).astype(int) * 3 + 60, 0, 255).astype(np.uint8), 30, Severity.WARN),
    ],
)  # fmt: skip
def test_spoiled_pictures(name: str, make: Callable[[int], np.ndarray], count: int, severity: Severity) -> None:
    diagnosis = examine([*photos(make, count, start=1000), *photos(scene, 120 - count)])
    assert rules(diagnosis)[name] is severity
    text = next(finding.text for finding in diagnosis.findings if finding.rule == name)
    assert text.startswith(f"{count} of 120 calibration photos")
    if severity is Severity.REFUSE:
        with pytest.raises(DataError, match=rf"{count} of 120.*--data"):
            diagnosis.check()
    else:
        diagnosis.check()


def test_one_scene_over_and_over_is_few_photos() -> None:
    rng = np.random.default_rng(0)
    one = scene(1).astype(int)
    frames = [photo(np.clip(one + rng.integers(-3, 4, one.shape), 0, 255).astype(np.uint8)) for _ in range(60)]
    diagnosis = examine([*frames, *photos(scene, 10, start=50)])
    assert diagnosis.distinct == 11
    with pytest.raises(DataError, match="70 calibration photos show only 11 different scenes"):
        diagnosis.check()


@pytest.mark.parametrize(("count", "severity"), [(15, Severity.REFUSE), (16, Severity.WARN), (99, Severity.WARN)])
def test_few_photos(count: int, severity: Severity) -> None:
    assert set(rules(examine(photos(scene, count))).values()) == {severity}


def test_classes_without_a_photo_are_named() -> None:
    few = [photo(scene(seed), seed % 2) for seed in range(110)]
    diagnosis = examine(few, labels=LABELS)
    assert rules(diagnosis) == {"coverage": Severity.WARN}
    assert diagnosis.findings[0].text == "3 of 5 classes have no calibration photo: product 2, product 3, product 4"


def test_validation_photos_that_calibrate_too() -> None:
    calibration = photos(scene, 110)
    brighter = [photo(np.clip(scene(seed).astype(int) + 1, 0, 255).astype(np.uint8)) for seed in range(10)]
    diagnosis = examine(calibration, [*brighter, *photos(scene, 90, start=300)])
    assert rules(diagnosis) == {"overlap": Severity.WARN}
    assert diagnosis.findings[0].text == "10 of 100 validation photos are near copies of calibration photos"


def test_the_worst_is_told_first() -> None:
    diagnosis = examine([*photos(noise, 80, start=1000), *photos(lambda s: scene(s) // 16, 20)])
    assert diagnosis.notes()[0].endswith("look like random numbers, not photos")
