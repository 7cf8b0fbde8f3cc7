"""The check that a graph computes what the original computes, at any batch."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import ColorOrder, Layout, PreprocessSpec

pytestmark = pytest.mark.requires("onnx")

SPEC = PreprocessSpec(4, 4, mean=(127.0,) * 3, std=(1.0,) * 3)
MEAN = "a = Constant<value = int64[2] {2, 3}>() y = ReduceMean<keepdims=0>(x, a)"


def graph(body: str) -> bytes:
    import onnx

    text = f'<ir_version: 8, opset_import: ["": 18]> net (float[batch,3,4,4] x) => (float[batch,3] y) {{ {body} }}'
    return onnx.parser.parse_model(text).SerializeToString()


def mean(tensor):
    return tensor.mean((2, 3))


def check(reference, content, **options):
    from edgevision.compiler.sources.parity import check_parity

    """``reference``: a function of a tensor to its one output, or to its outputs by name."""
    outputs = lambda tensor: made if isinstance(made := reference(tensor), dict) else {"output": made}  # noqa: E731
    return check_parity(outputs, content, SPEC, "net", **options)


def test_equal():
    report = check(mean, graph(MEAN), batches=(1, 2, 5), seeds=(0, 1, 2))
    assert list(report.max_abs_difference) == list(report.max_relative_difference) == [1, 2, 5]
    assert max(report.max_abs_difference.values()) < 1e-4
    assert report.seeds == (0, 1, 2)


def test_the_tolerance_grows_with_the_outputs_and_is_stated():
    report = check(
        lambda t: mean(t) * 100,
        graph(f"{MEAN.replace('y =', 'm =')} k = Constant<value_float = 100.0>() y = Mul(m, k)"),
    )
    largest = max(abs(mean(t) * 100).max() for t in inputs())
    assert report.tolerance == pytest.approx(1e-3 * largest)


@pytest.mark.parametrize(("error", "fits"), [(0.5, True), (1.5, False)])
def test_the_edge_of_the_tolerance(error, fits):
    from edgevision.compiler.sources.parity import TOLERANCE

    largest = max(1.0, *(abs(mean(t)).max() for t in inputs()))
    shifted = lambda t: mean(t) + error * TOLERANCE * largest  # noqa: E731
    if fits:
        assert check(shifted, graph(MEAN)).max_abs_difference[5] == pytest.approx(error * TOLERANCE * largest, rel=0.05)
    else:
        with pytest.raises(ModelFileError, match=r"differs from the original by .* at batch 1 \(allowed: "):
            check(shifted, graph(MEAN))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        # the batch of the example as a number, as pytorch#148886
        ("a = Constant<value = int64[4] {2, 3, 4, 4}>() z = Reshape(x, a) b = Constant<value = int64[2] {2, 3}>() "
         "y = ReduceMean<keepdims=0>(z, b)", r"batch 1 .*baked into it.*dynamic_shapes"),
        # right at batch 1, and of the right shape at others, but items see each other
        (f"{MEAN.replace('y =', 'm =')} z = Constant<value = int64[1] {{0}}>() y = CumSum(m, z)", "differs from the original"),
    ],
)  # fmt: skip
def test_batches_that_are_baked_in(body, told):
    with pytest.raises(ModelFileError, match=told):
        check(mean, graph(body))


def test_a_reference_that_mixes_the_batch_too():
    """Torch and ONNX agree, and both are wrong: an item's answer must not depend on its neighbours."""
    mixing = f"{MEAN.replace('y =', 'm =')} z = Constant<value = int64[1] {{0}}>() y = CumSum(m, z)"
    with pytest.raises(ModelFileError, match="batch 2"):
        check(lambda t: np.cumsum(mean(t), axis=0), graph(mixing))


def test_outputs_that_are_not_numbers():
    with pytest.raises(ModelFileError, match="not finite"):
        check(mean, graph(f"{MEAN.replace('y =', 'm =')} z = Sub(m, m) y = Div(z, z)"))


TWO = "a = Constant<value = int64[2] {2, 3}>() m = ReduceMean<keepdims=0>(x, a) t = ReduceMax<keepdims=1>(x, a)"


def two(body: str = TWO, names: tuple[str, str] = ("m", "t")) -> bytes:
    import onnx

    ends = f"float[batch,3] {names[0]}, float[batch,3,1,1] {names[1]}"
    text = f'<ir_version: 8, opset_import: ["": 18]> net (float[batch,3,4,4] x) => ({ends}) {{ {body} }}'
    return onnx.parser.parse_model(text).SerializeToString()


def both(tensor):
    return {"t": tensor.max((2, 3), keepdims=True), "m": mean(tensor)}  # the order is not what they are known by


def test_every_output_is_compared_under_its_name():
    assert max(check(both, two()).max_abs_difference.values()) < 1e-4
    for spoiled in ("m", "t"):
        wrong = lambda tensor, name=spoiled: {**both(tensor), name: both(tensor)[name] + 9.0}  # noqa: E731
        with pytest.raises(ModelFileError, match="differs from the original by 9 at batch 1"):
            check(wrong, two())


def test_an_output_that_is_missing_or_of_another_shape_is_named():
    with pytest.raises(ModelFileError, match=r"output 't' is nothing instead of \(1, 3, 1, 1\)"):
        check(both, two(TWO.replace("t =", "other ="), ("m", "other")))
    flat = lambda tensor: {**both(tensor), "t": tensor.max((2, 3))}  # noqa: E731
    with pytest.raises(ModelFileError, match=r"output 't' is \(1, 3, 1, 1\) instead of \(1, 3\)"):
        check(flat, two())


def test_the_second_output_of_an_item_must_not_depend_on_its_batch_either():
    mixing = TWO.replace("t =", "u =") + " z = Constant<value = int64[1] {0}>() t = CumSum(u, z)"
    mixed = lambda tensor: {**both(tensor), "t": np.cumsum(both(tensor)["t"], axis=0)}  # noqa: E731
    with pytest.raises(ModelFileError, match="batch 2"):
        check(mixed, two(mixing))


def test_the_second_output_must_hold_numbers_too():
    broken = TWO.replace("t =", "u =") + " z = Sub(u, u) t = Div(z, z)"
    with pytest.raises(ModelFileError, match="not finite"):
        check(both, two(broken))


@pytest.mark.parametrize(
    ("drawn", "named"),
    [
        ("r = RandomUniformLike(m)", "RandomUniformLike 'r'"),
        ("r = RandomNormalLike<scale = 0.1>(m)", "RandomNormalLike 'r'"),
        ("r = RandomUniformLike<seed = 3.0>(m)", "RandomUniformLike 'r'"),  # the next run goes on where this one ended
        ("k = Constant<value_float = 0.5>() yes = Constant<value = bool {1}>() r = Dropout(m, k, yes)", "Dropout 'r'"),
    ],
)
def test_chance_is_found_however_small_the_outputs_are(drawn, named):
    """All that it moves lies within the tolerance."""
    tiny = "s = Constant<value_float = 1e-6>()"
    body = f"{MEAN.replace('y =', 'm =')} {drawn} {tiny} t = Add(m, r) y = Mul(t, s)"
    with pytest.raises(ModelFileError, match=rf"other answers to the same input each time.*\({named}\)"):
        check(lambda t: mean(t) * 1e-6, graph(body))


def test_dropout_as_it_answers_draws_nothing():
    assert check(mean, graph(f"{MEAN.replace('y =', 'm =')} y = Dropout(m)")).seeds == (0, 1)


def test_a_graph_that_does_not_load():
    with pytest.raises(ModelFileError, match=r"ONNX Runtime .* cannot load the graph of net"):
        check(mean, b"nonsense")


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("color", [ColorOrder.RGB, ColorOrder.GRAY])
def test_pixels_have_the_range_that_the_spec_gives(layout, color):
    from edgevision.compiler.sources.parity import pixels

    n = color.channels
    spec = PreprocessSpec(40, 30, color=color, layout=layout, mean=(10.0, 20.0, 30.0)[:n], std=(2.0, 4.0, 8.0)[:n])
    tensor = pixels(spec, 6, seed=0)
    assert tensor.dtype == np.float32
    assert tensor.shape == (6, *spec.tensor_shape)
    planes = tensor if layout is Layout.NHWC else np.moveaxis(tensor, 1, 3)
    for channel in range(n):
        assert planes[..., channel].min() == (0 - spec.mean[channel]) / spec.std[channel]
        assert planes[..., channel].max() == np.float32((255 - spec.mean[channel]) / spec.std[channel])
    assert not np.array_equal(tensor, pixels(spec, 6, seed=1))


def inputs():
    from edgevision.compiler.sources.parity import pixels

    return [pixels(SPEC, batch, seed) for batch in (1, 2, 5) for seed in (0, 1)]
