"""A served model as people and programs are told of it: its name and id, what runs, and the proof that came with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.model import Model
    from edgevision.tasks.results import Label


@dataclass(frozen=True)
class ServedDescription:
    """One bundle that answers requests. ``id``: the SHA-256 of its manifest. ``kind``: what it does, such as ``classify``.

    ``proven``: whether photos showed that its accuracy stays within the budget; ``verdict``: the same in a sentence, None where no
    photo was shown to it. ``labels``: what it knows.
    """

    name: str
    id: str
    kind: str
    variant: str
    threads: int
    proven: bool
    verdict: str | None
    labels: tuple[Label, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the labels, of which there may be thousands: how many."""
        fields = asdict(self)
        del fields["labels"]
        return {**fields, "labels": len(self.labels)}


def described(model: Model | Cascade, name: str | None = None) -> ServedDescription:
    """What is told of a model. ``name``: what it is served as; None: as the bundle says. Of a cascade: name, variant and labels of the one that recognises; the ids of both, and proven where both are."""
    from edgevision.cascade import Cascade

    parts = (model.finder, model.recogniser) if isinstance(model, Cascade) else (model,)
    verdicts = [part.manifest.verdict_on(part.variant) for part in parts]
    told = [one.sentence() for one in verdicts if one is not None]
    last = parts[-1]
    return ServedDescription(
        name=last.manifest.name if name is None else name,
        id="-".join(part.id for part in parts),
        kind=", then ".join(part.task.spec.kind for part in parts),
        variant=last.variant.id,
        threads=last.threads,
        proven=all(one is not None and one.proven for one in verdicts),
        verdict="; then ".join(told) if told else None,
        labels=last.labels,
    )
