"""Steps of swaps on disk, between the accounts of cameras."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.streams.explain import read_accounts, write_accounts
from edgevision.streams.ledger import Account
from edgevision.streams.model_change import ModelChange, Step
from edgevision.streams.model_ledger import explain_change, read_model_changes, write_model_changes


def test_steps_of_swaps_stand_between_the_accounts(tmp_path):
    path = tmp_path / "l.jsonl"
    changes = [ModelChange(step, "new", "old", f"it is {step.value}", place) for place, step in enumerate(Step)]
    for change in changes:
        write_accounts(path, [Account("till", 0, 0, {}, 1)])
        write_model_changes(path, [change])
    assert read_model_changes(path) == changes
    assert list(read_accounts(path)) == ["till"]
    assert explain_change(changes[0]).endswith(": model loading: it is loading")
    with path.open("a") as file:
        file.write('{"model_change": {"st')  # a crash
    assert read_model_changes(path) == changes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model_change": {"step": "sold"}}\n', "l.jsonl:1: a change of the model needs a step"),
        ('\n{"model_change": {"step": "kept", "model_id": 3}}\n', "l.jsonl:2: .* needs model_id, a str, got 3"),
        ('{"model_change": []}\n', "is an object, got list"),
        ('{"model_change": \n', "l.jsonl:1: this is no JSON"),
    ],
)
def test_what_is_no_step_is_told_with_its_line(tmp_path, text, words):
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(InputError, match=words):
        read_model_changes(tmp_path / "l.jsonl")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_model_changes(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="cannot write"):
        write_model_changes(tmp_path / "no" / "l.jsonl", [])
