"""The embed evaluator on vectors whose neighbours are known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import NodeInfo, check_truth, doubts_of
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.page.html import Table, html_page
from edgevision.evaluate.statistics.paired import tango_interval
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.evaluate.tasks.embed import EmbedEvaluator, make_evaluator
from edgevision.evaluate.tasks.embed_scores import joint_design_effect, recall_across
from edgevision.evaluate.tasks.embed_truth import GoodAnswers, ShownProduct
from edgevision.tasks.base import OutputRole, TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.embed import OTHER_DEVICE_ANGLE, embed_spec, unit_vectors
from edgevision.tasks.results import Label

EVALUATOR = EmbedEvaluator(embed_spec())


def at(*degrees: float) -> dict[str, np.ndarray]:
    """A digest of vectors at these angles in the plane."""
    turns = np.deg2rad(np.array(degrees))
    return {"embedding": np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)}


def shown(*products: str) -> list[ShownProduct]:
    return [ShownProduct(product) for product in products]


def clusters(products, each, noise, seed=0, dimension=24):
    """Random products with photos around them: digest, truths."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(products, dimension)), each, axis=0)
    vectors = unit_vectors(centres + noise * rng.normal(size=centres.shape))
    return {"embedding": vectors}, shown(*np.repeat([f"product {i}" for i in range(products)], each).tolist())


# ---- what it is made of ----


def test_it_says_what_it_measures():
    made = make_evaluator(embed_spec("features"))
    assert (made.metric, made.unit) == ("recall@1", "points of recall@1")
    assert made.float_nodes([NodeInfo("conv", "Conv", ("x",), ("y",))]) == frozenset()
    assert made.classes(ShownProduct("tea")) == ()
    assert made.calibration_error(made.scores(at(0, 1), shown("a", "a"))) is None
    fitted = made.fit(at(0, 1), at(0, 2), [None, None], [None, None], 0.95)
    assert (fitted.parameters, fitted.note) == ({}, "")


def test_the_spec_of_another_task_is_refused():
    with pytest.raises(InputError, match="role 'embedding'"):
        make_evaluator(TaskSpec("embed", (), (OutputRole("boxes", "output", "xyxy"),)))


# ---- truth ----


def write(folder, **contents):
    for name, content in contents.items():
        product, photo = name.split("_")
        (folder / product).mkdir(exist_ok=True, parents=True)
        (folder / product / f"{photo}.png").write_bytes(content)


def test_a_truth_is_the_product_and_the_photos_bytes(tmp_path):
    write(tmp_path / "a", tea_1=b"x", salt_1=b"y", salt_2=b"x")
    write(tmp_path / "b", tea_1=b"z", oil_1=b"y")  # other ids of the same names
    first, second = (EVALUATOR.truth(read_dataset(tmp_path / name)) for name in "ab")
    assert [one.product for one in first] == ["salt", "salt", "tea"]
    assert first[1].content == first[2].content != first[0].content
    assert [one.product for one in second] == ["oil", "tea"]
    assert second[1].product == first[2].product
    assert len({*first, *second}) == 5  # can be hashed


def test_products_that_the_model_never_saw_are_no_matter(tmp_path):
    write(tmp_path, tea_1=b"x", tea_2=b"y")
    trained = EmbedEvaluator(embed_spec(labels=[Label(0, "salt")]))
    assert [one.product for one in trained.truth(read_dataset(tmp_path))] == ["tea", "tea"]


def test_nothing_is_known_of_unlabelled_photos(tmp_path):
    (tmp_path / "1.png").write_bytes(b"x")
    assert EVALUATOR.truth(read_dataset(tmp_path)) == [None]


def test_photos_of_a_checkpoint_are_told_by_the_specs_labels():
    evaluator = EmbedEvaluator(embed_spec(labels=[Label(7, "tea"), Label(9, "salt")]))
    mixed = evaluator.scores(at(0, 10, 90), [0, ShownProduct("tea"), 1])
    assert mixed.products.names == ("salt", "tea")
    assert mixed.judged.tolist() == [True, True, False]
    for wrong in (2, -1, None, "tea"):
        with pytest.raises(InputError, match="the product of each photo"):
            evaluator.scores(at(0, 10), [0, wrong])


def test_photos_without_a_second_of_any_product_cannot_be_judged():
    check_truth(EVALUATOR, shown("a", "b", "b"), "photos/")
    for truths in (shown("a", "b"), [ShownProduct("a", "1"), ShownProduct("a", "1")]):
        with pytest.raises(DataError, match=r"no product has two in photos/: 2 photos"):
            check_truth(EVALUATOR, truths, "photos/")
    check_truth(
        ClassifyEvaluator(classify_spec([Label(0, "a"), Label(1, "b")])), [0, 1], "photos/"
    )  # has no such check


# ---- looking up ----


def test_each_photo_is_looked_up_among_all_others():
    scores = EVALUATOR.scores(at(0, 10, 14, 40, 43, 90), shown("tea", "tea", "salt", "salt", "oil", "oil"))
    assert scores.found.first.tolist() == [1, 2, 1, 4, 3, 4]
    assert scores.right.tolist() == [True, False, False, False, False, True]
    assert EVALUATOR.value(scores) == pytest.approx(100 / 3)


def test_the_only_photo_of_a_product_answers_and_is_not_judged():
    scores = EVALUATOR.scores(at(0, 10, 11), shown("tea", "tea", "salt"))
    assert scores.judged.tolist() == [True, True, False]
    assert scores.right.tolist() == [True, False, False]
    assert EVALUATOR.value(scores) == 50.0


def test_photos_of_the_same_bytes_do_not_answer_for_each_other():
    truths = [ShownProduct("tea", "1"), ShownProduct("tea", "1"), ShownProduct("tea", "2"), ShownProduct("salt", "3")]
    scores = EVALUATOR.scores(at(0, 0, 90, 10), truths)
    assert scores.found.first.tolist() == [3, 3, 3, 0]
    assert EVALUATOR.value(scores) == 0.0
    alone = EVALUATOR.scores(at(0, 0, 5), [*truths[:2], ShownProduct("salt", "3")])
    assert not alone.judged.any()
    assert math.isnan(EVALUATOR.value(alone))


def test_a_truth_for_each_photo():
    with pytest.raises(InputError, match="a truth for each of 2 photos"):
        EVALUATOR.scores(at(0, 1), shown("a"))
    with pytest.raises(InputError, match="scores of an embedder"):
        EVALUATOR.value(object())


# ---- two models ----


def test_divergence_is_one_minus_cosine():
    assert EVALUATOR.divergence(at(0, 30), at(60, 30)) == pytest.approx(0.25)
    assert EVALUATOR.divergence(at(3, 30), at(3, 30)) == 0.0


@pytest.mark.parametrize("noise", [0.9, 1.4])
def test_lost_photos_are_counted_and_the_interval_is_tangos_or_wider(noise):
    (before, truths), (after, _) = clusters(12, 6, noise), clusters(12, 6, 1.2 * noise)
    a, b = EVALUATOR.scores(before, truths), EVALUATOR.scores(after, truths)
    found = EVALUATOR.paired(a, b)
    lost, gained = int((a.right & ~b.right).sum()), int((~a.right & b.right).sum())
    assert (found.n, found.lost, found.gained) == (72, lost, gained)
    assert found.drop == pytest.approx(100 * (lost - gained) / 72)
    effect = joint_design_effect(a, b, a.judged)
    assert effect >= 1
    expected = [100 * end for end in tango_interval(lost / effect, gained / effect, 72 / effect)]
    assert found.interval == pytest.approx(expected)
    low, high = (100 * end for end in tango_interval(lost, gained, 72))
    assert found.interval[0] <= low <= high <= found.interval[1]


def test_a_photo_that_answers_for_many_widens_the_interval():
    """Twenty products of two photos, one of which leans towards a photo of another product: a little, and too much."""

    def digest(lean):
        upper = np.concatenate([np.eye(20), np.full((20, 1), lean)], axis=1)
        return {"embedding": unit_vectors(np.concatenate([upper, np.eye(21)]))}

    truths = shown(*2 * [f"product {i}" for i in range(20)], "hub")
    sound, broken = (EVALUATOR.scores(digest(lean), truths) for lean in (0.8, 1.2))
    assert sound.right[:40].all()
    assert broken.found.first[:20].tolist() == 20 * [40]
    found = EVALUATOR.paired(sound, broken)
    assert (found.n, found.lost, found.gained) == (40, 20, 0)
    assert joint_design_effect(sound, broken, sound.judged) > 20
    low, high = tango_interval(20, 0, 40)
    assert found.interval[0] < 100 * low - 10
    assert found.interval[1] > 100 * high + 10


def test_models_are_compared_on_the_same_photos_only():
    a = EVALUATOR.scores(at(0, 1, 2, 3), shown("a", "a", "b", "b"))
    for truths in (shown("a", "b", "a", "b"), shown("a", "a", "c", "c")):
        with pytest.raises(InputError, match="the same photos"):
            EVALUATOR.paired(a, EVALUATOR.scores(at(0, 1, 2, 3), truths))
    with pytest.raises(InputError, match="2 photos or more of each product"):
        EVALUATOR.paired(*2 * [EVALUATOR.scores(at(0, 1), shown("a", "b"))])


def test_each_products_losses_most_first():
    truths = shown("oil", *4 * ["tea"], *4 * ["salt"])
    before = EVALUATOR.scores(at(300, 0, 1, 2, 3, 90, 91, 92, 93), truths)
    after = EVALUATOR.scores(at(300, 0, 1, 2, 88, 90, 91, 92, 93), truths)  # salt's nearest are still its own
    losses = EVALUATOR.group_losses(before, after)
    assert [(loss.name, loss.n, loss.lost, loss.gained) for loss in losses] == [("tea", 4, 1, 0), ("salt", 4, 0, 0)]
    assert losses[0].sentence() == "product 'tea' loses 1 of 4 photos"
    assert not losses[0].exceeds(3.0)  # of so few photos one is more than the rule allows


def test_a_product_of_many_photos_may_not_lose_many():
    truths = shown(*20 * ["tea"], *4 * ["salt"])
    before = EVALUATOR.scores(at(*range(20), 89, 91, 131, 133), truths)
    for lost, refused in ((2, False), (3, True)):
        moved = [90, 132, 134][:lost]
        after = EVALUATOR.scores(at(*range(20 - lost), *moved, 89, 91, 131, 133), truths)
        tea = next(loss for loss in EVALUATOR.group_losses(before, after) if loss.name == "tea")
        assert (tea.n, tea.net) == (20, lost)
        assert tea.exceeds(3.0) is refused


def test_recall_across_asks_the_other_models_gallery():
    truths = shown("a", "a", "b", "b")
    float_, int8 = EVALUATOR.scores(at(0, 10, 90, 100), truths), EVALUATOR.scores(at(90, 100, 0, 10), truths)
    assert EVALUATOR.value(float_) == EVALUATOR.value(int8) == 100.0
    assert recall_across(float_, float_) == 100.0
    assert recall_across(int8, float_) == 0.0  # all turned: well by itself, useless in float's gallery


# ---- without labels ----


def test_answers_stand_in_for_the_truth():
    digest, _ = clusters(10, 3, 1.0)
    truths = EVALUATOR.pseudo_truth(digest)
    assert all(isinstance(one, GoodAnswers) and hash(one) is not None for one in truths)
    scores = EVALUATOR.scores(digest, truths)
    assert EVALUATOR.value(scores) == 100.0
    assert EVALUATOR.paired(scores, scores).drop == 0.0


def test_which_of_two_equally_near_photos_is_the_nearest_says_nothing():
    truths = EVALUATOR.pseudo_truth(at(0, 20, -20.5, 170))
    turned = EVALUATOR.scores(at(0, 20.5, -20, 170), truths)
    assert turned.found.first[0] != EVALUATOR.scores(at(0, 20, -20.5, 170), truths).found.first[0]
    assert turned.right[0]
    assert not EVALUATOR.scores(at(0, 60, -60, 10), truths).right[0]


def test_random_vectors_do_not_agree():
    digest, _ = clusters(40, 2, 1.0)
    other = {"embedding": unit_vectors(np.random.default_rng(5).normal(size=(80, 24)))}
    assert EVALUATOR.value(EVALUATOR.scores(other, EVALUATOR.pseudo_truth(digest))) < 20


# ---- doubts ----


def test_a_sound_embedder_gives_no_doubt_even_a_weak_one():
    for noise in (0.3, 1.5):
        digest, truths = clusters(10, 8, noise)
        assert doubts_of(EVALUATOR, digest, truths) == ()
        assert doubts_of(EVALUATOR, digest, [None] * 80) == ()


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((40, 24)), "the same for all 40 photos"),
        (1 + 0.01 * np.random.default_rng(0).normal(size=(40, 24)), "nearly the same"),
        (np.random.default_rng(0).normal(size=(200, 24)), "which is what guessing gives"),
    ],
)
def test_vectors_that_tell_nothing_are_doubted(vectors, said):
    n = len(vectors)
    truths = [*shown(*[f"product {i % 10}" for i in range(n - 3)]), None, None, None]
    (doubt,) = doubts_of(EVALUATOR, {"embedding": unit_vectors(vectors)}, truths)
    assert said in doubt.text
    assert not doubt.explained


def test_of_one_product_nothing_is_guessed():
    assert (
        doubts_of(
            EVALUATOR, {"embedding": unit_vectors(np.random.default_rng(0).normal(size=(50, 24)))}, shown(*50 * ["tea"])
        )
        == ()
    )


# ---- golden frames ----


def test_golden_frames_come_from_different_products_and_are_clear_where_products_are_far_apart():
    digest, truths = clusters(6, 5, 0.1)
    worth = EVALUATOR.golden_worth(digest)
    groups = {one.product: set(worth.group[i::1][:1]) for i, one in enumerate(truths)}
    assert len(set().union(*groups.values())) == 6
    assert worth.clear.all()
    assert ((worth.sensitivity > 0.3) & (worth.sensitivity <= 1)).all()
    near = EVALUATOR.golden_worth({"embedding": unit_vectors(1 + 0.1 * np.random.default_rng(0).normal(size=(30, 24)))})
    assert set(near.group.tolist()) == {0}
    assert near.sensitivity.max() < OTHER_DEVICE_ANGLE
    assert EVALUATOR.golden_worth(at(0)).group.tolist() == [0]


# ---- report ----


def test_the_section_counts_products_and_asks_across():
    (before, truths), (after, _) = clusters(5, 6, 0.8), clusters(5, 6, 1.1)
    a, b = EVALUATOR.scores(before, truths), EVALUATOR.scores(after, truths)
    products, across = EVALUATOR.sections(a, {"x-int8": b, "y-int8": a}, "x-int8")
    tables = [block for block in products.blocks if isinstance(block, Table)]
    assert [table.folded for table in tables] == [False, True]
    assert sum(row[1] for row in tables[0].rows) == 30
    assert sum(row[3] for row in tables[0].rows) == int(b.right.sum())
    (table,) = [block for block in across.blocks if isinstance(block, Table)]
    assert table.rows[0][1:] == pytest.approx((EVALUATOR.value(b), recall_across(b, a), recall_across(a, b)))
    assert "product 0" in html_page("x", (products, across))
    assert EVALUATOR.sections(a, {}) == ()
