"""The ledger on disk, and in words."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.streams.explain import (
    explain,
    explain_change,
    read_accounts,
    read_model_changes,
    write_accounts,
    write_model_changes,
)
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, Ledger
from edgevision.streams.model_change import ModelChange, Step


def test_what_is_written_is_read_and_the_last_of_each_camera_counts(tmp_path):
    path = tmp_path / "l.jsonl"
    ledger = Ledger()
    for camera in ("till", "dock"):
        ledger.settle(camera, ledger.captured(camera), Fate.SERVED)
    write_accounts(path, ledger.accounts(at_ns=1))
    ledger.settle("till", ledger.captured("till"), Fate.STALE)
    write_accounts(path, ledger.accounts(at_ns=2))
    found = read_accounts(path)
    assert list(found) == ["till", "dock"]
    assert found["till"] == Account("till", 2, 0, {Fate.SERVED: 1, Fate.STALE: 1}, 2)
    with path.open("a") as file:
        file.write('{"camera": "till", "captu')  # a crash
    assert read_accounts(path) == found


def test_steps_of_swaps_stand_between_the_accounts(tmp_path):
    path = tmp_path / "l.jsonl"
    changes = [ModelChange(step, "new", "old", f"it is {step.value}", place) for place, step in enumerate(Step)]
    for change in changes:
        write_accounts(path, [Account("till", 0, 0, {}, 1)])
        write_model_changes(path, [change])
    assert read_model_changes(path) == changes
    assert list(read_accounts(path)) == ["till"]
    assert explain_change(changes[0]).endswith(": model loading: it is loading")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model_change": {"step": "sold"}}\n', "l.jsonl:1: a change of the model needs a step"),
        ('{"model_change": {"step": "kept", "model_id": 3}}\n', "needs model_id, a str, got 3"),
        ('{"model_change": []}\n', "is an object, got list"),
        ("nothing\n", "l.jsonl:1: this is no JSON"),
        ('\n{"camera": "a"}\n', "l.jsonl:2: the account of 'a' needs fates"),
        ('{"camera": "a", "captured": 1, "in_flight": 0, "fates": {"lost": 1}}\n', "needs fates"),
        ("[]\n", "is an object"),
        ("x" * 200_000 + "\n", "l.jsonl:"),
    ],
)
def test_other_files_are_told_with_their_line(tmp_path, text, words):
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(InputError, match=words):
        read_accounts(tmp_path / "l.jsonl")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_accounts(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="cannot write"):
        write_accounts(tmp_path / "no" / "l.jsonl", [])


def test_every_fate_is_told_the_most_frequent_first():
    fates = {fate: 10 * place + 1 for place, fate in enumerate(Fate)}
    account = Account("till", sum(fates.values()) + 4, 4, fates)
    lines = explain(account)
    counts = [int(line.split()[0]) for line in lines[1 : 1 + len(Fate)]]
    assert counts == sorted(fates.values(), reverse=True)
    assert all(any(f"{count} (" in line and fate.words in line for line in lines) for fate, count in fates.items())
    assert any("4 (" in line and "no fate yet" in line for line in lines)
    assert "Every frame is accounted for" in "\n".join(lines)


@pytest.mark.parametrize(
    ("fates", "advice"),
    [
        ({Fate.SERVED: 100}, None),
        ({Fate.SERVED: 95, Fate.CORRUPT: 5}, None),
        ({Fate.SERVED: 60, Fate.SUPERSEDED: 40}, "no fault"),
        ({Fate.SERVED: 50, Fate.CORRUPT: 30, Fate.STALE: 20}, "transport tcp"),
        ({Fate.EXPIRED: 100}, "max_age"),
        ({Fate.SKIPPED: 100}, None),  # that was asked for
    ],
)
def test_the_greatest_loss_has_its_advice(fates, advice):
    lines = explain(Account("till", 100, 0, fates))
    assert lines[-1].endswith("accounted for.") if advice is None else advice in lines[-1]


def test_a_ledger_that_does_not_add_up_is_not_passed_over():
    assert "3 frames are unaccounted for" in "\n".join(explain(Account("till", 10, 0, {Fate.SERVED: 7})))


def test_a_camera_without_frames():
    assert explain(Account("till", 0, 0, {})) == ["till: 0 frames captured", "  Every frame is accounted for."]
