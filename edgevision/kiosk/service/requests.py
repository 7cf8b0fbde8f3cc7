"""One HTTP request as frames of the batcher, and back as an awaitable."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import HUNG_UP
from edgevision.streams.fates import Fate

if TYPE_CHECKING:
    from edgevision.frames import Frame
    from edgevision.runtime.preparation import PreparedItem
    from edgevision.streams.captured import Captured
    from edgevision.streams.tickets import Settled

# Waited before anybody looks whether the client is still there: most answers are quicker than a look costs.
_LOOK_S = 0.05
_RETRY_S = 1.0


@dataclass(eq=False)
class Work:
    """What one place of a batch is to do: one picture or tensor of a request.

    The batcher takes it for a frame: it has the name of its lane and a number, as frames have. ``raw``: the network's own outputs are asked
    for, not the task's result. ``item`` and ``sequence``: None until it is decoded.
    """

    camera: str
    raw: bool
    reply: Reply
    place: int
    sequence: int | None = None
    item: Frame | PreparedItem | None = None
    captured: Captured | None = None


class Reply:
    """The answers to the pictures or tensors of one request: given by the threads that run the model, awaited by the request's own.

    ``future``: the answers, in their order; or why there are none. ``withdraw``: called with each work that nobody waits for any more.
    """

    def __init__(self, count: int, withdraw: Callable[[Work], None]) -> None:
        self.works: list[Work] = []
        self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._answers: list[Any] = [None] * count
        self._left = count
        self._withdraw = withdraw
        self._lock = threading.Lock()

    def give(self, place: int, answer: Any) -> None:
        """One answer. Called from any thread."""
        with self._lock:
            self._answers[place] = answer
            self._left -= 1
            if self._left:
                return
        self._tell(self._finish)

    def fail(self, error: Exception) -> None:
        """There will be no answer. Called from any thread; the first error counts."""
        self._tell(lambda: self._refuse(error))

    def cancel(self) -> None:
        """Nobody waits any more: what the model does not have yet is given up. Called from the loop."""
        self.cancelled = True
        self.future.cancel()
        for work in self.works:
            self._withdraw(work)

    def _tell(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call)

    def _finish(self) -> None:
        if not self.future.done():
            self.future.set_result(self._answers)

    def _refuse(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # where the client hung up meanwhile, nobody asks
            for work in self.works:  # a request is answered whole, or not at all
                self._withdraw(work)


async def answers(reply: Reply, receive: Callable[[], Awaitable[MutableMapping[str, Any]]] | None = None) -> list[Any]:
    """Wait for the answers. ``receive``: of the request, so that a client that hangs up frees its place.

    Raises what the reply failed with, and RefusedError where the client hung up.
    """
    future: asyncio.Future[Any] = reply.future
    try:
        await asyncio.wait({future}, timeout=_LOOK_S if receive is not None else None)
        if receive is not None and not future.done():
            gone: asyncio.Future[Any] = asyncio.ensure_future(_hang_up(receive))
            try:
                await asyncio.wait({future, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
        if not future.done():
            raise RefusedError(HUNG_UP, "the client hung up")
        return reply.future.result()
    finally:
        if not future.done():
            reply.cancel()
        reply.works.clear()  # they point back to it


async def _hang_up(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def why_not(settled: Settled) -> RefusedError:
    """Why a work that the batcher settled has no result."""
    if settled.fate is Fate.EXPIRED:
        return RefusedError(
            503,
            "the deadline could not be met, and nothing was done; ask for more time, or try again",
            retry_after_s=_RETRY_S,
        )
    if settled.fate is Fate.POISON:
        return RefusedError(500, "the model failed on this input; the log of the service says how")
    return RefusedError(503, "the service is stopping; try again", retry_after_s=_RETRY_S)
