"""Transient failures of servers, and the time to wait before the next request."""

import random
import time
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus

from touchstone.errors import find_no_memory
from touchstone.foreign import one_line

FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0
MAX_RETRY_AFTER_S = 1e9  # a larger value means never
# Statuses of transient failures: of 5xx all but two. The requests and the waiting are ours, not urllib3's, which takes
# half an answer for a success, does not wait before the second request, and does not randomize long waits.
TRANSIENT_STATUSES = {
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600),
} - {
    HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}  # fmt: skip


class PassingError(Exception):
    """A transient failure: the next try may succeed.

    Args:
        reason: what happened; it may quote a server.
        wait: the seconds that the server asks to wait before the next request.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(one_line(reason))
        self.wait = wait


def without_frames(error: BaseException) -> BaseException | None:
    """Return the cause of a library's error that decides on a retry, without frames: transient, or out of memory.

    None where there is no such cause. Frames of a request hold tokens, and a traceback shows the frames of a cause.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PassingError):
        cause = cause.__cause__ or cause.__context__
    cause = cause or find_no_memory(error)
    if cause is not None:
        cause.__cause__ = cause.__context__ = cause.__traceback__ = None
    return cause


def may_pass(error: BaseException | None) -> bool:
    """Return True if an error comes from a transient failure."""
    while error is not None and not isinstance(error, PassingError):
        error = error.__cause__
    return error is not None


def retry_after(header: str | None) -> float:
    """Return the seconds of a header ``Retry-After``, a number or a date; 0 for no header or any other text."""
    header = (header or "").strip()
    try:
        date = parsedate_tz(header)
        seconds = float(header) if header.isdecimal() else mktime_tz(date) - time.time() if date else 0.0
    except (ValueError, OverflowError):  # dates that no calendar has
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def backoff(failures: int) -> float:
    """Return seconds to wait: doubled each time, and half of it random, so that threads do not come back together."""
    longest = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** (failures - 1))
    return random.uniform(longest / 2, longest)
