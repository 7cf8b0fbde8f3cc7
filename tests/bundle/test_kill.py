"""SIGKILL while a bundle is written: at every instant the target is the old bundle or the new one, and whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from edgevision.bundle import open_bundle, write_bundle
from edgevision.files import is_temporary


@pytest.fixture
def after_kills(tmp_path, bundle_path):
    """What the target was after each kill, and the folder all of it happened in."""

    def run(mode):
        folder = tmp_path / "killed"
        folder.mkdir()
        driver = Path(__file__).with_name("killed_writer.py")
        done = subprocess.run(
            [sys.executable, driver, mode, folder, bundle_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), folder

    return run


@pytest.mark.parametrize(("mode", "before"), [("lines", "old"), ("lines-new", "nothing")])
def test_at_every_line(after_kills, mode, before):
    """At every line with an old bundle in place, at every third without one."""
    found, _ = after_kills(mode)
    turn = found.index("new")
    assert set(found[:turn]) == {before}
    assert set(found[turn:]) == {"new"}
    assert turn > 20


def test_in_the_middle_of_the_file(after_kills, manifest, entries):
    found, folder = after_kills("bytes")
    assert Counter(found) == {"old": len(found)}

    # What the dead left is of many sizes, known by its name, no bundle to anyone, and in nobody's way.
    left = sorted(p for p in folder.iterdir() if is_temporary(p))
    assert len({p.stat().st_size for p in left}) > 30
    assert set(folder.iterdir()) - set(left) == {folder / "target.edge"}
    assert [p.name for p in folder.glob("*.edge")] == ["target.edge"]  # as a shell lists bundles
    id = write_bundle(folder / "target.edge", manifest, entries)
    with open_bundle(folder / "target.edge") as bundle:
        bundle.verify()
        assert bundle.id == id
    assert sorted(p for p in folder.iterdir() if is_temporary(p)) == left


def test_while_others_read(after_kills):
    found, _ = after_kills("loop")
    assert set(found) <= {"old", "new"}
