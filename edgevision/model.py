"""``Model``: bundle + engine + preprocess + task. ``load`` makes one, ``predict`` uses it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgevision.bundle.manifest import Manifest, VariantEntry, Verdict
from edgevision.bundle.reader import Bundle, open_bundle
from edgevision.decode import read_image
from edgevision.engines import ENGINES, available_engines
from edgevision.errors import (
    DeviceError,
    DeviceWarning,
    EdgeVisionError,
    EngineError,
    InputError,
    MissingExtraError,
    SelfTestError,
    UnprovenWarning,
)
from edgevision.frames import Frame, ImageArray
from edgevision.machine import describe_machine, usable_cores
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.runtime import golden_check
from edgevision.runtime.engine_cache import describe_gpu, open_variant
from edgevision.runtime.golden_check import VariantCheck, check_golden, proof_gaps
from edgevision.runtime.runner import BatchOutputs, PreprocessOn, Runner
from edgevision.runtime.tuning import Choice, read_choice, tune_bundle
from edgevision.runtime.variant_order import suited_first
from edgevision.tasks.base import GoldenResult, Task
from edgevision.tasks.registry import make_task, task_type
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs, joined

__all__ = ["Model", "Picture", "load", "proof_gaps", "verify_variants"]

Picture: TypeAlias = "str | os.PathLike[str] | bytes | ImageArray | Frame"


class Model:
    """A bundle, loaded and ready. Made by ``load``; thread-safe; a context manager.

    ``manifest`` is the bundle's, ``variant`` what runs, ``threads`` how many threads its engine uses, ``task`` how its
    outputs become results.
    """

    def __init__(self, bundle: Bundle, variant: VariantEntry, runner: Runner) -> None:
        self.manifest: Manifest = bundle.manifest
        self.variant = variant
        self.threads = runner.engine.options.threads
        self.task: Task[Any] = make_task(bundle.manifest.task_of(variant))
        self._bundle = bundle
        self._runner = runner
        self._closed = False

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
        """Best scores under it mean "unknown": the bundle's, or the one given to ``load``; None for a task without one."""
        value = self.task.spec.parameters.get("threshold")
        return None if value is None else float(value)

    def predict(self, x: Any) -> Any:
        """Recognise what a picture shows: a path, a file's bytes, an H×W×3 uint8 BGR array, or a ``Frame``.

        The result is the task's: ``tasks.results.Classification`` of a bundle that classifies. A list gives a list in the same
        order; it is run in batches. May be called from many threads at once. Raises InputError (ImageError) for what is
        no picture, with its place where it is in a list.

        >>> model.predict("tray.jpg").best.name  # doctest: +SKIP
        'Royal Gala apple'
        """
        if isinstance(x, (list, tuple)):
            return [result for batch in self._batches(x) for result in self._decode(batch)]
        frame = _to_frame(x)
        self._check_open()
        return self._decode(self._runner.run([frame]))[0]

    def digest(self, pictures: Sequence[Picture]) -> Outputs:
        """What is kept of each picture, by role, first axis: the pictures; as ``task.digest`` gives it. For tools that
        compare models. ``pictures``: at least one, as ``predict`` takes them.
        """
        if not len(pictures):
            raise InputError("expected at least one picture, got none")
        return joined([dict(self.task.digest(batch.outputs)) for batch in self._batches(pictures)])

    def self_test(self) -> GoldenResult:
        """Run the bundle's golden frames and compare with what they gave when it was made. Raises SelfTestError."""
        self._check_open()
        result = check_golden(self._bundle, self.variant, self._runner)
        if not result.passed:
            raise SelfTestError(
                f"'{self.variant.id}' does not do here what it did when it was compiled: {result.message}. "
                "Load another variant, or compile the model on this machine"
            )
        return result

    def close(self) -> None:
        """Finish the predictions that are running, then give memory and file back. Closing twice is allowed."""
        self._closed = True
        self._runner.close()
        self._bundle.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.variant.id}, {self.threads} threads, {len(self.labels)} labels"
        return f"<Model {self.manifest.name!r}: {state}>"

    def _batches(self, pictures: Sequence[Picture]) -> Iterator[BatchOutputs]:
        self._check_open()
        size = self._runner.max_batch
        for start in range(0, len(pictures), size):
            yield self._runner.run([_item(pictures[i], i) for i in range(start, min(start + size, len(pictures)))])

    def _decode(self, batch: BatchOutputs) -> list[Any]:
        return self.task.decode(batch.outputs, batch.views, batch.timing)

    def _check_open(self) -> None:
        if self._closed:
            raise EdgeVisionError("the model is closed; load it again to predict")


def load(
    path: str | Path | bytes,
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
) -> Model:
    """Load a ``.edge`` file.

    The first of its variants that runs here and passes the self-test is used: in the order that ``edgevision tune``
    found on this machine, else those for its GPU, then those for its kind of CPU, in the order measured when it was
    compiled. ``variant`` or ``engine`` narrow the choice; a variant asked for by name is
    used or refused, never replaced. ``threads``: default as tuned, else as compiled, at most the physical cores.
    ``tune="now"`` measures first. ``threshold`` replaces the stored one: the best score, 0…1, from which on a
    product counts as known. ``parameters`` replace others of the task's by name. ``self_test=False`` saves the few milliseconds of the golden frames.
    ``max_batch``: largest batch that lists are run in. ``trust_engines``: load TensorRT engines that the bundle brings
    along; they are programs, so only from where you trust. Else such an engine is built here from the bundle's graph.
    ``preprocess_on="cuda"``: prepare frames with our CUDA kernels, straight into the device memory of a TensorRT variant
    (TensorRT has not yet run on a GPU); frames may then be in device memory too.

    Warns UnprovenWarning for a bundle without proof of its accuracy, DeviceWarning where a variant is passed over or
    the proof was made on another instruction set, CacheWarning where a cache cannot be read or written. Raises BundleError, MissingExtraError, EngineError, SelfTestError.

    >>> with load("model.edge") as model:  # doctest: +SKIP
    ...     model.predict("tray.jpg")
    """
    if tune not in (None, "now"):
        raise InputError(f"tune is None or 'now', got {tune!r}")
    for name, value in (("threads", threads), ("max_batch", max_batch)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InputError(f"{name} is a whole number, at least 1, got {value!r}")
    if preprocess_on not in ("cpu", "cuda"):
        raise InputError(f"preprocess_on is 'cpu' or 'cuda', got {preprocess_on!r}")
    bundle = open_bundle(path)
    try:
        task_type(bundle.manifest.task.kind)  # says which task is missing, rather than that no variant works
        choice = _choice(bundle, threads, tune)
        candidates = _candidates(bundle, engine, variant, choice)
        given = dict(parameters or {}) if threshold is None else {**(parameters or {}), "threshold": threshold}
        if given:
            candidates = [_with_parameters(bundle.manifest, entry, given) for entry in candidates]
        count = threads or (choice.threads if choice else _default_threads(bundle.manifest))
        opening = _Opening(count, max_batch, self_test, trust_engines, preprocess_on)
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
    return golden_check.verify_variants(bundle, open_variant)


def _choice(bundle: Bundle, threads: int | None, tune: str | None) -> Choice | None:
    """What was measured on this machine, with as many threads as are asked for."""
    if tune == "now":  # counts even where it cannot be remembered
        result = tune_bundle(bundle, threads=threads)
        return Choice(result.order, result.threads)
    choice = read_choice(bundle)
    return choice if choice and threads in (None, choice.threads) else None


def _candidates(bundle: Bundle, engine: str | None, variant: str | None, choice: Choice | None) -> list[VariantEntry]:
    """Variants to try, in order."""
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


def _open_first(bundle: Bundle, candidates: list[VariantEntry], opening: _Opening, strict: bool) -> Model:
    """The first candidate that works; each one passed over is a DeviceWarning. ``strict``: raise instead.

    Where none works: SelfTestError if the golden frames of any failed, else EngineError.
    """
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


def _open_one(bundle: Bundle, entry: VariantEntry, opening: _Opening) -> Model:
    in_flight = max(2, usable_cores())  # one batch is prepared while another runs; more than cores gains nothing
    runner = open_variant(
        bundle, entry, opening.threads, opening.max_batch, in_flight, trust_engines=opening.trust_engines,
        preprocess_on=opening.preprocess_on,
    )  # fmt: skip
    try:
        model = Model(bundle, entry, runner)
        if opening.self_test:
            model.self_test()
    except BaseException:
        runner.close()
        raise
    return model


def _warn_of_proof(model: Model) -> None:
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


def _item(picture: object, index: int) -> Frame:
    try:
        return _to_frame(picture)
    except InputError as error:
        raise type(error)(f"item {index} of the list: {error}") from error


def _to_frame(picture: object) -> Frame:
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise InputError(
                f"expected an H×W×3 uint8 BGR array, got {picture.dtype} of shape {picture.shape}; "
                "Frame.from_array takes other formats"
            )
        return Frame.from_array(picture)
    if isinstance(picture, (str, os.PathLike, bytes)):
        return Frame.from_array(read_image(picture))
    raise InputError(
        f"expected a path, the bytes of a picture file, an H×W×3 uint8 BGR array or a Frame, got "
        f"{type(picture).__name__}"
    )
