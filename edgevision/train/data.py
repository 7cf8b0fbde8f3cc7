"""The photos of a run: read, checked, and named by a digest."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevision.decode import read_image
from edgevision.errors import DataError
from edgevision.evaluate.data.boxed_sources import named_parts
from edgevision.evaluate.data.dataset import Dataset, Photo
from edgevision.evaluate.data.described import known_values, only_attributes, table_for
from edgevision.evaluate.data.names import composed
from edgevision.evaluate.data.photo_check import BadPhoto, Checked, CheckProgress, ReadPhoto, read_checked
from edgevision.evaluate.data.splits import overlap
from edgevision.tasks.results import Label
from edgevision.train.options import AttributesTrainOptions, RunOptions, TrainOptions

MAX_VALUES = 1000  # of all attributes together: more are prices or descriptions, and nothing to choose from


@dataclass(frozen=True)
class TrainingData:
    """Photos to learn from and, perhaps, photos to choose the best epoch by; both with the same classes, or with boxes of them.

    ``ood``: photos of none of these classes, to learn from too. All photos can be read; ``bad_photos`` were left out. ``warnings`` are
    sentences for the user.
    """

    train: Dataset
    val: Dataset | None
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()
    bad_photos: tuple[BadPhoto, ...] = ()
    ood: Dataset | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over labels, and contents, and classes or boxes, of the photos in their order."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for dataset in (self.train, self.val):
            if dataset is not None:
                rows = zip(dataset.content_hashes, dataset.photos, strict=True)
                digest.update("".join(f"{content} {_truth(photo)}\n" for content, photo in rows).encode())
            digest.update(b"--\n")
        if self.ood is not None:
            digest.update("".join(f"{content}\n" for content in self.ood.content_hashes).encode())
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
            "ood": 0 if self.ood is None else len(self.ood),
            "ood_sha256": None if self.ood is None else self.ood.digest,
        }


def _truth(photo: Photo) -> str:
    if photo.attributes is not None:
        return repr(photo.attributes)
    return str(photo.label) if photo.boxes is None else repr(photo.boxes)


def read_training_data(
    options: RunOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """Read what ``options`` name, and every photo once: those to learn from with ``read``, which may keep them.

    ``progress`` is called with (photos done, photos to do), for each data set. Raises DataError for fewer than two classes,
    classes of val that train lacks, or photos that cannot be read (then BadPhotosError).
    """
    checked = read_checked(options.data, options.labels, options.on_bad_photo, progress, read)
    train = checked.dataset
    train.require_labels(2, "training")
    val = None
    if options.val is not None:
        val = read_checked(options.val, options.labels, options.on_bad_photo, progress)
        val.dataset.require_labels(1, "validation")
    data = _together(checked, val, str(options.val))
    if several := _under_several_classes(train):
        said = f"{several} photos are there under several classes: the same content, as a link or a copy"
        return replace(data, warnings=(*data.warnings, said))
    return data


def with_ood_photos(
    data: TrainingData, options: TrainOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """``data`` with the photos of ``options.ood_data``, where there are any. What classes these have does not matter.

    Raises DataError for photos that ``data`` has in its classes, that are in parts, as those of a ``data.yaml``, or that cannot be read.
    """
    if options.ood_data is None:
        return data
    if parts := named_parts(options.ood_data):
        raise DataError(
            f"{options.ood_data} has its photos in parts ({', '.join(parts)}); give a folder or a list of them"
        )
    checked = read_checked(options.ood_data, None, options.on_bad_photo, progress, read)
    for known, source in ((data.train, options.data), (data.val, options.val)):
        if known is not None and (twins := overlap(checked.dataset, known)):
            raise DataError(
                f"{len(twins)} of the {len(checked.dataset)} photos of {options.ood_data} are photos of {source} too, such as "
                f"{twins[0][0].path}: what the model is to know, it cannot learn as unknown; leave them out of one"
            )
    return replace(
        data,
        ood=checked.dataset,
        warnings=(*data.warnings, *(note for note in checked.notes if note not in data.warnings)),
        bad_photos=(*data.bad_photos, *checked.bad),
    )


def read_boxed_data(
    options: RunOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """As ``read_training_data``, of photos with boxes. Where ``options.data`` names its parts, as a ``data.yaml`` does, ``train`` is
    learnt from, and ``val`` validates unless ``options.val`` does.

    Raises DataError for photos without boxes, classes of val that train lacks, or photos that cannot be read.
    """
    parts = named_parts(options.data)
    part = "train" if "train" in parts else None
    checked = read_checked(options.data, options.labels, options.on_bad_photo, progress, read, part=part)
    _require_boxes(checked.dataset)
    val = None
    if options.val is not None:
        val = read_checked(options.val, options.labels, options.on_bad_photo, progress)
    elif part is not None and "val" in parts:
        val = read_checked(options.data, options.labels, options.on_bad_photo, progress, part="val")
    if val is not None:
        _require_boxes(val.dataset)
    return _together(checked, val, f"{options.val or options.data}")


def read_described_data(
    options: AttributesTrainOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """As ``read_training_data``, of photos with attributes: those that ``options.data`` has of its own, or that ``options.attributes`` has
    of photos or classes. Attributes with fewer than two known values are left out.

    Raises DataError for photos without attributes, more than ``MAX_VALUES`` values, values of val that train lacks, or photos that
    cannot be read.
    """

    def checked(source: Path, read: ReadPhoto) -> Checked:
        table = table_for(source, options.attributes, options.heads)
        found = read_checked(source, options.labels, options.on_bad_photo, progress, read, table=table)
        if not found.dataset.described:
            raise DataError(
                f"training attributes needs them of each photo, but {source} has none. Give --attributes, a CSV with a column for each "
                "attribute, whose first column is the photo's path or its class"
            )
        return found

    train = checked(options.data, read)
    learnt = _learnable(train.dataset, options)
    val = None if options.val is None else checked(options.val, read_image)
    if val is not None:
        val = replace(val, dataset=only_attributes(val.dataset, learnt))
        if not any(photo.attributes for photo in val.dataset):
            raise DataError(
                f"no photo of {options.val} has a known value of what is learnt ({', '.join(learnt)}), so the result cannot be scored. Give "
                "other photos, or leave --val out"
            )
    data = _together(replace(train, dataset=only_attributes(train.dataset, learnt)), val, str(options.val))
    left_out = [name for name in known_values(train.dataset) if name not in learnt]
    if left_out and not options.heads:
        said = f"attributes of which fewer than two values are known were left out: {', '.join(left_out)}"
        return replace(data, warnings=(*data.warnings, said))
    return data


def _learnable(dataset: Dataset, options: AttributesTrainOptions) -> list[str]:
    """The attributes to learn. Raises DataError where there is none, where one that was asked for cannot be learnt, or for too many values."""
    values = known_values(dataset)
    learnt = [name for name, some in values.items() if len(some) > 1 and name in (options.heads or [name])]
    missing = [name for name in options.heads if name not in learnt]
    if not learnt or missing:
        which = f" of {missing[0]!r}" if missing else ""
        raise DataError(
            f"an attribute has two known values or more among the photos of {dataset.source}, got fewer{which}; it has "
            f"{', '.join(values)}"
        )
    if (count := sum(len(values[name]) for name in learnt)) > MAX_VALUES:
        most = max(learnt, key=lambda name: len(values[name]))
        raise DataError(
            f"the attributes of {dataset.source} have {count} values, more than {MAX_VALUES}; {most!r} alone has {len(values[most])}. "
            "Say which ones to learn with --heads"
        )
    return learnt


def read_product_data(
    options: RunOptions, progress: CheckProgress | None = None, read: ReadPhoto = read_image
) -> TrainingData:
    """As ``read_training_data``, of products: ``val`` may show some that ``data`` does not. They get labels after those of ``data``.

    Raises DataError for fewer than two products, or photos that cannot be read.
    """
    checked = read_checked(options.data, options.labels, options.on_bad_photo, progress, read)
    checked.dataset.require_labels(2, "training")
    if options.val is None:
        return _together(checked, None, "", may_lack=True)
    val = read_checked(options.val, options.labels, options.on_bad_photo, progress)
    val.dataset.require_labels(1, "validation")
    labels = _with_new_ones(checked.dataset, val.dataset)
    train = replace(checked.dataset, labels=labels)  # its own come first: places stay
    return _together(replace(checked, dataset=train), val, str(options.val), may_lack=True)


def _with_new_ones(train: Dataset, val: Dataset) -> tuple[Label, ...]:
    """The labels of ``train``, then those of ``val``'s photos whose names are not among them; ids that are taken are replaced."""
    assert train.labels is not None
    assert val.labels is not None
    labels = list(train.labels)
    names, ids = {composed(label.name) for label in labels}, {label.id for label in labels}
    for place in val.class_counts.nonzero()[0].tolist():
        label = val.labels[place]
        if composed(label.name) in names:
            continue
        own = label if label.id not in ids else Label(max(ids) + 1, label.name)
        labels.append(own)
        names.add(composed(own.name))
        ids.add(own.id)
    return tuple(labels)


def _require_boxes(dataset: Dataset) -> None:
    if not any(photo.boxes is not None and photo.boxes.boxes for photo in dataset):
        raise DataError(
            f"training a detector needs photos with boxes, but {dataset.source} has none. Give a data.yaml or folder of YOLO's, a "
            "COCO .json or a folder of Pascal VOC's; photos with a class each train a classifier (--task classify)"
        )


def _together(train: Checked, val: Checked | None, val_source: str, *, may_lack: bool = False) -> TrainingData:
    """Both data sets in the classes of ``train``, and what there is to say of them. ``may_lack``: classes without photos to learn from
    are nothing to speak of."""
    dataset, labels = train.dataset, train.dataset.labels
    assert labels is not None  # both readers have asked for them
    warnings, bad = [*train.notes], train.bad
    counts = dataset.class_counts
    if few := int((counts == 1).sum()):
        warnings.append(f"{few} classes have a single photo to learn from; expect little of them")
    none = int((counts == 0).sum())
    if none and not may_lack:
        warnings.append(f"{none} of the {len(counts)} classes have no photo to learn from; they will not be recognised")
    if val is None:
        return TrainingData(dataset, None, labels, tuple(warnings), bad)
    own = val.dataset.with_labels(labels)
    warnings += [note for note in val.notes if note not in warnings]
    if twins := overlap(own, dataset):
        warnings.append(
            f"{len(twins)} of the {len(own)} photos of {val_source} are training photos too: their score flatters"
        )
    return TrainingData(dataset, own, labels, tuple(warnings), (*bad, *val.bad))


def _under_several_classes(dataset: Dataset) -> int:
    """How many contents have several labels."""
    labels: dict[str, set[int]] = defaultdict(set)
    for content, label in zip(dataset.content_hashes, dataset.truth.tolist(), strict=True):
        labels[content].add(label)
    return sum(len(found) > 1 for found in labels.values())
