"""Golden frames: which pictures a bundle stores, and what its variants answer to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevision.bundle.golden import shrink
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.select.run_photos import run_all
from edgevision.compiler.variants import Variant
from edgevision.decode import encode_png, read_image, resize_to_fit
from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import GoldenWorth
from edgevision.evaluate.data.folders import PHOTO_SUFFIXES
from edgevision.frames import ImageArray
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.tasks.base import golden_part
from edgevision.tensors import Outputs

COUNT = 4
MAX_FRAME_BYTES = 28_000  # of a frame's PNG: with the outputs of three variants of a detector, less than 200 kB
_SHRINK_BY = 0.85  # from try to try
_COARSE_LEVELS = 8  # grey levels that become one: most of a photo's PNG is the noise of its last bits
_COLOR_LEVELS = 32.0  # grey levels between blue and red that count as fully coloured


@dataclass(frozen=True, eq=False)
class Golden:
    """The golden frames and the answers (digests) to them by variant id; ``reference`` is float's."""

    frames: tuple[ImageArray, ...]
    reference: Outputs
    answers: Mapping[str, Outputs]


def choose_golden(images: Iterable[ImageArray], worth: GoldenWorth, n: int = COUNT) -> list[int]:
    """Choose the ``n`` photos (fewer if there are fewer) that tell most, as indices, best first.

    ``images``: H×W×3 uint8 BGR, one at a time; ``worth``: of each, by float's answers. Best is a picture

    - whose answer is clear, with room to spare, so that a sound device does not turn it;
    - whose answer moves where something is wrong: a saturated one hides a wrong filter or a lost normalisation;
    - in which blue and red differ, so that swapped colours show;

    and the choice goes through the groups in turn. The same photos always give the same choice. Raises InputError where
    there is not one worth for each image.
    """
    color = np.array([_color_difference(image) for image in images])
    if len(color) != len(worth.clear) or n < 1:
        raise InputError(f"expected the worth of each of {len(color)} photos, got that of {len(worth.clear)}")
    # A product: colour shows only where the answer can still move.
    score = np.where(worth.clear, 2.0, 0.0) + worth.sensitivity * (1 + np.minimum(1, color / _COLOR_LEVELS))
    ranked = np.argsort(-score, kind="stable")
    chosen_of: dict[int, int] = {}  # group → photos of it so far
    turns = []
    for place, i in enumerate(ranked):
        group = int(worth.group[i])
        turns.append((chosen_of.get(group, 0), place, int(i)))
        chosen_of[group] = chosen_of.get(group, 0) + 1
    return [i for _, _, i in sorted(turns)[:n]]


def pick_golden(images: Sequence[ImageArray], worth: GoldenWorth | None) -> tuple[ImageArray, ...]:
    """Choose the golden frames among photos; without photos (``--skip-validation``), coloured noise that any model can
    see."""
    if images and worth is not None:
        return tuple(storable(images[i]) for i in choose_golden(images, worth))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
    return tuple(np.ascontiguousarray(np.kron(c, np.ones((32, 32, 1), np.uint8))) for c in coarse)


def read_golden(folder: Path) -> tuple[ImageArray, ...]:
    """The first pictures, by name, of the folder the user gave as ``--golden``. Raises DataError when it has none."""
    if not folder.is_dir():
        raise DataError(f"--golden expects a folder of pictures, got {folder}")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    if not files:
        raise DataError(f"--golden {folder} holds no pictures ({' '.join(sorted(PHOTO_SUFFIXES))})")
    return tuple(storable(read_image(path)) for path in files[:COUNT])


def storable(image: ImageArray) -> ImageArray:
    """The picture as it is stored: as large as ``MAX_FRAME_BYTES`` of PNG allow, 512 pixels a side at most.

    Photos lose their last bits before they lose pixels. Outputs are computed on the result, so that nothing is lost between
    the two.
    """
    small = shrink(image)
    if len(encode_png(small)) <= MAX_FRAME_BYTES:
        return small
    side = max(small.shape[:2])
    coarse = _coarse(small)
    while len(encode_png(coarse)) > MAX_FRAME_BYTES:
        side = int(_SHRINK_BY * side)
        coarse = _coarse(resize_to_fit(small, side))
    return coarse


def _coarse(image: ImageArray) -> ImageArray:
    """Every ``_COARSE_LEVELS`` grey levels become the middle one of them."""
    return np.asarray(image // _COARSE_LEVELS * _COARSE_LEVELS + _COARSE_LEVELS // 2, np.uint8)


def run_golden(
    frames: Sequence[ImageArray], found: Sequence[Variant], reference: Variant, spec: PreprocessSpec,
    measure: AnswerMeasure,
) -> Golden:  # fmt: skip
    """Run float and every variant on the golden frames."""
    tensors = Preprocessor(spec).batch(frames)
    answers: dict[str, Outputs] = {}
    for variant in {variant.id: variant for variant in (reference, *found)}.values():
        with variant.open(1) as engine:
            (digest,) = run_all({variant.id: engine}, [tensors], measure).values()
            answers[variant.id] = golden_part(measure.evaluator.task, digest)
    return Golden(tuple(frames), answers[reference.id], answers)


def _color_difference(image: ImageArray) -> float:
    """Mean difference of blue and red, in grey levels, on every fourth pixel each way."""
    sample = image[::4, ::4].astype(np.int16)
    return float(np.abs(sample[..., 0] - sample[..., 2]).mean())
