"""A headless Chromium, driven over a pipe by its DevTools protocol: no driver and no package needed."""

import base64
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CANDIDATES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
         "--disable-component-update", "--disable-background-networking", "--disable-sync")  # fmt: skip
PATIENCE = 120.0


def find_chromium() -> str | None:
    return next((path for name in CANDIDATES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser, and all that it complained of or asked the network for."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[Any] = []
        self.asked: list[str] = []
        self._loaded = False

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path: Path, fragment: str = "") -> None:
        self.call("Page.navigate", url="about:blank")  # to another fragment of the same page nothing is loaded
        self.ask("1")
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri() + fragment)
        while not self._loaded:
            self._note(self._read())

    def ask(self, expression: str) -> Any:
        """Evaluate JavaScript; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key as a person does, so that the browser does what it does by itself."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def look_like(self, width: int, height: int, *, scheme: str) -> None:
        """Take the size of a screen, in pixels, and its colour scheme, ``light`` or ``dark``."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _read(self) -> dict[str, Any]:
        ends = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:  # select() itself takes no number above 1023
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\0" not in self._unread:
                ready = selector.select(max(ends - time.monotonic(), 0))
                part = os.read(self._answers, 1 << 20) if ready else b""
                if not part:
                    raise AssertionError("the browser went away, or is stuck")
                self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.complaints.append(event["params"])
            case "Network.requestWillBeSent":
                self.asked.append(event["params"]["request"]["url"])


@contextmanager
def open_tab(chromium: str, profile: Path) -> Iterator[Tab]:
    """Start a browser with a new profile, and end it afterwards."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    flags = (*FLAGS, f"--user-data-dir={profile}")
    # The browser reads its file 3 and writes its file 4, whatever numbers the pipes have here.
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with (profile.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "browser", chromium, *flags], pass_fds=(theirs_in, theirs_out), stderr=log
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        tab = Tab(ours_out, ours_in)
        tab.attach()
        yield tab
    finally:
        os.close(ours_out)
        os.close(ours_in)
        process.terminate()
        process.wait(30)
