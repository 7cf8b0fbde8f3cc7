"""A variant is tried in a child process before it is opened, and opened as it was asked for."""

from __future__ import annotations

import hashlib

import pytest

from edgevision.bundle.reader import open_bundle
from edgevision.engines.base import EngineOptions
from edgevision.errors import EngineError
from edgevision.runtime import engine_cache, opening

VARIANTS = (
    ("onnxruntime-int8", "onnxruntime", "int8"),
    ("onnxruntime-float", "onnxruntime", "float"),
    ("openvino-bf16", "openvino", "float", "bfloat16"),
    ("tensorrt-int8", "tensorrt", "int8"),
)


@pytest.fixture
def calls(monkeypatch):
    """What was asked of the trial and of the opening, in order. Nothing is opened."""
    made = []
    monkeypatch.setattr(opening, "try_in_child", lambda *given: made.append(("tried", *given)))
    monkeypatch.setattr(opening, "open_runner", lambda *given: made.append(("opened", *given)) or "runner")
    return made


@pytest.fixture
def bundle(color_bundle):
    with open_bundle(color_bundle(variants=VARIANTS)) as opened:
        yield opened


def variant_of(bundle, id):
    return next(variant for variant in bundle.manifest.variants if variant.id == id)


@pytest.mark.parametrize(
    ("id", "graph", "engine", "precision"),
    [
        ("onnxruntime-int8", "int8", "onnxruntime", "float32"),
        ("onnxruntime-float", "float", "onnxruntime", "float32"),
        ("openvino-bf16", "float", "openvino", "bfloat16"),
    ],
)
@pytest.mark.parametrize("cache", [False, True])
def test_a_child_tries_the_graph_as_it_is_opened_then(bundle, calls, id, graph, engine, precision, cache):
    variant, data = variant_of(bundle, id), bundle.read(f"graphs/{graph}.onnx")
    assert opening.open_variant(bundle, variant, 3, 5, 4, preprocess_on="cpu", cache=cache) == "runner"
    assert calls == [
        ("tried", data, hashlib.sha256(data).hexdigest(), engine, EngineOptions(3, precision, cache), 5),
        ("opened", data, bundle.manifest, variant, 3, 5, 4, "cpu", cache),
    ]


def test_what_the_child_died_of_is_said_of_the_variant_which_is_not_opened(bundle, calls, monkeypatch):
    def died(*given):
        raise EngineError("onnxruntime died of a segmentation fault")

    monkeypatch.setattr(opening, "try_in_child", died)
    with pytest.raises(EngineError, match=r"^variant 'onnxruntime-float': onnxruntime died of a segmentation fault$"):
        opening.open_variant(bundle, variant_of(bundle, "onnxruntime-float"), 1)
    assert calls == []


def test_tensorrt_is_not_tried_in_a_child(bundle, calls, monkeypatch):
    asked = []
    monkeypatch.setattr(
        engine_cache, "open_built_variant", lambda *given, **more: asked.append((*given, more)) or "built"
    )
    variant = variant_of(bundle, "tensorrt-int8")
    made = opening.open_variant(bundle, variant, 3, 5, 4, trust_engines=True, preprocess_on="cuda", cache=True)
    assert made == "built"
    assert asked == [(bundle, variant, 3, 5, 4, {"trust_engines": True, "preprocess_on": "cuda"})]
    assert calls == []


@pytest.mark.parametrize(
    ("variants", "installed", "expected"),
    [
        (VARIANTS, {"onnxruntime": "1", "tensorrt": "11"}, "a GPU"),
        (VARIANTS, {"onnxruntime": "1"}, None),  # nothing here would run there
        (VARIANTS, {"tensorrt-rtx": "1"}, None),  # another engine than the bundle's
        (VARIANTS[:2], {"onnxruntime": "1", "tensorrt": "11"}, None),  # no variant would run there
    ],
)
def test_the_gpu_counts_where_a_variant_would_run_there(color_bundle, monkeypatch, variants, installed, expected):
    monkeypatch.setattr(opening, "available_engines", lambda: installed)
    monkeypatch.setattr(engine_cache, "describe_gpu_here", lambda: "a GPU")
    with open_bundle(color_bundle(variants=variants)) as bundle:
        assert opening.describe_gpu(bundle) == expected
