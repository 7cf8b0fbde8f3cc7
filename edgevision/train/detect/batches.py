"""From photos with boxes to training batches: functions of the seed, the batch's number and how far the run is, alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.train.detect.assign import PADDING, Targets
from edgevision.train.detect.augment import BoxAugmentation, augment_boxed
from edgevision.train.loader import PhotoCache, PhotoOrder, normalise, picture_generator


@dataclass(frozen=True, eq=False)
class BoxBatch:
    """``images`` N×3×S×S float32, channels last, prepared as the spec says; ``targets``: what is marked in each."""

    images: Tensor
    targets: Targets


class BoxBatchMaker:
    """Makes batch number ``i`` of the stream. All photos of ``dataset`` have ``boxes``."""

    def __init__(
        self, dataset: Dataset, cache: PhotoCache, spec: PreprocessSpec, batch: int, seed: int,
        augmentation: BoxAugmentation,
    ) -> None:  # fmt: skip
        self._paths, self._truths = dataset.paths, marked(dataset)
        self._cache, self._spec, self._batch, self._seed = cache, spec, batch, seed
        self._augmentation = augmentation
        self._order = PhotoOrder(len(dataset), batch, seed)

    def make(self, number: int, size: int, progress: float) -> BoxBatch:
        """Batch ``number`` with pictures of ``size``×``size`` pixels, at ``progress`` 0…1 of the run: mosaics end early."""
        pictures = np.empty((self._batch, size, size, 3), np.uint8)
        boxes, classes = [], []
        for row, position in enumerate(self._order.positions(number)):
            random = picture_generator(self._seed, position)
            photos = [self._order.photo(position)]
            if progress < self._augmentation.mosaic_until and random.random() < self._augmentation.mosaic:
                photos += random.integers(0, len(self._paths), 3).tolist()
            pictures[row], own_boxes, own_classes = augment_boxed(
                [self._cache.read(self._paths[photo]) for photo in photos], [self._truths[photo] for photo in photos],
                size, self._augmentation, self._spec.pad_value, random,
            )  # fmt: skip
            boxes.append(own_boxes)
            classes.append(own_classes)
        return BoxBatch(normalise(pictures, self._spec), padded_targets(boxes, classes))


def marked(dataset: Dataset) -> tuple[PhotoBoxes, ...]:
    """The boxes of every photo. All can be read, so that all have them."""
    found = tuple(photo.boxes for photo in dataset if photo.boxes is not None)
    assert len(found) == len(dataset)
    return found


def padded_targets(
    boxes: Sequence[npt.NDArray[np.float32]], classes: Sequence[npt.NDArray[np.int64]]
) -> Targets:  # fmt: skip
    """Boxes [n, 4] and classes [n] of each picture → ``Targets``, padded to the most, at least 1.

    >>> boxes = [np.zeros((0, 4), np.float32), np.ones((2, 4), np.float32)]
    >>> padded_targets(boxes, [np.zeros(0, np.int64), np.array([3, 1])]).classes.tolist()
    [[-2, -2], [3, 1]]
    """
    most = max(1, *(len(own) for own in classes))
    all_boxes = np.zeros((len(boxes), most, 4), np.float32)
    all_classes = np.full((len(boxes), most), PADDING, np.int64)
    for row, (own_boxes, own_classes) in enumerate(zip(boxes, classes, strict=True)):
        all_boxes[row, : len(own_boxes)] = own_boxes
        all_classes[row, : len(own_classes)] = own_classes
    return Targets(torch.from_numpy(all_boxes), torch.from_numpy(all_classes))
