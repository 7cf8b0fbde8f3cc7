"""List files as people and other programs write them: one table of what is read, one of what is refused and how."""

from __future__ import annotations

import pytest

from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.data.lists import read_list

COMPOSED, DECOMPOSED = "Gruy\u00e8re", "Gruye\u0300re"


@pytest.fixture
def photos(put):
    for name in ("p/a.jpg", "p/b.jpg", "p/my c.jpg", "p/d;1.jpg", "p/e,f.jpg"):
        put(name)
    return put


# What stands in the file → (photo, label) of each line.
TEA = [("a.jpg", "tea"), ("b.jpg", "salt")]
IDS = [("a.jpg", "4"), ("b.jpg", "12")]
READ = {
    "commas": ("p/a.jpg, tea\np/b.jpg,salt\n", TEA),
    "tabs": ("p/a.jpg\ttea\np/b.jpg\tsalt\n", TEA),
    "semicolons": ("p/a.jpg;tea\np/b.jpg; salt\n", TEA),
    "spaces": ("p/a.jpg tea\np/b.jpg   salt\n", TEA),
    "ids between spaces": ("p/a.jpg 4\np/b.jpg 12\n", IDS),
    "more columns": ("p/a.jpg\t4\tx\np/b.jpg\t12\ty\n", IDS),
    "more ids between spaces": ("p/a.jpg 4 0\np/b.jpg 12 -1\n", IDS),
    "a label with spaces behind a tab": ("p/a.jpg\tgreen tea\n", [("a.jpg", "green tea")]),
    "a label with commas behind a tab": ("p/a.jpg\tsalt, fine\n", [("a.jpg", "salt, fine")]),
    "a path with spaces": ("p/my c.jpg, tea\n", [("my c.jpg", "tea")]),
    "a path with a semicolon": ("p/d;1.jpg, tea\n", [("d;1.jpg", "tea")]),
    "a path with a comma": ("p/e,f.jpg\ttea\n", [("e,f.jpg", "tea")]),
    "quotes": ('"p/a.jpg";"green; tea"\n', [("a.jpg", "green; tea")]),
    "quotes between spaces": ('"p/my c.jpg" "green tea"\n', [("my c.jpg", "green tea")]),
    "backslashes": ("p\\a.jpg,tea\n.\\p\\b.jpg,salt\n", TEA),
    "a header": ("Path;Label\np/a.jpg;tea\np/b.jpg;salt\n", TEA),
    "a header of one column": ("filename\np/a.jpg\n", [("a.jpg", None)]),
    "a header whose label stands last": (
        "filename,width,height,class\np/a.jpg,640,480,tea\np/b.jpg,800,600,salt\n",
        TEA,
    ),
    "a header with two kinds of labels": ("path,coarse label,label\np/a.jpg,drink,tea\np/b.jpg,spice,salt\n", TEA),
    "a header of two columns of any name": ("image,product\np/a.jpg,tea\np/b.jpg,salt\n", TEA),
    "names that begin with numbers": ("p/a.jpg,7 up\np/b.jpg,9 lives\n", [("a.jpg", "7 up"), ("b.jpg", "9 lives")]),
    "paths alone": ("p/a.jpg\np/my c.jpg\n", [("a.jpg", None), ("my c.jpg", None)]),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_read(photos, text, expected, encoding):
    path = photos("list.csv", text.encode(encoding))
    assert [(row.path.name, row.label) for row in read_list(path)] == expected
    assert len(read_dataset(path)) == len(expected)


def test_lines_keep_their_numbers(photos):
    rows = read_list(photos("list.txt", "# photos\n\npath,label\np/a.jpg,tea\n"))
    assert [row.line for row in rows] == [4]


@pytest.mark.parametrize(("on_disk", "written"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_paths_are_found_in_the_form_of_another_system(put, on_disk, written):
    photo = put(f"{on_disk}/a.jpg")
    for separator in ("/", "\\"):
        assert [row.path for row in read_list(put("list.txt", f"{written}{separator}a.jpg, tea\n"))] == [photo]


def test_a_photo_may_be_called_as_a_header(put):
    photo = put("photo")
    assert [(row.path, row.label) for row in read_list(put("list.txt", "photo, tea\n"))] == [(photo, "tea")]


def test_a_file_with_a_backslash_in_its_name_is_meant_literally(put):
    literal = put("p\\a.jpg", "literal")
    put("p/a.jpg", "in the folder")
    assert [row.path for row in read_list(put("list.txt", "p\\a.jpg, tea\n"))] == [literal]


REFUSED = {
    "tabs, no such photos": ("q/a.jpg\ttea\nq/b.jpg\tsalt\n", "looks tab-separated.*2 lines .*line 1: q/a.jpg, line 2"),
    "tabs and commas, no such photos": ("q/a.jpg\tsalt, fine\n", "looks tab-separated.*line 1: q/a.jpg$"),
    "semicolons, no such photos": ("q/a.jpg;tea\n", "looks semicolon-separated.*1 lines .*line 1: q/a.jpg"),
    "spaces, no such photos": ("q/a.jpg 0\n", "looks space-separated.*line 1: q/a.jpg"),
    "tabs, one photo missing": ("p/a.jpg\ttea\nq/b.jpg\tsalt\n", "looks tab-separated.*1 lines .*line 2: q/b.jpg"),
    "a label that would be cut": ("p/a.jpg green tea\np/b.jpg salt\n", "1 lines .*quotes around labels.*line 1: p/a.jpg green tea"),
    "a path that would be cut": ("p/my c.jpg 4\n", "do not name a photo.*line 1"),
    "two ways of separating": ("p/a.jpg\ttea\np/b.jpg;salt\n", "1 lines .*do not name a photo"),
    "label first": ("tea,p/a.jpg\nsalt,p/b.jpg\n", "photos stand in the second column; swap the two"),
    "a header alone": ("path,label\n", "a header alone"),
    "a column for each class": ("filename,Tea,Salt\np/a.jpg,1,0\np/b.jpg,0,1\n", "which column .* holds the classes .*filename, Tea, Salt"),
    "two columns that may be the label": ("path,class_name,class_id\np/a.jpg,tea,4\n", "which column .*Call one of them 'label'"),
    "ids and names in one cell": ("p/a.jpg, 1 salt\np/b.jpg, 0 tea\n", "an id and a name each .line 1: '1 salt'.*--labels"),
    "photos of another machine": ("C:\\photos\\a.jpg,tea\n", r"relative to the file, or absolute\): line 1: C:\\photos\\a.jpg"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_cure(photos, text, message):
    path = photos("list.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
