"""The gallery that a service answers from: one file, taken up anew when anybody changed it, and changed by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgevision.errors import EdgeVisionError, GalleryError, InputError
from edgevision.files import ensure_writable, file_state
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.change_queue import ChangeQueue
from edgevision.kiosk.service.gallery.file_trouble import gone, is_busy, refusal_of
from edgevision.kiosk.service.gallery.snapshot import Snapshot
from edgevision.reread import Reread

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter
    from edgevision.model import Model

_T = TypeVar("_T")


@dataclass(frozen=True)
class GalleryUse:
    """How much is in a gallery."""

    products: int
    examples: int

    def to_dict(self) -> dict[str, int]:
        """Plain JSON values."""
        return {"products": self.products, "examples": self.examples}


class ShopGallery:
    """``now``: the gallery as it is, for any number of readers. One that is not there when it is opened is made, empty;
    one that goes later is not made anew.

    ``bundle_id``, ``dimension``: of the embedder. Raises GalleryError for a file that is no gallery, or another bundle's.
    """

    def __init__(self, path: Path, bundle_id: str, dimension: int) -> None:
        self.path = path
        self.bundle_id = bundle_id
        self._dimension = dimension
        self._queue = ChangeQueue()
        self._told = ""
        self._own_changes = 0  # two of them may fall within one tick of the file system's clock
        self._changed: list[Callable[[], None]] = []
        self._trouble: list[Callable[[str], None]] = []
        if not path.exists():
            ensure_writable(path)
            with self._writer():
                pass
        self._file: Reread[Snapshot] = Reread(
            self._read, self._state, trouble=self._tell_trouble, changed=self._tell_changed
        )

    @property
    def now(self) -> Snapshot:
        """The newest. From any thread, and at once."""
        return self._file.kept

    @property
    def use(self) -> GalleryUse:
        """How much is in it now."""
        gallery = self.now.gallery
        return GalleryUse(len(gallery.products), len(gallery.examples))

    def when_changed(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, by the thread that saw it, whenever the gallery is another."""
        self._changed.append(call)

    def when_in_trouble(self, call: Callable[[str], None]) -> None:
        """Have ``call`` told why a changed file cannot be used; the snapshot before it stays."""
        self._trouble.append(call)

    def look(self) -> None:
        """Look whether somebody else changed the file: in a thread that may wait for the disk."""
        self._file.look()

    def change(self, work: Callable[[Gallery, GalleryWriter], _T]) -> _T:
        """Change it: ``work`` gets the gallery as it is on disk and what writes to it; what it raises leaves the file as it was. Whoever
        asks next gets the new one. Waits for other changes, in a thread that may. What ``work`` gives.

        What a caller gave is checked before, and in ``work`` only against the gallery: a GalleryError is taken to be the file's. Raises
        RefusedError: 503 where the file is gone, damaged, or another program holds it, where too many changes wait, and at the end; 507
        where the disk is full.
        """
        return self._queue.submit(partial(self._change, work)).result()

    async def change_soon(self, work: Callable[[Gallery, GalleryWriter], _T]) -> _T:
        """``change`` for routes: the event loop does not wait, nor does a thread that others need."""
        return await asyncio.wrap_future(self._queue.submit(partial(self._change, work)))

    def close(self) -> None:
        """Take no more changes; readers go on."""
        self._queue.close()

    def _change(self, work: Callable[[Gallery, GalleryWriter], _T]) -> _T:
        try:
            self._check_there()
            with self._writer() as writer:
                self._check_there()  # where it went just now, the writer begins a new one: that is dropped
                given = work(self._file.read_now().gallery, writer)  # nobody else changes it from here on
        except EdgeVisionError as error:
            if isinstance(error, RefusedError) or (
                isinstance(error, InputError) and not isinstance(error, GalleryError)
            ):
                raise
            self._tell_failed(error)
            raise refusal_of(error, self.path) from error
        self._own_changes += 1
        self._file.look()
        return given

    def _check_there(self) -> None:
        if file_state(self.path) is None:
            raise gone(self.path)

    def _tell_failed(self, error: EdgeVisionError) -> None:
        """Tell of a change that the file did not take; once, however often it is asked for."""
        words = str(error)
        if not is_busy(error) and words != self._told:
            self._tell_trouble(words)
            self._told = words

    def _writer(self) -> GalleryWriter:
        from edgevision.gallery.writer import GalleryWriter

        return GalleryWriter(self.path, bundle_id=self.bundle_id, dimension=self._dimension)

    def _read(self) -> Snapshot:
        from edgevision.gallery.gallery import open_gallery

        return Snapshot(open_gallery(self.path, bundle_id=self.bundle_id), self.path)

    def _state(self) -> object:
        return file_state(self.path), self._own_changes

    def _tell_changed(self, old: Snapshot, new: Snapshot) -> None:
        for call in self._changed:
            call()

    def _tell_trouble(self, words: str) -> None:
        for call in self._trouble:
            call(words)


def gallery_for(path: Path, model: Model | Cascade) -> ShopGallery:
    """The gallery at ``path``, of a model that embeds, alone or after one that finds boxes. Raises InputError, GalleryError."""
    from edgevision.cascade import Cascade

    embedder = model.recogniser if isinstance(model, Cascade) else model
    if embedder.task.spec.kind != "embed":
        raise InputError(
            f"--gallery needs a bundle that embeds pictures, got one that can {embedder.task.spec.kind}; make one with edgevision compile --task embed"
        )
    return ShopGallery(path, embedder.id, int(embedder.outputs[0].shape[-1] or 0))
