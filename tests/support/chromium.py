"""A real browser without a screen, driven over its own protocol (CDP) through a pipe: no port, and no package besides.

One ``Chromium`` is one process; each ``tab`` may have a profile of its own, so that tests share nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--no-first-run", "--no-default-browser-check",
    "--password-store=basic", "--use-mock-keychain", "--metrics-recording-only", "--mute-audio", "--hide-scrollbars", "--lang=en-US",
    "--force-color-profile=srgb", "--use-fake-device-for-media-stream", "--remote-debugging-pipe",
)  # fmt: skip
# The browser reads commands at 3 and answers at 4: a small Python puts the pipes there and becomes the browser.
LAUNCHER = """
import fcntl, os, sys
reading, writing = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(reading, 3); os.dup2(writing, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
WAIT_S = 20.0
KEYS = {
    "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " "),
    "ArrowDown": ("ArrowDown", 40, ""),
}  # fmt: skip


def find_chromium() -> str | None:
    """The program, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class BrowserError(AssertionError):
    """The page or the browser said that something is wrong."""


class Chromium:
    """The process. ``camera``: a Y4M or MJPEG file that its fake camera plays, in a circle."""

    def __init__(self, camera: Path | None = None) -> None:
        self._profile = tempfile.mkdtemp(prefix="edgevision-chromium-")
        self._calls: dict[int, Future[dict[str, Any]]] = {}
        self._number = 0
        self._sending = threading.Lock()
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        own_read, their_write = os.pipe()
        their_read, own_write = os.pipe()
        program = find_chromium()
        assert program is not None, "no Chromium is installed"
        switches = [*SWITCHES, f"--user-data-dir={self._profile}"]
        if camera is not None:
            switches.append(f"--use-file-for-fake-video-capture={camera}")
        command = [sys.executable, "-c", LAUNCHER, str(their_read), str(their_write), program, *switches]
        environment = {
            **os.environ,
            "HOME": self._profile,
            "XDG_CONFIG_HOME": self._profile,
            "XDG_CACHE_HOME": self._profile,
        }
        self._process = subprocess.Popen(
            command, pass_fds=(their_read, their_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        os.close(their_read)
        os.close(their_write)
        self._out = os.fdopen(own_write, "wb", buffering=0)
        self._in = os.fdopen(own_read, "rb")
        self._reader = threading.Thread(target=self._read, name="chromium", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the process, and remove its profile."""
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        self._out.close()
        self._in.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def profile(self) -> str:
        """A new one, as of another person: nothing is stored in it."""
        return str(self.call("Target.createBrowserContext", disposeOnDetach=True)["browserContextId"])

    def tab(self, profile: str, *, width: int = 1024, height: int = 768) -> Tab:
        """A new tab, still empty."""
        target = self.call("Target.createTarget", url="about:blank", browserContextId=profile)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, target, profile, width, height)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command, and its result."""
        answer: Future[dict[str, Any]] = Future()
        with self._sending:
            self._number += 1
            self._calls[self._number] = answer
            message = {"id": self._number, "method": method, "params": parameters}
            if session is not None:
                message["sessionId"] = session
            self._out.write(json.dumps(message).encode() + b"\0")
        return answer.result(WAIT_S + 10)

    def listen(self, session: str, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """``listener(event, parameters)`` hears what a tab tells, in the reading thread."""
        self._listeners[session] = listener

    def _read(self) -> None:
        for message in self._messages():
            if "id" in message:
                answer = self._calls.pop(message["id"])
                if "error" in message:
                    answer.set_exception(BrowserError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            elif listener := self._listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])
        for answer in self._calls.values():
            answer.set_exception(BrowserError("the browser ended"))

    def _messages(self) -> Iterator[dict[str, Any]]:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while data := self._in.read1(1 << 16):  # type: ignore[attr-defined]
                *whole, rest = (rest + data).split(b"\0")
                yield from (json.loads(one) for one in whole)


class Tab:
    """One tab. ``requests``: addresses that it asked for; ``errors``: what its console and its exceptions said."""

    def __init__(self, browser: Chromium, session: str, target: str, profile: str, width: int, height: int) -> None:
        self.browser = browser
        self.profile = profile
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._session = session
        self._target = target
        browser.listen(session, self._hear)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command for this tab."""
        return self.browser.call(method, self._session, **parameters)

    def size(self, width: int, height: int, *, zoom: float = 1.0) -> None:
        """The window's size in pixels of the screen; ``zoom``: of the browser, which leaves the page less room."""
        self.call("Emulation.setDeviceMetricsOverride", width=round(width / zoom), height=round(height / zoom),
                  deviceScaleFactor=zoom, mobile=False)  # fmt: skip

    def allow(self, url: str, name: str, setting: str) -> None:
        """``setting``: granted, denied or prompt."""
        self.browser.call(
            "Browser.setPermission",
            permission={"name": name},
            setting=setting,
            origin=url,
            browserContextId=self.profile,
        )

    def before(self, script: str) -> None:
        """Run ``script`` in each page before its own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)

    def show(self) -> None:
        """Bring it before the other tabs: one that nobody sees plays no film."""
        self.call("Page.bringToFront")

    def reload(self) -> None:
        """Load the page again."""
        self.call("Page.reload")

    def close(self) -> None:
        """Close the tab."""
        with contextlib.suppress(BrowserError):  # it is closed already
            self.browser.call("Target.closeTarget", targetId=self._target)

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"]
            raise BrowserError(told.get("exception", {}).get("description", told["text"]))
        return answer["result"].get("value")

    def wait(self, script: str, *, seconds: float = WAIT_S) -> None:
        """Wait until an expression gives something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(BrowserError):  # the page is on its way
                if self.run(f"Promise.resolve({script}).then(Boolean)"):
                    return
            time.sleep(0.03)
        raise BrowserError(
            f"not within {seconds:g} s: {script}\nthe page shows:\n{self.text()}\nits errors: {self.errors}"
        )

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until an element that is shown holds the text."""
        self.wait(f"{_FIND}({json.dumps(selector)}).some(e => e.innerText.includes({json.dumps(text)}))")

    def text(self) -> str:
        """What the page shows."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def click(self, selector: str, text: str = "") -> None:
        """A click of the mouse in the middle of the one element, once it is there; ``text``: that it holds."""
        found = (
            f"{_FIND}({json.dumps(selector)}).filter(e => !e.disabled && e.innerText.includes({json.dumps(text)}))[0]"
        )
        self.wait(found + " !== undefined")
        end = time.monotonic() + WAIT_S
        while not self._clicked(found, selector):
            if time.monotonic() > end:
                raise BrowserError(f"no click reaches {selector}: it moves, or something lies above it")

    def _clicked(self, found: str, selector: str) -> bool:
        """Click where the element is; false where the page moved meanwhile, so that something else was hit, or nothing."""
        hit = f"event.target.closest({json.dumps(selector)}) !== null"  # asked at the click: the page may take it away then
        x, y = self.run(
            f"(() => {{ const e = {found}; e.scrollIntoView({{block: 'center', behavior: 'instant'}}); window.hit = false;"
            f"document.addEventListener('click', event => {{ window.hit = {hit} }}, {{capture: true, once: true}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        try:
            return bool(self.run("window.hit !== false"))  # undefined: the click led to another page
        except BrowserError:  # that is loading
            return True

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key of ``KEYS``."""
        code, number, text = KEYS[key]
        parameters = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **parameters)
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type(self, text: str) -> None:
        """Type letters, as an input method does."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """A PNG of what is shown."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _hear(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(parameters["url"])
        elif method == "Runtime.exceptionThrown":
            told = parameters["exceptionDetails"]
            self.errors.append(told.get("exception", {}).get("description", told["text"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")


# Elements that are shown, not inside a closed dialog or under a hidden one.
_FIND = "(s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility({visibilityProperty: true})))"
