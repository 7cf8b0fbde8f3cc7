"""Adds and removes in a gallery, killed at random moments: is there ever a broken gallery, or half of a change?

A child process makes one change after another and says in a pipe when it begins and has ended each; this process kills it by
SIGKILL after a random time, reads the gallery, and compares it with what the changes up to there give, or those with the last one,
which was under way. Then the next child goes on. Meanwhile another process reads all the time: it must never see anything else
than whole changes either.

    python -m benchmarks.gallery_crash --changes 10000
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import struct
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from edgevision.errors import GalleryError
from edgevision.gallery.gallery import Gallery, open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.sources import source_of_bytes
from edgevision.gallery.vectors import Vectors, unit_rows
from edgevision.gallery.writer import GalleryWriter

BUNDLE, DIMENSION = "ab" * 32, 32
PRODUCTS = 30

State = dict[int, dict[str, bytes]]  # product → source → vector


@dataclass(frozen=True)
class Outcome:
    """``changes``: that were made in all; ``kills``; ``during``: kills while a change was under way; ``journals``: kills that left a
    journal behind, which the next reader took back; ``kept``: changes under way that the kill found done; ``reads``: by the other
    process; ``wrong``: what was broken, in words."""

    changes: int
    kills: int
    during: int
    journals: int
    kept: int
    reads: int
    wrong: tuple[str, ...]


def change_of(number: int) -> tuple[str, int]:
    """What the change of this number is: add or remove, and which product. The same in every process."""
    draw = random.Random(number)
    return ("add" if draw.random() < 0.6 else "remove"), draw.randrange(PRODUCTS)


def examples_of(number: int) -> tuple[Vectors, list[str]]:
    """The examples that a change adds: 1 … 40."""
    draw = np.random.default_rng(number)
    count = int(draw.integers(1, 41))
    vectors = unit_rows(draw.normal(size=(count, DIMENSION)), DIMENSION)
    return vectors, [source_of_bytes(f"{number} {place}".encode()) for place in range(count)]


def apply(state: State, number: int) -> State:
    """The state after a change."""
    what, product = change_of(number)
    after = dict(state)
    if what == "remove":
        after.pop(product, None)
        return after
    vectors, sources = examples_of(number)
    after[product] = {**after.get(product, {}), **dict(zip(sources, (row.tobytes() for row in vectors), strict=True))}
    return after


def make(path: Path, number: int) -> None:
    """The same in the gallery, in one transaction."""
    what, product = change_of(number)
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        if what == "remove":
            if writer.has_product(product):
                writer.remove(product)
            return
        if not writer.has_product(product):
            writer.add_product(GalleryProduct(product, f"product {product}"))
        vectors, sources = examples_of(number)
        writer.add_examples(product, vectors, sources)


def state_of(gallery: Gallery) -> State:
    """What a gallery holds."""
    state: State = {product.id: {} for product in gallery.products}
    for example, vector in zip(gallery.examples, gallery.vectors, strict=True):
        state[example.product][example.source] = vector.tobytes()
    return state


def child(path: Path, first: int, last: int, told: Connection) -> None:
    """Changes ``first`` … ``last``, each told of before (twice its number) and after (one more)."""
    for number in range(first, last):
        told.send_bytes(struct.pack("q", 2 * number))
        make(path, number)
        told.send_bytes(struct.pack("q", 2 * number + 1))


def reader(path: Path, told: Connection) -> None:
    """Read until something is said; then say how often, or what went wrong."""
    reads = 0
    while not told.poll():
        try:
            open_gallery(path)
        except GalleryError as error:
            if "there is no gallery" not in str(error):
                told.send(str(error))
                return
        reads += 1
    told.send(reads)


def run(path: Path, changes: int, seed: int, longest_s: float = 0.4) -> Outcome:
    """Make ``changes``, killing whoever makes them after 0 … ``longest_s`` seconds of work."""
    draw = random.Random(seed)
    state: State = {}
    done = kills = during = journals = kept = 0
    wrong: list[str] = []
    context = multiprocessing.get_context("forkserver")  # a fork that has imported everything: quick to start
    context.set_forkserver_preload(["benchmarks.gallery_crash"])
    here, there = context.Pipe()
    watching = context.Process(target=reader, args=(path, there))
    watching.start()
    while done < changes and not wrong:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(path, done, changes, theirs))
        begun, ended, finished = _follow(process, ours, theirs, draw.uniform(0.0, longest_s))
        kills += not finished
        journals += Path(f"{path}-journal").exists()
        for number in range(done, ended + 1):
            state = apply(state, number)
        done = max(done, ended + 1)
        under_way = apply(state, begun) if begun > ended else None
        during += under_way is not None
        found, said = _found(path)
        if said is not None:
            wrong.append(f"after change {done}: {said}")
        elif found == state:
            pass
        elif under_way is not None and found == under_way:
            state, done, kept = under_way, done + 1, kept + 1
        else:
            wrong.append(f"after change {done}: the gallery has neither the old content nor the new")
    here.send(None)
    said = here.recv()
    watching.join()
    if isinstance(said, str):
        wrong.append(f"the reader said: {said}")
    reads = said if isinstance(said, int) else 0
    return Outcome(done, kills, during, journals, kept, reads, tuple(wrong))


def _found(path: Path) -> tuple[State, str | None]:
    try:
        return state_of(open_gallery(path)), None
    except GalleryError as error:
        if not path.exists():
            return {}, None
        return {}, str(error)


def _follow(process: BaseProcess, told: Connection, theirs: Connection, work_s: float) -> tuple[int, int, bool]:
    """(the last change that was begun, the last that ended, whether all were made). Killed ``work_s`` after the first begins."""
    process.start()
    theirs.close()  # so that the end of the pipe comes with the end of the process
    said = [-1]
    with contextlib.suppress(EOFError):
        said += struct.unpack("q", told.recv_bytes())
        time.sleep(work_s)
        process.kill()
        while True:
            said += struct.unpack("q", told.recv_bytes())
    process.join()
    told.close()
    begun = max((one // 2 for one in said if one % 2 == 0), default=-1)
    ended = max((one // 2 for one in said if one % 2), default=-1)
    return begun, ended, process.exitcode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--longest-s", type=float, default=0.1, help="a child works 0 … so many seconds before it is killed"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outcome = run(Path(folder) / "shop.evg", given.changes, given.seed, given.longest_s)
        seconds = time.perf_counter() - began
    from benchmarks.common import write_result  # imports much that the killed processes need not

    write_result("gallery-crash", {**asdict(outcome), "seconds": round(seconds, 1)})
    print(outcome)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
