"""How quick the variants of a demo's model are, as the compiler measured them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.compiler.pipeline import CompileResult


@dataclass(frozen=True)
class Latencies:
    """Of one frame at a time. ``chosen`` and ``reference``: the variant in the bundle, and the float graph on ONNX Runtime; ``ms``:
    variant → threads → p50 in milliseconds, measured interleaved.

    >>> latencies = Latencies("int8", "float", {"int8": {1: 2.0, 2: 1.5}, "float": {1: 5.0, 2: 3.0}})
    >>> latencies.words
    '2.5× with 1 thread, 2.0× with 2 threads'
    """

    chosen: str
    reference: str
    ms: Mapping[str, Mapping[int, float]]

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were measured."""
        return sorted(self.ms[self.chosen])

    def speedup(self, threads: int) -> float:
        """How many times quicker the chosen variant is than the reference."""
        return self.ms[self.reference][threads] / self.ms[self.chosen][threads]

    @property
    def words(self) -> str:
        """The speedups, for people."""
        return ", ".join(f"{self.speedup(t):.1f}× with {t} thread{'s' if t > 1 else ''}" for t in self.threads)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "engine_ms_p50": {name: {str(t): ms for t, ms in by.items()} for name, by in self.ms.items()},
            "speedup": {str(t): self.speedup(t) for t in self.threads},
        }


def latencies_of(result: CompileResult) -> Latencies:
    """Those of a compiled model."""
    from edgevision.compiler.variants import REFERENCE

    ms = {
        one.id: {threads: p50 for (threads, batch), (p50, _) in one.measurement.latency.items() if batch == 1}
        for one in result.variants
    }
    return Latencies(result.manifest.chosen, REFERENCE, ms)
