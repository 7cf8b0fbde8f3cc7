"""A small guarded app behind a real uvicorn, in a process of its own: what the tests of access talk to over raw sockets.

Started as a program it takes one JSON object (see ``running``) and prints the port it listens at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOOD = b"GET /read HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"
LOG_LINE = re.compile(
    r'{"at": "[\d:T+.-]+", "event": "log", "level": "(debug|info|warning|error|critical)", "logger": "[\w.]+", "words": ".*}'
)
QUICK = {"handshake_s": 1.0, "header_s": 1.0, "keep_alive_s": 1.0, "body_pause_s": 1.0, "body_bytes_per_s": 20_000.0, "message_s": 1.0,
         "write_s": 1.0, "linger_s": 0.5, "token_check_s": 0.0}  # fmt: skip


# ---- the app ----


def make_app() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.websockets import WebSocket

    from edgevision.decode import to_frame
    from edgevision.errors import InputError
    from edgevision.kiosk.service.route import Scope, route, socket_route

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse("read")

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("<title>page</title>", media_type="text/html")

    async def take_json(request: Request) -> JSONResponse:
        try:
            data = json.loads(await request.body(), parse_constant=lambda name: float("no"))
        except (ValueError, RecursionError):
            return JSONResponse({"error": "this is no JSON"}, 400)
        if not isinstance(data, dict) or not isinstance(data.get("n"), int) or abs(data["n"]) > 2**53:
            return JSONResponse({"error": "expected n"}, 400)
        return JSONResponse(data)

    async def take_picture(request: Request) -> JSONResponse:
        try:
            frame = to_frame(await request.body(), max_decode_bytes=20_000_000)
        except InputError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"width": frame.width, "height": frame.height})

    async def fail(request: Request) -> PlainTextResponse:
        raise RuntimeError(f"secret of {__file__}\nERROR root: forged {request.query_params.get('x')}")

    async def fail_late(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            yield b"begun"
            raise RuntimeError("secret")

        return StreamingResponse(parts())

    async def endless(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0.01)

        return StreamingResponse(parts())

    async def ignore_body(request: Request) -> PlainTextResponse:
        return PlainTextResponse("not read")

    async def echo(websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        await websocket.accept("edgevision" if "edgevision" in offered else None)
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or (message.get("text") or "").encode()
            await websocket.send_json({"bytes": len(data), "offered": offered})

    async def fail_socket(websocket: WebSocket) -> None:
        if "early" not in websocket.query_params:
            await websocket.accept()
        raise RuntimeError("secret")

    return Starlette(
        routes=[
            route("/", page, scope=Scope.OPEN, max_body_bytes=0),
            route("/read", read, scope=Scope.READ, max_body_bytes=0),
            route("/admin", read, scope=Scope.ADMIN, max_body_bytes=0),
            route("/json", take_json, scope=Scope.INFER, methods=["POST"], max_body_bytes=300_000),
            route("/picture", take_picture, scope=Scope.INFER, methods=["POST"], max_body_bytes=1_000_000),
            route("/ignore", ignore_body, scope=Scope.INFER, methods=["POST"], max_body_bytes=1_000_000),
            route("/fail", fail, scope=Scope.READ),
            route("/fail-late", fail_late, scope=Scope.READ),
            route("/endless", endless, scope=Scope.READ),
            socket_route("/ws", echo, scope=Scope.INFER),
            socket_route("/ws-fail", fail_socket, scope=Scope.INFER),
        ]
    )


def main(told: dict[str, Any]) -> None:
    import uvicorn

    from edgevision.kiosk.service.access.guard import guarded
    from edgevision.kiosk.service.access.server_options import log_options, server_options
    from edgevision.kiosk.service.access.settings import AccessSettings, FailureOptions, Limits
    from edgevision.kiosk.service.access.tls import certificate_of

    for name in ("tokens", "certificate", "key"):
        if told["settings"].get(name):
            told["settings"][name] = Path(told["settings"][name])
    settings = AccessSettings(
        **told["settings"], limits=Limits(**{**QUICK, **told["limits"]}), failures=FailureOptions(**told["failures"])
    )
    certificate = certificate_of(settings, Path(told["folder"]) / "tls")
    app = guarded(make_app(), settings)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=log_options(), lifespan="off", **server_options(settings, certificate))
    )

    async def serve() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print(json.dumps({"port": server.servers[0].sockets[0].getsockname()[1]}), flush=True)
        await task

    asyncio.run(serve())


# ---- for the tests ----


@dataclass
class GuardedServer:
    """``port`` on 127.0.0.1; ``log``: its file; ``token``: of the scopes infer and read, if there are tokens."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    token: str
    folder: Path
    tls: ssl.SSLContext | None = None
    open_files_at_rest: int = field(default=0)

    def connect(self) -> socket.socket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw if self.tls is None else self.tls.wrap_socket(raw, server_hostname="localhost")

    def ask(self, *pieces: bytes, pause_s: float = 0.0, limit_s: float = 10.0) -> bytes:
        """Everything that comes back until the server ends the connection, after ``pieces`` were sent."""
        with self.connect() as connection:
            return self.talk(connection, pieces, pause_s=pause_s, limit_s=limit_s)

    def talk(
        self, connection: socket.socket, pieces: Iterable[bytes], pause_s: float = 0.0, limit_s: float = 10.0
    ) -> bytes:
        deadline = time.monotonic() + limit_s
        with contextlib.suppress(OSError):  # cut while we send: what came before that counts
            for piece in pieces:
                connection.sendall(piece)
                if pause_s:
                    time.sleep(pause_s)
        answer = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while True:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                part = connection.recv(1 << 16)
                if not part:
                    break
                answer += part
        return answer

    def good(self) -> bytes:
        return self.ask(GOOD % self.token.encode())

    @property
    def resident_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) / 1024  # type: ignore[index]

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def wait_until_at_rest(self, limit_s: float = 10.0) -> bool:
        """Whether the server has closed every connection again."""
        deadline = time.monotonic() + limit_s
        while self.open_files > self.open_files_at_rest:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def log_lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="strict").splitlines()


def statuses(answer: bytes) -> list[int]:
    """Of all answers in it, one behind the other."""
    found = []
    while answer.startswith(b"HTTP/1.1 "):
        found.append(int(answer[9:12]))
        head, _, answer = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if length is not None and not answer.startswith(b"HTTP/1.1 "):
            answer = answer[int(length[1]) :]
        elif re.search(rb"(?i)\r\ntransfer-encoding: chunked", head):
            answer = answer.partition(b"\r\n0\r\n\r\n")[2]
    return found


@contextlib.contextmanager
def running(folder: Path, *, tokens: bool = True, limits: dict[str, Any] | None = None, failures: dict[str, Any] | None = None,
            **settings: Any) -> Iterator[GuardedServer]:  # fmt: skip
    """A server of its own, until the block ends. ``settings``: of AccessSettings."""
    from edgevision.kiosk.service.access.tokens import add_token
    from edgevision.kiosk.service.route import Scope

    token = ""
    if tokens:
        path = folder / "tokens.json"
        token = add_token(path, "till", [Scope.INFER, Scope.READ])
        settings["tokens"] = str(path)
    told = {"settings": settings, "limits": limits or {}, "failures": failures or {}, "folder": str(folder)}
    log = folder / "log.txt"
    command = [sys.executable, str(Path(__file__)), json.dumps(told)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line, log.read_text()
            server = GuardedServer(process, json.loads(line)["port"], log, token, folder)
            if settings.get("tls"):
                server.tls = ssl.create_default_context(cafile=str(folder / "tls" / "certificate.pem"))
            for _ in range(3):
                assert statuses(server.good() if tokens else server.ask(GOOD % b"x")) == [200]
            time.sleep(0.1)
            server.open_files_at_rest = server.open_files
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
