"""When a Station calls something still, gone, sure or blocked: every threshold, with its reason. All are seconds, probabilities or shares."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import cast

from edgevision.errors import InputError

_SHARES = ("sure", "cover", "alike", "noise_alarm", "smallest", "dark")
_MOST_CHOICES = 8
_UNKNOWN_S = 0.4


@dataclass(frozen=True)
class StationOptions:
    """How patient, how strict and how careful a Station is.

    Answers. ``sure``: the probability, after all looks, that an answer without asking needs; 0.997 allows three wrong ones in a thousand
    where the model's probabilities are right. ``cover``: what the choices of ``Unsure`` hold together. ``most_choices``: of them, at
    least 2; more than four big pictures fit no screen. ``patience_s``: from still to the answer at the latest; shoppers wait less than a
    second before they move the product again. ``unknown_s``: the same where no look so far knew the product (0.4, or ``patience_s`` where that is less, unless it is given): a stranger, mostly, which more looks
    of the same side do not change. ``alike``: the correlation between looks at a product that lies still, 0…1, see ``Evidence``; 0.7 as
    ``benchmarks/station.py`` measured at unlisted products, which wrong answers come from.

    Stillness. ``still_s``: nothing moves for so long; two frames of a camera with 15 a second, and fingers that let go of a product do
    not rest that long. ``arm_s``: for so long nothing is asked and nothing unknown is told while
    something that rests reaches out of the picture, as an arm does, and a product seldom; what is surely recognised is told at once. ``gone_s``: a product is gone when its place has
    looked empty for so long. ``learn_s``: the place has been still for so long when it is learnt as empty, at first. ``adapt_s``: time
    constant with which what is learnt follows the light; quicker than the sun, slower than a hand. ``absorb_s``: something unknown that has lain so long without a
    movement is part of the place, such as a leaflet that was left there.

    Sight. ``dark``: share of full white that the brighter half of the picture has to reach. ``dark_s``, ``covered_s``: for so long it is
    dark or covered before ``Blocked``; a passing sleeve is quicker. ``hand_s``: something moves for so long; putting a product down
    takes a second or two. ``camera_s``: no frame for so long. ``clear_s``: nothing of that for so long, then ``Unblocked``.

    The picture. ``smallest``: share of the picture that a product takes at least; what is smaller is no change. ``noise_alarm``:
    probability that noise alone makes one of the 80 × 60 cells that a picture is looked at in seem changed. ``crop``: show the
    classifier what changed, and not the whole picture; for models trained on photos of products. False for those trained on the
    whole view of this camera. Detectors always get the whole picture.

    Raises InputError for values that cannot be.

    >>> StationOptions(sure=0.99, patience_s=1.0).patience_s
    1.0
    """

    sure: float = 0.997
    cover: float = 0.95
    most_choices: int = 4
    patience_s: float = 0.7
    unknown_s: float = None  # type: ignore[assignment] # filled in: see __post_init__
    alike: float = 0.7
    still_s: float = 0.12
    arm_s: float = 1.0
    gone_s: float = 0.3
    learn_s: float = 0.6
    adapt_s: float = 4.0
    absorb_s: float = 120.0
    dark: float = 0.05
    dark_s: float = 1.0
    covered_s: float = 1.0
    hand_s: float = 5.0
    camera_s: float = 2.0
    clear_s: float = 0.3
    smallest: float = 0.004
    noise_alarm: float = 1e-6
    crop: bool = True

    def __post_init__(self) -> None:
        if cast("float | None", self.unknown_s) is None:
            less = _is_number(self.patience_s) and 0 < self.patience_s < _UNKNOWN_S
            object.__setattr__(self, "unknown_s", self.patience_s if less else _UNKNOWN_S)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _SHARES:
                _check(field.name, value, 0 < value < 1 if _is_number(value) else False, "within 0…1, without the ends")
            elif field.name.endswith("_s"):
                _check(field.name, value, value > 0 if _is_number(value) else False, "seconds, over 0")
        whole = isinstance(self.most_choices, int) and not isinstance(self.most_choices, bool)
        _check("most_choices", self.most_choices, whole and 2 <= self.most_choices <= _MOST_CHOICES, "2…8")
        _check("crop", self.crop, isinstance(self.crop, bool), "True or False")
        _check("unknown_s", self.unknown_s, self.unknown_s <= self.patience_s, "at most patience_s")
        _check("sure", self.sure, self.sure > 0.5, "over 0.5: less sure is a guess")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check(name: str, value: object, fine: bool, expected: str) -> None:
    if not fine:
        raise InputError(f"{name} of a Station is {expected}, got {value!r}")
