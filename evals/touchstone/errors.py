"""The errors that are the user's to fix, each one sentence: what is wrong, where, and what would be right."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

from touchstone.formatting import shorten

LONGEST = 400


class TouchstoneError(Exception):
    """Something is wrong that the reader of the message can put right."""


class ConfigError(TouchstoneError):
    """A suite, a models file, an option or a data folder says something that cannot be."""


class SourceError(TouchstoneError):
    """A data set is not where the source says it is, or cannot be read there."""


class ModelError(TouchstoneError):
    """A model cannot be loaded, or what it returns cannot be scored."""


class MovedError(ModelError):
    """Files of a model changed while it was loaded or measured; when they rest it can be tried again."""


class BaselineError(TouchstoneError):
    """A baseline file cannot be read, or does not say what a baseline must."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the nearest of the known names, else ``; known: …`` or nothing."""
    names = sorted(set(known))
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if not near:
        lowered = {known_name.lower(): known_name for known_name in names}
        near = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)]
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""


def find_no_memory(error: BaseException | None) -> BaseException | None:
    """Return what says that memory ran out, of an error and those that it came from; None where nothing does.

    Python and numpy have an error for it, torch one for a device; of the machine's memory it only speaks.
    """
    while error is not None:
        of_system = isinstance(error, OSError) and error.errno == errno.ENOMEM
        of_torch = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
        if isinstance(error, MemoryError) or of_system or (of_torch and isinstance(error, RuntimeError)):
            return error
        error = error.__cause__ or error.__context__
    return None


def first_line(error: BaseException) -> str:
    """Return the type and the first line of a foreign exception, cut where it is long, for a sentence of ours."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(text[0], LONGEST)}" if text else type(error).__name__
