"""The demo's second part: a cascade on a belt. A detector finds products, the till's classifier names them; tracked and counted
beside the truth."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.demo.box_tally import BoxTally
from edgevision.demo.compiling import CLASSIFIER, DETECTOR, ProgressFn, compile_checkpoint, make_folder, silent
from edgevision.demo.dataset import write_dataset
from edgevision.demo.kept import keep_frame
from edgevision.demo.latencies import Latencies, latencies_of
from edgevision.demo.world.conveyor import Conveyor
from edgevision.demo.world.truth import Snapshot
from edgevision.demo.world.worlds import Place
from edgevision.errors import InputError, UnprovenWarning
from edgevision.frames import ImageArray
from edgevision.streams.inventory.counting import InventoryCounter
from edgevision.streams.results import StreamResult
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Label
from edgevision.tracking import Anchor, Line, TrackerOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgevision.compiler.pipeline import CompileResult

FPS = 10
SECONDS = 20.0
_LONGER_S = 6.0  # a watch waits for a clear line at its ends, for no longer than this
_CLEAR_PX = 20.0  # from the line: neither the tracker's tremble nor the camera's slant makes a doubt of it
_STILL_S = 0.5  # the belt stands still at the end, so that what crossed last can be seen to stay beyond the line
_KEPT_FRAMES = 4
# A track begins at the score that compile fits for this detector on single pictures; weaker boxes, of products that are half covered, continue it.
SCORE_TO_TRACK = 0.4
TRACKER = TrackerOptions(high_score=0.6)
_PHOTOS = {"train": 32, "val": 40}
_LINE_COLOR = (255, 255, 255)


@dataclass(frozen=True)
class BeltResult:
    """What was seen on the belt. ``kept``: frames written as files, with their boxes."""

    bundle: Path
    kept: tuple[Path, ...]
    tally: BoxTally
    latencies: Latencies
    sizes: dict[str, int]  # bytes of the checkpoint, the int8 graph, the bundle
    verdict: str
    compile_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bundle": str(self.bundle),
            "frames_kept": [str(path) for path in self.kept],
            "chosen": self.latencies.chosen,
            "belt": self.tally.to_dict(),
            **self.latencies.to_dict(),
            "sizes_bytes": self.sizes,
            "verdict": self.verdict,
            "compile_seconds": self.compile_s,
        }


def run_belt(
    console: Console, *, seconds: float = SECONDS, seed: int = 0, threads: int | None = None,
    folder: Path = Path("runs/demo"), progress: AbstractContextManager[ProgressFn] | None = None,
) -> BeltResult:  # fmt: skip
    """Compile the detector, and the classifier unless the till has; watch a belt for ``seconds`` of camera time, sum up. Writes
    ``detector.edge`` and a few frames into ``folder``. The rest as in ``till.run_till``."""
    started = time.perf_counter()
    with progress or nullcontext(silent) as tell:
        make_folder(folder)
        data = rendered_photos(folder / "belt-photos", tell)
        result = compile_checkpoint(DETECTOR, folder / "detector.edge", threads, tell, data)
        if not (folder / "model.edge").is_file():
            compile_checkpoint(CLASSIFIER, folder / "model.edge", threads, tell)
    compile_s = time.perf_counter() - started
    console.print(f"Compiled {DETECTOR.name} in {compile_s:.0f} s. {result.report.why}")
    console.print(result.report.verdict_line(), end="\n\n")
    tally, kept = _watch(console, folder, seconds, seed, threads)
    found = _found(result, tally, kept, compile_s)
    _show_summary(console, found)
    return found


def rendered_photos(folder: Path, progress: ProgressFn) -> Path:
    """The ``data.yaml`` of photos of other belts, rendered now or by an earlier demo: some to calibrate on, others to validate with.

    Raises InputError where ``folder`` holds something else, which is left alone.
    """
    target = folder / "data.yaml"
    if not target.is_file():
        make_folder(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".photos-") as scratch:
            rendered = Path(scratch, "photos")
            write_dataset(
                rendered, _PHOTOS, places=(Place.CONVEYOR,), one_class="product",
                progress=lambda done, total: progress("render photos", done, total),
            )  # fmt: skip
            try:
                rendered.rename(folder)  # whole or not at all
            except OSError:
                raise InputError(
                    f"{folder} holds something else than a demo's photos; give another folder with -o"
                ) from None
    return target


def snapshots(belt: Conveyor, seconds: float) -> Iterator[Snapshot]:
    """The frames of a watch of ``seconds``. It begins and ends while no product is on its way over the counting line, so
    that there is no doubt about what has passed it; then the belt stands still for half a second."""
    start = next(
        (time_s for time_s in np.arange(0, _LONGER_S, 0.5).tolist() if clear_of_line(belt.at(time_s), belt)), 0.0
    )
    for number in range(round((seconds + _LONGER_S) * FPS)):
        snapshot = belt.at(start + number / FPS)
        yield snapshot
        if number + 1 >= seconds * FPS and clear_of_line(snapshot, belt):
            break
    for number in range(1, round(_STILL_S * FPS) + 1):
        yield replace(snapshot, time_s=snapshot.time_s + number / FPS)


def clear_of_line(snapshot: Snapshot, belt: Conveyor) -> bool:
    """Whether the middle of every product is well off the counting line, on the side where the product truly is: seen aslant,
    the top of a tall one is past the line before its foot."""
    line, passed = Line("line", *belt.line), belt.passed(snapshot.time_s)
    return all(_is_clear(line.offset(Anchor.CENTER.of(one.full)), one.id in passed) for one in snapshot.seen)


def _is_clear(offset: float, is_past: bool) -> bool:
    """``offset``: pixels past the line."""
    return offset >= _CLEAR_PX if is_past else offset <= -_CLEAR_PX


def _watch(
    console: Console, folder: Path, seconds: float, seed: int, threads: int | None
) -> tuple[BoxTally, tuple[Path, ...]]:
    import cv2

    import edgevision as ev

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)  # the verdicts were printed
        model = ev.load(folder / "detector.edge", then=folder / "model.edge", threads=threads, threshold=SCORE_TO_TRACK)
    belt, tally, kept = Conveyor(seed), BoxTally(), []
    labels = model.recogniser.labels
    names = [label.name for label in labels]
    counter = InventoryCounter({"belt": [Line("line", *belt.line)]}, TRACKER)
    cv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the renderer's many small steps are quicker without
    try:
        with model, _shown(console) as show:
            model.predict(belt.at(0.0).frame)  # the first call is slower; not counted
            before = 0
            for number, snapshot in enumerate(snapshots(belt, seconds)):
                if number == 0:
                    before = len(snapshot.crossings)  # these passed before the watch
                began = time.perf_counter()
                products = model.predict(snapshot.frame)
                answer = named(products, labels)
                answer = answer[answer.scores >= TRACKER.high_score]  # the others are for the tracker alone
                captured_ns = round(1e9 * snapshot.time_s)
                tally.add_events(counter.update(StreamResult("belt", number, likeliest(products), captured_ns, 0.0)))
                tally.add(snapshot.seen, answer, 1e3 * (time.perf_counter() - began))
                tally.set_truth(snapshot.crossings[before:], names)
                drawn = picture(snapshot.frame, answer, belt)
                if number % round(seconds * FPS / _KEPT_FRAMES) == round(FPS * seconds / _KEPT_FRAMES / 2):
                    kept.append(keep_frame(folder / "belt" / f"{number:04d}.jpg", drawn))
                show(drawn, snapshot, tally, number)
            tally.add_events(counter.end_all())
    finally:
        cv2.setNumThreads(cv_threads)
    return tally, tuple(kept)


def named(products: Products, labels: tuple[Label, ...]) -> Detections:
    """The boxes, each with the class that the classifier holds for the likeliest."""
    places = {label.id: place for place, label in enumerate(labels)}
    classes = np.array([places[one.best.id] for one in products.results], np.int64)
    return replace(products.detections, classes=classes, labels=labels)


def likeliest(products: Products) -> Products:
    """The same, every product known: it may doubt one view, the track has many. A belt of the demo carries nothing that is not listed."""
    return replace(products, results=tuple(replace(one, known=True) for one in products.results))


def picture(frame: ImageArray, answer: Detections, belt: Conveyor) -> ImageArray:
    """A copy of the frame with the counting line and the boxes, their names at their heads."""
    import cv2

    from edgevision.tasks.draw import draw

    lined = frame.copy()
    start, end = (tuple(round(value) for value in point) for point in belt.line)
    cv2.line(lined, start, end, _LINE_COLOR, 2, cv2.LINE_AA)
    return draw(lined, answer)


_Show = Callable[[ImageArray, Snapshot, BoxTally, int], None]


@contextmanager
def _shown(console: Console) -> Iterator[_Show]:
    """The live view on a terminal that can show it; else a plain line from time to time."""
    from edgevision.demo import belt_screen, screen

    if not screen.fits(console):
        yield lambda drawn, snapshot, tally, number: _plain(console, tally)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, transient=True) as live:
        began = time.perf_counter()

        def show(drawn: ImageArray, snapshot: Snapshot, tally: BoxTally, number: int) -> None:
            live.update(belt_screen.view(drawn, tally, console), refresh=True)
            time.sleep(max(0.0, began + (number + 1) / FPS - time.perf_counter()))

        yield show


def _plain(console: Console, tally: BoxTally) -> None:
    if tally.frames % (5 * FPS) == 0:
        console.print(
            f"{tally.frames / FPS:.0f} s: counted {tally.counted.total()} of {tally.crossed.total()} products that passed; "
            f"{tally.percent(tally.found):.1f} % of all views found, {tally.median_ms:.1f} ms a frame"
        )


def _found(result: CompileResult, tally: BoxTally, kept: tuple[Path, ...], compile_s: float) -> BeltResult:
    latencies = latencies_of(result)
    packed = next(one for one in result.variants if one.id == latencies.chosen)
    sizes = {
        "checkpoint": DETECTOR.stat().st_size,
        "int8_graph": packed.measurement.size_bytes,
        "bundle": result.path.stat().st_size,
    }
    return BeltResult(result.path, kept, tally, latencies, sizes, result.report.verdict_line(), compile_s)


def _show_summary(console: Console, found: BeltResult) -> None:
    from rich.table import Table
    from rich.text import Text

    tally = found.tally
    title = f"The belt: {tally.frames} frames, against the truth"
    table = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    table.add_column("product")
    table.add_column("counted", justify="right")
    table.add_column("truly passed", justify="right")
    for name, counted, crossed in tally.rows:
        table.add_row(name, str(counted), str(crossed), style=None if counted == crossed else "bold red")
    table.add_section()
    table.add_row("all", str(tally.counted.total()), str(tally.crossed.total()), style="bold")
    console.print(table, soft_wrap=False)
    console.print(
        f"Of {tally.products} views of products {tally.percent(tally.found):.1f} % were found and "
        f"{tally.percent(tally.named):.1f} % named rightly; {tally.false} boxes were false."
    )
    console.print(
        f"A frame took {tally.median_ms:.1f} ms (median: prepare, detect, track, count). "
        f"{found.latencies.chosen} against float in ONNX Runtime: {found.latencies.words}.",
        end="\n\n",
    )
    if found.kept:
        console.print(Text("Frames with their boxes:           ").append(str(found.kept[0].parent), "bold"))
