"""The photos that travel in a checkpoint, so that it can be compiled with nothing else at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgevision.decode import read_image, resize_to_fit
from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.data.splits import class_of_each, split_by_content
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
    return _encoded(path, size)[0]


def _encoded(path: Path, size: int) -> tuple[bytes, tuple[int, int]]:
    """See ``encode_photo``; and the height and width of the picture."""
    import cv2

    original = path.read_bytes()
    whole = read_image(original)
    image = resize_to_fit(whole, round(SIDE_SCALE * size))
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if done and len(data) < len(original):
        return data.tobytes(), image.shape[:2]
    return original, whole.shape[:2]


def resized_boxes(truth: PhotoBoxes, height: int, width: int) -> PhotoBoxes:
    """The same products in a copy of the photo that has ``height`` × ``width`` pixels.

    >>> resized_boxes(PhotoBoxes(100, 200, (Box(0, 10, 20, 30, 60, area=400.0),)), 50, 100).boxes[0]
    Box(label=0, x1=5.0, y1=10.0, x2=15.0, y2=30.0, crowd=False, area=100.0)
    """
    across, down = width / truth.width, height / truth.height
    boxes = (
        box._replace(
            x1=box.x1 * across, y1=box.y1 * down, x2=box.x2 * across, y2=box.y2 * down,
            area=None if box.area is None else box.area * across * down,
        )
        for box in truth.boxes
    )  # fmt: skip
    return PhotoBoxes(height, width, tuple(boxes))


def _choose(dataset: Dataset, size: int, max_bytes: int, *, in_training_set: bool) -> tuple[PackedPhoto, ...]:
    """One photo of each class, then another of each, until ``max_bytes`` are full."""
    chosen, hashes = [], dataset.content_hashes
    for index in _round_robin(class_of_each(dataset), hashes):
        photo = dataset.photos[index]
        data, (height, width) = _encoded(photo.path, size)
        if len(data) > max_bytes:
            break
        max_bytes -= len(data)
        boxes = None if photo.boxes is None else resized_boxes(photo.boxes, height, width)
        chosen.append(PackedPhoto(data, photo.label, in_training_set, hashes[index], boxes, photo.attributes))
    return tuple(chosen)


def _round_robin(classes: Sequence[int], hashes: Sequence[str]) -> Iterator[int]:
    """Indices: the first of each class, then the second of each, …; within a class and a round by hash."""
    of_class: dict[int, list[int]] = defaultdict(list)
    for index in np.argsort(np.array(hashes), kind="stable").tolist():
        of_class[classes[index]].append(index)
    for turn in range(max(map(len, of_class.values()), default=0)):
        yield from sorted((found[turn] for found in of_class.values() if turn < len(found)), key=lambda i: hashes[i])
