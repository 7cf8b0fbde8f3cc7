"""The calls of one model: those under way, what one costs, and those that wait in the background."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgevision.calls.cost import CallCost
from edgevision.calls.deadline import Deadline, milliseconds
from edgevision.errors import DeadlineError
from edgevision.fork import never_free

if TYPE_CHECKING:
    from edgevision.calls.background import Background

# What a call does: it gives its result and how many pictures that is of, and looks at the deadline where it can still stop.
Work = Callable[[Deadline], "tuple[Any, int]"]


class Calls:
    """``at_once``: calls that gain by running at once. ``threads``: of those that are awaited."""

    def __init__(self, at_once: int, threads: int) -> None:
        self.cost = CallCost(at_once)
        self._threads = threads
        self._under_way: set[object] = set()  # without a lock, see CallCost
        self._background: Background | None = None

    def run(self, work: Work, deadline_s: float | None = None, pictures: int = 1) -> Any:
        """Do ``work`` in the calling thread. ``pictures``: how many it is expected to take.

        Raises DeadlineError, before the work where the time cannot suffice; where it took longer all the same, with the result.
        """
        return self._run(work, Deadline(deadline_s), pictures)

    async def run_async(self, work: Work, deadline_s: float | None = None, pictures: int = 1) -> Any:
        """As ``run``, in a thread of the background. At the deadline DeadlineError is raised, whatever the thread does.

        Where the caller is cancelled, a call that waits is never begun; one that runs ends in its thread, and its result is dropped.
        """
        import asyncio

        deadline = Deadline(deadline_s)
        background = self._open_background()
        self._refuse_if_late(deadline, pictures, len(self._under_way) + background.waiting)
        future = asyncio.wrap_future(background.submit(lambda: self._run(work, deadline, pictures)))
        try:
            await asyncio.wait((future,), timeout=deadline.left_s())
            if not future.done():
                raise DeadlineError(
                    f"no answer within {deadline.in_words()}, and nobody waits for it any more; the model is busy, or slow"
                )
            result = future.result()
        finally:
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at, or asyncio would report that nobody did
        deadline.check_late(result)
        return result

    def close(self) -> None:
        """End the threads, once they have done what waits. Returns at once."""
        if self._background is not None:
            self._background.close()

    def after_fork(self) -> None:
        """In a child of ``fork``: the threads and those that they worked for are not here."""
        self._under_way = set()
        if self._background is not None:
            never_free(self._background)  # its end takes a lock that a thread of the parent may have held
        self._background = None

    def _open_background(self) -> Background:
        from edgevision.calls.background import Background

        if self._background is None:
            self._background = Background(self._threads)
        return self._background

    def _run(self, work: Work, deadline: Deadline, pictures: int) -> Any:
        call, others = object(), len(self._under_way)
        try:
            self._under_way.add(call)
            self._refuse_if_late(deadline, pictures, others)
            started_s = time.monotonic()
            result, done = work(deadline)
            ended_s = time.monotonic()
        finally:
            self._under_way.discard(call)
        self.cost.add(ended_s - started_s, done, others, ended_s)
        deadline.check_late(result)
        return result

    def _refuse_if_late(self, deadline: Deadline, pictures: int, others: int) -> None:
        if deadline.seconds is None:
            return
        expected_s = self.cost.expected_s(pictures, others, time.monotonic())
        if not deadline.allows(expected_s):
            beside = f" beside {others} that are under way" if others else ""
            raise DeadlineError(
                f"the answer is wanted within {deadline.in_words()}, and one is expected to take {milliseconds(expected_s)}{beside}; "
                "the model was not run. Allow more time, ask for fewer at once, or load a quicker variant"
            )
