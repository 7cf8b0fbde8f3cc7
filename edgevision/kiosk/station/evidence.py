"""What several looks at one product say together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgevision.tasks.results import Prediction

_LEAST = 1e-6  # of a probability: one look rules nothing out for good


class Evidence:
    """Looks at one product, added up: the logarithm of what each says of a class, against the prior of ``1 / classes``.

    Looks at a product that lies still are not independent: pose, light and wear are the same in all of them, and a model that is wrong
    in one is wrong in the next. Adding their logarithms as they are would make it surer with every frame, of the same error. So the
    sum counts as many looks as are worth it: n looks with the correlation ``alike`` are worth n / (1 + (n - 1) · alike), the design effect of
    Kish ("Survey Sampling", 1965, section 5.4). One look counts as one; no number of them counts more than 1 / ``alike``.

    The rule that stops adding is Wald's ("Sequential Tests of Statistical Hypotheses", 1945): as soon as the odds for one class pass a
    bound; ``placing`` has it.

    ``classes``: how many the model knows. What a look does not name shares what is left of its probability evenly.

    >>> evidence = Evidence(classes=3, alike=0.5)
    >>> for _ in range(3):
    ...     evidence.add([Prediction(1, "apple", 0.9), Prediction(2, "pear", 0.08)], known=True)
    >>> [f"{one.name} {one.score:.3f}" for one in evidence.posterior()]
    ['apple 0.973', 'pear 0.026']
    """

    def __init__(self, classes: int, alike: float) -> None:
        self._classes = classes
        self._alike = alike
        self._names: dict[int, str] = {}
        self._sums: dict[int, float] = {}  # of logarithms, by class
        self._unnamed = 0.0  # the same of a class that no look has named
        self.looks = 0
        self.known = 0

    def add(self, predictions: Sequence[Prediction], known: bool) -> None:
        """Add what one look says: its best classes, and whether the model knows the product at all."""
        self.looks += 1
        self.known += int(known)
        named = {one.id: min(max(float(one.score), _LEAST), 1.0) for one in predictions}
        left = max(0.0, 1.0 - sum(float(one.score) for one in predictions))
        others = max(1, self._classes - len(named))
        rest = math.log(max(left / others, _LEAST))
        for one in predictions:
            self._names[one.id] = one.name
            self._sums.setdefault(one.id, self._unnamed)
        for key in self._sums:
            self._sums[key] += math.log(named[key]) if key in named else rest
        self._unnamed += rest

    @property
    def worth(self) -> float:
        """How many independent looks these are worth."""
        return self.looks / (1.0 + (self.looks - 1) * self._alike) if self.looks else 0.0

    @property
    def known_share(self) -> float:
        """Of the looks, 0…1; 0 without looks."""
        return self.known / self.looks if self.looks else 0.0

    def posterior(self) -> list[Prediction]:
        """The classes that a look named, the most likely first. The prior is even, so that it cancels. Empty without looks."""
        if not self.looks:
            return []
        factor = self.worth / self.looks
        powers = {key: factor * value for key, value in self._sums.items()}
        highest = max(powers.values())
        weights = {key: math.exp(power - highest) for key, power in powers.items()}
        unnamed = max(0, self._classes - len(weights)) * math.exp(min(0.0, factor * self._unnamed - highest))
        total = sum(weights.values()) + unnamed
        found = [Prediction(key, self._names[key], weight / total) for key, weight in weights.items()]
        return sorted(found, key=lambda one: -one.score)
