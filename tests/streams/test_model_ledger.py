"""Steps of swaps on disk, between the accounts of cameras."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.streams.ledger import Account
from edgevision.streams.ledger_file import LedgerContent, LedgerFile, read_ledger
from edgevision.streams.model_change import ModelChange, Step, TrialReport
from edgevision.streams.model_ledger import MODEL_CHANGE, explain_change, model_changes, note_change


def test_steps_of_swaps_stand_between_the_accounts(tmp_path):
    path = tmp_path / "l.jsonl"
    file = LedgerFile(path)
    file.open()
    changes = [ModelChange(step, "new", "old", f"it is {step.value}", place) for place, step in enumerate(Step)]
    for change in changes:
        file.write([Account("till", 0, 0, {}, 1)])
        note_change(file, change)
    assert model_changes(read_ledger(path)) == changes
    assert list(read_ledger(path).accounts) == ["till"]
    assert explain_change(changes[0]).endswith(": model loading: it is loading")
    with path.open("a") as torn:
        torn.write('{"model_change": {"st')  # a crash
    assert model_changes(read_ledger(path)) == changes
    LedgerFile(path).open()  # written anew
    assert model_changes(read_ledger(path)) == changes


def test_a_step_of_thousands_of_cameras_can_be_read_again(tmp_path):
    file = LedgerFile(tmp_path / "l.jsonl")
    file.open()
    report = TrialReport(5000, 1.0, {f"camera-{place}": 1.0 for place in range(5000)}, 1.0)
    note_change(file, ModelChange(Step.KEPT, "new", "old", "it serves", 1, report))
    assert [one.step for one in model_changes(read_ledger(file.path))] == [Step.KEPT]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": "sold"}, "a change of the model needs a step"),
        ({"step": "kept", "model_id": 3}, "needs model_id, a str, got 3"),
        ([], "is an object, got list"),
    ],
)
def test_what_is_no_step_is_told(values, words):
    with pytest.raises(InputError, match=words):
        model_changes(LedgerContent({}, (), ((MODEL_CHANGE, values),)))


def test_notes_of_others_are_passed_over():
    assert model_changes(LedgerContent({}, (), (("weather", "rain"),))) == []
