"""Chromium, driven through a pair of pipes: pages are opened, asked and typed at. Nothing but chromium is needed.

The protocol is DevTools': JSON objects, each ended by a NUL. Source: chromedevtools.github.io/devtools-protocol.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE: Final = 120.0  # seconds for an answer, on a slow and busy computer


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(Exception):
    """The browser is not there, went away, or said no. str() is one line."""


class Browser:
    """A headless Chromium with one page. ``errors`` has what the page's console complained of, and what was requested
    from elsewhere."""

    def __init__(self, width: int = 1400, height: int = 1000) -> None:
        path = chromium()
        if path is None:
            raise BrowserError("there is no chromium on this computer: apt-get install chromium")
        self.errors: list[str] = []
        self.profile = tempfile.mkdtemp(prefix="browser")
        ours, theirs = os.pipe(), os.pipe()  # what it reads, what it writes
        self.out, self.into = ours[1], theirs[0]
        # a shell, as the browser has the pipes at 3 and 4
        script = f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        words = [path, *FLAGS, f"--user-data-dir={self.profile}", f"--window-size={width},{height}", "about:blank"]
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script, *words],
            pass_fds=(ours[0], theirs[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self.buffer = b""
        self.number = 0
        self.session = ""
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer. Raises BrowserError."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._hear(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], PATIENCE)
            piece = os.read(self.into, 1 << 20) if ready else b""
            if not piece:
                raise BrowserError("the browser does not answer")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _hear(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "about:", "blob:")):
                self.errors.append(f"asks for {url}")

    def open(self, path: Path, scripts: bool = True, dark: bool = False) -> None:
        """Show a file, and wait until it is drawn."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        ready = "document.documentElement?.dataset.ready === '1'" if scripts else "document.readyState === 'complete'"
        self.wait(f"location.protocol === 'file:' && {ready}", quiet=True)

    def wait(self, condition: str, quiet: bool = False) -> None:
        """Until a JavaScript condition holds; with quiet, no longer than until a complaint. Raises BrowserError."""
        end = time.monotonic() + PATIENCE
        while not self.ask(condition):
            if time.monotonic() > end or (quiet and self.errors):
                raise BrowserError(f"never came true: {condition}; {self.errors}")
            time.sleep(0.02)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for. Raises BrowserError."""
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            details = r["exceptionDetails"]
            raise BrowserError(str(details.get("exception", {}).get("description", details["text"])))
        return r["result"].get("value")

    def settle(self) -> None:
        """Until what is due has been drawn."""
        self.ask("new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => f(1))))")

    def key(self, key: str, shift: bool = False) -> None:
        """Press a key and let it go."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift, **text)
        self.settle()

    def click(self, selector: str, x: float, y: float) -> None:
        """Click at a place of an element, which is scrolled to."""
        self.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        self.settle()
        box = self.ask(f"(r => [r.left, r.top])(document.querySelector({selector!r}).getBoundingClientRect())")
        at = {"x": box[0] + x, "y": box[1] + y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at)
        self.settle()

    def picture(self, path: Path, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser; nothing of it is left."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.profile, ignore_errors=True)
