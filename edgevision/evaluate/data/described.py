"""Photos with attributes: joined with a table that speaks of them or of their classes, and cut to the attributes that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgevision.errors import DataError
from edgevision.evaluate.data.attribute_table import SEPARATOR, AttributeTable, is_photo_table, read_table
from edgevision.evaluate.data.dataset import Dataset, Photo
from edgevision.evaluate.data.text import first_three
from edgevision.tasks.results import Label


def table_for(source: Path | str, attributes: Path | str | None, only: Sequence[str] = ()) -> AttributeTable | None:
    """The table that is to be joined with the photos of ``source``: what ``attributes`` names, but None where ``source`` is itself a table
    of attributes. ``only``: as ``read_table`` has it."""
    if attributes is None or is_photo_table(Path(source)):
        return None
    return read_table(attributes, only)


def with_table(dataset: Dataset, table: AttributeTable) -> Dataset:
    """The photos with the attributes that the table has of them, or of their classes, in place of their classes.

    Photos of which it says nothing have no known value. Raises DataError where the table is by class and photos have none, or
    where it says nothing of any photo.
    """
    if dataset.described:
        raise DataError(f"{dataset.source} has attributes of its own; give --attributes, or such a table, and not both")
    if table.by_class:
        dataset.require_labels(purpose=f"{table.path}, which describes classes,")
        names = [label.name for label in dataset.labels or ()]
        ids = [str(label.id) for label in dataset.labels or ()]
        found = [table.of_class((names[place], ids[place])) for place in dataset.truth.tolist()]
    else:
        by_path = {row.photo(table.folder).resolve(): row for row in table.rows}
        found = [by_path.get(photo.path.resolve()) for photo in dataset]
    missing = [photo.path.name for photo, row in zip(dataset, found, strict=True) if row is None]
    if len(missing) == len(dataset):
        raise DataError(
            f"{table.path} says nothing of any photo of {dataset.source}: its first column, '{table.key}', has "
            f"{first_three(repr(row.key) for row in table.rows)}"
        )
    said = (
        f"{len(missing)} of {len(dataset)} photos of {dataset.source} are not in {table.path}: {first_three(missing)}"
    )
    remarks = (*dataset.remarks, *([said] if missing else []))
    photos = tuple(
        Photo(photo.path, None, None, () if row is None else table.places(row))
        for photo, row in zip(dataset, found, strict=True)
    )
    labels = tuple(Label(place, name) for place, name in enumerate(table.labels))
    return replace(dataset, photos=photos, labels=labels, remarks=remarks)


def only_attributes(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The data set without the attributes that are not among ``names``; one without attributes stays as it is.

    >>> photos = (Photo(Path("1.jpg"), attributes=(0, 3)),)
    >>> labels = tuple(Label(i, name) for i, name in enumerate(("colour: red", "colour: green", "ripe: no", "ripe: yes")))
    >>> only_attributes(Dataset(photos, labels), ["ripe"]).photos[0].attributes
    (1,)
    """
    if not dataset.described:
        return dataset
    labels = dataset.labels or ()
    kept = [place for place, label in enumerate(labels) if attribute_of(label) in names]
    new_place = {place: new for new, place in enumerate(kept)}
    photos = tuple(
        replace(photo, attributes=tuple(new_place[place] for place in photo.attributes or () if place in new_place))
        for photo in dataset
    )
    return replace(dataset, photos=photos, labels=tuple(labels[place] for place in kept))


def attribute_of(label: Label) -> str:
    """What a value is one of: ``colour`` of the label ``"colour: red"``."""
    return label.name.partition(SEPARATOR)[0]


def known_values(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Of each attribute the values that any photo has."""
    counts = dataset.class_counts
    values: dict[str, tuple[str, ...]] = {attribute_of(label): () for label in dataset.labels or ()}
    for place in np.flatnonzero(counts).tolist():
        label = (dataset.labels or ())[place]
        values[attribute_of(label)] += (label.name.partition(SEPARATOR)[2],)
    return values
