"""The errors that are the user's to fix, each one sentence: what is wrong, where, and what would be right."""

import errno
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from touchstone.foreign import one_line
from touchstone.formatting import shorten

LINE_LIMIT = 400
# Characters of a sentence; of one that is longer its middle is left out, as it begins with what and ends with how.
SENTENCE, HEAD = 500, 300


class TouchstoneError(Exception):
    """Something is wrong that the reader of the message can put right.

    Args:
        message: one sentence; what strangers wrote in it is shown as `foreign.one_line` does.
    """

    def __init__(self, message: str) -> None:
        line = one_line(message)
        if len(line) > SENTENCE:
            line = f"{line[:HEAD]} … {line[HEAD + 3 - SENTENCE :]}"
        super().__init__(line)


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


def find_no_memory(error: BaseException) -> BaseException | None:
    """Return what says that memory ran out, of an error and those that it came from; None where nothing does.

    Python and numpy have an error for it, torch one for a device; of the machine's memory it only speaks.
    """

    def says_so(one: BaseException) -> bool:
        of_system = isinstance(one, OSError) and one.errno == errno.ENOMEM
        of_torch = type(one).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(one)
        return isinstance(one, MemoryError) or of_system or (of_torch and isinstance(one, RuntimeError))

    return next(filter(says_so, _chain(error)), None)


def find_no_space(error: BaseException) -> BaseException | None:
    """Return what says that a disk is full or takes no file so large; None where nothing does."""

    def says_so(one: BaseException) -> bool:
        full = one.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if isinstance(one, OSError) else False
        return full or "Not enough disk space" in str(one)  # as datasets says that looked before it wrote

    return next(filter(says_so, _chain(error)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def first_line(error: BaseException) -> str:
    """Return the type and the first line of a foreign exception, cut where it is long, for a sentence of ours."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(text[0], LINE_LIMIT)}" if text else type(error).__name__
