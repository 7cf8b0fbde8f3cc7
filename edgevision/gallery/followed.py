"""A gallery in use while it changes: exchanged by its user, or read again when its file changed."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from edgevision.files import file_state
from edgevision.gallery.gallery import Gallery, open_gallery
from edgevision.gallery.owner import check_owner
from edgevision.reread import LOOK_S, Reread


class FollowedGallery:
    """``now``: the gallery that serves. ``source``: it, or its file, which is then followed. ``bundle_id``, ``dimension``: of the embedder.

    A file that changed is read by a thread of its own, and serves when it is ready: no frame waits. One that cannot serve is left,
    and ``problem`` says why; the previous gallery stays in use. One without examples serves, at the start and later: nothing is known then, and
    ``problem`` says so. Raises GalleryError for one that cannot serve at the start.
    """

    def __init__(self, source: Gallery | str | os.PathLike[str], bundle_id: str, dimension: int) -> None:
        self._bundle_id = bundle_id
        self._dimension = dimension
        self._name = "the gallery" if isinstance(source, Gallery) else os.fspath(source)
        self._refused = ""  # why the last change of the file was
        self._given: Gallery | None = None  # by hand
        self._file: Reread[Gallery] | None = None
        self._reader: threading.Thread | None = None
        self._next_s = time.monotonic() + LOOK_S
        if isinstance(source, Gallery):
            self._given = self._ready(source)
        else:
            path = Path(source)
            self._file = Reread(
                partial(self._read, path),
                partial(file_state, path),
                trouble=self._note_problem,
                changed=self._clear_problem,
            )

    @property
    def now(self) -> Gallery:
        """As it was read last, or given. At once."""
        if self._given is not None:
            return self._given
        assert self._file is not None
        return self._file.kept

    @property
    def problem(self) -> str:
        """Why a change was not taken up, or that there is nothing to recognise; empty where all is well."""
        if self._refused or self.now.examples:
            return self._refused
        return f"{self._name} has no examples, so nothing is known; add products: edgevision gallery add"

    def current(self) -> Gallery:
        """``now``, after a look at the file where it is time for one."""
        if self._given is None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LOOK_S
            self._look()
        return self.now

    def update(self, gallery: Gallery) -> None:
        """Serve this one from now on, and follow no file. Raises GalleryError for one that cannot serve."""
        self._given = self._ready(gallery)
        self._name, self._refused = "the gallery", ""

    def _look(self) -> None:
        """Have the file read, if it changed, unless it is being read."""
        if self._file is None or not self._file.due or (self._reader is not None and self._reader.is_alive()):
            return
        self._reader = threading.Thread(target=self._file.look, name="gallery", daemon=True)
        self._reader.start()

    def _read(self, path: Path) -> Gallery:
        return self._ready(open_gallery(path, bundle_id=self._bundle_id), os.fspath(path))

    def _ready(self, gallery: Gallery, name: str = "the gallery") -> Gallery:
        """The gallery, after what its first answer would wait for. Raises GalleryError."""
        check_owner(name, gallery.bundle_id, gallery.dimension, self._bundle_id, self._dimension)
        if gallery.examples:
            gallery.match(gallery.vectors[:1])
        return gallery

    def _clear_problem(self, old: Gallery, new: Gallery) -> None:
        self._refused = ""

    def _note_problem(self, words: str) -> None:
        if self._given is None:
            self._refused = f"{words}; the previous gallery stays in use"

    def __getstate__(self) -> dict[str, Any]:
        """To pickle it, without the thread."""
        return {**self.__dict__, "_reader": None}
