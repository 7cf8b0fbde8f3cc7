"""Names of classes and photos, compared as what they say and not as how a system happens to write them.

macOS writes "è" as "e" and an accent, most others as one character: the two look alike, and are different text. So names
are compared in Unicode's composed form (NFC). What the user wrote is kept for showing.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable


def composed(name: str) -> str:
    """The name as it is compared: in Unicode's form NFC.

    >>> composed("Gruye\\u0300re") == "Gruy\\u00e8re"
    True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def spellings(name: str) -> tuple[str, ...]:
    """The name as it is, and in the forms that other systems write it in (NFC, NFD), each once."""
    if name.isascii():
        return (name,)
    return tuple(dict.fromkeys((name, composed(name), unicodedata.normalize("NFD", name))))


def alike(names: Iterable[str]) -> list[str]:
    """Pairs of different spellings that are one name in NFC: ``'Gruy\\xe8re' and 'Gruye\\u0300re'``."""
    return _pairs(names, composed, ascii)


def case_notes(names: Iterable[str]) -> tuple[str, ...]:
    """A sentence for the user where names differ only in case, else nothing.

    Such classes stay two: letters and units may well differ so. Most are one product under two spellings.
    """
    pairs = _pairs({composed(name) for name in names}, str.casefold, repr)
    if not pairs:
        return ()
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return (
        f"classes that differ only in case are kept apart: {', '.join(pairs[:3])}{more}; rename one if they are the same",
    )


def differs_in_case(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that is ``name`` but for its case; None where there is none."""
    wanted = composed(name).casefold()
    return next((other for other in names if composed(other).casefold() == wanted), None)


def _pairs(names: Iterable[str], key: Callable[[str], str], show: Callable[[str], str]) -> list[str]:
    same: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        same[key(name)].append(name)
    return [" and ".join(map(show, group)) for group in same.values() if len(group) > 1]
