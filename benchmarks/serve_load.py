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
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import ROOT, write_result
from benchmarks.serve_processes import Asker, Server, free_port
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.statistics.ratio import Statistic, median_latency, paired_ratio_of, throughput
from edgevision.bench.targets.http import request as tensor_request
from edgevision.bench.targets.http import response as tensor_response
from edgevision.bundle.reader import open_bundle
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.frames import Frame
from edgevision.preprocess import Preprocessor

HERE = Path(__file__).parent
SIDE_PX = 640
PICTURES = 4
CLIENTS = (1, 4, 16)
DOES = ("load", "steady", "stop", "swap", "idle")
OURS, OURS_ORT, IN_PROCESS = "edgevision", "edgevision (onnxruntime)", "in-process"


@dataclass
class Target:
    """Who is asked. ``requests``: files by kind, "picture" or "tensor"."""

    server: Server
    requests: dict[str, list[Path]]
    blocks: dict[tuple[str, int], list[Block]] = field(default_factory=dict)


@dataclass
class Bench:
    """What all turns share. ``name``: of the model, as the service calls it."""

    bundle: Path
    folder: Path
    threads: int
    engine: str
    pictures: list[Path]
    tensors: list[np.ndarray[Any, Any]]
    client: Asker
    told: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """Of our own processes."""
        paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "EDGEVISION_CACHE": str(self.folder / "cache")}


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


# ---- what is asked ----


def prepare(bundle: Path, folder: Path, threads: int) -> Bench:
    """Pictures, tensors, the peers' graph, and the client."""
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        entry = next(one for one in manifest.variants if one.engine == "onnxruntime")
        graph = opened.read(manifest.graphs[entry.graph].entry)
        spec, task = manifest.preprocess, manifest.task_of(entry)
    parameters = {"temperature": 1.0, "threshold": 0.0, "iou": 0.7, **task.parameters}
    told = {
        "kind": task.kind, "height": spec.height, "width": spec.width, "filter": spec.filter.value, "mean": spec.mean, "std": spec.std,
        "pad_value": spec.pad_value, "labels": [label.name for label in manifest.labels], "most": 300,
        **{name: parameters[name] for name in ("temperature", "threshold", "iou")},
    }  # fmt: skip
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_bytes(graph)
    (folder / "model" / "model.json").write_text(json.dumps(told), "utf-8")
    rng = np.random.default_rng(8)
    pictures, tensors = [], []
    prepare_one = Preprocessor(spec)
    for number in range(PICTURES):
        image = render(sample_scene(rng, SceneKind.LISTED, side_px=SIDE_PX))
        path = folder / f"{number}.jpg"
        path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
        pictures.append(path)
        tensors.append(prepare_one.run(Frame.from_array(image)).copy())
    client = Asker([sys.executable, str(HERE / "serve_client.py")])
    return Bench(bundle, folder, threads, "", pictures, tensors, client, told)


def http_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A whole request, as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def write_requests(bench: Bench, target: str, kind: str, requests: Sequence[bytes]) -> list[Path]:
    folder = bench.folder / "requests" / target.replace(" ", "-") / kind
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.http" for number in range(len(requests))]
    for path, request in zip(paths, requests, strict=True):
        path.write_bytes(request)
    return paths


# ---- who is asked ----


def start_ours(bench: Bench, name: str = OURS, engine: str = "", bundle: Path | None = None) -> Target:
    port = free_port()
    command = [
        sys.executable, "-m", "edgevision", "serve", f"model={bundle or bench.bundle}", "--port", str(port), "--threads",
        str(bench.threads), *(["--engine", engine] if engine else []),
    ]  # fmt: skip
    server = Server(name, command, port, "/v2/health/ready", bench.environment(), bench.folder)
    headers = {"Content-Type": "image/jpeg"}
    pictures = [http_request("/v1/recognise", path.read_bytes(), headers) for path in bench.pictures]
    about = json.loads(server.get("/v2/models/model")[1])
    tensors = []
    for tensor in bench.tensors:
        body, more = tensor_request(about["inputs"][0]["name"], tensor[None], binary=True)
        tensors.append(http_request("/v2/models/model/infer", body, more))
    return Target(
        server, {"picture": write_requests(bench, name, "picture", pictures), "tensor": write_requests(bench, name, "tensor", tensors)}
    )  # fmt: skip


def start_fastapi(bench: Bench, python: Path) -> Target:
    port = free_port()
    command = [
        str(python), str(HERE / "serve_peer_fastapi.py"), str(bench.folder / "model"), str(port), str(bench.threads),
    ]  # fmt: skip
    server = Server("fastapi", command, port, "/openapi.json", _plain_environment(), bench.folder)
    raw = {"Content-Type": "application/octet-stream"}
    pictures = [http_request("/recognise", path.read_bytes(), raw) for path in bench.pictures]
    tensors = [http_request("/tensor", tensor.tobytes(), raw) for tensor in bench.tensors]
    return Target(
        server, {"picture": write_requests(bench, "fastapi", "picture", pictures), "tensor": write_requests(bench, "fastapi", "tensor", tensors)}
    )  # fmt: skip


def start_litserve(bench: Bench, python: Path) -> Target:
    return _start_form_peer(bench, "litserve", python, "serve_peer_litserve.py", "/predict", "/health", "request")


def start_bentoml(bench: Bench, python: Path) -> Target:
    return _start_form_peer(bench, "bentoml", python, "serve_peer_bentoml.py", "/recognise", "/readyz", "picture")


def _start_form_peer(
    bench: Bench, name: str, python: Path, script: str, path: str, probe: str, field_name: str
) -> Target:
    """A peer that takes a picture as a file of a form, which is what it is made for."""
    port = free_port()
    command = [str(python), str(HERE / script), str(bench.folder / "model"), str(port), str(bench.threads)]
    server = Server(name, command, port, probe, _plain_environment(), bench.folder)
    requests = []
    for picture in bench.pictures:
        head = f'--edge\r\nContent-Disposition: form-data; name="{field_name}"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        body = head.encode() + picture.read_bytes() + b"\r\n--edge--\r\n"
        requests.append(http_request(path, body, {"Content-Type": "multipart/form-data; boundary=edge"}))
    return Target(server, {"picture": write_requests(bench, name, "picture", requests)})


def _plain_environment() -> dict[str, str]:
    """Without our packages: a peer's interpreter finds its own."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


# ---- the same answers ----


def check_answers(bench: Bench, targets: dict[str, Target], expected: Sequence[dict[str, Any]]) -> None:
    """Leave unless every server gives the same answers as ``predict``."""
    best = [_best(one) for one in expected]
    for name, target in targets.items():
        target.server.go_on()
        for kind in target.requests:
            found = ask(bench, target, kind, clients=1, seconds=1.0)
            if set(found["statuses"]) != {"200"} or len(found["bodies"]) < PICTURES:
                sys.exit(
                    f"{name}, {kind}: expected answers to {PICTURES} requests, got {found['statuses']} {str(found['bodies'])[:300]}"
                )
            for number in range(PICTURES):
                body = found["bodies"][str(number)]
                if kind == "picture":
                    _compare(name, number, _best(json.loads(body)), best[number])
        if name not in (OURS, OURS_ORT):
            target.server.pause()
    if (
        all("tensor" in targets[one].requests for one in (OURS_ORT, "fastapi") if one in targets)
        and "fastapi" in targets
    ):
        _compare_tensors(bench, targets[OURS_ORT], targets["fastapi"])


def _best(answer: Any) -> tuple[str, float]:
    """Name and score of the best class or box, in any of the peers' forms."""
    while isinstance(answer, dict):
        answer = next(answer[key] for key in ("top", "detections", "boxes", "output", "answer") if key in answer)
    if not answer:
        return "", 0.0
    first = max(answer, key=lambda one: float(one["score"]))
    return str(first["name"]), float(first["score"])


def _compare(name: str, number: int, found: tuple[str, float], expected: tuple[str, float]) -> None:
    if found[0] != expected[0] or abs(found[1] - expected[1]) > 0.03:
        sys.exit(f"{name}: picture {number} is {found}, and predict says {expected}")


def _compare_tensors(bench: Bench, ours: Target, theirs: Target) -> None:
    for number in range(PICTURES):
        raw = [one.requests["tensor"][number].read_bytes().partition(b"\r\n\r\n") for one in (ours, theirs)]
        heads = [dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:]) for head, _, _ in raw]
        theirs.server.go_on()
        import urllib.request

        answers = []
        for target, (head, _, body), headers in zip((ours, theirs), raw, heads, strict=True):
            url = f"http://127.0.0.1:{target.server.port}{head.split(b' ')[1].decode()}"
            kept = {
                name.decode(): value.decode()
                for name, value in headers.items()
                if name not in (b"Host", b"Content-Length")
            }
            with urllib.request.urlopen(urllib.request.Request(url, body, kept)) as answer:
                answers.append((answer.read(), answer.headers))
        length = answers[0][1].get("Inference-Header-Content-Length")
        outputs = tensor_response(answers[0][0], None if length is None else int(length))
        ours_flat = next(iter(outputs.values())).reshape(-1)
        theirs_flat = np.frombuffer(answers[1][0], np.float32)
        if not np.allclose(ours_flat, theirs_flat, atol=1e-4, rtol=1e-4):
            sys.exit(f"tensor {number}: outputs differ by up to {np.abs(ours_flat - theirs_flat).max()}")
    theirs.server.pause()


# ---- load ----


def ask(bench: Bench, target: Target, kind: str, clients: int, seconds: float, **more: Any) -> Any:
    return bench.client.ask(
        do="ask", port=target.server.port, requests=target.requests[kind], clients=clients, seconds=seconds, **more
    )


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


# ---- for long, and at the end ----


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


if __name__ == "__main__":
    main()
