"""The ranking rule, on tables whose winner can be told by hand."""

from __future__ import annotations

import random

import pytest
from latencies import noisy, steady

from edgevision.compiler.options import Objective, Precision
from edgevision.compiler.select.choose import cost_ms, faster_elsewhere, ranked
from edgevision.compiler.variants import PrecisionCheck, VariantMeasurement


def measurement(
    id: str,
    p50_ms: float,
    *,
    int8: int = 0,
    engine: str = "",
    size: int = 100,
    batch_ms: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> VariantMeasurement:
    """One with that latency at 2 threads, batch 1; ``batch_ms``: of a batch of 8. ``noise``: share that rounds are off by."""
    own = noisy(p50_ms, noise, seed) if noise else steady(p50_ms)
    samples = {(2, 1): own, (1, 1): steady(99.0), (2, 8): steady(batch_ms or 8 * p50_ms)}
    return VariantMeasurement(
        id, "int8" if int8 else "float", engine or id.split("-", maxsplit=1)[0], "float32", size, samples,
        precision_check=PrecisionCheck(tuple(f"conv{i}" for i in range(int8)), (), ()),
    )  # fmt: skip


def order(measurements, precision=Precision.AUTO, objective=Objective.LATENCY, batch=1):
    return [one.id for one in ranked(measurements, precision, objective, 2, batch)]


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        pytest.param([measurement("openvino-a", 1.0), measurement("openvino-b", 2.0)], ["openvino-a", "openvino-b"], id="quickest"),
        pytest.param(
            [measurement("openvino-a", 1.0, noise=0.01), measurement("onnxruntime-b", 1.02, noise=0.01, seed=1)],
            ["openvino-a", "onnxruntime-b"], id="2 % beyond doubt are slower",
        ),
        pytest.param(
            [measurement("openvino-a", 1.0), measurement("onnxruntime-b", 1.001)], ["openvino-a", "onnxruntime-b"],
            id="so is a thousandth",
        ),
        pytest.param(
            [measurement("openvino-a", 1.0, noise=0.2), measurement("onnxruntime-b", 1.05, noise=0.2, seed=1)],
            ["onnxruntime-b", "openvino-a"], id="5 % within the noise go to fewer packages",
        ),
        pytest.param(
            [measurement("onnxruntime-a", 1.0, size=200, noise=0.2), measurement("onnxruntime-b", 1.02, size=199, noise=0.2, seed=1)],
            ["onnxruntime-b", "onnxruntime-a"], id="then to the smaller graph",
        ),
        pytest.param(
            [measurement("openvino-a", 1.0, size=1, noise=0.2), measurement("onnxruntime-b", 1.02, size=9, noise=0.2, seed=1)],
            ["onnxruntime-b", "openvino-a"], id="packages come before size",
        ),
        pytest.param(
            [measurement("onnxruntime-b", 1.0), measurement("onnxruntime-a", 1.0)], ["onnxruntime-a", "onnxruntime-b"],
            id="then by name, so that the answer never hangs on the order",
        ),
        # The third is within the noise of the second, not of the quickest.
        pytest.param(
            [measurement("openvino-a", 1.0), measurement("openvino-b", 1.03, noise=0.2, size=101), measurement("onnxruntime-c", 1.04)],
            ["openvino-a", "onnxruntime-c", "openvino-b"], id="ties are with the quickest that is left",
        ),
        pytest.param([], [], id="nothing"),
    ],
)  # fmt: skip
def test_order(measurements, expected):
    for seed in range(5):
        random.Random(seed).shuffle(measurements)
        assert order(measurements) == expected


# Called int8, and runs in float: the name does not count.
MIXED = [
    measurement("openvino-float", 3.0),
    measurement("openvino-int8", 1.0, int8=0),
    measurement("onnxruntime-int8", 2.0, int8=7),
]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (Precision.AUTO, ["openvino-int8", "onnxruntime-int8", "openvino-float"]),
        (Precision.INT8, ["onnxruntime-int8"]),
        (Precision.FLOAT, ["openvino-int8", "openvino-float"]),
    ],
)
def test_int8_is_what_runs_in_int8(precision, expected):
    assert order(MIXED, precision) == expected


def test_throughput_counts_the_item_in_a_batch():
    single, batched = measurement("onnxruntime-a", 1.0, batch_ms=8.0), measurement("onnxruntime-b", 2.0, batch_ms=4.0)
    assert order([single, batched]) == ["onnxruntime-a", "onnxruntime-b"]
    assert order([single, batched], objective=Objective.THROUGHPUT, batch=8) == ["onnxruntime-b", "onnxruntime-a"]
    assert cost_ms(batched, Objective.THROUGHPUT, 2, 8) == 0.5
    assert cost_ms(batched, Objective.LATENCY, 2, 8) == 4.0


@pytest.mark.parametrize(
    ("other_ms", "noise", "other_int8", "told"),
    [
        (0.5, 0.0, 0, "onnxruntime-x would have been quicker here: 0.50 ms against 1.00 ms"),
        (0.98, 0.2, 0, None),  # within the noise
        (0.98, 0.0, 0, "onnxruntime-x would have been quicker here: 0.98 ms against 1.00 ms"),
        (2.0, 0.0, 0, None),
        (0.5, 0.0, 3, None),  # the same precision: that is the ranking's business
    ],
)
def test_another_precision_that_would_be_quicker_is_named(other_ms, noise, other_int8, told):
    chosen = measurement("openvino-int8", 1.0, int8=4, noise=noise)
    measurements = [chosen, measurement("onnxruntime-x", other_ms, int8=other_int8, noise=noise, seed=1)]
    assert faster_elsewhere(chosen, measurements, Objective.LATENCY, 2, 1) == told
    assert faster_elsewhere(chosen, [chosen], Objective.LATENCY, 2, 1) is None
