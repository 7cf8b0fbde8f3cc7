"""Which of a bundle's variants to try first on a machine that nobody has tuned."""

from __future__ import annotations

from collections.abc import Collection

from edgevision.bundle.manifest import Manifest, VariantEntry
from edgevision.machine import Machine, cpu_kind

GPU_ENGINES = ("tensorrt", "tensorrt-rtx")


def suited_first(manifest: Manifest, machine: Machine, gpu_engines: Collection[str]) -> tuple[VariantEntry, ...]:
    """The bundle's variants in the order to try them. ``gpu_engines``: installed here, with a GPU to run on.

    First those for this machine's GPU, then those for its kind of CPU: of a bundle that was made on that kind, these are
    the chosen variant and what follows it. Then the others in the bundle's order, and last those for GPUs that are not
    here, unless one of them is the chosen variant: that it cannot be used is worth a warning.
    """
    here = cpu_kind(machine.architecture, machine.features)
    made = manifest.environment
    made_here = cpu_kind(made.architecture, made.features) == here

    def rank(variant: VariantEntry) -> tuple[int, bool]:
        if variant.engine in GPU_ENGINES:
            place = 0 if variant.engine in gpu_engines or variant.id == manifest.chosen else 3
        elif variant.engine == "openvino" and variant.target == "x86-vnni" and here == "x86":
            place = 3  # its sums would saturate there
        elif variant.target == here or (not variant.target and made_here):
            place = 1
        else:
            place = 2
        return place, variant.id != manifest.chosen

    return tuple(sorted(manifest.variants, key=rank))
