"""What pages say of two models side by side."""

from __future__ import annotations

from edgevision.evaluate.page.html import Block, Text
from edgevision.evaluate.statistics.paired import PairedComparison


def compared(paired: PairedComparison | None, name: str, other: str) -> tuple[Block, ...]:
    """What the model ``name`` lost against ``other``, in a box: good news where it gained by more than chance, bad where it lost. Nothing
    for None."""
    if paired is None:
        return ()
    low, high = paired.interval
    return (Text(paired.sentence(name, other), "bad" if low > 0 else "good" if high < 0 else "plain"),)
