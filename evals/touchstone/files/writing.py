"""Read and write text files whole."""

import json
import os
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

from touchstone.errors import ConfigError, TouchstoneError


def place(folder: Path, path: str | Path) -> Path:
    """Return where a path of the user's points: from the folder, unless it is absolute or begins with ``~``."""
    with suppress(RuntimeError):  # of a user that nobody knows, who has no home
        path = Path(path).expanduser()
    return folder / path


def write_atomically(path: Path, content: str | bytes, staging: Path | None = None) -> None:
    """Write a whole file or nothing; ``staging`` as in `open_atomically`."""
    with open_atomically(path, staging) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_first(path: Path, content: str | bytes) -> None:
    """Write a whole file where there is none; one that is there stays, whoever wrote it."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_atomically(beside, content)
        os.link(beside, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def open_atomically(path: Path, staging: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that is written, and may be read back, and is there whole or not at all: another is renamed.

    Args:
        path: of the file; its folder is made.
        staging: the folder of that other file, which a killed process leaves behind; where it is none, or is on another
            file system, that is the folder of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if staging is None or not os.access(staging, os.W_OK) or staging.stat().st_dev != path.parent.stat().st_dev:
        staging = path.parent
    with NamedTemporaryFile(dir=staging, prefix=f".{path.name[:99]}.", delete=False) as file:
        temporary = Path(file.name)
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # a temporary file is private; what it becomes is not
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_aside(root: Path, path: Path) -> None:
    """Give another name to what is in the way of a file inside a folder: a file of a folder's name, or the reverse."""
    for part in (path, *list(path.parents)[:-1]):
        there = root / part
        if there.is_dir() != (part != path) and (there.exists() or there.is_symlink()):
            there.rename(there.with_name(f"{there.name}.aside-{uuid.uuid4().hex[:8]}"))


def to_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, two spaces, a trailing newline, no NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_text(path: Path, error: type[TouchstoneError]) -> str:
    """Read a text file of the user's; a byte-order mark is no part of it.

    Raises:
        TouchstoneError: of the type given; there is no such file, or it cannot be read as text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except IsADirectoryError:
        raise error(f"{path}: is a folder, not a file") from None
    except UnicodeDecodeError as failure:
        raise error(f"{path}: not UTF-8 at byte {failure.start}") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(read_text(path, ConfigError))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
