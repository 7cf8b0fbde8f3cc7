"""What is particular to ONNX Runtime: how it is kept exact on a CPU whose 8-bit sums saturate."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.engines import EngineOptions, onnxruntime, open_engine

KEY = "session.x64quantprecision"


def pretend(monkeypatch, machine, features):
    monkeypatch.setattr(onnxruntime.platform, "machine", lambda: machine)
    monkeypatch.setattr(onnxruntime, "cpu_features", lambda: features)


def entry(options):
    """The value of the session's config entry, None where it is not set (ONNX Runtime raises then)."""
    try:
        return options.get_session_config_entry(KEY)
    except RuntimeError:
        return None


@pytest.mark.parametrize(
    ("machine", "features", "value"),
    [
        ("x86_64", ("avx2", "fma"), "1"),
        ("AMD64", ("avx2", "avx512bw", "avx512f", "avx512vl"), "1"),
        ("x86_64", (), "1"),
        ("x86_64", ("avx2", "avx512f", "avx512vnni"), None),
        ("x86_64", ("avx2", "avxvnni"), None),
        ("x86_64", ("amxint8", "avx2"), None),
        ("aarch64", ("asimd",), None),
    ],
)
def test_exact_sums_are_asked_for_where_the_cpu_would_clamp_them(monkeypatch, machine, features, value):
    pretend(monkeypatch, machine, features)
    assert entry(onnxruntime._session_options(1)) == value


@pytest.mark.requires("onnx")
def test_weights_turned_to_u8_give_the_products_of_s8(monkeypatch):
    """A u8 × s8 convolution at the ends of both ranges, where pairs of products do not fit into 16 bits.

    The sums in int64 are the truth; a clamp would take away half of the largest.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    pixels = random.integers(200, 256, (1, 16, 4, 4)).astype(np.int64)
    weight = random.choice([-127, 127], (8, 16, 1, 1)).astype(np.int64)
    weight[0] = 127  # the largest sum there is
    one, step = np.float32(1), np.float32(4096)
    constants = {
        "one": one, "zero": np.uint8(0), "weight_s8": weight.astype(np.int8), "scales": np.ones(8, np.float32),
        "zeros": np.zeros(8, np.int8), "step": step, "middle": np.uint8(128),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["input", "one", "zero"], ["pixels_u8"]),
        node("DequantizeLinear", ["pixels_u8", "one", "zero"], ["pixels"]),
        node("DequantizeLinear", ["weight_s8", "scales", "zeros"], ["weight"], axis=0),
        node("Conv", ["pixels", "weight"], ["sum"]),
        node("QuantizeLinear", ["sum", "step", "middle"], ["sum_u8"]),
        node("DequantizeLinear", ["sum_u8", "step", "middle"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "saturating",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 16, 4, 4])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 8, 4, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    pretend(monkeypatch, "x86_64", ("avx2",))
    with open_engine("onnxruntime", model.SerializeToString(), EngineOptions(1)) as engine:
        assert engine.layer_precisions() == {"int8": 1}
        (slot,) = engine.slots(1)
        slot.inputs["input"][:] = pixels
        engine.run(slot)
        sums = np.einsum("nchw,oc->nohw", pixels, weight[:, :, 0, 0])
        expected = np.clip(np.rint(sums / 4096), -128, 127) * 4096
        np.testing.assert_array_equal(slot.outputs["output"], expected)
