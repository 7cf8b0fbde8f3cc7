"""A recogniser: an embedder that answers with the products of a gallery, as a classifier answers with its classes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.gallery.followed import FollowedGallery
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.matches import Matches
from edgevision.loading import CASCADE_BATCH, BundleSource
from edgevision.tasks.base import GoldenResult, Task, TaskSpec, View
from edgevision.tasks.embed import EMBEDDING, KIND
from edgevision.tasks.results import Classification, Label, Prediction, Timing
from edgevision.tensors import Outputs, TensorInfo

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.model import Model

TOP = 5
_OF_THE_FIRST = {"variant", "threshold", "parameters", "max_batch"}  # arguments of load that are not the second model's


def recogniser(model: Model, gallery: Gallery | str | os.PathLike[str], *, top: int = TOP) -> Model:
    """A model that answers with the products of ``gallery``: a ``RecognisedProduct`` for each picture, which is a ``Classification``.

    So it serves wherever a classifier does: ``predict``, streams, a Station, and as the second of a cascade. ``model``: a loaded
    embedder; both have one engine, and closing either closes both. ``top``: how many products an answer names, at most.

    ``gallery``: its file, or what ``open_gallery`` gave. A file is followed: while there are frames it is looked at every
    ``reread.LOOK_S`` seconds, a changed one is read beside the work, and serves from the next frame on. ``model.task.update(gallery)``
    exchanges it by hand; ``model.task.problem`` says why a change was not taken up. Where a gallery has no examples, at the start or later,
    nothing is known: answers have no ``top``, and ``problem`` says why.

    Raises InputError for a model that is no embedder, and GalleryError for a gallery of another bundle, or a file that is none.

    >>> with recogniser(ev.load("embed.edge"), "shop.evg") as model:  # doctest: +SKIP
    ...     answer = model.predict("tray.jpg")
    ...     print(answer.best.name, answer.matches.best.example.note)
    """
    kind = model.task.spec.kind
    if kind != KIND:
        raise InputError(
            f"expected a model that can {KIND}, got '{model.manifest.name}', which can {kind}; a gallery needs an embedder"
        )
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"top is a whole number from 1, got {top!r}")
    dimension = model.outputs[0].shape[-1]
    assert dimension is not None  # an embedder's is fixed
    return model.with_task(GalleryTask(model.task, FollowedGallery(gallery, model.id, dimension), top))


def load_with_gallery(
    path: BundleSource,
    gallery: Gallery | str | os.PathLike[str] | None = None,
    *,
    then: BundleSource | None = None,
    **load: Any,
) -> Model | Cascade:
    """``edgevision.load``, and where there is a ``gallery``, the last of the models answers with its products. ``load``: more of its
    arguments.

    >>> model = load_with_gallery("shelf.edge", "shop.evg", then="embed.edge")  # doctest: +SKIP
    """
    import edgevision as ev

    if gallery is None:
        loaded: Model | Cascade = ev.load(path, then=then, **load)
        return loaded
    if then is None:
        return _closed_if_refused(ev.load(path, **load), gallery)
    second = {name: value for name, value in load.items() if name not in _OF_THE_FIRST}
    embedder = _closed_if_refused(ev.load(then, max_batch=CASCADE_BATCH, **second), gallery)
    try:
        cascade: Cascade = ev.load(path, then=embedder, **load)
    except BaseException:
        embedder.close()
        raise
    return cascade


def gallery_problem(model: Model | Cascade) -> str:
    """``GalleryTask.problem`` of what ``load_with_gallery`` gave; empty where it has no gallery."""
    from edgevision.cascade import Cascade

    last = model.recogniser if isinstance(model, Cascade) else model
    return last.task.problem if isinstance(last.task, GalleryTask) else ""


def _closed_if_refused(embedder: Model, gallery: Gallery | str | os.PathLike[str]) -> Model:
    try:
        return recogniser(embedder, gallery)
    except BaseException:
        embedder.close()
        raise


@dataclass(frozen=True)
class RecognisedProduct(Classification):
    """A ``Classification`` whose classes are a gallery's products. ``matches``: the same products with their fields, each with the
    example that it was recognised by."""

    matches: Matches = field(default=Matches((), False))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**super().to_dict(), "matches": [match.to_dict() for match in self.matches.top]}


class GalleryTask:
    """The task of a recogniser: vectors become products. Made by ``recogniser``; shared by threads.

    ``embedder``: the task of the bundle. ``gallery``: what it recognises, which may change between two batches.
    """

    def __init__(self, embedder: Task[Any], gallery: FollowedGallery, top: int = TOP) -> None:
        self._embedder = embedder
        self._gallery = gallery
        self._top = top
        self._described = (gallery.now, _spec_for(gallery.now, embedder.spec))

    @property
    def gallery(self) -> Gallery:
        """What it recognises now."""
        return self._gallery.now

    @property
    def problem(self) -> str:
        """Why a gallery that came later was not taken up, or that this one has no examples; empty where nothing is wrong."""
        return self._gallery.problem

    def update(self, gallery: Gallery) -> None:
        """Recognise the products of another gallery from the next batch on; a file is no longer followed.

        One without examples knows nothing. Raises GalleryError, and goes on with what is there, for a gallery of another bundle.

        >>> model.task.update(open_gallery("shop.evg"))  # doctest: +SKIP
        """
        self._gallery.update(gallery)

    @property
    def spec(self) -> TaskSpec:
        """See ``Task``: a classifier's, with a label for each product of the gallery."""
        gallery, spec = self._described
        if gallery is not self._gallery.now:
            gallery = self._gallery.now
            spec = _spec_for(gallery, self._embedder.spec)
            self._described = (gallery, spec)
        return spec

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``: those of an embedder."""
        self._embedder.check(outputs)

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[RecognisedProduct]:
        """See ``Task``."""
        started = time.perf_counter()
        found = self._gallery.current().match(self.digest(outputs)[EMBEDDING], top=self._top)
        if len(views) != len(found):
            raise InputError(f"expected one view for each of {len(found)} vectors, got {len(views)}")
        answers = [tuple(Prediction(one.product.id, one.product.name, one.score) for one in each.top) for each in found]
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [
            RecognisedProduct(top, matches.known, timing, view.frame, matches)
            for top, matches, view in zip(answers, found, views, strict=True)
        ]

    def digest(self, outputs: Outputs) -> Outputs:
        """See ``Task``: ``embedding``, unit vectors."""
        return self._embedder.digest(outputs)

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task``: the embedder's."""
        return self._embedder.compare(reference, stored, now, same_device=same_device)


def _spec_for(gallery: Gallery, embedder: TaskSpec) -> TaskSpec:
    labels = tuple(Label(product.id, product.name) for product in gallery.products)
    return TaskSpec("classify", labels, embedder.outputs)
