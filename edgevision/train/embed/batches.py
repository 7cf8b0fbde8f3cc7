"""Batches for an embedder: several photos of each of a few products, some of them products that are easily confused.

What a batch holds is a function of the seed and its number alone, so that a run that goes on after a break gets the batches
it would have got. Which products are easily confused is therefore asked once, before the first step: see ``first_look``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgevision.preprocess.spec import Filter, PreprocessSpec
from edgevision.train.augment import Augmentation, augment
from edgevision.train.loader import PRODUCTS, LabelledPhotos, PhotoCache, generator, normalise, picture_generator

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ProductBatch:
    """``images`` N×3×S×S float32, channels last, prepared as the spec says; ``products`` int64 [N]: rows of the centres."""

    images: Tensor
    products: Tensor


@dataclass(frozen=True)
class Mixture:
    """How a batch of ``batch`` photos is put together: ``photos_per_product`` of each product, and ``hard_share`` of the products
    are look-alikes of the others."""

    batch: int
    photos_per_product: int
    hard_share: float

    @property
    def products(self) -> int:
        """Different products in a batch, where there are as many; at least 1."""
        return max(1, self.batch // self.photos_per_product)


class ProductOrder:
    """Which photos batch ``number`` holds: ``photos`` int64 [batch], places in the data set.

    ``products`` int64 [photos]: the product of each photo, 0…; every product has a photo. ``look_alikes`` int64 [products, k]: for each
    product, those that are most easily taken for it, itself not among them.
    """

    def __init__(self, products: Numbers, look_alikes: Numbers, mixture: Mixture, seed: int) -> None:
        self._photos_of = [np.flatnonzero(products == product) for product in range(int(products.max()) + 1)]
        self._share = np.array([len(own) for own in self._photos_of]) / len(products)
        self._look_alikes, self._mixture, self._seed = look_alikes, mixture, seed

    def photos(self, number: int) -> Numbers:
        """See the class. Products are drawn by how many photos they have; of a product with too few photos, some come again."""
        random = generator(self._seed, PRODUCTS, number)
        chosen = self._products(random)
        counts = np.full(len(chosen), self._mixture.batch // len(chosen))
        counts[: self._mixture.batch % len(chosen)] += 1
        return np.concatenate([_some(self._photos_of[p], n, random) for p, n in zip(chosen, counts, strict=True)])

    def _products(self, random: np.random.Generator) -> list[int]:
        """Different products: some drawn freely, the others from the look-alikes of those."""
        wanted = min(self._mixture.products, len(self._share))
        free = max(1, wanted - round(self._mixture.hard_share * wanted))
        chosen: list[int] = random.choice(len(self._share), free, replace=False, p=self._share).tolist()
        near = self._look_alikes[chosen].ravel() if self._look_alikes.size else np.zeros(0, np.int64)
        queue = [*random.permutation(near).tolist(), *random.permutation(len(self._share)).tolist()]
        for product in queue:  # all of them stand at its end, so that it never runs out
            if len(chosen) == wanted:
                break
            if product not in chosen:
                chosen.append(product)
        return chosen


class ProductBatchMaker:
    """Makes batch number ``i`` of the stream: the photos that ``order`` names, augmented."""

    def __init__(
        self, photos: LabelledPhotos, products: Numbers, order: ProductOrder, cache: PhotoCache, spec: PreprocessSpec,
        seed: int, augmentation: Augmentation,
    ) -> None:  # fmt: skip
        self._photos, self._products, self._order = photos, products, order
        self._cache, self._spec, self._seed, self._augmentation = cache, spec, seed, augmentation

    def make(self, number: int, size: int) -> ProductBatch:
        """Batch ``number`` with pictures of ``size``×``size`` pixels."""
        chosen = self._order.photos(number)
        antialias = self._spec.filter is Filter.TRIANGLE
        pictures = np.empty((len(chosen), size, size, 3), np.uint8)
        for row, photo in enumerate(chosen.tolist()):
            random = picture_generator(self._seed, number * len(chosen) + row)
            image = self._cache.read(self._photos.paths[photo])
            pictures[row] = augment(image, size, self._augmentation, random, antialias=antialias)
        return ProductBatch(normalise(pictures, self._spec), torch.from_numpy(self._products[chosen]))


def _some(photos: Numbers, count: int, random: np.random.Generator) -> Numbers:
    """``count`` of the photos, each once where there are as many, and then once more."""
    order = np.concatenate([random.permutation(photos) for _ in range(-(-count // len(photos)))])
    return order[:count]
