"""The model hot swap: a new model is loaded and checked, and takes over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import EdgeVisionError
from edgevision.streams.batcher import Batcher
from edgevision.streams.clock import Clock
from edgevision.streams.model_change import ModelChange, Step
from edgevision.streams.options import SwapOptions
from edgevision.streams.served_model import StreamModel, as_stream_model


@dataclass(frozen=True)
class _Wish:
    """A swap that was asked for."""

    model: str | Path | Any
    options: SwapOptions
    load: Mapping[str, Any]


class Swapper:
    """Gives a batcher another model, in a thread that is there while there is something to do. ``tell``: called with each step."""

    def __init__(self, batcher: Batcher, clock: Clock, tell: Callable[[ModelChange], None]) -> None:
        self._batcher = batcher
        self._clock = clock
        self._tell = tell
        self._wish: _Wish | None = None  # the next; a newer one takes its place
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def swap(self, model: str | Path | Any, options: SwapOptions, load: Mapping[str, Any]) -> None:
        """Ask for another model. Returns at once."""
        with self._changed:
            self._wish = _Wish(model, options, load)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="edgevision-swap", daemon=True)
                self._thread.start()

    def refuse(self) -> None:
        """Switch no more. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """End within ``timeout_s`` seconds; False where a model that is being loaded does not come back."""
        self.refuse()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    # ---- the thread ----

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._wish is None or self._stopping:
                    self._thread = None
                    return
                wish, self._wish = self._wish, None
            self._carry_out(wish)

    def _carry_out(self, wish: _Wish) -> None:
        previous = self._batcher.model
        name = Path(wish.model).name if isinstance(wish.model, (str, Path)) else type(wish.model).__name__
        self._say(Step.LOADING, name, previous, f"{name} is being loaded")
        try:
            candidate = _load(wish, previous)
        except EdgeVisionError as error:
            self._say(Step.REFUSED, name, previous, f"{name} cannot be loaded: {error}")
            return
        self._batcher.switch(candidate)
        self._say(Step.SWITCHED, candidate.id, previous, f"{candidate.id} serves from now on")

    def _say(self, step: Step, model_id: str, previous: StreamModel, words: str) -> None:
        self._tell(ModelChange(step, model_id, previous.id, words, self._clock.now_ns()))


def _load(wish: _Wish, live: StreamModel) -> StreamModel:
    if not isinstance(wish.model, (str, Path)):
        return as_stream_model(wish.model)
    import edgevision as ev

    return as_stream_model(ev.load(wish.model, **{"max_batch": live.max_batch, **wish.load}))
