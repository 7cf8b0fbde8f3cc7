"""What a command writes replaces neither what it reads nor what people would miss."""

from __future__ import annotations

import sqlite3
import zipfile

import cv2
import numpy as np
import pytest
from galleries import make_gallery

from edgevision.cli.outputs import check_target
from edgevision.errors import InputError


def written(path):
    kind = path.suffix
    if kind == ".evg":
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE t (x)")
        database.close()
    elif kind == ".edge":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a", "b")
    elif kind in (".jpg", ".png", ".webp", ".tiff"):
        assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    else:
        path.write_text("id,name\n1,Pear\n")
    return path


@pytest.mark.parametrize("name", ["a.evg", "a.edge", "a.jpg", "a.png", "a.webp", "a.tiff"])
def test_what_people_would_miss_is_not_replaced(tmp_path, name):
    with pytest.raises(InputError, match="would be lost"):
        check_target(written(tmp_path / name))


@pytest.mark.parametrize("name", ["a.csv", "a.html", "empty", "gone"])
def test_other_files_are_replaced(tmp_path, name):
    path = tmp_path / name
    if name == "empty":
        path.touch()
    elif name != "gone":
        written(path)
    check_target(path, [None, tmp_path / "other"])


def test_an_input_is_not_replaced(tmp_path):
    path = written(tmp_path / "a.csv")
    link = tmp_path / "link"
    link.symlink_to(path)
    for target in (path, link):
        with pytest.raises(InputError, match="it is what is read"):
            check_target(target, [path])


@pytest.mark.parametrize(
    "words",
    [["gallery", "export", "{shop}", "-o", "{shop}"], ["gallery", "export", "{shop}", "-o", "{other}"],
     ["search", "{shop}", "--where", "price > 1", "--html", "{shop}"],
     ["search", "{shop}", "--where", "price > 1", "--html", "{other}"]],
)  # fmt: skip
def test_galleries_stay(edgevision, tmp_path, words):
    shop, other = tmp_path / "shop.evg", tmp_path / "other.evg"
    for path in (shop, other):
        make_gallery(path)
    before = [path.read_bytes() for path in (shop, other)]
    done = edgevision(*(word.format(shop=shop, other=other) for word in words))
    assert (done.status, done.out) == (2, "")
    assert "cannot write" in done.err
    assert [path.read_bytes() for path in (shop, other)] == before
