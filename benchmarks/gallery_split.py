"""Which products are held out of a training, and which of their photos a shop would enrol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY
from edgevision.evaluate.data.dataset import Dataset, read_dataset

HELD_OUT = 27

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Photos:
    """All grocery photos, train.txt's first: ``paths`` and ``truth`` [n]; ``in_val`` bool [n]: of other shops; ``iconic``: one picture
    of each class, in the classes' order."""

    train: Dataset
    val: Dataset
    iconic: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of train.txt, then of val.txt."""
        return (*self.train.paths, *self.val.paths)

    @property
    def truth(self) -> Numbers:
        """The class of each."""
        return np.concatenate([self.train.truth, self.val.truth])

    @property
    def in_val(self) -> npt.NDArray[np.bool_]:
        """Whether each is of val.txt."""
        return np.arange(len(self.train) + len(self.val)) >= len(self.train)


def read_photos() -> Photos:
    """The photos of ``../shared/data/grocery``."""
    labels = GROCERY / "classes.csv"
    train, val = (read_dataset(GROCERY / f"{part}.txt", labels) for part in ("train", "val"))
    assert train.labels is not None
    rows = labels.read_text().splitlines()[1:]
    iconic = {int(row.split(",")[1]): GROCERY / row.split(",")[4].strip().lstrip("/") for row in rows}
    return Photos(train, val, tuple(iconic[label.id] for label in train.labels))


def held_out(draw: int, classes: int) -> Numbers:
    """The ``HELD_OUT`` classes that nothing of ``draw`` is trained on, in order."""
    return np.sort(np.random.default_rng((16, draw)).choice(classes, HELD_OUT, replace=False))


def enrolled(truth: Numbers, candidates: npt.NDArray[np.bool_], products: Numbers, count: int, seed: int) -> Numbers:
    """Places of ``count`` photos of each of ``products``, drawn among ``candidates`` (fewer where there are fewer): what a gallery
    is made of."""
    random = np.random.default_rng((17, seed))
    chosen = []
    for product in products:
        own = np.flatnonzero(candidates & (truth == product))
        chosen.append(random.permutation(own)[:count])
    return np.concatenate(chosen)
