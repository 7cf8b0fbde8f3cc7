"""The ranking rule, on tables whose winner can be told by hand."""

from __future__ import annotations

import random

import pytest

from edgevision.compiler.options import Objective, Precision
from edgevision.compiler.select.choose import cost_ms, faster_elsewhere, ranked
from edgevision.compiler.variants import PrecisionCheck, VariantMeasurement


def measurement(
    id: str, p50_ms: float, *, int8: int = 0, engine: str = "", size: int = 100, batch_ms: float = 0.0
) -> VariantMeasurement:
    """One with that latency at 2 threads, batch 1; ``batch_ms``: of a batch of 8."""
    latency = {(2, 1): (p50_ms, 2 * p50_ms), (1, 1): (99.0, 99.0), (2, 8): (batch_ms or 8 * p50_ms, 99.0)}
    return VariantMeasurement(
        id, "int8" if int8 else "float", engine or id.split("-", maxsplit=1)[0], "float32", size, latency,
        precision_check=PrecisionCheck(tuple(f"conv{i}" for i in range(int8)), (), ()),
    )  # fmt: skip


def order(measurements, precision=Precision.AUTO, objective=Objective.LATENCY, batch=1):
    return [one.id for one in ranked(measurements, precision, objective, 2, batch)]


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        pytest.param([measurement("openvino-a", 1.0), measurement("openvino-b", 2.0)], ["openvino-a", "openvino-b"], id="quickest"),
        pytest.param(
            [measurement("openvino-a", 1.0), measurement("onnxruntime-b", 1.029)], ["onnxruntime-b", "openvino-a"],
            id="a tie goes to fewer packages",
        ),
        pytest.param(
            [measurement("openvino-a", 1.0), measurement("onnxruntime-b", 1.031)], ["openvino-a", "onnxruntime-b"], id="more than a tie"
        ),
        pytest.param(
            [measurement("onnxruntime-a", 1.0, size=200), measurement("onnxruntime-b", 1.02, size=199)],
            ["onnxruntime-b", "onnxruntime-a"], id="then to the smaller graph",
        ),
        pytest.param(
            [measurement("openvino-a", 1.0, size=1), measurement("onnxruntime-b", 1.02, size=9)], ["onnxruntime-b", "openvino-a"],
            id="packages come before size",
        ),
        pytest.param(
            [measurement("onnxruntime-b", 1.0), measurement("onnxruntime-a", 1.0)], ["onnxruntime-a", "onnxruntime-b"],
            id="then by name, so that the answer never hangs on the order",
        ),
        # The third ties with the second, not with the quickest: a tie does not reach further than 3 %.
        pytest.param(
            [measurement("openvino-a", 1.0), measurement("openvino-b", 1.02, size=99), measurement("onnxruntime-c", 1.04)],
            ["openvino-b", "openvino-a", "onnxruntime-c"], id="ties are with the quickest that is left",
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
    ("other_ms", "other_int8", "told"),
    [
        (0.5, 0, "onnxruntime-x would have been quicker here: 0.50 ms against 1.00 ms"),
        (0.98, 0, None),  # a tie is not quicker
        (0.96, 0, "onnxruntime-x would have been quicker here: 0.96 ms against 1.00 ms"),
        (2.0, 0, None),
        (0.5, 3, None),  # the same precision: that is the ranking's business
    ],
)
def test_another_precision_that_would_be_quicker_is_named(other_ms, other_int8, told):
    chosen = measurement("openvino-int8", 1.0, int8=4)
    measurements = [chosen, measurement("onnxruntime-x", other_ms, int8=other_int8)]
    assert faster_elsewhere(chosen, measurements, Objective.LATENCY, 2, 1) == told
    assert faster_elsewhere(chosen, [chosen], Objective.LATENCY, 2, 1) is None
