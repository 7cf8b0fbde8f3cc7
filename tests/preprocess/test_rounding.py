"""Conventions against their originals: where pictures lie, and their pixels.

torchvision and Pillow are asked here; timm and Ultralytics were asked by tests/data/make_placements.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.preprocess import Filter, Fit, Preprocessor, PreprocessSpec, Rounding, make_plan, preset
from edgevision.preprocess.geometry import Placement, place
from edgevision.preprocess.reference import reference

DATA = Path(__file__).parents[1] / "data"


def table(name: str) -> list[list[str]]:
    """Rows of a file that make_placements.py wrote."""
    lines = (DATA / f"placements-{name}.csv").read_text().splitlines()[1:]
    assert len(lines) == 1000
    return [line.split(",") for line in lines]


def random_sizes(count: int, largest: int, seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [(int(h), int(w)) for h, w in rng.integers(1, largest, (count, 2))]


def check_plan(spec: PreprocessSpec, picture: tuple[int, int], expected: Placement) -> None:
    """The float64 reference and the kernels read the same placement."""
    assert place(spec, *picture) == expected, (spec, picture)
    assert make_plan(spec, *picture).placement == expected, (spec, picture)


@pytest.mark.parametrize(("package", "fit"), [("timm", Fit.CROP), ("ultralytics", Fit.LETTERBOX)])
def test_pictures_lie_where_the_package_put_them(package: str, fit: Fit) -> None:
    for height, width, ratio, *rest in table(package):
        picture_height, picture_width, *expected = (int(number) for number in rest)
        spec = PreprocessSpec(int(height), int(width), fit, crop_ratio=float(ratio), rounding=Rounding(package))
        check_plan(spec, (picture_height, picture_width), Placement(*expected))


def test_a_spec_that_does_not_say_it_means_what_it_meant() -> None:
    for fit, height, width, ratio, *rest in table("edgevision"):
        picture_height, picture_width, *expected = (int(number) for number in rest)
        data = PreprocessSpec(int(height), int(width), Fit(fit), crop_ratio=float(ratio)).to_dict()
        data.pop("rounding", None)
        check_plan(PreprocessSpec.from_dict(data), (picture_height, picture_width), Placement(*expected))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ((667, 1000), (256, 383, -16, -80)),  # 383.8 columns, cut; a margin of 79.5, to even
        ((1080, 1920), (256, 455, -16, -116)),  # a margin of 115.5
        ((480, 640), (256, 341, -16, -58)),  # 58.5
        ((640, 480), (341, 256, -58, -16)),
    ],
)
def test_imagenet_cuts_the_longer_side_and_rounds_the_margin(
    picture: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    check_plan(preset("imagenet"), picture, Placement(*expected))


@pytest.mark.requires("torch")
@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
def test_pictures_lie_where_torchvision_puts_them(weights: str) -> None:
    import torch
    from torchvision.models import ResNet50_Weights
    from torchvision.transforms import functional as tv

    recipe = ResNet50_Weights[weights].transforms()
    side = recipe.crop_size[0]
    spec = PreprocessSpec(
        side, side, Fit.CROP, Filter.TRIANGLE, crop_ratio=side / recipe.resize_size[0], rounding=Rounding.TORCHVISION
    )
    for picture in random_sizes(1000, 2200, seed=3):
        shape = tv.resize(torch.empty((1, *picture), device="meta"), recipe.resize_size, antialias=True).shape[1:]
        rows = torch.arange(shape[0])[None, :, None].expand(1, *shape)
        columns = torch.arange(shape[1])[None, None, :].expand(1, *shape)
        top, left = (int(tv.center_crop(indices, recipe.crop_size)[0, 0, 0]) for indices in (rows, columns))
        check_plan(spec, picture, Placement(*shape, -top, -left))


@pytest.mark.requires("pillow")
def test_pictures_lie_where_pillow_pads_them() -> None:
    from PIL import Image, ImageOps

    for index, (height, width) in enumerate(random_sizes(1000, 300, seed=4)):
        tensor_height, tensor_width = [(224, 224), (97, 160)][index % 2]
        if max(height / width / tensor_height * tensor_width, width / height / tensor_width * tensor_height) > 60:
            continue  # Pillow may round a side to nothing, and give a picture without it
        padded = ImageOps.pad(Image.new("L", (width, height), 255), (tensor_width, tensor_height))
        box = padded.getbbox()
        assert box is not None
        left, top, right, bottom = box
        spec = PreprocessSpec(tensor_height, tensor_width, Fit.LETTERBOX, rounding=Rounding.PILLOW)
        check_plan(spec, (height, width), Placement(bottom - top, right - left, top, left))


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.requires("torch")
@pytest.mark.parametrize(("weights", "seed"), [("IMAGENET1K_V1", 5), ("IMAGENET1K_V2", 8)])
def test_pixels_are_torchvisions(weights: str, seed: int) -> None:
    """In floats to 0.01 grey levels. Of uint8 pictures torchvision rounds each pass to whole levels, half a level each:
    at most 1 grey level, and a quarter on average."""
    import torch
    from torchvision.models import ResNet50_Weights

    recipe = ResNet50_Weights[weights].transforms()
    side = recipe.crop_size[0]
    spec = PreprocessSpec.from_dict(
        {**preset("imagenet", side, side).to_dict(), "crop_ratio": side / recipe.resize_size[0]}
    )
    prepare = Preprocessor(spec)
    std = 255 * np.array(recipe.std).reshape(3, 1, 1)
    for index, picture in enumerate(random_sizes(30, 800, seed)):
        image = noise(*picture, index)
        ours = prepare.run(image)
        rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
        in_floats = recipe(rgb.double() / 255).numpy()
        in_bytes = recipe(rgb).numpy()
        assert (np.abs(ours - in_floats) * std).max() < 0.01, picture
        assert (np.abs(ours - in_bytes) * std).max() <= 1.0, picture
        assert (np.abs(ours - in_bytes) * std).mean() < 0.3, picture
        if index < 3:
            np.testing.assert_allclose(reference(spec, Frame.from_array(image)), in_floats, atol=1e-4)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("fit", list(Fit))
def test_a_convention_is_for_the_fits_that_its_original_has(rounding: Rounding, fit: Fit) -> None:
    if fit not in rounding.fits:
        with pytest.raises(InputError, match=rf"rounding '{rounding.value}' goes with fit .*, got fit '{fit.value}'"):
            PreprocessSpec(8, 8, fit, rounding=rounding)
        return
    spec = PreprocessSpec(8, 8, fit, rounding=rounding)
    assert PreprocessSpec.from_dict(spec.to_dict()) == spec
    assert place(spec, 8, 8) == Placement(8, 8, 0, 0)


@pytest.mark.parametrize("rounding", [r for r in Rounding if Fit.CROP in r.fits])
def test_a_crop_covers_the_tensor(rounding: Rounding) -> None:
    rng = np.random.default_rng(6)
    for _ in range(2000):
        height, width, tensor_height, tensor_width = (int(v) for v in rng.integers(1, 3000, 4))
        ratio = float(rng.uniform(0.1, 1))
        at = place(
            PreprocessSpec(tensor_height, tensor_width, Fit.CROP, crop_ratio=ratio, rounding=rounding), height, width
        )
        assert at.top <= 0
        assert at.left <= 0
        assert at.top + at.height >= tensor_height
        assert at.left + at.width >= tensor_width


@pytest.mark.parametrize("rounding", [r for r in Rounding if Fit.LETTERBOX in r.fits])
def test_a_letterboxed_picture_lies_inside(rounding: Rounding) -> None:
    rng = np.random.default_rng(7)
    for _ in range(2000):
        height, width, tensor_height, tensor_width = (int(v) for v in rng.integers(1, 3000, 4))
        at = place(PreprocessSpec(tensor_height, tensor_width, Fit.LETTERBOX, rounding=rounding), height, width)
        assert 0 <= at.top <= at.top + at.height <= tensor_height
        assert 0 <= at.left <= at.left + at.width <= tensor_width
        assert min(at.height, at.width) >= 1
