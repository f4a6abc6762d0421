"""Paths that are built from names: each must lie inside the folder that it is meant for, links followed."""

from pathlib import Path, PurePosixPath

from touchstone.errors import ConfigError, TouchstoneError


def join_inside(root: Path, path: str | Path, error: type[TouchstoneError] = ConfigError) -> Path:
    """Return a path below a folder.

    Args:
        root: the folder, which may be a link itself.
        path: relative to it.
        error: the type to raise.

    Raises:
        TouchstoneError: of the type given; the path leads out of the folder, by its parts or by a link.
    """
    whole = root / path
    try:
        inside = whole.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        inside = False
    if not inside:
        raise error(f"{whole} leads out of {root}, where nothing else is written; remove the link or mend the name")
    return whole


def is_plain(name: str) -> bool:
    """Return True if a name of a file in a folder, with slashes, stays in that folder on every system."""
    parts = name.split("/")
    fine = name.isprintable() and "\\" not in name and len(name) < 4096 and not PurePosixPath(name).is_absolute()
    return fine and not {"", ".", ".."} & set(parts)
