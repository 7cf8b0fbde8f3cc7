from __future__ import annotations

import json
import math
from typing import Any

import pytest

from edgevision.errors import InputError
from edgevision.preprocess import ColorOrder, Filter, Fit, Layout, PreprocessSpec, TensorDtype, preset

GOOD: dict[str, Any] = {"height": 224, "width": 224, "mean": [0, 0, 0], "std": [255, 255, 255]}


@pytest.mark.parametrize("name", ["imagenet", "lite"])
def test_presets_survive_json(name: str) -> None:
    spec = preset(name, 260, 240)
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.tensor_shape == (3, 260, 240)


def test_every_option_survives_json() -> None:
    for fit in Fit:
        for filter in Filter:
            for color in ColorOrder:
                for layout in Layout:
                    for dtype in TensorDtype:
                        n = color.channels
                        spec = PreprocessSpec(
                            3, 5, fit, filter, color, (1.5,) * n, (2.0,) * n, 7.0,
                            0.5 if fit is Fit.CROP else 1.0, layout, dtype,
                        )  # fmt: skip
                        assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
                        assert spec.tensor_shape == ((n, 3, 5) if layout is Layout.NCHW else (3, 5, n))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height"),
        ({"width": 100_000}, "width"),
        ({"height": 224.0}, "height"),
        ({"height": True}, "height"),
        ({"mean": [0, 0]}, "mean"),
        ({"mean": 0}, "mean"),
        ({"mean": [0, 0, "0"]}, "mean"),
        ({"mean": [0, 0, math.inf]}, "mean"),
        ({"std": [1, 1, 0]}, "std"),
        ({"color": "gray"}, "mean"),
        ({"fit": "squash"}, "stretch"),
        ({"filter": None}, "bilinear"),
        ({"pad_value": 300}, "pad_value"),
        ({"pad_value": "114"}, "pad_value"),
        ({"crop_ratio": 0.875}, "crop"),
        ({"fit": "crop", "crop_ratio": 2}, "crop_ratio"),
        ({"interpolation": 2}, "interpolation.*newer EdgeVision.*pip install --upgrade"),
        ({"rounding": "keras"}, "torchvision.*got 'keras'; if a newer EdgeVision wrote it.*pip install --upgrade"),
        ({"fit": "letterbox", "rounding": "torchvision"}, "goes with fit"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PreprocessSpec.from_dict(GOOD | change)


@pytest.mark.parametrize("missing", ["height", "width", "mean", "std"])
def test_nothing_that_matters_is_guessed(missing: str) -> None:
    with pytest.raises(InputError, match="never guessed"):
        PreprocessSpec.from_dict({key: value for key, value in GOOD.items() if key != missing})


@pytest.mark.parametrize("data", [None, [], "imagenet", 3])
def test_a_spec_is_an_object(data: object) -> None:
    with pytest.raises(InputError, match="JSON object"):
        PreprocessSpec.from_dict(data)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(InputError, match="imagenet"):
        preset("imagnet")
