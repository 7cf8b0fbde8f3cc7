"""Task specs as plain values, and views: from the tensor's pixels to the frame's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.preprocess import Filter, Fit, Preprocessor, PreprocessSpec, Rounding
from edgevision.preprocess.geometry import Placement, Region
from edgevision.runtime.preparation import view_of
from edgevision.tasks import FrameId, Label, OutputRole, TaskSpec, View
from edgevision.tasks.base import number

SPEC = TaskSpec(
    "detect",
    (Label(7, "Äpfel"), Label(-3, "milk 1 l")),
    (OutputRole("boxes", "out:0", "xyxy"), OutputRole("scores", "out:1", "logits")),
    {"threshold": 0.5, "anchors": [[1, 2], [3, 4.5]], "per_class": {"a": True, "b": None}},
)


@pytest.mark.parametrize("spec", [SPEC, TaskSpec("count", (), ()), TaskSpec("classify", SPEC.labels, SPEC.outputs[:1])])
def test_specs_come_back_from_json(spec):
    assert TaskSpec.from_dict(spec.to_dict()) == spec
    back = TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert back == spec
    assert isinstance(back.labels, tuple)
    assert isinstance(back.outputs, tuple)
    assert back.to_dict() == spec.to_dict()


def test_what_is_read_is_a_copy():
    data = SPEC.to_dict()
    spec = TaskSpec.from_dict(data)
    data["parameters"]["threshold"] = 0.9
    data["labels"].clear() if isinstance(data["labels"], list) else None
    assert spec == SPEC


def changed(path, value):
    data = json.loads(json.dumps(SPEC.to_dict()))
    *parents, last = path
    inner = data
    for step in parents:
        inner = inner[step]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "has the keys kind, labels, outputs and parameters, got NoneType"),
        ([], "got list"),
        ("detect", "got str"),
        ({}, r"got \[\]"),
        *(
            (changed([key], KeyError), "has the keys kind, labels, outputs and parameters, got")
            for key in SPEC.to_dict()
        ),
        (changed(["speed"], 1), "has the keys .* got .*'speed'"),
        (changed(["kind"], ""), "the kind of a task is a word.*got ''"),
        (changed(["kind"], 3), "the kind of a task is a word.*got 3"),
        (changed(["kind"], None), "the kind of a task is a word.*got None"),
        (changed(["parameters"], []), "parameters of a task are an object"),
        (changed(["parameters"], None), "parameters of a task are an object"),
        ({**SPEC.to_dict(), "parameters": {1: 2}}, "parameters of a task are an object"),
        (changed(["labels"], {}), "the labels of a task are a list, got dict"),
        (changed(["labels"], "ab"), "the labels of a task are a list, got str"),
        (changed(["labels", 0], [7, "a"]), r"a label of a task has the keys \['id', 'name'\], got \[7, 'a'\]"),
        (changed(["labels", 0], None), "a label of a task has the keys"),
        (changed(["labels", 0, "id"], KeyError), "a label of a task has the keys"),
        (changed(["labels", 0, "color"], "red"), "a label of a task has the keys"),
        (changed(["labels", 0, "id"], "7"), "a label of a task has as id a int, got '7'"),
        (changed(["labels", 0, "id"], 7.0), "a label of a task has as id a int, got 7.0"),
        (changed(["labels", 0, "id"], True), "a label of a task has as id a int, got True"),
        (changed(["labels", 0, "name"], 7), "a label of a task has as name a str, got 7"),
        (changed(["labels", 0, "id"], -3), "labels have different ids; got 2 labels"),
        (changed(["outputs"], None), "the outputs of a task are a list, got NoneType"),
        (changed(["outputs", 1], "out"), "an output of a task has the keys"),
        (changed(["outputs", 1, "role"], KeyError), "an output of a task has the keys"),
        (changed(["outputs", 1, "layout"], None), "an output of a task has as layout a str, got None"),
        (changed(["outputs", 1, "name"], 0), "an output of a task has as name a str, got 0"),
    ],
)
def test_anything_else_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        TaskSpec.from_dict(data)


def test_outputs_are_found_by_their_role():
    assert SPEC.output("scores") == SPEC.outputs[1]
    with pytest.raises(InputError, match=r"role 'masks' of a model that can detect, got \['boxes', 'scores'\]"):
        SPEC.output("masks")


def test_parameters_of_a_variant_replace_those_of_the_same_name():
    fitted = SPEC.with_parameters({"threshold": 0.25, "temperature": 2.0})
    assert fitted.parameters == {**SPEC.parameters, "threshold": 0.25, "temperature": 2.0}
    assert (fitted.kind, fitted.labels, fitted.outputs) == (SPEC.kind, SPEC.labels, SPEC.outputs)
    assert SPEC.parameters["threshold"] == 0.5
    assert SPEC.with_parameters({}) == SPEC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "t is a finite number, got nan"),
        (float("inf"), "t is a finite number"),
        ("0.5", "t is a finite number, got '0.5'"),
        (True, "t is a finite number, got True"),
        (None, "t is a finite number, got None"),
        ([0.5], "t is a finite number"),
        (-0.01, "t is within 0…1, got -0.01"),
        (1.01, "t is within 0…1"),
        (10**400, "t is within 0…1"),
    ],
)
def test_a_parameter_is_a_number_in_its_bounds(value, message):
    with pytest.raises(InputError, match=message):
        number({"t": value}, "t", 0.5, 0.0, 1.0)


def test_a_parameter_has_a_default_and_is_a_float():
    assert number({}, "t", 0.25, 0.0, 1.0) == 0.25
    assert type(number({"t": 1}, "t", 0.25, 0.0, 1.0)) is float
    assert number({"t": 0}, "t", 0.25, 0.0, 1.0) == 0.0


# ---- views ----

FRAMES = [(1080, 1920), (480, 640), (123, 77), (64, 64)]


def ends(spec, height, width):
    """Scale, and where the picture begins in the tensor, in float64 from the definition of each fit; no rounding."""
    ratios = spec.height / height, spec.width / width
    if spec.fit is Fit.STRETCH:
        return ratios, (0.0, 0.0)
    scale = min(ratios) if spec.fit is Fit.LETTERBOX else max(ratios) / spec.crop_ratio
    return (scale, scale), ((spec.height - scale * height) / 2, (spec.width - scale * width) / 2)


@pytest.mark.parametrize("region", [None, (0.25, 0.5, 0.5, 0.375)], ids=["frame", "region"])
@pytest.mark.parametrize("size", FRAMES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(640, 640, Fit.LETTERBOX),
        PreprocessSpec(256, 416, Fit.LETTERBOX),
        PreprocessSpec(192, 320, Fit.STRETCH),
        PreprocessSpec(224, 224, Fit.CROP, crop_ratio=0.875),
        PreprocessSpec(320, 192, Fit.CROP),
        PreprocessSpec(224, 224, Fit.CROP, crop_ratio=0.875, rounding=Rounding.TORCHVISION),
        PreprocessSpec(224, 224, Fit.CROP, crop_ratio=0.875, rounding=Rounding.TIMM),
        PreprocessSpec(97, 160, Fit.LETTERBOX, rounding=Rounding.PILLOW),
    ],
    ids=lambda spec: f"{spec.fit.value}-{spec.height}x{spec.width}",
)  # fmt: skip
def test_points_come_back_to_where_they_were_in_the_frame(spec, size, region):
    """Against the fit's definition in float64. Sides are rounded to whole pixels, which moves points by no more than one
    pixel of the tensor."""
    height, width = size
    area = region and Region(*(round(part * side) for part, side in zip(region, (width, height) * 2, strict=True)))
    frame = Frame.from_array(np.zeros((height, width, 3), np.uint8), camera="till", sequence=9)
    view = view_of(frame, Preprocessor(spec).plan(frame, area))
    x0, y0, w, h = area or (0, 0, width, height)
    (scale_y, scale_x), (top, left) = ends(spec, h, w)

    inside = np.random.default_rng(0).uniform(0, 1, (50, 2)) * (w, h)  # of the region
    in_tensor = inside * (scale_x, scale_y) + (left, top)
    back = view.to_frame(in_tensor)
    assert back.shape == (50, 2)
    assert back.dtype == np.float64
    assert (np.abs(back - (inside + np.array([x0, y0]))) * (scale_x, scale_y)).max() <= 1.0 + 1e-9

    np.testing.assert_allclose(view.to_tensor(back), in_tensor, atol=1e-9)
    assert (view.tensor_height, view.tensor_width) == (spec.height, spec.width)

    # Exactly, where the rounded sides are known: its corners are the region's.
    place = view.placement
    corners = [(place.left, place.top), (place.left + place.width, place.top + place.height)]
    np.testing.assert_allclose(view.to_frame(corners), [(x0, y0), (x0 + w, y0 + h)], atol=1e-9)
    assert (view.height, view.width, view.region) == (height, width, Region(x0, y0, w, h))
    assert view.frame == FrameId("till", 9, None)


@pytest.mark.parametrize("fit", Fit)
def test_a_bright_square_is_found_where_it_is(fit):
    """Pixels, not formulas: what lies where in the tensor, and where that is in the frame."""
    spec = PreprocessSpec(96, 128, fit, Filter.TRIANGLE, crop_ratio=1.0, mean=(0.0,) * 3, std=(255.0,) * 3, pad_value=0)
    image = np.zeros((300, 500, 3), np.uint8)
    image[140:180, 220:290] = 255
    frame = Frame.from_array(image)
    prepare = Preprocessor(spec)
    for region in (None, (120, 90, 300, 150)):
        tensor = prepare.run(frame, region=region)[0].astype(np.float64)
        view = view_of(frame, prepare.plan(frame, region))
        ys, xs = np.mgrid[: spec.height, : spec.width] + 0.5
        middle = np.array([(tensor * xs).sum(), (tensor * ys).sum()]) / tensor.sum()
        np.testing.assert_allclose(view.to_frame(middle), (255, 160), atol=0.5)


def test_any_array_of_points_keeps_its_axes():
    view = View(FrameId(), 1080, 1920, Region(100, 50, 960, 540), Placement(360, 640, 140, 0), 640, 640)
    points = np.random.default_rng(1).uniform(0, 640, (2, 3, 4, 2))
    got = view.to_frame(points.astype(np.float32))
    assert got.shape == points.shape
    expected = (points - (0, 140)) * 1.5 + (100, 50)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert view.to_frame(np.empty((0, 2))).shape == (0, 2)
    np.testing.assert_array_equal(view.to_frame([[0, 140]]), [[100, 50]])


def test_points_in_the_padding_lie_outside_the_region():
    view = View(FrameId(), 1080, 1920, Region(0, 0, 1920, 1080), Placement(360, 640, 140, 0), 640, 640)
    assert view.to_frame([320, 100])[1] < 0
    assert view.to_frame([320, 600])[1] > 1080
