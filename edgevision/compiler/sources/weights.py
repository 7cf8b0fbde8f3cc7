"""State dicts: which network they belong to, and whether they fit it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.compiler.sources.quiet import quiet
from edgevision.errors import InputError, ModelFileError
from edgevision.train import backbones

ARCH_HELP = "torchvision:NAME (torchvision:resnet18), lite0|lite1|lite2, or package.module:callable"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema", "ema_state_dict", "net", "network")
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile


def find_state_dict(loaded: object) -> dict[str, Tensor] | None:
    """The state dict in what ``torch.load`` gave: itself, or under one of the usual keys of training scripts.

    Prefixes that DataParallel and torch.compile put before every name are taken off. None when there is none.
    """
    if not isinstance(loaded, Mapping):
        return None
    if loaded and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        state = dict(loaded)
        for prefix in _PREFIXES:
            if all(key.startswith(prefix) for key in state):
                state = {key[len(prefix) :]: value for key, value in state.items()}
        return state
    for wrapper in _WRAPPERS:
        if (inner := loaded.get(wrapper)) is not None and (state_inside := find_state_dict(inner)) is not None:
            return state_inside
    return None


def count_classes(state: Mapping[str, Tensor]) -> int:
    """Outputs of the network: the rows of its last parameter, which in a classifier is the last layer's bias."""
    last = [value for value in state.values() if value.ndim >= 1][-1:]
    return int(last[0].shape[0]) if last else 0


def build_network(arch: str, classes: int) -> nn.Module:
    """The network that ``arch`` names (see ``ARCH_HELP``), with random weights.

    ``package.module:callable`` is imported, also from the working directory, and called without arguments: code of
    the user's, run because it was asked for. It returns an ``nn.Module`` with the right number of outputs.

    Raises InputError when ``arch`` names nothing, or what it names fails.
    """
    if arch.startswith("torchvision:") or ":" not in arch:
        with quiet():  # torchvision announces changes of initial weights, which are replaced here
            return backbones.build(arch, classes)
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
    except Exception as error:  # whatever the user's code raises
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


def load_weights(network: nn.Module, state: Mapping[str, Tensor], arch: str, name: str) -> nn.Module:
    """``network`` with the weights in ``state``, which fit exactly. Raises ModelFileError that says where not."""
    wanted = network.state_dict()
    problems = [f"{key} is missing" for key in wanted if key not in state]
    problems += [f"{key} is not in the network" for key in state if key not in wanted]
    problems += [
        f"{key} is {list(value.shape)} in the file, {list(wanted[key].shape)} in the network"
        for key, value in state.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelFileError(
            f"the state dict in {name} does not fit {arch}: {'; '.join(problems[:3])}{more}. "
            f"Give the arch it was made with: --arch {ARCH_HELP}"
        )
    with torch.no_grad():
        network.load_state_dict(dict(state))
    return network
