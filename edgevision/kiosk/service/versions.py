"""One model that is served: its batcher, and the pictures and tensors that are with it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.errors import InputError
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.requests import Reply, Work, why_not
from edgevision.streams.batcher import Batcher, ModelTrouble
from edgevision.streams.captured import Captured
from edgevision.streams.decode_threads import DecodeThreads
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.metrics import Metrics
from edgevision.streams.options import Mode, Service, StreamOptions
from edgevision.streams.served_model import ServedModel, warm_up
from edgevision.streams.tickets import Settled
from edgevision.streams.time_limit import in_time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgevision.cascade import Cascade
    from edgevision.frames import Frame
    from edgevision.model import Model
    from edgevision.tensors import TensorInfo

_ID_DIGITS = 12  # of a bundle's id, that name a version
_PAUSE_S = 0.01


@dataclass(frozen=True, eq=False)
class Shared:
    """What all models of a service have in common. ``metrics``: by the model's name. ``decoders``: the threads that decode pictures. ``trouble``: called with each failure of
    a model."""

    options: ServiceOptions
    ledger: Ledger
    metrics: dict[str, Metrics]
    decoders: DecodeThreads
    trouble: Callable[[ModelTrouble], None]


class Retired(Exception):  # noqa: N818 - told to nobody: the newer version is asked
    """The version was replaced a moment ago."""


class BatchedModel:
    """A ``Model`` or ``Cascade`` as the batcher sees it: what it runs are works, whose answers are results or the network's own outputs."""

    def __init__(self, model: Model | Cascade) -> None:
        self.served = ServedModel(model)
        self.id = self.served.id
        self.max_batch = self.served.max_batch
        self.parallel = self.served.parallel
        self._alone = self.served.parts[0] if len(self.served.parts) == 1 else None

    def predict_frames(self, works: Sequence[Any]) -> list[Any]:
        """One answer for each work, or frame, in their order."""
        items: list[Any] = [one.item if isinstance(one, Work) else one for one in works]
        if self._alone is None:
            return list(self.served.predict_frames(items))
        batch = self._alone.run_batch(items)
        raw = [isinstance(one, Work) and one.raw for one in works]
        if not any(raw):
            return self._alone.task.decode(batch.outputs, batch.views, batch.timing)
        answers: list[Any] = [
            {name: array[place] for name, array in batch.outputs.items()} for place in range(len(works))
        ]
        decoded = [place for place, is_raw in enumerate(raw) if not is_raw]
        if decoded:
            outputs = {name: array[decoded] for name, array in batch.outputs.items()}
            results = self._alone.task.decode(outputs, [batch.views[place] for place in decoded], batch.timing)
            for place, result in zip(decoded, results, strict=True):
                answers[place] = result
        return answers


class ServedVersion:
    """One model under one name. Requests are started from an event loop's thread; see ``requests.answers`` for what comes of them.

    ``name``: the model's. ``version``: the first digits of the bundle's id, so that a client that names it never gets another's answers.
    ``id``: all of them. ``model``: the ``Model`` or ``Cascade``; closed with this where it was loaded for it.
    """

    def __init__(self, name: str, model: Model | Cascade, shared: Shared, *, owned: bool) -> None:
        self.name = name
        self.model = model
        self.batched = BatchedModel(model)
        self.parts = self.batched.served.parts
        self.id = "-".join(part.id for part in self.parts)
        self.version = "-".join(part.id[:_ID_DIGITS] for part in self.parts)
        self.task = ", then ".join(part.task.spec.kind for part in self.parts)
        self._shared = shared
        self._owned = owned
        self._lock = threading.Lock()
        self._open: set[Work] = set()
        self._order = threading.Lock()  # numbers are given in the order that the batcher gets the works in
        self._retired = self._closed = False
        options = shared.options
        self.max_items = min(options.max_batch, self.batched.max_batch)
        stream = StreamOptions(max_batch=self.max_items, model_timeout_s=options.model_timeout_s, warm_up=False)
        self.batcher = Batcher(
            self.batched, shared.ledger, metrics=shared.metrics.setdefault(name, Metrics()), options=stream, trouble=shared.trouble,
            cost=in_time(lambda: warm_up(self.batched, self.max_items), options.model_timeout_s),
        )  # fmt: skip
        self._lane = Service(Mode("every", options.queue), max_age_s=math.inf)
        self._mailbox = self.batcher.add(name, self._lane, self._settled)
        self.batcher.start()

    @property
    def input(self) -> TensorInfo | None:
        """What its network takes; None for a cascade, which has two."""
        return self.parts[0].input if len(self.parts) == 1 else None

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What its network gives; nothing for a cascade."""
        return self.parts[0].outputs if len(self.parts) == 1 else ()

    @property
    def in_flight(self) -> int:
        """Pictures and tensors that are with it."""
        return len(self._open)

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return not (self._closed or self._retired or self.batcher.gave_up)

    # ---- requests ----

    def recognise(self, pictures: Sequence[bytes], *, deadline_s: float | None = None, raw: bool = False) -> Reply:
        """Encoded pictures: decoded by other threads, and recognised by those where they can be. ``deadline_s``: of ``time.monotonic``. ``raw``: the network's outputs.

        Raises RefusedError, with 503, where there is no room, or the deadline cannot be met; Retired.
        """
        reply = self._accept(len(pictures), deadline_s, raw)
        for work, picture in zip(reply.works, pictures, strict=True):
            self._shared.decoders.submit(partial(self._decode, work, picture, deadline_s))
        return reply

    def recognise_frame(self, frame: Frame, *, deadline_s: float | None = None) -> Reply:
        """One frame. Raises what ``recognise`` raises."""
        reply = self._accept(1, deadline_s, False)
        self._put(reply.works[0], frame, deadline_s)
        return reply

    def run(self, tensors: npt.NDArray[np.generic], *, deadline_s: float | None = None) -> Reply:
        """Tensors [n, …] that are prepared already, through the network: its outputs for each. Raises what ``recognise`` raises."""
        from edgevision.runtime.preparation import PreparedItem

        reply = self._accept(len(tensors), deadline_s, True)
        for work, tensor in zip(reply.works, tensors, strict=True):
            self._put(work, PreparedItem(tensor), deadline_s)
        return reply

    def _accept(self, count: int, deadline_s: float | None, raw: bool) -> Reply:
        if not 1 <= count <= self.max_items:
            raise RefusedError(400, f"expected 1…{self.max_items} pictures or tensors in a request, got {count}")
        reply = Reply(count, self._withdraw)
        with self._lock:
            if self._retired:
                raise Retired
            if self._closed:
                raise RefusedError(503, "the service is stopping; try again", retry_after_s=1.0)
            ahead = len(self._open)
            if ahead + count > self._shared.options.queue:
                message = (
                    f"{ahead} pictures of {self._shared.options.queue} are with model '{self.name}' already; try again"
                )
                raise RefusedError(503, message, retry_after_s=self.batcher.expected_s(ahead))
            if deadline_s is not None:
                self._check_deadline(deadline_s, ahead + count - 1)
            for place in range(count):
                work = Work(self.name, raw, reply, place)
                self._open.add(work)
                reply.works.append(work)
        return reply

    def _check_deadline(self, deadline_s: float, ahead: int) -> None:
        left_s, expected_s = deadline_s - time.monotonic(), self.batcher.expected_s(ahead)
        if expected_s > left_s:
            raise RefusedError(
                503, f"the answer would take {1e3 * expected_s:.0f} ms, {max(0.0, 1e3 * left_s):.0f} ms are left; nothing was done",
                retry_after_s=expected_s,
            )  # fmt: skip

    def _decode(self, work: Work, picture: bytes, deadline_s: float | None) -> None:
        """In a thread that decodes, which then runs the model if that is free."""
        from edgevision.decode import to_frame

        if work.reply.cancelled:
            self._drop(work, Fate.STOPPED, RefusedError(503, "the client hung up"))
            return
        if deadline_s is not None and time.monotonic() > deadline_s:
            self._drop(
                work,
                Fate.EXPIRED,
                RefusedError(503, "the deadline has passed, and nothing was done", retry_after_s=1.0),
            )
            return
        try:
            frame = to_frame(picture, self._shared.options.max_decode_bytes)
        except InputError as error:
            self._drop(work, Fate.CORRUPT, RefusedError(400, str(error)))
        except Exception as error:  # whatever it is, the client is told
            self._drop(
                work, Fate.CORRUPT, RefusedError(500, f"the picture could not be decoded: {type(error).__name__}")
            )
        else:
            self._put(work, frame, deadline_s, wake=False)
            self._shared.decoders.one_more()  # while this one is with the model, another may decode
            try:
                self.batcher.lend()
            finally:
                self._shared.decoders.one_less()

    def _put(self, work: Work, item: Any, deadline_s: float | None, *, wake: bool = True) -> None:
        work.item = item
        with self._order:
            is_in = self._put_next(work, math.inf if deadline_s is None else deadline_s, wake)
        if not is_in:  # the mailbox is closed, and has told the ledger
            self._forget(work)
            work.reply.fail(RefusedError(503, "the service is stopping; try again", retry_after_s=1.0))
        elif work.reply.cancelled:
            self._withdraw(work)

    def _put_next(self, work: Work, deadline_s: float, wake: bool) -> bool:
        now_s = time.monotonic()
        work.sequence = self._shared.ledger.captured(self.name)
        # The batcher looks at the name and the number alone, and gives the work to our model as it is.
        work.captured = Captured(cast("Frame", work), now_s, now_s, deadline_s)
        return self._mailbox.put(work.captured, wake=wake)

    def _drop(self, work: Work, fate: Fate, why: RefusedError) -> None:
        """Of a work that the batcher has not seen."""
        ledger = self._shared.ledger
        ledger.settle(self.name, ledger.captured(self.name), fate)
        self._forget(work)
        work.reply.fail(why)

    def _withdraw(self, work: Work) -> None:
        captured = work.captured
        if captured is not None and self.batcher.withdraw(self.name, captured):
            self._forget(work)

    def _settled(self, settled: Settled) -> None:
        """Called by the threads that run the model."""
        work = cast("Work", settled.captured.frame)
        self._forget(work)
        if settled.fate is Fate.SERVED:
            work.reply.give(work.place, settled.result)
        else:
            work.reply.fail(why_not(settled))

    def _forget(self, work: Work) -> None:
        with self._lock:
            self._open.discard(work)
        # A work and its reply hold each other: a picture, megabytes of it, would stay until Python next looks for such circles.
        work.item = work.captured = None

    # ---- the end ----

    def retire(self, timeout_s: float) -> None:
        """Another version has its place: answer what is with it, then close. Waits."""
        until_s = time.monotonic() + timeout_s
        while True:
            with self._lock:
                if not self._open or time.monotonic() >= until_s:
                    self._retired = True
                    break
            time.sleep(_PAUSE_S)
        self.close()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Answer what runs, refuse what waits, and give the model back. False where the model hangs. Closing twice is allowed."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        hanging = self.batcher.stop(timeout_s)
        with self._lock:
            left = list(self._open)
            self._open.clear()
        for work in left:
            work.reply.fail(RefusedError(503, "the service is stopping; try again", retry_after_s=1.0))
        if self._owned:
            self.model.close(max(0.0, until_s - time.monotonic()))
        return not hanging


def load_version(name: str, load: Callable[[], Model | Cascade], shared: Shared) -> ServedVersion:
    """Load a model, its golden frames first, and have it ready under ``name``: warm, with what its batches cost."""
    model = load()
    try:
        return ServedVersion(name, model, shared, owned=True)
    except BaseException:
        model.close()
        raise


def loader(path: Any, then: Any, options: ServiceOptions) -> Callable[[], Model | Cascade]:
    """What loads a bundle, or two of them as a cascade, as the options say."""
    import edgevision as ev

    return partial(
        ev.load, path, then=then, engine=options.engine, threads=options.threads, max_batch=options.max_batch
    )
