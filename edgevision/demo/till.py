"""The demo's first part: compile the checkpoint that comes with EdgeVision, then recognise a live stream at a till with what came out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.demo.compiling import CLASSIFIER, ProgressFn, compile_checkpoint, silent
from edgevision.demo.kept import keep_frame
from edgevision.demo.latencies import Latencies, latencies_of
from edgevision.demo.scene import SceneKind, render
from edgevision.demo.stream import FRAMES_PER_VISIT, Shot, stream
from edgevision.demo.tally import Tally
from edgevision.errors import UnprovenWarning
from edgevision.frames import Frame, ImageArray
from edgevision.tasks.results import Classification

if TYPE_CHECKING:
    from rich.console import Console

    from edgevision.compiler.pipeline import CompileResult

FRAMES = 240
VIEWED_PER_SECOND = 12  # a pace to watch; without a terminal the stream runs as fast as it can
KEPT_FRAMES = 6


@dataclass(frozen=True)
class TillResult:
    """What was seen at the till. ``kept``: frames written as files. ``int8`` and ``reference`` count the same frames; ``report``
    is the compiler's."""

    bundle: Path
    kept: tuple[Path, ...]
    int8: Tally
    reference: Tally
    latencies: Latencies
    sizes: dict[str, int]  # bytes of the checkpoint, the float graph, the int8 graph, the bundle
    verdict: str
    report: dict[str, Any]
    compile_s: float
    stream_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bundle": str(self.bundle),
            "frames_kept": [str(path) for path in self.kept],
            "chosen": self.latencies.chosen,
            "stream": {"int8": self.int8.to_dict(), "float": self.reference.to_dict(), "seconds": self.stream_s},
            **self.latencies.to_dict(),
            "sizes_bytes": self.sizes,
            "verdict": self.verdict,
            "compile": {"seconds": self.compile_s, **self.report},
        }


def run_till(
    console: Console, *, frames: int = FRAMES, seed: int = 0, threads: int | None = None,
    folder: Path = Path("runs/demo"), progress: AbstractContextManager[ProgressFn] | None = None,
) -> TillResult:  # fmt: skip
    """Compile, watch ``frames`` frames, sum up. Writes ``model.edge`` and a few frames into ``folder``.

    ``threads``: engine threads, None = all cores. ``progress`` is open while compiling, and told of its steps.
    Raises MissingExtraError where the compiler's packages are not installed.
    """
    started = time.perf_counter()
    with progress or nullcontext(silent) as tell:
        result = compile_checkpoint(CLASSIFIER, folder / "model.edge", threads, tell)
    compile_s = time.perf_counter() - started
    _show_variants(console, result, compile_s)
    started = time.perf_counter()
    int8, reference, kept = _watch(console, result, frames, seed, threads, folder / "frames")
    found = _found(result, int8, reference, kept, compile_s, time.perf_counter() - started)
    _show_summary(console, found)
    return found


# ---- the stream ----


@contextmanager
def _float_reference(result: CompileResult, threads: int) -> Iterator[Callable[[ImageArray], Classification]]:
    """The float graph, answering as a variant of the bundle would."""
    from edgevision.compiler.variants import BASE_ENGINE, REFERENCE
    from edgevision.engines import EngineOptions
    from edgevision.runtime.runner import Runner
    from edgevision.tasks.registry import make_task

    manifest = result.manifest
    variant = next(one for one in result.variants if one.id == REFERENCE)
    task = make_task(manifest.task.with_parameters(variant.parameters))
    runner = Runner(result.float_graph, BASE_ENGINE, EngineOptions(threads), manifest.preprocess, task)

    def answer(frame: ImageArray) -> Classification:
        batch = runner.run([Frame.from_array(frame)])
        found: Classification = task.decode(batch.outputs, batch.views, batch.timing)[0]
        return found

    try:
        yield answer
    finally:
        runner.close()


def _watch(
    console: Console, result: CompileResult, frames: int, seed: int, threads: int | None, folder: Path
) -> tuple[Tally, Tally, tuple[Path, ...]]:
    """Show the same frames to the bundle and to the float graph, and count both."""
    import cv2

    import edgevision as ev
    from edgevision.compiler.variants import REFERENCE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)  # the verdict was printed above
        model = ev.load(result.path, threads=threads)
    int8, reference = Tally(model.variant.id), Tally(REFERENCE)
    kept: list[Path] = []
    cv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the renderer's many small steps are quicker without
    try:
        with model, _float_reference(result, model.threads) as by_float, _shown(console) as show:
            for answer in (model.predict, by_float):  # first calls are slower; not counted
                answer(render(next(stream(seed, 1)).scene))
            began = time.perf_counter()
            for shot in stream(seed, frames):
                frame = render(shot.scene)
                if shot.visit < KEPT_FRAMES and shot.index % FRAMES_PER_VISIT == FRAMES_PER_VISIT - 1:
                    product = shot.scene.product.id if shot.scene.product else "empty"
                    kept.append(keep_frame(folder / f"{shot.visit}-{product}.jpg", frame))
                # Turn about, so that neither always finds the caches warm.
                if shot.index % 2:
                    second, first = by_float(frame), model.predict(frame)
                else:
                    first, second = model.predict(frame), by_float(frame)
                for tally, given in ((int8, first), (reference, second)):
                    tally.add(shot.scene.kind, shot.scene.label, given)
                fps = (shot.index + 1) / (time.perf_counter() - began)
                show(shot, frame, (first, second), (int8, reference), model.threshold or 0.0, frames, fps)
    finally:
        cv2.setNumThreads(cv_threads)
    return int8, reference, tuple(kept)


_Show = Callable[[Shot, "ImageArray", tuple[Classification, ...], tuple[Tally, ...], float, int, float], None]


@contextmanager
def _shown(console: Console) -> Iterator[_Show]:
    """The live view on a terminal that can show it; else a plain line from time to time."""
    from edgevision.demo import screen

    if not screen.fits(console):
        yield lambda shot, frame, answers, tallies, threshold, frames, fps: _plain(console, shot, tallies, frames, fps)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, transient=True) as live:
        began = time.perf_counter()

        def show(
            shot: Shot, frame: ImageArray, answers: tuple[Classification, ...], tallies: tuple[Tally, ...],
            threshold: float, frames: int, fps: float,
        ) -> None:  # fmt: skip
            moment = screen.Moment(shot, frame, answers, tallies, threshold, frames, fps)
            live.update(screen.view(moment, console), refresh=True)
            due = began + (shot.index + 1) / VIEWED_PER_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))

        yield show


def _plain(console: Console, shot: Shot, tallies: tuple[Tally, ...], frames: int, fps: float) -> None:
    done = shot.index + 1
    if done % max(1, frames // 5) == 0 or done == frames:
        right = " · ".join(f"{t.name} {t.right_percent:.1f} % right, {t.median_ms:.2f} ms" for t in tallies)
        console.print(f"frame {done} of {frames}: {right} · {fps:.0f} frames/s, drawing included")


# ---- the summary ----


def _found(
    result: CompileResult, int8: Tally, reference: Tally, kept: tuple[Path, ...], compile_s: float, stream_s: float
) -> TillResult:
    latencies = latencies_of(result)
    packed = next(one for one in result.variants if one.id == latencies.chosen)
    sizes = {
        "checkpoint": CLASSIFIER.stat().st_size,
        "float_graph": len(result.float_graph),
        "int8_graph": packed.measurement.size_bytes,
        "bundle": result.path.stat().st_size,
    }
    report = result.report
    return TillResult(
        result.path, kept, int8, reference, latencies, sizes, report.verdict_line(),
        report.to_dict(), compile_s, stream_s,
    )  # fmt: skip


def _show_variants(console: Console, result: CompileResult, seconds: float) -> None:
    from rich.table import Table

    header, lines = result.report.table()
    table = Table(title="Variants on this machine", title_justify="left", header_style="bold", title_style="bold")
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for place, line in enumerate(lines):
        table.add_row(*line, style="bold green" if place == 0 else None)
    console.print(table, soft_wrap=False)
    console.print(f"Compiled {CLASSIFIER.name} in {seconds:.0f} s. {result.report.why}")
    console.print(result.report.verdict_line(), end="\n\n")


def _show_summary(console: Console, found: TillResult) -> None:
    from rich.table import Table
    from rich.text import Text

    int8, float_ = found.int8, found.reference
    table = Table(title=f"{int8.frames} frames, against the truth", title_justify="left", header_style="bold",
                  title_style="bold")  # fmt: skip
    table.add_column("")
    for tally in (int8, float_):
        table.add_column(tally.name, justify="right")

    def row(name: str, *values: str) -> None:
        table.add_row(name, *values)

    row("answers right", *(f"{t.right_percent:.1f} %" for t in (int8, float_)))
    row(f"top-1 on {int8.listed} frames of listed products",
        *("–" if t.top1_percent is None else f"{t.top1_percent:.1f} %" for t in (int8, float_)))  # fmt: skip
    row('  of these answered "unknown"', *(str(t.rejected) for t in (int8, float_)))
    row("  of these mistaken for another", *(str(t.mistaken) for t in (int8, float_)))
    for kind, what in ((SceneKind.UNLISTED, "unlisted products"), (SceneKind.EMPTY, "empty places")):
        if n := int8.others.get(kind):
            row(f"false accepts on {n} frames of {what}", *(str(t.accepted[kind]) for t in (int8, float_)))
    for threads in found.latencies.threads:
        values = [f"{found.latencies.ms[t.name][threads]:.2f} ms" for t in (int8, float_)]
        row(f"engine latency, p50, {threads} thread{'s' if threads > 1 else ''}", *values)
    row("size of the graph", *(f"{found.sizes[k] / 1e6:.2f} MB" for k in ("int8_graph", "float_graph")))
    console.print(table, soft_wrap=False)
    console.print(f"{found.latencies.chosen} against float in ONNX Runtime: {found.latencies.words}.", end="\n\n")
    sample = next(iter(found.kept), "PHOTO.jpg")
    for text, command in (
        ("Look into the file:", f"edgevision inspect {found.bundle}"),
        ("Recognise a frame, without torch:", f"edgevision predict {found.bundle} {sample}"),
        ("Train on your own products:", "edgevision train --data PHOTOS/ -o model.pt"),
        ("Make them one file:", "edgevision compile model.pt --int8"),
    ):
        console.print(Text(f"{text:<34} ").append(command, "bold"), soft_wrap=True)
