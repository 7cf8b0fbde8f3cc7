"""Which photos calibrate and which validate; the two never mix."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.options import CompileOptions, Precision
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.decode import encode_png, read_image
from edgevision.errors import DataError
from edgevision.evaluate.base import TaskEvaluator, Truth, check_truth
from edgevision.evaluate.data.boxed_sources import named_parts
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.data.photo_check import Checked, read_checked
from edgevision.evaluate.data.splits import split_by_content
from edgevision.frames import ImageArray
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.train.checkpoint import PackedPhoto, PhotoPack

MIN_CALIBRATION = 16
RANDOM_PICTURES = 64


@dataclass(frozen=True)
class CompilePhoto:
    """A photo to read when it is needed. ``truth``: what is known of it, as the task's evaluator has it, or None. ``classes``:
    those that it shows, as places in the model's labels.

    ``sha256``: of the file that it is, or was before it was packed. ``in_training_set``: whether the model was trained on it,
    None = not known.
    """

    source: Path | bytes
    truth: Truth | None
    sha256: str
    in_training_set: bool | None = None
    classes: tuple[int, ...] = ()

    def read(self) -> ImageArray:
        """Decode to H×W×3 uint8 BGR. Raises ImageError."""
        return read_image(self.source)


@dataclass(frozen=True)
class DataSplits:
    """Calibration and validation photos, each content once in all. ``origin`` says in words where they come from.

    ``bad_photos``: how many were left out because they cannot be read.
    """

    calibration: tuple[CompilePhoto, ...]
    validation: tuple[CompilePhoto, ...]
    origin: str
    notes: tuple[str, ...] = ()
    bad_photos: int = 0

    def describe(self) -> dict[str, Any]:
        """For the manifest: counts and hashes."""
        return {
            "origin": self.origin,
            "calibration": _describe(self.calibration),
            "validation": _describe(self.validation),
            "bad_photos": self.bad_photos,
        }


def gather(
    options: CompileOptions, evaluator: TaskEvaluator, pack: PhotoPack | None,
    trained_on: frozenset[str] | None = None, progress: ProgressFn = silent,
) -> DataSplits:  # fmt: skip
    """Choose the photos as ``CompileOptions`` says. Every photo given is read once: ``BadPhotosError`` names all bad ones.

    ``trained_on``: the first hexadecimal digits (all alike many) of the SHA-256 of every photo that the model was
    trained on; None = not known. Raises DataError when there are too few photos, when labels do not match, or, without
    ``skip_validation``, when there is nothing to validate with.
    """
    given = _given(options, evaluator, pack, progress)
    notes = list(given.notes)
    calibration = _each_once(_marked(given.calibration, trained_on), "calibration", notes)
    validation = _each_once(_marked(given.validation, trained_on), "validation", notes)
    validation = _apart(validation, calibration, notes)
    origin = [given.origin] if given.origin else []
    if not calibration and not validation and options.skip_validation and options.precision is Precision.INT8:
        calibration = random_pictures(RANDOM_PICTURES)
        origin.append("random pictures")
        notes.append("no photos were given: int8 ranges come from random pictures, and accuracy may suffer much")
    nothing = options.skip_validation and not calibration and options.precision is Precision.AUTO
    if nothing:
        notes.append("no photos were given: int8 was not tried, for it cannot be calibrated")
    if len(calibration) < MIN_CALIBRATION and options.precision is not Precision.FLOAT and not nothing:
        raise DataError(
            f"calibration needs at least {MIN_CALIBRATION} photos, got {len(calibration)}. Give --data FOLDER_OR_LIST "
            "with photos of what the camera will see"
        )
    if not validation and not options.skip_validation:
        raise DataError(
            "there are no photos to validate the result with. Give --val FOLDER_OR_LIST (labelled photos), or "
            "--skip-validation to write a bundle that says it was not proven"
        )
    known = truths_of(validation)
    if known is not None:
        check_truth(evaluator, known, "the validation photos")
    return DataSplits(calibration, validation, "; ".join(origin) or "none", tuple(notes), given.bad_photos)


def _given(
    options: CompileOptions, evaluator: TaskEvaluator, pack: PhotoPack | None, progress: ProgressFn
) -> DataSplits:
    """The photos that options and checkpoint name, as they are."""
    calibration: tuple[CompilePhoto, ...] = ()
    validation: tuple[CompilePhoto, ...] = ()
    origin: list[str] = []
    read: list[Checked] = []
    if options.data is not None:
        parts = named_parts(options.data)
        part = "train" if "train" in parts else None
        read.append(_checked(options.data, options, progress, part))
        data = read[-1].dataset
        if options.val is None and not options.skip_validation and {"train", "val"} <= set(parts):
            read.append(_checked(options.data, options, progress, "val"))
            validation = _photos(read[-1].dataset, evaluator)
            origin.append(f"{options.data}: its train part calibrates, its val part validates")
        elif options.val is None and not options.skip_validation:
            data, rest = split_by_content(data, 0.5)
            validation = _photos(rest, evaluator)
            origin.append(f"{options.data}: half calibrates, half validates")
        else:
            origin.append(f"{options.data} calibrates")
        calibration = _photos(data, evaluator)
    elif pack is not None:
        calibration, validation = unpack(pack.calibration, evaluator), unpack(pack.validation, evaluator)
        origin.append("photos that the checkpoint carries")
    if options.val is not None:
        read.append(_checked(options.val, options, progress))
        validation = _photos(read[-1].dataset, evaluator)
        origin.append(f"{options.val} validates")
    notes = dict.fromkeys(note for one in read for note in one.notes)
    return DataSplits(calibration, validation, "; ".join(origin), tuple(notes), sum(len(one.bad) for one in read))


def _checked(source: Path, options: CompileOptions, progress: ProgressFn, part: str | None = None) -> Checked:
    step = partial(progress, "check photos")
    return read_checked(source, options.labels, options.on_bad_photo, step, part=part)


def _apart(
    validation: Sequence[CompilePhoto], calibration: Sequence[CompilePhoto], notes: list[str]
) -> tuple[CompilePhoto, ...]:
    """The validation photos that do not calibrate. Adds to ``notes`` what was left out, and what was trained on."""
    calibrated = {photo.sha256 for photo in calibration}
    kept = tuple(photo for photo in validation if photo.sha256 not in calibrated)
    if len(kept) < len(validation):
        notes.append(
            f"{len(validation) - len(kept)} validation photos are calibration photos too and were left out of validation"
        )
    if trained := sum(photo.in_training_set is True for photo in kept):
        share = "the" if trained == len(kept) else f"{trained} of {len(kept)}"
        notes.append(f"{share} validation photos were trained on: the verdict says little about new photos; give --val")
    return kept


def prepared(photos: Sequence[CompilePhoto], spec: PreprocessSpec, batch: int = 8) -> Iterator[npt.NDArray[Any]]:
    """The photos as input tensors, ``batch`` at a time: [n, *spec.tensor_shape] of the spec's dtype."""
    preprocessor = Preprocessor(spec)
    for start in range(0, len(photos), batch):
        yield preprocessor.batch([photo.read() for photo in photos[start : start + batch]])


def truths_of(photos: Sequence[CompilePhoto]) -> tuple[Truth, ...] | None:
    """What is known of each photo, or None when of any nothing is."""
    known = tuple(photo.truth for photo in photos if photo.truth is not None)
    return known if photos and len(known) == len(photos) else None


def stratified_sample(photos: Sequence[CompilePhoto], limit: int) -> tuple[CompilePhoto, ...]:
    """At most ``limit`` photos, the same share of every class, chosen by content hash; photos that
    show several classes count for the first of them."""
    return tuple(photos) if len(photos) <= limit else in_turns(photos)[:limit]


def in_turns(photos: Sequence[CompilePhoto]) -> tuple[CompilePhoto, ...]:
    """All of them, one of each class at a time, by content hash: the first of them, however many, are of all classes alike."""
    by_class: dict[int, list[CompilePhoto]] = {}
    for photo in sorted(photos, key=lambda p: p.sha256):
        by_class.setdefault(min(photo.classes, default=-1), []).append(photo)
    turns = [(place, index, photo) for index, group in by_class.items() for place, photo in enumerate(group)]
    turns.sort(key=lambda turn: (turn[0], turn[1]))
    return tuple(photo for _, _, photo in turns)


def random_pictures(count: int, side_px: int = 256) -> tuple[CompilePhoto, ...]:
    """Coloured noise in several sizes of grain, dark to light, flat to stark: all a range can be made of without photos.

    The same each time. Grains of 1/2…1/64 of the side, the coarse ones strongest, as in photos.
    """
    rng = np.random.default_rng(0)
    pictures = []
    for place in range(count):
        layers = np.zeros((side_px, side_px, 3))
        for grains in (2, 4, 8, 16, 32, 64):
            noise = rng.normal(size=(grains, grains, 3)) / np.sqrt(grains)
            layers += np.kron(noise, np.ones((side_px // grains, side_px // grains, 1)))
        contrast, level = rng.uniform(10, 90), 255 * (place + 0.5) / count
        png = encode_png(np.clip(level + contrast * layers, 0, 255).astype(np.uint8))
        pictures.append(CompilePhoto(png, None, hashlib.sha256(png).hexdigest(), False))
    return tuple(pictures)


def _photos(dataset: Dataset, evaluator: TaskEvaluator) -> tuple[CompilePhoto, ...]:
    truths = evaluator.truth(dataset)
    return tuple(
        CompilePhoto(photo.path, truth, sha256, None, _classes(truth, evaluator))
        for photo, truth, sha256 in zip(dataset.photos, truths, dataset.content_hashes, strict=True)
    )


def unpack(photos: Sequence[PackedPhoto], evaluator: TaskEvaluator) -> tuple[CompilePhoto, ...]:
    """The photos that a checkpoint carries."""
    return tuple(
        CompilePhoto(
            p.data, p.truth, p.source_sha256 or hashlib.sha256(p.data).hexdigest(), p.in_training_set,
            _classes(p.truth, evaluator),
        )
        for p in photos
    )  # fmt: skip


def _classes(truth: Truth | None, evaluator: TaskEvaluator) -> tuple[int, ...]:
    return () if truth is None else tuple(evaluator.classes(truth))


def _marked(photos: Sequence[CompilePhoto], trained_on: frozenset[str] | None) -> tuple[CompilePhoto, ...]:
    """The photos with ``in_training_set`` where it can be told; what a packed photo says of itself stays."""
    if trained_on is None:
        return tuple(photos)
    digits = {len(prefix) for prefix in trained_on}
    return tuple(
        photo
        if photo.in_training_set
        else replace(photo, in_training_set=any(photo.sha256[:n] in trained_on for n in digits))
        for photo in photos
    )


def _each_once(photos: Sequence[CompilePhoto], what: str, notes: list[str]) -> tuple[CompilePhoto, ...]:
    """One photo for each content; none where the same content has several labels. Adds to ``notes`` what was left out."""
    same: dict[str, list[CompilePhoto]] = {}
    for photo in photos:
        same.setdefault(photo.sha256, []).append(photo)
    clear = [group for group in same.values() if len({photo.truth for photo in group}) == 1]
    copies = sum(len(group) - 1 for group in clear)
    if copies:
        notes.append(f"{copies} {what} photos are copies of others and were left out")
    if contradicting := len(photos) - copies - len(clear):
        notes.append(f"{contradicting} {what} photos were left out: they are the same photo under several labels")
    return tuple(max(group, key=lambda photo: photo.in_training_set is True) for group in clear)


def _describe(photos: Sequence[CompilePhoto]) -> dict[str, Any]:
    # As Dataset.digest does, so that the digests of the same photos are the same.
    together = hashlib.sha256("\n".join(sorted(photo.sha256 for photo in photos)).encode()).hexdigest()
    return {
        "count": len(photos),
        "sha256": together,
        "labelled": sum(photo.truth is not None for photo in photos),
        "trained_on": sum(bool(photo.in_training_set) for photo in photos),
    }
