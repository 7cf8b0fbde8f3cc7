"""A network without its head: for tasks that are served by the features of a network that was trained for another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from edgevision.compiler.sources.asking import SourceOptions
from edgevision.compiler.sources.metadata import ModelMetadata
from edgevision.compiler.sources.torchvision_detectors import names_detector
from edgevision.compiler.sources.weights import is_named
from edgevision.errors import InputError, ModelFileError
from edgevision.tasks.registry import task_type
from edgevision.train import backbones


@dataclass(frozen=True)
class Headless:
    """``module``: the network as it is used. ``cut``: whether its last layer was taken off; ``note`` says so."""

    module: nn.Module | None
    cut: bool
    note: str = ""


def headless(module: nn.Module | None, carried: ModelMetadata | None, options: SourceOptions, name: str) -> Headless:
    """The network, without its head where ``options.task`` asks for features and the network is one that was made for another
    task: a checkpoint's, or one that ``options.arch`` names. A user's own network is taken as it is.

    Raises ModelFileError where it has no head that can be told.
    """
    if module is None or options.task is None or not task_type(options.task).from_features:
        return Headless(module, False)
    if carried is None:
        made_for_another = options.arch is not None and is_named(options.arch) and not names_detector(options.arch)
    else:
        made_for_another = carried.task.kind != options.task
    if not made_for_another:
        return Headless(module, False)
    try:
        cut = without_head(module)
    except InputError as error:
        raise ModelFileError(f"{name} cannot serve the task '{options.task}': {error}") from None
    return Headless(cut, True, f"the last layer of {name} was taken off: what it got is what the network gives")


def without_head(network: Any) -> nn.Module:
    """``network``, changed in place, which gives what its last layer got: pooled features. timm's know how by themselves.

    Raises InputError for a network without such a layer, such as a detector.
    """
    if hasattr(network, "reset_classifier"):
        network.reset_classifier(0)
        module: nn.Module = network
        return module
    backbones.remove_head(network)
    return network  # type: ignore[no-any-return]
