"""The photos that travel in a checkpoint, so that it can be compiled with nothing else at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgevision.decode import read_image, resize_to_fit
from edgevision.evaluate.data.dataset import Dataset, split_by_content
from edgevision.train.checkpoint import PackedPhoto, PhotoPack

PACK_BYTES = 8_000_000
JPEG_QUALITY = 92
SIDE_SCALE = 1.25  # longest side, in the model's sizes: enough for any fit, and for what rounding moves


def make_pack(train: Dataset, val: Dataset | None, size: int, max_bytes: int = PACK_BYTES) -> PhotoPack:
    """Choose and shrink photos: half of the bytes to calibrate on, half to validate with.

    With ``val`` (photos the network has not learnt from), half of it by content validates; the other half
    calibrates, together with training photos (``in_training_set``), in equal shares. Without, both halves come from the training
    photos, and all are ``in_training_set``. Photos are divided by content, and chosen class by class in the order of their hashes: the same
    photos give the same pack, whatever their names.
    """
    half = max_bytes // 2
    if val is None or len(val) < 2:
        calibration, validation = split_by_content(train)
        return PhotoPack(
            _choose(calibration, size, half, in_training_set=True),
            _choose(validation, size, half, in_training_set=True),
        )
    learnt = set(train.content_hashes)
    fresh = val.select([i for i, content in enumerate(val.content_hashes) if content not in learnt])
    if len(fresh) < 2:
        return make_pack(train, None, size, max_bytes)
    kept, validation = split_by_content(fresh)
    unseen = _choose(kept, size, half // 2, in_training_set=False)
    left = half - sum(len(photo.data) for photo in unseen)
    return PhotoPack(
        _choose(train, size, left, in_training_set=True) + unseen,
        _choose(validation, size, half, in_training_set=False),
    )


def encode_photo(path: Path, size: int) -> bytes:
    """JPEG of a photo with a longest side of at most 1.25 × ``size`` pixels; its own bytes where those are fewer."""
    import cv2

    original = path.read_bytes()
    image = resize_to_fit(read_image(original), round(SIDE_SCALE * size))
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    encoded = data.tobytes() if done else original
    return original if len(original) <= len(encoded) else encoded


def _choose(dataset: Dataset, size: int, max_bytes: int, *, in_training_set: bool) -> tuple[PackedPhoto, ...]:
    """One photo of each class, then another of each, until ``max_bytes`` are full."""
    chosen, hashes = [], dataset.content_hashes
    for index in _round_robin(dataset.truth.tolist(), hashes):
        data = encode_photo(dataset.paths[index], size)
        if len(data) > max_bytes:
            break
        max_bytes -= len(data)
        chosen.append(PackedPhoto(data, int(dataset.truth[index]), in_training_set, hashes[index]))
    return tuple(chosen)


def _round_robin(classes: Sequence[int], hashes: Sequence[str]) -> Iterator[int]:
    """Indices: the first of each class, then the second of each, …; within a class and a round by hash."""
    of_class: dict[int, list[int]] = defaultdict(list)
    for index in np.argsort(np.array(hashes), kind="stable").tolist():
        of_class[classes[index]].append(index)
    for turn in range(max(map(len, of_class.values()), default=0)):
        yield from sorted((found[turn] for found in of_class.values() if turn < len(found)), key=lambda i: hashes[i])
