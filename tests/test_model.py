"""predict, on a classifier whose answers are known by construction (see the fixture color_bundle)."""

from __future__ import annotations

import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from colors import NAMES, colors, plain, truth

import edgevision as ev
from edgevision.errors import (
    BundleError,
    EdgeVisionError,
    ImageError,
    InputError,
)
from edgevision.frames import ColorEncoding, PixelFormat


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(color_bundle):
    with ev.load(color_bundle()) as loaded:
        yield loaded


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


def test_digests_are_the_scores_of_all_classes(model):
    values = colors(11)
    digest = model.digest([plain(rgb) for rgb in values])
    assert list(digest) == ["scores"]
    assert digest["scores"].dtype == np.float32
    np.testing.assert_allclose(digest["scores"], 8 / 255 * np.array(values), atol=1e-4)
    got = model.task.probabilities(digest["scores"])
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [truth(rgb) for rgb in values], atol=1e-5)


@pytest.mark.parametrize("nothing", [[], ()])
def test_a_digest_of_nothing_is_refused(model, nothing):
    with pytest.raises(InputError, match="expected at least one picture, got none"):
        model.digest(nothing)


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
        return replace(manifest, variants=(replace(first, parameters={"temperature": 2.0, "threshold": 0.9}), *rest))

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
    for bad in (1.5, -0.1, float("nan"), "0.5", True):
        with pytest.raises(InputError, match="threshold is "):
            ev.load(path, threshold=bad)


def test_parameters_of_the_task_can_be_replaced(color_bundle):
    path = color_bundle()
    with ev.load(path, parameters={"top": 1, "temperature": 2.0}) as model:
        (best,) = model.predict(plain((160, 0, 0))).top
        assert best.score == pytest.approx(1 / (1 + 2 * np.exp(-4 * 160 / 255)), abs=1e-5)
        assert model.threshold == 0.5
    with ev.load(path, parameters={"threshold": 0.1}, threshold=0.9) as model:
        assert model.threshold == 0.9
    with pytest.raises(InputError, match=r"parameters temperature, threshold and top, got \['speed'\]"):
        ev.load(path, parameters={"speed": 1})


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (np.zeros((4, 4), np.uint8), InputError, "H×W×3 uint8"),
        (np.zeros((4, 4, 4), np.uint8), InputError, "H×W×3 uint8"),
        (np.zeros((4, 4, 3)), InputError, "float64"),
        (np.zeros((0, 4, 3), np.uint8), InputError, "no pixels"),
        (b"no picture", ImageError, "image: "),
        ("missing.jpg", ImageError, "missing.jpg"),
        (None, InputError, "got None; cv2.imread"),
        (3.5, InputError, "got float"),
    ],
)
def test_bad_pictures_are_refused_and_named_by_their_place(model, bad, kind, message):
    with pytest.raises(kind, match=message):
        model.predict(bad)
    with pytest.raises(kind, match=f"item 2: .*{message}"):
        model.predict([plain((0, 0, 0)), plain((1, 1, 1)), bad])
    assert model.predict(plain((255, 0, 0))).best.name == "red"  # nothing is left over


def test_closed_models_refuse(color_bundle):
    with ev.load(color_bundle()) as model:
        pass
    model.close()
    for use in (
        lambda: model.predict(plain((0, 0, 0))),
        lambda: model.predict([plain((0, 0, 0))]),
        lambda: model.predict([]),
        lambda: model.digest([plain((0, 0, 0))]),
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


# ---- the network's own numbers ----


def test_a_batch_gives_the_outputs_of_the_network(model):
    """``model.input`` says what it takes, and the task makes of the outputs what ``predict`` gives."""
    from edgevision.preprocess.preprocessor import Preprocessor
    from edgevision.runtime.preparation import PreparedItem

    chosen = colors(3)
    tensors = [Preprocessor(model.preprocess).run(plain(rgb)) for rgb in chosen]
    assert (model.input.dtype, model.input.shape) == ("float32", (None, *tensors[0].shape))
    batch = model.run_batch([ev.Frame.from_array(plain(chosen[0])), *(PreparedItem(one) for one in tensors[1:])])
    (output,) = model.outputs
    assert batch.outputs[output.name].shape == (3, *output.shape[1:])
    found = model.task.decode(batch.outputs, batch.views, batch.timing)
    expected = model.predict([plain(rgb) for rgb in chosen])
    assert [one.best.name for one in found] == [one.best.name for one in expected]
    np.testing.assert_allclose([one.best.score for one in found], [one.best.score for one in expected], atol=1e-6)


def test_a_batch_has_its_limits(model):
    frame = ev.Frame.from_array(plain((1, 2, 3)))
    for count in (0, model.max_batch + 1):
        with pytest.raises(InputError, match="items"):
            model.run_batch([frame] * count)
    model.close()
    with pytest.raises(EdgeVisionError, match="closed"):
        model.run_batch([frame])


@pytest.mark.parametrize(("max_batch", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_warming_up_runs_every_size_of_batch(color_bundle, monkeypatch, max_batch, sizes):
    with ev.load(color_bundle(), max_batch=max_batch) as model:
        ran = []
        run = model._runner.engine.run
        monkeypatch.setattr(model._runner.engine, "run", lambda slot, count: (ran.append(count), run(slot, count)))
        model.warm_up()
        assert ran == sizes


@pytest.mark.requires("openvino")
def test_after_warming_up_nothing_is_compiled_any_more(color_bundle, monkeypatch):
    bundle = color_bundle(variants=(("openvino-float", "openvino", "float"),))
    with ev.load(bundle) as model:
        model.warm_up()
        monkeypatch.setattr(model._runner.engine, "_from_graph", lambda batch: pytest.fail(f"compiled for {batch}"))
        monkeypatch.setattr(model._runner.engine, "_from_cache", lambda batch: pytest.fail(f"read for {batch}"))
        for count in range(1, 9):
            assert len(model.predict([plain((255, 0, 0))] * count)) == count
