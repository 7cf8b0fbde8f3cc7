"""``Service``: models behind HTTP, without the HTTP. ``app.make_app`` puts the routes before it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.errors import InputError
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery, gallery_for
from edgevision.kiosk.service.models import ModelSource, ServedModels
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.versions import ServedVersion, Shared
from edgevision.machine import usable_cores
from edgevision.streams.decode_threads import DecodeThreads
from edgevision.streams.ledger import Ledger
from edgevision.streams.metrics import Metrics

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.gallery.gallery import Gallery
    from edgevision.model import Model
    from edgevision.streams.batcher import ModelTrouble

_TROUBLES = 100  # that are kept


class Service:
    """Serves models, from when it is made until ``close``. A context manager; sets up no logging and no signal handlers.

    ``models``: each a path of a bundle, ``"NAME=FILE"``, a ``ModelSource``, or what ``edgevision.load`` gave, which stays yours to close.
    ``ledger``: what became of all pictures and tensors, by the model's name; ``metrics``: how long it took, the same. ``troubles``: the last failures of
    a model. ``gallery``: the file of the products by example that the first model, an embedder, answers from; None: it gives vectors.
    ``shop``: that gallery, opened.

    Raises what ``edgevision.load`` raises, GalleryError.

    >>> with Service(["shelf.edge"]) as service:  # doctest: +SKIP
    ...     app = make_app(service)
    """

    def __init__(
        self, models: Sequence[str | Path | ModelSource | Model | Cascade], options: ServiceOptions | None = None, *,
        gallery: Path | None = None,
    ) -> None:  # fmt: skip
        self.options = ServiceOptions() if options is None else options
        self.ledger = Ledger()
        self.metrics: dict[str, Metrics] = {}
        self.troubles: deque[ModelTrouble] = deque(maxlen=_TROUBLES)
        self.budget = Budget(self.options.max_bytes_in_flight)
        self.stopping = threading.Event()
        self.decoders = DecodeThreads(usable_cores())
        # One at a time: JSON of tensors takes ten times its length in memory.
        self.numbers = ThreadPoolExecutor(1, thread_name_prefix="edgevision-json")
        self._on_stop: list[Callable[[], None]] = []
        self._on_trouble: list[Callable[[ModelTrouble], None]] = []
        shared = Shared(self.options, self.ledger, self.metrics, self.decoders, self._note)
        try:
            self.models = ServedModels([_source(one) for one in models], shared)
        except BaseException:
            self._end_threads()
            raise
        self.shop: ShopGallery | None = None
        if gallery is not None:
            try:
                self.shop = gallery_for(gallery, self.models.get().model)
            except BaseException:
                self.close(0.0)
                raise
            self.models.refuse_others(self._why_not)

    def gallery_of(self, version: ServedVersion) -> Gallery | None:
        """The gallery that answers for a model, as it is now; None where it answers by itself."""
        if self.shop is None or version.parts[-1].id != self.shop.bundle_id:
            return None
        return self.shop.now.gallery

    def _why_not(self, name: str, version: ServedVersion) -> str:
        """Why a model cannot take another's place, besides what it does; empty where it can."""
        if self.shop is None or name != self.models.names[0] or version.parts[-1].id == self.shop.bundle_id:
            return ""
        return f"the gallery {self.shop.path.name} has vectors of another bundle; enrol its products with this one into a new gallery, and start the service with that"

    @property
    def is_ready(self) -> bool:
        """Whether every model answers, and the service is not about to stop."""
        return not self.stopping.is_set() and self.models.is_ready

    def when_stopping(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, by the server's thread, when it begins to stop: what has no end of its own, such as a stream of events, is to end
        then."""
        self._on_stop.append(call)

    def when_in_trouble(self, call: Callable[[ModelTrouble], None]) -> None:
        """Have ``call`` called, by the thread that runs the model, for each failure of a model."""
        self._on_trouble.append(call)

    def begin_to_stop(self) -> None:
        """Be ready no more, and tell all that wait for it. What comes is still answered."""
        if not self.stopping.is_set():
            self.stopping.set()
            for call in self._on_stop:
                call()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Answer what runs, refuse what waits, close the models that were loaded here. False where one hangs. Closing twice is allowed."""
        deadline_s = time.monotonic() + timeout_s
        self.begin_to_stop()
        if self.shop is not None:
            self.shop.close()
        ended = self.models.close(timeout_s)
        self._end_threads(max(0.0, deadline_s - time.monotonic()))
        return ended

    def _end_threads(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        self.decoders.close(timeout_s)
        self.numbers.shutdown(wait=False, cancel_futures=True)

    def _note(self, trouble: ModelTrouble) -> None:
        self.troubles.append(trouble)
        for call in self._on_trouble:
            call(trouble)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _source(model: Any) -> ModelSource:
    from edgevision.cascade import Cascade
    from edgevision.model import Model

    if isinstance(model, ModelSource):
        return model
    if isinstance(model, (Model, Cascade)):
        return ModelSource(model=model)
    if isinstance(model, Path):
        return ModelSource(model)
    if isinstance(model, str):
        return ModelSource.parse(model)
    raise InputError(f"a model is a path, NAME=FILE, or what edgevision.load gave, got {type(model).__name__}")
