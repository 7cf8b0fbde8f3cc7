"""The targets of a run: each opened in a process of its own, or the reason why not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Protocol

from edgevision.bench.record import TargetEntry
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.address import TargetAddress, allowance_of, expand, parse_address
from edgevision.bench.targets.base import Allowance, Answer, Identity
from edgevision.errors import EdgeVisionError, InputError, TargetError

_NAMELESS_KINDS = ("bundle", "onnx")  # told by the file's ending
_LONGEST_NAME = 60


class Remote(Protocol):
    """What a run needs of ``process.remote.RemoteTarget``."""

    identity: Identity

    def answers(self, limit_s: float = ...) -> list[Answer]:
        """What it says of each frame."""

    def run(self, scenario: Scenario, round: int, target_name: str, limit_s: float = ...) -> Block:
        """One block."""

    def interrupt(self) -> None:
        """End the running block early."""

    def close(self) -> None:
        """End its process in order."""

    def kill(self) -> None:
        """End its process at once."""


class Opener(Protocol):
    """Opens a target in a process: ``process.remote.RemoteTarget``."""

    def __call__(
        self, address: TargetAddress, allowance: Allowance, workload_path: str | os.PathLike[str], cores: Sequence[int],
        *, open_limit_s: float,
    ) -> Remote:  # fmt: skip
        """See there."""


@dataclass(eq=False)
class Opened:
    """A target of the run. ``remote``: None where it could not be opened, or is gone; ``answers``: what it said of each frame before the
    clock ran; ``repeats``: a block of the scenario of that name; ``failure``: why it is gone."""

    address: TargetAddress
    entry: TargetEntry
    remote: Remote | None = None
    answers: list[Answer] = field(default_factory=list)
    repeats: Block | None = None
    warm_up_ms: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def name(self) -> str:
        """Short, and another for each target of the run."""
        return self.entry.name


def addresses_of(texts: Sequence[str], reference: int) -> tuple[list[TargetAddress], int]:
    """The addresses, "all variants" written out, and the place of the reference among them. Raises InputError."""
    found: list[TargetAddress] = []
    place = 0
    for number, text in enumerate(texts):
        if number == reference:
            place = len(found)
        found += expand(parse_address(text))
    if not found:
        raise InputError("these addresses name no target; give a bundle with variants, or a model")
    return found, place


def names_of(addresses: Sequence[TargetAddress]) -> list[str]:
    """A short name for each: the file's name, its kind where the ending does not tell it, and its options."""
    names: list[str] = []
    for address in addresses:
        what = address.what if "://" in address.what else PurePath(address.what).name or address.what
        name = what if address.kind in _NAMELESS_KINDS else f"{address.kind}:{what}"
        options = ",".join(f"{key}={PurePath(value).name}" for key, value in address.options.items() if key != "python")
        name = f"{name}@{options}" if options else name
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 1]}…"
        number, unique = 1, name
        while unique in names:
            number += 1
            unique = f"{name} ({number})"
        names.append(unique)
    return names


def open_one(
    name: str, address: TargetAddress, allowance: Allowance, workload_path: str, cores: Sequence[int], opener: Opener, limit_s: float,
) -> Opened:  # fmt: skip
    """Open a target. One that cannot be opened is a row that says why, and no error."""
    own = allowance_of(address, allowance)
    text = address.text
    try:
        remote = opener(address, own, workload_path, cores, open_limit_s=limit_s)
    except TargetError as error:
        return Opened(address, TargetEntry(name, text, own, None, str(error)))
    return Opened(address, TargetEntry(name, text, own, remote.identity), remote)


def close_all(targets: Sequence[Opened], *, at_once: bool) -> None:
    """End all processes."""
    for target in targets:
        if target.remote is None:
            continue
        try:
            if at_once:
                target.remote.kill()
            else:
                target.remote.close()
        except EdgeVisionError:  # it was measured; how it leaves is no figure
            pass
        target.remote = None


def notes_of(targets: Sequence[Opened]) -> Mapping[str, Any]:
    """What the run saw of the targets besides their blocks, as JSON values for the record's conditions."""
    return {
        "warm_up_ms": {
            target.name: [round(value, 6) for value in target.warm_up_ms] for target in targets if target.warm_up_ms
        },
        "repeats_ns": {
            target.name: {
                "new": target.repeats.latency_ns[0::2].tolist(),
                "again": target.repeats.latency_ns[1::2].tolist(),
            }
            for target in targets
            if target.repeats is not None
        },
    }
