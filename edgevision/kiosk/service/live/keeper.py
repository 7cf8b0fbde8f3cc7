"""The pictures of answers, kept in a folder where that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgevision.errors import EdgeVisionError
from edgevision.kiosk.events import Answer, Recognised, StationEvent
from edgevision.kiosk.service.live.messages import jpeg
from edgevision.kiosk.service.picture_folder import PictureFolder, Quota

_WAITING = 16  # pictures, in memory; more are left out: a slow disk holds up no Station
_MOST_PX = 4096


class Keeper:
    """Writes the picture of each answer into ``folder``, in a thread of its own, below the kind of the answer.

    ``trouble``: called where one cannot be kept; again only after one could. Raises InputError where the folder cannot be used.
    """

    def __init__(self, folder: Path, quota: Quota, trouble: Callable[[str], None]) -> None:
        self._folder = PictureFolder(folder, quota)
        self._trouble = trouble
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edgevision keep")
        self._room = threading.Semaphore(_WAITING)
        self._is_well = True

    def see(self, event: StationEvent) -> None:
        """Keep its picture, if it is an answer. Never waits."""
        if not isinstance(event, Answer):
            return
        if not self._room.acquire(blocking=False):
            self._told("pictures come faster than they can be kept")
            return
        try:
            self._thread.submit(self._keep, event)
        except RuntimeError:  # closed
            self._room.release()

    def close(self) -> None:
        """Finish what waits."""
        self._thread.shutdown()

    def _keep(self, event: Answer) -> None:
        try:
            fields = event.to_dict()
            if isinstance(event, Recognised):
                fields["label"] = event.product.id
            self._folder.keep(jpeg(event.picture, _MOST_PX), ".jpg", event.kind, fields)
        except EdgeVisionError as error:
            self._told(str(error))
        else:
            self._is_well = True
        finally:
            self._room.release()

    def _told(self, words: str) -> None:
        if self._is_well:
            self._trouble(f"a picture is not kept: {words}")
        self._is_well = False
