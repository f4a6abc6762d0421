"""A hub on loopback that speaks what the real clients ask: commits, large files on another host, faults on demand.

By hand: ``python -m tests.hub MIRROR [MODEL …]`` serves the data sets of a mirror, at the revisions that mteb asks for,
and models by the last two parts of their folders, for ``HF_ENDPOINT=http://127.0.0.1:PORT``.
"""

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from touchstone.tasks.registry import load_registry

# Larger files are kept elsewhere, as with Git LFS: their ETag is their sha256, and they come by a redirect.
LARGE = 10_000
PATHS = re.compile(r"/(?P<api>api/)?(?:(?P<kind>models|datasets)/)?(?P<id>[\w.-]+/[\w.-]+)(?:/(?P<rest>.*))?")
Files = dict[str, bytes]
# Answers a request by itself, or returns False.
Fault = Callable[["Handler", str], bool]


@dataclass
class Repository:
    """Commits, the last of which is ``main``; ``needs`` is the status that whoever has no token gets, such as 403."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    needs: int | None = None

    def commit(self, files: Files, branch: str = "main") -> str:
        """Add a commit with exactly these files, and return its hash."""
        text = repr((len(self.commits), sorted((name, hash_of(content)) for name, content in files.items())))
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha


@dataclass
class Hub:
    """The repositories of a hub, a fault if there is one, and the requests so far: method, path and status."""

    address: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    fault: Fault | None = None
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    xet: bool = False  # offers its other way to large files, which it does not have
    takes: str = ""  # the one token that opens what needs one; any does where it is empty
    tokens: list[tuple[str, str]] = field(default_factory=list)  # of each request by host

    def add(self, name: str, files: Files, kind: str = "models") -> str:
        """Add a commit to a repository, which is made where there is none; return its hash."""
        return self.repositories.setdefault(f"{kind}/{name}", Repository()).commit(files)

    def pin(self, name: str, revision: str, files: Files, kind: str = "datasets") -> None:
        """Add a commit of that hash to a repository, which is made where there is none."""
        repository = self.repositories.setdefault(f"{kind}/{name}", Repository())
        repository.commits[revision] = files
        repository.branches["main"] = revision

    def asked(self, part: str = "") -> list[str]:
        """Return the paths of requests that hold a text."""
        return [path for _, path, _ in self.requests if part in path]


def files_in(folder: Path) -> Files:
    """Read all files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def hash_of(content: bytes) -> str:
    """Return the sha256 of a large file, the git blob's sha1 of a small one."""
    if len(content) > LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def large(content: bytes) -> dict[str, Any] | None:
    """Return what the hub says of a large file, None for a small one."""
    if len(content) <= LARGE:
        return None
    return {"sha256": hash_of(content), "size": len(content), "pointerSize": 1}


class Handler(BaseHTTPRequestHandler):
    """Answers for the hub of its server."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer()

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer."""
        self.hub.requests.append((self.command, self.path, status))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        """Send an error as the hub does."""
        self.send(status, X_Error_Code=code, X_Error_Message=code)

    def content_of(self, path: str) -> bytes:
        """Return the body of the right answer: of a file, or of the list of a repository's files."""
        found = PATHS.fullmatch(path)
        kind = "models" if found is None or found["kind"] is None else found["kind"]
        repository = None if found is None else self.hub.repositories.get(f"{kind}/{found['id']}")
        if found is None or repository is None:
            return b""
        revision, _, file = (found["rest"] or "").removeprefix("resolve/").removeprefix("revision/").partition("/")
        sha = repository.branches.get(revision, revision)
        files = repository.commits.get(sha, {})
        return self.list_of(found["id"], sha, files) if found["api"] else files.get(file, b"")

    @staticmethod
    def list_of(name: str, sha: str, files: Files) -> bytes:
        """Return what the hub says of a commit."""
        siblings = [
            {"rfilename": file, "size": len(content), "blobId": hash_of(content), "lfs": large(content)}
            for file, content in files.items()
        ]
        return json.dumps({"id": name, "modelId": name, "sha": sha, "siblings": siblings, "tags": []}).encode()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        host = self.headers.get("Host", "").partition(":")[0]
        self.hub.tokens.append((host, token))
        if self.hub.fault is not None and self.hub.fault(self, path):
            return
        found = PATHS.fullmatch(path)
        kind = "models" if found is None or found["kind"] is None else found["kind"]
        repository = None if found is None else self.hub.repositories.get(f"{kind}/{found['id']}")
        if repository is None or found is None:
            self.refuse(401, "RepoNotFound")
        elif (
            repository.needs is not None
            and host == "127.0.0.1"
            and (token != self.hub.takes if self.hub.takes else not token)
        ):
            self.refuse(repository.needs, "GatedRepo" if repository.needs == 403 else "RepoNotFound")
        elif found["api"]:
            self._tell(found["id"], repository, found["rest"] or "")
        else:
            self._give(repository, found["rest"] or "")

    def _tell(self, name: str, repository: Repository, rest: str) -> None:
        what, _, revision = rest.partition("/")
        sha = self._commit(repository, revision or "main")
        if sha is None:
            return
        if what == "tree":
            tree = [
                {"type": "file", "path": file, "size": len(content), "oid": hash_of(content)}
                for file, content in repository.commits[sha].items()
            ]
            self.send(200, json.dumps(tree).encode(), Content_Type="application/json")
            return
        self.send(200, self.list_of(name, sha, repository.commits[sha]), Content_Type="application/json")

    def _give(self, repository: Repository, rest: str) -> None:
        _, _, rest = rest.partition("resolve/")
        revision, _, file = rest.partition("/")
        sha = self._commit(repository, revision)
        content = None if sha is None else repository.commits[sha].get(file)
        if sha is None or content is None:
            if sha is not None:
                self.refuse(404, "EntryNotFound")
            return
        tag = f'"{hash_of(content)}"'
        host = self.headers.get("Host", "")
        if len(content) > LARGE and host.startswith("127.0.0.1"):
            place = f"http://{host.replace('127.0.0.1', 'localhost')}{self.path}"
            link = f'<http://{host}/api/xet-read-token>; rel="xet-auth"'
            offer: dict[str, Any] = {"X_Xet_Hash": "0" * 64, "Link": link} if self.hub.xet else {}
            size = str(len(content))
            self.send(302, X_Repo_Commit=sha, X_Linked_ETag=tag, X_Linked_Size=size, Location=place, **offer)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        more = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.send(206 if start else 200, content[start:], X_Repo_Commit=sha, ETag=tag, **more)

    def _commit(self, repository: Repository, revision: str) -> str | None:
        sha = repository.branches.get(revision, revision)
        if sha in repository.commits:
            return sha
        self.refuse(404, "RevisionNotFound")
        return None


@contextmanager
def serve() -> Iterator[Hub]:
    """Serve a hub on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Handler,), {}))
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # how soon it stops
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_to_client(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """Serve a hub to the real client in this process, which keeps what it brings in a cache of its own."""
    with serve() as hub:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        where = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", where)
        # The client waits between its attempts.
        impatient = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
        yield hub


def unavailable(handler: Handler) -> None:
    """Answer that the hub is not there for now."""
    handler.send(503)


def not_found(handler: Handler) -> None:
    """Answer that there is no such file, which is not true."""
    handler.refuse(404, "EntryNotFound")


def other_bytes(handler: Handler) -> None:
    """Give another file in its place."""
    handler.send(200, b"x" * 20_000, X_Repo_Commit="0" * 40, ETag='"abc"')


def page(handler: Handler) -> None:
    """Answer with a page, as a proxy does."""
    handler.send(200, b"<html>sign in</html>", Content_Type="text/html")


def pin_all(hub: Hub, mirror: Path) -> None:
    """Add all data sets of a mirror, each at every revision that mteb asks for."""
    for folder in sorted(mirror.glob("*/*")):
        name, files = f"{folder.parent.name}/{folder.name}", files_in(folder)
        hub.add(name, files, "datasets")
        for task in load_registry().tasks.values():
            if task.dataset == name:
                hub.pin(name, task.revision, files)


if __name__ == "__main__":
    with serve() as served:
        for place in sys.argv[2:]:
            served.add("/".join(Path(place).parts[-2:]), files_in(Path(place)))
        pin_all(served, Path(sys.argv[1]))
        print(f"HF_ENDPOINT={served.address}", flush=True)
        told = 0
        while True:
            time.sleep(1)
            if len(served.requests) > told:
                told = len(served.requests)
                print(f"{told} requests, the last {served.requests[-1]}", flush=True)
