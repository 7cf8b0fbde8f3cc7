"""What each attribute lost from one model to another, and each of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.statistics.paired import NetLoss
from edgevision.evaluate.tasks.attributes_scores import NOT_KNOWN, AttributesScores
from edgevision.tasks.attributes import SEPARATOR, Head


@dataclass(frozen=True)
class ValueLoss(NetLoss):
    """What an attribute, or one of its values, lost and gained on the ``n`` photos where it is known; ``reference_right`` of them the
    reference answers rightly. ``name``: the attribute's, or ``"colour: red"``. A ``GroupLoss`` as ``evaluate.base`` has it.

    >>> ValueLoss("colour: red", 40, lost=4, gained=1, reference_right=38).sentence()
    "attribute 'colour: red' loses 3 of 40 photos"
    """

    name: str
    n: int
    lost: int
    gained: int
    reference_right: int

    def sentence(self) -> str:
        """Name and loss in words."""
        return f"attribute {self.name!r} loses {self.net} of {self.n} photos"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "variant_right": self.right}


def value_losses(
    reference: AttributesScores, other: AttributesScores, heads: Sequence[Head]
) -> tuple[ValueLoss, ...]:  # fmt: skip
    """What each attribute lost where its value is known, and each value of it; most photos lost first, of equals the larger share.

    Raises InputError for scores of different photos.
    """
    if not np.array_equal(reference.truth, other.truth):
        raise InputError(
            "expected the scores of two models on the same photos, got photos of which other things are known"
        )
    losses = []
    for column, head in enumerate(heads):
        truth = reference.truth[:, column]
        groups = [(head.name, truth != NOT_KNOWN)]
        groups += [(f"{head.name}{SEPARATOR}{value}", truth == place) for place, value in enumerate(head.values)]
        before, after = reference.right[:, column], other.right[:, column]
        losses += [_loss(name, before[photos], after[photos]) for name, photos in groups if photos.any()]
    return tuple(sorted(losses, key=lambda loss: (-loss.net, -loss.share)))


def _loss(name: str, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> ValueLoss:
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    return ValueLoss(name, len(before), lost, gained, int(before.sum()))
