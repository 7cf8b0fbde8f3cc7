"""torchvision's detectors as networks that take one tensor and give raw heads.

As they are, they take a list of pictures of any sizes, prepare these themselves, and give finished boxes, as many as they
find: nothing that runs in batches, or in int8. Here the backbone and the head are taken out of the module; the
preprocess spec does what its transform does, and the task spec what comes after its head. The anchors are those that
the module's own generator gives for the size of the tensor.

SSD, SSDlite, RetinaNet and FCOS. Of those with two stages (Faster R-CNN, Mask R-CNN, Keypoint R-CNN) the second looks at
as many places as the first finds in the picture; there is no graph of fixed shapes to take out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgevision.compiler.sources.quiet import quiet
from edgevision.errors import InputError, MissingExtraError, ModelFileError
from edgevision.preprocess.spec import Filter, Fit, PreprocessSpec

# Where the task reads what its outputs are, as in the metadata of a file: the layout's name, and its parameters as JSON.
HEAD, PARAMETERS = "torchvision.head", "torchvision.parameters"

_PREFIX = "torchvision:"
_ONE_STAGE = ("ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2",
              "fcos_resnet50_fpn")  # fmt: skip
_TWO_STAGES = "Faster R-CNN, Mask R-CNN and Keypoint R-CNN"
_CLASSES_OF_OUTLINE = 2
_HEAD = "head.classification_head."
_DIVISOR = 32  # sides of the tensor are multiples of it, as in torchvision
_WIDE = (9, 16)  # height and width of a camera's picture, for the size in a template
_PAD = 114.0  # about the mean colour, which torchvision pads with
_TOLERANCE_PX = 1e-3


def names_detector(arch: str) -> bool:
    """Whether ``--arch`` names a detector of torchvision."""
    if not arch.startswith(_PREFIX):
        return False
    return arch.removeprefix(_PREFIX) in _models().list_models(module=_models().detection)


def build_detector(arch: str, columns: int, values: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The module that ``arch`` names, with random weights and a head of ``columns`` columns, the background's among them.
    ``values``: weights that it is for, where known. Nothing is downloaded.

    Raises InputError for a detector with two stages.
    """
    name = arch.removeprefix(_PREFIX)
    if name not in _ONE_STAGE:
        raise _two_stages(arch)
    build = partial(_models().get_model, name, weights=None, weights_backbone=None, num_classes=columns)
    with quiet():
        network: nn.Module = build()
        if values is not None and name.startswith("ssdlite") and _has_full_tail(network, values):
            _give_full_tail(network, columns)
    return network


def columns_of(outline: nn.Module, values: Mapping[str, Tensor]) -> int:
    """How many columns the head has in the file. ``outline``: the same network with ``_CLASSES_OF_OUTLINE``."""
    last = [key for key in outline.state_dict() if key.startswith(_HEAD)][-1]
    per_column = len(outline.state_dict()[last]) // _CLASSES_OF_OUTLINE
    return len(values[last]) // per_column


def is_detector(module: nn.Module) -> bool:
    """Whether ``module`` is a detector of torchvision, or of a class made from one."""
    classes = type(module).__mro__
    return any(one.__module__.startswith("torchvision.models.detection.") for one in classes) and hasattr(
        module, "transform"
    )


def head_of(module: nn.Module, name: str) -> dict[str, str]:
    """The head's layout, by the class that ``module`` is of, as metadata. Raises InputError for two stages."""
    detection = _models().detection
    layouts = {"ssd": detection.ssd.SSD, "retinanet": detection.RetinaNet, "fcos": detection.FCOS}
    found = next((layout for layout, kind in layouts.items() if isinstance(module, kind)), None)
    if found is None:
        raise _two_stages(name)
    return {HEAD: found}


def input_of(module: Any) -> tuple[int | None, ...]:
    """The shape of the tensor that the module's backbone takes; None = any size."""
    width, height = module.transform.fixed_size or (None, None)  # torchvision's order
    return (None, 3, height, width)


def own_preprocess(module: Any, name: str) -> PreprocessSpec:
    """What the module's transform does with pictures, where it gives them one size.

    SSD stretches them to that size. The others scale the shorter side to ``min_size`` and keep the longer one within
    ``max_size``: tensors of many sizes, one of which the user chooses. ModelFileError then says how, with a template.
    """
    transform = module.transform
    mean = tuple(round(255.0 * float(value), 6) for value in transform.image_mean)
    std = tuple(round(255.0 * float(value), 6) for value in transform.image_std)
    if transform.fixed_size is not None:
        width, height = transform.fixed_size
        return PreprocessSpec(int(height), int(width), Fit.STRETCH, Filter.BILINEAR, mean=mean, std=std)
    shorter, longer = transform.min_size[-1], transform.max_size
    scale = min(shorter / min(_WIDE), longer / max(_WIDE))
    height, width = (math.ceil(side * scale / _DIVISOR) * _DIVISOR for side in _WIDE)
    template = PreprocessSpec(height, width, Fit.LETTERBOX, Filter.BILINEAR, mean=mean, std=std, pad_value=_PAD)
    raise ModelFileError(
        f"{name} takes pictures of any size: it scales the shorter side to {shorter} pixels and keeps the longer one within "
        f"{longer}; a bundle has one size. Choose it with --preprocess preprocess.json, in multiples of {_DIVISOR}. For "
        f"pictures of {_WIDE[1]}:{_WIDE[0]} it would be:\n  {json.dumps(template.to_dict())}"
    )


def raw_heads(module: Any, spec: PreprocessSpec, name: str) -> tuple[nn.Module, dict[str, str]]:
    """The part of a detector between its transform and its post-processing: float32 [n, *spec.tensor_shape] → the head's
    outputs by torchvision's names. And, as metadata, what a task has to know of them.

    Raises ModelFileError for anchors or boxes of no known kind, InputError for two stages.
    """
    head = head_of(module, name)
    raw = _RawHeads(module).eval()
    with torch.no_grad(), quiet():
        parameters = {"anchors": _levels(module, raw, spec, name), "best": int(module.topk_candidates)}
    # Its threshold of scores is left to the task, which fits it.
    parameters |= {"iou": float(module.nms_thresh), "max_detections": int(module.detections_per_img)}
    coder = module.box_coder
    if head[HEAD] == "fcos":
        if not coder.normalize_by_size:
            raise ModelFileError(f"{name} gives boxes in pixels instead of anchor sizes; that head is not known here")
    else:
        if not math.isclose(coder.bbox_xform_clip, math.log(1000 / 16)):
            raise ModelFileError(f"{name} bounds its boxes in a way of its own; that head is not known here")
        parameters["box_weights"] = [float(weight) for weight in coder.weights]
    return raw, {**head, PARAMETERS: json.dumps(parameters)}


class _RawHeads(nn.Module):
    """A detector's backbone and head."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.backbone = module.backbone
        self.head = module.head

    def features(self, tensor: Tensor) -> list[Tensor]:
        """The maps that the head looks at, one for each level."""
        found = self.backbone(tensor)
        return [found] if isinstance(found, Tensor) else list(found.values())

    def forward(self, tensor: Tensor) -> dict[str, Tensor]:
        """The head's outputs by torchvision's names, [n, anchors, …] each."""
        outputs: dict[str, Tensor] = self.head(self.features(tensor))
        return outputs


def _levels(module: Any, raw: _RawHeads, spec: PreprocessSpec, name: str) -> list[dict[str, Any]]:
    """The anchors of each level, in the form that the task's parameter ``anchors`` has."""
    from torchvision.models.detection.image_list import ImageList

    tensor = torch.zeros(1, *spec.tensor_shape)
    maps = raw.features(tensor)
    (anchors,) = module.anchor_generator(ImageList(tensor, [(spec.height, spec.width)]), maps)
    per_cell = module.anchor_generator.num_anchors_per_location()
    shapes = [tuple(one.shape[-2:]) for one in maps]
    counts = [rows * columns * count for (rows, columns), count in zip(shapes, per_cell, strict=True)]
    if sum(counts) != len(anchors):
        raise ModelFileError(f"{name} has {len(anchors)} anchors for {sum(counts)} places; that head is not known here")
    parts = np.split(anchors.double().numpy(), np.cumsum(counts)[:-1])
    return [
        _level(part.reshape(rows, columns, -1, 4), name) for part, (rows, columns) in zip(parts, shapes, strict=True)
    ]


def _level(anchors: npt.NDArray[np.float64], name: str) -> dict[str, Any]:
    """Anchors [rows, columns, count, 4] of one level as its first cell and a step. ModelFileError where they are no grid."""
    rows, columns, _, _ = anchors.shape
    across = (anchors[0, -1, 0, 0] - anchors[0, 0, 0, 0]) / max(columns - 1, 1)
    down = (anchors[-1, 0, 0, 1] - anchors[0, 0, 0, 1]) / max(rows - 1, 1)
    y, x = np.mgrid[:rows, :columns]
    shift = np.stack([x * across, y * down] * 2, axis=-1)
    if np.abs(anchors[0, 0] + shift[:, :, None] - anchors).max() > _TOLERANCE_PX:
        raise ModelFileError(f"the anchors of {name} are not the same in each cell; that head is not known here")
    return {"rows": rows, "columns": columns, "step": [across, down], "cell": anchors[0, 0].tolist()}


# ---- SSDlite of two widths ----


def _has_full_tail(network: nn.Module, values: Mapping[str, Tensor]) -> bool:
    """Whether the weights are those of a backbone that started from ImageNet: torchvision halves its last layers otherwise."""
    own = network.state_dict()
    return any(key in own and value.shape != own[key].shape for key, value in values.items() if "backbone" in key)


def _give_full_tail(network: Any, columns: int) -> None:
    """Give SSDlite the backbone, and the head that fits it, with which torchvision builds it for ImageNet's weights."""
    from torchvision.models import mobilenet_v3_large
    from torchvision.models.detection import ssdlite

    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    features = mobilenet_v3_large(weights=None, norm_layer=norm).features
    fourth = [place for place, block in enumerate(features) if getattr(block, "_is_cn", False)][-1]
    network.backbone = ssdlite.SSDLiteFeatureExtractorMobileNet(features, fourth, norm)
    width, height = network.transform.fixed_size
    with torch.no_grad():
        maps = network.backbone.eval()(torch.zeros(1, 3, height, width))
    per_cell = network.anchor_generator.num_anchors_per_location()
    network.head = ssdlite.SSDLiteHead([one.shape[1] for one in maps.values()], per_cell, columns, norm)


def _two_stages(name: str) -> InputError:
    return InputError(
        f"{name} is a detector with two stages ({_TWO_STAGES}): the second looks at as many places as the first finds, which "
        f"no graph of fixed shapes does. Take one with a single stage: {', '.join(_PREFIX + one for one in _ONE_STAGE)}"
    )


def _models() -> Any:
    try:
        import torchvision.models
    except ImportError:
        raise MissingExtraError("torchvision", "compile", "a torchvision network") from None
    return torchvision.models
