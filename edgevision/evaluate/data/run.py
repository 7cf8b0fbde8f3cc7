"""A model over a whole data set: photos are decoded in the background while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.decode import read_image
from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, Photo
from edgevision.frames import ImageArray
from edgevision.tensors import Outputs, joined

BATCHES_AHEAD = 2  # bounds memory: decoded photos are large


def predict_dataset(
    digest: Callable[[Sequence[ImageArray]], Outputs],
    dataset: Dataset,
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """What ``digest`` keeps of each photo: arrays [n, …] by name, in the photos' order, as ``Task.digest`` has them.

    ``digest`` takes up to ``batch`` H×W×3 uint8 BGR pictures, of any sizes, and returns the same names each time, with
    one item for each picture. ``progress(done, n)`` is called after each batch. Raises ImageError naming a photo that
    cannot be read, and DataError for an empty data set, or for arrays of other names or shapes.

    >>> predict_dataset(model.digest, read_dataset("photos/"))["scores"].shape  # doctest: +SKIP
    (296, 1000)
    """
    if not len(dataset):
        raise DataError(f"expected photos in {dataset.source}, got none")
    if batch < 1:
        raise DataError(f"expected a batch of at least 1 photo, got {batch}")
    batches = [dataset.photos[start : start + batch] for start in range(0, len(dataset), batch)]
    parts: list[dict[str, npt.NDArray[Any]]] = []
    done = 0
    with ThreadPoolExecutor(1, thread_name_prefix="edgevision-decode") as executor:
        ahead: deque[Future[list[ImageArray]]] = deque()
        try:
            for index in range(len(batches)):
                while len(ahead) <= BATCHES_AHEAD and index + len(ahead) < len(batches):
                    ahead.append(executor.submit(_decode, batches[index + len(ahead)]))
                pictures = ahead.popleft().result()
                part = {name: np.asarray(array) for name, array in digest(pictures).items()}
                _check(part, len(pictures), parts[0] if parts else part)
                parts.append(part)
                done += len(pictures)
                if progress is not None:
                    progress(done, len(dataset))
        finally:
            for future in ahead:
                future.cancel()
    return joined(parts)


def _check(part: Outputs, pictures: int, first: Outputs) -> None:
    """Refuse what cannot be put after ``first``, or has not one item for each picture."""
    expected = {name: (pictures, *array.shape[1:]) for name, array in first.items()}
    got = {name: array.shape for name, array in part.items()}
    if got != expected or not got:
        raise DataError(
            f"expected from the model, for {pictures} photos, arrays with these names and shapes: {expected}, got {got}"
        )


def _decode(photos: Sequence[Photo]) -> list[ImageArray]:
    return [read_image(photo.path) for photo in photos]
