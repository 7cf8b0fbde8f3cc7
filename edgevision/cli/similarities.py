"""What `predict` shows of vectors: how like each other the photos are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.cli import output
from edgevision.tasks.embedding import Embedding

MOST_COLUMNS = 8  # photos that a table of all pairs has; of more, each is shown with the one that is most like it
SHOWN_NUMBERS = 3


def vector_line(result: Embedding) -> str:
    """A vector in a few words.

    >>> from edgevision.tasks.results import Timing
    >>> vector_line(Embedding(np.array([0.6, -0.8], np.float32), Timing(0, 0, 0)))
    'a vector of 2 numbers (0.600, -0.800)'
    """
    numbers = result.vector.tolist()
    first = ", ".join(f"{number:.3f}" for number in numbers[:SHOWN_NUMBERS])
    return f"a vector of {len(numbers)} numbers ({first}{', …' if len(numbers) > SHOWN_NUMBERS else ''})"


def show_similarities(names: Sequence[str], results: Sequence[Embedding]) -> None:
    """Print the cosines between photos, 1 = same direction: of all pairs, or of many photos each with the most similar one. Nothing of one
    photo."""
    if len(results) < 2:
        return
    vectors = np.stack([one.vector for one in results]).astype(np.float64)
    cosines = vectors @ vectors.T
    if len(results) <= MOST_COLUMNS:
        lines = [
            [f"{place + 1} {name}", *(f"{cosine:.3f}" for cosine in row)]
            for place, (name, row) in enumerate(zip(names, cosines, strict=True))
        ]
        output.table("Cosine similarity", ["photo", *(str(place + 1) for place in range(len(names)))], lines)
        return
    np.fill_diagonal(cosines, -np.inf)
    nearest = cosines.argmax(axis=1).tolist()
    lines = [
        [name, names[other], f"{cosines[place, other]:.3f}"]
        for place, (name, other) in enumerate(zip(names, nearest, strict=True))
    ]
    output.table("The most similar other photo", ["photo", "most similar", "cosine"], lines, left=2)
