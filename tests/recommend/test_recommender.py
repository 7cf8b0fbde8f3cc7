import dataclasses
import math

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.decay import DAY_S
from edgevision.recommend.mixture import mixed
from edgevision.recommend.options import RecommendOptions
from edgevision.recommend.profile import Profile
from edgevision.recommend.reasons import whole_percents
from edgevision.recommend.recommender import CONTEXT, Recommender
from edgevision.recommend.rules import at_most, in_stock, none_of
from edgevision.recommend.shelf import Shelf
from edgevision.recommend.suggestions import Term

PLAIN = RecommendOptions(variety=0.0)


def profile_of(shelf, *baskets, half_life_s=30 * DAY_S):
    """One basket a day."""
    profile = Profile("a bundle", shelf.dimension, half_life_s=half_life_s)
    for day, ids in enumerate(baskets):
        profile.bought({id: shelf.vector_of(id) for id in ids}, day * DAY_S)
    return profile


def names(suggestions):
    return [one.product.name for one in suggestions]


def test_nobody_known_gets_what_many_buy(shelf, baskets):
    found = Recommender(shelf, baskets, PLAIN).suggest(top=3)
    assert names(found) == ["Fusilli", "Penne", "Pesto"]
    assert [[reason.term for reason in one.reasons] for one in found] == [[Term.POPULAR]] * 3
    assert found[0].reasons[0].words == "many here buy it"


def test_an_empty_shop_and_an_empty_shelf_say_nothing(shelf):
    recommender = Recommender(shelf, Baskets())
    assert len(recommender.suggest(top=99)) == len(shelf)
    assert [one.score for one in recommender.suggest(top=99)] == pytest.approx([1 / len(shelf)] * len(shelf))
    nothing = type(shelf)([], np.zeros((0, 4)))
    assert Recommender(nothing, Baskets()).suggest() == []


def popular_words(suggestions):
    return {
        one.product.id: reason.words for one in suggestions for reason in one.reasons if reason.term is Term.POPULAR
    }


def test_popularity_claims_no_more_than_was_counted(shelf, baskets):
    """An empty shop, for somebody known too; a product that nobody bought and that looks like nothing."""
    for profile in (None, profile_of(shelf, [10])):
        words = popular_words(Recommender(shelf, Baskets(), PLAIN).suggest(profile, top=99))
        assert set(words.values()) == {"nothing is known yet of what sells here"}
    counted = Baskets(floor=1)
    counted.add([10])
    words = popular_words(Recommender(shelf, counted, PLAIN).suggest(top=99))
    assert words[10] == "many here buy it"
    assert words[16] == "few here buy it, or it is new"


def test_popularity_s_share_falls_as_history_grows(shelf, baskets):
    recommender = Recommender(shelf, baskets, PLAIN)
    shares = [
        recommender.mixture(profile_of(shelf, *[[13, 14]] * count, half_life_s=1e6 * DAY_S)).shares[Term.POPULAR]
        for count in (0, 1, 3, 10)
    ]
    trust = PLAIN.trust_baskets
    assert shares == pytest.approx([1, trust / (trust + 1), trust / (trust + 3), trust / (trust + 10)], rel=1e-4)


def test_shares_of_a_term_of_which_nothing_is_known_go_to_the_others(shelf):
    n = len(shelf)
    terms = {term: np.full(n, 1 / n) for term in Term} | {Term.LOOKS: np.zeros(n)}
    options = RecommendOptions(again=0.3, looks=0.6, goes_with=0.1, trust_baskets=1.0)
    shares = mixed(terms, 3.0, options).shares
    assert shares == pytest.approx({Term.AGAIN: 0.75 * 0.75, Term.GOES_WITH: 0.25 * 0.75, Term.POPULAR: 0.25})


@pytest.mark.parametrize("basket", [(), (10,), (10, 13)])
@pytest.mark.parametrize("history", [(), ([10, 12],), ([13], [14], [10])])
def test_chances_are_chances_and_shares_explain_all_of_them(shelf, baskets, history, basket):
    recommender = Recommender(shelf, baskets, PLAIN)
    profile = profile_of(shelf, *history)
    mixture = recommender.mixture(profile, basket=basket)
    assert mixture.chances.sum() == pytest.approx(1)
    assert sum(mixture.shares.values()) == pytest.approx(1)
    for one in recommender.suggest(profile, basket=basket, top=7):
        place = shelf.place[one.product.id]
        assert one.score == pytest.approx(mixture.chances[place])
        assert sum(reason.share for reason in one.reasons) == pytest.approx(1, abs=0.02)
        assert list(one.reasons) == sorted(one.reasons, key=lambda reason: -reason.share)
        for reason in one.reasons:
            assert reason.share == pytest.approx(mixture.parts[reason.term][place] / mixture.chances[place])


def test_what_is_in_the_basket_is_never_offered(shelf, baskets):
    found = Recommender(shelf, baskets).suggest(profile_of(shelf, [10, 12]), basket=[10, 12, 777], top=99)
    assert not {"Penne", "Pesto"} & set(names(found))
    assert len(found) == 5


def test_pesto_goes_with_penne_and_says_so(shelf, baskets):
    options = dataclasses.replace(PLAIN, damping=1.0)
    best = Recommender(shelf, baskets, options).suggest(basket=[10], top=1)[0]
    assert best.product.name == "Pesto"
    reason = next(one for one in best.reasons if one.term is Term.GOES_WITH)
    assert reason.words == "others buy it together with Penne, in your basket"
    assert reason.because == shelf.products[0]


def test_what_is_new_is_liked_as_what_it_looks_like(shelf, baskets):
    """Nobody ever bought Spelt Penne: a pasta eater gets it before a washer does, and it says why."""
    recommender = Recommender(shelf, baskets, PLAIN)
    place = shelf.place[15]
    eater, washer = (profile_of(shelf, *[ids] * 20) for ids in ([10], [13]))
    assert recommender.mixture(eater).chances[place] > 1.8 * recommender.mixture(washer).chances[place]
    blind = Recommender(shelf, baskets, dataclasses.replace(PLAIN, looks=0.0, newness=0.0))
    assert blind.mixture(eater).chances[place] < 0.3 * recommender.mixture(eater).chances[place]
    one = next(s for s in recommender.suggest(eater, top=7) if s.product.id == 15)
    words = {reason.term: reason.words for reason in one.reasons}
    assert words[Term.LOOKS] == "it looks like Penne, which you bought"
    assert words[Term.POPULAR] in {
        f"it is new, and looks like {name}, which sells here" for name in ("Penne", "Fusilli")
    }


def test_taste_that_changed_is_followed(shelf, baskets):
    """Pasta for a month, then soap for a week: with a half-life of 5 days soap is ahead, without fading pasta is."""
    history = [[10]] * 30 + [[13]] * 7
    for half_life_s, expected in ((5 * DAY_S, "Soap"), (1e6 * DAY_S, "Penne")):
        profile = profile_of(shelf, *history, half_life_s=half_life_s)
        assert names(Recommender(shelf, baskets, PLAIN).suggest(profile, top=1)) == [expected]


def test_an_old_history_counts_less_than_a_fresh_one(shelf, baskets):
    recommender, profile = Recommender(shelf, baskets, PLAIN), profile_of(shelf, [13], [13], [13])
    shares = [recommender.mixture(profile, now_s=days * DAY_S).shares[Term.POPULAR] for days in (2, 60, 600)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.99


def test_rules_are_kept(shelf, baskets):
    recommender = Recommender(shelf, baskets, PLAIN)
    there = {"Penne", "Pesto", "Shampoo", "Spelt Penne", "Gift card"}
    assert set(names(recommender.suggest(rules=[in_stock], top=99))) == there
    assert names(recommender.suggest(rules=[at_most(2.5)], top=99)) == ["Fusilli", "Penne"]
    assert names(recommender.suggest(rules=[at_most(2.5), none_of([10])], top=99)) == ["Fusilli"]
    assert recommender.suggest(rules=[lambda product: False]) == []


def test_candidates_of_a_search_are_ranked_for_the_shopper(shelf, baskets):
    """As Bayes has it: relevance times chance, scaled to 1 over the candidates."""
    recommender = Recommender(shelf, baskets, PLAIN)
    profile = profile_of(shelf, [13], [13])
    chances = recommender.mixture(profile).chances
    found = recommender.suggest(profile, relevance={10: 0.5, 13: 0.4, 14: 0.1})
    expected = {10: 0.5 * chances[0], 13: 0.4 * chances[3], 14: 0.1 * chances[4]}
    whole = sum(expected.values())
    assert {one.product.id: one.score for one in found} == pytest.approx({id: v / whole for id, v in expected.items()})
    assert found[0].product.name == "Soap"


@pytest.mark.parametrize(
    ("relevance", "message"),
    [({99: 1.0}, "99 is not in the gallery"), ({10: -1.0}, "0 or more"), ({10: math.nan}, "0 or more")],
)
def test_bad_candidates_are_refused(shelf, baskets, relevance, message):
    with pytest.raises(InputError, match=message):
        Recommender(shelf, baskets).suggest(relevance=relevance)


def test_rank_is_suggest_without_reasons(shelf, baskets):
    recommender = Recommender(shelf, baskets)
    profile = profile_of(shelf, [10, 12], [13])
    suggested = [one.product.id for one in recommender.suggest(profile, basket=[11], top=4)]
    assert recommender.rank(profile, basket=[11], top=4) == suggested


def test_counting_goes_on(shelf, baskets):
    recommender = Recommender(shelf, baskets, PLAIN)
    for _ in range(200):
        baskets.add([14])
    assert names(recommender.suggest(top=1)) == ["Shampoo"]


def test_the_time_does_not_grow_with_the_history(monkeypatch):
    """However many products were bought, what goes with them is asked of the most bought alone."""
    products = [GalleryProduct(id, f"product {id}") for id in range(200)]
    many = Shelf(products, np.random.default_rng(0).standard_normal((200, 4)))
    profile = profile_of(many, range(200), range(40), range(20))
    asked = []
    baskets = Baskets(floor=1)
    monkeypatch.setattr(baskets, "count", lambda id: 1)
    monkeypatch.setattr(baskets, "together", lambda id: asked.append(id) or {})
    Recommender(many, baskets).mixture(profile, basket=[199])
    assert len(asked) == CONTEXT + 1
    assert {*range(20), 199} <= set(asked)


def test_a_profile_of_other_vectors_is_refused(shelf, baskets):
    profile = Profile("another", 8)
    profile.bought({10: np.ones(8)}, 0.0)
    with pytest.raises(InputError, match="have 8 numbers, the products' 4"):
        Recommender(shelf, baskets).suggest(profile)


def test_none_at_all_is_refused(shelf, baskets):
    with pytest.raises(InputError, match="1 or more, got 0"):
        Recommender(shelf, baskets).suggest(top=0)


@pytest.mark.parametrize("price", [math.nan, math.inf])
def test_a_highest_price_is_a_number(price):
    with pytest.raises(InputError, match="a highest price is a finite number"):
        at_most(price)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"again": -0.1}, "again is a number of 0 or more"),
        ({"looks": math.nan}, "looks is a number"),
        ({"trust_baskets": math.inf}, "trust_baskets"),
        ({"damping": 1.5}, "damping is 0 to 1"),
        ({"variety": -1.0}, "variety is 0 to 1"),
        ({"warmth": 0.0}, "warmth is a number above 0"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(InputError, match=message):
        RecommendOptions(**changes)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.995, 0.005), (0.126, 0.374, 0.25, 0.25)])
def test_percents_add_up(shares):
    found = whole_percents(dict(zip(Term, shares, strict=False)))
    assert sum(found.values()) == 100
    assert all(abs(percent - 100 * share) < 1 for percent, share in zip(found.values(), shares, strict=True))
