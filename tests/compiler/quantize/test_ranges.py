from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest

from edgevision.compiler.quantize import ranges as ranges_module
from edgevision.compiler.quantize.dialects import DIALECTS
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import ESTIMATORS, estimate
from edgevision.compiler.quantize.ranges import BINS, RangeTable, TensorRange, collect_ranges, table_key
from edgevision.errors import DataError, InputError, ModelFileError

pytestmark = pytest.mark.requires("onnx")


@pytest.fixture(scope="module")
def table(mixed, photos):
    return collect_ranges(mixed, photos)


class TestCollect:
    def test_equals_numpy_on_a_known_network(self, builder):
        b = builder(2, 4)
        activated = b.node("Relu", [b.conv("x", np.array([[1.0, 0], [0, -2.0]]).reshape(2, 2, 1, 1), [0.5, 0])])
        graph = b.build(b.gemm(b.node("Flatten", [activated]), np.ones((3, 32)), np.zeros(3)))
        x = np.random.default_rng(0).normal(size=(9, 2, 4, 4)).astype(np.float32)
        table = collect_ranges(graph, [x[:4], x[4:]])
        expected = np.maximum(
            x * np.array([1, -2], np.float32).reshape(2, 1, 1) + np.array([0.5, 0], np.float32).reshape(2, 1, 1), 0
        )
        got = table.tensors[activated]
        assert (got.low, got.high) == (expected.min(), expected.max())
        reference, _ = np.histogram(expected.astype(np.float64), BINS, (got.low, got.high))
        assert got.histogram.sum() == expected.size == reference.sum()
        # A value on an edge may fall to either side in float32, never further.
        assert np.abs(np.cumsum(got.histogram) - np.cumsum(reference)).max() <= 2
        assert (table.tensors["x"].low, table.tensors["x"].high) == (x.min(), x.max())

    @pytest.mark.parametrize("reach", [1e-44, 1e-40, 1e-36, 1e-30, 1.0, 1e30, 3e38])
    def test_counts_ranges_as_narrow_as_denormals_and_as_wide_as_float32(self, builder, run_ort, reach):
        b = builder(1, 32)
        graph = b.build(b.node("Relu", [b.conv("x", np.full((1, 1, 1, 1), 0.5))]))
        x = np.random.default_rng(3).uniform(-reach, reach, (4, 1, 32, 32)).astype(np.float32)
        table = collect_ranges(graph, [x])
        got = table.tensors["x"]
        assert (got.low, got.high) == (x.min(), x.max())
        edges = got.low + (got.high - got.low) * np.arange(BINS + 1) / BINS
        reference = np.bincount(np.clip(np.searchsorted(edges, x.ravel(), "right") - 1, 0, BINS - 1), minlength=BINS)
        assert got.histogram.sum() == x.size
        assert np.abs(np.cumsum(got.histogram) - np.cumsum(reference)).max() <= 2
        for estimator in ESTIMATORS:
            int8 = quantize(graph, estimate(table, estimator), DIALECTS["x86-vnni"]).graph
            assert np.isfinite(run_ort(int8, x)[0]).all()

    def test_does_not_look_at_tensors_inside_a_fused_pair(self, builder, photos):
        b = builder(3, 16)
        inner = b.random_conv("x", 3, 4)
        outer = b.relu6(inner)
        table = collect_ranges(b.build(b.random_gemm(b.node("Flatten", [outer]), 1024, 2)), photos)
        assert inner not in table.tensors
        assert outer in table.tensors

    def test_batches_do_not_matter(self, mixed, photos, table, monkeypatch):
        monkeypatch.setattr(ranges_module, "MAX_ACTIVATION_BYTES", 1)  # one photo at a time
        single = collect_ranges(mixed, [photo[None] for batch in photos for photo in batch])
        assert single.key == table.key
        for name, expected in table.tensors.items():
            # Kernels may round the last bit by batch size.
            assert single.tensors[name].low == pytest.approx(expected.low, rel=1e-5, abs=1e-6)
            assert single.tensors[name].high == pytest.approx(expected.high, rel=1e-5, abs=1e-6)

    def test_progress_counts_both_passes(self, mixed, photos):
        seen = []
        collect_ranges(mixed, photos, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (48, 48)
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})

    def test_key_changes_with_photos_and_with_graph(self, mixed, photos, table, builder):
        assert table.key == table_key(mixed, table.data_sha256)
        assert collect_ranges(mixed, photos[:1]).key != table.key
        other = builder(3, 16)
        graph = other.build(other.random_conv("x", 3, 2))
        assert collect_ranges(graph, photos).key != table.key

    def test_no_photos(self, mixed):
        with pytest.raises(DataError, match="at least one photo"):
            collect_ranges(mixed, [])

    def test_generator_is_refused(self, mixed, photos):
        with pytest.raises(DataError, match="pass a list"):
            collect_ranges(mixed, iter(photos))

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_bad_values_are_refused(self, mixed, photos, bad):
        broken = photos[0].copy()
        broken[2, 0, 3, 3] = bad
        with pytest.raises(DataError, match=r"NaN or infinity at 'x' on calibration photos \d+ to"):
            collect_ranges(mixed, [photos[1], broken])

    def test_not_a_graph(self, photos):
        with pytest.raises(ModelFileError, match="not readable"):
            collect_ranges(b"not onnx", photos)


class TestJson:
    def test_round_trip(self, table):
        again = RangeTable.from_json(table.to_json())
        assert (again.key, again.photos, list(again.tensors)) == (table.key, 24, list(table.tensors))
        for name, tensor in table.tensors.items():
            assert (again.tensors[name].low, again.tensors[name].high) == (tensor.low, tensor.high)
            np.testing.assert_array_equal(again.tensors[name].histogram, tensor.histogram)

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: data.update(ranges=2),
            lambda data: data.pop("photos"),
            lambda data: data["tensors"]["x"].update(histogram="AAAA"),
            lambda data: data["tensors"]["x"].update(histogram="?"),
            lambda data: data["tensors"]["x"].pop("low"),
            lambda data: data.update(tensors=[]),
            lambda data: data["tensors"]["x"].update(low=math.nan),
            lambda data: data["tensors"]["x"].update(low=5.0, high=4.0),
        ],
    )
    def test_damaged(self, table, change):
        data = json.loads(table.to_json())
        change(data)
        with pytest.raises(InputError, match="calibrate again"):
            RangeTable.from_json(json.dumps(data))

    @pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
    @pytest.mark.parametrize("estimator", ["minmax", "mse"])
    def test_any_dialect_is_written_from_the_stored_table(self, mixed, photos, table, dialect, estimator):
        """Without a photo: what a bundle needs to serve another kind of engine later."""
        stored = RangeTable.from_json(table.to_json())
        stored.check(mixed, hashlib.sha256(b"".join(batch.tobytes() for batch in photos)).hexdigest())
        assert estimate(stored, estimator) == estimate(table, estimator)
        assert (
            quantize(mixed, estimate(stored, estimator), dialect).graph
            == quantize(mixed, estimate(table, estimator), dialect).graph
        )

    def test_of_another_graph_or_other_photos(self, mixed, table, builder):
        table.check(mixed)
        with pytest.raises(InputError, match=r"of another graph .* calibrate again"):
            table.check(mixed + b" ")
        with pytest.raises(InputError, match="of other photos"):
            table.check(mixed, "0" * 64)

    def test_size(self, table, monkeypatch):
        text = table.to_json()
        assert len(text) < len(table.tensors) * 22_000 + 1000  # 2048 counts of 8 bytes in base64, if nothing compressed
        monkeypatch.setattr(ranges_module, "MAX_TABLE_CHARACTERS", len(text) - 1)
        with pytest.raises(InputError, match="at most"):
            RangeTable.from_json(text)

    def test_not_json(self):
        with pytest.raises(InputError, match="calibrate again"):
            RangeTable.from_json("no")


def tensor_range(values: np.ndarray) -> TensorRange:
    low, high = float(values.min()), float(values.max())
    return TensorRange(low, high, np.histogram(values, BINS, (low, high))[0].astype(np.int64))


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of asymmetric u8 quantization of raw samples: the definition, not the histogram."""
    scale = (high - low) / 255
    zero_point = np.round(-low / scale)
    quantized = np.clip(np.round(values / scale) + zero_point, 0, 255)
    return float(np.mean((values - (quantized - zero_point) * scale) ** 2))


SAMPLES = {
    "normal": lambda r: r.normal(size=50_000),
    "relu": lambda r: np.maximum(r.normal(size=50_000), 0),
    "relu6": lambda r: np.clip(r.normal(2, 3, size=50_000), 0, 6),
    "outliers": lambda r: np.concatenate([r.normal(size=50_000), [40.0, -90.0]]),
    "one-sided outlier": lambda r: np.concatenate([np.abs(r.normal(size=50_000)), [60.0]]),
    "shifted": lambda r: r.normal(-4, 1, size=50_000),
    "uniform": lambda r: r.uniform(-1, 3, size=50_000),
}


@pytest.fixture(scope="module", params=SAMPLES)
def samples(request):
    return request.param, SAMPLES[request.param](np.random.default_rng(3))


class TestEstimators:
    @pytest.mark.parametrize("name", ESTIMATORS)
    def test_holds_zero_within_what_was_seen(self, samples, name):
        values = samples[1]
        low, high = ESTIMATORS[name](tensor_range(values))
        assert min(values.min(), 0) <= low <= 0 <= high <= max(values.max(), 0)
        assert low < high

    def test_minmax(self, samples):
        values = samples[1]
        assert ESTIMATORS["minmax"](tensor_range(values)) == (min(values.min(), 0), max(values.max(), 0))

    @pytest.mark.parametrize("percent", [99.99, 99.999])
    def test_percentile_against_sorted_samples(self, samples, percent):
        values = samples[1]
        width = (values.max() - values.min()) / BINS
        tail = (100 - percent) / 2
        low, high = ESTIMATORS[f"percentile-{percent}"](tensor_range(values))
        # np.percentile interpolates between samples, this within bins: two gaps between order statistics apart at most.
        ordered, k = np.sort(values), int(tail / 100 * len(values))
        slack_low = width + ordered[k + 1] - ordered[0]
        slack_high = width + ordered[-1] - ordered[-k - 2]
        assert low == pytest.approx(min(np.percentile(values, tail), 0), abs=slack_low)
        assert high == pytest.approx(max(np.percentile(values, 100 - tail), 0), abs=slack_high)

    def test_mse_against_brute_force_on_samples(self, samples):
        values = samples[1]
        low, high = ESTIMATORS["mse"](tensor_range(values))
        full_low, full_high = min(values.min(), 0), max(values.max(), 0)
        best = min(
            squared_error(values, a * full_low, c * full_high)
            for a in (np.linspace(1, 0.02, 20) if full_low < 0 else [0])
            for c in (np.linspace(1, 0.02, 20) if full_high > 0 else [0])
        )
        assert squared_error(values, low, high) <= best * 1.03

    def test_entropy_against_brute_force_on_the_histogram(self, samples):
        name, values = samples
        tensor = tensor_range(values)
        low, high = ESTIMATORS["entropy"](tensor)
        full_low, full_high = min(values.min(), 0), max(values.max(), 0)
        chosen = divergence(tensor, low, high)
        reach = max(-full_low, full_high)
        for share in (1.0, 0.9, 0.7, 0.5, 0.3, 0.2):
            a, c = max(full_low, -reach * share), min(full_high, reach * share)
            if share * reach * BINS >= 256 * (values.max() - values.min()):
                assert chosen <= divergence(tensor, a, c) + 0.01, (name, share)

    def test_far_outliers(self):
        """Entropy drops two values in 50,000; the squared error of 90 lost is too much for mse to go as far."""
        tensor = tensor_range(SAMPLES["outliers"](np.random.default_rng(3)))
        low, high = ESTIMATORS["entropy"](tensor)
        assert -20 < low < -3
        assert 3 < high < 20
        assert -90 < ESTIMATORS["mse"](tensor)[0] < -40

    @pytest.mark.parametrize("name", ESTIMATORS)
    @pytest.mark.parametrize(("value", "expected"), [(0.0, (0, 0)), (3.0, (0, 3)), (-2.0, (-2, 0))])
    def test_constant_tensor(self, name, value, expected):
        histogram = np.zeros(BINS, np.int64)
        histogram[0] = 100
        assert ESTIMATORS[name](TensorRange(value, value, histogram)) == expected

    def test_table(self, table):
        assert list(estimate(table, "mse")) == list(table.tensors)
        with pytest.raises(InputError, match="choose one of minmax"):
            estimate(table, "best")


def divergence(tensor: TensorRange, low: float, high: float) -> float:
    """KL(P ‖ Q) as in Migacz 2017, bin by bin, without the bin that holds zero."""
    edges = np.linspace(tensor.low, tensor.high, BINS + 1)
    kept, clipped_low, clipped_high = [], 0.0, 0.0
    for left, right, count in zip(edges, edges[1:], tensor.histogram.tolist(), strict=False):
        zero = left <= 0 <= right
        centre = 0.0 if zero else (left + right) / 2
        if centre < low:
            clipped_low += count
        elif centre > high:
            clipped_high += count
        else:
            kept.append((min(int((centre - low) / (high - low) * 256), 255), 0.0 if zero else float(count)))
    p = [count for _, count in kept]
    p[0] += clipped_low
    p[-1] += clipped_high
    mass, occupied = [0.0] * 256, [0] * 256
    for level, count in kept:
        mass[level] += count
        occupied[level] += count > 0
    q = [mass[level] / occupied[level] if count > 0 else 0.0 for level, count in kept]
    total_p, total_q = sum(p), sum(q)
    return sum(
        a / total_p * math.log(a / total_p / max(b / total_q, 1e-12)) for a, b in zip(p, q, strict=True) if a > 0
    )
