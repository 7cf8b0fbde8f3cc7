"""What happens while a stream gets another model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


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
class ModelChange:
    """One step of a swap. ``model_id``: of the new model, as results have it; the name of its file until it is loaded.
    ``previous_id``: of the model that served when the swap began. ``words``: what happened, and why. ``at_ns``: UTC nanoseconds since 1970."""

    step: Step
    model_id: str
    previous_id: str
    words: str
    at_ns: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "step": self.step.value, "model_id": self.model_id, "previous_id": self.previous_id, "words": self.words,
            "at_ns": self.at_ns,
        }  # fmt: skip
