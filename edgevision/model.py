"""``Model``: bundle + engine + preprocess + task. ``load`` makes one, ``predict`` uses it.

Importing this module costs little more than NumPy: what reads bundles and runs engines is imported by the functions
that need it (``tests/test_imports.py`` holds the list).
"""

from __future__ import annotations

import operator
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from edgevision.closing import CLOSE_TIMEOUT_S, Visit, Visits, close_at_exit
from edgevision.errors import (
    BundleError,
    DeviceError,
    DeviceWarning,
    EdgeVisionError,
    EngineError,
    InputError,
    MissingExtraError,
    SelfTestError,
    UnprovenWarning,
)
from edgevision.fork import never_free, tell_after_fork
from edgevision.machine import describe_machine, usable_cores

if TYPE_CHECKING:
    from edgevision.bundle.manifest import Manifest, VariantEntry, Verdict
    from edgevision.bundle.reader import Bundle
    from edgevision.decode import Picture
    from edgevision.preprocess.spec import PreprocessSpec
    from edgevision.runtime.golden_check import VariantCheck
    from edgevision.runtime.runner import BatchOutputs, PreprocessOn, Runner
    from edgevision.runtime.tuning_cache import Choice
    from edgevision.tasks.base import GoldenResult, Task
    from edgevision.tasks.results import Label
    from edgevision.tensors import Outputs

__all__ = ["Model", "Picture", "load", "verify_variants"]

_T = TypeVar("_T")


class Model:
    """A bundle, loaded and ready. Made by ``load``; thread-safe; a context manager.

    ``manifest`` is the bundle's, ``variant`` what runs, ``threads`` how many threads its engine uses, ``task`` how its
    outputs become results.
    """

    def __init__(self, bundle: Bundle, variant: VariantEntry, runner: Runner, opening: _Opening) -> None:
        from edgevision.tasks.registry import make_task

        self.manifest: Manifest = bundle.manifest
        self.variant = variant
        self.threads = runner.engine.options.threads
        self.task: Task[Any] = make_task(bundle.manifest.task_of(variant))
        self._bundle = bundle
        self._runner = runner
        self._opening = opening
        self._visits = Visits()
        self._opening_again = threading.RLock()
        close_at_exit(self)
        tell_after_fork(self)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes it knows, in the order of the network's outputs."""
        return self.manifest.labels

    @property
    def preprocess(self) -> PreprocessSpec:
        """How frames become its input."""
        return self.manifest.preprocess

    @property
    def threshold(self) -> float | None:
        """The score that the best class must reach to count as known; None for a task without one.

        The bundle's, or the one given to ``load``.
        """
        value = self.task.spec.parameters.get("threshold")
        return None if value is None else float(value)

    def predict(self, x: Any, *, max_decode_bytes: int | None = None) -> Any:
        """Recognise what a picture shows: a path, a file's bytes, an open binary file, an H×W×3 uint8 BGR array or
        torch tensor (CPU), a Pillow image, or a ``Frame``.

        The result is the task's: ``tasks.results.Classification`` of a bundle that classifies. Several pictures give a
        list in the same order: a list, any other iterable (a generator, a deque), or an N×H×W×3 array. They are taken
        and run batch by batch: of a generator's frames no more than one batch is held, but all the results; for a
        stream without end call ``predict`` for each frame.

        ``max_decode_bytes``: the most memory that decoding one picture may take; default as given to ``load``.
        May be called from many threads at once. Raises InputError (ImageError) for what is no picture, with its place
        where it is one of several.

        >>> model.predict("tray.jpg").best.name  # doctest: +SKIP
        'Royal Gala apple'
        """
        limit = self._opening.max_decode_bytes
        if max_decode_bytes is not None:
            limit = _count("max_decode_bytes", max_decode_bytes)
        return self._use(lambda runner: self._predict(runner, x, limit))

    def digest(self, pictures: Sequence[Picture]) -> Outputs:
        """What is kept of each picture, by role, first axis: the pictures; as ``task.digest`` gives it. For tools that
        compare models. ``pictures``: at least one, as ``predict`` takes them.
        """
        from edgevision.tensors import joined

        if not len(pictures):
            raise InputError("expected at least one picture, got none")
        limit = self._opening.max_decode_bytes
        return self._use(
            lambda runner: joined([dict(self.task.digest(b.outputs)) for b in _batches(runner, pictures, limit)])
        )

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

    def after_fork(self) -> None:
        """In a child of ``fork``: the next prediction opens the engine again. Called by Python, not by you."""
        closed = self._visits.closed
        self._visits = Visits()
        self._visits.closed = closed
        self._opening_again = threading.RLock()
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
        """Pickled by what it was made of: the bundle's path (or bytes) and id, the variant, and how it was opened."""
        return _load_again, (
            self._bundle.source, self._bundle.id, self.variant.id, dict(self.variant.parameters), self._opening,
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
            with self._opening_again:
                if self._runner.engine.inherited:
                    self._runner = _open_runner(self._bundle, self.variant, self._opening)
                    close_at_exit(self)
        return self._runner

    def _predict(self, runner: Runner, x: Any, max_decode_bytes: int) -> Any:
        from edgevision.decode import pictures_in, to_frame

        pictures = pictures_in(x)
        if pictures is None:
            return self._decode(runner.run([to_frame(x, max_decode_bytes)]))[0]
        return [result for batch in _batches(runner, pictures, max_decode_bytes) for result in self._decode(batch)]

    def _decode(self, batch: BatchOutputs) -> list[Any]:
        return self.task.decode(batch.outputs, batch.views, batch.timing)

    def _release(self) -> None:
        self._runner.close(0.0)
        self._bundle.close()


def load(
    path: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO,
    *,
    engine: str | None = None,
    variant: str | None = None,
    threads: int | None = None,
    tune: str | None = None,
    threshold: float | None = None,
    parameters: Mapping[str, Any] | None = None,
    self_test: bool = True,
    max_batch: int = 8,
    trust_engines: bool = False,
    preprocess_on: PreprocessOn = "cpu",
    max_decode_bytes: int | None = None,
) -> Model:
    """Open a ``.edge`` file: the first of its variants that runs here and passes the self-test, ready to predict.

    Variants are tried in the order that ``edgevision tune`` found on this machine; without one, those for its GPU come
    first, then those for its kind of CPU, in the order measured when the bundle was compiled.

    - ``path``: the file's path, its bytes, or an open binary file, which is read to its end.
    - ``engine``: only variants of this engine, such as ``"onnxruntime"``.
    - ``variant``: only the variant of this name; it is used or refused, never replaced.
    - ``threads``: of the engine; default as tuned, else as compiled but no more than the physical cores.
    - ``tune``: ``"now"`` measures the variants first, which takes seconds.
    - ``threshold``: the score, 0…1, that the best class must reach to count as known; default the bundle's.
    - ``parameters``: of the task, by name, in place of the bundle's.
    - ``self_test``: False saves the few milliseconds that the golden frames take.
    - ``max_batch``: the largest batch that lists are run in.
    - ``trust_engines``: take TensorRT engines from the bundle. They are programs, so only from where you trust; without
      it, engines are built here from the bundle's graph.
    - ``preprocess_on``: ``"cuda"`` prepares frames with our CUDA kernels, straight into the device memory of a TensorRT
      variant; frames may then be in device memory too. TensorRT has not yet run on a GPU.
    - ``max_decode_bytes``: the most memory that decoding one picture may take; default 1 GB (see ``read_image``).

    What OpenVINO compiles is kept in the cache folder for the next start, up to ``EDGEVISION_BLOB_CACHE_MB`` megabytes
    (0 = off).

    Warns UnprovenWarning for a bundle without proof of its accuracy, DeviceWarning where a variant is passed over or
    the proof was made on another instruction set, CacheWarning where a cache cannot be read or written.

    Raises InputError for an argument that is not what was expected, or a task that nothing here knows; BundleError for
    the file; SelfTestError where no variant works and the golden frames of one failed, EngineError where none works for
    other reasons. Where ``variant`` names one, its own error: MissingExtraError, DeviceError, EngineError or
    SelfTestError.

    >>> with load("model.edge") as model:  # doctest: +SKIP
    ...     model.predict("tray.jpg")
    """
    from edgevision.bundle.reader import open_bundle
    from edgevision.decode import MAX_DECODE_BYTES
    from edgevision.tasks.registry import task_type

    if tune not in (None, "now"):
        raise InputError(f"tune is None or 'now', got {tune!r}")
    threads = None if threads is None else _count("threads", threads)
    max_batch = _count("max_batch", max_batch)
    if max_decode_bytes is None:
        max_decode_bytes = MAX_DECODE_BYTES
    max_decode_bytes = _count("max_decode_bytes", max_decode_bytes)
    _check_name("engine", engine)
    _check_name("variant", variant)
    _check_flag("self_test", self_test)
    _check_flag("trust_engines", trust_engines)
    _check_parameters(parameters)
    if preprocess_on not in ("cpu", "cuda"):
        raise InputError(f"preprocess_on is 'cpu' or 'cuda', got {preprocess_on!r}")
    bundle = open_bundle(_bundle_source(path))
    try:
        task_type(bundle.manifest.task.kind)  # says which task is missing, rather than that no variant works
        choice = _choice(bundle, threads, tune)
        candidates = _candidates(bundle, engine, variant, choice)
        given = dict(parameters or {}) if threshold is None else {**(parameters or {}), "threshold": _plain(threshold)}
        if given:
            candidates = [_with_parameters(bundle.manifest, entry, given) for entry in candidates]
        count = threads or (choice.threads if choice else _default_threads(bundle.manifest))
        opening = _Opening(count, max_batch, self_test, trust_engines, preprocess_on, max_decode_bytes)
        model = _open_first(bundle, candidates, opening, strict=variant is not None)
    except BaseException:
        bundle.close()
        raise
    try:
        _warn_of_proof(model)
    except Warning:  # the user's filters make errors of warnings
        model.close()
        raise
    return model


def verify_variants(bundle: Bundle) -> list[VariantCheck]:
    """Check every variant of the bundle on this machine, one thread each. Raises nothing for those that fail."""
    from edgevision.runtime import golden_check
    from edgevision.runtime.opening import open_variant

    return golden_check.verify_variants(bundle, open_variant)


def _bundle_source(path: object) -> str | bytes:
    """What ``open_bundle`` takes, of what ``load`` takes."""
    if isinstance(path, (str, os.PathLike)):
        return os.fspath(path)
    if isinstance(path, (bytes, bytearray, memoryview)):
        return bytes(path)
    content = path.read() if hasattr(path, "read") else None
    if isinstance(content, bytes):
        return content
    what = type(path).__name__ if content is None else f"a file that gives {type(content).__name__}, not bytes"
    raise InputError(f"expected the path of a .edge file, its bytes, or a file opened with mode 'rb', got {what}")


def _plain(value: object) -> object:
    """Python's number of a NumPy one."""
    return value.item() if isinstance(value, np.generic) else value


def _check_name(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} is a name, got {value!r}")


def _check_flag(name: str, flag: object) -> None:
    if not isinstance(flag, (bool, np.bool_)):  # the text "false" would count as true
        raise InputError(f"{name} is True or False, got {flag!r}")


def _check_parameters(parameters: object) -> None:
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InputError(f"parameters are the task's by name, such as {{'temperature': 1.5}}, got {parameters!r}")


def _count(name: str, value: Any) -> int:
    """A whole number of at least 1, of Python or NumPy. Raises InputError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise InputError(f"{name} is a whole number, at least 1, got {value!r}")
    return number


def _choice(bundle: Bundle, threads: int | None, tune: str | None) -> Choice | None:
    """What was measured on this machine, with as many threads as are asked for."""
    from edgevision.runtime.tuning_cache import Choice, read_choice

    if tune == "now":  # counts even where it cannot be remembered
        from edgevision.runtime.tuning import tune_bundle

        result = tune_bundle(bundle, threads=threads)
        return Choice(result.order, result.threads, {})
    choice = read_choice(bundle)
    return choice if choice and threads in (None, choice.threads) else None


def _candidates(bundle: Bundle, engine: str | None, variant: str | None, choice: Choice | None) -> list[VariantEntry]:
    """Variants to try, in order."""
    from edgevision.engines import ENGINES, available_engines
    from edgevision.runtime.opening import describe_gpu
    from edgevision.runtime.variant_order import suited_first

    manifest = bundle.manifest
    entries = {entry.id: entry for entry in manifest.variants}
    if variant is not None and variant not in entries:
        raise InputError(f"the bundle has variants {list(entries)}, got {variant!r}")
    if engine is not None and engine not in ENGINES:
        raise InputError(f"engines are {list(ENGINES)}, got {engine!r}")
    gpu_engines = () if describe_gpu(bundle) is None else tuple(available_engines())
    suited = (entry.id for entry in suited_first(manifest, describe_machine(), gpu_engines))
    order = dict.fromkeys((*(choice.variants if choice else ()), *suited))  # unique, first wins
    found = [
        entries[name] for name in order if variant in (None, name) and engine in (None, entries[name].engine)
    ]  # fmt: skip
    if not found:
        offered = [f"{entry.id} ({entry.engine})" for entry in manifest.variants]
        raise InputError(f"the bundle has nothing for engine '{engine}' of the kind asked for; it has {offered}")
    return found


def _with_parameters(manifest: Manifest, entry: VariantEntry, given: Mapping[str, Any]) -> VariantEntry:
    """The variant with other parameters of its task. Raises InputError where the task does not know them."""
    from edgevision.tasks.registry import make_task

    changed = replace(entry, parameters={**entry.parameters, **given})
    make_task(manifest.task_of(changed))
    return changed


def _default_threads(manifest: Manifest) -> int:
    """The most threads the chosen variant was measured with at batch 1, within this machine's physical cores."""
    chosen = next(entry for entry in manifest.variants if entry.id == manifest.chosen)
    measured = [latency.threads for latency in chosen.latency if latency.batch == 1]
    return min([usable_cores(), *([max(measured)] if measured else [])])


@dataclass(frozen=True)
class _Opening:
    """How a variant is opened, as asked of ``load``."""

    threads: int
    max_batch: int
    self_test: bool
    trust_engines: bool
    preprocess_on: PreprocessOn
    max_decode_bytes: int


def _open_first(bundle: Bundle, candidates: list[VariantEntry], opening: _Opening, strict: bool) -> Model:
    """The first candidate that works; each one passed over is a DeviceWarning. ``strict``: raise instead.

    Where none works: SelfTestError if the golden frames of any failed, else EngineError.
    """
    from edgevision.engines import ENGINES, available_engines

    installed = available_engines()
    passed_over: list[EdgeVisionError] = []
    for entry in candidates:
        try:
            if entry.engine in ENGINES and entry.engine not in installed:
                raise MissingExtraError(entry.engine, ENGINES[entry.engine] or "", f"variant '{entry.id}'")
            model = _open_one(bundle, entry, opening)
        except (MissingExtraError, DeviceError, EngineError, SelfTestError) as error:
            if strict:
                raise
            passed_over.append(error)
            continue
        for reason in passed_over:
            warnings.warn(f"{reason}. Using '{entry.id}', which may be slower", DeviceWarning, stacklevel=3)
        return model
    failed = any(isinstance(error, SelfTestError) for error in passed_over)
    raise (SelfTestError if failed else EngineError)(
        f"no variant of the bundle works on this machine. {' · '.join(map(str, passed_over))}"
    ) from passed_over[-1]


def _open_runner(bundle: Bundle, entry: VariantEntry, opening: _Opening) -> Runner:
    from edgevision.runtime.opening import open_variant

    in_flight = max(2, usable_cores())  # one batch is prepared while another runs; more than cores gains nothing
    return open_variant(
        bundle, entry, opening.threads, opening.max_batch, in_flight, trust_engines=opening.trust_engines,
        preprocess_on=opening.preprocess_on, cache=True,
    )  # fmt: skip


def _open_one(bundle: Bundle, entry: VariantEntry, opening: _Opening) -> Model:
    from edgevision.engines.guard import run_with_timeout, time_limit_s

    runner = _open_runner(bundle, entry, opening)
    try:
        model = Model(bundle, entry, runner, opening)
        if opening.self_test and runner.golden is None:
            # What an engine runs for the first time may hang it, as what it opens may.
            run_with_timeout(time_limit_s(), entry.engine, model.self_test, "run the golden frames")
    except BaseException:
        runner.close(0.0)  # a run that is not waited for gives the memory back when it ends
        raise
    return model


def _load_again(
    source: Path | bytes, bundle_id: str, variant: str, parameters: dict[str, Any], opening: _Opening
) -> Model:
    """Unpickle a model. Raises BundleError where its file is another by now."""
    from edgevision.bundle.reader import open_bundle

    bundle = open_bundle(source)
    try:
        if bundle.id != bundle_id:
            raise BundleError(f"{bundle.name} was replaced since the model was pickled; load it anew")
        entry = next(entry for entry in bundle.manifest.variants if entry.id == variant)
        return _open_one(bundle, replace(entry, parameters=parameters), opening)
    except BaseException:
        bundle.close()
        raise


def _batches(runner: Runner, pictures: Iterable[object], max_decode_bytes: int) -> Iterator[BatchOutputs]:
    from edgevision.decode import item_to_frame

    numbered = enumerate(pictures)
    while batch := [item_to_frame(x, i, max_decode_bytes) for i, x in islice(numbered, runner.max_batch)]:
        yield runner.run(batch)


def _warn_of_proof(model: Model) -> None:
    from edgevision.runtime.golden_check import proof_gaps

    manifest = model.manifest
    verdict = manifest.verdict_on(model.variant)
    # A variant without a verdict, in a bundle that has one for another: proof_gaps tells.
    unproven = manifest.verdict is None if verdict is None else not verdict.proven
    if unproven:
        what = f"'{manifest.name}'"
        if model.variant.id != manifest.chosen:
            what = f"{what} in '{model.variant.id}'"
        warnings.warn(
            f"{what} is not proven: {_why_unproven(verdict)}. Compile it with --val", UnprovenWarning, stacklevel=3
        )
    for gap in proof_gaps(manifest, model.variant):
        warnings.warn(
            f"not proven here: {gap}. To be sure, run: edgevision eval on this machine", DeviceWarning, stacklevel=3
        )


def _why_unproven(verdict: Verdict | None) -> str:
    nothing = "no validation photos showed that its accuracy stays within the budget"
    if verdict is None:
        return nothing
    if verdict.passed:
        return verdict.note or nothing
    lost = f"it lost {verdict.drop:.2f} points on the validation photos, and {verdict.max_drop:g} were allowed"
    return f"{lost} ({verdict.note})" if verdict.note else lost
