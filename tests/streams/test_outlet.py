"""Where results wait for the loop: asked for, or the newest of each camera."""

from __future__ import annotations

import threading

import pytest

from edgevision.errors import EngineError
from edgevision.streams.clock import FakeClock
from edgevision.streams.outlet import Ended, NewestOutlet, Outlet
from edgevision.streams.results import StreamResult


class Served:
    """Notes what it is told: None for ``hold``, else the places."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.asked = threading.Event()

    def hold(self) -> None:
        self.told.append("hold")

    def go_on(self, places: int | None = None) -> None:
        self.told.append(places)
        self.asked.set()


def result(camera: str = "a", sequence: int = 0) -> StreamResult:
    return StreamResult(camera, sequence, None, None, 0.0)


def test_it_asks_only_while_somebody_waits():
    served = Served()
    outlet = Outlet(served, FakeClock())
    got = []
    reader = threading.Thread(target=lambda: got.append(outlet.get()))
    reader.start()
    assert served.asked.wait(10)
    outlet.put(result(sequence=1))
    reader.join(10)
    outlet.put(result(sequence=2))  # of the same batch
    assert outlet.get().sequence == 2
    assert [one.sequence for one in got] == [1]
    assert served.told == ["hold", None, "hold", "hold"]


def test_the_first_end_counts_until_results_may_come_again():
    outlet = Outlet(Served(), FakeClock())
    outlet.end(EngineError("it hangs"))
    outlet.end()  # as stopping does
    with pytest.raises(Ended) as end:
        outlet.get()
    assert "it hangs" in str(end.value.__cause__)
    outlet.reopen()
    outlet.end()
    with pytest.raises(Ended) as end:
        outlet.get()
    assert end.value.__cause__ is None


@pytest.mark.parametrize(("loop_s", "places"), [(0.0, None), (0.001, 100), (0.03, 3), (0.5, 1)])
def test_it_asks_for_what_the_loop_reads_in_a_tenth_of_a_second(loop_s, places):
    served, clock = Served(), FakeClock()
    outlet = Outlet(served, clock)
    for i in range(100):
        outlet.put(result(sequence=i))
        outlet.get()
        clock.advance(loop_s)
    assert outlet.get_or_tell(lambda: None) is None
    assert served.told[-1] == places


def test_whoever_does_not_wait_is_told_once():
    outlet = Outlet(Served(), FakeClock())
    told = []
    assert outlet.get_or_tell(lambda: told.append(1)) is None
    outlet.put(result())
    outlet.put(result(sequence=1))
    assert told == [1]
    assert outlet.get_or_tell(lambda: told.append(2)).sequence == 0


@pytest.mark.parametrize("kind", [Outlet, NewestOutlet])
@pytest.mark.parametrize("cause", [None, EngineError("it hangs")])
def test_it_ends_after_what_waits_and_may_begin_again(kind, cause):
    outlet = kind(Served(), FakeClock())
    outlet.put(result())
    outlet.end(cause)
    assert outlet.get().sequence == 0
    for _ in range(2):
        with pytest.raises(Ended) as ended:
            outlet.get()
        assert ended.value.__cause__ is cause
    with pytest.raises(Ended):
        outlet.get_or_tell(lambda: None)
    if cause is None:
        assert outlet.wait_for_end(0.0)
    else:
        with pytest.raises(EngineError, match="it hangs"):
            outlet.wait_for_end(0.0)
    outlet.reopen()
    assert not outlet.wait_for_end(0.0)
    outlet.put(result(sequence=5))
    assert outlet.get().sequence == 5


def test_the_end_wakes_who_waits():
    served = Served()
    outlet = Outlet(served, FakeClock())
    ended = []

    def read() -> None:
        try:
            outlet.get()
        except Ended:
            ended.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    assert served.asked.wait(10)
    outlet.end()
    reader.join(10)
    assert ended == [1]


def test_the_newest_of_each_camera_waits_and_nothing_is_held():
    served = Served()
    outlet = NewestOutlet(served, FakeClock())
    for camera, sequence in [("a", 0), ("b", 0), ("a", 1), ("c", 0), ("a", 2)]:
        outlet.put(result(camera, sequence))
    assert [(one.camera, one.sequence) for one in (outlet.get() for _ in range(3))] == [("b", 0), ("c", 0), ("a", 2)]
    assert outlet.unread == 2
    assert served.told == ["hold", None]
