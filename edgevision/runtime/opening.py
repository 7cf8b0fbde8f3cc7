"""A bundle's variant in its engine, whichever engine that is."""

from __future__ import annotations

from edgevision.bundle.manifest import VariantEntry
from edgevision.bundle.reader import Bundle
from edgevision.engines import EngineOptions, available_engines
from edgevision.errors import EngineError
from edgevision.runtime.first_open import try_in_child
from edgevision.runtime.runner import PreprocessOn, Runner, open_runner
from edgevision.runtime.variant_order import GPU_ENGINES


def open_variant(
    bundle: Bundle, variant: VariantEntry, threads: int, max_batch: int = 1, in_flight: int = 2, *,
    trust_engines: bool = False, preprocess_on: PreprocessOn = "cpu", cache: bool = False,
) -> Runner:  # fmt: skip
    """The variant, ready to run. ``trust_engines``: see ``engine_cache``; ``cache``: see ``EngineOptions``.

    On the CPU a child process tries it first, once on each machine (see ``first_open``). Raises MissingExtraError or
    EngineError where the variant cannot run here, SelfTestError where what was built here does not pass the golden
    frames.
    """
    # TensorRT is not tried in a child. What may die there is the building, which takes minutes: to try it first would mean to
    # do it twice. Built in a child instead, its engine file would have to come back, and a process that hangs in the GPU's
    # driver is not ended by a time limit: nobody has seen on a GPU yet that this is safer than what it guards against.
    if variant.engine in GPU_ENGINES:
        from edgevision.runtime.engine_cache import open_built_variant  # slow to import; only GPUs need it

        return open_built_variant(
            bundle, variant, threads, max_batch, in_flight, trust_engines=trust_engines, preprocess_on=preprocess_on
        )
    graph = bundle.graph(variant.graph)
    sha256 = bundle.manifest.entries[bundle.manifest.graphs[variant.graph].entry].sha256
    try:
        try_in_child(graph, sha256, variant.engine, EngineOptions(threads, variant.precision, cache), max_batch)
    except EngineError as error:
        raise EngineError(f"variant '{variant.id}': {error}") from None
    return open_runner(graph, bundle.manifest, variant, threads, max_batch, in_flight, preprocess_on, cache)


def describe_gpu(bundle: Bundle) -> str | None:
    """GPU and driver, where the bundle has a variant that would run there; None without, and a driver is not asked."""
    wanted = {variant.engine for variant in bundle.manifest.variants}.intersection(GPU_ENGINES)
    if not wanted.intersection(available_engines()):
        return None
    from edgevision.runtime.engine_cache import describe_gpu_here

    return describe_gpu_here()
