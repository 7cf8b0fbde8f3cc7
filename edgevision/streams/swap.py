"""The model hot swap: a new model is loaded, has to fit, runs in shadow on live frames, takes over, and is watched.

One thread does it, beside those that serve. Whatever goes wrong, the live model goes on, or comes back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgevision.streams.batcher import BatchDone, Batcher
from edgevision.streams.clock import Clock
from edgevision.streams.model_change import ModelChange, Step, TrialReport
from edgevision.streams.options import SwapOptions
from edgevision.streams.served_model import ServedModel, StreamModel, as_stream_model, misfit, other_threshold, warm_up
from edgevision.streams.time_limit import in_time
from edgevision.streams.trial import Trial

_CLOSE_S = 5.0  # for what still runs on a model that is closed
_PAUSE_S = 0.005  # between two looks whether a model is still in use
_MOST_WORDS = 2000  # characters of what is told of a step


@dataclass(frozen=True)
class _Wish:
    """A swap that was asked for. ``model``: a path, or a model that is loaded."""

    model: Any
    options: SwapOptions
    load: Mapping[str, Any]

    @property
    def is_path(self) -> bool:
        """Whether the model is still to be loaded."""
        return isinstance(self.model, (str, Path))

    @property
    def name(self) -> str:
        """What it is called until it is loaded."""
        if self.is_path:
            return Path(self.model).name
        return str(getattr(self.model, "id", type(self.model).__name__))


class _Refused(Exception):  # noqa: N818 - why a model does not take over; it becomes a ModelChange
    pass


class _Replaced(Exception):  # noqa: N818 - a later swap was asked for
    pass


class Swapper:
    """Gives a batcher another model, in a thread that is there while there is something to do. ``tell``: called with each step.

    One swap at a time. A later one replaces one that has not switched; it waits for one that has, until that is over. Models
    that it was given, has loaded or has replaced are its to close.
    """

    def __init__(self, batcher: Batcher, clock: Clock, tell: Callable[[ModelChange], None]) -> None:
        self._batcher = batcher
        self._clock = clock
        self._tell = tell
        self._changed = threading.Condition()
        self._wish: _Wish | None = None  # the next
        self._sample: BatchDone | None = None  # the newest that the live model ran
        self._judging = False
        self._watched = 0  # batches of the new model, after the switch, without an error
        self._fault: BaseException | None = None  # of the first with one
        self._stopping = False
        self._owned: StreamModel | None = None  # that serves, and was not the stream's first
        self._held: tuple[Any, ...] = ()  # the models of the swap that is carried out
        self._thread: threading.Thread | None = None

    def swap(self, model: Any, options: SwapOptions, load: Mapping[str, Any]) -> None:
        """Ask for another model. Returns at once."""
        with self._changed:
            before, self._wish = self._wish, _Wish(model, options, load)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="edgevision-swap", daemon=True)
                self._thread.start()
        if before is not None:
            self._forget(before, Step.REPLACED, "another model was asked for")

    def refuse(self) -> None:
        """Switch no more. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """End within ``timeout_s`` seconds, and close the model that serves if it is not the stream's first. To be called when the batcher
        has stopped. False where a model that is being loaded does not come back."""
        self.refuse()
        until_s = time.monotonic() + timeout_s
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        owned, self._owned = self._owned, None
        if owned is not None:
            _close(owned, max(0.0, until_s - time.monotonic()))
        return thread is None or not thread.is_alive()

    # ---- the thread ----

    def _work(self) -> None:
        while True:
            with self._changed:
                wish, self._wish = self._wish, None
                if wish is None or self._stopping:
                    self._thread = None
                    break
                self._held = (self._batcher.model, wish.model)
            self._carry_out(wish)
        if wish is not None:
            self._forget(wish, Step.REFUSED, "the stream ended")

    def _forget(self, wish: _Wish, step: Step, why: str) -> None:
        """Give up a swap that was not begun."""
        live = self._batcher.model
        self._say(step, wish.name, live.id, f"{wish.name} is given up: {why}")
        with self._changed:
            needed = self._is_wanted(wish.model) or any(_is_same(wish.model, one) for one in (live, *self._held))
        if not wish.is_path and not needed:
            _close(wish.model, _CLOSE_S)

    def _carry_out(self, wish: _Wish) -> None:
        """One swap, from its first step to its last."""
        live, name = self._batcher.model, wish.name
        candidate = None
        try:
            self._say(Step.LOADING, name, live.id, f"{name} is being loaded")
            candidate = _loaded(wish, live)
            name = candidate.id
            trial = self._prove(wish, live, candidate)
        except _Replaced:
            self._say(Step.REPLACED, name, live.id, f"{name} is given up: another model was asked for")
        except _Refused as reason:
            self._say(Step.REFUSED, name, live.id, f"{live.id} goes on, for {name} is refused: {reason}")
        except Exception as error:  # of any kind: a file may be anything, and a model anybody's
            words = f"{live.id} goes on, for {name} failed: {type(error).__name__}: {error}"
            self._say(Step.REFUSED, name, live.id, words)
        else:
            candidate = self._take_over(wish, live, candidate, trial)
        if candidate is not None:
            self._retire(candidate)
        self._held = ()

    # ---- before the switch ----

    def _prove(self, wish: _Wish, live: StreamModel, candidate: StreamModel) -> Trial:
        """Let it show what it can. Raises _Refused and _Replaced, and what the model raises."""
        self._check_wanted()
        reason = misfit(live, candidate, keep_labels=wish.options.keep_labels)
        if reason:
            raise _Refused(reason)
        words, options = f"{candidate.id} is loaded and fits", wish.options
        if threshold := other_threshold(live, candidate):
            # It is meant to find other boxes than the live model: how many answers agree says nothing.
            words = f"{words}; it is the model that serves, with {threshold}"
            if options.frames:
                words = f"{words}, and is compared in speed alone"
            options = replace(options, min_agreement=0.0)
        self._say(Step.LOADED, candidate.id, live.id, words)
        trial = Trial(options, self._clock.now_s())
        if not wish.options.frames:
            if self._batcher.options.warm_up:
                most = min(candidate.max_batch, self._batcher.options.max_batch or candidate.max_batch)
                trial.costs = in_time(lambda: warm_up(candidate, most), self._batcher.options.model_timeout_s)
            return trial
        words = f"{candidate.id} runs in shadow on {wish.options.frames} live frames"
        self._say(Step.SHADOWING, candidate.id, live.id, words)
        self._shadow(trial, live, candidate)
        objection = trial.objection()
        if objection:
            raise _Refused(objection)
        self._say(Step.COMPARED, candidate.id, live.id, f"{candidate.id}: {trial.report.words}", trial.report)
        return trial

    def _shadow(self, trial: Trial, live: StreamModel, candidate: StreamModel) -> None:
        """Let it run batches again that the live model ran, until enough frames are compared or the time is over."""
        self._batcher.watch = self._offer
        try:
            while not trial.is_complete and (done := self._next_sample(trial.ends_s)) is not None:
                if done.model is not live or done.error is not None or not trial.may_run(done, self._clock.now_s()):
                    continue
                frames = done.frames
                call = partial(self._timed, candidate, frames)
                results, seconds = in_time(call, self._batcher.options.model_timeout_s)
                if len(results) != len(frames):
                    raise _Refused(f"it gave {len(results)} results for {len(frames)} frames")
                with self._changed:
                    beside = self._sample if self._sample is not None and self._sample.model is live else None
                trial.add(done, results, seconds, beside)
        finally:
            self._batcher.watch = None
            self._sample = None
        self._check_wanted()

    def _offer(self, done: BatchDone) -> None:
        """Called by the batcher's workers: the newest batch is kept, until it is taken."""
        with self._changed:
            self._sample = done
            self._changed.notify_all()

    def _next_sample(self, until_s: float) -> BatchDone | None:
        """The newest batch; None at ``until_s``. Raises _Refused and _Replaced."""
        with self._changed:
            while self._sample is None:
                self._check_wanted()
                if self._clock.now_s() >= until_s:
                    return None
                self._clock.wait_until(self._changed, until_s)
            sample, self._sample = self._sample, None
        self._check_wanted()
        return sample if self._clock.now_s() < until_s else None

    def _check_wanted(self) -> None:
        if self._stopping:
            raise _Refused("the stream ended")
        if self._wish is not None:
            raise _Replaced

    def _timed(self, candidate: StreamModel, frames: Any) -> tuple[list[Any], float]:
        began_s = self._clock.now_s()
        results = list(candidate.predict_frames(frames))
        return results, self._clock.now_s() - began_s

    # ---- the switch, and after it ----

    def _take_over(self, wish: _Wish, live: StreamModel, candidate: StreamModel, trial: Trial) -> StreamModel:
        """Switch, and switch back where the new model fails. The model that serves no more."""
        report = trial.report if wish.options.frames else None
        self._watched, self._fault, self._judging = 0, None, True
        self._batcher.watch = lambda done: self._judge(done, live, candidate, trial)
        self._batcher.switch(candidate, trial.costs)
        self._say(Step.SWITCHED, candidate.id, live.id, f"{candidate.id} serves from now on", report)
        fault, watched = self._verdict(wish.options)
        self._batcher.watch = None
        if fault is not None:
            words = f"{live.id} serves again, for {candidate.id} failed in batch {watched + 1} after the switch: {type(fault).__name__}: {fault}"
            self._say(Step.ROLLED_BACK, candidate.id, live.id, words, report)
            return candidate
        self._owned = candidate
        served = f"served {watched} batches without an error" if watched else "stays; no batch came to watch it by"
        self._say(Step.KEPT, candidate.id, live.id, f"{candidate.id} {served}", report)
        return live

    def _judge(self, done: BatchDone, live: StreamModel, candidate: StreamModel, trial: Trial) -> None:
        """Called by the batcher's workers: the first error brings the old model back at once."""
        with self._changed:
            if done.model is not candidate or self._fault is not None or not self._judging:
                return
            if done.error is None:
                self._watched += 1
            else:
                self._fault = done.error
                self._batcher.switch(live, trial.live_costs)
            self._changed.notify_all()

    def _verdict(self, options: SwapOptions) -> tuple[BaseException | None, int]:
        """Wait until enough batches were watched. The error that brought the old model back, and the batches without one."""
        until_s = self._clock.now_s() + options.within_s  # cameras may be down: it is not watched for ever
        with self._changed:
            while not self._stopping and self._fault is None and self._watched < options.watched_batches:
                if self._clock.now_s() >= until_s:
                    break
                self._clock.wait_until(self._changed, until_s)
            self._judging = False  # after this no worker switches back
            fault, self._fault = self._fault, None  # it keeps everything alive that its traceback has seen
            return fault, self._watched

    def _retire(self, model: StreamModel) -> None:
        """Close a model as soon as nothing runs on it, unless it is to serve again next."""
        until_s = time.monotonic() + self._batcher.options.model_timeout_s
        while self._batcher.in_use(model) and time.monotonic() < until_s:
            time.sleep(_PAUSE_S)
        with self._changed:
            wanted = self._is_wanted(model)
        if not wanted:
            _close(model, _CLOSE_S, keep=self._batcher.model)

    def _is_wanted(self, model: Any) -> bool:
        """Whether the next swap is to this model. With the lock held."""
        return self._wish is not None and _is_same(self._wish.model, model)

    def _say(self, step: Step, model_id: str, previous_id: str, words: str, report: TrialReport | None = None) -> None:
        if len(words) > _MOST_WORDS:  # of an error, which may hold anything
            words = words[: _MOST_WORDS - 1] + "…"
        self._tell(ModelChange(step, model_id, previous_id, words, self._clock.now_ns(), report))


def _loaded(wish: _Wish, live: StreamModel) -> StreamModel:
    if not wish.is_path:
        if _is_same(wish.model, live):
            raise _Refused("it is the model that serves")
        return as_stream_model(wish.model)
    from edgevision.gallery.recogniser import load_with_gallery

    return as_stream_model(load_with_gallery(wish.model, **{"max_batch": live.max_batch, **wish.load}))


def _is_same(one: Any, other: Any) -> bool:
    return _loaded_of(one) is _loaded_of(other)


def _loaded_of(model: Any) -> Any:
    return model.model if isinstance(model, ServedModel) else model


def _close(model: Any, timeout_s: float, keep: Any = None) -> None:
    """One that fails to close is gone all the same. ``keep``: a model that serves; what both are made of stays open."""
    kept = keep.parts if isinstance(keep, ServedModel) else ()
    with contextlib.suppress(Exception):
        if isinstance(model, ServedModel):
            own = [part for part in model.parts if part not in kept]
            if len(own) == len(model.parts):
                model.model.close(timeout_s)
            for part in own:  # again, for nothing, where the whole is closed
                part.close(timeout_s)
        elif hasattr(model, "close"):  # a model of your own
            model.close()
