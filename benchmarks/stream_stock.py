"""A stock that is right although the network is not: rendered belts through a real RTSP camera, detected, recognised, tracked, counted into SQLite.

    PYTHONPATH=. python -m benchmarks.stream_stock --detector runs/demo/detector.edge --recogniser runs/demo/model.edge [--runs 100]

The bundles are those that ``edgevision demo`` makes. Each run is a belt of its own seed: it is rendered once, and counted twice. ``direct``: every
frame given to the model, as fast as it is; what is wrong there is the vision's fault. ``streamed``: at 10 frames a second through RTSP, while
the network breaks the connection once, holds everything back once, and is slow once, at moments of the seed. A run is exact where every product's stock equals what
truly passed; ``exact_total`` where the sum does, whatever the products were taken for. The belt begins and ends while no product is near the line.
``--no-network`` gives the direct form alone, which needs neither extra nor server; and with ``--gap-s 1.2`` how much the count changes where frames are missing for so
long, as while a connection is made again.

Goal: exact in 98 of 100 runs. Needs ``[stream]`` and GStreamer's RTSP server (see ``edgevision camsim``). A run takes about a minute.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgevision as ev
from benchmarks.common import write_result
from edgevision.demo.belt import FPS, SCORE_TO_TRACK, TRACKER, likeliest, snapshots
from edgevision.demo.world.conveyor import Conveyor
from edgevision.demo.world.truth import Crossing
from edgevision.errors import UnprovenWarning
from edgevision.frames import Frame, ImageArray
from edgevision.streams.camera_state import StateChange
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.faults import Fault, Kind, apply, upcoming
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.camsim.stamps import band_height
from edgevision.streams.distributor import Distributor
from edgevision.streams.inventory.counting import InventoryCounter
from edgevision.streams.inventory.stock import Inventory, StockRow
from edgevision.streams.options import CameraOptions, Mode, StreamOptions
from edgevision.streams.results import StreamResult
from edgevision.streams.served_model import ServedModel
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.callback import CallbackSink
from edgevision.streams.sinks.inventory import InventorySink
from edgevision.streams.stream import Stream
from edgevision.tasks.products import Products
from edgevision.tracking import InventoryEvent, Line, TrackerOptions

WIDTH, SHOWN = 640, 480  # of the belt's picture
HEIGHT = 528  # with room above it for the bar code
ABOVE = HEIGHT - SHOWN
# The first and the last picture stand still: time to connect, to be live for as long as a camera of a shop is before anything fails (10 s and
# more: health.SETTLED_S), and for what was held back to come.
LEAD_S, TAIL_S = 12.0, 3.0
GAPS_AT_S = (4.0, 8.0, 12.0)
DRAIN_S, NEAR_S = 30.0, 1.0  # a slow machine may take so long until its results are of now
CALM_S = 5.0  # at the end nothing fails
assert band_height(HEIGHT) <= ABOVE

Stock = Tally[str]


@dataclass(frozen=True)
class Belt:
    """``frames``: BGR, HEIGHT×WIDTH×3; ``line``: where products are counted; ``truth``: product → how many passed it."""

    frames: list[ImageArray]
    line: Line
    truth: Stock


def render(seed: int, seconds: float, names: Sequence[str]) -> Belt:
    """A watch of a belt."""
    world = Conveyor(seed, SHOWN, WIDTH)
    frames: list[ImageArray] = []
    crossed: tuple[Crossing, ...] = ()
    before = 0
    for number, snapshot in enumerate(snapshots(world, seconds)):
        if number == 0:
            before = len(snapshot.crossings)
        frames.append(np.pad(snapshot.frame, ((ABOVE, 0), (0, 0), (0, 0))))
        crossed = snapshot.crossings[before:]
    (x1, y1), (x2, y2) = world.line
    line = Line("line", (x1, y1 + ABOVE), (x2, y2 + ABOVE))
    return Belt(frames, line, Tally(names[one.label] for one in crossed))


def write_film(path: Path, belt: Belt) -> int:
    """The camera's film: the first picture stands still, the belt runs, the last one stands still. How many pictures it has."""
    import cv2

    lead = itertools.repeat(belt.frames[0], round(LEAD_S * FPS))
    tail = itertools.repeat(belt.frames[-1], round((TAIL_S + 60) * FPS))  # it must not begin anew while somebody looks
    count = 0
    with path.open("wb") as film:
        for frame in itertools.chain(lead, belt.frames, tail):
            film.write(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
            count += 1
    return count


def counted(rows: Iterable[StockRow]) -> Stock:
    """Product → how many there are more; what is 0 is left out."""
    return Tally({row.product: row.net for row in rows if row.net})


class NamedCascade:
    """Doubts no product, as the demo does: it may doubt one view, the track has many, and every product on the belt is listed."""

    def __init__(self, cascade: ev.Cascade) -> None:
        self._served = ServedModel(cascade)
        self.id, self.max_batch, self.parallel = self._served.id, self._served.max_batch, self._served.parallel

    def predict_frames(self, frames: Sequence[Frame]) -> list[Products]:
        """The products in each frame."""
        return [likeliest(one) for one in self._served.predict_frames(frames)]


def add(stock: Stock, events: Iterable[InventoryEvent]) -> None:
    """What the events say is there more, or less."""
    for event in events:
        stock[event.product] += event.delta


def looked_at(model: NamedCascade, belt: Belt) -> list[StreamResult]:
    """Every frame, one after the other, at the camera's times."""
    return [
        StreamResult(
            "belt", number, model.predict_frames([Frame.from_array(picture)])[0], round(1e9 * number / FPS), 0.0
        )
        for number, picture in enumerate(belt.frames)
    ]


def direct(results: Iterable[StreamResult], line: Line, tracker: TrackerOptions) -> Stock:
    """What is counted of them."""
    counter = InventoryCounter({"belt": [line]}, tracker)
    stock: Stock = Tally()
    for result in results:
        add(stock, counter.update(result))
    add(stock, counter.end_all())
    return Tally({product: count for product, count in stock.items() if count})


def without_a_while(
    results: Sequence[StreamResult], gap_s: float, line: Line, tracker: TrackerOptions
) -> list[dict[str, Any]]:
    """The same with ``gap_s`` seconds of frames left out, once at each of ``GAPS_AT_S``, beside the count of all frames."""
    whole = direct(results, line, tracker)
    left = [[one for one in results if not at_s <= one.sequence / FPS < at_s + gap_s] for at_s in GAPS_AT_S]
    return [
        {"at_s": at_s, **compare(whole, direct(some, line, tracker))}
        for at_s, some in zip(GAPS_AT_S, left, strict=True)
    ]


def faults(seed: int, seconds: float) -> list[Fault]:
    """What goes wrong while the belt runs; times are since the camera's start."""
    rng = np.random.default_rng((0xFA17, seed))
    starts: npt.NDArray[np.float64] = (
        LEAD_S + rng.permutation(3) * (seconds - CALM_S) / 3 + rng.uniform(0, (seconds - CALM_S) / 3 - 4.0, 3)
    )
    reset, stall, slow = (float(one) for one in starts)
    return [
        Fault("belt", Kind.RESET, reset),
        Fault("belt", Kind.STALL, stall, float(rng.uniform(0.5, 2.5))),
        Fault("belt", Kind.SLOW, slow, float(rng.uniform(2, 4)), bytes_s=float(rng.uniform(40_000, 80_000))),
    ]


def streamed(
    model: NamedCascade, belt: Belt, tracker: TrackerOptions, chaos: list[Fault], folder: Path
) -> dict[str, Any]:
    """The same through RTSP and SQLite, while the network fails."""
    film, database = folder / "belt.i420", folder / "stock.db"
    write_film(film, belt)
    settings = CameraSettings(
        width=WIDTH, height=HEIGHT, fps=FPS, announced_fps=FPS, key_frame_s=0.5, bitrate_kbps=2000, film=str(film)
    )
    seconds = LEAD_S + len(belt.frames) / FPS + TAIL_S
    with SimulatedCamera(settings) as camera:
        start_s = time.monotonic()
        counter = InventoryCounter({"belt": [belt.line]}, tracker)
        watched = _Watched(start_s)
        sink = Distributor([InventorySink(database, name="stock"), CallbackSink(watched.see)], counter)
        stream = Stream(model, options=StreamOptions(warm_up=False), sinks=[sink])
        # What the network held back is seen late rather than never: for counting, age matters less than completeness.
        stream.add(CameraOptions("belt", camera.url, mode=Mode.parse("burst:64"), max_age_s=30.0, timeout_s=10.0))
        with stream:
            for turn in upcoming(chaos, seconds - TAIL_S):
                time.sleep(max(0.0, start_s + turn.at_s - time.monotonic()))
                apply(turn, {"belt": camera})
            time.sleep(max(0.0, start_s + seconds - time.monotonic()))
            while watched.age_s > NEAR_S and time.monotonic() < start_s + seconds + DRAIN_S:
                time.sleep(0.1)
        account = stream.ledger.account("belt")
    with Inventory(database, write=False) as inventory:
        stock = counted(inventory.stock())
    film.unlink()
    return {
        "stock": stock,
        "captured": account.captured,
        "fates": {fate.value: count for fate, count in account.fates.items()},
        "states": watched.states,
        "fault": sink.fault,
        "sent": round(seconds * FPS),
    }


class _Watched:
    """``age_s``: of the newest result; ``states``: what the camera did, in words."""

    def __init__(self, start_s: float) -> None:
        self.age_s = 0.0
        self.states: list[str] = []
        self._start_s = start_s

    def see(self, item: Item) -> None:
        """Look at an item."""
        if isinstance(item, StreamResult):
            self.age_s = item.age_s
        elif isinstance(item, StateChange):
            why = f": {item.words}" if item.words else ""
            self.states.append(f"{item.state.value} at {time.monotonic() - self._start_s:.1f} s{why}")


def compare(truth: Stock, stock: Stock) -> dict[str, Any]:
    """How far one is from the other. ``products_wrong``: how many products would have to be added, taken away or renamed."""
    wrong = {name: stock[name] - truth[name] for name in sorted({*truth, *stock}) if stock[name] != truth[name]}
    many, few = (sum(max(0, sign * count) for count in wrong.values()) for sign in (1, -1))
    return {
        "exact": truth == stock, "exact_total": truth.total() == stock.total(), "total": stock.total(),
        "products_wrong": max(many, few), "wrong": wrong,
    }  # fmt: skip


def runs(
    cascade: ev.Cascade,
    seeds: Iterable[int],
    seconds: float,
    tracker: TrackerOptions,
    *,
    network: bool,
    gap_s: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """One belt after the other; without ``network``, only the direct form, and with ``gap_s`` also that with frames left out."""
    names, model = [label.name for label in cascade.recogniser.labels], NamedCascade(cascade)
    for seed in seeds:
        began_s = time.monotonic()
        belt = render(seed, seconds, names)
        rendered_s = time.monotonic() - began_s
        if not network:
            results = looked_at(model, belt)
            gaps = {"gaps": without_a_while(results, gap_s, belt.line, tracker)} if gap_s else {}
            yield {
                "seed": seed,
                "passed": belt.truth.total(),
                "direct": compare(belt.truth, direct(results, belt.line, tracker)),
                **gaps,
                "took_s": round(time.monotonic() - began_s, 1),
            }
            continue
        chaos = faults(seed, len(belt.frames) / FPS)
        with tempfile.TemporaryDirectory() as folder:
            found = streamed(model, belt, tracker, chaos, Path(folder))
        streamed_s = time.monotonic() - began_s - rendered_s
        yield {
            "seed": seed, "passed": belt.truth.total(), "direct": compare(belt.truth, direct(looked_at(model, belt), belt.line, tracker)),
            "streamed": compare(belt.truth, found.pop("stock")), **found, "rendered_s": round(rendered_s, 1),
            "streamed_s": round(streamed_s, 1), "took_s": round(time.monotonic() - began_s, 1),
            "chaos": [f"{one.kind.value} at {one.at_s:.1f} s for {one.lasts_s:.1f} s" for one in chaos],
        }  # fmt: skip


def main() -> None:
    import cv2

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--recogniser", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=5000, help="the demo's photos are of seeds under this")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each belt (default 20)")
    parser.add_argument("--no-network", action="store_true", help="only the direct form: how far the vision is right")
    parser.add_argument(
        "--lost-s", type=float, default=TrackerOptions().lost_s, help="how long a product may be unseen"
    )
    parser.add_argument(
        "--gap-s", type=float, default=0.0, help="with --no-network: count again without so many seconds of frames"
    )
    parser.add_argument(
        "--old-gaps", action="store_true", help="a time without frames counts as one in which nothing was seen"
    )
    arguments = parser.parse_args()
    if arguments.gap_s and not arguments.no_network:
        parser.error("--gap-s is for --no-network")
    cv2.setNumThreads(1)
    tracker = replace(TRACKER, lost_s=arguments.lost_s, gap_s=0.0 if arguments.old_gaps else TRACKER.gap_s)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)
        model = ev.load(arguments.detector, then=arguments.recogniser, threshold=SCORE_TO_TRACK)
    with model:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.runs)
        network = not arguments.no_network
        for row in runs(model, seeds, arguments.seconds, tracker, network=network, gap_s=arguments.gap_s):
            rows.append(row)
            print(row, flush=True)
            summary = {
                f"{how}_{what}": sum(one[how][what] for one in rows)
                for how in (("direct", "streamed") if network else ("direct",))
                for what in ("exact", "exact_total")
            }
            summary["passed"] = sum(one["passed"] for one in rows)
            if gaps := [gap for one in rows for gap in one.get("gaps", ())]:
                summary["gaps_exact"] = sum(gap["exact"] for gap in gaps) / len(gaps)
                summary["wrong_per_gap"] = sum(gap["products_wrong"] for gap in gaps) / len(gaps)
            summary["direct_wrong"] = sum(one["direct"]["products_wrong"] for one in rows)
            write_result(
                "stream-stock-gaps" if arguments.gap_s else "stream-stock",
                {"runs": len(rows), "lost_s": arguments.lost_s, **summary, "rows": rows},
            )


if __name__ == "__main__":
    main()
