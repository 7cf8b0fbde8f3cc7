"""Augmentation for photos of products: what a shop does to a picture, drawn at random. NumPy and OpenCV only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray
from edgevision.preprocess import ColorOrder, Filter, Layout, PreprocessSpec, TensorDtype, make_plan


@dataclass(frozen=True)
class Appearance:
    """How much the look of a picture may change, whatever it shows and wherever that is.

    ``brightness``, ``contrast``, ``saturation`` and ``white_balance`` (a gain for each channel) are relative: 0.3 = a factor
    within 0.7…1.3. ``blur``, ``jpeg``, ``erase`` are probabilities.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    white_balance: float = 0.075
    blur: float = 0.1
    jpeg: float = 0.1
    erase: float = 0.25

    def __post_init__(self) -> None:
        check_probabilities(self, ("blur", "jpeg", "erase"))
        for name in ("brightness", "contrast", "saturation", "white_balance"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is a relative change, 0…1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Augmentation(Appearance):
    """How much a photo may change; the default is for hand-held and kiosk cameras.

    ``min_area``: least share of the picture that a crop keeps; ``max_aspect``: most that it is stretched either way.
    ``flip`` and ``rotate`` are probabilities.
    """

    min_area: float = 0.35
    max_aspect: float = 4 / 3
    flip: float = 0.5
    rotate: float = 0.5
    rotate_degrees: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.min_area <= 1 or not 1 <= self.max_aspect <= 4:
            raise InputError(
                f"min_area is within 0…1 and max_aspect within 1…4, got {self.min_area} and {self.max_aspect}"
            )
        check_probabilities(self, ("flip", "rotate"))


def check_probabilities(options: Appearance, names: Iterable[str]) -> None:
    """Raise InputError unless these options are within 0…1."""
    for name in names:
        if not 0 <= getattr(options, name) <= 1:
            raise InputError(f"{name} is a probability, 0…1, got {getattr(options, name)}")


def augment(
    image: ImageArray, size: int, options: Augmentation, random: np.random.Generator, *, antialias: bool = False
) -> ImageArray:
    """A random ``size``×``size``×3 uint8 version of ``image`` (H×W×3 uint8, any channel order).

    ``antialias``: for models whose preprocess spec has the antialiased filter; else bilinear, as at run time.
    The same generator state gives the same picture.
    """
    picture = _crop(image, size, options, random, antialias)
    if random.random() < options.flip:
        picture = picture[:, ::-1]
    return change_appearance(picture, options, random)


def change_appearance(picture: ImageArray, options: Appearance, random: np.random.Generator) -> ImageArray:
    """Light, focus, compression, something in front: a picture H×W×3 uint8 of the same size, everything in its place."""
    picture = _relight(np.ascontiguousarray(picture), options, random)
    if random.random() < options.blur:
        picture = _blur(picture, random)
    if random.random() < options.jpeg:
        picture = _compress(picture, random)
    if random.random() < options.erase:
        _erase(picture, random)
    return picture


def crop_box(height: int, width: int, options: Augmentation, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height, width of a random crop: uniform share of the area, log-uniform aspect (Szegedy et al. 2015).

    Shapes that do not fit are drawn anew; after ten, the whole picture is taken.
    """
    log_aspect = math.log(options.max_aspect)
    for _ in range(10):
        area = random.uniform(options.min_area, 1.0) * height * width
        aspect = math.exp(random.uniform(-log_aspect, log_aspect))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(random.integers(height - h + 1)), int(random.integers(width - w + 1)), h, w
    return 0, 0, height, width


def _crop(
    image: ImageArray, size: int, options: Augmentation, random: np.random.Generator, antialias: bool
) -> ImageArray:
    import cv2

    top, left, height, width = crop_box(image.shape[0], image.shape[1], options, random)
    if random.random() >= options.rotate:
        return _resize(image, (left, top, width, height), size, Filter.TRIANGLE if antialias else Filter.BILINEAR)
    if antialias and min(height, width) > size:  # the rotation below reads 2×2 pixels only
        image = _resize(image, (left, top, width, height), size, Filter.TRIANGLE)
        height = width = size
    else:
        image = image[top : top + height, left : left + width]
    angle = random.uniform(-options.rotate_degrees, options.rotate_degrees)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    to_size = np.diag([size / width, size / height]) @ turn
    # warpAffine maps pixel centres at whole numbers; the matrix above is for centres at halves.
    to_size[:, 2] += 0.5 * to_size[:, :2].sum(1) - 0.5
    turned = cv2.warpAffine(image, to_size, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _resize(image: ImageArray, region: tuple[int, int, int, int], size: int, filter: Filter) -> ImageArray:
    """The region as ``size``×``size``×3 uint8, by the kernels that prepare frames at run time."""
    spec = PreprocessSpec(
        size, size, filter=filter, color=ColorOrder.BGR, mean=(0.0,) * 3, std=(1.0,) * 3, layout=Layout.NHWC,
        dtype=TensorDtype.UINT8,
    )  # fmt: skip
    out = np.empty((size, size, 3), np.uint8)
    make_plan(spec, image.shape[0], image.shape[1], region=region).run(Frame.from_array(image), out)
    return out


def _relight(image: ImageArray, options: Appearance, random: np.random.Generator) -> ImageArray:
    """Brightness, white balance, contrast about the mean, saturation about grey: together one affine map of a pixel."""
    import cv2

    mean = np.array(cv2.sumElems(image)[:3]) / (image.shape[0] * image.shape[1])  # 80 times as quick as NumPy's mean
    matrix = relight_matrix(mean, options, random)
    if np.array_equal(matrix, np.eye(3, 4)):
        return image
    return np.asarray(cv2.transform(image, matrix), np.uint8)


def relight_matrix(
    mean: npt.NDArray[np.float64], options: Appearance, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The 3×4 matrix [M|b] of ``y = M·x + b`` for a picture whose channels have the means ``mean``.

    With gains g, contrast c about the mean m of the brightened picture, and saturation s about the channels' average:
    y = S·(c·g·x + (1-c)·m) where S = s·I + (1-s)/3·J; S leaves grey as it is, so b = (1-c)·m.
    """

    def factor(change: float) -> float:
        return float(random.uniform(1 - change, 1 + change))

    gains = factor(options.brightness) * random.uniform(1 - options.white_balance, 1 + options.white_balance, 3)
    contrast, saturation = factor(options.contrast), factor(options.saturation)
    saturate = saturation * np.eye(3) + (1 - saturation) / 3
    offset = (1 - contrast) * float((gains * mean).mean())
    return np.hstack([contrast * saturate * gains, np.full((3, 1), offset)])


def _blur(image: ImageArray, random: np.random.Generator) -> ImageArray:
    """Out of focus, or moving: a Gaussian, wide or square, of up to 1 % of the picture's side."""
    import cv2

    widest = max(0.6, 0.01 * image.shape[0])
    along, across = random.uniform(0.3, widest), random.uniform(0.3, widest)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=along, sigmaY=across), np.uint8)


def _compress(image: ImageArray, random: np.random.Generator) -> ImageArray:
    """The artefacts of a JPEG of quality 30…90."""
    import cv2

    quality = int(random.integers(30, 91))
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _erase(image: ImageArray, random: np.random.Generator) -> None:
    """A hand or a price tag in front: a rectangle of one colour, 15…40 % of each side (Zhong et al. 2017)."""
    height, width = image.shape[:2]
    h, w = (max(1, int(n * random.uniform(0.15, 0.4))) for n in (height, width))
    top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    image[top : top + h, left : left + w] = random.integers(0, 256, 3)
