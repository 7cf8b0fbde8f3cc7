"""``stream``: many cameras, one model, and a loop that gets their results."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgevision.closing import CLOSE_TIMEOUT_S, close_at_exit
from edgevision.errors import EdgeVisionError, EngineError, InputError, SourceError
from edgevision.fork import tell_after_fork
from edgevision.streams.awaiting import next_of
from edgevision.streams.batcher import Batcher, ModelTrouble
from edgevision.streams.camera_state import CameraState, State, StateChange
from edgevision.streams.clock import Clock, SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, Ledger
from edgevision.streams.metrics import Metrics
from edgevision.streams.model_change import ModelChange
from edgevision.streams.options import CameraOptions, StreamOptions, SwapOptions
from edgevision.streams.outlet import Ended, NewestOutlet, Outlet
from edgevision.streams.reasons import Reason
from edgevision.streams.results import StreamResult
from edgevision.streams.served_model import as_stream_model
from edgevision.streams.sinks.base import Item, Sink
from edgevision.streams.sources.push import PushSource
from edgevision.streams.swap import Swapper
from edgevision.streams.tickets import Settled

if TYPE_CHECKING:
    from edgevision.streams.capture import Capture
    from edgevision.streams.sink_status import SinkStatus
    from edgevision.streams.sinks.runner import SinkRunner
    from edgevision.streams.sources.base import Source

_TROUBLES = 100  # that are kept
_MODEL_CHANGES = 100  # that are kept
_OVER = (State.ENDED, State.DISABLED)


@dataclass(frozen=True)
class CameraStatus:
    """One camera as of now. ``period_s``: seconds between its frames, measured; None until enough came."""

    name: str
    state: CameraState
    period_s: float | None
    account: Account


@dataclass(eq=False)
class _Camera:
    """``capture``: its thread; None for a camera whose frames the app puts in. ``gone``: it was removed, and says nothing any more;
    ``telling``: held while it does."""

    added: CameraState
    capture: Capture | None = None
    gone: bool = False
    telling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> CameraState:
        return self.added if self.capture is None else self.capture.state


class Stream:
    """Serves the frames of cameras with one model, from the moment it is entered or read until ``stop``.

    Reading it, ``for result in stream`` or ``async for``, gives ``StreamResult`` after ``StreamResult``, each camera's in order. With
    no sinks, frames are taken when the loop asks for a result, so that what it gets is fresh however slow it is; what it has no time
    for is ``SUPERSEDED`` in the ledger. With sinks, these get every result, and a loop the newest of each camera.

    Cameras may be down, come back, be added and removed. The loop ends when all cameras are files that are at their end, or after
    ``stop``. It raises SourceError when no camera is left but those that are disabled, and EngineError when the model hangs for good.

    ``ledger``: what became of every frame. ``metrics``: how long it took. ``troubles``: the last failures of the model.
    ``model_changes``: the last steps of swaps. The model stays the caller's to close, unless ``swap`` replaces it.
    """

    def __init__(
        self, model: Any, *, options: StreamOptions | None = None, sinks: Sequence[Sink | str] = (),
        keep_frames: bool = False, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self.ledger = Ledger()
        self.metrics = Metrics()
        self.troubles: deque[ModelTrouble] = deque(maxlen=_TROUBLES)
        self.options = StreamOptions() if options is None else options
        self._clock: Clock = SystemClock() if clock is None else clock
        self.model_changes: deque[ModelChange] = deque(maxlen=_MODEL_CHANGES)
        self._keep_frames = keep_frames
        self._batcher = Batcher(
            as_stream_model(model), self.ledger, metrics=self.metrics, options=self.options, clock=self._clock,
            trouble=self._on_trouble, settled=self._end_if_over,
        )  # fmt: skip
        self._runners = [_runner(sink, self) for sink in sinks]
        self.metrics.sinks = lambda: self.sinks
        self._frames_wanted = keep_frames or any(runner.sink.wants_frames for runner in self._runners)
        kind = NewestOutlet if self._runners else Outlet
        self._outlet = kind(self._batcher, self._clock)
        self._swapper = Swapper(self._batcher, self._clock, self._on_model_change)
        self._changing = threading.RLock()  # held while cameras are added and removed, and by start and stop
        self._ending = (
            threading.Lock()
        )  # held while it is decided that the loop ends, and while a camera comes that makes it go on
        self._cameras: dict[str, _Camera] = {}
        self._started = False
        self._stopped = False
        self._inherited = False
        close_at_exit(self)
        tell_after_fork(self)

    # ---- cameras ----

    @property
    def cameras(self) -> dict[str, CameraStatus]:
        """Every camera as of now, by name."""
        return {name: self._status(name, camera) for name, camera in self._cameras.copy().items()}

    def add(
        self, camera: str | Path | CameraOptions | PushSource, *, name: str | None = None, source: Source | None = None
    ) -> str:
        """Add a camera: a URL or path, options, or a ``PushSource``. Its name.

        ``name``: for a URL or path; None: "cam" and a number. ``source``: what gives its frames, where it is your own.
        It may be down. Raises InputError for a name that is taken, and for a source that cannot be one.
        """
        with self._changing:
            self._refuse_if_over()
            push = camera if isinstance(camera, PushSource) else None
            options = self._options(camera, name)
            if options.name in self._cameras:
                raise InputError(f"there is a camera {options.name!r} already; remove it first, or choose another name")
            if push is None and source is None:
                from edgevision.streams.sources.registry import make_source

                source = make_source(options)
            live = source is None or source.live
            mailbox = self._batcher.add(options.name, options.service(live=live), self._on_settled)
            state = CameraState(State.LIVE if push else State.CONNECTING, self._clock.now_s())
            added = _Camera(state)
            if push is not None:
                push.attach(mailbox, self.ledger, self._clock)
            if source is not None:
                from edgevision.streams.capture import Capture

                added.capture = Capture(
                    options.name,
                    source,
                    mailbox,
                    self.ledger,
                    self._clock,
                    lambda change: self._on_state(added, change),
                )
            with self._ending:
                self._cameras = {**self._cameras, options.name: added}
                self._outlet.reopen()
            if added.capture is not None and self._started:
                added.capture.start()
            return options.name

    def remove(self, name: str, timeout_s: float = 2.0) -> bool:
        """Remove a camera; what waits is settled as stopped. False where its thread did not end in time: its source hangs.

        Raises InputError where there is no such camera.
        """
        with self._changing:
            if name not in self._cameras:
                raise InputError(f"there is no camera {name!r}; there are {sorted(self._cameras)}")
            camera = self._cameras[name]
            self._cameras = {one: other for one, other in self._cameras.items() if one != name}
            self._batcher.remove(name)
            ended = camera.capture is None or camera.capture.stop(timeout_s)
            with camera.telling:  # the next of this name must not be taken for this one
                camera.gone = True
            if not ended:
                words = "it was removed; its source hangs, and was left behind"
                self.emit(StateChange(name, State.ENDED, None, words, self._clock.now_ns()))
        self._end_if_over()
        return ended

    # ---- sinks ----

    @property
    def sinks(self) -> tuple[SinkStatus, ...]:
        """Every sink as of now, those behind a ``Distributor`` included."""
        from edgevision.streams.sinks.runner import statuses_of

        return statuses_of(self._runners)

    # ---- the model ----

    def swap(self, model: str | Path | Any, *, options: SwapOptions | None = None, **load: Any) -> None:
        """Serve with another model, without touching a camera. Returns at once.

        ``model``: the path of a bundle, or a model that is loaded. ``load``: for ``edgevision.load``, such as ``then``, and ``gallery``; ``max_batch`` is
        the live model's where it is left out. It is loaded and self-tested, has to fit, and runs in shadow on live frames; see ``SwapOptions``. Where
        anything is wrong, the live model goes on. After the switch what was replaced is closed, also the model that the stream was made with.

        Each step is a ``ModelChange``, in ``model_changes`` and for all sinks. A swap that has not switched yet when the next is asked for is
        given up for it. Raises EdgeVisionError for a stream that is over.

        >>> stream.swap("shelf-2.edge")  # doctest: +SKIP
        >>> stream.model_changes[-1].words  # doctest: +SKIP
        'shelf@1f2e3d4c5b6a served 50 batches without an error'
        """
        self._refuse_if_over()
        self._swapper.swap(model, SwapOptions() if options is None else options, load)

    # ---- running ----

    def start(self) -> None:
        """Begin, if that was not done. Entering or reading the stream does it."""
        with self._changing:
            self._refuse_if_over()
            if self._started:
                return
            self._started = True
            for runner in self._runners:
                runner.start()
            self._batcher.start()
            for camera in self._cameras.values():
                if camera.capture is not None:
                    camera.capture.start()

    def stop(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Stop all cameras, finish what the model is at work on, give the sinks what is theirs, and end every thread.

        All within ``timeout_s`` seconds, of which cameras and model may use one half where they hang: the other is for the sinks.
        False where a thread is left: a camera's library, the model or a sink hangs; such a thread does not keep the program alive.
        Stopping twice is allowed.
        """
        if self._inherited:
            return True
        deadline_s = time.monotonic() + timeout_s
        half_s = deadline_s - timeout_s / 2
        with self._changing:
            self._stopped = True
            captures = [camera.capture for camera in self._cameras.values() if camera.capture is not None]
            for capture in captures:
                capture.stop(0.0)  # all at once: then they end at the same time
            ended = [capture.stop(_left_s(half_s)) for capture in captures]
            self._swapper.refuse()
            if self._started:
                ended += [not self._batcher.stop(_left_s(half_s))]
            else:
                self._batcher.stop(0.0)
            self._outlet.end()
            ended.append(self._swapper.stop(_left_s(half_s)))
            if self._started and self._runners:
                from edgevision.streams.sinks.runner import close_all

                ended += close_all(self._runners, _left_s(deadline_s))
        return all(ended)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all cameras are at their end, for a stream with sinks and no loop. False after ``timeout_s``.

        Raises what reading would raise.
        """
        self.start()
        return self._outlet.wait_for_end(timeout_s)

    def emit(self, item: Item) -> None:
        """Hand an item of your own to all sinks, such as the inventory events of a tracker. Never blocks."""
        for runner in self._runners:
            runner.put(item)

    def refuse(self) -> None:
        """Begin nothing new. Returns at once."""
        self._batcher.refuse()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """The same as ``stop``."""
        self.stop(timeout_s)

    def after_fork(self) -> None:
        """In a child of ``fork``: its threads are not there, and it is over. Called by Python, not by you."""
        self._stopped = self._inherited = True

    def __enter__(self) -> Stream:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- reading ----

    def __iter__(self) -> Iterator[StreamResult]:
        self.start()
        return self

    def __next__(self) -> StreamResult:
        try:
            return self._outlet.get()
        except Ended as end:
            raise end.__cause__ or StopIteration from None

    def __aiter__(self) -> AsyncIterator[StreamResult]:
        self.start()
        return self

    async def __anext__(self) -> StreamResult:
        try:
            return await next_of(self._outlet)
        except Ended as end:
            raise end.__cause__ or StopAsyncIteration from None

    # ---- what others tell ----

    def _on_settled(self, settled: Settled) -> None:
        if settled.fate is Fate.SERVED:
            captured = settled.captured
            result = StreamResult(
                captured.camera, captured.sequence, settled.result, captured.frame.captured_ns, settled.age_s, settled.gap,
                settled.model_id,
            )  # fmt: skip
            with_frame = replace(result, frame=captured.decoded()) if self._frames_wanted else result
            for runner in self._runners:
                runner.put(with_frame if runner.sink.wants_frames else result)
            self._outlet.put(with_frame if self._keep_frames else result)

    def _on_state(self, camera: _Camera, change: StateChange) -> None:
        with camera.telling:
            if camera.gone:
                return
            self.emit(change)
        self._end_if_over()

    def _on_model_change(self, change: ModelChange) -> None:
        self.model_changes.append(change)
        self.emit(change)

    def _on_trouble(self, trouble: ModelTrouble) -> None:
        self.troubles.append(trouble)
        if self._batcher.gave_up:
            self._outlet.end(EngineError(trouble.words))

    def _end_if_over(self) -> None:
        """End the loop where no camera has a frame left and none will have one."""
        if any(camera.state.state not in _OVER for camera in self._cameras.values()):
            return  # as for every frame but the last ones
        with self._ending:
            states = {name: camera.state for name, camera in self._cameras.items()}
            if not states or any(state.state not in _OVER for state in states.values()):
                return
            if any(self.ledger.in_flight(name) for name in states):
                return
            disabled = {name: state for name, state in states.items() if state.state is State.DISABLED}
            if not disabled:
                self._outlet.end()
                return
            words = "; ".join(f"{name}: {state.words}" for name, state in disabled.items())
            reason = next(iter(disabled.values())).reason or Reason.UNSUPPORTED
            self._outlet.end(SourceError(reason, f"no camera is left that could be served: {words}"))

    # ---- small things ----

    def _options(self, camera: str | Path | CameraOptions | PushSource, name: str | None) -> CameraOptions:
        if isinstance(camera, PushSource):
            if name not in (None, camera.name):
                raise InputError(
                    f"the source has the name {camera.name!r} already, got {name!r}; give it one of the two"
                )
            return camera.options
        if isinstance(camera, CameraOptions):
            return camera if name is None else replace(camera, name=name)
        if name is None:
            number = 1
            while f"cam{number}" in self._cameras:
                number += 1
            name = f"cam{number}"
        return CameraOptions(name, str(camera))

    def _status(self, name: str, camera: _Camera) -> CameraStatus:
        period_s = None if camera.capture is None else camera.capture.period_s
        return CameraStatus(name, camera.state, period_s, self.ledger.account(name))

    def _refuse_if_over(self) -> None:
        if self._inherited:
            raise EdgeVisionError(
                "this stream was made before fork, and its threads are not here; make one in the child"
            )
        if self._stopped:
            raise EdgeVisionError("the stream was stopped; make another")


def stream(
    sources: Iterable[str | Path | CameraOptions | PushSource] | Mapping[str, str | Path | CameraOptions | PushSource],
    model: Any,
    *,
    options: StreamOptions | None = None,
    sinks: Sequence[Sink | str] = (),
    keep_frames: bool = False,
) -> Stream:
    """Serve many cameras with one model; see ``Stream``.

    ``sources``: URLs, paths, ``CameraOptions`` or ``PushSource``s; a mapping gives them names. ``model``: of ``edgevision.load``.
    ``sinks``: where results go besides the loop, as ``streams.sinks.registry.make_sink`` takes them, or your own. ``keep_frames``: results for the loop keep their frame.

    Raises InputError for a source or model that cannot be one. Cameras that are down raise nothing.

    >>> with ev.stream({"till": "rtsp://camera-3/main"}, model) as results:  # doctest: +SKIP
    ...     for result in results:
    ...         print(result.camera, result.result.best.name, f"{result.age_s:.3f} s old")
    """
    made = Stream(model, options=options, sinks=sinks, keep_frames=keep_frames)
    if isinstance(sources, (str, Path, CameraOptions, PushSource)):
        raise InputError(f"sources are a list, got one {type(sources).__name__}; write [source]")
    if isinstance(sources, Mapping):
        for name, source in sources.items():
            made.add(source, name=name)
    else:
        for source in sources:
            made.add(source)
    return made


def _runner(sink: Sink | str, stream: Stream) -> SinkRunner:
    from edgevision.streams.sinks.registry import make_sink
    from edgevision.streams.sinks.runner import SinkRunner

    if isinstance(sink, str):
        sink = make_sink(sink)
    observe = getattr(sink, "observe", None)
    if observe is not None:
        observe(stream.ledger, stream.metrics)
    return SinkRunner(sink)


def _left_s(deadline_s: float) -> float:
    return max(0.0, deadline_s - time.monotonic())
