"""A file that changed is read again; one that cannot be read changes nothing."""

from __future__ import annotations

import os
import threading

import pytest

from edgevision.errors import InputError
from edgevision.files import file_state
from edgevision.kiosk.service.reread import Looks, Reread


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


def test_looks_go_on_after_one_that_fails():
    told, came = [], threading.Event()

    def fail() -> None:
        raise OSError("no disk")

    looked = iter(range(100))
    looks = Looks([fail, lambda: came.set() if next(looked) > 2 else None], told.append, look_s=0.001)
    looks.start()
    assert came.wait(10.0)
    looks.close(10.0)
    assert told == ["OSError: no disk"]
