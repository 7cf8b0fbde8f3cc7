"""Steps of swaps in the ledger's file: lines of JSON between the accounts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from edgevision.errors import InputError
from edgevision.streams.model_change import ModelChange

MODEL_CHANGE = "model_change"  # the one key of such a line
_MOST_LINE_BYTES = 1 << 16


def write_model_changes(path: str | Path, changes: Iterable[ModelChange]) -> None:
    """Append one line of JSON for each step. Raises InputError where the file cannot be written."""
    lines = "".join(json.dumps({MODEL_CHANGE: one.to_dict()}, ensure_ascii=False) + "\n" for one in changes)
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        raise InputError(f"cannot write the ledger {path}: {error.strerror or error}") from error


def read_model_changes(path: str | Path) -> list[ModelChange]:
    """All steps, in the order they came, without their reports. Other lines are passed over: ``read_accounts`` looks at those.

    Raises InputError that names the line of a step that is none, and where the file cannot be read.
    """
    found: list[ModelChange] = []
    try:
        with Path(path).open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if line.startswith(b'{"' + MODEL_CHANGE.encode()) and line.endswith(b"\n"):
                    found.append(_step(line, f"{path}:{number}"))
    except OSError as error:
        raise InputError(f"cannot read the ledger {path}: {error.strerror or error}") from None
    return found


def explain_change(change: ModelChange) -> str:
    """A step in words.

    >>> from edgevision.streams.model_change import Step
    >>> explain_change(ModelChange(Step.REFUSED, "b", "a", "a goes on", 0)).partition(": ")[2]
    'model refused: a goes on'
    """
    when = datetime.fromtimestamp(change.at_ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
    return f"{when}: model {change.step.value}: {change.words}"


def _step(line: bytes, place: str) -> ModelChange:
    try:
        return ModelChange.from_dict(json.loads(line)[MODEL_CHANGE])
    except InputError as error:
        raise InputError(f"{place}: {error}; give a file that stream --ledger writes") from None
    except (ValueError, KeyError):
        raise InputError(f"{place}: this is no JSON; give a file that stream --ledger writes") from None
