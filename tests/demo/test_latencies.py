"""The summary's latencies, from a compiled model whose measurements are known."""

from __future__ import annotations

from types import SimpleNamespace

from edgevision.compiler.variants import REFERENCE
from edgevision.demo.latencies import latencies_of


def variant(name: str, latency: dict[tuple[int, int], tuple[float, float]]) -> SimpleNamespace:
    return SimpleNamespace(id=name, measurement=SimpleNamespace(latency=latency))


def test_single_frames_alone_count_and_speed_is_told_against_the_float_graph():
    """(threads, batch) → (p50, p99)."""
    result = SimpleNamespace(
        manifest=SimpleNamespace(chosen="openvino-int8"),
        variants=[
            variant("openvino-int8", {(2, 1): (1.0, 9.0), (1, 1): (2.0, 9.0), (1, 8): (50.0, 60.0)}),
            variant(REFERENCE, {(1, 1): (7.0, 9.0), (2, 1): (4.0, 9.0)}),
            variant("onnxruntime-int8", {(1, 1): (3.0, 9.0), (2, 1): (3.0, 9.0)}),
        ],
    )
    found = latencies_of(result)  # type: ignore[arg-type]
    assert found.threads == [1, 2]
    assert found.words == "3.5× with 1 thread, 4.0× with 2 threads"
    assert found.to_dict()["speedup"] == {"1": 3.5, "2": 4.0}
    assert found.to_dict()["engine_ms_p50"]["openvino-int8"] == {"1": 2.0, "2": 1.0}
