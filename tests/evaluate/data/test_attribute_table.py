"""Tables of attributes, and photos joined with them."""

from __future__ import annotations

import pytest

from edgevision.decode import encode_png
from edgevision.errors import DataError
from edgevision.evaluate.data.attribute_table import is_photo_table, read_table
from edgevision.evaluate.data.dataset import Dataset, Photo, read_dataset
from edgevision.evaluate.data.described import known_values, only_attributes, table_for, with_table
from edgevision.evaluate.data.photo_check import read_checked
from edgevision.evaluate.data.splits import class_of_each, split_by_content
from edgevision.tasks.results import Label


@pytest.fixture
def photos(tmp_path):
    """A folder of class folders: two apples, two pears, one plum, no two alike."""
    import numpy as np

    for place, name in enumerate(("apple/1", "apple/2", "pear/1", "pear/2", "plum/1")):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((8, 8, 3), 40 * place, np.uint8)))
    return tmp_path / "photos"


def write(folder, text, name="table.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ---- reading ----


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_column_is_an_attribute_and_values_may_be_missing(tmp_path, separator):
    rows = ["photo,colour,ripe", "1.jpg,red,yes", "2.jpg,?,no", '"3.jpg",green', "# a remark", "", "4.jpg,,N/A"]
    table = read_table(write(tmp_path, "\n".join(row.replace(",", separator) for row in rows)))
    assert table.heads == (("colour", ("green", "red")), ("ripe", ("no", "yes")))
    assert table.labels == ("colour: green", "colour: red", "ripe: no", "ripe: yes")
    assert [table.places(row) for row in table.rows] == [(1, 3), (2,), (0,), ()]
    assert not table.by_class


@pytest.mark.parametrize("heading", ["class", "Class Name (str)", "label", "product", "sku"])
def test_the_first_column_may_be_the_class(tmp_path, heading):
    table = read_table(write(tmp_path, f"{heading},colour\napple,red\npear,green\n"))
    assert table.by_class
    assert table.of_class(("nothing", "pear")).values == (("colour", "green"),)
    assert table.of_class(("plum",)) is None


def test_names_of_classes_are_compared_in_nfc(tmp_path):
    table = read_table(write(tmp_path, "class,kind,aged\nGruye\u0300re,cheese,yes\nFeta,cheese,no\n"))
    assert table.of_class(("Gruy\u00e8re",)) is not None


def test_columns_can_be_chosen(tmp_path):
    path = write(tmp_path, "class,price,colour\napple,1.29,red\npear,1.49,green\n")
    assert [name for name, _ in read_table(path, ["colour"]).heads] == ["colour"]
    with pytest.raises(DataError, match="no column 'weight'; it has price, colour"):
        read_table(path, ["weight"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no lines"),
        ("path,colour\n", "a row for each photo"),
        ("class,colour\n", "a row for each class"),
        ("colour,path\nred,1.jpg\n", "first column.*got 'colour'"),
        ("path\n1.jpg\n", "two columns or more"),
        ("path,,b\n1.jpg,1,2\n", "heading for each column"),
        ("path,a,a\n1.jpg,1,2\n", "repeated: 'a'"),
        ("path,a:,b\n1.jpg,1,2\n", "no colon"),
        ("path,a,b\n1.jpg,1,2,3\n", "line 2 of .*got 4"),
        ("path,a,b\n,1,2\n", "first not empty, in line 2"),
        ("path,a,b\n1.jpg,1,2\n1.jpg,2,1\n", "repeated: '1.jpg'"),
        ("path,a,b\n1.jpg,?,\n", "no value is known"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, text))


@pytest.mark.parametrize(
    ("header", "name", "expected"),
    [
        ("path,colour,ripe", "t.csv", True),
        ("filename\tcolour\tripe", "t.tsv", True),
        ("path,colour", "t.csv", False),  # a class for each photo, as before
        ("path,label,colour", "t.csv", False),
        ("class,colour,ripe", "t.csv", False),
        ("path,Tea,Salt\n1.jpg,1,0\n2.jpg,0,1", "t.csv", False),  # a column for each class
        ("path,ripe,damaged\n1.jpg,1,0\n2.jpg,1,1", "t.csv", True),
        ("path,colour,ripe", "t.txt", False),
        ("", "t.csv", False),
    ],
)
def test_which_files_are_photo_tables(tmp_path, header, name, expected):
    assert is_photo_table(write(tmp_path, f"{header}\n", name)) is expected


# ---- photos with attributes ----


def test_a_table_of_photos_is_a_data_set(photos):
    table = write(photos, "path,colour,ripe\napple/1.png,red,\npear\\1.png,green,yes\nplum/1.png,,no\n")
    dataset = read_dataset(table)
    assert dataset.described
    assert not dataset.labelled
    assert [photo.path.relative_to(photos).as_posix() for photo in dataset] == [
        "apple/1.png",
        "pear/1.png",
        "plum/1.png",
    ]
    assert [photo.attributes for photo in dataset] == [(1,), (0, 3), (2,)]
    assert dataset.class_counts.tolist() == [1, 1, 1, 1]
    with pytest.raises(DataError, match="--task attributes"):
        dataset.require_labels(purpose="a classifier")


def test_a_photo_that_is_not_there_is_named_when_photos_are_checked(photos):
    table = write(photos, "path,colour,ripe\nnone.png,red,yes\napple/1.png,green,no\n")
    with pytest.raises(DataError, match=r"none\.png"):
        read_checked(table)


def test_classes_get_the_attributes_of_their_row(photos):
    table = read_table(write(photos.parent, "class,colour,ripe\napple,red,yes\npear,green,\n"))
    dataset = with_table(read_dataset(photos), table)
    assert [photo.attributes for photo in dataset] == [(1, 2), (1, 2), (0,), (0,), ()]
    assert "1 of 5 photos" in dataset.notes[0]
    assert "1.png" in dataset.notes[0]


def test_classes_can_be_named_by_their_ids(photos):
    listed = write(photos, "apple/1.png, 7\npear/1.png, 9\n", "list.txt")
    labels = write(photos, "name,id\napple,7\npear,9\n", "labels.csv")
    table = read_table(write(photos.parent, "id,colour,ripe\n7,red,yes\n9,green,no\n"))
    assert [photo.attributes for photo in with_table(read_dataset(listed, labels), table)] == [(1, 3), (0, 2)]


def test_photos_get_the_attributes_of_their_path_wherever_the_table_lies(photos):
    table = read_table(
        write(photos.parent, "path,colour,ripe\nphotos/apple/2.png,red,yes\nphotos/plum/1.png,blue,no\n")
    )
    dataset = with_table(read_dataset(photos), table)
    assert [photo.attributes for photo in dataset] == [(), (1, 3), (), (), (0, 2)]


def test_a_table_of_other_photos_is_refused(photos):
    table = read_table(write(photos, "class,colour,ripe\nbanana,yellow,yes\n"))
    with pytest.raises(DataError, match=r"says nothing of any photo.*'banana'"):
        with_table(read_dataset(photos), table)


def test_a_table_of_classes_needs_photos_with_classes(photos):
    table = read_table(write(photos.parent, "class,colour,ripe\napple,red,yes\n"))
    with pytest.raises(DataError, match="which describes classes, needs a class for each photo"):
        with_table(read_dataset(photos / "apple"), table)
    own = read_dataset(write(photos, "path,colour,ripe\napple/1.png,red,yes\n", "own.csv"))
    with pytest.raises(DataError, match="attributes of its own"):
        with_table(own, table)


def test_a_photo_table_is_not_joined_with_another(photos):
    own = write(photos, "path,colour,ripe\napple/1.png,red,yes\n", "own.csv")
    other = write(photos, "class,colour,ripe\napple,red,yes\n", "other.csv")
    assert table_for(own, other) is None
    assert table_for(photos, None) is None
    assert table_for(photos, other).by_class


LABELS = tuple(Label(i, name) for i, name in enumerate(("colour: red", "colour: green", "ripe: no", "ripe: yes")))


def test_attributes_can_be_left_out(photos):
    dataset = Dataset(tuple(Photo(path, attributes=known) for path, known in
                            zip(read_dataset(photos).paths, [(0, 3), (1,), (), (2,), (0, 2)], strict=True)), LABELS)  # fmt: skip
    ripe = only_attributes(dataset, ["ripe"])
    assert [label.name for label in ripe.labels] == ["ripe: no", "ripe: yes"]
    assert [photo.attributes for photo in ripe] == [(1,), (), (), (0,), (0,)]
    assert known_values(dataset) == {"colour": ("red", "green"), "ripe": ("no", "yes")}
    assert class_of_each(dataset) == [3, 1, -1, 2, 0]  # the rarest of each; of equals the first
    first, second = split_by_content(dataset)
    assert len(first) + len(second) == 5
    assert first.described
    plain = read_dataset(photos)
    assert only_attributes(plain, ["ripe"]) is plain


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (Photo(None, attributes=(4,)), "expected values 0…3, got 4"),
        (Photo(None, 1, attributes=(0,)), "or a class"),
        (Photo(None), "has none"),
    ],
)
def test_a_data_set_that_contradicts_itself_is_refused(photo, message):
    with pytest.raises(DataError, match=message):
        Dataset((Photo(None, attributes=(0,)), photo), LABELS)
    with pytest.raises(DataError, match="no labels"):
        Dataset((Photo(None, attributes=(0,)),))
