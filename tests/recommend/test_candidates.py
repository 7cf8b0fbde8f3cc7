import json

import pytest

from edgevision.errors import InputError
from edgevision.gallery.examples import Example
from edgevision.gallery.matches import Match, Matches
from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.candidates import read_candidates


def answer(*scores):
    example = Example(1, "00", "2026-11-28")
    return Matches(tuple(Match(GalleryProduct(id, "x"), 0.5, score, example) for id, score in scores), True).to_dict()


@pytest.mark.parametrize("given", [answer((7, 0.9), (3, 0.1)), [answer((7, 0.2)), answer((3, 0.1), (7, 0.9))]])
def test_what_search_prints_can_be_read(given):
    assert read_candidates(json.dumps(given)) == {7: 0.9, 3: 0.1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", '"top"'),
        ('{"top": [1]}', '"top"'),
        ('{"top": [{"product": {"name": "x"}, "score": 1}]}', "product with its id"),
        ('{"top": [{"product": {"id": 1}, "score": -1}]}', "candidate 1 has no score"),
        ('{"top": [{"product": {"id": 1}, "score": NaN}]}', "candidate 1 has no score"),
        ('{"top": []}', "1 to 10000 candidates, got 0"),
    ],
)
def test_what_is_no_answer_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        read_candidates(text)
