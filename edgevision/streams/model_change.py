"""What happens while a stream gets another model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgevision.errors import InputError
from edgevision.streams.ledger import is_count


class Step(Enum):
    """``LOADING`` → ``LOADED`` → ``SHADOWING`` → ``COMPARED`` → ``SWITCHED`` → ``KEPT``: a swap where all goes well. Else it ends with
    ``REFUSED`` or ``REPLACED``, before the switch, or with ``ROLLED_BACK`` after it. ``words`` tells each to people."""

    LOADING = "loading"
    LOADED = "loaded"
    SHADOWING = "shadowing"
    COMPARED = "compared"
    SWITCHED = "switched"
    KEPT = "kept"
    REFUSED = "refused"
    REPLACED = "replaced"
    ROLLED_BACK = "rolled_back"

    @property
    def is_last(self) -> bool:
        """Whether the swap is over with it."""
        return self in (Step.KEPT, Step.REFUSED, Step.REPLACED, Step.ROLLED_BACK)


@dataclass(frozen=True)
class TrialReport:
    """What was seen. ``frames``: given to both models; ``agreement``: of their answers in the mean, 0…1, and ``by_camera``;
    ``slowdown``: the new model's time for a frame over the live one's; None without frames."""

    frames: int
    agreement: float | None
    by_camera: dict[str, float]
    slowdown: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "frames": self.frames, "agreement": self.agreement, "by_camera": self.by_camera, "slowdown": self.slowdown,
        }  # fmt: skip

    @property
    def words(self) -> str:
        """In one sentence without its full stop."""
        if self.agreement is None or self.slowdown is None:
            return "no frame could be compared"
        least = min(self.by_camera, key=lambda camera: self.by_camera[camera])
        where = f" (least: camera {least}, {self.by_camera[least]:.1%})" if len(self.by_camera) > 1 else ""
        return f"its answers to {self.frames} live frames agree by {self.agreement:.1%}{where}, and it takes {self.slowdown:.2f} times as long"


@dataclass(frozen=True)
class ModelChange:
    """One step of a swap. ``model_id``: of the new model, as results have it; the name of its file until it is loaded.
    ``previous_id``: of the model that served when the swap began. ``words``: what happened, and why. ``at_ns``: UTC nanoseconds since 1970.
    ``report``: what was seen in shadow, from ``COMPARED`` on."""

    step: Step
    model_id: str
    previous_id: str
    words: str
    at_ns: int
    report: TrialReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "step": self.step.value, "model_id": self.model_id, "previous_id": self.previous_id, "words": self.words,
            "at_ns": self.at_ns, "report": None if self.report is None else self.report.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Any) -> ModelChange:
        """What ``to_dict`` made, without its report. Raises InputError that names what is wrong."""
        if not isinstance(values, dict):
            raise InputError(f"a change of the model is an object, got {type(values).__name__}")
        steps = [one.value for one in Step]
        if (step := values.get("step")) not in steps:
            raise InputError(f"a change of the model needs a step, one of {steps}, got {step!r}")
        for name, kind in (("model_id", str), ("previous_id", str), ("words", str), ("at_ns", int)):
            if type(values.get(name)) is not kind:
                raise InputError(f"a change of the model needs {name}, a {kind.__name__}, got {values.get(name)!r}")
        if not is_count(values["at_ns"]):
            raise InputError(f"a change of the model needs at_ns, nanoseconds since 1970, got {values['at_ns']}")
        return cls(Step(step), values["model_id"], values["previous_id"], values["words"], values["at_ns"])
