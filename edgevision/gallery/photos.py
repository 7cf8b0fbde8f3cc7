"""Learning products from photos: each is judged, embedded in batches, and told of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgevision.decode import to_frame
from edgevision.errors import GalleryError, ImageError
from edgevision.files import read_regular
from edgevision.frames import Frame
from edgevision.gallery.blur import blur_of
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.sources import MAX_PHOTO_BYTES, source_of_bytes
from edgevision.gallery.vectors import Vectors, unit_rows
from edgevision.gallery.view_choice import MOST_BLUR, Judgement, Verdict, ViewChoice
from edgevision.tracking.luma import luma

SAME_PICTURE = 1e-3  # 1 - cosine: nearer photos are one photo, saved twice
_BATCH = 16  # photos decoded at once


class Embedder(Protocol):
    """What makes vectors of pictures: a ``Model`` whose task is ``embed``."""

    @property
    def id(self) -> str:
        """The bundle's."""

    def predict(self, x: Any, /) -> Any:
        """A list of ``tasks.embedding.Embedding`` for a list of frames."""


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """``vector``: [d] float32 of length 1. ``blur``: see ``blur_of``."""

    path: Path
    source: str
    vector: Vectors
    blur: float


@dataclass(frozen=True)
class PhotoOutcome:
    """What became of a photo. ``like``: the product that it was taken for, or whose example it is."""

    path: Path
    verdict: Verdict
    like: GalleryProduct | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        like = None if self.like is None else self.like.to_dict()
        return {"photo": str(self.path), "verdict": self.verdict.value, "like": like}


@dataclass(frozen=True, eq=False)
class ChosenPhotos:
    """The photos to keep of a product, and what became of each that was given."""

    taken: tuple[EmbeddedPhoto, ...]
    outcomes: tuple[PhotoOutcome, ...]


def embed_photos(
    embedder: Embedder,
    paths: Sequence[Path],
    tell: Callable[[int], object] = lambda done: None,
    on_bad: Callable[[Path, ImageError], object] | None = None,
) -> Iterator[EmbeddedPhoto]:
    """Each photo with its vector, in their order. ``tell`` hears how many are done. ``on_bad`` hears of those that cannot be read, which are
    left out; where it is None, the first raises ImageError."""
    for start in range(0, len(paths), _BATCH):
        part = paths[start : start + _BATCH]
        read = list(_readable(part, on_bad))
        results = embedder.predict([frame for _, _, frame in read]) if read else []
        for (path, source, frame), result in zip(read, results, strict=True):
            (unit,) = unit_rows(result.vector, len(result.vector))
            yield EmbeddedPhoto(path, source, unit, blur_of(luma(frame)))
        tell(start + len(part))


def owners_of_pictures(gallery: Gallery | None) -> dict[str, list[GalleryProduct]]:
    """Whose example each picture is, by its source."""
    owners: dict[str, list[GalleryProduct]] = {}
    if gallery is not None:
        for example in gallery.examples:
            owners.setdefault(example.source, []).append(gallery.find(example.product))
    return owners


def choose_photos(
    photos: Sequence[EmbeddedPhoto],
    gallery: Gallery | None,
    product_id: int,
    *,
    anyway: bool = False,
    owners: Mapping[str, Sequence[GalleryProduct]] | None = None,
) -> ChosenPhotos:
    """Which photos become examples: not those that are blurred, saved twice, or show what the gallery knows as another product.

    ``anyway``: take all but those that are saved twice. ``owners``: whose examples the pictures are that are known already, by their source;
    None: as the gallery says.
    """
    most_blur = 1.0 if anyway else MOST_BLUR
    choice = ViewChoice(
        gallery, product_id, step=SAME_PICTURE, most_blur=most_blur, look_alikes=anyway, refuse_unlike=False
    )
    known = owners_of_pictures(gallery) if owners is None else owners

    def judge(photo: EmbeddedPhoto) -> Judgement:
        of = known.get(photo.source, ())
        if of and not anyway and all(owner.id != product_id for owner in of):
            return Judgement(Verdict.ANOTHERS_EXAMPLE, like=of[0])
        return choice.judge(photo.vector, photo.blur)

    judged = [(photo, judge(photo)) for photo in photos]
    taken = tuple(photo for photo, judgement in judged if judgement.verdict is Verdict.TAKEN)
    return ChosenPhotos(taken, tuple(PhotoOutcome(photo.path, one.verdict, one.like) for photo, one in judged))


def vectors_of(photos: Sequence[EmbeddedPhoto], dimension: int) -> Vectors:
    """[n, dimension]."""
    return np.array([photo.vector for photo in photos], np.float32).reshape(-1, dimension)


def _readable(
    paths: Sequence[Path], on_bad: Callable[[Path, ImageError], object] | None
) -> Iterator[tuple[Path, str, Frame]]:
    for path in paths:
        try:
            source, frame = _read(path)
        except ImageError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
        else:
            yield path, source, frame


def _read(path: Path) -> tuple[str, Frame]:
    try:
        data = read_regular(path, MAX_PHOTO_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from None
    try:
        return source_of_bytes(data), to_frame(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def check_embedder(model: Any) -> None:
    """Raise GalleryError unless a loaded model makes vectors."""
    kind = model.task.spec.kind
    if kind != "embed":
        raise GalleryError(
            f"a gallery needs a bundle that embeds, and this one can {kind}; make one with: edgevision compile model.pt --task embed"
        )
