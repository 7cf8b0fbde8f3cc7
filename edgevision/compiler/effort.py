"""What a compile may cost: how much of it a network gets that takes long over each photo, and how long that will take.

The first graphs that run here tell what a photo costs. Each step that goes over photos or rounds is allowed some
seconds by the effort that was asked for, and gets as many photos or rounds as fit in; small networks get all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Effort(Enum):
    """``QUICK``: a first answer. ``NORMAL``: large networks get fewer photos and rounds where they add little.
    ``THOROUGH``: nothing is cut."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


@dataclass(frozen=True)
class Allowance:
    """Seconds that steps may take. ``answers``: of all variants to the calibration photos."""

    calibrate_s: float
    recipes_s: float
    measure_s: float
    answers_s: float
    ranking_s: float
    report_s: float


ALLOWANCES: Mapping[Effort, Allowance] = {
    Effort.QUICK: Allowance(60, 20, 15, 45, 30, 0),
    Effort.NORMAL: Allowance(75, 50, 40, 55, 120, 30),
    Effort.THOROUGH: Allowance(math.inf, math.inf, math.inf, math.inf, 1800, 300),
}
MIN_CALIBRATION, MIN_TRIALS, MIN_ROUNDS = 64, 32, 8  # below these, what is found out is chance
WARMUP_ROUNDS = 5
REPORT_PHOTOS = 32  # that the report measures sensitivities on


@dataclass(frozen=True)
class Counts:
    """What the steps get: photos to ``calibrate`` with, photos to try recipes on, rounds to measure; and the seconds that
    ranking nodes, before some fall back to float, and the report's sensitivities may take."""

    calibration: int
    trials: int
    rounds: int
    ranking_s: float
    report_s: float


@dataclass(frozen=True)
class Load:
    """What there is to do. ``photo_s``: seconds that float takes for a photo on all threads; ``open_s``: that opening a
    variant takes. ``variants``: that will run here, ``int8`` of them in int8; ``recipes`` that will be tried,
    ``observations`` of all tensors over the calibration photos, ``nodes`` whose sensitivity the report shows,
    ``settings`` of threads and batch that are measured."""

    photo_s: float
    open_s: float
    calibration: int
    validation: int
    variants: int
    int8: int
    recipes: int
    observations: int
    nodes: int
    settings: int
    rounds: int


# In runs of float over a photo: measured on ViT-B/16, ResNet-50 and EfficientNet-Lite0 (2 cores, ONNX Runtime).
OBSERVE = 4.0  # ranges and channel means: all tensors are kept and counted
ALONE = 0.6  # one node in int8: the network from that node on is run, half of it on average; and the graph is written
ONE_THREAD = 1.5  # a setting with one thread, on average over those with all and with one


def counts_for(effort: Effort, load: Load, trials: int) -> Counts:
    """As many photos and rounds as the effort allows. ``trials``: the most photos that recipes are tried on."""
    allowed = ALLOWANCES[effort]
    observed = _fitting(allowed.calibrate_s, OBSERVE * load.observations * load.photo_s)
    answered = _fitting(allowed.answers_s, load.variants * load.photo_s)
    tried = _fitting(allowed.recipes_s, load.recipes * load.photo_s)
    measured = _fitting(allowed.measure_s, _round_s(load))
    return Counts(
        int(min(load.calibration, max(MIN_CALIBRATION, min(observed, answered)))),
        int(min(trials, max(MIN_TRIALS, tried))),
        int(min(load.rounds, max(MIN_ROUNDS, measured - WARMUP_ROUNDS))),
        allowed.ranking_s, allowed.report_s,
    )  # fmt: skip


def forecast(load: Load, counts: Counts) -> dict[str, float]:
    """Seconds that each step will take, by its name, in the order they come."""
    photo_s = load.photo_s
    trials = min(counts.trials, counts.calibration)
    return {
        "calibrate": OBSERVE * load.observations * counts.calibration * photo_s,
        "range estimators": load.recipes * trials * photo_s,
        "open the variants": load.int8 * load.open_s,
        "measure": (counts.rounds + WARMUP_ROUNDS) * _round_s(load),
        "calibration photos": load.variants * counts.calibration * photo_s,
        "validation photos": load.variants * load.validation * photo_s,
        "sensitivity": min(counts.report_s, REPORT_PHOTOS * load.nodes * ALONE * photo_s),
    }


def _round_s(load: Load) -> float:
    """Every variant once in every setting."""
    return ONE_THREAD * load.variants * load.settings * load.photo_s


def _fitting(allowed_s: float, each_s: float) -> float:
    return allowed_s / max(each_s, 1e-9)
