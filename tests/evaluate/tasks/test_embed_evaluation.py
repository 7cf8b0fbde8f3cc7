"""What `eval` says of an embedder, on vectors of known places."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import PhotoPage
from edgevision.evaluate.tasks.embed import EmbedEvaluator
from edgevision.evaluate.tasks.embed_truth import ShownProduct
from edgevision.tasks.embed import embed_spec

EVALUATOR = EmbedEvaluator(embed_spec())
PRODUCTS = ("tea", "tea", "tea", "salt", "salt", "salt", "oil")
TRUTHS = [ShownProduct(product) for product in PRODUCTS]
DEGREES = (0, 4, 31, 30, 60, 63, 180)  # tea's third photo lies at salt's first


def at(*degrees):
    turns = np.deg2rad(np.array(degrees))
    return {"embedding": np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)}


def evaluated(ood=None):
    return EVALUATOR.evaluate("int8", at(*DEGREES), TRUTHS, ood)


def test_its_figures_are_those_counted_by_hand():
    found = evaluated().metrics
    assert (found.photos, found.judged, found.products, found.dimension) == (7, 6, 2, 2)
    assert found.recall1 == pytest.approx(100 * 4 / 6)  # the third tea and the first salt take each other
    assert found.recall5 == 100.0
    # ranks of the right photos: tea 1,3 | 1,3 | 3,4; salt 3,4 … by angle
    precisions = [
        (1 / 1 + 2 / 3) / 2, (1 / 1 + 2 / 3) / 2, (1 / 2 + 2 / 5) / 2, (1 / 4 + 2 / 5) / 2, (1 / 1 + 2 / 3) / 2,
        (1 / 1 + 2 / 3) / 2,
    ]  # fmt: skip
    by_rank = []
    for i in range(6):
        order = sorted((j for j in range(7) if j != i), key=lambda j: (abs(DEGREES[i] - DEGREES[j]), j))
        hits = [PRODUCTS[j] == PRODUCTS[i] for j in order]
        by_rank.append(np.mean([sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]))
    assert found.map == pytest.approx(100 * np.mean(by_rank))
    assert by_rank[0] == pytest.approx(precisions[0])
    assert found.auroc == 0.0  # the wrong ones are the nearest of all, one degree away
    assert found.unknown == 0
    assert found.unknown_auroc is None


def test_unknown_photos_are_told_by_how_near_they_are():
    found = evaluated(at(100, 120)).metrics
    assert (found.unknown, found.unknown_auroc) == (2, 1.0)
    labels = [name for name, _ in evaluated(at(100, 120)).rows()]
    assert labels[-2:] == ["unknown photos", "AUROC known against unknown"]


def test_rows_and_tables_for_the_terminal():
    one = evaluated()
    rows = dict(one.rows())
    assert rows["recall@1"] == "66.67 %"
    assert rows["looked up"] == "6"
    weakest, confused = one.tables()
    assert weakest[2] == [("salt", "3", "66.7", "66.7"), ("tea", "3", "66.7", "66.7")]
    assert confused[2] == [("salt", "tea", "1", "3"), ("tea", "salt", "1", "3")]
    data = json.loads(json.dumps(one.to_dict()))
    assert data["metrics"]["recall1"] == pytest.approx(66.67, abs=0.01)
    assert data["confused"][0] == {"product": "salt", "taken_for": "tea", "count": 1, "n": 3}
    assert [row["n"] for row in data["products"]] == [0, 3, 3]


def test_photos_that_cannot_be_judged_are_refused():
    with pytest.raises(DataError, match="no product has two"):
        EVALUATOR.evaluate("int8", at(0, 1), [ShownProduct("a"), ShownProduct("b")], None)


def test_where_all_are_right_nothing_is_confused():
    one = EVALUATOR.evaluate("int8", at(0, 1, 90, 91), [ShownProduct(name) for name in "aabb"], None)
    assert one.metrics.auroc is None
    assert [title for title, _, _ in one.tables()] == ["Weakest products"]


@pytest.mark.requires("matplotlib")
def test_the_page_shows_each_confused_pair_side_by_side(tmp_path):
    paths = []
    for place in range(len(TRUTHS)):
        paths.append(tmp_path / f"photo{place}.png")
        paths[-1].write_bytes(encode_png(np.full((20, 30, 3), 30 * place, np.uint8)))
    one = evaluated(at(100, 120))
    assert isinstance(one, PhotoPage)
    with_photos = one.with_photos(paths)
    page = EVALUATOR.page([with_photos, evaluated()], EVALUATOR.paired(one.scores, one.scores))
    assert page.count("data:image/jpeg") == 4  # two pairs of photos
    assert "taken for salt, cosine 1.000" in page
    assert "photo2.png" in page
    paths[2].unlink()
    assert EVALUATOR.page([with_photos], None).count("data:image/jpeg") == 2
    assert "Confused photos" not in EVALUATOR.page([one], None)


def test_a_page_of_another_task_is_refused():
    with pytest.raises(InputError, match="evaluations of embedders"):
        EVALUATOR.page([object()], None)


def test_cosines_are_of_the_photos_themselves():
    found = evaluated().scores.found
    assert found.similarity[0] == pytest.approx(math.cos(math.radians(4)), rel=1e-5)
