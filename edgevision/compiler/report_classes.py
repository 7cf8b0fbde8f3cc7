"""Class by class, for the report: who lost what on the judge photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.paired import MIN_PHOTOS_PER_CLASS, ClassLoss, class_losses
from edgevision.tasks.results import Label


@dataclass(frozen=True)
class ClassLine:
    """A class of the judge photos: how many of its photos float answers rightly, and what the variant ``loss`` is."""

    name: str
    float_right: int
    loss: ClassLoss

    @property
    def variant_right(self) -> int:
        """Photos that the variant answers rightly."""
        return self.float_right - self.loss.net

    @property
    def ruled(self) -> bool:
        """Whether it has photos enough for the class rule."""
        return self.loss.n >= MIN_PHOTOS_PER_CLASS

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        counts = {"float_right": self.float_right, "variant_right": self.variant_right}
        return {"name": self.name, **asdict(self.loss), **counts}


def class_lines(
    right_float: npt.ArrayLike, right_variant: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[Label]
) -> tuple[ClassLine, ...]:
    """Every class that has judge photos: most photos lost first; of equals, the larger share of the class.

    ``right_float``, ``right_variant``: bool [n], whether each photo's best class is the true one; ``truth``: int [n],
    places in ``labels``. Raises InputError where these do not fit together.
    """
    losses = class_losses(right_float, right_variant, truth)
    classes = np.asarray(truth)
    if int(classes.max()) >= len(labels):
        raise InputError(f"expected classes below {len(labels)}, as many as there are labels, got {classes.max()}")
    right = np.bincount(classes[np.asarray(right_float)], minlength=len(labels))
    lines = [ClassLine(labels[loss.index].name, int(right[loss.index]), loss) for loss in losses]
    return tuple(sorted(lines, key=lambda line: (-line.loss.net, -line.loss.net / line.loss.n, line.loss.index)))
