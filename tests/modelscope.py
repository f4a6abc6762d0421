"""A ModelScope on loopback that speaks what its real client asks: lists of files, files, faults on demand."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Files = dict[str, bytes]
# Answers a request for a file, or for the list where the name is empty, by itself; or returns False.
Fault = Callable[["Handler", str], bool]
TOKEN = "ms-secret-0123"


@dataclass
class Hub:
    """The files of repositories, by ``models/org/name`` or ``datasets/org/name``; what was asked, lists as ``""``.

    ``listed`` changes what is said of a file, by its name.
    """

    address: str
    holds: dict[str, Files] = field(default_factory=dict)
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    fault: Fault | None = None
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers for the hub of its server."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def send(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        """Send an answer, whole unless another length is said."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def say(self, status: int, **said: Any) -> None:
        """Send JSON as the hub does."""
        self.send(status, json.dumps({"Code": status, "Success": status == 200, **said}).encode())

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        if url.path.endswith("/internalAccelerationInfo"):
            self.say(404, Message="not here")
            return
        name = parse_qs(url.query).get("FilePath", [""])[0]
        self.hub.asked.append(name)
        if self.hub.fault is not None and self.hub.fault(self, name):
            return
        files = next((files for name, files in self.hub.holds.items() if f"/{name}/repo" in url.path), None)
        if files is None or (name and name not in files):
            self.say(404, Message="not found", RequestId="1")
        elif name:
            self.send(200, files[name])
        else:
            listed = [describe(name, content) | self.hub.listed.get(name, {}) for name, content in files.items()]
            folders = {name.partition("/")[0] for name in files if "/" in name}
            listed += [{"Path": name, "Type": "tree", "Size": 0, "Sha256": ""} for name in folders]
            self.say(200, TotalCount=len(listed), Data={"Files": listed})


def describe(name: str, content: bytes) -> dict[str, Any]:
    """Return what the hub says of a file."""
    digest = hashlib.sha256(content).hexdigest()
    return {"Path": name, "Name": name.rpartition("/")[2], "Type": "blob", "Size": len(content), "Sha256": digest}


@contextmanager
def serve(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """Serve a hub on a free port of loopback to the real client, told by its environment, that does not wait."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Handler,), {}))
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told = {"ENDPOINT": hub.address, "CACHE": str(folder / "cache"), "HOME": str(folder / "home"), "API_TOKEN": TOKEN}
    for name, value in told.items():
        monkeypatch.setenv(f"MODELSCOPE_{name}", value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    impatient = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
    monkeypatch.setattr("modelscope_hub._legacy_api.time", impatient)
    monkeypatch.setattr("modelscope_hub._download_control._DownloadControl.sleep", lambda *_: None)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
