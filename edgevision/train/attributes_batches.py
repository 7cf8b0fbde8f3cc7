"""Batches for a model of attributes: pictures, and of each attribute the value, where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgevision.preprocess.spec import Filter, PreprocessSpec
from edgevision.train.augment import Augmentation, augment
from edgevision.train.loader import PhotoCache, PhotoOrder, normalise, picture_generator


@dataclass(frozen=True, eq=False)
class AttributesBatch:
    """``images`` N×3×S×S float32, channels last, prepared as the spec says; ``values`` int64 N×heads: places among each attribute's
    values, or ``attributes_scores.NOT_KNOWN``."""

    images: Tensor
    values: Tensor


class AttributesBatchMaker:
    """Makes batch number ``i`` of the stream. Photos are not mixed with each other: what is known of one may not be known of the other."""

    def __init__(
        self, paths: Sequence[Path], values: npt.NDArray[np.int64], cache: PhotoCache, spec: PreprocessSpec, batch: int,
        seed: int, augmentation: Augmentation,
    ) -> None:  # fmt: skip
        self._paths, self._values = paths, values
        self._cache, self._spec, self._batch, self._seed = cache, spec, batch, seed
        self._augmentation = augmentation
        self.order = PhotoOrder(len(paths), batch, seed)

    def make(self, number: int, size: int) -> AttributesBatch:
        """Batch ``number`` with pictures of ``size``×``size`` pixels."""
        pictures = np.empty((self._batch, size, size, 3), np.uint8)
        indices = []
        for row, position in enumerate(self.order.positions(number)):
            indices.append(self.order.photo(position))
            pictures[row] = augment(
                self._cache.read(self._paths[indices[-1]]), size, self._augmentation,
                picture_generator(self._seed, position), antialias=self._spec.filter is Filter.TRIANGLE,
            )  # fmt: skip
        return AttributesBatch(normalise(pictures, self._spec), torch.from_numpy(self._values[indices]))
