"""load: which variant, with how many threads, and what it says of the proof."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from colors import NAMES, colors, plain, truth

import edgevision as ev
from edgevision import engines, loading
from edgevision.engines.guard import TIMEOUT_VARIABLE
from edgevision.engines.host import HostEngine
from edgevision.errors import (
    DeviceWarning,
    EngineError,
    InputError,
    MissingExtraError,
    SelfTestError,
    UnprovenWarning,
)
from edgevision.latency import Samples
from edgevision.preprocess.spec import ColorOrder
from edgevision.runtime import tuning


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


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
        ({"preprocess_on": "gpu"}, "preprocess_on is 'cpu' or 'cuda', got 'gpu'"),
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


@pytest.fixture
def hanging(monkeypatch):
    """An engine whose first run ends only when the test does. The event is set when it has begun."""
    begun, end, run = threading.Event(), threading.Event(), HostEngine.run

    def wait(*arguments, **named):
        begun.set()
        end.wait(60)
        return run(*arguments, **named)

    monkeypatch.setattr(HostEngine, "run", wait)
    yield begun
    end.set()


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("hanging")
def test_golden_frames_that_hang_are_not_waited_for(color_bundle, monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.2")
    with pytest.raises(EngineError, match=rf"has not run the golden frames after 0\.2 s.*{TIMEOUT_VARIABLE}"):
        ev.load(color_bundle(), threads=1)


@pytest.mark.timeout(120)
def test_ctrl_c_ends_the_waiting_for_golden_frames(color_bundle, hanging):
    def press():
        hanging.wait(60)
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ev.load(color_bundle(), threads=1)
    thread.join()
    assert any(t.name.startswith("edgevision-open-") for t in threading.enumerate())  # it was not the run that ended


def test_swapped_colours_fail_the_self_test(color_bundle):
    def swap(manifest):
        return replace(manifest, preprocess=replace(manifest.preprocess, color=ColorOrder.BGR))

    with pytest.raises(SelfTestError):
        ev.load(color_bundle(manifest=swap))


OV_FIRST = (("openvino-int8", "openvino", "int8"), ("onnxruntime-float", "onnxruntime", "float"))


def test_an_engine_that_is_not_installed_is_passed_over_with_its_extra(color_bundle, monkeypatch):
    path = color_bundle(variants=OV_FIRST)
    monkeypatch.setattr(engines, "available_engines", lambda: {"onnxruntime": "1.0"})
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
            model.task.probabilities(model.digest([plain(v) for v in values])["scores"]),
            [truth(v) for v in values],
            atol=1e-5,
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


def test_engines_of_the_cpu_take_no_frames_prepared_with_cuda(color_bundle):
    path = color_bundle()
    for options in ({"variant": "onnxruntime-int8"}, {}):
        with pytest.raises(EngineError, match="leave preprocess_on at 'cpu', or take a TensorRT variant"):
            ev.load(path, preprocess_on="cuda", **options)


def test_a_task_that_nobody_here_brings_is_named(color_bundle):
    path = color_bundle(manifest=lambda m: replace(m, task=replace(m.task, kind="juggle")))
    with pytest.raises(InputError, match=r"knows the task 'juggle'; known are classify.*Install the package"):
        ev.load(path)


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


def test_a_variant_that_was_not_validated_says_so(color_bundle):
    def unvalidated(manifest):
        (first, second) = manifest.variants
        return replace(manifest, variants=(first, replace(second, metric=None)))

    path = color_bundle(manifest=unvalidated)
    with pytest.warns(
        DeviceWarning, match="validation photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'"
    ):
        ev.load(path, variant="onnxruntime-float").close()


def validated_apart(manifest):
    # The chosen variant is proven; the second was a finalist that stays within the budget, but not surely.
    (first, second) = manifest.variants
    own = replace(manifest.verdict, interval=(-0.1, 0.9), proven=False, note="40 validation photos are too few")
    return replace(manifest, variants=(replace(first, verdict=manifest.verdict), replace(second, verdict=own)))


def test_each_variant_answers_for_itself(color_bundle):
    path = color_bundle(manifest=validated_apart)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev.load(path, variant="onnxruntime-int8").close()
    with pytest.warns(
        UnprovenWarning, match="'color' in 'onnxruntime-float' is not proven: 40 validation photos are too few"
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


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 3), (64, 3)])
def test_threads_default_to_what_was_measured_within_the_cores(color_bundle, monkeypatch, cores, expected):
    def change(manifest):
        (first, *rest) = manifest.variants
        latency = tuple(replace(first.latency[0], threads=t, batch=b) for t, b in ((1, 1), (3, 1), (8, 4)))
        return replace(manifest, variants=(replace(first, latency=latency), *rest))

    monkeypatch.setattr(loading, "usable_cores", lambda: cores)
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
