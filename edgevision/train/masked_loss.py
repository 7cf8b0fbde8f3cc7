"""The loss of a model of attributes: of each attribute the cross-entropy, over the photos where its value is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from edgevision.evaluate.tasks.attributes_scores import NOT_KNOWN
from edgevision.tasks.attributes import Head


def attributes_loss(
    logits: Tensor, values: Tensor, heads: Sequence[Head], weights: Sequence[Tensor], smoothing: float
) -> Tensor:
    """Mean over the heads that are known of any photo of the batch; 0 where none is.

    ``logits`` N×columns, ``values`` int64 N×heads with ``NOT_KNOWN`` where nobody knows it; ``weights``: of each head, what each value
    counts (``value_weights``). ``smoothing``: share of a target that is spread over all values of its head.
    """
    losses = [
        functional.cross_entropy(
            logits[:, head.columns].float(),
            values[:, column],
            weight,
            ignore_index=NOT_KNOWN,
            label_smoothing=smoothing,
        )
        for column, (head, weight) in enumerate(zip(heads, weights, strict=True))
        if bool((values[:, column] != NOT_KNOWN).any())
    ]
    return torch.stack(losses).mean() if losses else 0.0 * logits.sum()


def value_weights(values: npt.NDArray[np.int64], count: int, balance: float) -> npt.NDArray[np.float32]:
    """What each of the ``count`` values of a head counts in the loss, float32 [count]: n⁻ᵇ for a value that n photos have, with b =
    ``balance`` 0…1, scaled so that the mean over the photos is 1. ``values`` int64 [n], ``NOT_KNOWN`` where nobody knows it.

    A value that no photo has counts as one that one photo has: it is in no target, but in what is smoothed.

    >>> value_weights(np.array([0, 0, 0, 0, 1, -1]), 2, 0.5).round(3).tolist()
    [0.833, 1.667]
    """
    known = values[values != NOT_KNOWN]
    photos = np.bincount(known, minlength=count).astype(np.float64)
    weights = np.maximum(photos, 1.0) ** -balance
    return np.asarray(weights * max(len(known), 1) / max(float((photos * weights).sum()), 1e-12), np.float32)
