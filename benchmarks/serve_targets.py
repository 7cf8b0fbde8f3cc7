"""Who is asked in ``serve_load``, and what: our server, its peers, their requests, and whether they all answer the same."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import ROOT
from benchmarks.serve_processes import Asker, Server, free_port
from edgevision.bench.scenarios.base import Block
from edgevision.bench.targets.http import request as tensor_request
from edgevision.bench.targets.http import response as tensor_response
from edgevision.bundle.reader import open_bundle
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.frames import Frame
from edgevision.preprocess import Preprocessor

HERE = Path(__file__).parent
SIDE_PX = 640
PICTURES = 4
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


def ask(bench: Bench, target: Target, kind: str, clients: int, seconds: float, **more: Any) -> Any:
    return bench.client.ask(
        do="ask", port=target.server.port, requests=target.requests[kind], clients=clients, seconds=seconds, **more
    )
