"""Galleries whose writer is killed at random moments: a short run, and that a broken one would be found."""

from __future__ import annotations

import sys

import pytest

from benchmarks import gallery_crash
from benchmarks.gallery_crash import apply, make, run, state_of
from edgevision.gallery.gallery import open_gallery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


def test_a_short_run(tmp_path):
    outcome = run(tmp_path / "shop.evg", 20, seed=1, longest_s=0.06)
    assert outcome.wrong == ()
    assert outcome.changes == 20
    assert outcome.kills >= 1
    assert outcome.reads > 0


@pytest.mark.slow
def test_a_long_run(tmp_path):
    outcome = run(tmp_path / "shop.evg", 2000, seed=2, longest_s=0.1)
    assert outcome.wrong == ()
    assert outcome.during > 0


def test_what_is_made_is_what_is_expected(tmp_path):
    path = tmp_path / "shop.evg"
    state = {}
    for number in range(60):
        make(path, number)
        state = apply(state, number)
        assert state_of(open_gallery(path)) == state
    assert state


def test_half_of_a_change_is_found(tmp_path, monkeypatch):
    """The same run, with a reader that loses one example."""

    found = gallery_crash._found

    def losing(path):
        state, said = found(path)
        for examples in state.values():
            examples.popitem()
        return state, said

    monkeypatch.setattr(gallery_crash, "_found", losing)
    outcome = run(tmp_path / "shop.evg", 20, seed=1, longest_s=0.05)
    assert "neither the old content nor the new" in outcome.wrong[0]
