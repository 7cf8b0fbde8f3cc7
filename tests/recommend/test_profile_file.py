import json
import stat

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.recommend.profile import Profile
from edgevision.recommend.profile_file import forget_profile, open_profile, read_profile, save_profile


def some_profile():
    profile = Profile("a bundle", 3)
    profile.bought({7: np.array([1.0, 0.0, 2.0])}, 100.0)
    return profile


def test_it_is_read_as_it_was_written_by_its_owner_alone(tmp_path):
    path = tmp_path / "me.json"
    save_profile(path, some_profile())
    assert read_profile(path).to_dict() == some_profile().to_dict()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_forgetting_removes_what_a_killed_process_left_too(tmp_path):
    path = tmp_path / "me.json"
    save_profile(path, some_profile())
    killed = tmp_path / ".edgevision-0123456789abcdef.tmp"  # what a killed process leaves while it writes
    killed.write_bytes(path.read_bytes())
    others = tmp_path / ".edgevision-fedcba9876543210.tmp"  # of something else that is being written
    others.write_bytes(b"a bundle")
    assert forget_profile(path) is True
    assert [one.name for one in tmp_path.iterdir()] == [others.name]
    assert forget_profile(path) is False


@pytest.mark.parametrize(
    "change", [lambda text: text[:40], lambda text: json.dumps(dict(sorted(json.loads(text).items())))]
)
def test_a_damaged_or_a_rewritten_profile_is_forgotten_too(tmp_path, change):
    path = tmp_path / "me.json"
    save_profile(path, some_profile())
    path.write_text(change(path.read_text()))
    assert forget_profile(path) is True
    assert list(tmp_path.iterdir()) == []


def test_forgetting_follows_a_link_and_removes_both(tmp_path):
    (tmp_path / "kept").mkdir()
    real, link = tmp_path / "kept" / "real.json", tmp_path / "me.json"
    save_profile(real, some_profile())
    link.symlink_to(real)
    assert forget_profile(link) is True
    assert not real.exists()
    assert not link.is_symlink()


@pytest.mark.parametrize("content", [b"", b"photos", b'{"format": "edgevision baskets"}', b"\xff" * 2_000_000])
def test_nothing_else_is_forgotten_by_mistake(tmp_path, content):
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(InputError, match="left alone"):
        forget_profile(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_other_files_are_no_profiles(tmp_path, content):
    path = tmp_path / "me.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"me\.json"):
        read_profile(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle_id": "another"}, "another bundle"),
        ({"dimension": 4}, "another bundle"),
        ({"half_life_s": 5.0}, "half-life of 1.0368e"),
    ],
)
def test_a_profile_belongs_to_one_bundle(tmp_path, changes, message):
    path = tmp_path / "me.json"
    save_profile(path, some_profile())
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        open_profile(path, **{"bundle_id": "a bundle", "dimension": 3, **changes})
    assert path.read_bytes() == before


def test_a_profile_begins_where_there_is_none(tmp_path):
    profile = open_profile(tmp_path / "me.json", bundle_id="a bundle", dimension=3, half_life_s=60.0)
    assert (profile.bundle_id, profile.dimension, profile.half_life_s, profile.last_s) == ("a bundle", 3, 60.0, None)
    assert list(tmp_path.iterdir()) == []


def test_a_profile_that_ends_in_the_future_is_neither_opened_nor_saved(tmp_path):
    """It can be read all the same: to be shown, and forgotten."""
    path = tmp_path / "me.json"
    path.write_text(json.dumps({**some_profile().to_dict(), "time_s": 10_413_792_000.0}))
    with pytest.raises(InputError, match=r"ends on 2300-01-01.*set the clock.*--forget"):
        open_profile(path, bundle_id="a bundle", dimension=3)
    profile = read_profile(path)
    with pytest.raises(InputError, match="ends on 2300-01-01"):
        save_profile(tmp_path / "taken.json", profile)
    assert [one.name for one in tmp_path.iterdir()] == ["me.json"]
    assert forget_profile(path) is True
