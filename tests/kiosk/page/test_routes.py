"""The page's files over HTTP: all of them, with their rules for browsers, and nothing else of the disk."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.page.routes import FOLDER, MEDIA_TYPES, page_routes, static_files
from edgevision.kiosk.page.settings import CameraPlace, PageSettings
from edgevision.kiosk.service.route import Scope

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ask():
    """(status, headers, body) of a GET: the app is called as a server would, without a network."""
    import asyncio

    from starlette.applications import Starlette

    def get(path: str, settings: PageSettings | None = None, **headers: str):
        app = Starlette(routes=page_routes(settings))
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "http_version": "1.1",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])

    return get


@pytest.mark.requires("serve")
@pytest.mark.parametrize("path", ["/", "/operator", "/page.json", *(f"/static/{name}" for name in static_files())])
def test_every_file_comes_with_the_rules(ask, path):
    status, headers, body = ask(path)
    assert status == 200
    assert body
    rules = dict(rule.partition(" ")[::2] for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["img-src"] == "'self' data: blob:"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]
    assert headers["content-type"].startswith(("text/", "application/json", "image/svg"))


@pytest.mark.requires("serve")
@pytest.mark.parametrize(
    "path",
    [
        "/static/../routes.py",
        "/static/%2e%2e/routes.py",
        "/static//etc/passwd",
        "/static/",
        "/static/languages",
        "/index.html",
    ],
)
def test_nothing_else_is_served(ask, path):
    assert ask(path)[0] == 404


@pytest.mark.requires("serve")
def test_a_file_that_the_browser_has_is_not_sent_again(ask):
    tag = ask("/static/kiosk.js")[1]["etag"]
    status, headers, body = ask("/static/kiosk.js", if_none_match=f'"other", {tag}')
    assert (status, body) == (304, b"")
    assert headers["etag"] == tag
    assert ask("/static/style.css")[1]["etag"] != tag


@pytest.mark.requires("serve")
def test_the_settings_are_told(ask):
    import json

    settings = PageSettings(CameraPlace.SERVER, 320, "de", 60.0, 20.0, "Corner Shop", ("https://shop.example",))
    _, headers, body = ask("/page.json", settings)
    assert json.loads(body) == {
        "camera": "server", "picture_px": 320, "language": "de", "idle_s": 60.0, "warn_s": 20.0, "title": "Corner Shop",
    }  # fmt: skip
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].endswith("frame-ancestors https://shop.example")


@pytest.mark.requires("serve")
def test_the_page_is_open_to_everybody(monkeypatch):
    """It holds nothing that is secret: what it shows comes with a token."""
    seen = []
    monkeypatch.setattr(
        "edgevision.kiosk.page.routes.route", lambda at, endpoint, *, scope, methods: seen.append((at, scope))
    )
    page_routes()
    assert {scope for _, scope in seen} == {Scope.OPEN}
    assert {"/", "/operator", "/page.json", "/static/kiosk.js", "/static/languages/zh.json"} <= {at for at, _ in seen}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"picture_px": 16}, "32 to 4096"),
        ({"idle_s": 1}, "10 seconds"),
        ({"warn_s": 19}, "WCAG"),
        ({"idle_s": float("nan")}, "10 seconds"),
    ],
)
def test_wrong_settings_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        PageSettings(**wrong)


# ---- the files themselves ----


def texts() -> dict[str, str]:
    return {name: path.read_text("utf-8") for name, path in static_files().items()}


def test_nothing_is_taken_from_elsewhere():
    """No address in any file but those of namespaces, and of http://localhost in words for people."""
    allowed = {"http://www.w3.org/2000/svg", "http://localhost"}
    found = {
        (name, url)
        for name, text in texts().items()
        for url in re.findall(r"(?:https?:)?//[\w.-]+\.?\w[^\s\"'`)<，。]*", text)
        if "://" in url
    }
    assert {url for _, url in found} <= allowed | {"http://localhost."}


def test_no_script_or_style_stands_in_the_pages():
    for name, text in texts().items():
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), name
        if name.endswith(".js"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
            ), name


def test_every_import_finds_its_module():
    files = static_files()
    for name, text in texts().items():
        if not name.endswith(".js"):
            continue
        for target in re.findall(r'from "(\.[^"]+)"', text):
            found = (FOLDER / name).parent.joinpath(target).resolve().relative_to(FOLDER.resolve()).as_posix()
            assert found in files, f"{name} imports {target}"
        icons = set(re.findall(r'(?:icon\(|name: )"([\w-]+)"', text))
        assert icons <= set(re.findall(r'<symbol id="([\w-]+)"', (FOLDER / "icons.svg").read_text("utf-8"))), name


def test_every_file_travels_in_the_package():
    """The wheel takes what lies in edgevision/ and git does not ignore."""
    strangers = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in MEDIA_TYPES]
    assert strangers == []
    assert 'wheel.packages = ["edgevision"]' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.requires("git")
def test_git_ignores_none_of_them():
    done = subprocess.run(
        ["git", "check-ignore", *map(str, static_files().values())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 128:
        pytest.skip("this is no checkout of git")
    assert done.stdout == ""
