"""The values that the steps of `compile` hand to each other: graphs, what was measured of them, what is packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.bundle.manifest import Verdict
from edgevision.engines import open_engine
from edgevision.engines.base import Engine, EngineOptions, Layer
from edgevision.latency import Samples

BASE_ENGINE = "onnxruntime"  # what every installation has
REFERENCE = "onnxruntime-float"  # the variant that every other is compared with,
ORIGINAL = "original"  # unless the network was pruned: then it is that of this candidate, the network before


@dataclass(frozen=True)
class Candidate:
    """A graph that variants can be made of. ``key`` is its name in the bundle (``float``, ``int8``)."""

    key: str
    graph: bytes
    precision: str  # "float32", "float16" or "int8"
    dialect: str  # "float" or the Q/DQ dialect's name
    recipe: str = ""  # how an int8 graph was made: range estimator and what helped it
    float_fallback: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A variant to be: its id, graph, engine and engine precision."""

    id: str
    candidate: Candidate
    engine: str
    precision: str

    def open(self, threads: int) -> Engine:
        """Load the graph with that many threads. Raises EngineError."""
        return open_engine(self.engine, self.candidate.graph, EngineOptions(threads, self.precision))


@dataclass(frozen=True)
class PrecisionCheck:
    """What became of the weighted nodes (convolutions, matrix products) that a graph writes in int8.

    ``confirmed`` run in int8. ``refuted`` run in another precision: (node, precision). ``missing`` are not among the
    layers that the engine names.
    """

    confirmed: tuple[str, ...]
    refuted: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]

    @property
    def claimed(self) -> int:
        """Nodes that the graph writes in int8."""
        return len(self.confirmed) + len(self.refuted) + len(self.missing)

    @property
    def holds(self) -> bool:
        """Whether the graph may be called int8: most of what it claims is confirmed, and it claims something."""
        return 2 * len(self.confirmed) > self.claimed

    def note(self) -> str:
        """What to tell, in one line; empty where every claim is confirmed."""
        parts = []
        if self.refuted:
            some = ", ".join(f"{name} ({precision})" for name, precision in self.refuted[:3])
            more = ", …" if len(self.refuted) > 3 else ""
            parts.append(f"{len(self.refuted)} of {self.claimed} layers written in int8 do not run in it: {some}{more}")
        if self.missing:
            parts.append(
                f"{len(self.missing)} of {self.claimed} int8 layers could not be found in what the engine runs"
            )
        return "; ".join(parts)


@dataclass(frozen=True)
class VariantMeasurement:
    """What a variant does on this machine. Times in milliseconds, sizes in bytes.

    ``samples`` maps (threads, batch) to the engine latencies of the whole batch, ``latency`` to their p50 and p90.
    Samples of one setting are of the same rounds for all variants that were measured together. ``rss_bytes`` is what
    loading and one run add to the resident memory of a fresh process, ``load_ms`` how long that loading takes.
    ``layers``: what the engine runs, layer by layer; ``precision_check``: of what an int8 graph claims.
    """

    id: str
    candidate: str
    engine: str
    precision: str  # EngineOptions.precision
    size_bytes: int
    samples: Mapping[tuple[int, int], Samples] = field(default_factory=dict)
    load_ms: float = 0.0
    rss_bytes: int = 0
    layers: tuple[Layer, ...] = ()
    precision_check: PrecisionCheck | None = None

    @property
    def latency(self) -> dict[tuple[int, int], tuple[float, float]]:
        """(p50, p90) in milliseconds by (threads, batch); empty for a variant that has not run here."""
        return {setting: (samples.p50_ms, samples.p90_ms) for setting, samples in self.samples.items()}

    @property
    def is_int8(self) -> bool:
        """Whether most of the layers that the graph writes in int8 really run in int8."""
        return self.precision_check is not None and self.precision_check.holds

    @property
    def is_what_it_says(self) -> bool:
        """False for a graph that is written in int8 and does not run in it: that is never offered."""
        return self.precision_check is None or self.precision_check.holds

    @property
    def layer_precisions(self) -> dict[str, int]:
        """How many layers run in which precision."""
        return dict(Counter(layer.precision for layer in self.layers))


@dataclass(frozen=True)
class CompiledVariant:
    """One line of the table: a measurement, and what the photos said of it.

    ``parameters``: fitted for its task. ``agreement``: with float, on the calibration photos; ``metric``: on the validation
    photos, of those that were shown to them; both in points, None where not known. ``target``: the kind of device it is
    for, where that is not this machine's own.
    """

    measurement: VariantMeasurement
    parameters: Mapping[str, Any] = field(default_factory=dict)
    agreement: float | None = None
    metric: float | None = None
    verdict: Verdict | None = None
    target: str = ""

    @property
    def id(self) -> str:
        """Of the variant."""
        return self.measurement.id
