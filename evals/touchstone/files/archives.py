"""Check the members of untrusted archives before a library unpacks them."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from touchstone.files.inside import is_plain


def find_climbing(path: Path) -> str | None:
    """Return the first member of an archive that is not a file or a folder inside of it; None if all are.

    A library may leave such a member out, and would then unpack another data set. Links are refused wherever they
    lead: data needs none. Files that are not archives pass: the library that reads them refuses them.
    """
    try:
        return next((name for name, is_fine in _members(path) if not (is_fine and _is_inside(name))), None)
    except (OSError, EOFError, ValueError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error):
        return None


def _members(path: Path) -> Iterator[tuple[str, bool]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            yield from ((member.orig_filename, True) for member in packed.infolist())
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tape:
            yield from ((member.name, member.isfile() or member.isdir()) for member in tape)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)  # drops "." parts
    return str(path) == "." or (bool(name) and is_plain(str(path)))
