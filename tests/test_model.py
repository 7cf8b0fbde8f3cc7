"""load and predict, on a classifier whose answers are known by construction (see the fixture color_bundle)."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

import edgevision as ev
from edgevision import model as model_module
from edgevision import tuning
from edgevision.errors import (
    BundleError,
    DeviceWarning,
    EdgeVisionError,
    EngineError,
    ImageError,
    InputError,
    MissingExtraError,
    SelfTestError,
    UnprovenWarning,
)
from edgevision.frames import ColorEncoding, PixelFormat
from edgevision.latency import Samples
from edgevision.preprocess.spec import ColorOrder

NAMES = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(color_bundle):
    with ev.load(color_bundle()) as loaded:
        yield loaded


def plain(rgb, height=30, width=40):
    return np.full((height, width, 3), rgb[::-1], np.uint8)


def truth(rgb):
    """Probabilities of red, green, blue by the definition of the classifier, in float64."""
    powers = np.exp(8 * np.asarray(rgb, np.float64) / 255)
    return powers / powers.sum()


def colors(count, seed=3):
    return [tuple(int(v) for v in row) for row in np.random.default_rng(seed).integers(0, 256, (count, 3))]


# ---- predict ----


@pytest.mark.parametrize("rgb", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 180, 10), (7, 7, 8)])
def test_predict_gives_the_known_answer(model, rgb):
    result = model.predict(plain(rgb))
    order = np.argsort(-truth(rgb), kind="stable")
    assert isinstance(result, ev.Classification)
    assert [p.name for p in result.top] == [NAMES[i] for i in order]
    assert [p.id for p in result.top] == [10 * (i + 1) for i in order]
    np.testing.assert_allclose([p.score for p in result.top], truth(rgb)[order], atol=1e-5)
    assert result.known == (truth(rgb).max() >= 0.5)


def test_every_kind_of_picture_gives_the_same_answer(model, tmp_path):
    image = plain((10, 200, 90))
    path = tmp_path / "tray.png"
    cv2.imwrite(str(path), image)
    kinds = [image, path, str(path), path.read_bytes(), ev.Frame.from_array(image),
             ev.Frame.from_array(np.ascontiguousarray(image[..., ::-1]), format=PixelFormat.RGB)]  # fmt: skip
    results = [model.predict(kind) for kind in kinds]
    assert {result.top for result in results} == {results[0].top}
    assert [result.top for result in model.predict(kinds)] == [result.top for result in results]


def test_yuv_frames_are_understood(model):
    """Y=U=V=128 in full range is grey 128 in each channel: nobody leads."""
    planes = (np.full((8, 8), 128, np.uint8), np.full((4, 4, 2), 128, np.uint8))
    frame = ev.Frame(planes, 8, 8, PixelFormat.NV12, ColorEncoding.BT601_FULL)
    result = model.predict(frame)
    np.testing.assert_allclose([p.score for p in result.top], [1 / 3] * 3, atol=1e-5)
    assert not result.known


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20])
def test_lists_keep_their_order_whatever_the_batch(model, count):
    values = colors(count)
    results = model.predict([plain(rgb) for rgb in values])
    assert isinstance(results, list)
    for rgb, result in zip(values, results, strict=True):
        assert result.best.name == NAMES[int(np.argmax(truth(rgb)))]
        assert result.best.score == pytest.approx(truth(rgb).max(), abs=1e-5)
    assert [result.timing.batch for result in results] == [min(8, count - i // 8 * 8) for i in range(count)]


def test_max_batch_bounds_the_batches(color_bundle):
    with ev.load(color_bundle(), max_batch=3) as model:
        assert [r.timing.batch for r in model.predict([plain((1, 2, 3))] * 7)] == [3] * 6 + [1]


def test_results_carry_the_frame_and_the_time(model):
    frame = ev.Frame.from_array(plain((9, 9, 200)), camera="till-3", sequence=41, captured_ns=1_700_000_000_000_000_000)
    result = model.predict(frame)
    assert (result.frame.camera, result.frame.sequence, result.frame.captured_ns) == (
        "till-3",
        41,
        1_700_000_000_000_000_000,
    )
    assert min(result.timing.preprocess_ms, result.timing.infer_ms, result.timing.decode_ms) > 0
    assert result.timing.batch == 1


def test_probabilities_of_all_classes(model):
    values = colors(11)
    got = model.probabilities([plain(rgb) for rgb in values])
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [truth(rgb) for rgb in values], atol=1e-5)
    assert model.probabilities([]).shape == (0, 3)


def test_sixteen_threads_get_the_answers_of_one(model):
    values = colors(16)
    expected = [model.predict(plain(rgb)).top for rgb in values]
    barrier = threading.Barrier(16)
    wrong = []

    def work(index):
        barrier.wait()
        for _ in range(15):
            if model.predict(plain(values[index], 20 + index, 30)).top != expected[index]:
                wrong.append(index)
            batch = [plain(values[(index + k) % 16]) for k in range(5)]
            if [r.best.name for r in model.predict(batch)] != [expected[(index + k) % 16][0].name for k in range(5)]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_stored_temperature_and_threshold_are_used(color_bundle):
    def change(manifest):
        (first, *rest) = manifest.variants
        return replace(manifest, variants=(replace(first, temperature=2.0, threshold=0.9), *rest))

    with ev.load(color_bundle(manifest=change)) as model:
        result = model.predict(plain((160, 0, 0)))
    assert result.best.score == pytest.approx(1 / (1 + 2 * np.exp(-4 * 160 / 255)), abs=1e-5)
    assert not result.known


def test_the_threshold_can_be_replaced(color_bundle):
    path = color_bundle()
    for threshold, known in ((0.0, True), (0.99, True), (1.0, False)):
        with ev.load(path, threshold=threshold) as model:
            assert model.threshold == threshold
            assert model.predict(plain((255, 0, 0))).known is known
    with pytest.raises(InputError, match="threshold is a probability"):
        ev.load(path, threshold=1.5)


# ---- bad input ----


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (np.zeros((4, 4), np.uint8), InputError, "H×W×3 uint8"),
        (np.zeros((4, 4, 4), np.uint8), InputError, "H×W×3 uint8"),
        (np.zeros((4, 4, 3)), InputError, "float64"),
        (np.zeros((0, 4, 3), np.uint8), InputError, "at least 1×1"),
        (b"no picture", ImageError, "image: "),
        ("missing.jpg", ImageError, "missing.jpg"),
        (None, InputError, "got NoneType"),
        (3.5, InputError, "got float"),
    ],
)
def test_bad_pictures_are_refused_and_named_by_their_place(model, bad, kind, message):
    with pytest.raises(kind, match=message):
        model.predict(bad)
    with pytest.raises(kind, match=f"item 2 of the list: .*{message}"):
        model.predict([plain((0, 0, 0)), plain((1, 1, 1)), bad])
    assert model.predict(plain((255, 0, 0))).best.name == "red"  # nothing is left over


# ---- closing ----


def test_closed_models_refuse(color_bundle):
    with ev.load(color_bundle()) as model:
        pass
    model.close()
    for use in (
        lambda: model.predict(plain((0, 0, 0))),
        lambda: model.predict([plain((0, 0, 0))]),
        lambda: model.predict([]),
        lambda: model.probabilities([plain((0, 0, 0))]),
        model.self_test,
    ):
        with pytest.raises(EdgeVisionError, match="closed; load it again"):
            use()
    assert "closed" in repr(model)


def test_closing_waits_for_running_predictions_and_refuses_later_ones(model):
    started = threading.Event()
    outcomes = []

    def work():
        try:
            while True:
                outcomes.append(model.predict(plain((255, 0, 0))).best.name)
                started.set()
        except EdgeVisionError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    model.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    errors = [outcome for outcome in outcomes if outcome != "red"]
    assert [type(error) for error in errors] == [EdgeVisionError] * 4


# ---- which variant ----


def test_the_chosen_variant_is_used_without_a_word(color_bundle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ev.load(color_bundle()) as model:
            assert model.variant.id == model.manifest.chosen == "onnxruntime-int8"
            assert model.threads == 1
            assert [label.name for label in model.labels] == list(NAMES)
            assert "onnxruntime-int8" in repr(model)


def test_a_variant_can_be_asked_for(color_bundle):
    with ev.load(color_bundle(), variant="onnxruntime-float", threads=2, self_test=False) as model:
        assert model.variant.id == "onnxruntime-float"
        assert model.threads == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "tensorrt-int8"}, r"\['onnxruntime-int8', 'onnxruntime-float'\], got 'tensorrt-int8'"),
        ({"engine": "openvino"}, "nothing for engine 'openvino'"),
        ({"engine": "caffe"}, "got 'caffe'"),
        ({"engine": "openvino", "variant": "onnxruntime-int8"}, "nothing for engine"),
        ({"threads": 0}, "threads is a whole number"),
        ({"max_batch": 0}, "max_batch is a whole number"),
        ({"tune": True}, "'now'"),
    ],
)
def test_arguments_that_cannot_be_met_are_refused(color_bundle, arguments, message):
    with pytest.raises(InputError, match=message):
        ev.load(color_bundle(), **arguments)


def test_a_failing_self_test_passes_on_to_the_next_variant(color_bundle):
    path = color_bundle(spoiled=["onnxruntime-int8"])
    with pytest.warns(
        DeviceWarning, match=r"'onnxruntime-int8' does not do here.*golden frame.*Using 'onnxruntime-float'"
    ):
        model = ev.load(path)
    assert model.variant.id == "onnxruntime-float"
    assert model.predict(plain((255, 0, 0))).best.name == "red"
    model.close()
    with pytest.raises(SelfTestError, match="does not do here"):
        ev.load(path, variant="onnxruntime-int8")
    with ev.load(path, self_test=False) as unchecked:
        assert unchecked.variant.id == "onnxruntime-int8"
        with pytest.raises(SelfTestError):
            unchecked.self_test()


SPOILED = ("onnxruntime-int8", "onnxruntime", "int8")
REFUSED = ("bf16", "onnxruntime", "float", "bfloat16")  # a precision this engine does not have


@pytest.mark.parametrize(
    ("variants", "error", "status"),
    [
        ([SPOILED], SelfTestError, 3),
        ([SPOILED, REFUSED], SelfTestError, 3),
        ([REFUSED, SPOILED], SelfTestError, 3),
        ([REFUSED], EngineError, 1),
    ],
)
def test_nothing_left_is_a_self_test_error_if_any_variant_failed_its_own(color_bundle, variants, error, status):
    with pytest.raises(error, match="no variant of the bundle works") as caught:
        ev.load(color_bundle(variants=variants, spoiled=["onnxruntime-int8"]))
    assert caught.value.exit_status == status
    assert type(caught.value) is error


def test_swapped_colours_fail_the_self_test(color_bundle):
    def swap(manifest):
        return replace(manifest, preprocess=replace(manifest.preprocess, color=ColorOrder.BGR))

    with pytest.raises(SelfTestError):
        ev.load(color_bundle(manifest=swap))


OV_FIRST = (("openvino-int8", "openvino", "int8"), ("onnxruntime-float", "onnxruntime", "float"))


def test_an_engine_that_is_not_installed_is_passed_over_with_its_extra(color_bundle, monkeypatch):
    path = color_bundle(variants=OV_FIRST)
    monkeypatch.setattr(model_module, "available_engines", lambda: {"onnxruntime": "1.0"})
    with pytest.warns(DeviceWarning, match=r"pip install 'edgevision\[openvino\]'.*Using 'onnxruntime-float'"):
        model = ev.load(path)
    model.close()
    with pytest.raises(MissingExtraError, match="openvino"):
        ev.load(path, variant="openvino-int8")
    with pytest.raises(EngineError, match="no variant of the bundle works"):
        ev.load(path, engine="openvino")


@pytest.mark.requires("openvino")
@pytest.mark.parametrize("graph", ["float", "int8"])
def test_openvino_variants_give_the_known_answer(color_bundle, graph):
    with ev.load(color_bundle(variants=[("openvino", "openvino", graph)])) as model:
        values = colors(9)
        np.testing.assert_allclose(
            model.probabilities([plain(v) for v in values]), [truth(v) for v in values], atol=1e-5
        )


def test_a_variant_its_engine_refuses_is_passed_over(color_bundle):
    variants = (("onnxruntime-bf16", "onnxruntime", "float", "bfloat16"), ("onnxruntime-float", "onnxruntime", "float"))
    with pytest.warns(DeviceWarning, match="as it is written.*Using 'onnxruntime-float'"):
        ev.load(color_bundle(variants=variants)).close()


def test_labels_that_do_not_match_the_outputs_are_refused(color_bundle):
    path = color_bundle(variants=[("onnxruntime-float", "onnxruntime", "float")], manifest=lambda m: replace(
        m, preprocess=replace(m.preprocess, height=9)))  # fmt: skip
    with pytest.raises(EngineError, match=r"items of shape \(3, 8, 8\).*\(3, 9, 8\)"):
        ev.load(path)


# ---- proof ----


def test_unproven_bundles_warn(color_bundle):
    with pytest.warns(UnprovenWarning, match="'color' is not proven"):
        ev.load(color_bundle(manifest={"verdict": None})).close()


def foreign(manifest):
    return replace(
        manifest, environment=replace(manifest.environment, cpu="Other", features=("avx2", "amxint8", "i8mm"))
    )


def test_another_instruction_set_is_not_proven_here(color_bundle):
    with pytest.warns(DeviceWarning, match="not proven here: it was measured on Other; this machine lacks"):
        ev.load(color_bundle(manifest=foreign)).close()


def test_float_does_not_hang_on_the_instruction_set(color_bundle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev.load(color_bundle(manifest=foreign, variants=[("onnxruntime-float", "onnxruntime", "float")])).close()


def test_a_variant_that_was_not_judged_says_so(color_bundle):
    def unjudged(manifest):
        (first, second) = manifest.variants
        return replace(manifest, variants=(first, replace(second, metric=None)))

    path = color_bundle(manifest=unjudged)
    with pytest.warns(DeviceWarning, match="judge photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'"):
        ev.load(path, variant="onnxruntime-float").close()


def judged_apart(manifest):
    # The chosen variant is proven; the second was a finalist that stays within the budget, but not surely.
    (first, second) = manifest.variants
    own = replace(manifest.verdict, interval=(-0.1, 0.9), proven=False, note="40 judge photos are too few")
    return replace(manifest, variants=(replace(first, verdict=manifest.verdict), replace(second, verdict=own)))


def test_each_variant_answers_for_itself(color_bundle):
    path = color_bundle(manifest=judged_apart)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev.load(path, variant="onnxruntime-int8").close()
    with pytest.warns(
        UnprovenWarning, match="'color' in 'onnxruntime-float' is not proven: 40 judge photos are too few"
    ):
        model = ev.load(path, variant="onnxruntime-float")
    assert model.manifest.proven  # it speaks of the chosen variant
    model.close()


def test_a_proven_variant_does_not_answer_for_the_chosen_one(color_bundle):
    def turned(manifest):
        (first, second) = manifest.variants
        failed = replace(manifest.verdict, drop=2.0, interval=(1.5, 2.5), passed=False, proven=False)
        return replace(manifest, verdict=failed, variants=(first, replace(second, verdict=manifest.verdict)))

    path = color_bundle(manifest=turned)
    with pytest.warns(UnprovenWarning, match=r"'color' is not proven: it lost 2\.00 points.*0\.5 were allowed"):
        ev.load(path, variant="onnxruntime-int8").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev.load(path, variant="onnxruntime-float").close()


# ---- files ----


def test_damaged_bundles_are_refused(color_bundle, tmp_path):
    path = color_bundle()
    data = bytearray(path.read_bytes())
    data[data.index(b"graphs/int8.onnx") + 200] ^= 1  # inside the graph
    path.write_bytes(data)
    with pytest.raises(BundleError):
        ev.load(path)
    with pytest.raises(BundleError, match="no such file"):
        ev.load(tmp_path / "missing.edge")


def test_bundles_load_from_memory(color_bundle):
    with ev.load(color_bundle().read_bytes()) as model:
        assert model.self_test().passed


def test_the_file_may_be_replaced_while_the_model_runs(color_bundle):
    path = color_bundle()
    with ev.load(path) as model:
        color_bundle(manifest={"name": "newer"})
        assert model.self_test().passed
        assert model.manifest.name == "color"


# ---- threads, tuned ----


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 3), (64, 3)])
def test_threads_default_to_what_was_measured_within_the_cores(color_bundle, monkeypatch, cores, expected):
    def change(manifest):
        (first, *rest) = manifest.variants
        latency = tuple(replace(first.latency[0], threads=t, batch=b) for t, b in ((1, 1), (3, 1), (8, 4)))
        return replace(manifest, variants=(replace(first, latency=latency), *rest))

    monkeypatch.setattr(model_module, "usable_cores", lambda: cores)
    with ev.load(color_bundle(manifest=change)) as model:
        assert model.threads == expected


def float_is_quickest(monkeypatch):
    """Tuning measures 5 ms for it, and 9 ms for everything else."""

    def measure(runs, rounds, warmup):
        return {name: Samples(np.array([(9 - 4 * ("float" in name)) * 1_000_000])) for name in runs}

    monkeypatch.setattr(tuning, "measure_interleaved", measure)


def test_the_tuned_choice_is_used_for_its_number_of_threads(color_bundle, monkeypatch):
    path = color_bundle()
    float_is_quickest(monkeypatch)
    tuning.tune(path, threads=2)
    for threads, expected in (
        (None, ("onnxruntime-float", 2)),
        (2, ("onnxruntime-float", 2)),
        (1, ("onnxruntime-int8", 1)),
    ):
        with ev.load(path, threads=threads) as model:
            assert (model.variant.id, model.threads) == expected
    with ev.load(path, variant="onnxruntime-int8") as model:
        assert model.variant.id == "onnxruntime-int8"


def test_tune_now_measures_and_uses_the_result(color_bundle, monkeypatch):
    float_is_quickest(monkeypatch)
    with ev.load(color_bundle(), tune="now", threads=1) as model:
        assert model.variant.id == "onnxruntime-float"
