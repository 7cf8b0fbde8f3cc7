"""A file that changed is read again; one that cannot be read changes nothing."""

from __future__ import annotations

import os
import pickle

import pytest

from edgevision.errors import InputError
from edgevision.files import file_state
from edgevision.reread import RETRY_S, Reread


def test_a_change_is_taken_up_and_told(tmp_path):
    path, told = tmp_path / "file", []
    path.write_text("one")
    kept = Reread(
        path.read_text, lambda: file_state(path), trouble=told.append, changed=lambda *both: told.append(both)
    )
    assert (kept.look(), told) == ("one", [])
    path.write_text("two!")
    assert (kept.kept, kept.look(), kept.kept) == ("one", "two!", "two!")
    assert told == [("one", "two!")]


def test_what_cannot_be_read_leaves_the_old_and_is_told_once(tmp_path):
    path, told = tmp_path / "file", []

    def read() -> str:
        if not path.exists() or path.read_text() == "bad":
            raise InputError("cannot be used")
        return path.read_text()

    path.write_text("good")
    kept = Reread(read, lambda: file_state(path), trouble=told.append)
    path.write_text("bad")
    assert [kept.look(), kept.look()] == ["good", "good"]
    assert told == ["cannot be used"]
    path.unlink()
    assert kept.look() == "good"
    path.write_text("good again")
    assert kept.look() == "good again"
    assert told == ["cannot be used"] * 2


def test_what_cannot_be_read_now_is_raised_until_it_can(tmp_path):
    told, good = [], [True]

    def read() -> str:
        if not good[0]:
            raise InputError("cannot be used")
        return "good"

    state = [1]
    kept = Reread(read, lambda: state[0], trouble=told.append)
    good[0], state[0] = False, 2
    kept.look()
    for _ in range(2):  # nothing has changed since it was found out
        with pytest.raises(InputError, match="cannot be used"):
            kept.read_now()
    good[0] = True
    assert (kept.read_now(), told) == ("good", ["cannot be used"])


def test_a_file_that_takes_anothers_place_is_another_state(tmp_path):
    """As editors and ``mv`` do it, with the same length and time."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("one")
    other.write_text("two")
    os.utime(path, ns=(5, 5))
    os.utime(other, ns=(5, 5))
    before = file_state(path)
    other.replace(path)
    assert file_state(path) != before
    path.unlink()
    assert file_state(path) is None


@pytest.mark.parametrize("failure", [InputError("another program uses it"), PermissionError(13, "Permission denied")])
def test_what_failed_is_tried_again_though_the_file_is_the_same(monkeypatch, failure):
    """A lock that another program held, permissions, the disk: no state of the file tells that they are well again."""
    told, now_s, well = [], [100.0], [True]
    monkeypatch.setattr("edgevision.reread.time.monotonic", lambda: now_s[0])

    def read() -> int:
        if not well[0]:
            raise failure
        return state[0]

    state = [1]
    kept = Reread(read, lambda: state[0], trouble=told.append)
    assert not kept.due
    well[0], state[0] = False, 2
    assert kept.due
    assert (kept.look(), kept.due) == (1, False)
    now_s[0] += RETRY_S
    assert (kept.due, kept.look()) == (True, 1)
    assert told == [str(failure)]  # once
    well[0] = True
    assert kept.look() == 1  # not yet
    now_s[0] += RETRY_S
    assert (kept.look(), kept.due) == (2, False)


def test_a_pickled_one_goes_on(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    kept = pickle.loads(pickle.dumps(Reread(path.read_text, path.exists, trouble=print)))
    path.unlink()
    assert kept.due
    assert kept.kept == "one"
