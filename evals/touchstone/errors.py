"""The errors that are the user's to fix, each one sentence: what is wrong, where, and what would be right."""

import errno
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from touchstone.foreign import one_line
from touchstone.formatting import shorten

LINE_LENGTH = 400
# Characters of a sentence, and of its start where its middle is left out: it begins with what and ends with how.
SENTENCE_LENGTH, HEAD_LENGTH = 500, 300


class TouchstoneError(Exception):
    """An error that the reader of its message can put right.

    Args:
        message: one sentence; foreign text in it is escaped by `foreign.one_line`.
    """

    def __init__(self, message: str) -> None:
        line = one_line(message)
        if len(line) > SENTENCE_LENGTH:
            line = f"{line[:HEAD_LENGTH]} … {line[HEAD_LENGTH + 3 - SENTENCE_LENGTH :]}"
        super().__init__(line)


class ConfigError(TouchstoneError):
    """A suite, a models file, an option or a data folder is not valid."""


class SourceError(TouchstoneError):
    """A data set is not where the source says it is, or cannot be read there."""


class ModelError(TouchstoneError):
    """A model cannot be loaded, or what it returns cannot be scored."""


class MovedError(ModelError):
    """Files of a model changed while it was loaded or measured; the next try may succeed."""


class BaselineError(TouchstoneError):
    """A baseline file cannot be read, or is not valid."""


def suggest(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the nearest of the known names, else ``; known: …`` or nothing."""
    ordered = sorted(set(names))
    near = get_close_matches(name, ordered, n=1, cutoff=0.5)
    if not near:
        lowered = {known_name.lower(): known_name for known_name in ordered}
        near = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)]
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(ordered)}" if 0 < len(ordered) <= 12 else ""


def suggest_inside(name: str, names: Iterable[str]) -> str:
    """Return what `suggest` does in parentheses, for a sentence that goes on."""
    hint = suggest(name, names).removeprefix("; ")
    return f" ({hint})" if hint else ""


def find_no_memory(error: BaseException) -> BaseException | None:
    """Return the error of a chain that means "out of memory"; None where none does.

    Python and numpy raise `MemoryError`. Torch has a type for the memory of a device, and only a message for the
    machine's.
    """

    def says_so(cause: BaseException) -> bool:
        of_system = isinstance(cause, OSError) and cause.errno == errno.ENOMEM
        of_torch = type(cause).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(cause)
        return isinstance(cause, MemoryError) or of_system or (of_torch and isinstance(cause, RuntimeError))

    return next(filter(says_so, _chain(error)), None)


def find_no_space(error: BaseException) -> BaseException | None:
    """Return the error of a chain that means a full disk or a file too large for it; None where none does."""

    def says_so(cause: BaseException) -> bool:
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if isinstance(cause, OSError) else False
        return full or "Not enough disk space" in str(cause)  # datasets, which checks before it writes

    return next(filter(says_so, _chain(error)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def first_line(error: BaseException) -> str:
    """Return the type and the first line of a foreign exception, truncated, for a sentence of ours."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(text[0], LINE_LENGTH)}" if text else type(error).__name__
