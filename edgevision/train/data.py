"""The photos of a run: read, checked, and named by a digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, overlap, read_dataset
from edgevision.tasks.results import Label
from edgevision.train.options import TrainOptions


@dataclass(frozen=True)
class TrainingData:
    """Labelled photos to learn from and, perhaps, photos to choose the best epoch by; both in the same classes.

    ``warnings`` are sentences for the user.
    """

    train: Dataset
    val: Dataset | None
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()

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
            "train_sha256": self.train.digest,
            "val_sha256": None if self.val is None else self.val.digest,
        }


def read_training_data(options: TrainOptions) -> TrainingData:
    """Read what ``options`` name. Raises DataError for fewer than two classes, or classes of val that train lacks."""
    train = read_dataset(options.data, options.labels)
    train.require_labels(2, "training")
    if train.labels is None:
        raise DataError(f"training needs a class for each photo, but {options.data} has none")
    warnings = []
    counts = train.class_counts
    if few := int((counts == 1).sum()):
        warnings.append(f"{few} classes have a single photo to learn from; expect little of them")
    if none := int((counts == 0).sum()):
        warnings.append(f"{none} of the {len(counts)} classes have no photo to learn from; they will not be recognised")
    val = None
    if options.val is not None:
        val = read_dataset(options.val, options.labels)
        val.require_labels(1, "validation")
        val = val.with_labels(train.labels)
        if twins := overlap(val, train):
            warnings.append(
                f"{len(twins)} of the {len(val)} photos of {options.val} are training photos too: their score flatters"
            )
    return TrainingData(train, val, train.labels, tuple(warnings))
