"""What names, fields, notes and ids a gallery takes: the same rules for callers and for what is read from a file."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping

from edgevision.errors import GalleryError
from edgevision.gallery.products import FieldValue, GalleryProduct

MAX_NAME = 500  # characters
MAX_NOTE = 1000
MAX_TEXT = 10_000  # of one field
MAX_FIELDS = 100
MAX_ID = 2**53 - 1  # larger whole numbers are not exact in JSON
MAX_BUNDLE_ID = 200

_SOURCE = re.compile(r"[0-9a-f]{64}")
_ADDED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)", re.ASCII)


def checked_product(product: GalleryProduct) -> GalleryProduct:
    """The product as it is kept: texts in Unicode's composed form (NFC). Raises GalleryError for what breaks a rule."""
    return GalleryProduct(checked_id(product.id), checked_name(product.name), checked_fields(product.fields))


def checked_id(number: object) -> int:
    """A product's id: a whole number, 0 or more, that JSON keeps exactly."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_ID:
        raise GalleryError(f"a product's id is a whole number, 0 or more, of at most 53 bits, got {number!r:.60}")
    return number


def checked_name(name: object) -> str:
    """A product's name in NFC, without white space around it.

    >>> checked_name(" Cafe\\u0301 ")
    'Café'
    """
    return _checked_text(name, "a product's name", 1, MAX_NAME)


def checked_fields(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Fields whose names and values fit in JSON, with text in NFC."""
    if not isinstance(fields, Mapping):
        raise GalleryError(f"the fields of a product are a mapping of names to values, got {type(fields).__name__}")
    if len(fields) > MAX_FIELDS:
        raise GalleryError(f"a product has at most {MAX_FIELDS} fields, got {len(fields)}")
    kept: dict[str, FieldValue] = {}
    for name, value in fields.items():
        known = _checked_text(name, "a field's name", 1, MAX_NAME)
        if known in kept:
            raise GalleryError(f"two fields have the name {known!r}; give each a name of its own")
        kept[known] = _checked_value(known, value)
    return kept


def merged_fields(old: Mapping[str, FieldValue], given: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """``old`` with the fields ``given`` in place of its own of the same names; one that is given as None goes.

    >>> merged_fields({"price": 1.29, "kind": "apple"}, {"price": 1.49, "kind": None})
    {'price': 1.49}
    """
    changed = checked_fields(given)
    merged = {**old, **changed}
    return checked_fields({name: value for name, value in merged.items() if name not in changed or value is not None})


def checked_note(note: object) -> str:
    """A note as it is kept. It often is a file's name, which may hold anything: what no text can hold becomes a replacement character."""
    if not isinstance(note, str):
        raise GalleryError(f"a note is text, got {type(note).__name__}")
    readable = note.encode("utf-8", "replace").decode("utf-8")
    text = "".join("\ufffd" if unicodedata.category(one) == "Cc" else one for one in readable)
    return text if len(text) <= MAX_NOTE else text[: MAX_NOTE - 1] + "…"


def checked_source(source: object) -> str:
    """The SHA-256 of a picture, as 64 hexadecimal digits in lower case."""
    if not isinstance(source, str) or _SOURCE.fullmatch(source) is None:
        raise GalleryError(
            f"an example's source is the SHA-256 of its picture, 64 hexadecimal digits, got {source!r:.80}"
        )
    return source


def checked_added(added: object) -> str:
    """A time of ISO 8601 in UTC."""
    if not isinstance(added, str) or _ADDED.fullmatch(added) is None:
        raise GalleryError(f"when an example was added is a time like 2026-01-31T12:00:00Z, got {added!r:.60}")
    return added


def checked_bundle_id(bundle_id: object) -> str:
    """The id of the bundle that a gallery belongs to."""
    if not isinstance(bundle_id, str) or not bundle_id or len(bundle_id) > MAX_BUNDLE_ID or not bundle_id.isascii():
        raise GalleryError(f"a bundle's id is its SHA-256 as text (Model.id), got {bundle_id!r:.80}")
    if not bundle_id.isprintable():
        raise GalleryError("a bundle's id is its SHA-256 as text (Model.id), got one with control characters")
    return bundle_id


def _checked_value(name: str, value: object) -> FieldValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_text(value, f"the field {name!r}", 0, MAX_TEXT, keep="\n\t")
    if isinstance(value, (int, float)):
        too_large = abs(value) > MAX_ID if isinstance(value, int) else not math.isfinite(value)
        if too_large:
            raise GalleryError(
                f"the field {name!r} is a finite number of at most 53 bits, got {value!r:.40}; or give it as text"
            )
        return value
    raise GalleryError(f"the field {name!r} is text, a number, true, false or nothing, got {type(value).__name__}")


def _checked_text(text: object, what: str, least: int, most: int, keep: str = "") -> str:
    if not isinstance(text, str):
        raise GalleryError(f"{what} is text, got {type(text).__name__}")
    for one in text:
        kind = unicodedata.category(one)
        if kind == "Cs":
            raise GalleryError(
                f"{what} has half of a character (U+{ord(one):04X}), which no file can hold; write it anew"
            )
        if kind == "Cc" and one not in keep:
            raise GalleryError(f"{what} has the control character U+{ord(one):04X}; leave it out")
    composed = unicodedata.normalize("NFC", text).strip()
    if not least <= len(composed) <= most:
        raise GalleryError(f"{what} has {least} … {most} characters, got {len(composed)}")
    return composed
