"""A model over a whole data set: photos are decoded in the background while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from edgevision.decode import read_image
from edgevision.errors import DataError
from edgevision.evaluate.dataset import Dataset, Photo
from edgevision.frames import ImageArray

BATCHES_AHEAD = 2  # bounds memory: decoded photos are large


def predict_dataset(
    probabilities: Callable[[list[ImageArray]], npt.NDArray[np.floating]],
    dataset: Dataset,
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float64]:
    """What ``probabilities`` says of each photo, float64 [n, classes], in the photos' order.

    ``probabilities`` takes up to ``batch`` H×W×3 uint8 BGR pictures, of any sizes, and returns [pictures, classes].
    ``progress(done, n)`` is called after each batch. Raises ImageError naming a photo that cannot be read, and
    DataError for an empty data set.
    """
    if not len(dataset):
        raise DataError(f"expected photos in {dataset.source}, got none")
    if batch < 1:
        raise DataError(f"expected a batch of at least 1 photo, got {batch}")
    batches = [dataset.photos[start : start + batch] for start in range(0, len(dataset), batch)]
    answers: list[npt.NDArray[np.float64]] = []
    done = 0
    with ThreadPoolExecutor(1, thread_name_prefix="edgevision-decode") as executor:
        ahead: deque[Future[list[ImageArray]]] = deque()
        try:
            for index in range(len(batches)):
                while len(ahead) <= BATCHES_AHEAD and index + len(ahead) < len(batches):
                    ahead.append(executor.submit(_decode, batches[index + len(ahead)]))
                pictures = ahead.popleft().result()
                answer = np.asarray(probabilities(pictures), dtype=np.float64)
                classes = answers[0].shape[1] if answers else answer.shape[-1]
                if answer.shape != (len(pictures), classes):
                    raise DataError(
                        f"expected {len(pictures)} rows of {classes} probabilities from the model, got {answer.shape}"
                    )
                answers.append(answer)
                done += len(pictures)
                if progress is not None:
                    progress(done, len(dataset))
        finally:
            for future in ahead:
                future.cancel()
    return np.concatenate(answers)


def _decode(photos: Sequence[Photo]) -> list[ImageArray]:
    return [read_image(photo.path) for photo in photos]
