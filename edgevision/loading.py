"""``load``: from a ``.edge`` file to a ``Model``. Which variant to take, what to warn of, and what arguments mean.

As with ``edgevision.model``, what is slow to import is imported where it is needed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, overload

import numpy as np

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
from edgevision.machine import describe_machine, usable_cores
from edgevision.model import LoadOptions, Model, check_count, open_model

if TYPE_CHECKING:
    from edgevision.bundle.manifest import Manifest, VariantEntry, Verdict
    from edgevision.bundle.reader import Bundle
    from edgevision.cascade import Cascade
    from edgevision.runtime.runner import PreprocessOn
    from edgevision.runtime.tuning_cache import Choice


BundleSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"

CASCADE_BATCH = 16  # of the second model: a shelf shows that many products, and larger batches gain little


@overload
def load(
    path: BundleSource, *, then: None = ...,
    engine: str | None = ..., variant: str | None = ..., threads: int | None = ..., tune: str | None = ...,
    threshold: float | None = ..., parameters: Mapping[str, Any] | None = ..., self_test: bool = ..., max_batch: int = ...,
    trust_engines: bool = ..., preprocess_on: PreprocessOn = ..., max_decode_bytes: int | None = ...,
) -> Model: ...  # fmt: skip
@overload
def load(
    path: BundleSource, *, then: BundleSource | Model,
    engine: str | None = ..., variant: str | None = ..., threads: int | None = ..., tune: str | None = ...,
    threshold: float | None = ..., parameters: Mapping[str, Any] | None = ..., self_test: bool = ..., max_batch: int = ...,
    trust_engines: bool = ..., preprocess_on: PreprocessOn = ..., max_decode_bytes: int | None = ...,
) -> Cascade: ...  # fmt: skip
def load(
    path: BundleSource,
    *,
    then: BundleSource | Model | None = None,
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
) -> Model | Cascade:
    """Open a ``.edge`` file: the first of its variants that runs here and passes the self-test, ready to predict.

    Variants are tried in the order that ``edgevision tune`` found on this machine; without one, those for its GPU come
    first, then those for its kind of CPU, in the order measured when the bundle was compiled.

    - ``path``: the file's path, its bytes, or an open binary file, which is read to its end.
    - ``then``: a second bundle (or a loaded ``Model``, to choose its variant or threshold), which sees each box that the first finds: ``load`` then gives a
      ``Cascade``. ``variant``, ``threshold``, ``parameters`` and ``max_batch`` are the first's.
    - ``engine``: only variants of this engine, such as ``"onnxruntime"``.
    - ``variant``: only the variant of this name; it is used or refused, never replaced.
    - ``threads``: of the engine; default as tuned, else as compiled but no more than the physical cores.
    - ``tune``: ``"now"`` measures the variants first, which takes seconds.
    - ``threshold``: the score, 0…1, that the best class must reach to count as known, or a box to be found; default the
      bundle's, which may be one for each class.
    - ``parameters``: of the task, by name, in place of the bundle's.
    - ``self_test``: False saves the few milliseconds that the golden frames take.
    - ``max_batch``: the largest batch that lists are run in.
    - ``trust_engines``: take TensorRT engines from the bundle. They are programs, so only from where you trust; without
      it, engines are built here from the bundle's graph.
    - ``preprocess_on``: ``"cuda"`` prepares frames with our CUDA kernels, straight into the device memory of a TensorRT
      variant; frames may then be in device memory too. TensorRT has not yet run on a GPU.
    - ``max_decode_bytes``: the most memory that decoding one picture may take; default 1 GB (see ``read_image``).

    What OpenVINO compiles is kept in the cache folder for the next start, up to ``EDGEVISION_BLOB_CACHE_MB`` megabytes
    (0 = off). The first time that a graph is opened on a machine, a child process tries it, in case its engine dies of it
    (``EDGEVISION_FIRST_OPEN=here``: without).

    Warns UnprovenWarning for a bundle without proof of its accuracy, DeviceWarning where a variant is passed over or
    the proof was made on another instruction set, CacheWarning where a cache cannot be read or written.

    Raises InputError for an argument that is not what was expected, or a task that nothing here knows; BundleError for
    the file; SelfTestError where no variant works and the golden frames of one failed, EngineError where none works for
    other reasons. Where ``variant`` names one, its own error: MissingExtraError, DeviceError, EngineError or
    SelfTestError.

    >>> with load("model.edge") as model:  # doctest: +SKIP
    ...     model.predict("tray.jpg")
    """
    model = _load_model(
        path, engine, variant, threads, tune, threshold, parameters, self_test, max_batch, trust_engines, preprocess_on,
        max_decode_bytes,
    )  # fmt: skip
    if then is None:
        return model
    from edgevision.cascade import Cascade

    recogniser = None
    try:
        recogniser = then if isinstance(then, Model) else _load_model(
            then, engine, None, threads, tune, None, None, self_test, CASCADE_BATCH, trust_engines, preprocess_on,
            max_decode_bytes,
        )  # fmt: skip
        return Cascade(model, recogniser)
    except BaseException:
        model.close()
        if recogniser is not None and recogniser is not then:
            recogniser.close()
        raise


def _load_model(
    path: BundleSource, engine: str | None, variant: str | None, threads: int | None, tune: str | None,
    threshold: float | None, parameters: Mapping[str, Any] | None, self_test: bool, max_batch: int, trust_engines: bool,
    preprocess_on: PreprocessOn, max_decode_bytes: int | None,
) -> Model:  # fmt: skip
    """One bundle: see ``load``."""
    from edgevision.bundle.reader import open_bundle
    from edgevision.decode import MAX_DECODE_BYTES
    from edgevision.tasks.registry import task_type

    if tune not in (None, "now"):
        raise InputError(f"tune is None or 'now', got {tune!r}")
    threads = None if threads is None else check_count("threads", threads)
    max_batch = check_count("max_batch", max_batch)
    if max_decode_bytes is None:
        max_decode_bytes = MAX_DECODE_BYTES
    max_decode_bytes = check_count("max_decode_bytes", max_decode_bytes)
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
        options = LoadOptions(count, max_batch, self_test, trust_engines, preprocess_on, max_decode_bytes)
        model = _open_first(bundle, candidates, options, strict=variant is not None)
    except BaseException:
        bundle.close()
        raise
    try:
        _warn_of_proof(model)
    except Warning:  # the user's filters make errors of warnings
        model.close()
        raise
    return model


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

    stored = manifest.task_of(entry).parameters
    if "threshold" in given and "thresholds" in stored:
        given = {"thresholds": None, **given}  # one for all classes, in place of those fitted for each
    changed = replace(entry, parameters={**entry.parameters, **given})
    make_task(manifest.task_of(changed))
    return changed


def _default_threads(manifest: Manifest) -> int:
    """The most threads the chosen variant was measured with at batch 1, within this machine's physical cores."""
    chosen = next(entry for entry in manifest.variants if entry.id == manifest.chosen)
    measured = [latency.threads for latency in chosen.latency if latency.batch == 1]
    return min([usable_cores(), *([max(measured)] if measured else [])])


def _open_first(bundle: Bundle, candidates: list[VariantEntry], options: LoadOptions, strict: bool) -> Model:
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
            model = open_model(bundle, entry, options)
        except (MissingExtraError, DeviceError, EngineError, SelfTestError) as error:
            if strict:
                raise
            passed_over.append(error)
            continue
        for reason in passed_over:
            warnings.warn(f"{reason}. Using '{entry.id}', which may be slower", DeviceWarning, stacklevel=4)
        return model
    failed = any(isinstance(error, SelfTestError) for error in passed_over)
    raise (SelfTestError if failed else EngineError)(
        f"no variant of the bundle works on this machine. {' · '.join(map(str, passed_over))}"
    ) from passed_over[-1]


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
            f"{what} is not proven: {_why_unproven(verdict)}. Compile it with --val", UnprovenWarning, stacklevel=4
        )
    for gap in proof_gaps(manifest, model.variant):
        warnings.warn(
            f"not proven here: {gap}. To be sure, run: edgevision eval on this machine", DeviceWarning, stacklevel=4
        )


def _why_unproven(verdict: Verdict | None) -> str:
    nothing = "no validation photos showed that its accuracy stays within the budget"
    if verdict is None:
        return nothing
    if verdict.passed:
        return verdict.note or nothing
    lost = f"it lost {verdict.drop:.2f} points on the validation photos, and {verdict.max_drop:g} were allowed"
    return f"{lost} ({verdict.note})" if verdict.note else lost
