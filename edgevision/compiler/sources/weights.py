"""State dicts: which network they belong to, and whether they fit it."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.compiler.sources.quiet import quiet
from edgevision.compiler.sources.state_dicts import StateDict, cast_note, check_types, fit_names, unfit
from edgevision.compiler.sources.torchvision_detectors import build_detector, columns_of, names_detector
from edgevision.errors import InputError, MissingExtraError
from edgevision.train import backbones

ARCH_HELP = "torchvision:NAME (torchvision:resnet18), timm:NAME, lite0|lite1|lite2, or package.module:callable"
_TIMM = "timm:"


def count_classes(state: Mapping[str, Tensor]) -> int:
    """Outputs of the network: the rows of its last parameter, which in a classifier is the last layer's bias."""
    last = [value for value in state.values() if value.ndim >= 1][-1:]
    return int(last[0].shape[0]) if last else 0


def network_of(arch: str, state: StateDict, name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """The network that ``arch`` names (see ``ARCH_HELP``), in float32, with the weights in ``state``, as many outputs as
    these have; and what was taken off and left out of them.

    ``package.module:callable`` is imported, also from the working directory, and called without arguments: code of
    the user's, run because it was asked for. It returns an ``nn.Module`` with the right number of outputs.

    Raises InputError when ``arch`` names nothing, or what it names fails; ModelFileError that says what does not fit.
    """
    network = _outline(arch) if is_named(arch) else _call(arch)
    parameters = dict(network.named_parameters(remove_duplicate=False)).keys()
    fitted = fit_names(state, network.state_dict().keys(), parameters, arch, name)
    if names_detector(arch):
        network = build_detector(arch, columns_of(network, fitted.values), fitted.values)
    elif is_named(arch):
        network = build_network(arch, _rows_of_head(network, fitted.values))
    odd = check_types(fitted.values, network.state_dict(), name)
    return load_weights(network, fitted.values, arch, name), (*fitted.notes, *cast_note(fitted.values.values()), *odd)


def build_network(arch: str, classes: int) -> nn.Module:
    """The network of torchvision's, timm's or ours that ``arch`` names, with random weights. Nothing is downloaded.

    Raises InputError for a name that nobody knows, MissingExtraError where its package is not installed.
    """
    if names_detector(arch):
        return build_detector(arch, classes)
    with quiet():  # torchvision announces changes of initial weights, which are replaced here
        return _timm_network(arch, classes) if arch.startswith(_TIMM) else backbones.build(arch, classes)


def load_weights(network: nn.Module, values: Mapping[str, Tensor], arch: str, name: str) -> nn.Module:
    """``network`` in float32 with these weights, which have its names. Raises ModelFileError for other shapes."""
    wanted = network.float().state_dict()
    problems = [
        f"{key} is {list(value.shape)} in the file, {list(wanted[key].shape)} in the network"
        for key, value in values.items()
        if value.shape != wanted[key].shape
    ]
    if problems:
        raise unfit(problems, arch, name)
    wanted.update(values)  # it knows the versions of the layers, which some ask for (MNASNet), and files lose
    with torch.no_grad():
        network.load_state_dict(wanted)
    return network


def is_named(arch: str) -> bool:
    """Whether the network is built here by its name, torchvision's, timm's or ours, for any number of classes."""
    return arch.startswith(("torchvision:", _TIMM)) or ":" not in arch


def _outline(arch: str) -> nn.Module:
    """The network with any weights and outputs, for its names."""
    try:
        with torch.device("meta"):  # nothing is allocated
            return build_network(arch, 2)
    except (NotImplementedError, RuntimeError):  # some compute their widths with tensors
        return build_network(arch, 2)


def _rows_of_head(network: nn.Module, values: Mapping[str, Tensor]) -> int:
    """As many classes as the last layer has in the file."""
    head = network.get_classifier() if hasattr(network, "get_classifier") else backbones.classifier_head(network)  # type: ignore[operator]
    head = head[0] if isinstance(head, (tuple, list)) else head  # one for each token that is distilled, all of one size
    head = next((layer for layer in reversed([*head.modules()]) if hasattr(layer, "weight")), head)
    place = next((place for place, layer in network.named_modules() if layer is head), "")
    weight = values.get(f"{place}.weight")
    return count_classes(values) if weight is None else len(weight)


def _timm_network(arch: str, classes: int) -> nn.Module:
    name = arch.removeprefix(_TIMM)
    try:
        import timm
    except ImportError:
        raise MissingExtraError("timm", "", f"--arch {arch}") from None
    if ":" in name or "/" in name or not timm.is_model(name):  # timm's own prefixes read from disk or the network
        close = difflib.get_close_matches(name, timm.list_models(), 3)
        raise InputError(f"timm has no network {name!r}; did you mean one of {close}?")
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    except Exception as error:  # whatever a network of timm's raises
        raise InputError(f"timm cannot build {name!r}: {type(error).__name__}: {error}") from error
    return network


def _call(arch: str) -> nn.Module:
    """What the user's own callable gives."""
    module_name, _, attribute = arch.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    try:
        factory: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
        network = factory()
    except (Exception, SystemExit) as error:  # whatever the user's code raises; scripts parse arguments and exit
        raise InputError(
            f"--arch {arch} failed with {type(error).__name__}: {error}. It is imported and called without arguments; "
            "it has to be importable from here and return an nn.Module"
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    if not isinstance(network, nn.Module):
        raise InputError(f"--arch {arch} gave {type(network).__name__}, expected an nn.Module")
    return network
