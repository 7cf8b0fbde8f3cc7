from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.compiler.agreement import agreement, graph_outputs
from edgevision.compiler.dialects import X86_VNNI
from edgevision.compiler.estimators import estimate
from edgevision.compiler.quantize import quantizable_nodes, quantize
from edgevision.compiler.ranges import collect_ranges
from edgevision.compiler.sensitivity import rank_nodes, restore_until
from edgevision.errors import EngineError, InputError

pytestmark = pytest.mark.requires("onnx")


class TestAgreement:
    def test_equal_outputs(self):
        outputs = np.random.default_rng(0).normal(size=(7, 4))
        result = agreement(outputs, outputs)
        assert (result.photos, result.top1, result.kl, result.sqnr_db) == (7, 1.0, 0.0, math.inf)

    def test_known_values(self):
        reference = np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]))
        other = np.log(np.array([[0.25, 0.5, 0.25], [0.2, 0.2, 0.6]])) + 7  # softmax does not see a constant
        result = agreement(reference, other)
        assert result.top1 == 0.5
        assert result.kl == pytest.approx((0.5 * math.log(2) + 0.25 * math.log(0.5)) / 2)

    def test_probabilities(self):
        p, q = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.75, 0.0]])
        assert agreement(p, q, probabilities=True).kl == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))

    def test_sqnr(self):
        assert agreement(np.array([[3.0, 4]]), np.array([[3.0, 4.5]])).sqnr_db == pytest.approx(20)

    @pytest.mark.parametrize("shape", [(2, 4), (3, 3), (3,)])
    def test_shapes(self, shape):
        with pytest.raises(InputError, match="one shape"):
            agreement(np.zeros((3, 4)), np.zeros(shape))

    def test_graph_outputs(self, mixed, photos):
        outputs = graph_outputs(mixed, photos)
        assert outputs.shape == (24, 10)
        np.testing.assert_allclose(outputs[:5], graph_outputs(mixed, photos[:1]), rtol=1e-4, atol=1e-5)
        with pytest.raises(InputError, match="no photos"):
            graph_outputs(mixed, [])
        with pytest.raises(EngineError, match="cannot run"):
            graph_outputs(b"nothing", photos)


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
def ranking(bad_tensor, bad_ranges, photos):
    return rank_nodes(bad_tensor[0], bad_ranges, X86_VNNI, photos)


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

    def test_deterministic_and_limited(self, bad_tensor, bad_ranges, photos, ranking):
        seen = []
        again = rank_nodes(
            bad_tensor[0], bad_ranges, X86_VNNI, photos, limit=2, progress=lambda *step: seen.append(step)
        )
        assert again == ranking[:2]
        assert seen[-1][0] == seen[-1][1] >= len(ranking)

    def test_time_limit(self, bad_tensor, bad_ranges, photos, ranking):
        cut = rank_nodes(bad_tensor[0], bad_ranges, X86_VNNI, photos, time_limit_s=0)
        assert len(cut) == len(ranking)
        assert {loss for _, loss in cut} == {0.0}


@pytest.fixture(scope="module")
def kl(bad_tensor, photos):
    reference = graph_outputs(bad_tensor[0], photos)
    return lambda graph: agreement(reference, graph_outputs(graph, photos)).kl


class TestRestore:
    def test_restores_as_few_as_it_takes(self, bad_tensor, bad_ranges, ranking, kl):
        graph, _ = bad_tensor
        plain = kl(quantize(graph, bad_ranges, X86_VNNI).graph)
        result = restore_until(graph, bad_ranges, X86_VNNI, ranking, lambda made: kl(made) < plain / 10, 4)
        assert result is not None
        assert result.restored == tuple(name for name, _ in ranking[:2])
        assert set(result.restored) <= set(result.quantized.float_nodes)
        assert kl(result.quantized.graph) < plain / 10

    def test_nothing_to_restore(self, bad_tensor, bad_ranges, ranking):
        result = restore_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: True, 4)
        assert result is not None
        assert result.restored == ()

    def test_never_accepted(self, bad_tensor, bad_ranges, ranking):
        calls = []
        assert (
            restore_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: bool(calls.append(1)), 3) is None
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
        result = restore_until(graph, bad_ranges, X86_VNNI, ranking, lambda made: graphs[made] >= needed, 5)
        assert result is not None
        assert len(result.restored) == needed

    def test_bad_limit(self, bad_tensor, bad_ranges, ranking):
        with pytest.raises(InputError, match="at least 0"):
            restore_until(bad_tensor[0], bad_ranges, X86_VNNI, ranking, lambda made: True, -1)
