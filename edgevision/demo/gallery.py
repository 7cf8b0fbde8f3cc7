"""The demo's third part: products that no network was trained on are learnt from five photos each, and found in new ones."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.demo.compiling import CLASSIFIER, ProgressFn, compile_checkpoint, make_folder, silent
from edgevision.demo.gallery_file import check_replaceable
from edgevision.demo.gallery_moment import Moment
from edgevision.demo.gallery_sheet import Pair, sheet
from edgevision.demo.gallery_tally import GalleryTally, words_of
from edgevision.demo.kept import keep_frame
from edgevision.demo.products import LISTED
from edgevision.demo.unseen import ENROLLED, UnseenProduct, unseen_photo, unseen_products
from edgevision.errors import UnprovenWarning
from edgevision.frames import Frame
from edgevision.gallery.gallery import Gallery, open_gallery
from edgevision.gallery.recogniser import RecognisedProduct, recogniser
from edgevision.gallery.taken_views import TakenViews, save_views
from edgevision.gallery.view_choice import Verdict
from edgevision.gallery.writer import GalleryWriter

if TYPE_CHECKING:
    from rich.console import Console

    from edgevision.compiler.pipeline import CompileResult
    from edgevision.model import Model

LEARNT = 40  # products
STRANGERS = 10  # products that are not learnt
SEARCHED = 3  # new photos of each
_TOLD_EVERY = 10  # products
_KEPT_PAIRS = 12
Render = Callable[[UnseenProduct, int], Any]
_Show = Callable[[Moment], None]


@dataclass(frozen=True)
class GalleryResult:
    """What was learnt and found. ``picture``: new photos beside those that they matched, a file."""

    bundle: Path
    gallery: Path
    picture: Path
    tally: GalleryTally
    verdict: str
    compile_s: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bundle": str(self.bundle),
            "gallery": str(self.gallery),
            "picture": str(self.picture),
            "unseen": self.tally.to_dict(),
            "verdict": self.verdict,
            "compile_seconds": self.compile_s,
            "seconds": self.seconds,
        }


def run_gallery(
    console: Console, *, seed: int = 0, threads: int | None = None, folder: Path = Path("runs/demo"),
    progress: AbstractContextManager[ProgressFn] | None = None,
) -> GalleryResult:  # fmt: skip
    """Compile the till's classifier as an embedder, learn products that it never saw, look for them, sum up. Writes ``embed.edge``,
    ``unseen.evg`` and a picture into ``folder``. The rest as in ``till.run_till``. Raises InputError where ``unseen.evg`` is there, and is not
    of an earlier demo."""
    import edgevision as ev

    path = folder / "unseen.evg"
    check_replaceable(path)  # before anything is compiled, which takes minutes
    started = time.perf_counter()
    with progress or nullcontext(silent) as tell:
        result = compile_checkpoint(CLASSIFIER, folder / "embed.edge", threads, tell, task="embed", quick=True)
    compile_s = time.perf_counter() - started
    _show_compiled(console, result, compile_s)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)  # the verdict was printed above
        model = ev.load(result.path, threads=threads)
    started = time.perf_counter()
    learnt, strangers = chosen_products(seed)
    with model:
        tally, picture = learn_and_find(console, model, path, learnt, strangers)
    seconds = time.perf_counter() - started
    found = GalleryResult(result.path, path, picture, tally, result.report.verdict_line(), compile_s, seconds)
    _show_summary(console, found)
    return found


def chosen_products(seed: int) -> tuple[tuple[UnseenProduct, ...], tuple[UnseenProduct, ...]]:
    """Those to be learnt, and strangers. Whole brands, whose four products differ in little, as a shop lists them; none has both.

    >>> [len(one) for one in chosen_products(0)]
    [40, 10]
    """
    products = unseen_products()
    brands = list(dict.fromkeys(one.design.brand for one in products))
    order = {brands[place]: rank for rank, place in enumerate(np.random.default_rng(seed).permutation(len(brands)))}
    ranked = sorted(products, key=lambda one: (order[one.design.brand], one.id))
    return tuple(ranked[:LEARNT]), tuple(ranked[-STRANGERS:])


def learn_and_find(
    console: Console, model: Model, path: Path, learnt: Sequence[UnseenProduct], strangers: Sequence[UnseenProduct],
    *, render: Render = unseen_photo,
) -> tuple[GalleryTally, Path]:  # fmt: skip
    """Learn products one after the other, each saved as the kiosk saves it, then look at new photos of them and of ``strangers``. What was
    counted, and the picture.

    ``model``: an embedder. ``path``: of the gallery, which begins empty; the picture goes into the folder ``gallery`` beside it. ``render``: draws
    photo number n of a product.
    """
    import cv2

    tally = GalleryTally()
    make_folder(path.parent)
    check_replaceable(path)
    path.unlink(missing_ok=True)  # perhaps of another bundle
    cv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the renderer's many small steps are quicker without
    try:
        with _shown(console, tally) as show:
            gallery: Gallery | None = None
            for product in learnt:
                gallery = _learn(model, path, gallery, product, tally, render, show)
            pairs = _find(recogniser(model, path), learnt, strangers, tally, render, show)
    finally:
        cv2.setNumThreads(cv_threads)
    return tally, keep_frame(path.parent / "gallery" / "found.jpg", sheet(pairs))


def _learn(
    model: Model, path: Path, gallery: Gallery | None, product: UnseenProduct, tally: GalleryTally, render: Render, show: _Show
) -> Gallery:  # fmt: skip
    """Show five photos of a product, save those that are taken, and read the gallery again, as the next one is judged beside it."""
    photos = [render(product, view) for view in range(ENROLLED)]
    began = time.perf_counter()
    frames = [Frame.from_array(photo) for photo in photos]
    vectors = [one.vector for one in model.predict(frames)]
    views = TakenViews(gallery, product.id, dimension=len(vectors[0]), look_alikes=True)
    verdicts = [
        views.offer(frame, vector, f"photo {view}").verdict
        for view, (frame, vector) in enumerate(zip(frames, vectors, strict=True))
    ]
    with GalleryWriter(path, bundle_id=model.id, dimension=len(vectors[0])) as writer:
        if views.views:
            save_views(writer, product.to_gallery(), views.views)
    tally.learn_ms.append(1e3 * (time.perf_counter() - began))
    tally.shown.update(verdicts)
    for photo, verdict in zip(photos, verdicts, strict=True):
        show(Moment(photo, product.name, "shown to learn it", words_of(verdict), verdict is Verdict.TAKEN))
    return open_gallery(path, bundle_id=model.id)


def _find(
    model: Model, learnt: Sequence[UnseenProduct], strangers: Sequence[UnseenProduct], tally: GalleryTally, render: Render, show: _Show
) -> list[Pair]:  # fmt: skip
    """Look at new photos. Some of them, beside what they matched."""
    by_id = {one.id: one for one in learnt}
    pairs: list[Pair] = []
    for number, product in enumerate(learnt):
        for view in range(ENROLLED, ENROLLED + SEARCHED):
            photo = render(product, view)
            answer = _asked(model, photo, tally)
            best = by_id[answer.best.id]
            tally.add_found(product, answer, best)
            right = best is product and answer.known
            show(Moment(photo, product.name, "the gallery says", _answer_words(answer), right))
            if view == ENROLLED and number % max(1, len(learnt) // _KEPT_PAIRS) == 0 and len(pairs) < _KEPT_PAIRS:
                stored = render(best, int(answer.matches.top[0].example.note.split()[-1]))
                pairs.append(Pair(photo, stored, best.name, answer.best.score, best is product, answer.known))
    for product in strangers:
        for view in range(ENROLLED, ENROLLED + SEARCHED):
            photo = render(product, view)
            answer = _asked(model, photo, tally)
            tally.add_stranger(answer)
            name = f"{product.name} (not learnt)"
            show(Moment(photo, name, "the gallery says", _answer_words(answer), not answer.known))
    return pairs


def _asked(model: Model, photo: Any, tally: GalleryTally) -> RecognisedProduct:
    began = time.perf_counter()
    answer: RecognisedProduct = model.predict(photo)
    tally.find_ms.append(1e3 * (time.perf_counter() - began))
    return answer


# ---- what is told ----


@contextmanager
def _shown(console: Console, tally: GalleryTally) -> Iterator[_Show]:
    """The live view on a terminal that can show it; else a plain line from time to time."""
    from edgevision.demo import gallery_screen, screen

    if not screen.fits(console):
        told: set[int] = set()

        def tell(moment: Moment) -> None:
            if len(tally.learn_ms) % _TOLD_EVERY == 0 and len(tally.learn_ms) not in told:
                told.add(len(tally.learn_ms))
                console.print(_progress(tally))

        yield tell
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda moment: live.update(gallery_screen.view(moment, tally, console), refresh=True)
    console.print(_progress(tally))


def _progress(tally: GalleryTally) -> str:
    photos = ", ".join(f"{count} {words_of(verdict)}" for verdict, count in tally.shown.most_common())
    return f"learnt {len(tally.learn_ms)} products, {median(tally.learn_ms):.0f} ms each; their photos: {photos}"


def _answer_words(answer: RecognisedProduct) -> str:
    name = answer.best.name if answer.known else f"I don't know; nearest {answer.best.name}"
    return f"{name} {answer.best.score:.2f}"


def _show_compiled(console: Console, result: CompileResult, seconds: float) -> None:
    console.print(f"Compiled {CLASSIFIER.name}, without its last layer, in {seconds:.0f} s. {result.report.why}")
    console.print(result.report.verdict_line(), end="\n\n")


def _show_summary(console: Console, found: GalleryResult) -> None:
    from rich.table import Table
    from rich.text import Text

    tally = found.tally
    low, high = tally.right_interval
    title = f"{len(tally.hits)} products that the network never saw, {tally.photos} new photos"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    right = f"{tally.percent(tally.right, tally.photos):.1f} % ({low:.0f} … {high:.0f})"
    table.add_row("the likeliest answer is right (95 % interval)", right)
    table.add_row("  it is of the right brand, of four products", f"{tally.percent(tally.brand, tally.photos):.1f} %")
    table.add_row("right, and given as known", f"{tally.known} of {tally.right}")
    table.add_row("wrong, and given as known", f"{tally.mistaken} of {tally.photos - tally.right}")
    table.add_row("false accepts on photos of products not learnt", f"{tally.accepted} of {tally.strangers}")
    table.add_row(f"to learn a product of {ENROLLED} photos, median", f"{median(tally.learn_ms):.0f} ms")
    table.add_row("to find a photo's product, median", f"{median(tally.find_ms):.1f} ms")
    console.print(table, soft_wrap=False)
    console.print(
        f"The network was trained to tell {len(LISTED)} other products apart, and nothing else; an embedder is trained for this.",
        end="\n\n",
    )
    for text, command in (
        ("New photos beside those they match:", str(found.picture)),
        ("What is in the gallery:", f"edgevision gallery list {found.gallery}"),
        ("Train an embedder of your own:", "edgevision train --task embed --data PHOTOS/ -o embed.pt"),
    ):
        console.print(Text(f"{text:<36} ").append(command, "bold"), soft_wrap=True)
