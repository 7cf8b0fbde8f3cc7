"""How data sets are divided and compared: by the bytes of the photos, never by their names or order, so that two copies of one
photo cannot end up on both sides of a split."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, Photo, classes_shown


def split_by_content(dataset: Dataset, fraction: float = 0.5) -> tuple[Dataset, Dataset]:
    """Divide into ``(a, b)``, with ``fraction`` of the photos, and of each class to within one photo, in ``a``.

    Photos are ranked by content hash: the answer does not depend on their order or names, and photos with the same
    bytes stay together. Rounding is carried from class to class, so that many small classes do not all round the
    same way.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(f"expected a fraction between 0 and 1, got {fraction}")
    first: list[int] = []
    seen = 0
    for groups in _groups_by_class(dataset):
        seen += sum(len(group) for group in groups)
        for group in groups:
            if len(first) + len(group) / 2 <= fraction * seen:
                first += group
    chosen = set(first)
    rest = [index for index in range(len(dataset)) if index not in chosen]
    return dataset.select(sorted(first)), dataset.select(rest)


def stratified_folds(dataset: Dataset, k: int, seed: int = 0) -> tuple[Dataset, ...]:
    """``k`` parts that share the photos of each class evenly; photos with the same bytes stay together.

    Depends on the photos' content and the seed alone. Raises DataError unless 2 ≤ k ≤ number of photos.
    """
    if not 2 <= k <= len(dataset):
        raise DataError(f"expected between 2 folds and one for each of {len(dataset)} photos, got {k}")
    folds: list[list[int]] = [[] for _ in range(k)]
    for groups in _groups_by_class(dataset, salt=f"{seed}:"):
        held = [0] * k  # photos of this class in each fold
        for group in groups:
            fold = min(range(k), key=lambda f: (held[f], len(folds[f]), f))
            folds[fold] += group
            held[fold] += len(group)
    return tuple(dataset.select(sorted(fold)) for fold in folds)


def overlap(a: Dataset, b: Dataset) -> tuple[tuple[Photo, Photo], ...]:
    """Pairs of photos, one of each data set, with the same bytes; for each photo of ``a`` its first twin in ``b``."""
    twins: dict[str, Photo] = {}
    for photo, digest in zip(b.photos, b.content_hashes, strict=True):
        twins.setdefault(digest, photo)
    pairs = zip(a.photos, a.content_hashes, strict=True)
    return tuple((photo, twins[digest]) for photo, digest in pairs if digest in twins)


def _groups_by_class(dataset: Dataset, salt: str = "") -> list[list[list[int]]]:
    """Indices of the photos: classes → groups of identical photos → indices, ordered by content alone.

    A photo with boxes counts for the class that fewest photos show, of those it shows, so that rare classes are divided
    evenly; those without boxes are a class of their own.
    """
    own = class_of_each(dataset)
    same: dict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(dataset.content_hashes):
        same[hashlib.sha256((salt + digest).encode()).hexdigest()].append(index)
    classes: dict[int, list[list[int]]] = defaultdict(list)
    for _, group in sorted(same.items()):
        # Copies of one photo under several labels count for the first of them.
        classes[min(own[index] for index in group)].append(group)
    # A dict keeps insertion order: classes come in the order of their first photo's hash, not of their names.
    return list(classes.values())


def class_of_each(dataset: Dataset) -> list[int]:
    """One class for each photo, to divide by: its own, or of its boxes' classes (of its attributes' values) the one that fewest
    photos show (-1 for none)."""
    if not dataset.boxed and not dataset.described:
        return [photo.label or 0 for photo in dataset.photos]
    counts = dataset.class_counts
    return [min(classes_shown(photo), key=lambda c: (counts[c], c), default=-1) for photo in dataset.photos]
