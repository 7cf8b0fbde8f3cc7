"""What ``edgevision gallery add`` and ``explain`` tell of photos: what was taken, left out, or cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.errors import ImageError

if TYPE_CHECKING:
    from edgevision.gallery.photos import ChosenPhotos, PhotoOutcome
    from edgevision.gallery.placing import PlacedProduct

_ANYWAY = "What was left out is taken with --anyway."


@dataclass(frozen=True)
class AddedProduct:
    """A product, what was chosen of its photos, and how many of them are new examples."""

    placed: PlacedProduct
    chosen: ChosenPhotos
    new_examples: int


def added_data(added: Sequence[AddedProduct], bad: Sequence[tuple[Path, ImageError]]) -> dict[str, Any]:
    """Plain JSON values."""
    products = [
        {
            "product": one.placed.product.to_dict(),
            "is_new": one.placed.is_new and bool(one.chosen.taken or not one.placed.photos),
            "new_fields": list(one.placed.new_fields),
            "examples": one.new_examples,
            "photos": [outcome.to_dict() for outcome in one.chosen.outcomes],
        }
        for one in added
    ]
    return {"products": products, "unreadable": [{"photo": str(path), "reason": str(error)} for path, error in bad]}


def say_added(path: Path, added: Sequence[AddedProduct], bad: Sequence[tuple[Path, ImageError]]) -> None:
    """Tell of each product, and of each photo that was left out. ``path``: the gallery's."""
    from edgevision.gallery.view_choice import Verdict

    refused = False
    for one in added:
        product = one.placed.product
        known = len(one.chosen.taken) - one.new_examples
        more = f", {known} taken before" if known else ""
        of = output.counted(len(one.placed.photos), "photo")
        output.say(f"{product.name} ({product.id}): {output.counted(one.new_examples, 'new example')} of {of}{more}")
        for name in one.placed.new_fields:
            output.say(f"  {name} is {product.fields[name]} now")
        for outcome in one.chosen.outcomes:
            if outcome.verdict is not Verdict.TAKEN:
                refused = refused or outcome.verdict is not Verdict.NOTHING_NEW
                output.say(f"  {outcome.path}: left out, {_why(outcome)}")
    if refused:
        output.say(_ANYWAY)
    say_unreadable(bad)
    output.say(f"What may be wrong with the gallery now: edgevision gallery audit {path}", style="dim")


def say_unreadable(bad: Sequence[tuple[Path, ImageError]]) -> None:
    """Name the photos that cannot be read, on stderr, and say how many there are; nothing where there are none."""
    if not bad:
        return
    lines = [f"  {error}" for _, error in bad]
    output.show_error("\n".join([f"{output.counted(len(bad), 'photo')} cannot be read:", *lines]), 1, json=False)


def _why(outcome: PhotoOutcome) -> str:
    from edgevision.gallery.view_choice import Verdict

    if outcome.verdict is Verdict.NOTHING_NEW:
        return "nearly the same as another example"
    if outcome.like is None:
        return "it is blurred"
    like = f"{outcome.like.name} ({outcome.like.id})"
    return (
        f"it is an example of {like} already"
        if outcome.verdict is Verdict.ANOTHERS_EXAMPLE
        else f"it looks like {like}"
    )
