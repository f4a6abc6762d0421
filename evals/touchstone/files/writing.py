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

# Of a file that is read whole: of records, and of settings, whose parsers are slow.
MAX_FILE_BYTES, MAX_SETTINGS_BYTES = 1 << 26, 1 << 20
# A key of TOML with more parts than a person writes; the parser takes the square of their number.
LONG_KEY = re.compile(r"""(?:\.[ \t]*(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*){40}""")


def place(folder: Path, path: str | Path) -> Path:
    """Return a path of the user's, relative to a folder unless it is absolute or begins with ``~``.

    Raises:
        ConfigError: no file can have that name.
    """
    label = shorten(str(path), 100)
    try:
        target = folder / Path(path).expanduser()
        str(target).encode()
        target.stat()
    except (FileNotFoundError, PermissionError):
        pass
    except RuntimeError:
        raise ConfigError(f'"{label}": there is no such user; write the folder itself') from None
    except ValueError:  # errors of encoding too
        raise ConfigError(f'"{label}": no file can have such a name; write it in UTF-8, without NUL') from None
    except OSError as failure:
        if failure.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise ConfigError(f'"{label}": no file can have such a name: {failure.strerror or failure}') from None
    return target


def write_atomically(path: Path, content: str | bytes, staging: Path | None = None) -> None:
    """Write a whole file or nothing; ``staging`` as in `open_atomically`."""
    with open_atomically(path, staging) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_first(path: Path, content: str | bytes) -> None:
    """Write a whole file unless it exists; an existing file stays, whoever wrote it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_atomically(temporary, content)
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def open_atomically(path: Path, staging: Path | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file to write and to read back; at the end it is renamed, so that no file is ever half written.

    Args:
        path: the file; its folder is made.
        staging: the folder of the temporary file, which a killed process leaves behind; the folder of the file itself
            where there is no staging folder, or one on another file system.
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
        temporary.chmod(0o644)  # a temporary file is private
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_aside(root: Path, path: Path) -> None:
    """Rename whatever is in the way of a file inside a folder: a file with the name of a folder, or the reverse."""
    for part in (path, *list(path.parents)[:-1]):
        obstacle = root / part
        if obstacle.is_dir() != (part != path) and (obstacle.exists() or obstacle.is_symlink()):
            obstacle.rename(obstacle.with_name(f"{obstacle.name}.aside-{uuid.uuid4().hex[:8]}"))


def to_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, two spaces, a trailing newline, no NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_text(path: Path, error: type[TouchstoneError], *, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Read a text file of the user's without its byte-order mark.

    Raises:
        TouchstoneError: of the given type; there is no such file, it is too large, or it cannot be read as text.
    """
    text = decode(read_bytes(path, error, max_bytes=max_bytes), str(path), error)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode(content: bytes, where: str, error: type[TouchstoneError]) -> str:
    """Return bytes as text, without a byte-order mark.

    Raises:
        TouchstoneError: of the given type; the bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{where}: not UTF-8 at byte {failure.start}") from None


def read_bytes(path: Path, error: type[TouchstoneError], *, max_bytes: int | None = MAX_FILE_BYTES) -> bytes:
    """Read a file of the user's whole.

    Args:
        path: the file.
        error: the type to raise.
        max_bytes: the largest size; None for any size.

    Raises:
        TouchstoneError: of the given type; there is no such file, it is too large, or it cannot be read.
    """
    try:
        with open_regular(path, error) as file:
            content = file.read() if max_bytes is None else file.read(max_bytes + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from None
    if max_bytes is not None and len(content) > max_bytes:
        raise error(f"{path}: is larger than {render_size(max_bytes)}")
    return content


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match a pattern, sorted; those whose names are not text are left out."""
    return sorted(path for path in folder.glob(pattern) if is_unicode(str(path.relative_to(folder))))


def open_regular(path: Path, error: type[TouchstoneError]) -> BinaryIO:
    """Open a regular file of the user's to read: no folder, no device, and no pipe that waits for a writer.

    Raises:
        TouchstoneError: of the given type; there is no such file, or it cannot be opened.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise error(f"{path}: is a {'folder' if stat.S_ISDIR(kind) else 'device or a pipe'}, not a file")
        return path.open("rb")
    except FileNotFoundError:
        raise error(f"{os.path.normpath(path)}: no such file") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from None
    except ValueError:
        raise error(f"{path}: no file can have such a name") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    text = read_text(path, ConfigError, max_bytes=MAX_SETTINGS_BYTES)
    if LONG_KEY.search(text):
        raise ConfigError(f"{path}: holds a key of more than 40 parts")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {shorten(str(error), 200)}") from None
    except ValueError as error:  # also for a date that does not exist
        raise ConfigError(f"{path}: {TOO_LONG if 'digits' in str(error) else f'not TOML: {error}'}") from None
    except RecursionError:
        raise ConfigError(f"{path}: {TOO_DEEP}") from None
    check_plain(data, str(path), ConfigError, foreign=True)
    return data
