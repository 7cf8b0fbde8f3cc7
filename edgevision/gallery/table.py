"""A gallery as a table: one line for each example."""

from __future__ import annotations

import csv
import io

from edgevision.gallery.gallery import Gallery

_FIRST, _LAST = ("id", "name"), ("note", "source", "added")


def to_csv(gallery: Gallery) -> bytes:
    """UTF-8 with a byte order mark, as spreadsheets want it: id, name, the fields of all products, and of each example note, source
    and time; products without examples have one line. Vectors are not in it.

    Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection").
    """
    fields = list(dict.fromkeys(name for product in gallery.products for name in product.fields))
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([_cell(one) for one in (*_FIRST, *fields, *_LAST)])
    for product in gallery.products:
        start = [product.id, product.name, *(product.fields.get(name) for name in fields)]
        examples = gallery.examples_of(product.id)
        for ends in [(one.note, one.source, one.added) for one in examples] or [("", "", "")]:
            writer.writerow([_cell(one) for one in (*start, *ends)])
    return ("\ufeff" + file.getvalue()).encode("utf-8")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")):
        return f"'{value}"
    return value
