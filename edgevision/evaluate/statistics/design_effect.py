"""How much less photos say that answer for each other than as many photos that do not.

Intervals of shares (Tango's, Clopper's) take every photo for a draw of its own. Photos that are looked up among each other are not:
one photo may be the wrong answer of ten. Drawing photos again (bootstrap) is no way out: a photo that is drawn twice finds
itself. But who depends on whom is known: photos that have a photo in common, as themselves or as an answer. The variance of a mean is then the
sum of the products of the deviations of all such pairs (A. Cameron, J. Gelbach, D. Miller, "Robust Inference With Multiway
Clustering", Journal of Business & Economic Statistics 29 (2011) 238-249).

The *design effect* is that variance over the one of independent photos (L. Kish, "Survey Sampling", 1965); counts that are divided by it
say as much as so many independent photos (E. Korn, B. Graubard, "Confidence intervals for proportions with small expected number
of positive counts estimated from survey data", Survey Methodology 24 (1998) 193-201).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.statistics.retrieval import Places


def design_effect(values: npt.NDArray[np.float64], involved: Places) -> float:
    """Variance of the mean of ``values`` over that of as many independent photos; 1 where nothing varies, and at least that: pairs that
    seem to balance each other are too few to be believed.

    ``values`` float64 [n]: of each photo, such as 1 for lost and 0 for kept. ``involved`` int64 [n, k]: numbers of the photos that it
    depends on, itself and its answers; -1 = none.

    >>> lost = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    >>> design_effect(lost, np.arange(6)[:, None])  # nobody depends on anybody
    1.0
    >>> round(design_effect(lost, np.array([[0, 9], [1, 9], [2, -1], [3, -1], [4, -1], [5, -1]])), 3)  # one photo spoils both
    1.667
    """
    apart = values - values.mean()
    independent = float((apart * apart).sum())
    if independent == 0.0:
        return 1.0
    photos_of = _photos_of(involved)
    total = 0.0
    for photo, numbers in enumerate(involved.tolist()):
        own = {number for number in numbers if number >= 0}
        near = np.unique(np.concatenate([photos_of[number] for number in own])) if own else np.empty(0, np.int64)
        total += float(apart[photo] * apart[near].sum())
    return max(1.0, total / independent)


def _photos_of(involved: Places) -> dict[int, npt.NDArray[np.int64]]:
    """By number: the photos that depend on the photo of that number."""
    photos_of: dict[int, list[int]] = defaultdict(list)
    for photo, numbers in enumerate(involved.tolist()):
        for number in {number for number in numbers if number >= 0}:
            photos_of[number].append(photo)
    return {number: np.array(photos, np.int64) for number, photos in photos_of.items()}
