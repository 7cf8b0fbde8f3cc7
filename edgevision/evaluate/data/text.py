"""Text files as people have them: the encoding, and which sign separates the cells of a row."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable
from pathlib import Path

from edgevision.errors import DataError
from edgevision.files import is_lfs_pointer

MAX_TEXT_BYTES = 64 * 2**20  # a list of a million photos is smaller; a model given by mistake is often larger

# Byte-order marks. UTF-32's begins with UTF-16's, so it stands first.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark (which is dropped).

    Line ends become ``\\n``. Raises DataError for anything else.
    """
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise DataError(f"expected {what}, but {path} has {size / 2**20:.0f} MB: it does not look like text")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {what} {path}: {error.strerror or error}") from error
    if is_lfs_pointer(data):
        raise DataError(f"expected {what}, but {path} is the pointer of Git LFS to it; fetch it with: git lfs pull")
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        raise DataError(
            f"expected {what} as UTF-8 text, but {path} is not text: it is binary, or UTF-16 without a "
            "byte-order mark; save it as UTF-8, or check the path"
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"expected {what} as UTF-8 text, but {path} is not text in {encoding.removesuffix('-sig').upper()} "
            f"(line {line}); save it as UTF-8, or check the path"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_row(line: str, separator: str) -> list[str]:
    """The cells of one row, without the spaces around them; a cell in double quotes may hold the separator.

    Raises csv.Error.
    """
    return [cell.strip() for cell in next(csv.reader([line.strip(" ")], delimiter=separator, skipinitialspace=True))]


def first_three(items: Iterable[str]) -> str:
    """``a, b, c and 7 more``: enough of a list for a message."""
    listed = list(items)
    more = len(listed) - 3
    return ", ".join(listed[:3]) + (f" and {more} more" if more > 0 else "")
