import json

import pytest

from edgevision.errors import InputError
from edgevision.recommend.basket_log import LoggedBasket, read_log
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.baskets_file import save_baskets
from edgevision.recommend.sources import open_baskets

NOON_S = 1_795_867_200.0  # 2026-11-28T12:00:00Z


def receipt(*ids, **more):
    items = [{"id": id, "name": f"product {id}", "quantity": 2, "price": "1.29"} for id in ids]
    return {"items": items, "total": "2.58", "currency": "EUR", "at": "2026-11-28T13:00:00+01:00", **more}


def test_receipts_of_the_kiosk(tmp_path):
    path = tmp_path / "receipts.jsonl"
    sent = {"late": False, "kind": "receipt", "id": "a", "device": "till-1", "model": "m", **receipt(3, 7, 3)}
    lines = [sent, {**sent, "late": True}, receipt(5, shopper="card 17"), {"items": [9]}]
    path.write_text("\n\n".join(json.dumps(one) for one in lines))
    assert list(read_log(path)) == [
        LoggedBasket((3, 7), NOON_S),  # sent twice, counted once
        LoggedBasket((5,), NOON_S, "card 17"),
        LoggedBasket((9,)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "basket,product,time,shopper\nb1,3,2026-11-28T12:00:00Z,Ada\nb2,5,,\nb1,7,,Ada\nb1,3,,Ada\n",
        "\ufeffShopper;Time;Product;Basket\r\nAda;1795867200;3;b1\r\n;;5;b2\r\nAda;;7;b1\r\n",
        'product\tbasket\ttime\tshopper\n3\tb1\t1795867200\t"Ada"\n\n5\tb2\t\t\n7\tb1\t\tAda\n',
    ],
)
def test_csv_files_as_people_have_them(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode())
    assert list(read_log(path)) == [LoggedBasket((3, 7), NOON_S, "Ada"), LoggedBasket((5,), None, None)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("log.jsonl", '{"items": [1]}\n{"items"', "line 2: expected a JSON object"),
        ("log.jsonl", "[" * 100_000, "line 1: expected a JSON object"),
        ("log.jsonl", '{"total": 1}', 'line 1: expected a receipt with its "items"'),
        ("log.jsonl", '{"items": ["apple"]}', "line 1: a product's id is a whole number, got 'apple'"),
        ("log.jsonl", '{"items": [true]}', "line 1: a product's id is a whole number"),
        ("log.jsonl", '{"items": [1], "at": "noon"}', "line 1: a time is such as"),
        ("log.jsonl", " " * (1 << 20) + " 1", "line 1: longer than"),
        ("log.csv", "", "names the columns"),
        ("log.csv", "b1,3\n", "names the columns"),
        ("log.csv", "basket,product\nb1,apple\n", "line 2: a product's id"),
        ("log.csv", "basket,product\nb1\n", "line 2: expected 2 columns, got 1"),
        ("log.csv", "basket,product,time\nb1,3,noon\n", "line 2: a time is such as"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_log(path))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot read the log"):
        list(read_log(tmp_path / "none.csv"))
    (tmp_path / "old.csv").write_bytes("basket,product\nB\xe4r,3\n".encode("latin-1"))
    with pytest.raises(InputError, match="not in UTF-8"):
        list(read_log(tmp_path / "old.csv"))


def test_counts_and_logs_are_told_apart(tmp_path):
    log = tmp_path / "log.json"
    log.write_text('{"items": [1, 2]}\n{"items": [1, 2]}\n')
    assert open_baskets(log, floor=2).together(1) == {2: 2}
    one = tmp_path / "one.json"
    one.write_text('{"items": [1, 2]}\n')
    assert open_baskets(one, floor=1).count(1) == 1
    counts = tmp_path / "counts.json"
    save_baskets(counts, open_baskets(log, floor=2))
    assert open_baskets(counts).together(1) == {2: 2}
    with pytest.raises(InputError, match="floor of 2"):
        open_baskets(counts, floor=5)
    counts.write_text(counts.read_text().replace('"total":2', '"total":"2"'))
    with pytest.raises(InputError, match=r"counts.json: expected a whole number"):
        open_baskets(counts)
    assert isinstance(open_baskets(log), Baskets)
