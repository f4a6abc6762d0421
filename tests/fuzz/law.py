"""The law of every input: it is understood, or refused in one sentence; nothing else happens anywhere, and soon.

What is watched: what is raised, warned and printed; each file around; every file that is opened for writing, process
that is started, connection and unpickling in this process, by an audit hook; the time on the processor; the memory.
"""

import os
import resource
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from tests.fuzz.hostile import DECOY
from touchstone.errors import TouchstoneError
from touchstone.foreign import one_line

LONGEST, SECONDS, BYTES = 500, 5.0, 1 << 30
# Beyond these a process is stopped: it would take the machine with it.
MOST_SECONDS, MOST_BYTES = 20.0, 3 << 30
FAULTS = ("exception", "sentence", "outside", "slow", "large", "insane", "crash")


class InsaneError(AssertionError):
    """What was understood is not what was written."""


class StuckError(BaseException):
    """It takes far too long; no reader catches this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reader finds its input, ``folder``, and may write what it likes, ``scratch``."""

    folder: Path
    scratch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of an input: ``parsed``, ``refused`` or one of `FAULTS`; what exactly, and how long it took."""

    word: str
    what: str
    seconds: float


Read = Callable[[Place], object]


class Sandbox:
    """A folder with a place for inputs, what lies around it, and a decoy that names of files lead to.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.decoy, self.here = self.root / "decoy", self.root / "here"
        self.place = Place(folder=self.root / "work" / "input", scratch=self.root / "scratch")
        self.temporary = self.root / "temporary"
        for folder in (self.decoy, self.here, self.temporary, self.place.folder.parent):
            folder.mkdir(parents=True)
        (self.decoy / "kept.txt").write_text("kept")
        (self.root / "work" / "beside.json").write_text("{}")

    def judge(
        self, read: Read, files: Mapping[str, bytes], *, writes: bool = False, refuses: Any = TouchstoneError
    ) -> Judged:
        """Give an input to a reader, and judge what it did.

        Args:
            read: the reader.
            files: the input, by path inside its folder.
            writes: whether it may change its own folder.
            refuses: what it raises for what is wrong.
        """
        for folder in (self.place.folder, self.place.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for name, content in files.items():
            path = self.place.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.replace(DECOY.encode(), os.fsencode(self.decoy)))
        free = (self.place.scratch, self.temporary, *((self.place.folder,) if writes else ()))
        before, size = self._look(free), _reset_peak()
        with _watched(free) as seen, _here(self.here, self.temporary):
            judged = _judge(lambda: read(self.place), refuses)
        if changed := self._look(free).items() ^ before.items():
            seen.append(f"changed {sorted({name for name, _ in changed})[:3]}")
        if seen:
            return Judged(word="outside", what="; ".join(dict.fromkeys(seen))[:1000], seconds=judged.seconds)
        if (more := _peak() - size) > BYTES:
            return Judged(word="large", what=f"{more >> 20} MB more; {judged.what}", seconds=judged.seconds)
        if judged.word not in FAULTS and judged.seconds > SECONDS:
            return Judged(word="slow", what=f"{judged.seconds:.1f} s; {judged.what}", seconds=judged.seconds)
        return judged

    def _look(self, free: tuple[Path, ...]) -> dict[str, tuple[int, int, int]]:
        """Return every file and folder but those that may change, as it is."""
        found = {}
        for inside, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if Path(inside, name) not in free]
            for path in (Path(inside, name) for name in (*folders, *names)):
                status = path.lstat()
                regular = stat.S_ISREG(status.st_mode)
                found[str(path)] = (status.st_mode, *((status.st_size, status.st_mtime_ns) if regular else (0, 0)))
        return found


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Make a sandbox, and remove it."""
    quick = "/dev/shm"  # in memory where that is
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=quick if os.access(quick, os.W_OK) else None) as folder:
        yield Sandbox(Path(folder))


def _judge(read: Callable[[], object], refuses: Any) -> Judged:
    said = StringIO()
    began = time.process_time()
    try:
        with _bounded(), warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("error")
            read()
        word, what = "parsed", ""
    except refuses as error:
        word, what = "refused", str(error)
        if len(what) > LONGEST or one_line(what) != what or not what:
            word, what = "sentence", f"{len(what)} signs: {what!r:.400}"
    except InsaneError as error:
        word, what = "insane", str(error)
    except StuckError:
        word, what = "slow", f"stopped {_where(sys.exc_info()[1])}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        word, what = "exception", f"{type(error).__name__}: {str(error)[:300]!r} {_where(error)}"
    if word in ("parsed", "refused") and said.getvalue():
        word, what = "exception", f"printed {said.getvalue()[:300]!r}"
    return Judged(word=word, what=what, seconds=time.process_time() - began)


def _where(error: BaseException | None) -> str:
    """Name the last places of ours that an error came through."""
    frames = ((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__ if error else None))
    ours = [
        f"{Path(code.co_filename).name}:{line} {code.co_name}"
        for code, line in frames
        if "touchstone/" in code.co_filename
    ]
    return f"in {' > '.join(ours[-3:])}"


@contextmanager
def _here(folder: Path, temporary: Path) -> Iterator[None]:
    """Be in a folder, and have another for what is temporary."""
    before = Path.cwd(), tempfile.tempdir
    os.chdir(folder)
    tempfile.tempdir = str(temporary)
    try:
        yield
    finally:
        os.chdir(before[0])
        tempfile.tempdir = before[1]


def _stop(*_: object) -> None:
    raise StuckError


@contextmanager
def _bounded() -> Iterator[None]:
    """Stop what runs for very long, and give no memory to what wants very much."""
    most, hard = resource.getrlimit(resource.RLIMIT_AS)
    sized = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGPROF, _stop) if main else None
    resource.setrlimit(resource.RLIMIT_AS, (sized + MOST_BYTES, hard))
    if main:
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        if main:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _status(name: str) -> int:
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(name))
    return int(line.split()[1]) << 10


def _reset_peak() -> int:
    """Forget how much memory this process once had; return what it has."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


# What is opened for writing.
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = {
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1,
        "os.chmod": 1,
    "os.chown": 1, "os.utime": 1, "os.setxattr": 1, "shutil.rmtree": 1, "shutil.move": 2,
}  # fmt: skip
# Of these the last argument may be a folder that is open, to which the path is relative.
RELATIVE = {
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.utime",
}
NEVER = {
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "ctypes.dlopen",
}
LOCAL = {"127.0.0.1", "localhost", "::1"}
# What is watched now: the folders in which anything may happen, and where to tell what happened elsewhere.
_watching: tuple[tuple[str, ...], list[str]] | None = None


@contextmanager
def _watched(free: tuple[Path, ...]) -> Iterator[list[str]]:
    """Note what is written outside of some folders, and what else no reader does."""
    global _watching  # noqa: PLW0603  # hooks cannot be removed, only told to look away
    _add_hook()
    _watching = tuple(map(str, free)), (seen := list[str]())
    try:
        yield seen
    finally:
        _watching = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watching is None:
        return
    free, seen = _watching
    if event == "open":
        written = args[:1] if isinstance(args[2], int) and args[2] & WRITING else ()
    elif event in PATHS:
        written = args[: PATHS[event]]
    elif event in NEVER:
        seen.append(f"{event} {str(args)[:200]}")
        return
    elif event in ("socket.connect", "socket.getaddrinfo"):
        address = args[1] if event == "socket.connect" else args
        if not isinstance(address, tuple) or address[0] not in LOCAL:
            seen.append(f"{event} {address!r:.100}")
        return
    else:
        return
    folder = args[-1] if event in RELATIVE and isinstance(args[-1], int) and args[-1] >= 0 else None
    for path in written:
        if isinstance(path, str | bytes | os.PathLike):
            inside = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")  # noqa: PTH109, PTH115
            _note(event, os.path.normpath(os.path.join(inside, os.fsdecode(path))), free, seen)  # noqa: PTH118


def _note(event: str, path: str, free: tuple[str, ...], seen: list[str]) -> None:
    compiled = "__pycache__" in path or path == os.devnull
    if not compiled and not any(path == one or path.startswith(f"{one}/") for one in free):
        seen.append(f"{event} {path}")


_hooked = threading.Event()


def _add_hook() -> None:
    if not _hooked.is_set():
        _hooked.set()
        sys.addaudithook(_hook)
