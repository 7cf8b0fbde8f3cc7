"""The task `count`, its half for the device: how much of each colour a picture holds, and whether the light is on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, View, number
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import FrameId, Timing
from edgevision.tensors import Outputs, TensorInfo

LEVELS, BRIGHT = "levels", "bright"  # the roles of the outputs; by these names digests keep them


@dataclass(frozen=True)
class Count:
    """What a picture holds. ``levels``: by label, 0…1; ``bright``: whether the light is on."""

    levels: dict[str, float]
    bright: bool
    timing: Timing
    frame: FrameId

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class CountTask:
    """How the outputs become a ``Count``.

    Roles: ``levels`` [n, labels], ``bright`` [n, 1]. Parameter: ``bright_from``, 0…1, from which on the light counts as on.
    """

    def __init__(self, spec: TaskSpec) -> None:
        if not spec.labels:
            raise InputError("a model that counts has at least 1 label, got none")
        if unknown := set(spec.parameters) - {"bright_from"}:
            raise InputError(f"a model that counts has the parameter bright_from, got {sorted(unknown)}")
        self.spec = spec
        self.bright_from = number(spec.parameters, "bright_from", 0.5, 0.0, 1.0)
        # Role → the output's name in the graph, and the shape of one item.
        self._names = {role: spec.output(role).name for role in (LEVELS, BRIGHT)}
        self._shapes = {LEVELS: (len(spec.labels),), BRIGHT: (1,)}

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``."""
        got = {output.name: output.shape[1:] for output in outputs}
        expected = {self._names[role]: shape for role, shape in self._shapes.items()}
        if got != expected:
            raise EngineError(f"expected a graph with the outputs {expected}, got {got}; export the model with those")

    def digest(self, outputs: Outputs) -> Outputs:
        """See ``Task``: both outputs, by role. They are small, so all of them is kept."""
        found = {role: np.asarray(outputs[name], np.float32) for role, name in self._names.items()}
        for role, array in found.items():
            if array.shape[1:] != self._shapes[role] or not np.isfinite(array).all():
                raise UnreadableOutputError(
                    f"expected finite numbers [n, {self._shapes[role][0]}] as {role}, got shape {array.shape}, or NaN or "
                    "infinity in it; the graph or its input is broken"
                )
        return found

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Count]:
        """See ``Task``."""
        started = time.perf_counter()
        found = self.digest(outputs)
        names = [label.name for label in self.spec.labels]
        levels = [dict(zip(names, row, strict=True)) for row in found[LEVELS].tolist()]
        bright = (found[BRIGHT][:, 0] >= self.bright_from).tolist()
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [Count(*item, timing, view.frame) for *item, view in zip(levels, bright, views, strict=True)]

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task``: a level may differ by 0.001 where the model was compiled, elsewhere by 0.1."""
        allowed = 1e-3 if same_device else 0.1
        worst = max(float(np.abs(now[role] - stored[role]).max()) for role in self._shapes)
        if worst > allowed:
            return GoldenResult(
                False, worst, f"a number differs by {worst:.3g} from the stored one, allowed {allowed:g}"
            )
        turned = (now[BRIGHT] >= self.bright_from) != (reference[BRIGHT] >= self.bright_from)
        clear = np.abs(reference[BRIGHT] - self.bright_from) > 0.2
        if (turned & clear).any():
            return GoldenResult(False, worst, "the light is on in one and off in the other, and float was sure")
        return GoldenResult(True, worst, f"{len(now[LEVELS])} golden frames agree: worst difference {worst:.2g}")


def resolve(facts: ModelFacts) -> TaskSpec:
    """Which output plays which role: by name, else by shape. Raises InputError where both leave a doubt."""
    outputs, labels = facts.outputs, facts.labels
    names = {output.name for output in outputs}
    if names == {LEVELS, BRIGHT}:
        roles = {LEVELS: LEVELS, BRIGHT: BRIGHT}
    else:
        levels = [output.name for output in outputs if output.shape[1:] == (len(labels),)]
        bright = [output.name for output in outputs if output.shape[1:] == (1,)]
        if len(outputs) != 2 or len(levels) != 1 or len(bright) != 1:
            raise InputError(
                f"expected two outputs, [batch, {len(labels)}] (levels) and [batch, 1] (bright), got "
                f"{[(output.name, output.shape) for output in outputs]}; name them '{LEVELS}' and '{BRIGHT}'"
            )
        roles = {LEVELS: levels[0], BRIGHT: bright[0]}
    return TaskSpec("count", labels, tuple(OutputRole(role, name, "0…1") for role, name in roles.items()))


TASK = TaskType("count", CountTask, resolve)
