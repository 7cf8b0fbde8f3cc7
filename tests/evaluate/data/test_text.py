from __future__ import annotations

import pytest

from edgevision.errors import DataError
from edgevision.evaluate.data.text import first_three, read_text, split_row

TEXT = "crème\n茶\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_with_a_mark_and_line_ends(put, encoding, line_end):
    """Python writes UTF-16 and UTF-32 with a mark; where the byte order is named, without."""
    marked = "\ufeff" if encoding.endswith(("-le", "-be")) else ""
    path = put("a.txt", (marked + TEXT.replace("\n", line_end)).encode(encoding))
    assert read_text(path, "a list") == TEXT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("utf-16-le"), "UTF-16 without a byte-order mark; save it as UTF-8"),
        ("tea\ncrème\n".encode("cp1252"), r"not text in UTF-8 \(line 2\); save it as UTF-8"),
        (b"\xff\xfea\0\x00\xd8", "not text in UTF-16"),  # half of a pair
        (b"PK\0\0", "binary"),
    ],
)
def test_other_bytes_are_refused_with_the_cure(put, content, message):
    path = put("a.txt", content)
    with pytest.raises(DataError, match=message) as caught:
        read_text(path, "a list")
    assert f"expected a list as UTF-8 text, but {path}" in str(caught.value)


def test_what_git_lfs_has_not_fetched_is_named(put):
    path = put("a.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    with pytest.raises(DataError, match=f"{path} is the pointer of Git LFS to it; fetch it with: git lfs pull"):
        read_text(path, "a list")


@pytest.mark.parametrize(
    ("line", "separator", "cells"),
    [
        ("a, b ,c", ",", ["a", "b", "c"]),
        ('"a, b" , c', ",", ["a, b", "c"]),
        ('a;"b;c"', ";", ["a", "b;c"]),
        ("\ta\tb c\t", "\t", ["", "a", "b c", ""]),
        ('a  "b c" 3', " ", ["a", "b c", "3"]),
        ('say ""hi""', ",", ['say ""hi""']),
    ],
)
def test_rows(line, separator, cells):
    assert split_row(line, separator) == cells


@pytest.mark.parametrize(("items", "expected"), [("a", "a"), ("abc", "a, b, c"), ("abcde", "a, b, c and 2 more")])
def test_first_three(items, expected):
    assert first_three(items) == expected
