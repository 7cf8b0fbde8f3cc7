from __future__ import annotations

import numpy as np
import pytest
from measures import measure_of

from edgevision.compiler.quantize.dialects import X86_VNNI
from edgevision.compiler.quantize.emitter import quantizable_nodes, quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.quantize.sensitivity import fallback_until, in_parts, rank_nodes
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("onnx")


@pytest.fixture(scope="module")
def bad_tensor(builder):
    """One activation with a single far outlier channel that the network then ignores: int8 ruins the rest of it."""
    b = builder(3, 16, seed=4)
    start = b.node("Relu", [b.random_conv("x", 3, 8, 3)])
    weight = b.random.normal(size=(8, 8, 1, 1)) / 3
    weight[0] *= 3000  # this output is large …
    wide = b.conv(start, weight, np.zeros(8))
    weight = b.random.normal(size=(8, 8, 1, 1)) / 3
    weight[:, 0] /= 3000  # … and counts no more than the others here
    back = b.node("Relu", [b.conv(wide, weight, np.zeros(8))])
    end = b.node("Relu", [b.random_conv(back, 8, 8, 3)])
    return b.build(b.random_gemm(b.node("Flatten", [b.node("GlobalAveragePool", [end])]), 8, 6)), wide


@pytest.fixture(scope="module")
def bad_ranges(bad_tensor, photos):
    return estimate(collect_ranges(bad_tensor[0], photos), "minmax")


@pytest.fixture(scope="module")
def measure(bad_tensor):
    return measure_of(bad_tensor[0])


@pytest.fixture(scope="module")
def ranking(bad_tensor, bad_ranges, photos, measure):
    return rank_nodes(bad_tensor[0], bad_ranges, X86_VNNI, photos, measure)


class TestRank:
    def test_maker_and_reader_of_the_bad_tensor_come_first(self, bad_tensor, ranking):
        graph, wide = bad_tensor
        reader = quantizable_nodes(graph, X86_VNNI)[2]
        assert {name for name, _ in ranking[:2]} == {wide, reader}
        losses = [loss for _, loss in ranking]
        assert losses == sorted(losses, reverse=True)
        assert losses[1] > 10 * losses[2]

    def test_ranks_what_does_arithmetic(self, bad_tensor, ranking):
        nodes = {name for name in quantizable_nodes(bad_tensor[0], X86_VNNI) if not name.startswith("flatten")}
        assert {name for name, _ in ranking} == nodes

    def test_deterministic_and_limited(self, bad_tensor, bad_ranges, photos, measure, ranking):
        seen = []
        again = rank_nodes(
            bad_tensor[0], bad_ranges, X86_VNNI, photos, measure, limit=2, progress=lambda *step: seen.append(step)
        )
        assert again == ranking[:2]
        assert seen[-1][0] == seen[-1][1] >= len(ranking)

    def test_time_limit(self, bad_tensor, bad_ranges, photos, measure, ranking):
        cut = rank_nodes(bad_tensor[0], bad_ranges, X86_VNNI, photos, measure, time_limit_s=0)
        assert len(cut) == len(ranking)
        assert {loss for _, loss in cut} == {0.0}


@pytest.fixture(scope="module")
def kl(bad_tensor, photos, measure):
    reference = measure.run(bad_tensor[0], photos)
    return lambda graph: measure.divergence(reference, measure.run(graph, photos))


class TestFloatFallback:
    def test_as_few_nodes_as_it_takes(self, bad_tensor, bad_ranges, ranking, kl):
        graph, _ = bad_tensor
        plain = kl(quantize(graph, bad_ranges, X86_VNNI).graph)
        result = fallback_until(graph, bad_ranges, X86_VNNI, ranking, lambda made: kl(made) < plain / 10, 4)
        assert result is not None
        assert result.nodes == tuple(name for name, _ in ranking[:2])
        assert set(result.nodes) <= set(result.quantized.float_nodes)
        assert kl(result.quantized.graph) < plain / 10

    def test_nothing_has_to_go_back(self, bad_tensor, bad_ranges, ranking):
        result = fallback_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: True, 4)
        assert result is not None
        assert result.nodes == ()

    def test_never_accepted(self, bad_tensor, bad_ranges, ranking):
        calls = []
        assert (
            fallback_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: bool(calls.append(1)), 3) is None
        )
        assert len(calls) == 4  # 0, 1, 2, 3 nodes

    @pytest.mark.parametrize("needed", range(6))
    def test_halving_finds_the_smallest_count(self, bad_tensor, bad_ranges, ranking, needed):
        graph = bad_tensor[0]
        worst = [name for name, _ in ranking[:5]]
        graphs = {
            quantize(graph, bad_ranges, X86_VNNI, keep_float=frozenset(worst[:count])).graph: count
            for count in range(6)
        }
        result = fallback_until(graph, bad_ranges, X86_VNNI, ranking, lambda made: graphs[made] >= needed, 5)
        assert result is not None
        assert len(result.nodes) == needed

    def test_bad_limit(self, bad_tensor, bad_ranges, ranking):
        with pytest.raises(InputError, match="at least 0"):
            fallback_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: True, -1)


def test_large_photos_are_measured_fewer_at_a_time():
    """As many values at once whatever their size; every photo once, in order, and one at least."""
    batches = [np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, side, side), np.float32)
               for count, side in ((12, 32), (9, 320), (3, 640), (2, 1280))]  # fmt: skip
    parts = list(in_parts(batches))
    assert [len(part) for part in parts] == [8, 4, 8, 1, 2, 1, 1, 1]
    assert [part[i, 0, 0, 0] for part in parts for i in range(len(part))] == [
        i for count in (12, 9, 3, 2) for i in range(count)
    ]
