"""``Model``: bundle + engine + preprocess + task, at work. ``edgevision.loading`` makes one.

Importing this module costs little more than NumPy: what reads bundles and runs engines is imported by the functions
that need it (``tests/test_imports.py`` holds the list).
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgevision.closing import CLOSE_TIMEOUT_S, Visit, Visits, close_at_exit
from edgevision.errors import BundleError, EdgeVisionError, InputError, SelfTestError
from edgevision.fork import never_free, tell_after_fork
from edgevision.machine import usable_cores

if TYPE_CHECKING:
    from edgevision.bundle.manifest import Manifest, VariantEntry
    from edgevision.bundle.reader import Bundle
    from edgevision.calls.deadline import Deadline
    from edgevision.decode import Picture
    from edgevision.frames import Frame
    from edgevision.preprocess.spec import PreprocessSpec
    from edgevision.runtime.preparation import Item, PreparedItem
    from edgevision.runtime.runner import BatchOutputs, PreprocessOn, Runner
    from edgevision.tasks.base import GoldenResult, Task
    from edgevision.tasks.results import Label
    from edgevision.tensors import Outputs, TensorInfo

_T = TypeVar("_T")

DEVICE_BATCHES = 2  # on a device: one is prepared while another runs; more only makes results older


@dataclass(frozen=True)
class LoadOptions:
    """How a variant is opened and used, as asked of ``load``, where these are explained."""

    threads: int
    max_batch: int
    self_test: bool
    trust_engines: bool
    preprocess_on: PreprocessOn
    max_decode_bytes: int


class Model:
    """A bundle, loaded and ready. Made by ``load``; thread-safe; a context manager.

    ``manifest`` is the bundle's, ``variant`` what runs, ``threads`` how many threads its engine uses, ``task`` how its
    outputs become results.
    """

    def __init__(self, bundle: Bundle, variant: VariantEntry, runner: Runner, options: LoadOptions) -> None:
        from edgevision.calls.calls import Calls
        from edgevision.tasks.registry import make_task

        self.manifest: Manifest = bundle.manifest
        self.variant = variant
        self.threads = runner.engine.options.threads
        self.task: Task[Any] = make_task(bundle.manifest.task_of(variant))
        self._own_task = True  # not one of with_task
        self._bundle = bundle
        self._runner = runner
        self._options = options
        self._visits = Visits()
        self._reopening = threading.RLock()
        self._calls = Calls(self.calls_at_once, most_in_flight())
        close_at_exit(self)
        tell_after_fork(self)

    @property
    def id(self) -> str:
        """The bundle's: the SHA-256 of its manifest."""
        return self._bundle.id

    @property
    def on_device(self) -> bool:
        """Whether its engine has memory of its own, as a GPU has."""
        return self._runner.engine.has_device_slots

    @property
    def runs_side_by_side(self) -> bool:
        """Whether calls from several threads use more cores than one call does."""
        return self._runner.engine.runs_side_by_side

    @property
    def calls_at_once(self) -> int:
        """How many calls gain by running at once: more of them only wait for each other."""
        if self.on_device:
            return DEVICE_BATCHES
        return max(1, usable_cores() // self.threads) if self.runs_side_by_side else 1

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes it knows, in the order of the network's outputs."""
        return self.task.spec.labels

    @property
    def preprocess(self) -> PreprocessSpec:
        """How frames become its input."""
        return self.manifest.preprocess

    @property
    def max_batch(self) -> int:
        """The largest batch that lists are run in: as asked of ``load``, or the graph's own where that is fixed."""
        return self._runner.max_batch

    @property
    def threshold(self) -> float | None:
        """The score that the best class must reach to count as known; None for a task without one.

        The bundle's, or the one given to ``load``.
        """
        value = self.task.spec.parameters.get("threshold")
        return None if value is None else float(value)

    def predict(self, x: Any, *, max_decode_bytes: int | None = None, deadline_s: float | None = None) -> Any:
        """Recognise what a picture shows: a path, a file's bytes, an open binary file, an H×W×3 uint8 BGR array or
        torch tensor (CPU), a Pillow image, or a ``Frame``.

        The result is the task's: ``tasks.Classification`` of a bundle that classifies, ``tasks.Detections`` of one that
        detects, ``tasks.Embedding`` of one that embeds. Several pictures give a list in the same order: a list, any other iterable (a generator, a deque), or an
        N×H×W×3 array. They are taken and run batch by batch: of a generator's frames no more than one batch is held, but
        all the results; for a stream without end call ``predict`` for each frame.

        ``max_decode_bytes``: the most memory that decoding one picture may take; default as given to ``load``.

        ``deadline_s``: seconds, from now, in which the answer is of use. DeadlineError is raised before the model runs where
        the calls under way, and what calls took in the last ten seconds, leave too little time; and in place of an answer
        that comes later all the same, which is then the error's ``result``. Between the batches of a list it is looked at again.

        May be called from many threads at once. Raises InputError (ImageError) for what is no picture, with its place
        where it is one of several.

        >>> model.predict("tray.jpg").best.name  # doctest: +SKIP
        'Royal Gala apple'
        """
        limit = self.decode_limit(max_decode_bytes)
        return self._calls.run(lambda deadline: self._predict(x, limit, deadline), deadline_s, count_of(x))

    async def predict_async(
        self, x: Any, *, max_decode_bytes: int | None = None, deadline_s: float | None = None
    ) -> Any:
        """``predict`` for programs on asyncio: a thread of the model's own works, and the event loop goes on.

        There are as many such threads as the model keeps busy, and 256 calls may wait for them; a further one raises BusyError. At the
        deadline DeadlineError is raised, even where the model hangs. A task that is cancelled while its call waits leaves no work behind;
        a call that runs is finished, and its answer dropped.

        >>> result = await model.predict_async("tray.jpg", deadline_s=0.2)  # doctest: +SKIP
        """
        limit = self.decode_limit(max_decode_bytes)
        return await self._calls.run_async(lambda deadline: self._predict(x, limit, deadline), deadline_s, count_of(x))

    def predict_items(self, items: Sequence[Item | Frame]) -> list[Any]:
        """One result for each item, in their order: a frame, or a region of one.

        Regions of any number of frames share batches, and while one runs the next is prepared. Results are in pixels of
        the whole frame. Raises InputError for a region that leaves its frame.

        >>> from edgevision.preprocess import Region
        >>> tray = Frame.from_array(picture)  # doctest: +SKIP
        >>> model.predict_items([Item(tray, Region(40, 60, 200, 220)), Item(tray)])  # doctest: +SKIP
        """
        return self._use(lambda runner: [one for batch in runner.run_all(items) for one in self._decode(batch)])

    @property
    def input(self) -> TensorInfo:
        """What its network takes, as ``preprocess`` makes it. The first axis, the items, is None."""
        from edgevision.tensors import TensorInfo

        (tensor,) = self._runner.engine.inputs
        return TensorInfo(tensor.name, tensor.dtype, (None, *tensor.shape[1:]))

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What its network gives, before ``task`` makes results of it. The first axis, the items, is None."""
        from edgevision.tensors import TensorInfo

        return tuple(TensorInfo(one.name, one.dtype, (None, *one.shape[1:])) for one in self._runner.engine.outputs)

    def run_batch(self, items: Sequence[Item | PreparedItem | Frame]) -> BatchOutputs:
        """Run 1 … ``max_batch`` items as one batch: what the network gives for them, as ``task.decode`` takes it.

        For those who want the numbers themselves, or have the tensors already: a ``PreparedItem`` is one. Raises InputError.
        """
        return self._use(lambda runner: runner.run(items))

    def digest(self, pictures: Sequence[Picture]) -> Outputs:
        """What is kept of each picture, by role, first axis: the pictures; as ``task.digest`` gives it. For tools that
        compare models. ``pictures``: at least one, as ``predict`` takes them.
        """
        from edgevision.tensors import joined

        if not len(pictures):
            raise InputError("expected at least one picture, got none")
        limit = self._options.max_decode_bytes
        return self._use(
            lambda runner: joined([dict(self.task.digest(b.outputs)) for b in _batches(runner, pictures, limit)])
        )

    def with_task(self, task: Task[Any]) -> Model:
        """This model with another task, which makes other results of the same outputs, such as those of ``gallery.recogniser``.

        Both have one engine: closing either closes both. Golden frames are judged by the bundle's own task as before. Raises
        EngineError where the task is for other outputs.
        """
        task.check(self.outputs)
        other = Model.__new__(Model)  # copy.copy would open the bundle again, as unpickling does
        other.__dict__.update(self.__dict__)
        other.task = task
        other._own_task = False
        close_at_exit(other)
        tell_after_fork(other)
        return other

    def warm_up(self) -> None:
        """Run a black picture in every size of batch that a list may be run in: 1, 2, 4 … ``max_batch``.

        After ``load`` a single picture is warm: the golden frames ran. An engine that compiles for each size (OpenVINO) does so when a list of
        that size first comes, and that call takes as long as loading did. Streams and ``edgevision serve`` do this by themselves.
        """
        import numpy as np

        from edgevision.frames import Frame

        black = Frame.from_array(np.zeros((64, 64, 3), np.uint8))
        sizes = {self.max_batch, *(1 << power for power in range(self.max_batch.bit_length()))}
        for size in sorted(sizes):
            self._use(partial(_run, [black] * size))

    def self_test(self) -> GoldenResult:
        """Run the bundle's golden frames and compare with what they gave when it was made. Raises SelfTestError."""
        from edgevision.runtime.golden_check import check_golden

        result = self._use(lambda runner: check_golden(self._bundle, self.variant, runner))
        if not result.passed:
            raise SelfTestError(
                f"'{self.variant.id}' does not do here what it did when it was compiled: {result.message}. "
                "Load another variant, or compile the model on this machine"
            )
        return result

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Finish the predictions that are running, then give memory and file back. Closing twice is allowed.

        Waits at most ``timeout_s`` seconds; what is running longer keeps what it needs until it ends. So does a
        prediction of the calling thread, where a signal handler calls this. Of a list, the batch that is running is
        finished; then ``predict`` raises EdgeVisionError.
        """
        self.refuse()
        if self._visits.close(timeout_s):
            self._release()

    def refuse(self) -> None:
        """Begin no more predictions. Returns at once; ``close`` is still to be called."""
        self._visits.closed = True
        self._runner.refuse()
        self._calls.close()

    @property
    def is_closed(self) -> bool:
        """Whether it predicts no more."""
        return self._visits.closed

    def after_fork(self) -> None:
        """In a child of ``fork``: the next prediction opens the engine again. Called by Python, not by you."""
        closed = self._visits.closed
        self._visits = Visits()
        self._visits.closed = closed
        self._reopening = threading.RLock()
        self._calls.after_fork()
        never_free(self._runner)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = (
            "closed" if self._visits.closed else f"{self.variant.id}, {self.threads} threads, {len(self.labels)} labels"
        )
        return f"<Model {self.manifest.name!r}: {state}>"

    def __reduce__(self) -> tuple[Callable[..., Model], tuple[object, ...]]:
        """Pickled by what it was made of: the bundle's path (or bytes) and id, the variant, how it was opened, and a task that it
        was given."""
        return _load_again, (
            self._bundle.source, self._bundle.id, self.variant.id, dict(self.variant.parameters), self._options,
            None if self._own_task else self.task,
        )  # fmt: skip

    def _use(self, work: Callable[[Runner], _T]) -> _T:
        """Do ``work`` with the runner, so that closing waits for it."""
        visit = Visit()
        try:
            if not self._visits.enter(visit):
                raise EdgeVisionError("the model is closed; load it again to predict")
            return work(self._runner_here())
        finally:
            self._visits.leave(visit)
            if self._visits.given_up and self._visits.is_empty:  # close() did not wait for this one, the last
                self._release()

    def _runner_here(self) -> Runner:
        """The runner; in a child of ``fork`` one of its own, for a parent's engine has no threads there."""
        if self._runner.engine.inherited:
            if not self._runner.engine.opens_after_fork:
                self._runner.engine.check_inherited()
            with self._reopening:
                if self._runner.engine.inherited:
                    self._runner = _open_runner(self._bundle, self.variant, self._options)
                    close_at_exit(self)
        return self._runner

    def decode_limit(self, max_decode_bytes: int | None) -> int:
        """How many bytes a picture may have when decoded: as asked for here, else as given to ``load``. Raises InputError for no count."""
        if max_decode_bytes is None:
            return self._options.max_decode_bytes
        return check_count("max_decode_bytes", max_decode_bytes)

    def _predict(self, x: Any, max_decode_bytes: int, deadline: Deadline) -> tuple[Any, int]:
        """The result, or the list of results, and how many there are."""
        return self._use(lambda runner: self._predict_with(runner, x, max_decode_bytes, deadline))

    def _predict_with(self, runner: Runner, x: Any, max_decode_bytes: int, deadline: Deadline) -> tuple[Any, int]:
        from edgevision.decode import pictures_in, to_frame

        pictures = pictures_in(x)
        if pictures is None:
            frame = to_frame(x, max_decode_bytes)
            return self._decode(runner.run([frame], deadline))[0], 1
        batches = _batches(runner, pictures, max_decode_bytes, deadline)
        results = [result for batch in batches for result in self._decode(batch)]
        return results, len(results)

    def _decode(self, batch: BatchOutputs) -> list[Any]:
        return self.task.decode(batch.outputs, batch.views, batch.timing)

    def _release(self) -> None:
        self._runner.close(0.0)
        self._bundle.close()


def _open_runner(bundle: Bundle, entry: VariantEntry, options: LoadOptions) -> Runner:
    from edgevision.runtime.opening import open_variant

    return open_variant(
        bundle, entry, options.threads, options.max_batch, most_in_flight(), trust_engines=options.trust_engines,
        preprocess_on=options.preprocess_on, cache=True,
    )  # fmt: skip


def open_model(bundle: Bundle, entry: VariantEntry, options: LoadOptions) -> Model:
    """The bundle's variant, opened, its golden frames passed unless ``options`` leave them out.

    Raises MissingExtraError, DeviceError, EngineError, SelfTestError.
    """
    from edgevision.engines.guard import run_with_timeout, time_limit_s

    runner = _open_runner(bundle, entry, options)
    try:
        model = Model(bundle, entry, runner, options)
        if options.self_test and runner.golden is None:
            # What an engine runs for the first time may hang it, as what it opens may.
            run_with_timeout(time_limit_s(), entry.engine, model.self_test, "run the golden frames")
    except BaseException:
        runner.close(0.0)  # a run that is not waited for gives the memory back when it ends
        raise
    return model


def _run(frames: Sequence[Frame], runner: Runner) -> None:
    runner.run(frames)


def _load_again(
    source: Path | bytes,
    bundle_id: str,
    variant: str,
    parameters: dict[str, Any],
    options: LoadOptions,
    task: Task[Any] | None,
) -> Model:
    """Unpickle a model. Raises BundleError where its file is another by now."""
    from edgevision.bundle.reader import open_bundle

    bundle = open_bundle(source)
    try:
        if bundle.id != bundle_id:
            raise BundleError(f"{bundle.name} was replaced since the model was pickled; load it anew")
        entry = next(entry for entry in bundle.manifest.variants if entry.id == variant)
        model = open_model(bundle, replace(entry, parameters=parameters), options)
        return model if task is None else model.with_task(task)
    except BaseException:
        bundle.close()
        raise


def most_in_flight() -> int:
    """Batches under way at once: one is prepared while another runs; more than there are cores gains nothing."""
    return max(2, usable_cores())


def count_of(x: object) -> int:
    """How many pictures ``x`` is, as far as that is known before they are taken: 1 for a generator."""
    from edgevision.decode import pictures_in

    return len(x) if pictures_in(x) is not None and isinstance(x, Sized) else 1


def _batches(
    runner: Runner, pictures: Iterable[object], max_decode_bytes: int, deadline: Deadline | None = None
) -> Iterator[BatchOutputs]:
    from edgevision.decode import item_to_frame

    numbered = enumerate(pictures)
    while batch := [item_to_frame(x, i, max_decode_bytes) for i, x in islice(numbered, runner.max_batch)]:
        yield runner.run(batch, deadline)


def check_count(name: str, value: Any) -> int:
    """A whole number of at least 1, of Python or NumPy. Raises InputError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise InputError(f"{name} is a whole number, at least 1, got {value!r}")
    return number
