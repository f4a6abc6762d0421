"""Keyed blobs: content, the key that it was made for and a checksum of both, in one file.

A file is the content, then a footer in JSON, the footer's length and a mark with the version of this format. Reading
compares the key: a file that was copied under another name, or whose name's hash collides, is not taken for it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from touchstone.errors import ConfigError
from touchstone.files.json import parse_json
from touchstone.files.writing import open_atomically, read_bytes

FORMAT = 1
MARK = b"touchstone blob "
TAIL = len(MARK) + 8  # the mark, and four bytes each for the version and the footer's length


def write_blob(path: Path, key: Mapping[str, Any], write: Callable[[BinaryIO], object]) -> None:
    """Write a whole blob or nothing.

    Args:
        path: of the file; its folder is made.
        key: everything that decides the content, as plain data.
        write: writes the content to the file it is given.
    """
    with open_atomically(path) as file:
        write(file)
        file.seek(0)
        footer = json.dumps({"key": dict(key), "sha256": _seal(file.read(), key)}, sort_keys=True).encode()
        file.write(footer + MARK + FORMAT.to_bytes(4) + len(footer).to_bytes(4))


def read_blob(path: Path, key: Mapping[str, Any]) -> bytes | None:
    """Return the content of a blob; None if there is none, it is damaged, of an older format, or of another key.

    Raises:
        ConfigError: a newer version of this package wrote it.
    """
    blob = open_blob(path)
    return blob[1] if blob is not None and blob[0] == json.loads(json.dumps(dict(key))) else None


def open_blob(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return the key and the content of a blob; None if there is none, or it is damaged or of an older format.

    Raises:
        ConfigError: a newer version of this package wrote it.
    """
    try:
        data = read_bytes(path, ConfigError, max_bytes=None)
    except ConfigError:
        return None
    blob, version = unseal(data), int.from_bytes(data[-8:-4])
    if blob is None and data[-TAIL:].startswith(MARK) and version > FORMAT:
        raise ConfigError(f"{path}: was written by a newer touchstone; run that one, or name another --store")
    return blob if version == FORMAT else None


def unseal(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the key and the content of a blob's bytes if its footer is whole, whatever version the mark says."""
    length = int.from_bytes(data[-4:])
    if not data[-TAIL:].startswith(MARK) or length > len(data) - TAIL:
        return None
    content, footer = data[: -TAIL - length], data[-TAIL - length : -TAIL]
    try:
        fields = parse_json(footer, "", ConfigError)
        key, seal = fields["key"], fields["sha256"]
    except (ConfigError, KeyError, TypeError):
        return None
    return (key, content) if isinstance(key, dict) and seal == _seal(content, key) else None


def _seal(content: bytes, key: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode())
    digest.update(content)
    return digest.hexdigest()
