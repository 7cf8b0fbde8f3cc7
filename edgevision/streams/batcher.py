"""The batcher: takes waiting frames, runs the model on them, and gives back results, each camera's in order.

Its workers do all of it in turn: whoever is free decides by ``policy``, takes a batch and runs it, so that a frame is handed from one
thread to another once. There are as many as calls of the model gain by running at once: one for most. A thread that brought a frame may be lent
for one batch (``lend``): then nothing is handed over.

Pictures that came as files (JPEG) are decoded when they are taken, by threads of their own (see ``decode_ahead``). So that the model need not wait
for that, they are taken a little before it is free, by one worker more; frames that need no decoding never wait for one that does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from edgevision.errors import DamagedFrameError, EngineError
from edgevision.frames import Frame
from edgevision.machine import usable_cores
from edgevision.streams.arrivals import MAX_LATE
from edgevision.streams.batch_cost import BatchCost
from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock, SystemClock
from edgevision.streams.decode_ahead import DecodeAhead
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.metrics import Metrics
from edgevision.streams.options import Service, StreamOptions
from edgevision.streams.policy import Choice, Decision, Policy
from edgevision.streams.reasons import Reason
from edgevision.streams.served_model import StreamModel, warm_up
from edgevision.streams.takable import given_up, takable
from edgevision.streams.tickets import Settled, Settler, TakenCamera, Ticket

_MAX_BATCHES = 2  # in flight, of an engine that gains from batches: one is prepared while another runs
# Batches of one frame after which a full one is tried, and the reverse, to see whether batches gain: the first time, and at most.
# It doubles, for what was measured first was of an engine that had hardly run, on a machine that was starting cameras.
_PROBE_EVERY = (4, 64)
_MOST_UNTOLD = (
    64  # frames of a camera that were taken and not told; more would be held in memory behind a call that hangs
)
_LEAST_DECODERS = 2  # threads: one picture that hangs must not stop those of other cameras
_MAX_HUNG = 2  # calls that may hang before no more are made
_UNLIMITED = 1 << 30
_REST_AFTER = 3  # batches in a row of which every frame failed
_REST_S = (0.1, 5.0)  # the first rest after them, and the longest: it doubles


@dataclass(frozen=True)
class ModelTrouble:
    """The model failed on a frame, or did not come back. ``camera`` and ``sequence``: of the frame, where it was one."""

    words: str
    error: BaseException | None
    camera: str | None
    sequence: int | None
    at_ns: int


def _ignore(trouble: ModelTrouble) -> None:
    return None


def _nobody() -> None:
    return None


@dataclass(frozen=True, eq=False)
class BatchDone:
    """A batch that was run. ``results``: of ``frames``, in their order; empty where the model failed on any of them, and then
    ``error`` says how. ``seconds``: what it took. ``spare_s``: so many seconds later, every result would still have been within its
    camera's ``max_age``; negative where one was not. ``idle_s``: until the next frame is expected; 0 where there is work, or nothing is known.
    """

    model: StreamModel
    frames: Sequence[Frame]
    results: Sequence[Any]
    error: BaseException | None
    seconds: float
    spare_s: float
    idle_s: float


@dataclass(eq=False, slots=True)
class _Batch:
    """``given_s``: when the model got it; ``call_began_s``: when the call that runs now began. ``abandoned``: it hung, and its results are for nobody.
    ``lent``: whether its thread is none of the workers'."""

    model: StreamModel
    tickets: list[Ticket]
    given_s: float
    call_began_s: float
    abandoned: bool = False
    lent: bool = False


class _Taken(NamedTuple):
    """What a thread took. ``batch``: to run now; ``encoded``: to be decoded first; ``expired``: cameras of which frames were given up;
    ``look_again_s``: where nothing was taken, when to look again unless something happens; None: no need."""

    batch: _Batch | None = None
    encoded: Sequence[Ticket] = ()
    expired: Sequence[TakenCamera] = ()
    look_again_s: float | None = None


class Batcher:
    """Serves the frames of any number of cameras with one model.

    ``add`` gives the mailbox that a camera's frames are put into; its ``answer`` is called for each frame that the batcher takes, in
    their order, by a thread that runs the model, which must not be kept waiting. A frame is settled in the ledger after its answer was given: whoever finds
    none in flight has got all answers. ``settled``: called after that.

    A call of the model that raises costs the frames that make it raise, and no others: the batch is halved until they are found. A
    call that takes longer than ``options.model_timeout_s`` is given up with its frames, and another thread goes on. ``trouble``:
    called for each of these. ``cost``: batches that were measured before, see ``warm_up``.

    A picture that cannot be decoded is ``CORRUPT``, and so is one whose decoding takes longer than that; others lose nothing by it.

    ``watch`` may be set, at any time: it is called with each batch that is done, by the thread that ran it.
    """

    def __init__(
        self, model: StreamModel, ledger: Ledger, *, metrics: Metrics | None = None, options: StreamOptions | None = None,
        clock: Clock | None = None, cost: Sequence[tuple[int, float]] = (),
        trouble: Callable[[ModelTrouble], None] = _ignore, settled: Callable[[], None] = _nobody,
    ) -> None:  # fmt: skip
        self.watch: Callable[[BatchDone], None] | None = None
        self.ledger = ledger
        self.metrics = Metrics() if metrics is None else metrics
        self.options = StreamOptions() if options is None else options
        self.clock: Clock = SystemClock() if clock is None else clock
        self._model = model
        self._cost = BatchCost(cost)
        self._trouble = trouble
        self._settled = settled
        self._settler = Settler(ledger, self.clock, settled)
        self._policy = Policy(min_interval_s=self.options.min_interval_s, age_budget_s=self.options.age_budget_s)
        self._cameras: dict[str, TakenCamera] = {}
        self._ready: dict[str, TakenCamera] = {}  # those with waiting frames
        self._running: list[_Batch] = []
        self._ahead = DecodeAhead(max(_LEAST_DECODERS, usable_cores()))
        self._lock = threading.Lock()  # of everything above
        self._wake = threading.Condition(self._lock)  # where workers wait
        self._watchdog_wake = threading.Condition(threading.Lock())
        self._threads: list[threading.Thread] = []
        self._lent: list[threading.Thread] = []  # that run a batch, or are about to
        self._lent_changed = threading.Condition(self._lock)
        self._workers = 0  # that are not hanging
        self._held = False
        self._places: int | None = None
        self._stopping = False
        self._is_warm = not self.options.warm_up
        self._takes_ahead = False  # whether the worker for that was started
        self._hung: list[_Batch] = []
        self._singles = 0  # batches of one frame since there was a larger one
        self._larger = 0  # and the reverse
        self._probe_every = _PROBE_EVERY[0]
        self._failed_batches = 0
        self._rest_until_s = float("-inf")

    @property
    def model(self) -> StreamModel:
        """The model that the next batch is for."""
        return self._model

    @property
    def gave_up(self) -> bool:
        """Whether too many calls of the model hang for more to be made."""
        return bool(self._hung) and sum(batch.model is self._model for batch in tuple(self._hung)) >= _MAX_HUNG

    def add(self, camera: str, service: Service, answer: Callable[[Settled], None]) -> Mailbox:
        """A camera is there: the mailbox for its frames. Raises ValueError for a name that is taken."""
        with self._lock:
            if camera in self._cameras:
                raise ValueError(f"camera {camera!r} is there already")
            lane = self._policy.add(camera, service, self.clock.now_s())
            mailbox = Mailbox(service, partial(self.ledger.settle, camera), partial(self._came, camera))
            self._cameras[camera] = TakenCamera(camera, lane, mailbox, self.metrics.camera(camera), answer)
        return mailbox

    def remove(self, camera: str) -> None:
        """A camera is gone: what waited is settled as stopped, and so is what the model is at work on. No answer of its comes afterwards."""
        with self._lock:
            gone = self._cameras.pop(camera)
            self._ready.pop(camera, None)
            self._policy.remove(camera)
        self._settler.close(gone)

    def withdraw(self, camera: str, captured: Captured) -> bool:
        """Nobody waits for this frame any more: take it out, unless the model has it already. Whether it was waiting; then no answer comes."""
        with self._lock:  # no worker is between looking at the mailbox and taking
            one = self._cameras.get(camera)
            if one is None or not one.mailbox.remove(captured):
                return False
        self.ledger.settle(camera, captured.sequence, Fate.STOPPED)
        self._settled()
        return True

    def expected_s(self, ahead: int) -> float:
        """Seconds until the result of a frame that comes now, with ``ahead`` frames before it, by what batches took so far; 0 while nothing is
        known."""
        with self._lock:
            most, at_once = self._limits()
            full, rest = divmod(ahead, most)
            return full * self._cost.seconds(most) / max(1, at_once) + self._cost.seconds(rest + 1)

    def start(self) -> None:
        """Begin to serve."""
        with self._lock:
            count = self._workers = max(1, self._model.parallel)
        for _ in range(count):
            self._start_worker()
        self._start_thread(self._look_for_hung, "edgevision-watchdog")

    def lend(self) -> None:
        """Run a batch in the calling thread, if the model is free and a frame waits. Else a worker is woken, to look again.

        For a thread that put a frame (with ``wake=False``) and has nothing else to do: no other need be woken, and what it made of the frame is
        still in its core's caches. Where the model hangs, the caller hangs too; what it ran is settled all the same.
        """
        lent = threading.current_thread()
        with self._lock:
            if self._stopping or not self._is_warm:
                self._wake.notify()
                return
            self._lent.append(lent)
        try:
            batch = self._next_batch(waits=False)
            if batch is not None:
                self._run(batch)
        finally:
            with self._lock:
                self._lent.remove(lent)
                self._lent_changed.notify_all()

    def hold(self) -> None:
        """Take no more frames until ``go_on``: whoever gets the results has not taken them. Frames wait, and newer ones replace them."""
        self._held = True

    def go_on(self, places: int | None = None) -> None:
        """Take frames again, at most ``places`` in a batch; None: as many as the model takes."""
        with self._lock:
            self._held = False
            self._places = places
            self._wake.notify()

    def switch(self, model: StreamModel, cost: Sequence[tuple[int, float]] = ()) -> None:
        """Serve the next batches with another model. ``cost``: of its batches, see ``warm_up``. Those that run go on with the old one."""
        with self._lock:
            self._model = model
            self._cost = BatchCost(cost)
            self._singles = self._larger = self._failed_batches = 0
            self._probe_every = _PROBE_EVERY[0]
            self._rest_until_s = float("-inf")
            serves = self._workers > 0 and not self._stopping
            more = max(0, model.parallel - self._workers) if serves else 0
            self._workers += more
            self._wake.notify_all()
        for _ in range(more):
            self._start_worker()

    def in_use(self, model: StreamModel) -> bool:
        """Whether a batch runs on it, or it is the one for the next."""
        with self._lock:
            return model is self._model or any(batch.model is model for batch in self._running)

    def refuse(self) -> None:
        """Begin no more batches. Returns at once; ``stop`` is still to be called."""
        with self._lock:
            self._stopping = True
            self._wake.notify_all()

    def stop(self, timeout_s: float) -> list[threading.Thread]:
        """Finish what runs, settle the rest, and end the workers within ``timeout_s`` seconds. Those left: the model does not come back."""
        deadline_s = SystemClock().now_s() + timeout_s  # real time, whatever the clock of the stream
        self.refuse()
        with self._lock:
            cameras = list(self._cameras.values())
            threads = [*self._threads, *self._ahead.stop()]
        with self._watchdog_wake:
            self._watchdog_wake.notify_all()
        for camera in cameras:
            camera.mailbox.close()
            self._settled()
        for thread in threads:
            thread.join(max(0.0, deadline_s - SystemClock().now_s()))
        me = threading.current_thread()  # its batch is what it stops from
        with self._lock:
            self._lent_changed.wait_for(lambda: set(self._lent) <= {me}, max(0.0, deadline_s - SystemClock().now_s()))
            lent = [thread for thread in self._lent if thread is not me]
        for camera in cameras:
            self._settler.close(camera)
        return [thread for thread in threads if thread.is_alive()] + lent

    # ---- taking frames ----

    def _came(self, name: str, wake: bool) -> None:
        """A frame was let into a mailbox."""
        with self._lock:
            camera = self._cameras.get(name)
            if camera is not None:
                camera.lane.arrivals.add(self.clock.now_s())
                self._ready[name] = camera
                if wake:
                    self._wake.notify()

    def _work(self) -> None:
        if self._warm_up():
            while self._serve():
                pass

    def _serve(self) -> bool:
        """One batch; it and its model are forgotten before the next is waited for. False: the end."""
        batch = self._next_batch()
        return batch is not None and self._run(batch)

    def _next_batch(self, *, waits: bool = True) -> _Batch | None:
        """Wait for frames and take them. Those that are still encoded are handed to the decoders, and are part of a later batch. None: the end;
        and without ``waits``, where there is nothing to run now: a worker looks then."""
        while True:
            with self._lock:
                if self._stopping:
                    return None
                now_s = self.clock.now_s()
                taken = self._take(now_s)
                if taken.batch is not None:
                    taken.batch.lent = not waits
                for ticket in taken.encoded:
                    self._ahead.begin(ticket, now_s, partial(self._decode, ticket))
                if taken.batch is not None or taken.encoded:
                    if self._ready or len(self._ahead):
                        self._wake.notify()  # another worker may take what is left
                elif not taken.expired:
                    if not waits:
                        self._wake.notify()
                        return None
                    self.clock.wait_until(self._wake, taken.look_again_s)
            for camera in taken.expired:  # outside the lock: whoever is told may call us
                self._settler.tell_next(camera)
            if taken.encoded:
                self._start_taking_ahead()
            if taken.batch is not None:
                return taken.batch

    def _start_taking_ahead(self) -> None:
        """One worker more, the first time that there is something to decode while the others are with the model."""
        with self._lock:
            starts, self._takes_ahead = not self._takes_ahead, True
        if starts:
            self._start_worker()

    def _take(self, now_s: float) -> _Taken:
        """Frames for the model, or for the decoders. With the lock held, as in those below."""
        if now_s < self._rest_until_s:
            return _Taken(look_again_s=self._rest_until_s)
        if self._is_warming():
            return _Taken()
        most, at_once = self._limits()
        if len(self._running) < at_once:
            return self._take_now(now_s, most)
        return self._take_ahead(now_s, most * at_once)

    def _take_now(self, now_s: float, most: int) -> _Taken:
        """While the model is free: what is decoded, and the policy's choice."""
        tickets = self._ahead.take(most)
        waiting: Mapping[str, Sequence[Captured]] = {}
        if not self._held and len(tickets) < most:
            waiting = self._waiting(most)
        decision = self._decide(now_s, waiting, most - len(tickets)) if waiting else Decision()
        chosen, expired = self._carry_out(
            decision, takable(decision, min(self._ahead.free, self._room() - len(tickets))), now_s
        )
        tickets += [one for one in chosen if not one.captured.must_be_decoded]
        batch = None
        if tickets:
            self._count(len(tickets))
            batch = _Batch(self._model, tickets, now_s, now_s)
            self._running.append(batch)
        return _Taken(batch, [one for one in chosen if one.captured.must_be_decoded], expired, decision.wait_until_s)

    def _take_ahead(self, now_s: float, most: int) -> _Taken:
        """While the model is busy: pictures that are to be decoded until it is free, if it is time for that."""
        room = min(most - len(self._ahead), self._room())
        if self._held or room <= 0 or not self._ahead.free or not self._running:
            return _Taken()
        waiting = self._waiting(most)
        pictures = sum(frames[0].must_be_decoded for frames in waiting.values())
        if not pictures:
            return _Taken()
        free_s = min(max(now_s, one.given_s + self._cost.run_s(len(one.tickets))) for one in self._running)
        take_s = self._ahead.take_s(free_s, min(pictures, room))
        if take_s is None or take_s > now_s:
            return _Taken(look_again_s=take_s)
        decision = self._decide(now_s, waiting, room)
        choices = takable(decision, self._ahead.free, only_encoded=True)
        chosen, expired = self._carry_out(decision, choices, now_s)
        return _Taken(None, chosen, expired, decision.wait_until_s)

    def _room(self) -> int:
        """For how many frames more whoever gets the results has places; frames that are with the model or the decoders have theirs."""
        if self._places is None:
            return _UNLIMITED
        return self._places - len(self._ahead) - sum(len(batch.tickets) for batch in self._running)

    def _waiting(self, most: int) -> dict[str, Sequence[Captured]]:
        """Waiting frames by camera. Cameras of which a picture is being decoded are left out, and those that take no results."""
        most_untold = max(_MOST_UNTOLD, 4 * most)
        waiting: dict[str, Sequence[Captured]] = {}
        for name, one in tuple(self._ready.items()):
            frames = one.mailbox.waiting()
            if not frames:
                del self._ready[name]
            elif len(one.tickets) < most_untold and not self._ahead.decodes(one):
                waiting[name] = frames
        return waiting

    def _decide(self, now_s: float, waiting: Mapping[str, Sequence[Captured]], most: int) -> Decision:
        """The policy's choice. Where pictures are to be decoded, results come later by that."""
        encodes = any(frames[0].must_be_decoded for frames in waiting.values())
        self._cost.before_s = self._ahead.lead_s if encodes else 0.0
        return self._policy.decide(now_s, waiting, self._cost, most)

    def _carry_out(
        self, decision: Decision, chosen: Sequence[Choice], now_s: float
    ) -> tuple[list[Ticket], list[TakenCamera]]:
        """Take the ``chosen`` ones of a decision. Gives what was taken, and the cameras of which frames were given up."""
        gone = given_up(decision, chosen)
        self._policy.take(Decision(tuple(chosen), gone), now_s)
        expired = [self._cameras[choice.camera] for choice in gone if self._give_up(choice, now_s)]
        tickets = [self._take_one(choice, now_s) for choice in chosen]
        for choice in (*gone, *chosen):
            if not len(self._cameras[choice.camera].mailbox):
                self._ready.pop(choice.camera, None)
        return tickets, expired

    def _count(self, frames: int) -> None:
        """A batch of so many frames was taken. Where it was the other kind after enough of one, it told: the next may be later."""
        if frames == 1:
            of_the_other_kind = self._larger
            self._singles, self._larger = self._singles + 1, 0
        else:
            of_the_other_kind = self._singles
            self._singles, self._larger = 0, self._larger + 1
        if of_the_other_kind >= self._probe_every:
            self._probe_every = min(2 * self._probe_every, _PROBE_EVERY[1])

    def _take_one(self, choice: Choice, now_s: float) -> Ticket:
        """Take the frame, or the one that replaced it since. It is the oldest of its camera that is left: the others were given up."""
        camera = self._cameras[choice.camera]
        captured = camera.mailbox.take()
        assert captured is not None  # one thread takes at a time, with the lock held
        ticket = Ticket(camera, captured, now_s)
        camera.tickets.append(ticket)
        return ticket

    def _give_up(self, choice: Choice, now_s: float) -> bool:
        """Take the frame out, unless it was replaced since; whether it was there."""
        camera = self._cameras[choice.camera]
        if not camera.mailbox.remove(choice.captured):
            return False
        camera.tickets.append(Ticket(camera, choice.captured, now_s, Fate.EXPIRED))
        return True

    def _limits(self) -> tuple[int, int]:
        """How many frames may run together, and how many batches at once. Where batches gain nothing: single frames, as many at once
        as the model gains by, but for a full batch now and then, to see; where they gain, a single frame now and then."""
        most = self._model.max_batch
        for limit in (self.options.max_batch, self._places):
            if limit is not None and limit < most:
                most = limit
        parallel = 0 if self.gave_up else self._model.parallel
        if self._cost.gains_from(most):
            return (1 if self._larger >= self._probe_every else most), min(parallel, _MAX_BATCHES)
        return (most if self._singles >= self._probe_every else 1), parallel

    # ---- decoding ----

    def _decode(self, ticket: Ticket) -> None:
        """Called by a thread that decodes."""
        began_s = self.clock.now_s()
        try:
            ticket.captured.decoded()
        except Exception as error:  # whatever it is, one frame is lost
            self._settler.settle(ticket, Fate.CORRUPT, error=error)
        now_s = self.clock.now_s()
        ticket.camera.metrics.add("decode", now_s - began_s)
        with self._lock:
            self._ahead.end(ticket, now_s)
            self._wake.notify()  # it may run, and there is a thread for another picture

    # ---- running ----

    def _is_warming(self) -> bool:
        """Whether black frames run: what they take would say nothing if others ran beside them."""
        return any(not batch.tickets for batch in self._running)

    def _warm_up(self) -> bool:
        """Once, before the first batch, where the options ask for it. False: the model hung, and another thread has this one's place."""
        with self._lock:
            if self._is_warm or self._stopping:
                return True
            self._is_warm = True
            most = min(self._model.max_batch, self.options.max_batch or self._model.max_batch)
            now_s = self.clock.now_s()
            batch = _Batch(self._model, [], now_s, now_s)
            self._running.append(batch)  # so that the watchdog sees it
        try:
            measured = warm_up(batch.model, most)
        except Exception:  # the first real frame will tell, and lose no more by it
            measured = []
        with self._lock:
            if batch.abandoned:
                self._hung.remove(batch)
                return False
            self._running.remove(batch)
            for size, seconds in measured:
                self._cost.add(size, seconds)
            self._wake.notify_all()
        return True

    def _run(self, batch: _Batch) -> bool:
        """Run a batch and give its results back. False: it hung meanwhile, and another thread has this one's place."""
        outcomes = self._predict(batch, batch.tickets)
        now_s = self.clock.now_s()
        failures = sum(isinstance(outcome, _Failure) for outcome in outcomes)
        with self._lock:
            if batch.abandoned:
                self._hung.remove(batch)
                self._wake.notify()
                return False
            self._running.remove(batch)
            if batch.model is self._model:  # what the one before it does tells nothing of it
                if not failures:
                    self._cost.add(len(batch.tickets), now_s - batch.given_s)
                self._rest_if(failures == len(batch.tickets), now_s)
            self._wake.notify()
        self.metrics.add_batch(len(batch.tickets), now_s - batch.given_s)
        for ticket, outcome in zip(batch.tickets, outcomes, strict=True):
            ticket.camera.metrics.add("queue", ticket.taken_s - ticket.captured.received_s)
            ticket.camera.metrics.add("age_at_take", ticket.taken_s - ticket.captured.captured_s)
            ticket.camera.metrics.add("model", now_s - batch.given_s)
            if isinstance(outcome, _Failure):
                self._settler.settle(ticket, Fate.POISON, batch.model.id, error=outcome.error)
            else:
                self._settler.settle(ticket, Fate.SERVED, batch.model.id, result=outcome)
        self._show(batch, outcomes, now_s)
        return True

    def _predict(self, batch: _Batch, tickets: Sequence[Ticket]) -> list[Any]:
        """What the model gives for each frame, or why it gives nothing: a batch that raises is halved."""
        batch.call_began_s = self.clock.now_s()
        try:
            results = list(batch.model.predict_frames([ticket.captured.decoded() for ticket in tickets]))
            if len(results) != len(tickets):
                raise EngineError(f"the model gave {len(results)} results for {len(tickets)} frames")
            return results
        except Exception as error:
            if batch.abandoned:
                return [_Failure(error)] * len(tickets)
            if len(tickets) == 1:
                self._tell_failure(tickets[0], error)
                return [_Failure(error)]
        half = len(tickets) // 2
        return self._predict(batch, tickets[:half]) + self._predict(batch, tickets[half:])

    def _show(self, batch: _Batch, outcomes: Sequence[Any], now_s: float) -> None:
        """To whoever watches."""
        watch = self.watch
        if watch is None or not batch.tickets:
            return
        error = next((one.error for one in outcomes if isinstance(one, _Failure)), None)
        frames = [ticket.captured.decoded() for ticket in batch.tickets]
        single_s = self._cost.seconds(1)
        spare_s = min(one.captured.captured_s + one.camera.lane.max_age_s(single_s) for one in batch.tickets) - now_s
        seconds, idle_s = now_s - batch.call_began_s, self._idle_s(now_s)
        watch(BatchDone(batch.model, frames, [] if error else outcomes, error, seconds, spare_s, idle_s))

    def _idle_s(self, now_s: float) -> float:
        """Until the next frame is expected. A camera that is far too late is not."""
        with self._lock:
            if self._ready or self._running or len(self._ahead):
                return 0.0
            each = [camera.lane.arrivals for camera in self._cameras.values()]
            expected_s = [
                one.next_s for one in each if one.period_s is not None and one.next_s > now_s - MAX_LATE * one.period_s
            ]
        return max(0.0, min(expected_s) - now_s) if expected_s else 0.0

    def _rest_if(self, all_failed: bool, now_s: float) -> None:
        """A model that fails on everything is tried again and again, but not at full speed."""
        if not all_failed:
            self._failed_batches = 0
            return
        self._failed_batches += 1
        if self._failed_batches >= _REST_AFTER:
            shortest_s, longest_s = _REST_S
            doublings = min(self._failed_batches - _REST_AFTER, 16)
            self._rest_until_s = now_s + min(shortest_s * 2**doublings, longest_s)

    def _tell_failure(self, ticket: Ticket, error: BaseException) -> None:
        self.metrics.add_model_failure()
        self._trouble(
            ModelTrouble(
                f"the model failed on frame {ticket.captured.sequence} of camera {ticket.camera.name!r}, which is dropped: "
                f"{type(error).__name__}: {error}",
                error, ticket.camera.name, ticket.captured.sequence, self.clock.now_ns(),
            )
        )  # fmt: skip

    # ---- threads ----

    def _start_worker(self) -> None:
        self._start_thread(self._work, "edgevision-batcher")

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _look_for_hung(self) -> None:
        """Look for calls of the model, and of decoders, that do not come back."""
        timeout_s = self.options.model_timeout_s
        while not self._stopping:
            with self._watchdog_wake:
                if not self._stopping:
                    self.clock.wait_until(self._watchdog_wake, self.clock.now_s() + timeout_s / 4)
            with self._lock:
                late_s = self.clock.now_s() - timeout_s
                hung = [] if self._stopping else [batch for batch in self._running if batch.call_began_s <= late_s]
                for batch in hung:
                    batch.abandoned = True
                    self._running.remove(batch)
                    self._hung.append(batch)
                undecoded = [] if self._stopping else self._ahead.give_up(late_s)
                if undecoded:
                    self._wake.notify()
            for batch in hung:
                self._abandon(batch)
            for ticket in undecoded:
                self._abandon_picture(ticket)

    def _abandon(self, batch: _Batch) -> None:
        self.metrics.add_model_failure()
        words = f"the model did not come back within {self.options.model_timeout_s:g} s with {len(batch.tickets)} frames, which are dropped"
        # First: who watches may bring another model, for which this call counts nothing.
        self._show(batch, [_Failure(EngineError(words))], self.clock.now_s())
        if self.gave_up:
            words += "; this is not the first such call: no more are made until one comes back. Restart the program"
        error = EngineError(words)
        for ticket in batch.tickets:
            self._settler.settle(ticket, Fate.POISON, batch.model.id, error=error)
        self._trouble(ModelTrouble(words, error, None, None, self.clock.now_ns()))
        if not batch.lent:
            self._start_worker()

    def _abandon_picture(self, ticket: Ticket) -> None:
        name, sequence = ticket.camera.name, ticket.captured.sequence
        words = (
            f"frame {sequence} of camera {name!r} was not decoded within {self.options.model_timeout_s:g} s, and is dropped; "
            "the camera is left out until that ends"
        )
        error = DamagedFrameError(Reason.CORRUPT, words)
        self._settler.settle(ticket, Fate.CORRUPT, error=error)
        self._trouble(ModelTrouble(words, error, name, sequence, self.clock.now_ns()))


@dataclass(frozen=True, eq=False)
class _Failure:
    error: BaseException
