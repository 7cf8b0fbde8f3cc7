"""The search for a message that breaks the connection, against other sides that are known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from edgevision.streams.sinks.culprit import CulpritSearch


class OtherSide:
    """``bad``: what it breaks the connection at. ``down``: at a try of this number it breaks whatever comes."""

    def __init__(self, bad: set[int], down: Callable[[int], bool] = lambda tries: False) -> None:
        self.bad = bad
        self.down = down
        self.tries = 0
        self.has: list[int] = []
        self.refused: list[int] = []

    def take(self, waiting: list[int], rounds: int) -> None:
        """Send ``waiting`` as the search says, until nothing is left or for so many rounds."""
        search = CulpritSearch()
        while waiting and self.tries < rounds:
            sent = search.choose(waiting)
            assert sent
            assert sent == [number for number in waiting if number in sent]  # in their order
            taken = self._attempt(sent)
            for number in taken:
                search.arrived(number)
                waiting.remove(number)
                self.has.append(number)
            if len(taken) == len(sent):
                search.went_well()
            else:
                guilty = search.broke([number for number in sent if number not in taken])
                if guilty is not None:
                    waiting.remove(guilty)
                    self.refused.append(guilty)

    def _attempt(self, sent: list[int]) -> list[int]:
        self.tries += 1
        if self.down(self.tries):
            return []
        first = next((place for place, number in enumerate(sent) if number in self.bad), len(sent))
        return sent[:first]


@pytest.mark.parametrize("bad", [{0}, {57}, {149}, {3, 4}, {10, 11, 12, 90}, set(range(20, 29))])
def test_the_guilty_are_found_and_all_others_arrive_once(bad):
    side = OtherSide(bad)
    waiting = list(range(150))
    side.take(waiting, 40 * len(bad) + 20)  # by halves, not for ever
    # The last one of all has no neighbour that could speak against it: it waits, and blocks nobody.
    assert set(side.refused) | set(waiting) == bad
    assert sorted(side.has) == [number for number in range(150) if number not in bad]


def test_it_waits_for_a_neighbour_where_it_is_alone():
    side = OtherSide({0})
    waiting = [0]
    side.take(waiting, 50)
    assert (waiting, side.refused) == ([0], [])


def test_while_nothing_is_taken_nobody_is_guilty():
    """A broker that takes connections and breaks each, such as one whose rights were set wrongly."""
    side = OtherSide(set(), down=lambda tries: True)
    waiting = list(range(150))
    side.take(waiting, 2000)
    assert waiting == list(range(150))
    assert side.refused == []


@pytest.mark.parametrize("seed", range(20))
def test_a_side_that_comes_back_at_any_time_refuses_nothing(seed):
    """It breaks everything for a while, and heals at a random try: also while a neighbour is asked."""
    until = random.Random(seed).randrange(1, 60)
    side = OtherSide(set(), down=lambda tries: tries < until)
    waiting = list(range(30))
    side.take(waiting, 10_000)
    assert side.refused == []
    assert sorted(side.has) == list(range(30))
    assert sum(1 for a, b in zip(side.has, side.has[1:], strict=False) if b < a) <= 1  # one at most was overtaken


@pytest.mark.parametrize("seed", range(10))
def test_a_line_that_drops_at_random_refuses_no_good_message(seed):
    draw = random.Random(seed)
    side = OtherSide({7}, down=lambda tries: draw.random() < 0.2)
    waiting = list(range(60))
    side.take(waiting, 10_000)
    assert side.refused == [7]
    assert sorted(side.has) == [number for number in range(60) if number != 7]


def test_what_is_gone_is_suspected_no_longer():
    """It was too old, and the spool dropped it."""
    search = CulpritSearch()
    for _ in range(4):
        search.broke(search.choose([5])[:1])
    assert search.choose([6, 7])[0] == 6
