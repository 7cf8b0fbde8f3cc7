"""Many products at once, from folders and from CSV; and the CSV that a gallery is exported to."""

from __future__ import annotations

import csv
import io

import pytest
from galleries import BUNDLE, directions, source

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.listing import field_value, photos_of, products_in_csv, products_in_folder
from edgevision.gallery.placing import place_products
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.table import to_csv
from edgevision.gallery.writer import GalleryWriter

KNOWN = (GalleryProduct(5, "Pear"), GalleryProduct(9, "Café"))
SSCC = "340123450000000018"  # 18 digits: as a float it would lose the last


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-1.50", -1.5), ("1e3", 1000.0), ("TRUE", True), ("false", False), ("", None), (" ", None), ("apple", "apple"),
     ("007", "007"), ("0", 0), ("0.5", 0.5), ("nan", "nan"), ("1e999", "1e999"), ("1,29", "1,29"), ("12345678901234", 12345678901234),
     ("123456789012345", 123456789012345), (SSCC, SSCC), ("-" + SSCC, "-" + SSCC), ("0.1234567890123456789", 0.1234567890123456789)],
)  # fmt: skip
def test_values_of_fields(text, value):
    got = field_value(text)
    assert (got, type(got)) == (value, type(value))


def test_a_folder_of_products(tmp_path):
    touch(*(tmp_path / name for name in ("7 Royal Gala/1.jpg", "7 Royal Gala/side/2.png", "Pear/1.jpg", "Banana/1.jpg", "Banana/x.txt",
                                         "cafe\u0301/1.jpg", "Cafe\u0301/1.jpg", "12 Red_onion/a.jpg", "empty/readme.md", "8/readme.md")))  # fmt: skip
    listed = place_products(products_in_folder(tmp_path), KNOWN)
    assert {(one.product.id, one.product.name, len(one.photos), one.is_new) for one in listed} == {
        (7, "Royal Gala", 2, True), (5, "Pear", 1, False), (9, "Café", 1, False), (12, "Red onion", 1, True),
        (13, "Banana", 1, True), (14, "café", 1, True),
    }  # fmt: skip


@pytest.mark.parametrize("names", [[], ["1.jpg"], ["a/readme.md"]])
def test_a_folder_without_products(tmp_path, names):
    touch(*(tmp_path / name for name in names))
    with pytest.raises(InputError, match="one folder of photos for each product"):
        products_in_folder(tmp_path)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("7-Up lemonade", (None, "7-Up lemonade")), ("100 % Juice", (None, "100 % Juice")), ("12_Red_onion", (None, "12 Red onion")),
     ("-5 Pear", (None, "-5 Pear")), ("3.5 Milk", (None, "3.5 Milk")), ("7  Äpfel 2 kg", (7, "Äpfel 2 kg")), ("007 Agent", (7, "Agent"))],
)  # fmt: skip
def test_ids_in_folders_names(tmp_path, folder, expected):
    touch(tmp_path / folder / "1.jpg")
    (one,) = products_in_folder(tmp_path)
    assert (one.id, one.name) == expected


@pytest.mark.parametrize("folder", ["7", "0042", "7_"])
def test_a_folder_that_is_a_number_alone(tmp_path, folder):
    touch(tmp_path / folder / "1.jpg")
    with pytest.raises(InputError, match=r"call the folder by both, such as '\d+ Royal Gala'"):
        products_in_folder(tmp_path)


@pytest.mark.parametrize("names", [("5 Pear", "Pear"), ("7 x", "7 y"), ("Red_onion", "Red onion")])
def test_two_folders_of_one_product(tmp_path, names):
    touch(*(tmp_path / name / "1.jpg" for name in names))
    with pytest.raises(GalleryError, match="listed twice"):
        place_products(products_in_folder(tmp_path), KNOWN)


def listed(tmp_path, text, known=KNOWN):
    for name in "abc":
        touch(tmp_path / f"{name}.jpg")
    (tmp_path / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return place_products(products_in_csv(tmp_path / "list.csv"), known)


def test_a_csv(tmp_path):
    text = (
        "\ufeffid;name;photo;price;kind\r\n"
        '7;"Gala; royal";a.jpg;1.29;\r\n7;;b.jpg;;apple\r\n\r\n5;Pear;c.jpg;;\r\n;Onion;;0.5;\r\n'
    )
    one, two, three = listed(tmp_path, text)
    assert one.product == GalleryProduct(7, "Gala; royal", {"price": 1.29, "kind": "apple"})
    assert one.photos == (tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert (two.product, two.is_new, two.photos) == (KNOWN[0], False, (tmp_path / "c.jpg",))
    assert (three.product, three.photos) == (GalleryProduct(10, "Onion", {"price": 0.5}), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names the columns"),
        ("id,name\n1,a\n", "names the columns"),
        ("photo,price\na.jpg,1\n", "names the columns"),
        ("photo,name,name\na.jpg,x,y\n", "two columns"),
        ("photo,name\n", "lists no products"),
        ("photo,name\nz.jpg,x\n", r"line 2: there is no photo"),
        ("photo,name\na.jpg,x,more\n", r"line 2: expected 2 columns, got 3"),
        ("photo,name\na.jpg,\n", r"line 2: a product has an id"),
        ("photo,id\na.jpg,seven\n", r"line 2: a product's id is a whole number"),
        ("photo,id\na.jpg,7\n", "the gallery has no product 7; give a new one its name"),
        ("photo,id,name\na.jpg,-7,x\n", "whole number, 0 or more, of at most 53 bits, got -7"),
        ("photo,id,name\na.jpg,5,Plum\n", "line 2: the product 5 is called 'Pear' in the gallery, and 'Plum' here"),
        ("photo,id,name\na.jpg,7,x\nb.jpg,7,y\n", r"line 3: the product 7 is called 'x' before"),
        ("photo,name,price\na.jpg,x,1\nb.jpg,x,2\n", r"line 3: price is 1 before"),
        ("photo,id,name\na.jpg,5,\nb.jpg,,Pear\n", "listed twice"),
        (b"photo,name\na.jpg,\xff\n", "not UTF-8"),
        ('photo,name\na.jpg,"' + "x" * 200_000 + '"\n', "field larger than"),
        ("photo,name\na.jpg,a\0b\n", "control character|NUL"),
    ],
)
def test_csv_that_are_wrong(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        listed(tmp_path, text)


def test_photos_of(tmp_path):
    touch(tmp_path / "x" / "1.jpg", tmp_path / "x" / "2.jpg")
    first, second = tmp_path / "x" / "1.jpg", tmp_path / "x" / "2.jpg"
    assert photos_of([second, tmp_path / "x"]) == (second, first)
    with pytest.raises(InputError, match="there is no photo"):
        photos_of([tmp_path / "gone.jpg"])
    with pytest.raises(InputError, match="there are no photos"):
        photos_of([])


def test_export(tmp_path):
    with GalleryWriter(tmp_path / "a.evg", bundle_id=BUNDLE, dimension=16) as writer:
        writer.add_product(GalleryProduct(1, "=cmd()", {"price": -1.5, "organic": True, "text": 'a;b,\n"c"'}))
        writer.add_product(GalleryProduct(2, "äpple", {"kind": "+1"}))
        writer.add_examples(
            1, directions(2), [source(1), source(2)], ["a.jpg", "b.jpg"], added=["2026-01-31T12:00:00Z"] * 2
        )
    data = to_csv(open_gallery(tmp_path / "a.evg"))
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    when = "2026-01-31T12:00:00Z"
    assert rows == [
        ["id", "name", "price", "organic", "text", "kind", "note", "source", "added"],
        ["1", "'=cmd()", "-1.5", "true", 'a;b,\n"c"', "", "a.jpg", source(1), when],
        ["1", "'=cmd()", "-1.5", "true", 'a;b,\n"c"', "", "b.jpg", source(2), when],
        ["2", "äpple", "", "", "", "'+1", "", "", ""],
    ]
