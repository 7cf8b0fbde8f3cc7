"""Steps of swaps in the ledger's file: notes between the accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from edgevision.streams.ledger_file import LedgerContent, LedgerFile
from edgevision.streams.model_change import ModelChange

MODEL_CHANGE = "model_change"  # the name of such a note


def note_change(ledger: LedgerFile, change: ModelChange) -> None:
    """Write a step, without its report: that of some thousand cameras is too long for a line. Raises InputError as ``LedgerFile.note``."""
    ledger.note(MODEL_CHANGE, replace(change, report=None).to_dict())


def model_changes(content: LedgerContent) -> list[ModelChange]:
    """All steps, in the order they came, without their reports. Raises InputError where one of them is none."""
    return [ModelChange.from_dict(values) for name, values in content.notes if name == MODEL_CHANGE]


def explain_change(change: ModelChange) -> str:
    """A step in words.

    >>> from edgevision.streams.model_change import Step
    >>> explain_change(ModelChange(Step.REFUSED, "b", "a", "a goes on", 0)).partition(": ")[2]
    'model refused: a goes on'
    """
    when = datetime.fromtimestamp(change.at_ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
    return f"{when}: model {change.step.value}: {change.words}"
