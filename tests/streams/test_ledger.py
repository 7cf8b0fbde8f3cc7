"""The ledger: one fate for each frame, gaps, and threads that all write at once."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevision.errors import InputError
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, Ledger

DROPS = [fate for fate in Fate if fate is not Fate.SERVED]


def test_frames_are_numbered_by_camera():
    ledger = Ledger()
    assert [ledger.captured(camera) for camera in "aabab"] == [0, 1, 0, 2, 1]


@pytest.mark.parametrize(("settled", "again"), [([0], 0), ([], 1), ([], -1)])
def test_a_second_fate_and_an_unknown_frame_are_refused(settled, again):
    ledger = Ledger()
    ledger.captured("till")
    for sequence in settled:
        ledger.settle("till", sequence, Fate.SERVED)
    with pytest.raises(ValueError, match=f"frame {again} of camera 'till' is not in flight"):
        ledger.settle("till", again, Fate.EXPIRED)
    with pytest.raises(ValueError, match="camera 'nobody'"):
        ledger.settle("nobody", 0, Fate.SERVED)
    assert ledger.account("till").balanced


def test_a_gap_tells_what_was_lost_before_a_result_and_nothing_later():
    ledger = Ledger()
    for _ in range(7):
        ledger.captured("till")
    ledger.settle("till", 0, Fate.SUPERSEDED)
    ledger.settle("till", 1, Fate.EXPIRED)
    ledger.settle("till", 4, Fate.SUPERSEDED)  # while frame 3 is with the model
    ledger.settle("till", 2, Fate.SUPERSEDED)
    assert ledger.take_gap("till", 3) == {Fate.SUPERSEDED: 2, Fate.EXPIRED: 1}
    ledger.settle("till", 3, Fate.SERVED)
    ledger.settle("till", 5, Fate.POISON)
    assert ledger.take_gap("till", 6) == {Fate.SUPERSEDED: 1, Fate.POISON: 1}
    ledger.settle("till", 6, Fate.SERVED)
    assert ledger.take_gap("till", 7) == {}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.sampled_from(list(Fate))), max_size=200))
@settings(deadline=None)
def test_the_sums_hold_after_every_step(steps):
    """Frames are captured and settled in any order; a plain list of (frame, fate) tells the truth. Each gap tells each drop
    before it once, and none after it."""
    ledger = Ledger()
    open_frames: dict[str, list[int]] = {"a": [], "b": []}
    fates: dict[str, Counter[Fate]] = {"a": Counter(), "b": Counter()}
    untold: dict[str, dict[int, Fate]] = {"a": {}, "b": {}}
    captured = Counter()
    for camera, place, fate in steps:
        if place < 15 or not open_frames[camera]:
            open_frames[camera].append(ledger.captured(camera))
            captured[camera] += 1
        elif fate is Fate.SERVED:  # the oldest, as results come in order
            sequence = open_frames[camera].pop(0)
            expected = Counter(lost for one, lost in untold[camera].items() if one < sequence)
            assert ledger.take_gap(camera, sequence) == expected
            untold[camera] = {one: lost for one, lost in untold[camera].items() if one > sequence}
            ledger.settle(camera, sequence, fate)
            fates[camera][fate] += 1
        else:
            sequence = open_frames[camera].pop(place % len(open_frames[camera]))
            ledger.settle(camera, sequence, fate)
            untold[camera][sequence] = fate
            fates[camera][fate] += 1
        account = ledger.account(camera)
        assert account == Account(camera, captured[camera], len(open_frames[camera]), fates[camera])
        assert account.balanced


def test_the_sums_hold_while_threads_write():
    ledger, cameras, wrong = Ledger(), ["a", "b", "c"], []
    done = threading.Event()

    def write(seed: int) -> None:
        for i in range(400):
            camera = cameras[(seed + i) % 3]
            ledger.settle(camera, ledger.captured(camera), DROPS[i % len(DROPS)])

    def read() -> None:
        while not done.is_set():
            wrong.extend(account for account in ledger.accounts() if not account.balanced)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join(30)
    done.set()
    reader.join(30)
    assert not wrong
    assert sum(account.captured for account in ledger.accounts()) == 1600
    assert all(account.in_flight == 0 for account in ledger.accounts())


def test_what_waits_for_one_hanging_frame_stays_small_to_settle():
    """10,000 drops behind a frame that the model hangs on: each settled without a walk over all others."""
    ledger = Ledger()
    ledger.captured("till")
    for _ in range(10_000):
        ledger.settle("till", ledger.captured("till"), Fate.SUPERSEDED)
    ledger.settle("till", 0, Fate.POISON)
    ledger.captured("till")
    assert ledger.take_gap("till", 10_001) == {Fate.POISON: 1, Fate.SUPERSEDED: 10_000}


def test_a_camera_that_nobody_knows_has_no_frames():
    assert Ledger().account("till") == Account("till", 0, 0, {})


ACCOUNT = Account("till", 10, 1, {Fate.SERVED: 6, Fate.SUPERSEDED: 3}, at_ns=7)


def test_an_account_survives_json():
    assert Account.from_dict(json.loads(json.dumps(ACCOUNT.to_dict()))) == ACCOUNT


@pytest.mark.parametrize(("change", "says"), [
    ({"camera": 3}, "the camera's name, got 3"), ({"fates": {"lost": 3}}, "needs fates, some of"), ({"fates": None}, "got None"),
    ({"captured": "10"}, "captured as a whole number, got '10'"), ({"in_flight": -1}, "in_flight as a whole number"),
    ({"fates": {"served": 1.5}}, "served as a whole number"), ({"at_ns": "noon"}, "at_ns as a whole number"),
    ({"captured": True}, "got True"),
])  # fmt: skip
def test_a_damaged_account_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        Account.from_dict({**ACCOUNT.to_dict(), **change})


def test_what_is_no_account_is_refused():
    with pytest.raises(InputError, match="is an object, got list"):
        Account.from_dict([])
