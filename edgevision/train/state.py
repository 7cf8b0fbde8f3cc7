"""The state of an unfinished run: everything that it needs to go on to the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgevision.errors import InputError, ModelFileError
from edgevision.files import atomic_write
from edgevision.train.checkpoint import read_plain

MAX_STATE_BYTES = 64 << 30  # weights four times over
_KEY, _VERSION = "edgevision_train_state", 1


def save_state(path: Path, fingerprint: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all. ``values`` are plain values and tensors."""
    data = {_KEY: _VERSION, "fingerprint": dict(fingerprint), **values}
    atomic_write(path, lambda file: torch.save(data, file))


def load_state(path: Path, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Read what ``save_state`` wrote.

    Raises ModelFileError for a damaged file, InputError when the run was begun with other options or photos.
    """
    data = read_plain(path, MAX_STATE_BYTES)
    if not isinstance(data, dict) or data.get(_KEY) != _VERSION or not isinstance(data.get("fingerprint"), dict):
        raise ModelFileError(f"{path} is not the state of a training run; delete it and start without --resume")
    begun = data["fingerprint"]
    names = sorted(name for name in {*begun, *fingerprint} if begun.get(name) != fingerprint.get(name))
    if names:
        first = names[0]
        raise InputError(
            f"the run in {path} was begun with another {', '.join(names)} ({first}: {begun.get(first)!r}, now "
            f"{fingerprint.get(first)!r}); give the same, or start anew without --resume"
        )
    return data
