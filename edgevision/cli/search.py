"""``edgevision search``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads
from edgevision.cli.progress import step_progress
from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.gallery.filters import Filter
    from edgevision.gallery.found import SearchResult
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.text.meanings import Meanings, TextMatch
    from edgevision.gallery.vectors import Vectors


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "search", help="find products of a gallery by a photo, by words, by their fields, or by all of them"
    )
    p.add_argument("gallery", type=Path, help="a .evg file")
    p.add_argument("photo", nargs="?", type=Path, help="what the products shall look like; needs --model")
    p.add_argument("--model", type=Path, metavar="BUNDLE", help="the embedder that the gallery was made with")
    p.add_argument("--text", metavar="WORDS", help="words, such as 'green apple, sour'")
    p.add_argument("--where", metavar="FILTER", help="only products such as 'price < 3 and kind in (apple, pear)'")
    p.add_argument("--top", type=int, default=5, metavar="N", help="products to find (default 5)")
    p.add_argument(
        "--letters", action="store_true",
        help="compare words by their letters alone: in any language, without the encoder of edgevision[text]",
    )  # fmt: skip
    p.add_argument(
        "--describe", type=Path, metavar="PHOTO", help="the other way: which texts are like this photo; needs --model"
    )
    p.add_argument(
        "--texts", type=Path, metavar="FILE", help="texts for --describe, one a line (default: the products' names)"
    )
    p.add_argument("--html", type=Path, metavar="FILE", help="also write a page with what was found")
    p.add_argument("--photos", type=Path, metavar="DIR", help="where the page finds the gallery's pictures")
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    return p


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if arguments.describe is not None:
        return _describe(arguments)
    from edgevision.gallery.filters import read_filter

    where = None if arguments.where is None else read_filter(arguments.where)
    gallery, picture = _open(arguments, arguments.photo)
    meanings = None
    if arguments.text is not None and not arguments.letters:
        meanings = _meanings(arguments, gallery)
    result = _search(gallery, picture, arguments, where, meanings)
    if arguments.html is not None:
        _write_page(arguments, result)
    if arguments.json:
        output.show_json(result.to_dict())
    else:
        _show(result)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise InputError for arguments that do not go together, before anything is opened."""
    from edgevision.cli.outputs import check_target
    from edgevision.files import ensure_writable
    from edgevision.gallery.text.encoder import check_query

    check_threads(arguments.threads)
    asked = (arguments.photo, arguments.text, arguments.where)
    if arguments.describe is None and all(one is None for one in asked):
        raise InputError("nothing to search for: give a photo, --text, --where or --describe")
    if arguments.text is not None:
        check_query(arguments.text)
    if arguments.describe is not None and any(one is not None for one in (*asked, arguments.html)):
        raise InputError("--describe stands alone: it asks for texts, the others for products")
    if arguments.describe is None and arguments.texts is not None:
        raise InputError("--texts is for --describe")
    if (arguments.describe or arguments.photo) is not None and arguments.model is None:
        raise InputError("a photo needs the embedder that the gallery was made with: give --model BUNDLE")
    if arguments.photos is not None and arguments.html is None:
        raise InputError("--photos is for the page: give --html FILE as well")
    if arguments.photos is not None and not arguments.photos.is_dir():
        raise InputError(f"--photos is a folder, got {arguments.photos}")
    if arguments.html is not None:
        check_target(arguments.html, [arguments.gallery, arguments.photo, arguments.model])
        ensure_writable(arguments.html)


def _open(arguments: argparse.Namespace, photo: Path | None) -> tuple[Gallery, Vectors | None]:
    """The gallery, and the photo's vector."""
    import edgevision as ev
    from edgevision.gallery.gallery import open_gallery
    from edgevision.tasks.embedding import Embedding

    if arguments.model is None:
        return open_gallery(arguments.gallery), None
    with ev.load(arguments.model, engine=arguments.engine, threads=arguments.threads) as model:
        gallery = open_gallery(arguments.gallery, bundle_id=model.id)
        if photo is None:
            return gallery, None
        answer = model.predict(photo)
    if not isinstance(answer, Embedding):
        raise InputError(f"{arguments.model} is no embedder: its answer is a {type(answer).__name__}")
    return gallery, answer.vector


def _meanings(arguments: argparse.Namespace, gallery: Gallery) -> Meanings:
    from edgevision.gallery.text.kept import open_meanings
    from edgevision.gallery.text.minilm import open_minilm

    encoder = open_minilm()
    with step_progress(not arguments.json) as tell:
        return open_meanings(gallery, encoder, arguments.gallery, tell)


def _search(
    gallery: Gallery, picture: Vectors | None, arguments: argparse.Namespace, where: Filter | None, meanings: Meanings | None
) -> SearchResult:  # fmt: skip
    from edgevision.gallery.search import search

    return search(gallery, picture=picture, text=arguments.text, where=where, top=arguments.top, meanings=meanings)


def _show(result: SearchResult) -> None:
    if not result.top:
        output.say("nothing found")
        return
    if result.known is False:
        output.say("unknown; the closest:")
    lines = [
        (str(one.product.id), one.product.name, f"{one.score:.3f}", "; ".join(reason.text for reason in one.why))
        for one in result.top
    ]
    output.table("", ("id", "product", "score", "why"), lines, left=4)


def _write_page(arguments: argparse.Namespace, result: SearchResult) -> None:
    from edgevision.cli.search_page import search_page
    from edgevision.evaluate.data.folders import photos_below
    from edgevision.files import atomic_write
    from edgevision.gallery.pictures import find_pictures

    shown = [one.example for one in result.top if one.example is not None]
    files = () if arguments.photos is None else photos_below(arguments.photos).photos
    pictures = find_pictures(shown, files).paths
    asked = {"words": arguments.text, "filter": arguments.where, "photo": arguments.photo}
    page = search_page(result, {name: str(value) for name, value in asked.items() if value is not None}, pictures)
    atomic_write(arguments.html, page.encode())


def _describe(arguments: argparse.Namespace) -> int:
    from edgevision.gallery.text.wording import spaced

    gallery, picture = _open(arguments, arguments.describe)
    assert picture is not None
    texts = [spaced(one.name) for one in gallery.products] if arguments.texts is None else _texts(arguments.texts)
    meanings = _meanings(arguments, gallery)
    found = meanings.describe(picture, list(dict.fromkeys(texts)), arguments.top)
    left_out = meanings.projection.left_out if meanings.projection is not None else None
    if arguments.json:
        output.show_json({"texts": [vars(one) for one in found], "left_out_right": left_out})
    else:
        _show_texts(found, left_out)
    return 0


def _show_texts(found: Sequence[TextMatch], left_out: float | None) -> None:
    output.table("", ("text", "similarity"), [(one.text, f"{one.similarity:.3f}") for one in found])
    if left_out is not None:
        output.say(
            f"How far to trust it: of this gallery's own products, each left out in turn, {left_out:.0%} of the pictures "
            "are nearest to their own text."
        )


def _texts(path: Path) -> list[str]:
    """One a line. Raises InputError for a file without any, or that is no text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}") from None
    texts = [line.strip() for line in lines if line.strip()]
    if not texts or len(texts) > 10_000:
        raise InputError(f"{path} has {len(texts)} texts, expected 1…10000, one a line")
    return texts
