"""What a run is asked for. Defaults stand here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import InputError

SINGLE_STREAM = "single-stream"
MULTI_STREAM = "multi-stream"
SERVER = "server"
OFFLINE = "offline"
FIXED_RATE = "fixed-rate"
DENSITY = "density"
DENSITY_MEAN = "density-mean"  # as Intel's retail tools compute it
SCENARIOS = (SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE, FIXED_RATE, DENSITY, DENSITY_MEAN)


@dataclass(frozen=True)
class BenchOptions:
    """``targets``: addresses, as on the command line. ``scenarios``: names of ``SCENARIOS``.

    The workload: photos of the folder ``data``, at most ``frames`` of them, as BGR arrays or with ``encoded`` as the bytes of JPEG
    files; without ``data`` pictures are rendered, ``width`` × ``height`` pixels. ``threads``: of every target; None is all cores.
    ``batch``: the most frames that a target is given at once. ``minutes``: for everything; nothing goes on longer but the block that is
    running. ``rounds``: at least so many, ``most_rounds`` at most; ``least_difference``: what counts between two targets, 0.02 is 2 %.
    ``reference``: the number of the target that the others are compared with, counted from 0.

    ``samples``: frames of a multi-stream query. ``rate``: requests a second of the server scenario; None is half of what the slowest
    target manages. ``cameras``, ``fps``: of the fixed-rate scenario. Density: cameras of ``fps``; all must be served ``share`` of their
    frames, and 99 in 100 results must be at most ``age_ms`` old; ``probe_seconds``: how long each number of cameras is tried, ``repeats``
    times; at most ``most_cameras``. ``force``: measure on a machine that is busy with other things too.
    ``output``: where the record is written, ``resume``: a record that is gone on with.
    """

    targets: tuple[str, ...]
    scenarios: tuple[str, ...] = (SINGLE_STREAM, OFFLINE)
    data: Path | None = None
    frames: int = 32
    encoded: bool = False
    width: int = 1920
    height: int = 1080
    threads: int | None = None
    batch: int = 8
    minutes: float = 5.0
    rounds: int = 10
    most_rounds: int = 640
    least_difference: float = 0.02
    reference: int = 0
    seed: int = 0
    samples: int = 8
    rate: float | None = None
    cameras: int = 4
    fps: float = 15.0
    age_ms: float = 200.0
    share: float = 0.98
    probe_seconds: float = 4.0
    repeats: int = 3
    most_cameras: int = 256
    force: bool = False
    output: Path | None = None
    resume: Path | None = None

    def __post_init__(self) -> None:
        if not self.targets:
            raise InputError("expected at least one target, such as model.edge or onnx:model.onnx")
        if not self.scenarios or len(set(self.scenarios)) != len(self.scenarios):
            raise InputError(
                f"expected at least one scenario, and each once, got {', '.join(self.scenarios) or 'none'}"
            )
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise InputError(f"there is no scenario {name!r}; expected {', '.join(SCENARIOS)}")
        self._check_numbers()
        if not 0 <= self.reference < len(self.targets):
            raise InputError(
                f"the reference is the number of a target, 0 to {len(self.targets) - 1}, got {self.reference}"
            )

    def _check_numbers(self) -> None:
        for name, least, most in (
            ("frames", 1, 100_000), ("width", 16, 16_384), ("height", 16, 16_384), ("batch", 1, 1024), ("rounds", 1, 10_000),
            ("most_rounds", 1, 100_000), ("samples", 1, 1024), ("cameras", 1, 1024), ("repeats", 1, 99), ("most_cameras", 1, 1024),
            ("minutes", 1e-3, 24 * 60), ("least_difference", 1e-4, 10), ("fps", 0.01, 1000), ("age_ms", 0.01, 1e6),
            ("share", 0.01, 1), ("probe_seconds", 0.1, 600),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError(f"{name.replace('_', ' ')} is {least:g} to {most:g}, got {value:g}")
        if self.threads is not None and not 1 <= self.threads <= 256:
            raise InputError(f"threads is 1 to 256, got {self.threads}")
        if self.rate is not None and not 0.01 <= self.rate <= 1e6:
            raise InputError(f"rate is 0.01 to 1000000 requests a second, got {self.rate:g}")
        if self.rounds > self.most_rounds:
            raise InputError(
                f"at least {self.rounds} and at most {self.most_rounds} rounds cannot be; give fewer at least"
            )
