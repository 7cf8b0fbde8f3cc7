"""Fine-tuning, and the checkpoint format.

>>> from edgevision.train import TrainOptions, train
>>> result = train(TrainOptions(data=Path("photos"), output=Path("model.pt")))  # doctest: +SKIP

Names are imported when they are first used, so that the options are there without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgevision.errors import MissingExtraError

if TYPE_CHECKING:
    from edgevision.train.augment import Augmentation
    from edgevision.train.backbones import build, default_preprocess, pretrained
    from edgevision.train.checkpoint import (
        Checkpoint,
        PackedPhoto,
        PhotoPack,
        load_checkpoint,
        model_from_checkpoint,
        save_checkpoint,
    )
    from edgevision.train.detect.augment import BoxAugmentation
    from edgevision.train.options import AttributesTrainOptions, DetectTrainOptions, EmbedTrainOptions, TrainOptions
    from edgevision.train.progress import Progress, RichProgress
    from edgevision.train.trainer import TrainResult, train

_PLACES = {
    "augment": ("Augmentation",),
    "backbones": ("build", "default_preprocess", "pretrained"),
    "checkpoint": (
        "Checkpoint",
        "PackedPhoto",
        "PhotoPack",
        "load_checkpoint",
        "model_from_checkpoint",
        "save_checkpoint",
    ),
    "detect.augment": ("BoxAugmentation",),
    "options": ("AttributesTrainOptions", "DetectTrainOptions", "EmbedTrainOptions", "TrainOptions"),
    "progress": ("Progress", "RichProgress"),
    "trainer": ("TrainResult", "train"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AttributesTrainOptions",
    "Augmentation",
    "BoxAugmentation",
    "Checkpoint",
    "DetectTrainOptions",
    "EmbedTrainOptions",
    "PackedPhoto",
    "PhotoPack",
    "Progress",
    "RichProgress",
    "TrainOptions",
    "TrainResult",
    "build",
    "default_preprocess",
    "load_checkpoint",
    "model_from_checkpoint",
    "pretrained",
    "save_checkpoint",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "train", "training") from None
    return getattr(module, name)
