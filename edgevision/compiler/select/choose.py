"""Which variant wins, by rule."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.compiler.options import Objective, Precision
from edgevision.compiler.variants import VariantMeasurement
from edgevision.latency import within_noise

# How many packages beyond the base runtime an engine needs.
_EXTRA_PACKAGES = {"onnxruntime": 0, "openvino": 1}


def cost_ms(one: VariantMeasurement, objective: Objective, threads: int, batch: int) -> float:
    """What the objective minimises: p50 engine latency, per item for throughput. Milliseconds."""
    p50_ms = one.latency[threads, batch][0]
    return p50_ms / batch if objective is Objective.THROUGHPUT else p50_ms


def allowed(one: VariantMeasurement, precision: Precision) -> bool:
    """Whether ``--precision`` admits the variant; int8 is what runs in int8, not what is called so."""
    if precision is Precision.INT8:
        return one.is_int8
    return precision is Precision.AUTO or not one.is_int8


def ranked(
    measurements: Sequence[VariantMeasurement], precision: Precision, objective: Objective, threads: int, batch: int
) -> tuple[VariantMeasurement, ...]:
    """The admitted variants, best first: the quickest; of what lies within the noise of it, fewer packages, then smaller.

    Each place is taken so among those that are left.
    """
    left = [one for one in measurements if allowed(one, precision)]
    order: list[VariantMeasurement] = []
    while left:
        quickest = min(left, key=lambda one: (cost_ms(one, objective, threads, batch), one.id))
        tied = [one for one in left if _ties(one, quickest, threads, batch)]
        best = min(tied, key=lambda one: (_EXTRA_PACKAGES.get(one.engine, 9), one.size_bytes, one.id))
        order.append(best)
        left.remove(best)
    return tuple(order)


def faster_elsewhere(
    chosen: VariantMeasurement,
    measurements: Sequence[VariantMeasurement],
    objective: Objective,
    threads: int,
    batch: int,
) -> str | None:
    """What to say when another precision would have been quicker by more than noise, or None."""
    own = cost_ms(chosen, objective, threads, batch)
    others = [one for one in measurements if one.is_int8 != chosen.is_int8]
    if not others:
        return None
    best = min(others, key=lambda one: cost_ms(one, objective, threads, batch))
    ms = cost_ms(best, objective, threads, batch)
    if ms >= own or _ties(chosen, best, threads, batch):
        return None
    return f"{best.id} would have been quicker here: {ms:.2f} ms against {own:.2f} ms"


def _ties(one: VariantMeasurement, quickest: VariantMeasurement, threads: int, batch: int) -> bool:
    return one is quickest or within_noise(one.samples[threads, batch], quickest.samples[threads, batch])
