"""State dicts as training scripts leave them: found in what holds them, and brought to the names of the network.

Wrappers (DataParallel, torch.compile, Lightning, weight averaging) put their own names before those of the network, and
keep counters beside them. What is certain is taken off, and said; whether the rest fits is not guessed at.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from edgevision.errors import MissingExtraError, ModelFileError

_AVERAGED = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema", "swa_model", "swa_state_dict",
    "averaged_model", "shadow",
)  # fmt: skip
_PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params")
_COMPILED = "_orig_mod"  # torch.compile's
_PARALLEL = "module"  # DataParallel's, and AveragedModel's
_COUNTERS = ("total_ops", "total_params", "n_averaged")  # thop's, and AveragedModel's
_STEPS = "num_batches_tracked"  # of a batch norm; no use where its momentum is fixed, or nothing is trained
_AUXILIARY = re.compile(r"aux\d*|aux_?(head|logits|classifier)s?", re.IGNORECASE)  # heads that only train
_IS_AVERAGED = re.compile(r"(^|[._])ema([._]|$)|averaged", re.IGNORECASE)
_ONLY_TRAINS = re.compile(
    r"criterion|(\w+_)?(loss|loss_fn|losses|metrics?|acc|accuracy|teacher)|(train|val|valid|test)_\w+"
)


@dataclass(frozen=True)
class StateDict:
    """Weights by name, in the order of the file. ``notes``: what was taken off or left out to get them.

    ``beside``: where these are averaged weights, the others in the file, by the key that they lie under.
    """

    values: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    beside: Mapping[str, StateDict] = field(default_factory=dict)


def read_safetensors(data: bytes, name: str) -> dict[str, Tensor]:
    """The tensors in a safetensors file, which holds nothing else. Raises ModelFileError for a damaged one."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError:
        raise MissingExtraError("safetensors", "compile", f"reading {name}") from None
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"{name} is a damaged or truncated safetensors file ({error}); copy or save it again"
        ) from error


def find_state_dict(loaded: object, levels: int = 4) -> StateDict | None:
    """The state dict in what ``torch.load`` gave: itself, or under one of the usual keys of training scripts, averaged
    weights (EMA) before others. Without counters and torch.compile's names. None when there is none in so many ``levels``."""
    if not isinstance(loaded, Mapping) or not levels:
        return None
    if _is_state_dict(loaded):
        return _cleaned({key: value for key, value in loaded.items() if isinstance(value, Tensor)})
    found = {
        key: state
        for key in (*_AVERAGED, *_PLAIN)
        if (state := find_state_dict(loaded.get(key), levels - 1)) is not None
    }
    if not found:
        return None
    key, *others = found
    said = _said_of("the weights are those", key, others)
    beside = {other: found[other] for other in others} if key in _AVERAGED else {}
    return replace(found[key], notes=(said, *found[key].notes), beside={**found[key].beside, **beside})


def find_module(loaded: object, levels: int = 4) -> tuple[nn.Module, tuple[str, ...]] | None:
    """The network in a dict that a training script pickled whole, under the keys that ``find_state_dict`` knows, an averaged
    one before others; and what is to be said of it. None where there is none in so many ``levels``."""
    if isinstance(loaded, nn.Module):
        return loaded, ()
    if not isinstance(loaded, Mapping) or not levels:
        return None
    found = {key: one for key in (*_AVERAGED, *_PLAIN) if (one := find_module(loaded.get(key), levels - 1)) is not None}
    if not found:
        return None
    key, *others = found
    others += [other for other in (*_AVERAGED, *_PLAIN) if find_state_dict(loaded.get(other), levels - 1) is not None]
    module, notes = found[key]
    return module, (_said_of("the network is the one", key, others), *notes)


def fit_names(
    state: StateDict, wanted: Collection[str], parameters: Collection[str], arch: str, name: str
) -> StateDict:
    """``state`` with exactly the names that the network ``wanted``; only counters of batch norms may lack.

    ``parameters``: the names among them that are trained. The others, buffers such as running means, are taken from the
    weights beside where averaged ones come without.

    Raises ModelFileError, naming what is missing or too many, or where the network is in ``state`` more than once.
    """
    state = _with_buffers(state, wanted, parameters, arch, name)
    needed = [key for key in wanted if not key.endswith(_STEPS)]
    for values, notes in _readings(state.values):
        complete = [prefix for prefix in _prefixes(values, needed) if all(prefix + key in values for key in needed)]
        chosen = [prefix for prefix in complete if _IS_AVERAGED.search(prefix)] or complete
        if len(chosen) > 1:
            places = " and ".join(repr(prefix) for prefix in chosen)
            raise ModelFileError(f"{name} holds the network more than once, under {places}; save only one of them")
        if chosen:
            (prefix,) = chosen
            kept = {key: values[prefix + key] for key in wanted if prefix + key in values}
            left = [key for key in values if not (key.startswith(prefix) and key.removeprefix(prefix) in kept)]
            others = tuple(other for other in complete if other != prefix)
            unknown = [key for key in left if not _only_trains(key, prefix, others)]
            if unknown:
                raise unfit([f"{key} is not in the network" for key in unknown], arch, name)
            lacks = len(kept) < len(wanted)
            return StateDict(kept, (*state.notes, *notes, *_notes(prefix, left, lacks)))
    closest = max(_prefixes(state.values, needed), key=lambda p: sum(p + k in state.values for k in needed), default="")
    problems = [f"{key} is missing" for key in needed if closest + key not in state.values]
    problems += [f"{key} is not in the network" for key in state.values if key.removeprefix(closest) not in wanted]
    raise unfit(problems, arch, name)


def unfit(problems: list[str], arch: str, name: str) -> ModelFileError:
    """The error that names the first of the ``problems`` between a state dict and a network."""
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return ModelFileError(
        f"the state dict in {name} does not fit {arch}: {'; '.join(problems[:3])}{more}. Give the --arch that it was made with"
    )


def check_types(values: Mapping[str, Tensor], network: Mapping[str, Tensor], name: str) -> tuple[str, ...]:
    """What is to be said of weights that the ``network`` has in another type: of integers, and of floats in integers' place.

    Raises ModelFileError for complex weights in a network of real ones: half of each would be lost.
    """
    complexes = [key for key, value in values.items() if value.is_complex() and not network[key].is_complex()]
    if complexes:
        raise ModelFileError(
            f"{name} holds complex weights ({_first(complexes)}), and the network has real ones there; save the network's own "
            "state_dict(), or give the --arch that it was made with"
        )
    notes = []
    integers = [k for k, v in values.items() if not _is_inexact(v) and _is_inexact(network[k])]
    if integers:
        types = " and ".join(sorted({_type_name(values[key]) for key in integers}))
        notes.append(
            f"weights in {types} were cast to float32 as they are ({_first(integers)}); if they are quantized, their scales are "
            "not in them: save the float weights"
        )
    floats = [k for k, v in values.items() if _is_inexact(v) and not _is_inexact(network[k])]
    if floats:
        notes.append(f"floats were cast to the integers that the network has in their place ({_first(floats)})")
    return tuple(notes)


def cast_note(values: Iterable[Tensor]) -> tuple[str, ...]:
    """What is to be said of weights that are floats, and not float32: a note, or none."""
    types = {_type_name(value) for value in values if value.is_floating_point() and value.dtype is not torch.float32}
    return (f"weights in {' and '.join(sorted(types))} were cast to float32",) if types else ()


def _is_state_dict(loaded: Mapping[object, object]) -> bool:
    """Whether these are weights by name; modules may keep other state beside them."""
    tensors = [isinstance(value, Tensor) or str(key).endswith("_extra_state") for key, value in loaded.items()]
    return bool(tensors) and all(tensors) and all(isinstance(key, str) for key in loaded)


def _cleaned(values: dict[str, Tensor]) -> StateDict:
    notes = []
    counters = [key for key, value in values.items() if _last(key) in _COUNTERS and value.numel() == 1]
    if counters:
        kinds = sorted({_last(key) for key in counters})
        notes.append(f"counters that are no weights were left out ({', '.join(kinds)})")
    values = {key: value for key, value in values.items() if key not in counters}
    without = {_without(key, _COMPILED): value for key, value in values.items()}
    if len(without) == len(values) and list(without) != list(values):
        notes.append(f"'{_COMPILED}.' (torch.compile) was taken off the names of the weights")
        values = without
    return StateDict(values, tuple(notes))


def _said_of(what: str, key: str, others: Collection[str]) -> str:
    """Which of several was taken, in words."""
    said = f"{what} under {key!r}"
    if key in _AVERAGED:
        said += ", averaged (EMA)" if "ema" in key else ", averaged"
    if others:
        said += f"; those under {' and '.join(repr(other) for other in others)} were left out"
    return said


def _with_buffers(
    state: StateDict, wanted: Collection[str], parameters: Collection[str], arch: str, name: str
) -> StateDict:
    """``state``, and where it holds averaged parameters without any buffer the buffers of the weights that they were averaged
    from, if there is one such set. Else ``state`` as it is."""
    buffers = [key for key in wanted if key not in parameters]
    needed = [key for key in buffers if not key.endswith(_STEPS)]
    for values, notes in _readings(state.values):
        complete = [p for p in _prefixes(values, parameters) if all(p + key in values for key in parameters)]
        bare = [p for p in complete if needed and not any(p + key in values for key in needed)]
        if len(bare) != 1:
            continue
        (prefix,) = bare
        sources = {f"'{p}'": {k: values[p + k] for k in buffers if p + k in values} for p in complete if p != prefix}
        if not _IS_AVERAGED.search(prefix):
            sources = {}
        for key, other in state.beside.items():
            with contextlib.suppress(ModelFileError):
                fitted = fit_names(other, wanted, parameters, arch, name).values
                sources[repr(key)] = {k: fitted[k] for k in buffers if k in fitted}
        if len(sources) != 1:
            continue
        ((place, taken),) = sources.items()
        said = f"the averaged weights come without buffers ({_first(needed)}); those under {place} were taken"
        return replace(
            state, values={**values, **{prefix + key: value for key, value in taken.items()}},
            notes=(*state.notes, *notes, said),
        )  # fmt: skip
    return state


def _readings(values: Mapping[str, Tensor]) -> Iterable[tuple[Mapping[str, Tensor], tuple[str, ...]]]:
    """The weights under their own names; and without DataParallel's, which can stand anywhere in them."""
    yield values, ()
    without = {_without(key, _PARALLEL): value for key, value in values.items()}
    if len(without) == len(values):
        yield without, (f"'{_PARALLEL}.' (DataParallel, weight averaging) was taken off the names of the weights",)


def _prefixes(values: Mapping[str, Tensor], needed: Collection[str]) -> list[str]:
    """What stands before the name of the network's longest key, wherever it is found: '', or what ends with a dot."""
    anchor = max(needed, key=len, default="")
    found = (key.removesuffix(anchor) for key in values if key.endswith(anchor))
    return [prefix for prefix in dict.fromkeys(found) if not prefix or prefix.endswith(".")]


def _only_trains(key: str, prefix: str, others: tuple[str, ...]) -> bool:
    """Whether a weight beside the network's is certain to do nothing when it answers. ``others``: where the network
    stands a second time, as averaged weights lie beside those that they were averaged from."""
    if key.startswith(prefix):
        parts = key.removeprefix(prefix).split(".")
        if parts[-1] == _STEPS or any(_AUXILIARY.fullmatch(part) for part in parts):
            return True
    first, *_ = key.split(".")
    return bool(prefix) and (key.startswith(others) or bool(_ONLY_TRAINS.fullmatch(first)))


def _notes(prefix: str, left: list[str], lacks: bool) -> list[str]:
    """What is to be said of a fit: the prefix taken off, what was left out, whether counters lack."""
    notes = []
    if prefix:
        averaged = ", averaged weights (EMA)," if _IS_AVERAGED.search(prefix) else ""
        notes.append(f"'{prefix}'{averaged} was taken off the names of the weights")
    if left:
        groups = dict.fromkeys(key.removeprefix(prefix).split(".")[0] for key in left)
        notes.append(f"left out, as they serve only training: {', '.join(groups)}")
    if lacks:
        notes.append(f"{_STEPS} of batch norms is not in the file, and serves only training")
    return notes


def _without(key: str, part: str) -> str:
    return ".".join(one for one in key.split(".") if one != part)


def _first(keys: Collection[str]) -> str:
    """The first name, and how many more there are."""
    first, *more = keys
    return f"{first} and {len(more)} more" if more else first


def _is_inexact(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _type_name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _last(key: str) -> str:
    return key.rpartition(".")[2]
