"""ONNX graph → TensorRT engine (NVIDIA calls it a plan), by TensorRT 10.3–11 or TensorRT-RTX, along one path.

The network is strongly typed, so precision is what the graph says: int8 where it has Q/DQ, float16 where its tensors
are float16. That is the only way TensorRT 11 has, and TensorRT 10 has it too: no calibrator, no precision flag, nothing
that differs between versions. A device with a bundle builds for itself; so this needs nothing but TensorRT.

What has run so far: TensorRT-RTX 1.7 builds float32, float16 and int8 graphs through this code, on machines without a
GPU. The calls are checked against the names and signatures of the Python bindings of TensorRT 10.3, 10.16 and 11.4.
**Nothing of this has run on a GPU yet**, and no TensorRT proper has built an engine with it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.engines.importing import import_package
from edgevision.errors import EngineError

# Kind of engine → module, extra. The module is passed on: both have the same interface.
LEAN = "tensorrt_lean"
MODULES = {"tensorrt": ("tensorrt", "tensorrt"), "tensorrt-rtx": ("tensorrt_rtx", "tensorrt-rtx")}
FIRST, AFTER_LAST = (10, 3), (12,)  # versions of TensorRT that are supported: from the one to before the other


@dataclass(frozen=True)
class BuildOptions:
    """``batches``: the batch sizes to be quick at; one optimisation profile each, for batches above the one before.

    ``version_compatible``: an engine that later versions and the small lean runtime run too, if slower.
    ``workspace_bytes``: the most device memory that a layer may take while running; None = all there is.
    ``timing_cache``: what an earlier build gave, or b"".
    """

    batches: tuple[int, ...] = (1, 8)
    version_compatible: bool = False
    workspace_bytes: int | None = None
    timing_cache: bytes = b""


@dataclass(frozen=True)
class BuiltEngine:
    """``engine_file``: as ``trtexec --loadEngine`` reads it. ``timing_cache``: for the next build on this device.
    ``warnings``: what the builder said, each once."""

    engine_file: bytes
    timing_cache: bytes
    warnings: tuple[str, ...]


def load_tensorrt(kind: str, *, lean: bool = False) -> Any:
    """The module of ``tensorrt`` or ``tensorrt-rtx``. ``lean``: the lean runtime will do, which runs engines only.

    Raises MissingExtraError, and EngineError for one that is broken or of another version.
    """
    module, extra = MODULES[kind]
    if lean and kind == "tensorrt" and importlib.util.find_spec(module) is None:
        module = LEAN if importlib.util.find_spec(LEAN) is not None else module
    trt: Any = import_package(module, extra, f"running on {kind}", needs="__version__")
    version = parse_version(trt.__version__)
    if kind == "tensorrt" and not FIRST <= version < AFTER_LAST:
        raise EngineError(f"expected TensorRT 10.3 or later, before 12, got {trt.__version__}; install another version")
    return trt


def version_of(trt: Any) -> str:
    """The version of a module, its numbers only: "10.14.1.48" of "10.14.1.48.post1"."""
    return ".".join(map(str, parse_version(trt.__version__)))


def parse_version(text: str) -> tuple[int, ...]:
    """``"10.3.0.26"`` → (10, 3, 0, 26); what follows the numbers (``.post1``) does not count."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def make_logger(trt: Any) -> Any:
    """A TensorRT logger that keeps ``errors`` and ``warnings`` and prints nothing.

    It must live as long as what was made with it. TensorRT calls it from threads of its own.
    """

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING:
                self.warnings.append(message)

    return Logger()


def build_engine(graph: bytes, trt: Any, options: BuildOptions | None = None) -> BuiltEngine:
    """Build the engine of an ONNX graph for this machine's device (TensorRT-RTX: for any), which takes minutes.

    ``trt``: the module, from ``load_tensorrt``. Raises EngineError when the graph is refused or the build fails, with
    what TensorRT said and what to do.

    >>> built = build_engine(Path("model.onnx").read_bytes(), load_tensorrt("tensorrt"))  # doctest: +SKIP
    >>> Path("model.plan").write_bytes(built.engine_file)  # doctest: +SKIP
    """
    if not hasattr(trt, "Builder"):
        raise EngineError("the lean runtime runs engines and builds none; install tensorrt, or bring an engine")
    options = options or BuildOptions()
    logger = make_logger(trt)
    try:
        return _build(graph, trt, options, logger)
    except EngineError:
        raise
    except Exception as error:  # pybind11 raises what C++ threw: RuntimeError, TypeError, MemoryError
        raise explain(trt, "cannot build the engine", [*logger.errors, str(error)]) from error


def _build(graph: bytes, trt: Any, options: BuildOptions, logger: Any) -> BuiltEngine:
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        told = [_parser_error(parser.get_error(i)) for i in range(parser.num_errors)]
        raise explain(trt, "refuses the graph", told or logger.errors)
    if network.num_inputs == 0:
        raise explain(trt, "refuses the graph", ["it has no input"])
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or precisions could not be read back
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 is float32: for less there is a float16 graph
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        # Without a runtime inside: loading a file must not run host code from it.
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):  # TensorRT-RTX: else runs cannot be captured in CUDA graphs
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    _add_profiles(builder, network, config, options.batches)
    timing = not _is_rtx(trt) and _timing_cache(config, options.timing_cache)
    if lost := [text for text in logger.warnings if _CHANGES_NUMBERS.search(text)]:
        raise explain(trt, "refuses the graph", lost)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise explain(trt, "cannot build the engine", logger.errors)
    cache = config.get_timing_cache() if timing else None
    return BuiltEngine(
        bytes(memoryview(serialized)),
        bytes(memoryview(cache.serialize())) if cache else b"",
        tuple(dict.fromkeys(logger.warnings)),
    )


def _add_profiles(builder: Any, network: Any, config: Any, batches: Sequence[int]) -> None:
    """One profile for each batch size where the graph's batch is dynamic."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    dynamic = []
    for tensor in inputs:
        shape = tuple(tensor.shape)
        if any(side < 0 for side in shape[1:]):
            raise EngineError(
                f"input '{tensor.name}' has shape {list(shape)}; only the first axis, the batch, may be dynamic. "
                "Export the graph with fixed sizes"
            )
        if shape and shape[0] < 0:
            dynamic.append((tensor.name, shape[1:]))
    if not dynamic:
        return
    sizes = sorted(set(batches))
    if not sizes or sizes[0] < 1:
        raise EngineError(f"an engine needs batch sizes of at least 1, got {list(batches)}")
    least = 1
    for size in sizes:
        profile = builder.create_optimization_profile()
        for name, rest in dynamic:
            profile.set_shape(name, (least, *rest), (size, *rest), (size, *rest))
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"TensorRT refuses an optimisation profile for batches of {least}…{size}")
        least = size + 1


def _timing_cache(config: Any, known: bytes) -> bool:
    """Give the builder the timings of earlier builds. A cache of another device or version is refused, and a new one
    begun; False where that fails too. TensorRT-RTX measures nothing, and warns of being asked."""
    for content in (known, b"") if known else (b"",):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return True
    return False


def _parser_error(error: Any) -> str:
    name, kind = error.node_name(), error.node_operator()
    return f"node '{name}' ({kind}): {error.desc()}" if name or kind else str(error.desc())


# Warnings after which the engine would compute something else: u8 read as s8 clamps half of each range.
_CHANGES_NUMBERS = re.compile(r"UINT8 zero_point")

# What TensorRT says → what to do.
_REMEDIES = (
    (r"Int32 but must have type|[Nn]on-zero zero point|zero[ _]point",
     "write the int8 graph in the dialect 'tensorrt': symmetric int8, float biases"),
    (r"No importer registered|Plugin not found|unsupported operator|is not supported|Unsupported",
     "export the model with operators that TensorRT has, or run it on another engine"),
    (r"[Oo]ut of memory|insufficient memory|OutOfMemory|cudaErrorMemoryAllocation",
     "free device memory, or build with a smaller workspace or smaller batches"),
    (r"CUDA initialization failure|cudaErrorInsufficientDriver|cudaErrorNoDevice|driver version is insufficient|error: 35|error 35",
     "this needs an NVIDIA GPU and a driver that is new enough; see nvidia-smi"),
    (r"incompatible|different version|version mismatch|[Vv]ersion tag|platform",
     "the engine was built for another version or device; build it again from the bundle's graph"),
    (r"Unexpected call to stub",
     "the lean runtime runs version-compatible engines only; build it as one"),
)  # fmt: skip


def explain(trt: Any, what: str, messages: Sequence[str]) -> EngineError:
    """What to raise: TensorRT's first words on one line, and what to do where that is clear."""
    texts = [re.sub(r"\s+", " ", text).strip() for text in messages if text.strip()]
    said = "; ".join(dict.fromkeys(texts[:2])) or "it did not say why"
    said = said if len(said) <= 300 else said[:299] + "…"
    joined = " ".join(texts)
    remedy = next((f"; {todo}" for pattern, todo in _REMEDIES if re.search(pattern, joined)), "")
    name = "TensorRT-RTX" if _is_rtx(trt) else "TensorRT"
    return EngineError(f"{name} {trt.__version__} {what}: {said}{remedy}")


def _is_rtx(trt: Any) -> bool:
    return "rtx" in trt.__name__
