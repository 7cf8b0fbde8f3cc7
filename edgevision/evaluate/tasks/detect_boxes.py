"""Boxes of digests and truths, brought to the same pixels: those of the photo, or of the tensor where no photo is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError, UnreadableOutputError
from edgevision.evaluate.base import Truth, Truths
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.statistics.average_precision import Found, Marked
from edgevision.preprocess.geometry import Region, place
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import View
from edgevision.tasks.detect.task import BOXES, CLASSES, SCORES
from edgevision.tasks.results import FrameId
from edgevision.tensors import Outputs


class TensorBoxes(NamedTuple):
    """A model's own boxes as a truth, in pixels of the tensor: nothing is known of the photo. A value that can be hashed."""

    boxes: tuple[Box, ...]


def view_of(preprocess: PreprocessSpec, height: int, width: int) -> View:
    """How a photo of ``height`` × ``width`` pixels lies in the tensor."""
    whole = Region(0, 0, width, height)
    return View(FrameId(), height, width, whole, place(preprocess, height, width), preprocess.height, preprocess.width)


def checked_digest(digest: Outputs) -> Outputs:
    """The digest, if it is a detector's. Raises UnreadableOutputError for numbers that are none, InputError for other arrays."""
    wanted = (BOXES, SCORES, CLASSES)
    if any(role not in digest for role in wanted):
        raise InputError(f"expected the digest of a detector, with {', '.join(wanted)}; got {sorted(digest)}")
    n, k = digest[SCORES].shape
    if digest[BOXES].shape != (n, k, 4) or digest[CLASSES].shape != (n, k):
        shapes = [digest[role].shape for role in wanted]
        raise InputError(f"expected boxes [n, k, 4], scores [n, k] and classes [n, k], got {shapes}")
    broken = ~np.isfinite(digest[BOXES]).all(axis=(1, 2)) | ~np.isfinite(digest[SCORES]).all(axis=1)
    if broken.any():
        raise UnreadableOutputError(
            f"the network's boxes hold NaN or infinite values for {int(broken.sum())} of {n} photos; the graph or its input is broken"
        )
    return digest


def found_in_tensor(digest: Outputs, item: int) -> Found:
    """The boxes of one photo, best first, in pixels of the tensor."""
    rows = digest[CLASSES][item] >= 0
    return Found(
        digest[BOXES][item][rows].astype(np.float64),
        digest[SCORES][item][rows],
        digest[CLASSES][item][rows].astype(np.int64),
    )


def found_boxes(digest: Outputs, truth: Sequence[Truth | None], preprocess: PreprocessSpec | None) -> list[Found]:
    """The boxes of each photo, in the pixels of its truth. In photos they end at the photo's edge, as results do, and those
    outside are left out. Without a ``preprocess`` spec the photos are taken to have the tensor's pixels.

    Raises InputError where there is not one truth for each photo, and as ``checked_digest`` does.
    """
    if len(truth) != len(checked_digest(digest)[SCORES]):
        raise InputError(f"expected a truth for each of {len(digest[SCORES])} photos, got {len(truth)}")
    found = []
    for item, one in enumerate(truth):
        own = found_in_tensor(digest, item)
        if isinstance(one, PhotoBoxes) and preprocess is not None:
            own = _in_photo(own, view_of(preprocess, one.height, one.width))
        found.append(own)
    return found


def marked_boxes(truths: Truths, classes: int) -> list[Marked]:
    """The truths as arrays. Raises InputError for a truth that is not a detector's, or of other classes."""
    marked = []
    for one in truths:
        if not isinstance(one, (PhotoBoxes, TensorBoxes)):
            raise InputError(f"expected the boxes of each photo, got {type(one).__name__}")
        labels = np.array([box.label for box in one.boxes], np.int64)
        if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
            raise InputError(f"expected boxes of classes 0…{classes - 1}, got {labels.min()}…{labels.max()}")
        marked.append(
            Marked(
                np.array([box[1:5] for box in one.boxes], np.float64).reshape(-1, 4),
                labels,
                np.array([box.crowd for box in one.boxes], np.bool_),
                np.array([box.pixels for box in one.boxes], np.float64),
            )
        )
    return marked


def kept(found: Found, thresholds: npt.NDArray[np.float32]) -> Found:
    """The boxes above the thresholds of their classes: what a user sees."""
    above = found.scores > thresholds[found.classes]
    return Found(found.boxes[above], found.scores[above], found.classes[above])


def _in_photo(found: Found, view: View) -> Found:
    corners = view.to_frame(found.boxes.reshape(-1, 2, 2))
    boxes = np.clip(corners, (0, 0), (view.width, view.height)).reshape(-1, 4)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Found(boxes[inside], found.scores[inside], found.classes[inside])
