"""The preprocess spec: how a frame becomes the model's input tensor.

A value, stored in checkpoint and bundle, the same for training, calibration and run time. Nobody re-types it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from edgevision.errors import InputError


class Fit(Enum):
    """``STRETCH`` to the target; ``LETTERBOX`` = whole picture, padded; ``CROP`` = shorter side resized, centre crop."""

    STRETCH = "stretch"
    LETTERBOX = "letterbox"
    CROP = "crop"


class Filter(Enum):
    """``BILINEAR`` = 2×2 taps as OpenCV; ``TRIANGLE`` = antialiased when shrinking, as torchvision and Pillow."""

    BILINEAR = "bilinear"
    TRIANGLE = "triangle"


class Rounding(Enum):
    """Which library's rounding gives the resized picture's sides and offsets. ``geometry`` has each formula and its source.

    ``EDGEVISION``: sides rounded, offsets rounded down. The default, also of every file that does not name one.
    ``TORCHVISION``: ``Resize(int)`` and ``CenterCrop``. ``TIMM``: ``create_transform`` with ``crop_mode="center"``.
    ``PILLOW``: ``ImageOps.pad``. ``ULTRALYTICS``: ``LetterBox``.
    """

    EDGEVISION = "edgevision"
    TORCHVISION = "torchvision"
    TIMM = "timm"
    PILLOW = "pillow"
    ULTRALYTICS = "ultralytics"

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fits that it says something of. Of ``STRETCH`` all say the same: nothing is left to round."""
        return _FITS[self]


_FITS = {
    Rounding.EDGEVISION: (Fit.STRETCH, Fit.LETTERBOX, Fit.CROP),
    Rounding.TORCHVISION: (Fit.STRETCH, Fit.CROP),
    Rounding.TIMM: (Fit.STRETCH, Fit.CROP),
    Rounding.PILLOW: (Fit.STRETCH, Fit.LETTERBOX),
    Rounding.ULTRALYTICS: (Fit.STRETCH, Fit.LETTERBOX),
}


class ColorOrder(Enum):
    """Channel order of the tensor. ``GRAY`` = BT.601 luma of the RGB samples, one channel."""

    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"

    @property
    def channels(self) -> int:
        """Channels of the tensor."""
        return 1 if self is ColorOrder.GRAY else 3


class Layout(Enum):
    """Order of the tensor's axes: N items, C channels, H rows, W columns."""

    NCHW = "nchw"
    NHWC = "nhwc"


class TensorDtype(Enum):
    """Element type of the tensor. Integers: round half to even, then saturate."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    UINT8 = "uint8"
    INT8 = "int8"


@dataclass(frozen=True)
class PreprocessSpec:
    """How a frame becomes a tensor of ``height``×``width`` pixels.

    ``mean``, ``std`` and ``pad_value`` are in pixel units (0…255), one mean and std for each channel of ``color``, in
    its order: ``value = (pixel - mean) / std``. ``crop_ratio`` (fit ``crop`` only) is the share of the resized picture
    that the centre crop keeps along the tighter side: 0.875 is "resize 256, crop 224". ``rounding`` says which
    library's rounding sides and offsets follow.
    """

    height: int
    width: int
    fit: Fit = Fit.STRETCH
    filter: Filter = Filter.BILINEAR
    color: ColorOrder = ColorOrder.RGB
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (255.0, 255.0, 255.0)
    pad_value: float = 114.0
    crop_ratio: float = 1.0
    layout: Layout = Layout.NCHW
    dtype: TensorDtype = TensorDtype.FLOAT32
    rounding: Rounding = Rounding.EDGEVISION  # the default can never change: old files do not name it

    def __post_init__(self) -> None:
        for name, kind in _ENUMS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"preprocess {name} is a {kind.__name__}, got {getattr(self, name)!r}; from_dict reads plain words"
                )
        for name in ("mean", "std"):
            if not isinstance(getattr(self, name), tuple) or not all(_is_number(v) for v in getattr(self, name)):
                raise InputError(f"preprocess {name} is a tuple of numbers, got {getattr(self, name)!r}")
        for name in ("pad_value", "crop_ratio"):
            if not _is_number(getattr(self, name)):
                raise InputError(f"preprocess {name} is a number, got {getattr(self, name)!r}")
        for name in ("height", "width"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE_PX:
                raise InputError(f"preprocess {name} is a whole number of pixels, 1…{MAX_SIDE_PX}, got {value!r}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != self.color.channels or not all(math.isfinite(v) for v in values):
                raise InputError(
                    f"preprocess {name} has {self.color.channels} finite numbers in pixel units (0…255) for color "
                    f"'{self.color.value}', got {list(values)}"
                )
        if any(v <= 0 for v in self.std):
            raise InputError(f"preprocess std is greater than 0, got {list(self.std)}")
        if not 0 <= self.pad_value <= 255:
            raise InputError(f"preprocess pad_value is in pixel units, 0…255, got {self.pad_value}")
        if not 0.1 <= self.crop_ratio <= 1:
            raise InputError(f"preprocess crop_ratio is within 0.1…1, got {self.crop_ratio}")
        if self.crop_ratio != 1 and self.fit is not Fit.CROP:
            raise InputError(f"preprocess crop_ratio belongs to fit 'crop', got fit '{self.fit.value}'")
        if self.fit not in self.rounding.fits:
            raise InputError(
                f"preprocess rounding '{self.rounding.value}' goes with fit {[fit.value for fit in self.rounding.fits]}, "
                f"got fit '{self.fit.value}'"
            )

    @property
    def tensor_shape(self) -> tuple[int, int, int]:
        """Shape of one item without the batch axis."""
        channels = self.color.channels
        if self.layout is Layout.NCHW:
            return (channels, self.height, self.width)
        return (self.height, self.width, channels)

    def quantized(self, scale: float, zero_point: int = 0, dtype: TensorDtype = TensorDtype.INT8) -> PreprocessSpec:
        """The spec of a graph whose input is integers: ``round(value / scale) + zero_point`` of this spec's values.

        Folded into mean and std, so that a frame is rounded once. Raises InputError unless ``scale`` is greater than 0.

        >>> PreprocessSpec(8, 8, mean=(127.0,) * 3, std=(128.0,) * 3).quantized(1 / 128).std
        (1.0, 1.0, 1.0)
        """
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f"a quantization scale is a finite number greater than 0, got {scale}")
        std = tuple(s * scale for s in self.std)
        mean = tuple(m - zero_point * s for m, s in zip(self.mean, std, strict=True))
        return replace(self, mean=mean, std=std, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``from_dict`` gives the spec back."""
        return {k: v.value if isinstance(v, Enum) else list(v) if isinstance(v, tuple) else v
                for k, v in asdict(self).items()}  # fmt: skip

    @classmethod
    def from_dict(cls, data: object) -> PreprocessSpec:
        """Read what ``to_dict`` or a user's JSON file gives. Unknown or missing keys and bad values: InputError."""
        if not isinstance(data, dict):
            raise InputError(f"a preprocess spec is a JSON object, got {type(data).__name__}")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise InputError(f"unknown preprocess keys {unknown}; the keys are {sorted(known)}{_OF_A_NEWER_VERSION}")
        if missing := sorted({"height", "width", "mean", "std"} - set(data)):
            raise InputError(f"preprocess keys {missing} are missing; they are never guessed")
        values = dict(data)
        for name, kind in _ENUMS.items():
            if name in values:
                try:
                    values[name] = kind(values[name])
                except ValueError:
                    raise InputError(
                        f"preprocess {name} is one of {[m.value for m in kind]}, got {values[name]!r}{_OF_A_NEWER_VERSION}"
                    ) from None
        for name in ("mean", "std"):
            if not isinstance(values[name], (list, tuple)) or not all(_is_number(v) for v in values[name]):
                raise InputError(f"preprocess {name} is a list of numbers, got {values[name]!r}")
            values[name] = tuple(float(v) for v in values[name])
        for name in ("pad_value", "crop_ratio"):
            if name in values:
                if not _is_number(values[name]):
                    raise InputError(f"preprocess {name} is a number, got {values[name]!r}")
                values[name] = float(values[name])
        return cls(**values)


MAX_SIDE_PX = 8192
_ENUMS: dict[str, type[Enum]] = {
    "fit": Fit, "filter": Filter, "color": ColorOrder, "layout": Layout, "dtype": TensorDtype, "rounding": Rounding,
}  # fmt: skip
_OF_A_NEWER_VERSION = "; if a newer EdgeVision wrote it, run: pip install --upgrade edgevision"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def preset(name: str, height: int = 224, width: int = 224) -> PreprocessSpec:
    """A spec by name: ``imagenet`` (torchvision classifiers), ``lite`` (EfficientNet-Lite of TensorFlow), or ``yolo`` (detectors of
    that family: letterboxed on grey, 0…1).

    Raises InputError for any other name.
    """
    if name == "imagenet":  # torchvision.transforms.v2 ImageClassification: resize 256 antialiased, crop 224
        return PreprocessSpec(
            height, width, Fit.CROP, Filter.TRIANGLE, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375),
            crop_ratio=0.875, rounding=Rounding.TORCHVISION,
        )  # fmt: skip
    if name == "lite":  # tensorflow/tpu efficientnet/lite: mean 127, std 128
        return PreprocessSpec(height, width, mean=(127.0,) * 3, std=(128.0,) * 3)
    if name == "yolo":
        return PreprocessSpec(height, width, Fit.LETTERBOX, mean=(0.0,) * 3, std=(255.0,) * 3, pad_value=114.0)
    raise InputError(f"preprocess presets are {list(PRESETS)}, got {name!r}; or give a JSON file")


PRESETS = ("imagenet", "lite", "yolo")
