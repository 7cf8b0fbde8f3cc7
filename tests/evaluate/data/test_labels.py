from __future__ import annotations

import pytest

from edgevision.errors import DataError, InputError
from edgevision.evaluate.data.labels import read_labels, read_output_labels, words
from edgevision.tasks.results import Label

TEA, SALT = Label(0, "tea"), Label(1, "sea salt")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("names.txt", "tea\nsea salt\n", (TEA, SALT)),
        ("names.names", "\ufefftea\r\nsea salt\r\n\r\n", (TEA, SALT)),  # byte-order mark, Windows line ends
        ("c.csv", "name,id\ntea,0\nsea salt,1\n", (TEA, SALT)),
        ("c.csv", "Class ID,Class Name\n1, sea salt\n0, tea\n\n", (TEA, SALT)),  # ordered by id
        ("c.csv", "class_id;x,id,shop,name\n0,0,Aldi,tea", (TEA,)),
        ("c.csv", 'ClassId,ClassName\n7,"salt, fine"\n', (Label(7, "salt, fine"),)),
        # the Grocery Store Dataset's header
        (
            "classes.csv",
            "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)\ntea,0,Drink,4\n",
            (TEA,),
        ),
        ("c.csv", "width,video,name,id\n1,2,tea,0\n", (TEA,)),  # "id" as a word, not inside one
        ("c.csv", "name;id\ntea;0\nsea salt;1\n", (TEA, SALT)),
        ("c.csv", 'id;name\n0;"tea; green"\n', (Label(0, "tea; green"),)),
        ("c.csv", "id\tname\n0\ttea\n1\tsea salt\n", (TEA, SALT)),
        ("c.tsv", "name\tid\ntea\t0\nsea salt\t1\n", (TEA, SALT)),
        ("c.csv", "\tid\tname\nx\t0\ttea\n", (TEA,)),  # an index without a heading, as pandas writes it
        ("names.txt", "0\ttea\n1\tsea salt\n", (TEA, SALT)),
        ("names.txt", "sea salt\t1\ntea\t0\n", (TEA, SALT)),
        ("names.txt", "cola, 330\ncola, 500\n", (Label(0, "cola, 330"), Label(1, "cola, 500"))),
        ("c.csv", "name;id\ntea;0\n".encode("utf-16"), (TEA,)),
        ("names.txt", "tea\r\nsea salt".encode("utf-16"), (TEA, SALT)),
        ("names.json", '["tea", "sea salt"]', (TEA, SALT)),
        ("names.json", '{"0": "tea", "1": "sea salt"}', (TEA, SALT)),
        ("names.json", '{"sea salt": 1, "tea": 0}', (TEA, SALT)),
        ("names.json", '{"sea salt": "1", "tea": "0"}', (TEA, SALT)),
        ("names.json", '{"7": "tea", "9": "7"}', (Label(7, "tea"), Label(9, "7"))),
        ("names.json", '{"7": 0, "tea": 1}', (Label(0, "7"), Label(1, "tea"))),
        ("names.json", '{"0": 0, "1": "1"}', (Label(0, "0"), Label(1, "1"))),  # both readings say the same
        ("config.json", '{"hidden": 4, "id2label": {"0": "tea", "1": "sea salt"}}', (TEA, SALT)),
        ("config.json", '{"label2id": {"tea": 0, "sea salt": 1}}', (TEA, SALT)),
        ("config.json", '{"id2label": {"0": "tea"}, "label2id": {"tea": 0}}', (TEA,)),
        ("names.txt", '\n["tea", "sea salt"]', (TEA, SALT)),  # JSON by its content
        # names that begin with numbers, which are no ids
        ("names.txt", "1 l\n2 l\n", (Label(0, "1 l"), Label(1, "2 l"))),
        ("names.txt", "7 up\n2 cola\n", (Label(0, "7 up"), Label(1, "2 cola"))),
        ("names.txt", "0 tea\nsalt\n", (Label(0, "0 tea"), Label(1, "salt"))),
        ("names.txt", "0 tea\n", (Label(0, "0 tea"),)),
        ("names.txt", "product 0\nproduct 1\n", (Label(0, "product 0"), Label(1, "product 1"))),
    ],
)
def test_labels_are_read(put, name, text, expected):
    assert read_labels(put(name, text)) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("names.txt", "", "at least one class"),
        ("names.txt", "tea\n\nsalt\n", "lines are empty: 2"),
        ("names.txt", "tea\ntea\n", "each name may occur once.*'tea'"),
        ("names.txt", "0 tea\n1 salt\n", "holds an id and a name .line 1: '0 tea'.*leave the ids out"),
        ("names.txt", "2: salt\n1: tea\n", "line 1: '2: salt'"),
        ("names.txt", "0,tea\n1,sea salt\n2;rice\n", "line 1: '0,tea'"),
        ("c.csv", "", "'name' and an 'id' column"),
        ("c.csv", "name,number\ntea,0\n", "'name' and an 'id' column.*name, number"),
        ("c.csv", "name,id\n", "at least one class"),
        ("c.csv", "name,id\ntea,zero\nsalt\n", "row 2: 'tea,zero', row 3: 'salt'"),
        ("c.csv", "name,id\ntea,0\nsalt,0\n", "each id may occur once.*'0'"),
        ("c.csv", b"name,id\n\xff\xfe,0\n", "not text"),
        ("c.csv", b"PK\0\0", "binary"),
        ("names.txt", "Gruy\u00e8re\nGruye\u0300re\n", r"one name.*'Gruye\\u0300re' and 'Gruy\\xe8re'"),
        ("names.txt", "0\t1\n1\t0\n0\t1\n", "each name may occur once"),  # neither column is certain: lines are names
        (
            "names.json",
            '{"0": "1", "1": "2"}',
            r"two readings: only as \{id: name\} class 0 is '1', class 1 is '2', "
            r"only as \{name: id\} class 1 is '0', class 2 is '1'\. Give a list",
        ),
        ("names.json", '{"0": 1, "1": 2}', "two readings"),
        (
            "config.json",
            '{"id2label": {"0": "tea"}, "label2id": {"tea": 1}}',
            "two readings.*class 0 is 'tea'.*class 1 is 'tea'",
        ),
        ("names.json", '{"0": "tea", "0": "salt"}', "'0' occurs twice"),
        ("names.json", '{"0": ["n01", "tench"]}', "expected a list of names"),
        ("names.json", '{"tea": 0.5}', "whole numbers"),
        ("names.json", '{"tea": true}', "whole numbers"),
        ("names.json", '["tea", ""]', "expected a list of names"),
        ("names.json", '["tea", "tea"]', "each name may occur once"),
        ("names.json", "{}", "at least one class"),
        ("names.json", '{"tea": 0', "not JSON that can be read"),
        ("names.json", "[" * 100_000, "not JSON that can be read"),
    ],
)
def test_bad_labels_files_are_refused(put, name, content, message):
    path = put(name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def test_a_missing_labels_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read a labels file"):
        read_labels(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("names.txt", "tea\nsea salt\n", (TEA, SALT)),
        ("names.json", '{"sea salt": 1, "tea": 0}', (TEA, SALT)),
        ("c.csv", "name,id\nsea salt,1\ntea,0\n", (TEA, SALT)),  # ids 0…n-1 number the outputs, wherever they stand
        ("c.csv", "name,id\ntea,-4\nsalt,7\n", (Label(-4, "tea"), Label(7, "salt"))),  # rows and ids agree
    ],
)
def test_labels_of_outputs_are_in_one_clear_order(put, name, text, expected):
    assert read_output_labels(put(name, text)) == expected


@pytest.mark.parametrize("rows", ["tea,12\nsalt,7\n", "tea,2\nsalt,1\n", "rice,5\ntea,12\nsalt,7\n"])
def test_rows_and_ids_in_different_orders_do_not_name_outputs(put, rows):
    path = put("c.csv", "name,id\n" + rows)
    with pytest.raises(
        InputError, match=r"ambiguous in .*'tea' \(id \d+\) comes before 'salt'.*one name a line"
    ) as caught:
        read_output_labels(path)
    assert str(path) in str(caught.value)
    assert {label.name for label in read_labels(path)} >= {"tea", "salt"}  # for photos the order says nothing


@pytest.mark.parametrize(
    ("heading", "expected"),
    [("Class ID (int)", {"class", "id", "int"}), ("class_id", {"class", "id"}), ("ClassId2", {"class", "id", "2"})],
)
def test_words(heading, expected):
    assert words(heading) == expected
