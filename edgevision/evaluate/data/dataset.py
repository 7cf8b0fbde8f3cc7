"""Data sets: photos on disk with, perhaps, a class or boxes each. How they are divided: ``splits``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.errors import DataError
from edgevision.evaluate.data.attribute_table import AttributeTable, is_photo_table, read_table
from edgevision.evaluate.data.boxed import BoxedPhotos
from edgevision.evaluate.data.boxed_sources import read_boxed
from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.folders import PHOTO_SUFFIXES, FolderPhotos, class_folders, photos_below, photos_in
from edgevision.evaluate.data.labels import are_numbered, read_labels
from edgevision.evaluate.data.lists import read_list, refuse_lines
from edgevision.evaluate.data.names import alike, case_notes, composed, differs_in_case
from edgevision.evaluate.data.text import first_three
from edgevision.tasks.results import Label

_PARTS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing"}
)  # never classes, where all are such
_LAYOUTS = (
    "a folder of class folders, a folder of photos, a list file with 'path, label' on each line; or, with boxes, a data.yaml "
    "or folder of YOLO's, a COCO .json, or a folder of Pascal VOC's"
)


@dataclass(frozen=True)
class Photo:
    """A photo on disk. ``label`` is its class's index into the data set's ``labels``, or None. ``boxes``: the products
    marked in it, of data sets for detection; their classes are such indices too. ``attributes``: what is known of it, of data
    sets for attributes: one index for each attribute whose value is known, ascending."""

    path: Path
    label: int | None = None
    boxes: PhotoBoxes | None = None
    attributes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """Photos: all of them with a class each; or all with boxes, whose classes are among ``labels``; or all with attributes, whose
    values ``labels`` lists ("colour: red"); or none with any (then ``labels`` is None). Of a data set with boxes, a photo without
    any is one that shows no product; ``boxes`` is None where the photo is damaged, so that its size is not known
    (``photo_check`` names it).

    ``remarks``: what the reader has to say, such as photos without a label file. ``skipped`` counts what a folder held besides photos: hidden files, other suffixes, links that go round in a circle.
    ``broken_links``: of a folder, what is named like a photo and leads to nothing.
    """

    photos: tuple[Photo, ...]
    labels: tuple[Label, ...] | None = None
    source: str = "data set"  # for messages
    skipped: int = 0
    broken_links: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels is None:
            if any(_says_something(photo) for photo in self.photos):
                raise DataError(f"{self.source}: photos have class indices but the data set has no labels")
            return
        if self.boxed:
            self._check_boxes(len(self.labels))
            return
        if self.described:
            self._check_attributes(len(self.labels))
            return
        bad = [photo for photo in self.photos if photo.label is None or not 0 <= photo.label < len(self.labels)]
        if bad:
            listed = first_three(f"{photo.path} ({photo.label})" for photo in bad)
            raise DataError(f"{self.source}: expected a class index of 0…{len(self.labels) - 1}, got {listed}")

    def _check_boxes(self, classes: int) -> None:
        for photo in self.photos:
            if photo.label is not None:
                raise DataError(f"{self.source}: some photos have boxes, and {photo.path} has a class of its own")
            for box in () if photo.boxes is None else photo.boxes.boxes:
                if not 0 <= box.label < classes:
                    raise DataError(
                        f"{self.source}: expected boxes of classes 0…{classes - 1}, got {box.label} in {photo.path}"
                    )

    def _check_attributes(self, values: int) -> None:
        for photo in self.photos:
            if photo.label is not None or photo.attributes is None:
                raise DataError(f"{self.source}: some photos have attributes, and {photo.path} has none, or a class")
            if bad := [place for place in photo.attributes if not 0 <= place < values]:
                raise DataError(f"{self.source}: expected values 0…{values - 1}, got {bad[0]} for {photo.path}")

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Photo]:
        return iter(self.photos)

    @property
    def labelled(self) -> bool:
        """Whether every photo has a class."""
        return self.labels is not None and not self.boxed and not self.described

    @cached_property
    def boxed(self) -> bool:
        """Whether the photos have boxes."""
        return any(photo.boxes is not None for photo in self.photos)

    @cached_property
    def described(self) -> bool:
        """Whether the photos have attributes."""
        return any(photo.attributes is not None for photo in self.photos)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The photos' paths, in order."""
        return tuple(photo.path for photo in self.photos)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to tell the user: what the reader remarks, and names of classes that differ only in case."""
        return (*self.remarks, *case_notes(label.name for label in self.labels or ()))

    @cached_property
    def truth(self) -> npt.NDArray[np.int64]:
        """Class index of each photo, int64 [n]. Raises DataError for an unlabelled data set, and for one with boxes."""
        self.require_labels()
        return np.array([photo.label for photo in self.photos], dtype=np.int64)

    @cached_property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """Photos of each class, int64 [classes]; of a data set with boxes, those that show the class, once each; with attributes,
        those that have the value. Raises DataError for an unlabelled data set."""
        if self.boxed or self.described:
            shown = [place for photo in self.photos for place in sorted(classes_shown(photo))]
            return np.bincount(np.array(shown, np.int64), minlength=len(self.labels or ())).astype(np.int64)
        return np.bincount(self.truth, minlength=len(self.labels or ())).astype(np.int64)

    @property
    def content_hashes(self) -> tuple[str, ...]:
        """SHA-256 of each photo's bytes, in hexadecimal, in the photos' order."""
        return tuple(content_hash(photo.path) for photo in self.photos)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the sorted content hashes: names the photos whatever their order, paths and labels."""
        return hashlib.sha256("\n".join(sorted(self.content_hashes)).encode()).hexdigest()

    def select(self, indices: Iterable[int] | npt.NDArray[np.integer]) -> Dataset:
        """The photos at ``indices``, in that order, with the same labels."""
        return replace(self, photos=tuple(self.photos[int(index)] for index in indices), skipped=0, broken_links=())

    def require_labels(self, classes: int = 1, purpose: str = "this") -> None:
        """Raises DataError unless the photos have a class each, and fall into at least ``classes`` classes."""
        if self.boxed:
            raise DataError(
                f"{purpose} needs a class for each photo, but {self.source} has boxes in them: it is for detection"
            )
        if self.described:
            raise DataError(
                f"{purpose} needs a class for each photo, but {self.source} has attributes of them: it is for --task attributes"
            )
        if self.labels is None:
            raise DataError(
                f"{purpose} needs a class for each photo, but {self.source} has none; "
                "expected a folder of class folders, or a list file with 'path, label' on each line; for a detector, photos "
                "with boxes"
            )
        present = sorted({photo.label for photo in self.photos if photo.label is not None})
        if len(present) < classes:
            names = first_three(repr(self.labels[index].name) for index in present)
            raise DataError(
                f"{purpose} needs photos of at least {classes} classes, but {self.source} has {len(present)}"
                + (f" ({names}); each folder directly inside the data folder is one class" if names else "")
            )

    def with_labels(self, labels: Sequence[Label]) -> Dataset:
        """The same photos, with class indices into ``labels`` (a model's). Unlabelled data sets stay as they are.

        Classes match by id and name; else by name; else, where the data know only ids, by id. Names are compared in
        Unicode's form NFC. Raises DataError when a class that has photos is not among ``labels``.
        """
        if self.labels is None:
            return self
        used = [self.labels[index] for index in np.flatnonzero(self.class_counts)]
        exact = {(label.id, composed(label.name)): index for index, label in enumerate(labels)}
        by_name = {composed(label.name): index for index, label in enumerate(labels)}
        by_id = {label.id: index for index, label in enumerate(labels)}
        mapping: dict[Label, int]
        if all((label.id, composed(label.name)) in exact for label in used):
            mapping = {label: exact[label.id, composed(label.name)] for label in used}
        elif _only_ids(self.labels) and all(label.id in by_id for label in used):
            mapping = {label: by_id[label.id] for label in used}
            _refuse_ambiguous(self.source, [(mapping[label], by_name.get(label.name)) for label in used], labels)
        elif all(composed(label.name) in by_name for label in used):
            mapping = {label: by_name[composed(label.name)] for label in used}
        else:
            missing = [label for label in used if composed(label.name) not in by_name]
            listed = first_three(f"{label.name!r} (id {label.id})" for label in missing)
            known = first_three(f"{label.name!r} (id {label.id})" for label in labels)
            raise DataError(
                f"{len(missing)} of the {len(used)} classes in {self.source} are not among the model's "
                f"{len(labels)} labels: {listed}{_case_hint(missing, labels)}. The model knows {known}. Use the model's "
                "names or ids, or give the labels file that explains the ids"
            )
        place_of = {index: mapping[label] for index, label in enumerate(self.labels) if label in mapping}
        return replace(self, photos=tuple(_mapped(photo, place_of) for photo in self.photos), labels=tuple(labels))


def _mapped(photo: Photo, place_of: Mapping[int, int]) -> Photo:
    """The photo with other class indices."""
    label = None if photo.label is None else place_of[photo.label]
    boxes = photo.boxes
    if boxes is not None:
        boxes = boxes._replace(boxes=tuple(box._replace(label=place_of[box.label]) for box in boxes.boxes))
    known = photo.attributes
    if known is not None:
        known = tuple(sorted(place_of[place] for place in known))
    return Photo(photo.path, label, boxes, known)


def _says_something(photo: Photo) -> bool:
    return photo.label is not None or photo.boxes is not None or photo.attributes is not None


def classes_shown(photo: Photo) -> frozenset[int]:
    """The classes of its boxes, or the values of its attributes."""
    if photo.attributes is not None:
        return frozenset(photo.attributes)
    return frozenset(box.label for box in photo.boxes.boxes) if photo.boxes is not None else frozenset()


def read_dataset(
    source: Path | str, labels: Path | str | None = None, *, keep_broken_links: bool = False, part: str | None = None
) -> Dataset:
    """Read a data set from ``source``, with the classes listed in the file ``labels``, if given.

    ``source`` is one of

    * a folder of class folders: each folder directly inside it is a class, with photos anywhere below;
    * a folder of photos: unlabelled;
    * a list file: ``path, label, …`` on each line, paths relative to the file (or absolute), label = an integer id or
      a class name, further columns ignored; blank lines and lines that start with ``#`` are skipped. A file with
      paths alone is unlabelled. See ``lists.read_list`` for what separates them;
    * a table of attributes: a CSV whose first column has the photos' paths, with a header, and with two or more further columns, none of
      which is called label or class. See ``attribute_table``;
    * a data set with boxes: see ``boxed_sources.read_boxed`` for how they are told. ``part``: which part, of those that
      name some (``train``, ``val``, ``test``); None = ``val`` where there is one.

    Without ``labels``, classes are ordered by id where all labels are integers, else by name (ids 0, 1, …). Names are
    compared in Unicode's form NFC. Links to photos and folders are followed, also out of the folder: reading a photo does no
    harm, and data sets are often laid out so. Photos are not decoded here: see ``photo_check.read_checked``.

    ``keep_broken_links``: links to photos that are not there are listed in the data set, instead of refused.

    Raises DataError for whatever does not make a data set, naming the first three offenders.
    """
    path = Path(source)
    known = read_labels(labels) if labels is not None else None
    boxed = read_boxed(path, part)
    if part is not None and boxed is None:
        raise DataError(f"{path} names no parts, and '{part}' of it was asked for; a data.yaml does")
    if boxed is not None or path.is_dir():
        dataset = _read_folder(path, known) if boxed is None else _with_boxes(boxed, known)
        if dataset.broken_links and not keep_broken_links:
            listed = first_three(map(str, dataset.broken_links))
            raise DataError(
                f"{len(dataset.broken_links)} links in {path} lead to photos that are not there: {listed}. Fetch them "
                "(dvc pull, git annex get), or remove the links"
            )
        return dataset
    if not path.exists():
        raise DataError(f"no such file or folder: {path}; expected {_LAYOUTS}")
    if path.suffix.lower() in PHOTO_SUFFIXES:
        raise DataError(f"expected {_LAYOUTS}, got one photo: {path}")
    if is_photo_table(path):
        return _described(read_table(path))
    return _read_list(path, known)


def content_hash(path: Path | str) -> str:
    """SHA-256 of the photo's bytes, in hexadecimal; remembered while its size and time stay the same."""
    try:
        status = os.stat(path)  # noqa: PTH116 - half the cost of Path.stat, and this runs for every photo
        return _hash_file(os.fspath(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"cannot read the photo {path}: {error.strerror or error}") from error


@lru_cache(maxsize=200_000)
def _hash_file(path: str, size: int, mtime_ns: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _with_boxes(boxed: BoxedPhotos, known: tuple[Label, ...] | None) -> Dataset:
    photos = tuple(Photo(path, None, boxes) for path, boxes in boxed.photos)
    dataset = Dataset(photos, boxed.labels, boxed.source, 0, boxed.broken_links, boxed.remarks)
    if not dataset.boxed:  # no photo can be read
        dataset = replace(dataset, labels=None)
    return dataset if known is None else dataset.with_labels(known)


def _described(table: AttributeTable) -> Dataset:
    """The photos that a table names, with their attributes."""
    labels = tuple(Label(place, name) for place, name in enumerate(table.labels))
    photos = tuple(Photo(row.photo(table.folder), None, None, table.places(row)) for row in table.rows)
    return Dataset(photos, labels, str(table.path))


def _read_folder(folder: Path, known: tuple[Label, ...] | None) -> Dataset:
    top = photos_in(folder)  # also refuses a folder that cannot be read
    folders, circles = class_folders(folder)
    classes = {child.name: photos_below(child) for child in folders}
    parts = (top, *classes.values())
    skipped, broken = (
        circles + sum(part.skipped for part in parts),
        tuple(p for part in parts for p in part.broken_links),
    )
    names = [name for name, found in classes.items() if _any_photo(found)]
    if top.photos and names:
        raise DataError(
            f"{folder} holds both photos ({len(top.photos)}) and folders with photos ({first_three(map(repr, names))}): "
            "put each photo into the folder of its class, or give a folder of photos alone"
        )
    if _any_photo(top) and not names:
        return Dataset(tuple(Photo(path) for path in top.photos), None, str(folder), skipped, broken)
    if not names:
        hint = f"; {skipped} other files or links were skipped" if skipped else ""
        raise DataError(f"no photos ({' '.join(sorted(PHOTO_SUFFIXES))}) in {folder}{hint}. Expected {_LAYOUTS}")
    if all(name.lower() in _PARTS for name in names):
        raise DataError(
            f"{folder} holds the parts of a data set ({first_three(names)}), not a folder for each class: give one of them, "
            f"such as {folder / names[0]}"
        )
    if pairs := alike(classes):
        raise DataError(
            f"folders in {folder} are one class, written as different systems do: {first_three(pairs)}. Put their photos "
            "into one of them"
        )
    labels = _labels_from(list(classes))
    photos = tuple(Photo(path, index) for index, label in enumerate(labels) for path in classes[label.name].photos)
    dataset = Dataset(photos, labels, str(folder), skipped, broken)
    return dataset if known is None else dataset.with_labels(known)


def _any_photo(found: FolderPhotos) -> bool:
    """Whether there are photos, or links that should lead to some."""
    return bool(found.photos or found.broken_links)


def _read_list(path: Path, known: tuple[Label, ...] | None) -> Dataset:
    rows = read_list(path)
    texts = [composed(row.label) for row in rows if row.label is not None]
    if not texts:
        return Dataset(tuple(Photo(row.path) for row in rows), None, str(path))
    refuse_lines(path, "have no label", [(row.line, row.path.name) for row in rows if row.label is None])
    if known is None and are_numbered(set(texts)):
        raise DataError(
            f"the labels in {path} are an id and a name each (line {rows[0].line}: {rows[0].label!r}), where an id or a name is "
            "expected. Keep the ids alone, and give the names with --labels; or keep the names alone"
        )
    integers = all(_is_integer(text) for text in texts)
    labels = known or _labels_from(str(int(row.label or "")) if integers else row.label or "" for row in rows)
    index = _label_index(path, labels, texts)
    unknown = [(row.line, repr(row.label)) for row, text in zip(rows, texts, strict=True) if text not in index]
    hint = "" if not unknown else _case_hint([Label(0, row.label or "") for row in rows], labels)
    refuse_lines(path, f"have a label that is not among the {len(labels)} classes of the labels file{hint}", unknown)
    photos = tuple(Photo(row.path, index[text]) for row, text in zip(rows, texts, strict=True))
    return Dataset(photos, labels, str(path))


def _label_index(path: Path, labels: Sequence[Label], texts: list[str]) -> dict[str, int]:
    """From what the list file says (in NFC) to the class's index: all of it ids, or all of it names."""
    by_id = {label.id: index for index, label in enumerate(labels)}
    by_name = {composed(label.name): index for index, label in enumerate(labels)}
    ids = {text: by_id[int(text)] for text in set(texts) if _is_integer(text) and int(text) in by_id}
    names = {text: by_name[text] for text in set(texts) if text in by_name}
    if len(ids) == len(names) == len(set(texts)):
        _refuse_ambiguous(str(path), sorted((ids[text], names[text]) for text in ids), labels)
    return ids if len(ids) >= len(names) else names


def _refuse_ambiguous(source: str, found: Sequence[tuple[int, int | None]], labels: Sequence[Label]) -> None:
    """Raise DataError where numbers are, all of them, both ids and names among ``labels``, but not of the same classes.

    ``found``: for each class of the data the index by id and the index by name.
    """
    if any(by_name is None for _, by_name in found):
        return
    for by_id, by_name in found:
        if by_name is not None and by_name != by_id:
            number = labels[by_id].id
            raise DataError(
                f"classes in {source} are numbers that may be ids or names of the labels: {number} is the id of "
                f"{labels[by_id].name!r}, and the name of the class with id {labels[by_name].id}. Rename the classes, "
                "in the labels and in the data, so that no name is a number"
            )


def _case_hint(missing: Sequence[Label], labels: Sequence[Label]) -> str:
    """Says of a class that only its case keeps it from being one of ``labels``; "" where there is none."""
    names = [label.name for label in labels]
    for label in missing:
        other = differs_in_case(label.name, names)
        if other is not None and composed(other) != composed(label.name):
            return f" ({label.name!r} differs from {other!r} in case)"
    return ""


def _labels_from(texts: Iterable[str]) -> tuple[Label, ...]:
    """A label for each name, or for each integer; of spellings that are one name in NFC, the first."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(composed(text), text)
    distinct = [first[name] for name in sorted(first)]
    if all(_is_integer(text) and text == str(int(text)) for text in distinct):
        return tuple(Label(id, str(id)) for id in sorted(map(int, distinct)))
    return tuple(Label(id, name) for id, name in enumerate(distinct))


def _is_integer(text: str) -> bool:
    return len(text) < 19 and text.isascii() and text.removeprefix("-").isdigit()


def _only_ids(labels: Sequence[Label]) -> bool:
    return all(label.name == str(label.id) for label in labels)
