"""Which grocery photos were taken together: of one product, in one shop, minutes apart.

    .venv/bin/python -m benchmarks.grocery_visits --picture visits.jpg --of "Golden-Delicious"

A random photo of train.txt has near twins in the rest of it, so that a model that learnt these answers 98 of 100 rightly, and nothing tells a
better recipe from a worse one. val.txt is of other shops, and has 296 photos. So whole visits are held out too.

The file names do not tell visits. Photos of a product belong together here where ImageNet's features of Lite2 are alike (cosine over ``ALIKE``),
directly or over others. ``--picture`` shows them, a row for each visit.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.gallery_features import Vectors, kept, off_the_shelf
from benchmarks.gallery_split import Numbers, read_photos
from edgevision.evaluate.data.dataset import Dataset

ALIKE = 0.84  # at 0.8 most of a product is one visit; at 0.88 each photo its own
FOLDS = 2
SIDE_PX, MOST_COLUMNS = 96, 20


def visits(truth: Numbers, vectors: Vectors, alike: float = ALIKE) -> Numbers:
    """The visit of each photo: whole numbers from 0, in the order of their first photos."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = np.full(len(truth), -1)
    count = 0
    for place in range(len(truth)):
        if found[place] >= 0:
            continue
        new = [place]
        while new:
            found[new] = count
            near = (unit[new] @ unit.T > alike).any(axis=0) & (truth == truth[place]) & (found < 0)
            new = np.flatnonzero(near).tolist()
        count += 1
    return found


def fold_of(truth: Numbers, visit: Numbers, folds: int = FOLDS) -> Numbers:
    """The fold of each photo, 0…``folds`` - 1; -1 in the largest visit of each product, which is never held out: something has to be learnt of it.

    Of each product the other visits go to the folds in turn, the largest first, each to the fold that has fewest photos of all by then.
    """
    found = np.full(len(truth), -1)
    sizes = np.zeros(folds, np.int64)
    for product in np.unique(truth):
        numbers, counts = np.unique(visit[truth == product], return_counts=True)
        for place in np.argsort(-counts, kind="stable")[1:]:
            fold = int(sizes.argmin())
            found[visit == numbers[place]] = fold
            sizes[fold] += counts[place]
    return found


@cache
def train_visits() -> tuple[Dataset, Numbers]:
    """train.txt, and the visit of each of its photos."""
    photos = read_photos()
    wanted = np.ones(len(photos.paths), np.bool_)
    vectors = kept(off_the_shelf("lite2"), photos.paths, wanted)[: len(photos.train)]
    return photos.train, visits(photos.train.truth, vectors)


def picture(dataset: Dataset, visit: Numbers, product: str) -> npt.NDArray[np.uint8]:
    """A row for each visit of a product, BGR."""
    import cv2

    from edgevision.decode import read_image

    assert dataset.labels is not None
    label = next(place for place, label in enumerate(dataset.labels) if label.name == product)
    rows = []
    for number in np.unique(visit[dataset.truth == label]):
        row = np.zeros((SIDE_PX, SIDE_PX * MOST_COLUMNS, 3), np.uint8)
        for column, place in enumerate(np.flatnonzero(visit == number)[:MOST_COLUMNS]):
            photo = cv2.resize(read_image(dataset.photos[place].path), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
            row[:, column * SIDE_PX : (column + 1) * SIDE_PX] = photo
        rows.append(row)
    return np.vstack(rows)


def main() -> None:
    import cv2

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--picture", type=Path)
    p.add_argument("--of", default="Golden-Delicious", help="a class")
    arguments = p.parse_args()
    dataset, visit = train_visits()
    fold = fold_of(dataset.truth, visit)
    print(
        f"{len(dataset)} photos of {visit.max() + 1} visits; photos in each fold: {np.bincount(fold[fold >= 0]).tolist()}"
    )
    if arguments.picture is not None:
        cv2.imwrite(str(arguments.picture), picture(dataset, visit, arguments.of))


if __name__ == "__main__":
    main()
