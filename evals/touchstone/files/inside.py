"""Paths that are made of names, each checked to lie inside its folder with links followed."""

from pathlib import Path, PurePosixPath

from touchstone.errors import ConfigError, TouchstoneError


def join_inside(root: Path, path: str | Path, error: type[TouchstoneError] = ConfigError) -> Path:
    """Return a path below a folder.

    Args:
        root: the folder, which may be a link itself.
        path: the path relative to the root.
        error: the type to raise.

    Raises:
        TouchstoneError: of the given type; the path leads out of the folder, by its parts or by a link.
    """
    target = root / path
    try:
        inside = target.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        inside = False
    if not inside:
        raise error(f"{target} leads out of {root}, where nothing else is written; remove the link or mend the name")
    return target


def is_plain(name: str) -> bool:
    """Return True if the name of a file, which may have slashes, stays in its folder on every system."""
    parts = name.split("/")
    fine = name.isprintable() and "\\" not in name and len(name) < 4096 and not PurePosixPath(name).is_absolute()
    return fine and not {"", ".", ".."} & set(parts)
