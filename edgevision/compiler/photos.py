"""Which photos calibrate and which judge; the two never mix."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.options import CompileOptions, Precision
from edgevision.decode import encode_png, read_image
from edgevision.errors import DataError
from edgevision.evaluate.dataset import Dataset, read_dataset, split_by_content
from edgevision.frames import ImageArray
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.tasks.results import Label
from edgevision.train.checkpoint import PackedPhoto, PhotoPack

MIN_CALIBRATION = 16
RANDOM_PICTURES = 64


@dataclass(frozen=True)
class CompilePhoto:
    """A photo to read when it is needed. ``label`` is an index into the model's labels, or None.

    ``sha256``: of the file that it is, or was before it was packed. ``seen``: whether the model was trained on it,
    None = not known.
    """

    source: Path | bytes
    label: int | None
    sha256: str
    seen: bool | None = None

    def read(self) -> ImageArray:
        """Decode to H×W×3 uint8 BGR. Raises ImageError."""
        return read_image(self.source)


@dataclass(frozen=True)
class PhotoSets:
    """Calibration and judge photos, each content once in all. ``origin`` says in words where they come from."""

    calibration: tuple[CompilePhoto, ...]
    judge: tuple[CompilePhoto, ...]
    origin: str
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """For the manifest: counts and hashes."""
        return {"origin": self.origin, "calibration": _describe(self.calibration), "judge": _describe(self.judge)}


def gather(
    options: CompileOptions, labels: Sequence[Label], pack: PhotoPack | None, trained_on: frozenset[str] | None = None
) -> PhotoSets:
    """Choose the photos as ``CompileOptions`` says.

    ``trained_on``: the first hexadecimal digits (all alike many) of the SHA-256 of every photo that the model was
    trained on; None = not known. Raises DataError when there are too few photos, when labels do not match, or, without
    ``unproven``, when there is nothing to judge with.
    """
    calibration: tuple[CompilePhoto, ...] = ()
    judge: tuple[CompilePhoto, ...] = ()
    origin: list[str] = []
    if options.data is not None:
        data = _read(options.data, options.labels, labels)
        if options.val is None:
            data, rest = split_by_content(data, 0.5)
            judge = _photos(rest)
            origin.append(f"{options.data}: half calibrates, half judges")
        else:
            origin.append(f"{options.data} calibrates")
        calibration = _photos(data)
    elif pack is not None:
        calibration, judge = _unpack(pack.calibration), _unpack(pack.judge)
        origin.append("photos that the checkpoint carries")
    if options.val is not None:
        judge = _photos(_read(options.val, options.labels, labels))
        origin.append(f"{options.val} judges")
    notes: list[str] = []
    calibration = _each_once(_marked(calibration, trained_on), "calibration", notes)
    judge = _each_once(_marked(judge, trained_on), "judge", notes)
    calibrated = {photo.sha256 for photo in calibration}
    kept = tuple(photo for photo in judge if photo.sha256 not in calibrated)
    if len(kept) < len(judge):
        notes.append(f"{len(judge) - len(kept)} judge photos are calibration photos too and were left out of judging")
    judge = kept
    if trained := sum(photo.seen is True for photo in judge):
        share = "the" if trained == len(judge) else f"{trained} of {len(judge)}"
        notes.append(f"{share} judge photos were trained on: the verdict says little about new photos; give --val")
    if not calibration and not judge and options.unproven and options.precision is Precision.INT8:
        calibration = random_pictures(RANDOM_PICTURES)
        origin.append("random pictures")
        notes.append("no photos were given: int8 ranges come from random pictures, and accuracy may suffer much")
    nothing = options.unproven and not calibration and options.precision is Precision.AUTO
    if nothing:
        notes.append("no photos were given: int8 was not tried, for it cannot be calibrated")
    if len(calibration) < MIN_CALIBRATION and options.precision is not Precision.FLOAT and not nothing:
        raise DataError(
            f"calibration needs at least {MIN_CALIBRATION} photos, got {len(calibration)}. Give --data FOLDER_OR_LIST "
            "with photos of what the camera will see"
        )
    if not judge and not options.unproven:
        raise DataError(
            "there are no photos to judge the result with. Give --val FOLDER_OR_LIST (labelled photos), or --unproven "
            "to write a bundle that says it was not proven"
        )
    return PhotoSets(calibration, judge, "; ".join(origin) or "none", tuple(notes))


def prepared(photos: Sequence[CompilePhoto], spec: PreprocessSpec, batch: int = 8) -> Iterator[npt.NDArray[Any]]:
    """The photos as input tensors, ``batch`` at a time: [n, *spec.tensor_shape] of the spec's dtype."""
    preprocessor = Preprocessor(spec)
    for start in range(0, len(photos), batch):
        yield preprocessor.batch([photo.read() for photo in photos[start : start + batch]])


def labels_of(photos: Sequence[CompilePhoto]) -> npt.NDArray[np.int64] | None:
    """Label indices [n], or None when any photo has none."""
    known = [photo.label for photo in photos if photo.label is not None]
    return np.array(known, np.int64) if photos and len(known) == len(photos) else None


def spread(photos: Sequence[CompilePhoto], limit: int) -> tuple[CompilePhoto, ...]:
    """At most ``limit`` photos, the same share of every class, chosen by content hash."""
    if len(photos) <= limit:
        return tuple(photos)
    by_label: dict[int, list[CompilePhoto]] = {}
    for photo in sorted(photos, key=lambda p: p.sha256):
        by_label.setdefault(-1 if photo.label is None else photo.label, []).append(photo)
    turns = [(place, label, photo) for label, group in by_label.items() for place, photo in enumerate(group)]
    turns.sort(key=lambda turn: (turn[0], turn[1]))
    return tuple(photo for _, _, photo in turns[:limit])


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


def _read(source: Path, labels_file: Path | None, labels: Sequence[Label]) -> Dataset:
    dataset = read_dataset(source, labels_file)
    return dataset.with_labels(tuple(labels)) if dataset.labels is not None else dataset


def _photos(dataset: Dataset) -> tuple[CompilePhoto, ...]:
    pairs = zip(dataset.photos, dataset.content_hashes, strict=True)
    return tuple(CompilePhoto(photo.path, photo.label, sha256) for photo, sha256 in pairs)


def _unpack(photos: Sequence[PackedPhoto]) -> tuple[CompilePhoto, ...]:
    return tuple(
        CompilePhoto(p.data, p.label, p.source_sha256 or hashlib.sha256(p.data).hexdigest(), p.seen) for p in photos
    )


def _marked(photos: Sequence[CompilePhoto], trained_on: frozenset[str] | None) -> tuple[CompilePhoto, ...]:
    """The photos with ``seen`` where it can be told; what a packed photo says of itself stays."""
    if trained_on is None:
        return tuple(photos)
    digits = {len(prefix) for prefix in trained_on}
    return tuple(
        photo if photo.seen else replace(photo, seen=any(photo.sha256[:n] in trained_on for n in digits))
        for photo in photos
    )


def _each_once(photos: Sequence[CompilePhoto], what: str, notes: list[str]) -> tuple[CompilePhoto, ...]:
    """One photo for each content; none where the same content has several labels. Adds to ``notes`` what was left out."""
    same: dict[str, list[CompilePhoto]] = {}
    for photo in photos:
        same.setdefault(photo.sha256, []).append(photo)
    clear = [group for group in same.values() if len({photo.label for photo in group}) == 1]
    copies = sum(len(group) - 1 for group in clear)
    if copies:
        notes.append(f"{copies} {what} photos are copies of others and were left out")
    if contradicting := len(photos) - copies - len(clear):
        notes.append(f"{contradicting} {what} photos were left out: they are the same photo under several labels")
    return tuple(max(group, key=lambda photo: photo.seen is True) for group in clear)


def _describe(photos: Sequence[CompilePhoto]) -> dict[str, Any]:
    # As Dataset.digest does, so that the digests of the same photos are the same.
    together = hashlib.sha256("\n".join(sorted(photo.sha256 for photo in photos)).encode()).hexdigest()
    return {
        "count": len(photos),
        "sha256": together,
        "labelled": sum(photo.label is not None for photo in photos),
        "trained_on": sum(bool(photo.seen) for photo in photos),
    }
