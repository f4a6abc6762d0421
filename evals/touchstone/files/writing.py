"""Read and write text files whole."""

import errno
import json
import os
import re
import stat
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

from touchstone.errors import ConfigError, TouchstoneError
from touchstone.files.plain import TOO_DEEP, TOO_LONG, check_plain, is_unicode
from touchstone.formatting import render_size, shorten

# Bytes of a file that is read whole: of records, and of settings whose parsers take long.
LARGEST, LARGEST_SETTINGS = 1 << 26, 1 << 20
# Parts that a key of TOML has in no file of a person's; the parser takes the square of their number.
MANY_PARTS = re.compile(r"""(?:\.[ \t]*(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*){40}""")


def place(folder: Path, path: str | Path) -> Path:
    """Return where a path of the user's points: from the folder, unless it is absolute or begins with ``~``.

    Raises:
        ConfigError: no file can have that name.
    """
    shown = shorten(str(path), 100)
    try:
        found = folder / Path(path).expanduser()
        str(found).encode()
        found.stat()
    except (FileNotFoundError, PermissionError):
        pass
    except RuntimeError:
        raise ConfigError(f'"{shown}": there is no such user; write the folder itself') from None
    except ValueError:  # of encoding too
        raise ConfigError(f'"{shown}": no file can have such a name; write it in UTF-8, without NUL') from None
    except OSError as failure:
        if failure.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise ConfigError(f'"{shown}": no file can have such a name: {failure.strerror}') from None
    return found


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


def read_text(path: Path, error: type[TouchstoneError], *, largest: int = LARGEST) -> str:
    """Read a text file of the user's; a byte-order mark is no part of it.

    Raises:
        TouchstoneError: of the type given; there is no such file, it is too large, or it cannot be read as text.
    """
    text = decode(read_bytes(path, error, largest=largest), str(path), error)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode(content: bytes, where: str, error: type[TouchstoneError]) -> str:
    """Return the text that bytes are; a byte-order mark is no part of it.

    Raises:
        TouchstoneError: of the type given; they are not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{where}: not UTF-8 at byte {failure.start}") from None


def read_bytes(path: Path, error: type[TouchstoneError], *, largest: int | None = LARGEST) -> bytes:
    """Read a file of the user's whole.

    Args:
        path: of the file.
        error: the type to raise.
        largest: how many bytes it may have; None for any number.

    Raises:
        TouchstoneError: of the type given; there is no such file, it is too large, or it cannot be read.
    """
    try:
        with open_regular(path, error) as file:
            content = file.read() if largest is None else file.read(largest + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror}") from None
    if largest is not None and len(content) > largest:
        raise error(f"{path}: is larger than {render_size(largest)}")
    return content


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Return what a pattern finds in a folder, sorted, but what has a name that is no text."""
    return sorted(path for path in folder.glob(pattern) if is_unicode(str(path.relative_to(folder))))


def open_regular(path: Path, error: type[TouchstoneError]) -> BinaryIO:
    """Open a file of the user's to be read: no folder, no device, and nothing that waits for somebody to write.

    Raises:
        TouchstoneError: of the type given; there is no such file, or it cannot be opened.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise error(f"{path}: is a {'folder' if stat.S_ISDIR(kind) else 'device or a pipe'}, not a file")
        return path.open("rb")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror}") from None
    except ValueError:
        raise error(f"{path}: no file can have such a name") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    text = read_text(path, ConfigError, largest=LARGEST_SETTINGS)
    if MANY_PARTS.search(text):
        raise ConfigError(f"{path}: holds a key of more than 40 parts")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {shorten(str(error), 200)}") from None
    except ValueError as error:  # also of a date that there is not
        raise ConfigError(f"{path}: {TOO_LONG if 'digits' in str(error) else f'not TOML: {error}'}") from None
    except RecursionError:
        raise ConfigError(f"{path}: {TOO_DEEP}") from None
    check_plain(data, str(path), ConfigError, foreign=True)
    return data
