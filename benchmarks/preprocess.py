"""Our preprocessing kernels against the quickest correct chain of OpenCV, torchvision, OpenVINO and Pillow.

    .venv/bin/python -m benchmarks.preprocess            # everything, about 9 minutes; writes results/preprocess.*
    .venv/bin/python -m benchmarks.preprocess --quick    # 1920×1080 alone, about a minute; writes nothing
    .venv/bin/python -m benchmarks.preprocess --only bgr-1366x768-640-bilinear

Times are from a frame in memory to a float32 NCHW tensor, through the Python interface of each. *Hot*: the same frame
again and again, in the cache as a decoder leaves it. *Cold*: frames that the cache has lost, as a camera's DMA leaves
them. Ratios are paired within rounds of interleaved blocks, medians with a bootstrap 95 % interval; a goal is met when
the whole interval is on its side. A candidate whose tensor is not what the float64 reference says stops the run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from typing import Any

import numpy as np

from benchmarks.blocks import Blocks, keep_freed_memory, measure_blocks
from benchmarks.common import RESULTS, write_result
from benchmarks.preprocess_cases import CASES, READ, SOURCES, STD, Case, cache_bytes, goals, main_chain, make_frames
from benchmarks.preprocess_peers import CHAINS, Chain, Ready, installed, set_threads
from edgevision.frames import Frame
from edgevision.latency import paired_ratio
from edgevision.machine import package_versions, usable_cores
from edgevision.preprocess import make_plan
from edgevision.preprocess.reference import reference

SECONDS, QUICK_SECONDS = 5.5, 1.2  # of measuring, for each case, number of threads and source
THREADS = (1, 2)
PACKAGES = (
    "edgevision",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "torch",
    "torchvision",
    "openvino",
    "pillow",
)
PAUSE_S = 0.004  # before each block where there are threads: those of the block before spin for a while


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="1920×1080 alone, and fewer rounds")
    p.add_argument("--only", action="append", metavar="CASE", help="a case, or a pattern like 'nv12-*'; repeatable")
    p.add_argument("--json", action="store_true", help="print the result as JSON instead of tables")
    arguments = p.parse_args()
    cases = [case for case in CASES if not arguments.quick or (case.width, case.height) == SOURCES[0]]
    if arguments.only:
        cases = [case for case in cases if any(fnmatch(case.name, pattern) for pattern in arguments.only)]
    if not cases:
        p.error(f"no such case; the cases are {', '.join(case.name for case in CASES)}")

    os.environ["OMP_NUM_THREADS"] = "1"  # torch and OpenCV are not loaded yet; set_threads tells them where it is more
    allocator = keep_freed_memory()
    chains = [chain for chain in CHAINS if installed(chain.package)]
    missing = sorted({chain.package for chain in CHAINS} - {chain.package for chain in chains})
    say(allocator + (f"; left out, not installed: {', '.join(missing)}" if missing else ""))
    if (load := os.getloadavg()[0]) > 0.3 * usable_cores():
        say(
            f"other processes keep {load:.1f} cores busy: intervals will be wide, and two threads are not judged fairly"
        )
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    result: dict[str, Any] = {
        "versions": package_versions(PACKAGES),
        "loops": make_plan(cases[0].spec, cases[0].height, cases[0].width, cases[0].format).loops,
        "allocator": allocator,
        "cache_bytes": cache_bytes(),
        "not_installed": missing,
        "seconds_each": seconds,
        "chains": {
            c.name: {"does": c.does, "tolerance_levels": c.tolerance, "tolerance_because": c.why} for c in chains
        },
        "measurements": list(measure_all(cases, chains, seconds)),
    }
    if arguments.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        print_tables(result)
    if arguments.quick or arguments.only:
        say("a part of the benchmark: results/preprocess.json stays as it is")
    else:
        from benchmarks.preprocess_chart import draw

        write_result("preprocess", result)
        draw(result, RESULTS)


def measure_all(cases: Sequence[Case], chains: Sequence[Chain], seconds: float) -> Iterator[dict[str, Any]]:
    """Measure every case with every number of threads, hot and cold; the frames of one source are made once."""
    started, done, total = time.monotonic(), 0, len(cases) * len(THREADS) * 2
    for _, group in itertools.groupby(cases, key=lambda case: (case.format, case.width, case.height)):
        of_source = list(group)
        frames = make_frames(of_source)
        for case in of_source:
            wanted = [reference(case.spec, frame) for frame in frames[:2]]
            for threads in THREADS:
                set_threads(threads)
                ready = {c.name: r for c in chains if (r := c.make(case, frames, threads)) is not None}
                levels_off = {c.name: check(c, ready[c.name], case, wanted) for c in chains if c.name in ready}
                for cold in (False, True):
                    yield measure(case, threads, cold, frames, ready, levels_off, seconds)
                    done += 1
                    say(f"{done}/{total} {case.name} after {time.monotonic() - started:.0f} s")


def check(chain: Chain, ready: Ready, case: Case, wanted: Sequence[np.ndarray[Any, Any]]) -> float | None:
    """The largest difference from the reference over two different frames, in grey levels. Too large ends the run."""
    if chain.name == READ:
        return None
    worst = 0.0
    for index, tensor in enumerate(wanted):
        ready.run(index)
        off = float(np.abs(ready.output() - tensor).max()) * STD
        worst = max(worst, off if np.isfinite(off) else np.inf)
    if worst > (tolerance := chain.tolerance_for(case)):
        sys.exit(
            f"{chain.name}, {case.name}: expected a tensor within {tolerance} grey levels of the reference "
            f"({chain.why}), got {worst:.4g}; its time would say nothing"
        )
    return worst


def measure(
    case: Case,
    threads: int,
    cold: bool,
    frames: Sequence[Frame],
    ready: dict[str, Ready],
    levels_off: dict[str, float | None],
    seconds: float,
) -> dict[str, Any]:
    """One measurement as plain JSON values. ``ratio`` = how many times as long as our main chain, with interval."""
    pause = PAUSE_S if threads > 1 else 0.0
    calls = {name: chain.run for name, chain in ready.items()}
    blocks = measure_blocks(calls, len(frames), cold=cold, seconds=seconds, pause_s=pause)
    ours = main_chain(case)
    return {
        "case": case.name, "title": case.title, "threads": threads, "cold": cold, "ours": ours,
        "frames": len(frames) if cold else 1, "bytes_needed": case.bytes_needed,
        "chains": {
            name: {
                "median_us": b.median_us,
                "ratio": asdict(paired_ratio(b.medians, blocks[ours].medians)),
                "levels_off": levels_off[name],
                "kept": b.kept, "page_faults_per_call": b.page_faults_per_call, "calls_per_block": b.calls_per_block,
                "blocks_us": " ".join(f"{ns / 1e3:.1f}" for ns in b.medians.ns),  # one line of the file, not hundreds
            }
            for name, b in blocks.items()
        },
        "goals": verdicts(case, threads, cold, blocks),
    }  # fmt: skip


def verdicts(case: Case, threads: int, cold: bool, blocks: dict[str, Blocks]) -> list[dict[str, Any]]:
    """Each goal of a measurement with the peer it was judged against, the ratio, its interval, and whether it is met."""
    found = []
    for goal in goals(case, threads, cold):
        peers = [name for name in goal.peers if name in blocks]
        if not peers:
            continue
        peer = min(peers, key=lambda name: blocks[name].median_us)
        theirs, ours = blocks[peer].medians, blocks[goal.ours].medians
        ratio = paired_ratio(ours, theirs) if goal.at_most else paired_ratio(theirs, ours)
        met = ratio.high <= goal.limit if goal.at_most else ratio.low >= goal.limit
        found.append({
            "what": goal.what, "ours": goal.ours, "peer": peer, "limit": goal.limit, "at_most": goal.at_most,
            "ratio": asdict(ratio), "met": met,
        })  # fmt: skip
    return found


def print_tables(result: dict[str, Any]) -> None:
    """One table for each case, then one of the goals."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 165)
    by_case = itertools.groupby(result["measurements"], key=lambda m: (m["title"], m["ours"]))
    for (title, ours), group in by_case:
        columns = list(group)
        kept = min(c["kept"] for m in columns for c in m["chains"].values())
        faults = max(c["page_faults_per_call"] for m in columns for c in m["chains"].values())
        table = Table(
            title=f"{title}: median µs, and how many times as long as {ours}",
            caption=f"at least {kept:.0%} of each chain's calls kept their cores; at most {faults:.1f} page faults a call",
            title_justify="left", caption_justify="left",
        )  # fmt: skip
        table.add_column("")
        for m in columns:
            table.add_column(f"{threads_of(m)}, {source(m)}", justify="right")
        table.add_column("levels off", justify="right")
        for name in dict.fromkeys(name for m in columns for name in m["chains"]):
            entries = [m["chains"].get(name) for m in columns]
            off = max((e["levels_off"] or 0.0 for e in entries if e), default=0.0)
            cells = [f"{e['median_us']:.0f}  {times(e['ratio'])}" if e else "" for e in entries]
            table.add_row(name, *cells, "" if name == READ else f"{off:.2g}", style="bold" if name == ours else "")
        console.print(table)
    table = Table(title="Goals: met when the whole 95 % interval is on their side", title_justify="left")
    for heading in ("", "", "source", "goal", "judged by", "wanted", "ratio", ""):
        table.add_column(heading, justify="right" if heading in ("wanted", "ratio") else "left")
    for m in result["measurements"]:
        for g in m["goals"]:
            wanted = f"{'≤' if g['at_most'] else '≥'} {g['limit']}×"
            row = [m["title"], threads_of(m), source(m), g["what"], g["peer"], wanted, times(g["ratio"])]
            table.add_row(*row, "[green]met[/]" if g["met"] else "[red]missed[/]")
    console.print(table)


def times(ratio: dict[str, float]) -> str:
    """``2.31× [2.28…2.35]``, with fewer digits where there are more before the point; brackets escaped for rich."""
    digits = 2 if ratio["median"] < 10 else 1
    return f"{ratio['median']:.{digits}f}× \\[{ratio['low']:.{digits}f}…{ratio['high']:.{digits}f}]"


def threads_of(measurement: dict[str, Any]) -> str:
    """``1 thread`` or ``2 threads``."""
    return f"{measurement['threads']} thread{'s' if measurement['threads'] > 1 else ''}"


def source(measurement: dict[str, Any]) -> str:
    """Where the frames of a measurement were."""
    return "cold" if measurement["cold"] else "hot"


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
