"""What changed in the settings file of ``edgevision stream``, or in the file of its model, is taken up while it runs."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from edgevision.cli.signals import Signals
from edgevision.cli.stream_settings import check_finds_boxes, counter_of, kind_of, load_options, settings_of
from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import file_state

if TYPE_CHECKING:
    from edgevision.streams.distributor import Distributor
    from edgevision.streams.settings import Changes, Settings

LOOK_S = 1.0  # how often the settings file is looked at


class Reloading:
    """Takes up what changed in the settings file, and a model whose file was replaced. ``kind``: of the model, which stays."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        kind: str,
        stream: Any,
        distributor: Distributor,
        signals: Signals,
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._kind = kind
        self._stream = stream
        self._distributor = distributor
        self._signals = signals
        self._seen = self._look_at_file()
        self._models = _look_at_models(settings)
        self._next_s = time.monotonic() + LOOK_S

    def look(self) -> list[str]:
        """Look whether there is something to take up, and do it. What to tell the user."""
        asked = self._signals.reload.is_set()
        if not asked and (self._arguments.config is None or time.monotonic() < self._next_s):
            return []
        self._signals.reload.clear()
        self._next_s = time.monotonic() + LOOK_S
        seen = self._look_at_file()
        if not asked and (seen == self._seen or seen is None):
            return []
        self._seen = seen
        try:
            return self._take_up(settings_of(self._arguments), asked=asked)
        except EdgeVisionError as error:
            return [f"{error}; the settings stay as they were"]

    def _take_up(self, new: Settings, *, asked: bool) -> list[str]:
        """All of it, or nothing: what the start of the program refuses is refused here, before anything is changed. Raises
        EdgeVisionError."""
        from edgevision.streams.settings import changes
        from edgevision.streams.sources.registry import make_source

        found = changes(self._settings, new)
        swaps = found.model or (asked and self._is_another_model(new))
        kind = kind_of(new) if swaps else self._kind
        check_finds_boxes(kind, new)
        if kind != self._kind:
            raise InputError(
                f"{new.model} can {kind}, and the model that serves can {self._kind}; start the program anew for that"
            )
        counter = counter_of(new)
        sources = [(camera, make_source(camera)) for camera in (*found.added, *found.changed)]

        for name in (*found.removed, *(camera.name for camera in found.changed)):
            self._stream.remove(name)
        for camera, source in sources:
            self._stream.add(camera, source=source)
        if found.places:
            self._distributor.count_with(counter)
        before, self._settings = self._settings, new
        if swaps:
            self._models = _look_at_models(new)
            self._stream.swap(new.model, options=new.swap, **load_options(self._arguments, new))
        return self._told(found, swaps, before)

    def _is_another_model(self, new: Settings) -> bool:
        """Whether its file was replaced, or what was there was not taken up."""
        from edgevision.streams.model_change import Step

        last = next(reversed(self._stream.model_changes), None)
        failed = last is not None and last.step in (Step.REFUSED, Step.ROLLED_BACK)
        return failed or _look_at_models(new) != self._models

    def _told(self, found: Changes, swaps: bool, before: Settings) -> list[str]:
        parts = {
            "added": [camera.name for camera in found.added], "removed": found.removed,
            "changed": [camera.name for camera in found.changed],
        }  # fmt: skip
        told = [f"cameras {word}: {', '.join(names)}" for word, names in parts.items() if names]
        if found.places:
            where = "where they changed" if self._settings.tracker == before.tracker else "for all cameras"
            told.append(f"lines and zones were taken up; counting begins anew {where}")
        if swaps:
            told.append(f"the model is to be {self._settings.model}")
        threshold = self._settings.threshold
        if threshold != before.threshold:
            shown = "the bundle's own" if threshold is None else f"{threshold:g}"
            told.append(f"the threshold is to be {shown}")
        if found.swap:
            told.append("what a new model has to show was taken up")
        if found.restart:
            told.append(f"start the program anew to take up what changed in: {', '.join(found.restart)}")
        return told or ["the settings are as they were"]

    def _look_at_file(self) -> object:
        """What tells whether the file changed; None while it is not there, as when an editor replaces it."""
        return None if self._arguments.config is None else file_state(self._arguments.config)


def _look_at_models(settings: Settings) -> list[object]:
    """The same of the models' files."""
    return [file_state(path) for path in (settings.model, settings.then) if path is not None]
