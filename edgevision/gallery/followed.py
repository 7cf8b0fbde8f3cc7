"""A gallery in use while it changes: exchanged by its user, or read again when its file changed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.files import file_state
from edgevision.gallery.gallery import Gallery, open_gallery
from edgevision.gallery.owner import check_owner

LOOK_S = 1.0  # how often the file is looked at, while there are frames


class FollowedGallery:
    """``now``: the gallery that serves. ``source``: it, or its file, which is then followed. ``bundle_id``, ``dimension``: of the embedder.

    A file that changed is read by a thread of its own, and serves when it is ready: no frame waits. One that cannot serve is left,
    and ``problem`` says why; the gallery before goes on. One that has become empty serves: then nothing is known. Raises GalleryError for
    one that cannot serve at the beginning, or is empty then: somebody most likely gave the wrong file.
    """

    def __init__(self, source: Gallery | str | os.PathLike[str], bundle_id: str, dimension: int) -> None:
        self._bundle_id = bundle_id
        self._dimension = dimension
        self._path = None if isinstance(source, Gallery) else Path(source)
        self._seen = None if self._path is None else file_state(self._path)
        self.problem = ""
        self.now = source if isinstance(source, Gallery) else open_gallery(source, bundle_id=bundle_id)
        self._check_owner(self.now)
        if not self.now.examples:
            raise GalleryError(
                f"{self._name()} has no examples, so nothing can be recognised; add products: edgevision gallery add"
            )
        self._make_ready(self.now)
        self._reader: threading.Thread | None = None
        self._next_s = time.monotonic() + LOOK_S

    def current(self) -> Gallery:
        """``now``, after a look at the file where it is time for one."""
        if self._path is not None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LOOK_S
            self._look(self._path)
        return self.now

    def update(self, gallery: Gallery) -> None:
        """Serve this one from now on, and follow no file. Raises GalleryError for one that cannot serve."""
        self._make_ready(gallery)
        self._path = None
        if self._reader is not None:
            self._reader.join()
        self.now, self.problem = gallery, ""

    def _look(self, path: Path) -> None:
        if self._reader is not None and self._reader.is_alive():
            return
        seen = file_state(path)
        if seen == self._seen:
            return
        self._seen = seen
        self._reader = threading.Thread(target=self._read, args=(path,), name="gallery", daemon=True)
        self._reader.start()

    def _read(self, path: Path) -> None:
        try:
            gallery = open_gallery(path, bundle_id=self._bundle_id)
            self._make_ready(gallery)
        except (EdgeVisionError, OSError) as error:
            self.problem = f"{error}; the gallery before it goes on"
            self._seen = None  # it is tried again: a lock or a disk may have been the reason
            return
        if self._path is path:
            self.now, self.problem = gallery, ""

    def _make_ready(self, gallery: Gallery) -> None:
        """What the first answer would wait for. Raises GalleryError."""
        self._check_owner(gallery)
        if gallery.examples:
            gallery.match(gallery.vectors[:1])

    def _check_owner(self, gallery: Gallery) -> None:
        check_owner(self._name(), gallery.bundle_id, gallery.dimension, self._bundle_id, self._dimension)

    def _name(self) -> str:
        return "the gallery" if self._path is None else os.fspath(self._path)

    def __getstate__(self) -> dict[str, Any]:
        """To pickle it, without the thread."""
        return {**self.__dict__, "_reader": None}
