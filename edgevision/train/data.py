"""The photos of a run: read, checked, and named by a digest."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from edgevision.decode import read_image
from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, overlap
from edgevision.evaluate.data.photo_check import BadPhoto, CheckProgress, ReadPhoto, read_checked
from edgevision.tasks.results import Label
from edgevision.train.options import TrainOptions


@dataclass(frozen=True)
class TrainingData:
    """Labelled photos to learn from and, perhaps, photos to choose the best epoch by; both in the same classes.

    All photos can be read; ``bad_photos`` were left out. ``warnings`` are sentences for the user.
    """

    train: Dataset
    val: Dataset | None
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()
    bad_photos: tuple[BadPhoto, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over labels, and contents and classes of the photos in their order."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for dataset in (self.train, self.val):
            if dataset is not None:
                rows = zip(dataset.content_hashes, dataset.truth, strict=True)
                digest.update("".join(f"{content} {label}\n" for content, label in rows).encode())
            digest.update(b"--\n")
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """For the checkpoint's record."""
        return {
            "train": len(self.train),
            "val": 0 if self.val is None else len(self.val),
            "classes": len(self.labels),
            "bad_photos": len(self.bad_photos),
            "train_sha256": self.train.digest,
            "val_sha256": None if self.val is None else self.val.digest,
        }


def read_training_data(
    options: TrainOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """Read what ``options`` name, and every photo once: those to learn from with ``read``, which may keep them.

    ``progress`` is called with (photos done, photos to do), for each data set. Raises DataError for fewer than two classes,
    classes of val that train lacks, or photos that cannot be read (then BadPhotosError).
    """
    checked = read_checked(options.data, options.labels, options.on_bad_photo, progress, read)
    train, bad = checked.dataset, checked.bad
    train.require_labels(2, "training")
    if train.labels is None:
        raise DataError(f"training needs a class for each photo, but {options.data} has none")
    warnings = [*checked.notes]
    counts = train.class_counts
    if few := int((counts == 1).sum()):
        warnings.append(f"{few} classes have a single photo to learn from; expect little of them")
    if none := int((counts == 0).sum()):
        warnings.append(f"{none} of the {len(counts)} classes have no photo to learn from; they will not be recognised")
    if several := _under_several_classes(train):
        warnings.append(f"{several} photos are there under several classes: the same content, as a link or a copy")
    val = None
    if options.val is not None:
        checked = read_checked(options.val, options.labels, options.on_bad_photo, progress)
        val, bad = checked.dataset, (*bad, *checked.bad)
        val.require_labels(1, "validation")
        val = val.with_labels(train.labels)
        warnings += [note for note in checked.notes if note not in warnings]
        if twins := overlap(val, train):
            warnings.append(
                f"{len(twins)} of the {len(val)} photos of {options.val} are training photos too: their score flatters"
            )
    return TrainingData(train, val, train.labels, tuple(warnings), bad)


def _under_several_classes(dataset: Dataset) -> int:
    """How many contents have several labels."""
    labels: dict[str, set[int]] = defaultdict(set)
    for content, label in zip(dataset.content_hashes, dataset.truth.tolist(), strict=True):
        labels[content].add(label)
    return sum(len(found) > 1 for found in labels.values())
