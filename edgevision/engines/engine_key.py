"""Which devices an engine built for one may run on: TensorRT's engines do not travel, and say so late or never."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgevision.errors import InputError

ENGINE_FILES = "engines/"  # folder of a bundle's entries

_FILE = re.compile(
    r"(?P<kind>tensorrt|tensorrt-rtx)-(?P<version>\d+(?:\.\d+){1,3})-sm(?P<major>\d+)\.(?P<minor>\d)"
    r"-cuda(?P<cuda>\d+\.\d+)(?P<compatible>-vc)?\.plan",
    re.ASCII,
)


@dataclass(frozen=True)
class Device:
    """A GPU with what runs on it. ``driver``: the newest CUDA it supports, 1000 × major + 10 × minor.

    ``engines``: kind of engine → version installed here.
    """

    name: str
    compute_capability: tuple[int, int]
    driver: int
    engines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineKey:
    """What an engine was built with, and so where it runs.

    ``driver_floor``: the driver that it was built with, as in ``Device``; older ones are not trusted with it.
    ``compute_capability``: of the GPU it was built for; for TensorRT-RTX, which builds for a family at once, the least.
    ``version_compatible``: built for later versions too.
    """

    kind: str  # "tensorrt" or "tensorrt-rtx"
    version: str
    compute_capability: tuple[int, int]
    driver_floor: int
    version_compatible: bool = False

    def fits(self, device: Device) -> bool:
        """Whether the engine may run there. Whether it does is for TensorRT and the golden frames to say."""
        return not self.misfit(device)

    def misfit(self, device: Device) -> str:
        """Why the engine does not run on ``device``, in words; empty if it may."""
        here = device.engines.get(self.kind)
        if here is None:
            return f"it was built by {self.kind} {self.version}, which is not installed here"
        if not self._version_fits(here):
            later = " or later" if self.version_compatible else ""
            return f"it needs {self.kind} {self.version}{later}, and {here} is installed"
        built, has = self.compute_capability, device.compute_capability
        if has < built if self.kind == "tensorrt-rtx" else has != built:
            least = " or higher" if self.kind == "tensorrt-rtx" else ""
            return f"it needs compute capability {_dotted(built)}{least}, and {device.name} has {_dotted(has)}"
        if device.driver < self.driver_floor:
            return f"it needs a driver for CUDA {_cuda(self.driver_floor)}, and this one is for CUDA {_cuda(device.driver)}"
        return ""

    def _version_fits(self, here: str) -> bool:
        if not self.version_compatible or self.kind != "tensorrt":  # TensorRT-RTX has no engines for other versions
            return here == self.version
        built, has = _numbers(self.version), _numbers(here)
        return built <= has and has[0] <= built[0] + 1  # NVIDIA promises the next major version

    @property
    def file_name(self) -> str:
        """``tensorrt-10.3.0.26-sm8.7-cuda12.6.plan``; ``-vc`` before the suffix if it is version compatible."""
        compatible = "-vc" if self.version_compatible else ""
        return (
            f"{self.kind}-{self.version}-sm{_dotted(self.compute_capability)}-cuda{_cuda(self.driver_floor)}"
            f"{compatible}.plan"
        )

    def entry(self, graph: str) -> str:
        """The name of the bundle's entry for the engine of one of its graphs: ``engines/<graph>/<key>.plan``."""
        return f"{ENGINE_FILES}{graph}/{self.file_name}"

    @staticmethod
    def for_rtx(version: str) -> EngineKey:
        """Of an engine that TensorRT-RTX built without a GPU: for cards since Ampere, by any driver that loads it."""
        return EngineKey("tensorrt-rtx", version, (8, 0), 0)

    @staticmethod
    def parse(name: str) -> EngineKey:
        """The key of a file's or an entry's name. Raises InputError for another."""
        match = _FILE.fullmatch(name.rpartition("/")[2])
        if match is None:
            raise InputError(
                f"expected the name of an engine, such as tensorrt-10.3.0.26-sm8.7-cuda12.6.plan, got {name[:80]!r}"
            )
        major, minor = match["cuda"].split(".")
        return EngineKey(
            match["kind"],
            match["version"],
            (int(match["major"]), int(match["minor"])),
            1000 * int(major) + 10 * int(minor),
            bool(match["compatible"]),
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _cuda(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
