"""``edgevision serve`` under load, beside what a user would write or install instead: same network, same machine, one run, turns interleaved.

    .venv/bin/python -m benchmarks.serve_load classifier.edge [--fastapi PYTHON] [--litserve PYTHON] [--bentoml PYTHON] [--rounds 10]
    .venv/bin/python -m benchmarks.serve_load classifier.edge --do steady --minutes 30
    .venv/bin/python -m benchmarks.serve_load classifier.edge --do stop,swap,idle --other another.edge

Each peer lives in an environment of its own, named by its interpreter (``pip install`` the peer with uvicorn, numpy, opencv-python-headless,
onnxruntime). It runs the graph that the bundle has for ONNX Runtime, with the same preprocessing in OpenCV and NumPy, the same threads.
Ours runs twice: as the bundle chooses, and narrowed to ONNX Runtime, with the peers' graph. Pictures are JPEGs of 640×640; answers are
compared before the clock runs (the same best class or box, scores within 0.03: the resize filters differ). One process makes all requests. While
one server is asked, the others are stopped (SIGSTOP).

``load``: requests a second and latency with 1, 4 and 16 clients, of pictures and of tensors; and what HTTP adds over ``predict`` in a process of its own.
``steady``: 80 % of the most that 4 clients got, at a steady rate. ``stop``: SIGTERM under load. ``swap``: another bundle under load. ``idle``: processor time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import write_result
from benchmarks.serve_endurance import idle, steady, stop, swap
from benchmarks.serve_processes import Asker
from benchmarks.serve_targets import (
    HERE,
    IN_PROCESS,
    OURS,
    OURS_ORT,
    Bench,
    Target,
    ask,
    check_answers,
    prepare,
    start_bentoml,
    start_fastapi,
    start_litserve,
    start_ours,
)
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.statistics.ratio import Statistic, median_latency, paired_ratio_of, throughput

CLIENTS = (1, 4, 16)
DOES = ("load", "steady", "stop", "swap", "idle")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("--do", default="load", help="of load, steady, stop, swap, idle; several with commas between")
    p.add_argument("--other", type=Path, help="the bundle that swap changes to and fro with")
    for peer in ("fastapi", "litserve", "bentoml"):
        p.add_argument(f"--{peer}", type=Path, metavar="PYTHON", help=f"interpreter of an environment with {peer}")
    p.add_argument("--threads", type=int, default=1, help="of every engine")
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    p.add_argument("--minutes", type=float, default=30.0, help="of steady; idle takes two seconds for each")
    p.add_argument("--out", help="name of the file under benchmarks/results")
    given = p.parse_args()
    wanted = given.do.split(",")
    if unknown := set(wanted) - set(DOES):
        p.error(f"--do knows {', '.join(DOES)}, got {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {"bundle": given.bundle.name}
    with tempfile.TemporaryDirectory(prefix="serve-load-") as name:
        bench = prepare(given.bundle.resolve(), Path(name), given.threads)
        try:
            if "load" in wanted:
                peers = {peer: path for peer in ("fastapi", "litserve", "bentoml") if (path := getattr(given, peer))}
                found["load"] = load(bench, peers, given.rounds, given.seconds)
            if "steady" in wanted:
                found["steady"] = steady(bench, given.minutes)
            if "stop" in wanted:
                found["stop"] = stop(bench, given.rounds)
            if "swap" in wanted:
                found["swap"] = swap(bench, given.other or given.bundle, given.rounds)
            if "idle" in wanted:
                found["idle"] = idle(bench, 2 * given.minutes)
        finally:
            bench.client.close()
    if given.out:
        write_result(given.out, found)


def load(bench: Bench, peers: dict[str, Path], rounds: int, seconds: float) -> dict[str, Any]:
    inside = Asker(
        [sys.executable, str(HERE / "serve_inprocess.py"), str(bench.bundle), "", str(bench.threads)],
        bench.environment(),
    )
    described = inside.read()
    targets = {OURS: start_ours(bench), OURS_ORT: start_ours(bench, OURS_ORT, "onnxruntime")}
    starters: dict[str, Callable[[Bench, Path], Target]] = {
        "fastapi": start_fastapi, "litserve": start_litserve, "bentoml": start_bentoml,
    }  # fmt: skip
    try:
        for peer, python in peers.items():
            targets[peer] = starters[peer](bench, python.absolute())
        expected = inside.ask(pictures=bench.pictures, seconds=0.5)["answers"]
        check_answers(bench, targets, expected)
        print(f"answers are the same: {', '.join(targets)}", file=sys.stderr, flush=True)
        for target in targets.values():
            target.server.pause()
        inside_blocks: list[Block] = []
        order = [
            (name, kind, clients) for name, target in targets.items() for kind in target.requests for clients in CLIENTS
        ]
        draw = random.Random(3)
        for number in range(rounds):
            turns: list[Any] = [*order, None]
            draw.shuffle(turns)
            for turn in turns:
                if turn is None:
                    found = inside.ask(pictures=bench.pictures, seconds=seconds)
                    inside_blocks.append(_block(IN_PROCESS, number, found))
                    continue
                name, kind, clients = turn
                target = targets[name]
                target.server.go_on()
                ask(bench, target, kind, clients, 0.3)
                used_s = target.server.processor_s()
                found = ask(bench, target, kind, clients, seconds)
                found["cpu_ns"] = int(1e9 * (target.server.processor_s() - used_s))
                target.server.pause()
                if set(found["statuses"]) != {"200"} or found["lost"]:
                    sys.exit(f"{name}, {kind}, {clients} clients: {found['statuses']}, {found['lost']} lost")
                target.blocks.setdefault((kind, clients), []).append(_block(name, number, found))
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        return {"in_process": described, **tell(targets, inside_blocks)}
    finally:
        inside.close()
        for target in targets.values():
            target.server.stop()


def _block(name: str, number: int, found: Any) -> Block:
    latency_ns = np.array(found["latency_ns"], np.int64)
    nothing = np.zeros(0, np.int64)
    return Block(
        name, Scenario("http"), number, found["began_ns"], found["wall_ns"], latency_ns, np.zeros(len(latency_ns), np.int64),
        np.zeros(0, np.bool_), nothing, counters=Counters(cpu_ns=found["cpu_ns"]),
    )  # fmt: skip


def processor_ms(block: Block) -> float:
    """Of the server, for a request: what neighbours on the machine change least."""
    return (block.counters.cpu_ns or 0) / 1e6 / len(block.latency_ns)


def p99(block: Block) -> float:
    """Nanoseconds."""
    return float(np.quantile(block.latency_ns, 0.99))


def tell(targets: dict[str, Target], inside: list[Block]) -> dict[str, Any]:
    """Print the table; and its figures."""
    figures: list[dict[str, Any]] = []
    for kind in ("picture", "tensor"):
        for clients in CLIENTS:
            for name, target in targets.items():
                blocks = target.blocks.get((kind, clients))
                if blocks:
                    every = np.concatenate([block.latency_ns for block in blocks]) / 1e6
                    per_second = float(np.median([throughput(block) for block in blocks]))
                    used_ms = float(np.median([processor_ms(block) for block in blocks]))
                    figures.append({"kind": kind, "clients": clients, "target": name, "per_second": per_second, "processor_ms": used_ms,
                                    "p50_ms": float(np.median(every)), "p99_ms": float(np.quantile(every, 0.99)), "n": len(every)})  # fmt: skip
                    print(f"{kind:8} {clients:3} clients  {name:26} {per_second:8.1f}/s  p50 {figures[-1]['p50_ms']:7.2f} ms  "
                          f"p99 {figures[-1]['p99_ms']:7.2f} ms  processor {used_ms:6.2f} ms  ({len(every)} requests)")  # fmt: skip
    ratios = [
        _ratio(what, statistic, targets, ours, peer, kind, clients)
        for ours in (OURS, OURS_ORT) for peer in targets if peer not in (OURS, OURS_ORT)
        for kind in targets[peer].requests for clients in CLIENTS
        for what, statistic in (("requests a second", throughput), ("p50", median_latency), ("p99", p99), ("processor time", processor_ms))
    ]  # fmt: skip
    return {"figures": figures, "ratios": ratios, "http_adds_ms": http_adds(targets[OURS].blocks["picture", 1], inside)}


def _ratio(
    what: str, statistic: Statistic, targets: dict[str, Target], ours: str, peer: str, kind: str, clients: int
) -> dict[str, Any]:
    ratio = paired_ratio_of(targets[ours].blocks[kind, clients], targets[peer].blocks[kind, clients], statistic)
    print(
        f"{kind:8} {clients:3} clients  {what:17} {ours} / {peer}: {ratio.median:.2f} (95 %: {ratio.low:.2f} to {ratio.high:.2f})"
    )
    return {"kind": kind, "clients": clients, "what": what, "ours": ours, "peer": peer, "ratio": ratio.median,
            "low": ratio.low, "high": ratio.high, "rounds": ratio.n}  # fmt: skip


def http_adds(served: Sequence[Block], inside: Sequence[Block]) -> dict[str, float]:
    """Median of a served request less that of ``predict`` in a process of its own: the median over rounds, with its bootstrap interval."""
    by_round = {block.round: median_latency(block) for block in inside}
    differences = np.array([median_latency(block) - by_round[block.round] for block in served]) / 1e6
    drawn = np.random.default_rng(0).choice(differences, (2000, len(differences)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    found = {"median": float(np.median(differences)), "low": float(low), "high": float(high), "rounds": float(len(differences)),
             "in_process_p50": float(np.median(list(by_round.values())) / 1e6),
             "in_process_processor_ms": float(np.median([processor_ms(block) for block in inside]))}  # fmt: skip
    print(
        f"HTTP adds {found['median']:.2f} ms (95 %: {low:.2f} to {high:.2f}) to the {found['in_process_p50']:.2f} ms of predict, one client, "
        f"which takes {found['in_process_processor_ms']:.2f} ms of a processor"
    )
    return found


if __name__ == "__main__":
    main()
