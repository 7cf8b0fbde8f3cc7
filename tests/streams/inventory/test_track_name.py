"""The name of a track, from views whose sums are plain to see."""

import pytest

from edgevision.streams.inventory.track_name import UNKNOWN, TrackName, View


def named(*views: View) -> str:
    name = TrackName()
    for view in views:
        name.see(view)
    return name.best


TEA, MILK = View({"tea": 0.9, "milk": 0.1}), View({"milk": 0.6, "tea": 0.4})


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ([TEA], "tea"),
        ([TEA, MILK, MILK], "tea"),  # 1.7 against 1.3, though two of three views say milk
        ([TEA, *[MILK] * 5], "milk"),  # 3.1 against 2.9
        ([View({"tea": 0.9}, weight=0.2), View({"milk": 0.6})], "milk"),
        ([View({"tea": 0.5}), View({"milk": 0.5})], "tea"),  # of equal ones the first
        ([], UNKNOWN),
        ([View({})], UNKNOWN),
    ],
)
def test_the_chances_of_all_views_add_up(views, expected):
    assert named(*views) == expected


@pytest.mark.parametrize(("unknown", "expected"), [(0, "tea"), (10, "milk"), (11, UNKNOWN)])
def test_views_that_are_not_known_decide_with_the_others_which_name_it_is(unknown, expected):
    """Whether there is a name at all needs one known view of ten; which one it is, all views tell."""
    assert named(TEA, *[View({"milk": 0.5, "tea": 0.1}, is_known=False)] * unknown) == expected


def test_views_that_weigh_more_are_more_known():
    doubted = View({"milk": 0.5}, weight=0.9, is_known=False)
    assert named(View({"milk": 0.9}, weight=0.9), *[doubted] * 9) == "milk"
    assert named(View({"milk": 0.9}, weight=0.8), *[doubted] * 9) == UNKNOWN
