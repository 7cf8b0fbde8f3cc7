"""The parts of ``serve_load`` that ask our server alone: for long, while it stops, while its model changes, and when nobody asks."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serve_targets import OURS, Bench, ask, start_ours


def steady(bench: Bench, minutes: float) -> dict[str, Any]:
    target = start_ours(bench)
    try:
        most = ask(bench, target, "picture", clients=4, seconds=5.0)
        rate = 0.8 * len(most["latency_ns"]) / (most["wall_ns"] / 1e9)
        slice_s = min(10.0, 6 * minutes)
        memory: list[int] = []
        latency: list[int] = []
        statuses: Counter[str] = Counter()
        lost = 0
        until_s = time.monotonic() + 60 * minutes
        while time.monotonic() < until_s:
            found = ask(bench, target, "picture", clients=16, seconds=slice_s, per_second=rate)
            statuses.update(found["statuses"])
            lost += found["lost"]
            latency += found["latency_ns"]
            memory.append(target.server.resident_bytes())
        warm = memory[len(memory) // 10]
        told = {
            "minutes": minutes, "asked_per_second": rate, "statuses": dict(statuses), "lost": lost, "warm_mb": warm / 1e6,
            "end_mb": memory[-1] / 1e6, "grew_mb": (memory[-1] - warm) / 1e6, "memory_mb": [one / 1e6 for one in memory],
            "p50_ms": float(np.median(latency)) / 1e6, "p99_ms": float(np.quantile(latency, 0.99)) / 1e6,
        }  # fmt: skip
        print(
            f"steady: {minutes:g} minutes at {rate:.0f}/s: {dict(statuses)}, {lost} lost; {warm / 1e6:.1f} MB after a tenth, "
            f"{memory[-1] / 1e6:.1f} MB at the end; p50 {told['p50_ms']:.1f} ms, p99 {told['p99_ms']:.1f} ms since each was due"
        )
        return told
    finally:
        target.server.stop()


def stop(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    told = []
    for number in range(rounds):
        shutil.rmtree(bench.folder / "requests" / OURS, ignore_errors=True)
        target = start_ours(bench)
        stop_file = bench.folder / f"stopped-{number}"
        bench.client.begin(
            do="ask_until_gone",
            port=target.server.port,
            requests=target.requests["picture"],
            clients=16,
            stop_file=stop_file,
        )
        time.sleep(2.0 + 0.1 * number)
        stop_file.write_text(str(time.monotonic_ns()))
        began_s = time.monotonic()
        os.kill(target.server.process.pid, signal.SIGTERM)
        status = target.server.process.wait(60)
        took_s = time.monotonic() - began_s
        found = bench.client.read()
        target.server.stop()
        told.append(
            {
                "status": status,
                "seconds": took_s,
                **{key: found[key] for key in ("statuses", "lost", "late", "refused", "answered_after")},
            }
        )
        print(
            f"stop {number + 1}: status {status} after {took_s:.2f} s; {found['statuses']}; written before and not answered: {found['lost']}; "
            f"begun after and answered: {found['answered_after']}, not answered: {found['late']}"
        )
    return told


def swap(bench: Bench, other: Path, times: int) -> dict[str, Any]:
    live = bench.folder / "live.edge"
    shutil.copyfile(bench.bundle, live)
    shutil.rmtree(bench.folder / "requests" / OURS, ignore_errors=True)
    target = start_ours(bench, bundle=live)
    try:
        seconds = 3.0 + 4.0 * times
        bench.client.begin(
            do="ask", port=target.server.port, requests=target.requests["picture"], clients=8, seconds=seconds
        )
        ids: list[str] = []
        for number in range(times):
            time.sleep(2.0)
            beside = live.with_name("next.edge")
            shutil.copyfile((other, bench.bundle)[number % 2], beside)
            beside.replace(live)
            status, body = target.server.get("/v1/models/model/reload", "POST", b"")
            ids.append(f"{status} {body.decode()[:200]}")
        found = bench.client.read()
        told = {"swaps": ids, "statuses": found["statuses"], "lost": found["lost"], "requests": len(found["latency_ns"]),
                "p50_ms": float(np.median(found["latency_ns"])) / 1e6, "longest_ms": max(found["latency_ns"]) / 1e6}  # fmt: skip
        print(
            f"swap: {times} times under 8 clients: {found['statuses']}, {found['lost']} lost; p50 {told['p50_ms']:.1f} ms, longest {told['longest_ms']:.0f} ms; "
            f"{Counter(one.split()[0] for one in ids)}"
        )
        return told
    finally:
        target.server.stop()


def idle(bench: Bench, seconds: float) -> dict[str, float]:
    shutil.rmtree(bench.folder / "requests" / OURS, ignore_errors=True)
    target = start_ours(bench)
    try:
        ask(bench, target, "picture", clients=4, seconds=2.0)
        time.sleep(2.0)
        began_s, used_s = time.monotonic(), target.server.processor_s()
        time.sleep(seconds)
        share = (target.server.processor_s() - used_s) / (time.monotonic() - began_s)
        print(f"idle: {100 * share:.2f} % of a core over {seconds:g} s, after load")
        return {"share": share, "seconds": seconds}
    finally:
        target.server.stop()
