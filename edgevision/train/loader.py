"""From photos to training batches.

Which photos a batch holds, and how each is augmented, are functions of the seed and the batch's number alone: a run
that goes on after a break gets the batches it would have got. One background thread works ahead; OpenCV leaves the
interpreter lock while it does.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgevision.decode import read_image, resize_to_fit
from edgevision.frames import ImageArray
from edgevision.preprocess.spec import ColorOrder, Filter, PreprocessSpec
from edgevision.tasks.results import Label
from edgevision.train.augment import Augmentation, augment
from edgevision.train.mix import mix

Made = TypeVar("Made")
KEPT_SCALE = 2.0  # photos are kept at up to this many times the model's size: crops then need no enlarging
_WORK_AHEAD = 4  # batches

# What a random generator is for; with the seed and a number it gives the generator's own seed.
_ORDER, _AUGMENT, _MIX, _NETWORK, PRODUCTS, _OOD_ORDER, _OOD_AUGMENT = range(7)


@dataclass(frozen=True, eq=False)
class Batch:
    """``images`` N×3×S×S float32, channels last, prepared as the spec says; ``targets`` N×classes float32, rows sum to
    1. The last ``ood`` rows are photos of none of the classes."""

    images: Tensor
    targets: Tensor
    ood: int = 0


class LabelledPhotos(Protocol):
    """What is learnt from: a ``Dataset``, or photos in memory."""

    @property
    def paths(self) -> Sequence[Path | bytes]:
        """Files, or encoded photos themselves."""

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """Class index of each photo, int64 [n]."""

    @property
    def labels(self) -> Sequence[Label] | None:
        """The classes, in the order of the network's outputs."""


class PhotoCache:
    """Decoded photos, H×W×3 uint8 BGR, at most ``max_side`` pixels long; kept in memory while they fit.

    Several threads may read at a time.
    """

    def __init__(self, max_side: int, max_bytes: int) -> None:
        self._max_side, self._free_bytes = max_side, max_bytes
        self._kept: dict[Path | bytes, ImageArray] = {}
        self._lock = threading.Lock()

    def read(self, source: Path | bytes) -> ImageArray:
        """The photo: a file, or an encoded photo itself. Raises ImageError, which names the file."""
        if (kept := self._kept.get(source)) is not None:
            return kept
        image = resize_to_fit(read_image(source), self._max_side)
        with self._lock:
            if image.nbytes <= self._free_bytes and source not in self._kept:
                self._free_bytes -= image.nbytes
                self._kept[source] = image
        return image


def default_cache_bytes() -> int:
    """A quarter of the machine's memory, at most 2 GiB."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not every system tells
        total = 4 << 30
    return min(2 << 30, total // 4)


def cache_for(size: int, megabytes: int | None) -> PhotoCache:
    """A cache for photos of a network of ``size`` pixels; ``megabytes`` None = ``default_cache_bytes``."""
    return PhotoCache(round(KEPT_SCALE * size), default_cache_bytes() if megabytes is None else megabytes << 20)


class PhotoOrder:
    """The endless stream of ``count`` photos that batches are cut from: all of them in random order, again and again.

    Each pass over the photos has an order of its own; passes follow each other without a gap, so that every batch is
    full even where there are fewer photos than places.
    """

    def __init__(self, count: int, batch: int, seed: int, purpose: int = _ORDER) -> None:
        self._count, self._batch, self._seed, self._purpose = count, batch, seed, purpose
        self._order = lru_cache(maxsize=4)(self._new_order)

    def positions(self, number: int) -> range:
        """Places of batch ``number`` in the stream."""
        return range(number * self._batch, (number + 1) * self._batch)

    def photo(self, position: int) -> int:
        """Index of the photo at a place in the stream."""
        return int(self._order(position // self._count)[position % self._count])

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        return generator(self._seed, self._purpose, epoch).permutation(self._count)


class BatchMaker:
    """Makes batch number ``i`` of the stream, for a classifier. After its ``batch`` photos come ``ood_batch`` of ``ood``, which are of none of the
    classes and are not mixed. The ``batch`` photos are the same with them and without."""

    def __init__(
        self, dataset: LabelledPhotos, cache: PhotoCache, spec: PreprocessSpec, batch: int, seed: int,
        augmentation: Augmentation, mixup: float = 0.0, cutmix: float = 0.0, ood: Sequence[Path | bytes] = (), ood_batch: int = 0,
    ) -> None:  # fmt: skip
        self._paths, self._truth = dataset.paths, dataset.truth
        self._classes = len(dataset.labels or ())
        self._cache, self._spec, self._batch, self._seed = cache, spec, batch, seed
        self._augmentation, self._mixup, self._cutmix = augmentation, mixup, cutmix
        self.order = PhotoOrder(len(self._truth), batch, seed)
        self._ood, self._ood_batch = ood, ood_batch if ood else 0
        self._ood_order = PhotoOrder(len(ood), ood_batch, seed, _OOD_ORDER)

    @property
    def rows(self) -> int:
        """Of a batch."""
        return self._batch + self._ood_batch

    def make(self, number: int, size: int) -> Batch:
        """Batch ``number`` with pictures of ``size``×``size`` pixels."""
        positions = self.order.positions(number)
        indices = [self.order.photo(position) for position in positions]
        images = self._prepared([self._paths[index] for index in indices], positions, _AUGMENT, size)
        targets = torch.nn.functional.one_hot(torch.from_numpy(self._truth[indices]), self._classes).float()
        images, targets = mix(images, targets, generator(self._seed, _MIX, number), self._mixup, self._cutmix)
        if not self._ood_batch:
            return Batch(images, targets)
        positions = self._ood_order.positions(number)
        paths = [self._ood[self._ood_order.photo(position)] for position in positions]
        unknown = self._prepared(paths, positions, _OOD_AUGMENT, size)
        none = torch.full((len(paths), self._classes), 1 / self._classes)
        both = torch.cat([images, unknown]).contiguous(memory_format=torch.channels_last)
        return Batch(both, torch.cat([targets, none]), len(paths))

    def _prepared(self, paths: Sequence[Path | bytes], positions: range, purpose: int, size: int) -> Tensor:
        """These photos, each augmented as its place in the stream says."""
        pictures = np.empty((len(paths), size, size, 3), np.uint8)
        antialias = self._spec.filter is Filter.TRIANGLE
        for row, (path, position) in enumerate(zip(paths, positions, strict=True)):
            random = generator(self._seed, purpose, position)
            pictures[row] = augment(self._cache.read(path), size, self._augmentation, random, antialias=antialias)
        return normalise(pictures, self._spec)


def generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """A random generator of its own for each purpose and number."""
    return np.random.default_rng((seed, purpose, number))


def picture_generator(seed: int, position: int) -> np.random.Generator:
    """What the picture at a place in the stream is augmented with."""
    return generator(seed, _AUGMENT, position)


def network_seed(seed: int, number: int) -> int:
    """What PyTorch's generator is seeded with before batch ``number``: for dropout and the like."""
    return int(np.random.SeedSequence((seed, _NETWORK, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def normalise(pictures: npt.NDArray[np.uint8], spec: PreprocessSpec) -> Tensor:
    """N×S×S×3 uint8 BGR → N×3×S×S float32 in the spec's colour order, mean and std; channels last in memory."""
    if spec.color is ColorOrder.RGB:
        pictures = np.ascontiguousarray(pictures[..., ::-1])
    count, height, width, channels = pictures.shape
    rows = (
        torch.from_numpy(pictures).float().view(count, height, width * channels)
    )  # whole rows: loops of three are slow
    rows.sub_(torch.tensor(spec.mean).repeat(width)).div_(torch.tensor(spec.std).repeat(width))
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)


def work_ahead(make: Callable[[int], Made], first: int) -> Generator[Made, None, None]:
    """Batches ``first``, ``first + 1``, … without end, made in a thread, a few ahead of what is asked for.

    Close the iterator to stop the thread.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="edgevision-batches")
    waiting: deque[Future[Made]] = deque()
    try:
        for number in itertools.count(first):
            waiting.append(thread.submit(make, number))
            if len(waiting) > _WORK_AHEAD:
                yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
