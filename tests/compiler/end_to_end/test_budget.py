"""A whole compile, where it must refuse, put layers back into float, or say that nothing is proven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_networks import COLORS, RIGHT, SPEC, answers, onnx_of, options, photo
from latencies import steady

from edgevision.errors import BudgetError, InputError, UnprovenWarning
from edgevision.latency import within_noise

pytestmark = pytest.mark.requires("torch", "onnx")


@pytest.mark.parametrize("precision", ["float", "auto", "int8"])
def test_precision(precision, files, photos, quick, tmp_path):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    result = compile_model(
        files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision(precision))
    )
    measured = [one.measurement for one in result.variants]
    chosen = measured[0]
    kinds = {one.candidate for one in measured}
    assert kinds == ({"float"} if precision == "float" else {"float", "int8"})
    if precision != "auto":
        assert chosen.is_int8 == (precision == "int8")
    else:
        quickest = min(measured, key=lambda one: one.latency[1, 1][0])
        assert chosen is quickest or within_noise(chosen.samples[1, 1], quickest.samples[1, 1])
    assert answers(result.path) == RIGHT


@pytest.mark.parametrize("photos_given", [True, False])
@pytest.mark.parametrize("precision", ["float", "auto", "int8"])
def test_unproven(photos_given, precision, files, photos, quick, tmp_path):
    import edgevision as ev
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    given = {"data": photos, "val": photos} if photos_given else {"data": None}
    result = compile_model(
        files["script.pt"],
        tmp_path / "x.edge",
        options(files, photos, precision=Precision(precision), skip_validation=True, **given),
    )
    assert result.verdict is None
    assert not result.manifest.proven
    with pytest.warns(UnprovenWarning, match="not proven"):
        ev.load(result.path).close()
    assert answers(result.path) == RIGHT
    assert result.variants[0].measurement.is_int8 == (precision == "int8") or precision == "auto"


def test_without_labels_the_verdict_is_agreement(files, photos, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    flat = tmp_path / "flat"
    flat.mkdir()
    for place, path in enumerate(sorted(photos.rglob("*.png"))):
        (flat / f"{place}.png").write_bytes(path.read_bytes())
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, flat))
    assert (result.verdict.metric, result.verdict.value) == ("agreement", 100.0)
    assert "not accuracy" in result.verdict.note
    assert result.variants[0].parameters == {}  # nothing can be fitted, so nothing is called unknown


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_one_layer_at_fault_goes_back_to_float(precision, nets, files, photos, quick, paced, tmp_path):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    measured = paced(float=2.0, int8=1.0)
    source = onnx_of(nets.net(flaws=1), tmp_path)
    given = options(
        files, photos, labels=None, preprocess=None, output=None, precision=Precision(precision), max_drop=0
    )
    result = compile_model(source, tmp_path / "x.edge", given)
    int8 = next(one for one in result.variants if one.measurement.candidate == "int8")
    assert int8.metric == 100.0
    assert int8.measurement.is_int8
    assert any(note.startswith("kept in float for accuracy: ") for note in result.report.notes)
    assert answers(result.path) == RIGHT
    parts = result.manifest.graphs["int8"].float_fallback
    assert 1 <= len(parts) <= 4
    assert result.manifest.variants[0].layer_precisions["int8"] >= 1
    assert result.verdict.confidence == pytest.approx(0.975)  # the second graph that the validation photos saw
    assert "comparison 2 on the same validation photos" in result.verdict.note
    settings = len(result.report.settings)
    assert measured == ["onnxruntime-float", "onnxruntime-int8"] * settings + ["onnxruntime-int8"] * settings


@pytest.mark.parametrize("precision", ["auto", "int8", "float"])
@pytest.mark.parametrize("quicker", ["float", "int8"])
def test_only_finalists_are_shown_to_the_validation_photos(precision, quicker, files, photos, quick, paced, tmp_path):
    """Best first, until one passes; float is always beside it."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    paced(**{"float": 2.0, "int8": 2.0, quicker: 1.0})
    result = compile_model(
        files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision(precision))
    )
    shown = f"onnxruntime-{quicker if precision == 'auto' else precision}"
    assert list(result.report.verdicts) == [shown]
    assert {one.id for one in result.variants if one.metric is not None} == {"onnxruntime-float", shown}


def test_a_class_that_is_lost_sends_layers_back_to_float(nets, files, photos, quick, paced, tmp_path, monkeypatch):
    """The budget allows the drop as a whole; a class with 20 validation photos may not lose 3 of them."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import budget

    paced(float=2.0, int8=1.0)
    val = tmp_path / "val"
    for color, name in enumerate(COLORS):
        (val / name).mkdir(parents=True)
        for seed in range(20):
            (val / name / f"{seed}.png").write_bytes(photo(color, 2000 + seed))
    true = budget.answers_of
    compared: list[tuple[str, ...]] = []

    def answers_of(found, photos, *more):
        answers = true(found, photos, *more)
        if "onnxruntime-int8" in answers:
            compared.append(next(v.candidate.float_fallback for v in found if v.id == "onnxruntime-int8"))
            mine = [i for i, one in enumerate(photos) if one.truth == 1][:3]
            scores = answers["onnxruntime-int8"]["scores"]
            scores[mine] = scores[mine][:, ::-1] + [9e3, 0, 0]
        return answers

    monkeypatch.setattr(budget, "answers_of", answers_of)
    given = options(files, photos, val=val, precision=Precision.INT8, max_drop=6)
    with pytest.raises(BudgetError, match="class 'green' loses 3 of 20 photos") as caught:
        compile_model(files["script.pt"], tmp_path / "x.edge", given)
    assert "Raise --max-drop" not in str(caught.value)  # that would not help
    assert 2 <= len(compared) <= 3  # the validation photos are no place to search in
    counts = [len(parts) for parts in compared]
    assert counts == sorted(set(counts))  # each time more goes back


def test_a_budget_that_cannot_be_met(nets, files, photos, quick, paced, tmp_path):
    """Six flaws in a row are more than are given back; then nothing is written, and the message says what was tried."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    paced(float=2.0, int8=1.0)
    source = onnx_of(nets.net(flaws=6), tmp_path)
    target = tmp_path / "x.edge"
    target.write_bytes(b"the old one")
    left = sorted(tmp_path.iterdir())
    given = options(files, photos, labels=None, preprocess=None, output=None, precision=Precision.INT8, max_drop=0)
    with pytest.raises(BudgetError, match="nothing was written") as caught:
        compile_model(source, target, given)
    assert caught.value.exit_status == 3
    told = str(caught.value)
    assert "onnxruntime-int8: failed: 33.33 % against 100.00 % for float on 45 validation photos" in told
    assert "8 most sensitive layers" in told
    assert "--max-drop" in told
    assert target.read_bytes() == b"the old one"
    assert sorted(tmp_path.iterdir()) == left
    # Any precision: float is within every budget, and the report says what became of int8.
    result = compile_model(source, target, replace(given, precision=Precision.AUTO))
    assert result.manifest.chosen == "onnxruntime-float"
    assert any("most sensitive layers" in note for note in result.report.notes)
    assert answers(target) == RIGHT


def test_a_network_that_gives_no_numbers_is_refused(nets, files, photos, quick, tmp_path):
    import torch

    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.sources.quiet import quiet

    broken = nets.net()
    with torch.no_grad():
        broken[-1].weight[0, 0] = float("nan")
    with quiet():
        torch.jit.save(torch.jit.trace(broken, torch.zeros(2, 3, SPEC.height, SPEC.width), check_trace=False),
                       tmp_path / "nan.pt")  # fmt: skip
    with pytest.raises(InputError, match=r"NaN|not finite|not numbers"):
        compile_model(tmp_path / "nan.pt", tmp_path / "x.edge", options(files, photos))
    assert not (tmp_path / "x.edge").exists()


def test_noise_calibrates_nothing(files, photos, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.decode import encode_png

    noise = tmp_path / "noise"
    noise.mkdir()
    for seed in range(40):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        (noise / f"{seed}.png").write_bytes(encode_png(pixels))
    target = tmp_path / "x.edge"
    target.write_bytes(b"the old one")
    with pytest.raises(InputError, match=r"40 of 40 calibration photos look like random numbers.*--data"):
        compile_model(files["script.pt"], target, options(files, noise, val=photos))
    assert target.read_bytes() == b"the old one"


def test_an_engine_that_lies_about_precision_is_not_believed(files, photos, quick, paced, tmp_path, monkeypatch):
    """The graph says int8, and the engine runs floats: --int8 writes nothing, and auto packs float, though it is slower."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.engines.onnxruntime import OnnxRuntimeEngine

    honest = OnnxRuntimeEngine.layers
    monkeypatch.setattr(
        OnnxRuntimeEngine, "layers", lambda self: tuple(replace(layer, precision="float32") for layer in honest(self))
    )
    paced(float=2.0, int8=1.0)
    target = tmp_path / "x.edge"
    with pytest.raises(BudgetError, match="nothing was written"):
        compile_model(files["script.pt"], target, options(files, photos, precision=Precision.INT8))
    assert not target.exists()
    result = compile_model(files["script.pt"], target, options(files, photos))
    assert result.manifest.chosen == "onnxruntime-float"
    assert {graph.precision for graph in result.manifest.graphs.values()} == {"float32"}
    int8 = next(one.measurement for one in result.variants if one.id == "onnxruntime-int8")
    assert not int8.is_int8
    assert "do not run in it" in int8.precision_check.note()


def test_never_more_comparisons_than_are_allowed(nets, files, photos, quick, paced, tmp_path, monkeypatch):
    """Two int8 graphs are two comparisons each time: the third round would make six."""
    from edgevision.compiler import pipeline
    from edgevision.compiler.options import Precision
    from edgevision.compiler.quantize.recipes import for_dialect
    from edgevision.compiler.quantize.targets import ARM_TARGET, DIALECT_ENGINES
    from edgevision.compiler.select import budget

    paced(**{"float": 2.0, "int8": 1.0, "int8-arm": 1.5})
    true_calibrate, true_answers = pipeline._calibrate, budget.answers_of
    shown: set[bytes] = set()

    def two(job, graph):
        (first, *_) = true_calibrate(job, graph)
        return first, for_dialect(first, ARM_TARGET.dialects[0])

    def answers_of(found, *more):
        shown.update(v.candidate.graph for v in found if v.candidate.precision == "int8")
        return true_answers(found, *more)

    monkeypatch.setattr(pipeline, "_calibrate", two)
    monkeypatch.setattr(budget, "answers_of", answers_of)
    assert DIALECT_ENGINES["arm"] == ("onnxruntime",)
    source = onnx_of(nets.net(flaws=6), tmp_path)
    given = options(files, photos, labels=None, preprocess=None, output=None, precision=Precision.INT8, max_drop=0)
    with pytest.raises(BudgetError) as caught:
        pipeline.compile_model(source, tmp_path / "x.edge", given)
    assert 2 <= len(shown) <= budget.MAX_COMPARISONS
    assert caught.value.report.verdicts


def test_a_latency_that_was_asked_for_and_missed_writes_nothing(files, photos, quick, paced, tmp_path, monkeypatch):
    """The pruning search found it, but what the budget let through is slower."""
    from edgevision.compiler import pipeline
    from edgevision.compiler.options import Precision

    paced(float=20.0, int8=30.0)
    monkeypatch.setattr(pipeline, "_prune", lambda job: None)
    target = tmp_path / "x.edge"
    with pytest.raises(BudgetError, match=r"onnxruntime-float .* takes 20.00 ms; 8 ms were asked for"):
        pipeline.compile_model(files["script.pt"], target, options(files, photos, target_latency_ms=8.0))
    assert not target.exists()
    given = options(files, photos, precision=Precision.FLOAT, target_latency_ms=19.0)  # within what measuring varies
    assert pipeline.compile_model(files["script.pt"], target, given).manifest.chosen == "onnxruntime-float"


def test_int8_that_is_slower_with_its_float_fallback_is_told_of(nets, files, photos, quick, monkeypatch, tmp_path):
    """Layers went back to float, float is quicker by then: nothing claims that int8 was saved."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import measure

    def latency(found, *_):
        slow = {True: 9.0, False: 2.0}  # with layers in float, int8 is the slowest
        ms = {
            v.id: 1.0
            if v.candidate.precision == "int8" and not v.candidate.float_fallback
            else slow[v.candidate.precision == "int8"]
            for v in found
        }
        return {id: steady(time) for id, time in ms.items()}

    monkeypatch.setattr(measure, "measure_latency", latency)
    source = onnx_of(nets.net(flaws=1), tmp_path)
    given = options(files, photos, labels=None, preprocess=None, output=None, precision=Precision.AUTO)
    result = compile_model(source, tmp_path / "x.edge", given)
    assert result.manifest.chosen == "onnxruntime-float"
    assert any(note.startswith("int8 loses too much; with ") for note in result.report.notes)
    assert not any("kept in float for accuracy" in note for note in result.report.notes)


def test_the_bundle_names_the_photos_that_were_used(files, photos, quick, tmp_path):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    given = options(files, photos, precision=Precision.INT8, calibration_limit=20)
    result = compile_model(files["script.pt"], tmp_path / "x.edge", given)
    assert result.manifest.data["calibration"]["count"] == 20
    assert result.manifest.data["validation"]["count"] == 45


@pytest.mark.parametrize("within", [True, False])
def test_what_falls_back_for_a_pruned_network_is_within_the_budget_too(within):
    """int8 that runs in OpenVINO alone takes the pruned float along, or where that loses too much, nothing is packed."""
    from edgevision.compiler.select.budget import _with_base
    from edgevision.compiler.select.candidates import MeasuredCandidates
    from edgevision.compiler.variants import REFERENCE, VariantMeasurement

    int8, floating = (
        VariantMeasurement(id, id, engine, "float32", 1)
        for id, engine in (("openvino-int8", "openvino"), (REFERENCE, "onnxruntime"))
    )
    measured = MeasuredCandidates((), {}, {}, {one.id: one for one in (int8, floating)}, {}, {}, {})
    packed = _with_base(measured, [int8], REFERENCE if within else None)
    assert packed == ((int8.id, REFERENCE) if within else ())
