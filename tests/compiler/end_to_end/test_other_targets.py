"""A whole compile for devices that this machine is not."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import onnx
import pytest
from footprints import opened_here
from known_networks import COLORS, RIGHT, answers, onnx_of, options

from edgevision.bundle.reader import open_bundle
from edgevision.errors import BudgetError, InputError
from edgevision.machine import cpu_kind, describe_machine

pytestmark = pytest.mark.requires("torch", "onnx")
HERE = cpu_kind(describe_machine().architecture, describe_machine().features)
RTX = importlib.util.find_spec("tensorrt_rtx") is not None
FOREIGN = [name for name in ("x86", "arm", "tensorrt") if name != HERE]


@pytest.fixture
def alone(monkeypatch, quick):
    """ONNX Runtime alone for everything."""
    from edgevision.compiler.select import cross_target

    monkeypatch.setattr(cross_target, "available_engines", lambda: {"onnxruntime": "1"})


def compiled(source, tmp_path, given, *targets, precision="int8", **more):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    given = replace(given, precision=Precision(precision), targets=targets, **more)
    return compile_model(source, tmp_path / "x.edge", given)


def test_each_target_gets_its_graph_and_its_verdict(files, photos, alone, tmp_path):
    result = compiled(files["script.pt"], tmp_path, options(files, photos), "auto", *FOREIGN)
    manifest = result.manifest
    own = [v for v in manifest.variants if v.target in ("", HERE)]
    others = {v.target: v for v in manifest.variants if v.target not in ("", HERE)}
    assert manifest.chosen == own[0].id  # what was measured here is what is chosen
    # An engine of another target's that is not there to be measured has a graph of its own all the same.
    assert set(others) == set(FOREIGN)
    for target, variant in others.items():
        assert variant.latency == ()
        assert variant.layer_precisions == {}  # nobody has seen what that device runs
        assert (variant.verdict.passed, variant.verdict.value, variant.verdict.n) == (True, 100.0, 45)
        assert manifest.graphs[variant.graph].dialect in (target, "openvino")
        assert manifest.graphs[variant.graph].recipe
    with open_bundle(result.path) as bundle:
        graphs = {key: onnx.load_from_string(bundle.graph(key)) for key in manifest.graphs}
    types = {key: _quantized_types(graph) for key, graph in graphs.items() if key != "float"}
    assert types["int8-tensorrt"] == {np.dtype(np.int8)}
    assert not others["tensorrt"].verdict.proven  # what it packs is float16 beside int8, and nothing here runs that
    assert "float32 sums" in others["tensorrt"].verdict.note
    if "arm" in FOREIGN:
        assert types["int8-arm"] == {np.dtype(np.int8)}
    if "x86" in FOREIGN:
        weights = [
            onnx.numpy_helper.to_array(t) for t in graphs["int8-x86"].graph.initializer if t.data_type == onnx.TensorProto.INT8
        ]  # fmt: skip
        assert max(int(np.abs(w.astype(int)).max()) for w in weights if w.size > 1) <= 64
    assert answers(result.path) == RIGHT
    table = result.report.targets_table()[1]
    assert {line[1] for line in table} == set(FOREIGN)


def _quantized_types(graph: onnx.ModelProto) -> set[np.dtype]:
    """Of the zero points that activations are quantized with."""
    zeros = {t.name: onnx.numpy_helper.to_array(t).dtype for t in graph.graph.initializer}
    return {zeros[n.input[2]] for n in graph.graph.node if n.op_type == "QuantizeLinear"}


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("auto", {"tensorrt-int8", "tensorrt-float16"}),
        ("int8", {"tensorrt-int8"}),
        ("float", {"tensorrt-float16"}),
    ],
)
def test_tensorrt_gets_what_the_precision_admits(precision, expected, files, photos, alone, tmp_path):
    result = compiled(files["script.pt"], tmp_path, options(files, photos), "tensorrt", precision=precision)
    assert {v.id for v in result.manifest.variants if v.engine == "tensorrt"} == expected
    assert any("a device builds its engine" in note for note in result.report.notes)


def test_float_needs_no_graph_of_its_own_on_a_cpu(files, photos, alone, tmp_path):
    other = FOREIGN[0]
    result = compiled(files["script.pt"], tmp_path, options(files, photos), other, precision="float")
    assert [v.engine for v in result.manifest.variants] == ["onnxruntime"]
    assert f"{other}: the float graph runs there as it is" in result.report.notes


def test_what_no_int8_graph_can_keep_is_refused_for_the_target_too(nets, files, photos, alone, tmp_path):
    """With int8 asked for nothing is written; with any precision the target's int8 stays out, and the report says so."""
    source = onnx_of(nets.net(flaws=10), tmp_path)  # more than go back to float
    given = replace(options(files, photos, max_drop=0), labels=None, preprocess=None, output=None)
    with pytest.raises(BudgetError, match="nothing was written"):
        compiled(source, tmp_path, given, FOREIGN[0])
    assert not (tmp_path / "x.edge").exists()
    result = compiled(source, tmp_path, given, "tensorrt", precision="auto")
    assert [v.id for v in result.manifest.variants if v.target == "tensorrt"] == ["tensorrt-float16"]
    assert any(note.startswith("tensorrt-int8 is left out: failed") for note in result.report.notes)


def test_layers_go_back_to_float_for_the_target(nets, files, photos, alone, tmp_path):
    source = onnx_of(nets.net(flaws=1), tmp_path)
    given = replace(options(files, photos, max_drop=0.5), labels=None, preprocess=None, output=None)
    result = compiled(source, tmp_path, given, "tensorrt")
    (variant,) = [v for v in result.manifest.variants if v.target == "tensorrt"]
    assert variant.verdict.passed
    assert result.manifest.graphs[variant.graph].float_fallback
    groups = {group["name"]: group["lost"] - group["gained"] for group in result.report.groups[variant.id]}
    assert groups == dict.fromkeys(COLORS, 0)


@pytest.mark.skipif(not RTX, reason="needs tensorrt-rtx")
def test_an_engine_that_needs_no_gpu_comes_along(files, photos, quick, tmp_path):
    result = compiled(files["script.pt"], tmp_path, options(files, photos), "tensorrt-rtx")
    (entry,) = [name for name in result.manifest.entries if name.startswith("engines/")]
    assert entry.startswith("engines/int8-tensorrt/tensorrt-rtx-")
    with open_bundle(result.path) as bundle:
        assert bundle.read(entry)[1:4] == b"trt"


def test_an_unknown_target_is_refused_before_anything_is_read(files, photos, tmp_path):
    with pytest.raises(InputError, match="unknown target 'x87'; choose among auto, "):
        compiled(tmp_path / "is-not-there.pt", tmp_path, options(files, photos), "x87")


def test_two_targets_of_one_dialect_share_its_graph(files, photos, alone, tmp_path):
    result = compiled(
        files["script.pt"], tmp_path, options(files, photos), "tensorrt", "tensorrt-rtx", precision="auto"
    )
    made = {v.id: v for v in result.manifest.variants if v.engine.startswith("tensorrt")}
    assert set(made) == {f"{engine}-{kind}" for engine in ("tensorrt", "tensorrt-rtx") for kind in ("int8", "float16")}
    for kind in ("int8", "float16"):
        assert made[f"tensorrt-{kind}"].graph == made[f"tensorrt-rtx-{kind}"].graph


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_an_engine_that_cannot_be_built(precision, files, photos, alone, tmp_path, monkeypatch):
    """A GPU that is not there is for the device to have; a graph that is refused is left out, or fails the compile."""
    from edgevision.compiler.select import cross_target
    from edgevision.errors import EngineError

    def none():
        raise EngineError("expected an NVIDIA GPU")

    def refuse(*_):
        raise EngineError("TensorRT refuses the graph")

    monkeypatch.setattr(cross_target, "available_engines", lambda: {"onnxruntime": "1", "tensorrt": "11"})
    monkeypatch.setattr(cross_target, "open_engine_driver", none)
    monkeypatch.setattr(cross_target, "build_entry", refuse)
    result = compiled(files["script.pt"], tmp_path, options(files, photos), "tensorrt", precision=precision)
    assert "tensorrt-int8" in {v.id for v in result.manifest.variants}
    assert any("no tensorrt engine was built here (expected an NVIDIA GPU)" in note for note in result.report.notes)

    monkeypatch.setattr(cross_target, "open_engine_driver", lambda: None)
    if precision == "int8":
        with pytest.raises(EngineError, match="refuses the graph"):
            compiled(files["script.pt"], tmp_path, options(files, photos), "tensorrt", precision=precision)
        return
    result = compiled(files["script.pt"], tmp_path, options(files, photos), "tensorrt", precision=precision)
    assert not [v for v in result.manifest.variants if v.target == "tensorrt"]
    assert "tensorrt-int8 is left out: TensorRT refuses the graph" in result.report.notes


def test_no_two_variants_have_one_name(monkeypatch):
    """Of whichever targets, in every engine that a dialect is for."""
    from edgevision.compiler.quantize.targets import DIALECT_ENGINES, X86_TARGET, X86_VNNI_TARGET
    from edgevision.compiler.select import measure
    from edgevision.compiler.variants import Candidate

    monkeypatch.setattr(measure, "footprint", opened_here)
    for target in (X86_TARGET, X86_VNNI_TARGET):
        first, *others = target.dialects
        candidates = [Candidate("int8", b"", "int8", first.name)]
        candidates += [Candidate(f"int8-{d.name}", b"", "int8", d.name) for d in others]
        expected = sum(len(DIALECT_ENGINES[d.name]) for d in target.dialects)
        expected += sum(
            1 for d in target.dialects if d.name.startswith("openvino")
        )  # what is not int8 rounded to bfloat16
        found = measure.open_each(candidates, 1)  # no graph loads: each is missing, by its name
        assert len({v.id for v in found.variants} | set(found.missing)) == expected
