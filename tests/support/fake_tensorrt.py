"""TensorRT, fake on a fake driver (fake_cuda_driver.py): for calls, order and memory, where there is no GPU.

The fake TensorRT has what the real bindings of one version have, as recorded in tensorrt_api.json, and no more: a name
that is not recorded cannot be defined, read or set, and a call has to fit a recorded signature. So code that runs on it
calls what exists. Its network is the committed colour graph's: logits = 8 × the mean of each channel.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import inspect
import json
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fake_cuda_driver import FakeDriver

API: dict[str, Any] = json.loads((Path(__file__).parents[1] / "engines" / "tensorrt_api.json").read_text())
BUILDERS = [name for name, api in API.items() if "Builder" in api]  # not the lean runtime
SHAPE = (3, 8, 8)


class _Fake:
    """Base of what is fake: only recorded names can be set from outside."""

    recorded: frozenset[str]

    def __setattr__(self, name: str, value: object) -> None:
        assert name.startswith("_") or name in self.recorded, f"{type(self).__name__} has no {name} to be set"
        super().__setattr__(name, value)


def _recorded(api: dict[str, dict[str, str]], name: str) -> Callable[[type], type]:
    """Class decorator: refuse public names that the real class has not, check calls against its signatures."""

    def decorate(kind: type) -> type:
        names = api.get(name)
        if names is None:  # the lean runtime has no builder; whoever asks for it gets an AttributeError
            return kind
        for attribute, value in list(vars(kind).items()):
            if attribute.startswith("_") or attribute == "recorded":
                continue
            assert attribute in names, f"{name} has no {attribute} in this version"
            if inspect.isfunction(value):
                setattr(kind, attribute, _checked(f"{name}.{attribute}", value, names[attribute]))
        kind.recorded = frozenset(names)
        kind.__name__ = name
        return kind

    return decorate


def _checked(what: str, function: Any, signatures: str) -> Any:
    overloads = [re.findall(r"(?:\(|, )(\w+):", text.split(" -> ")[0]) for text in signatures.split(" | ") if text]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        fits = any(len(args) + len(kwargs) <= len(names) and set(kwargs) <= set(names) for names in overloads)
        assert fits or not overloads, f"{what}({args[1:]}, {kwargs}) fits none of: {signatures}"
        return function(*args, **kwargs)

    return call


def _enum(api: dict[str, Any], name: str) -> Any:
    members = [n for n in api[name] if n not in ("__init__", "name", "value")]
    return enum.IntEnum(name, {member: i for i, member in enumerate(members)})


def make_tensorrt(recorded: str, driver: FakeDriver, **says: Any) -> Any:
    """The module of "tensorrt 10.3.0" or whatever else was recorded.

    ``says``: ``parse`` (messages with which the parser refuses), ``build`` (with which the builder does), ``warn``,
    ``load`` (with which the runtime does), ``execute`` (False: the context refuses), ``capture`` (False: it refuses
    while captured), ``work`` (what to do instead of the network: stream, items, addresses), ``context`` (errors when one
    is made), ``inspector`` (its JSON), ``batch`` (fixed; default dynamic).
    """
    api = API[recorded]
    package, _, version = recorded.partition(" ")
    trt = types.ModuleType(package.replace("-", "_"))
    trt.__version__ = version
    for name in (
        "BuilderFlag", "DataType", "ExecutionContextAllocationStrategy", "LayerInformationFormat", "MemoryPoolType",
        "NetworkDefinitionCreationFlag", "ProfilingVerbosity", "TensorIOMode",
    ):  # fmt: skip
        if name in api:
            setattr(trt, name, _enum(api, name))
    trt.log = log = []  # what was done, for tests
    batch = says.get("batch", -1)

    class ILogger:
        Severity = enum.IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"], start=0)

        def __init__(self) -> None:
            pass

        def log(self, severity: int, msg: str) -> None:
            raise NotImplementedError

    def tell(logger: ILogger, messages: Any, severity: int = ILogger.Severity.ERROR) -> None:
        for message in messages or ():
            logger.log(severity, message)

    @_recorded(api, "ITensor")
    class Tensor(_Fake):
        name = "input"
        shape = (batch, *SHAPE)

    @_recorded(api, "INetworkDefinition")
    class Network(_Fake):
        num_inputs = 1

        def get_input(self, index: int) -> Tensor:
            return Tensor()

    @_recorded(api, "ParserError")
    class ParserError(_Fake):
        def __init__(self, text: str) -> None:
            self._text = text

        def desc(self) -> str:
            return self._text

        def node_name(self) -> str:
            return "node_7"

        def node_operator(self) -> str:
            return "DequantizeLinear"

    @_recorded(api, "OnnxParser")
    class OnnxParser(_Fake):
        num_errors = len(says.get("parse", ()))

        def __init__(self, network: Network, logger: ILogger) -> None:
            tell(logger, says.get("warn"), ILogger.Severity.WARNING)

        def parse(self, model: bytes) -> bool:
            return not says.get("parse")

        def get_error(self, index: int) -> ParserError:
            return ParserError(says["parse"][index])

    @_recorded(api, "IOptimizationProfile")
    class Profile(_Fake):
        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
            self._shapes = [min, opt, max]

    @_recorded(api, "ITimingCache")
    class TimingCache(_Fake):
        def __init__(self, content: bytes) -> None:
            self._content = content

        def serialize(self) -> bytes:
            return self._content + b"+"

    @_recorded(api, "IBuilderConfig")
    class Config(_Fake):
        profiling_verbosity: Any = None

        def __init__(self) -> None:
            self._profiles: list[Any] = []
            self._flags: set[Any] = set()
            self._cache: Any = None

        def set_flag(self, flag: Any) -> None:
            self._flags.add(flag)

        def clear_flag(self, flag: Any) -> None:
            log.append(("clear_flag", flag.name))

        def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
            log.append((pool.name, pool_size))

        def add_optimization_profile(self, profile: Profile) -> int:
            self._profiles.append(profile._shapes)
            return len(self._profiles) - 1

        def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None:
            return None if serialized_timing_cache == b"foreign" else TimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
            self._cache = cache
            return not ignore_mismatch

        def get_timing_cache(self) -> TimingCache:
            return self._cache

    @_recorded(api, "Builder")
    class Builder(_Fake):
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def create_network(self, flags: int) -> Network:
            assert flags == 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            return Network()

        def create_builder_config(self) -> Config:
            return Config()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
            log.append("build")
            tell(self._logger, says.get("build"))
            assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
            plan = {"profiles": config._profiles, "flags": sorted(flag.name for flag in config._flags)}
            return None if says.get("build") else b"ftrt" + json.dumps(plan).encode()

    @_recorded(api, "EngineInspector")
    class Inspector(_Fake):
        execution_context: Any = None

        def get_engine_information(self, format: Any) -> str:
            assert self.execution_context is not None
            assert format == trt.LayerInformationFormat.JSON
            return str(says.get("inspector", '{"Layers": []}'))

    @_recorded(api, "IExecutionContext")
    class Context(_Fake):
        def __init__(self) -> None:
            self._addresses: dict[str, int] = {}
            self._scratch: tuple[int, int] | None = None
            self._items = max(batch, 0)
            self._profile = 0

        def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
            assert stream_handle in driver.streams
            self._profile = profile_index
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self._items = shape[0]
            log.append(("shape", shape[0], self._profile))
            return name == "input" and shape[1:] == SHAPE

        def set_device_memory(self, memory: int, size: int) -> None:
            self._scratch = (memory, size)

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert self._scratch is not None
            assert self._scratch[0] in driver.memory
            driver.calls.append("execute")
            if not says.get("execute", True) or (stream_handle in driver.capturing and not says.get("capture", True)):
                return False
            items, (source, target) = self._items, (self._addresses["input"], self._addresses["output"])
            if "work" in says:
                says["work"](stream_handle, items, source, target)
                return True

            def work() -> None:
                pixels = np.ctypeslib.as_array((ctypes.c_float * (items * 192)).from_address(source))
                answer = (8 * pixels.reshape(items, *SHAPE).mean((2, 3))).astype(np.float32)
                ctypes.memmove(target, answer.ctypes.data, answer.nbytes)

            driver.put(stream_handle, work)
            return True

    @_recorded(api, "ICudaEngine")
    class CudaEngine(_Fake):
        num_io_tensors = 2
        device_memory_size_v2 = 1000

        def __init__(self, plan: dict[str, Any], logger: ILogger) -> None:
            self._plan, self._logger = plan, logger

        @property
        def num_optimization_profiles(self) -> int:
            return len(self._plan["profiles"])

        def get_tensor_name(self, index: int) -> str:
            return ("input", "output")[index]

        def get_tensor_mode(self, name: str) -> Any:
            return getattr(trt.TensorIOMode, name.upper())

        def get_tensor_dtype(self, name: str) -> Any:
            return trt.DataType.FLOAT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (batch, *SHAPE) if name == "input" else (batch, SHAPE[0])

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            return [tuple(shape) for shape in self._plan["profiles"][profile_index]]

        def create_execution_context(self, strategy: Any) -> Context | None:
            assert strategy == trt.ExecutionContextAllocationStrategy.USER_MANAGED
            tell(self._logger, says.get("context"))
            log.append("context")
            return None if says.get("context") else Context()

        def create_engine_inspector(self) -> Inspector:
            return Inspector()

    @_recorded(api, "Runtime")
    class Runtime(_Fake):
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None:
            tell(self._logger, says.get("load"))
            return None if says.get("load") else CudaEngine(json.loads(serialized_engine[4:]), self._logger)

    for name, kind in {
        "ILogger": ILogger, "OnnxParser": OnnxParser, "Builder": Builder, "Runtime": Runtime,
        "EngineInspector": Inspector,
    }.items():  # fmt: skip
        if name in api:
            setattr(trt, name, kind)
    return trt
