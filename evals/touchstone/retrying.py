"""What of a server's failures may pass, and how long to wait before it is asked again."""

import random
import time
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus

from touchstone.errors import find_no_memory
from touchstone.foreign import one_line

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
LONGEST_ASKED = 1e9  # what says more says never
# Statuses that may pass; of 5xx, two say that asking again is no use. urllib3 knows as much; the asking and the waiting
# are ours: half an answer is a failure too, and it waits neither before the second time nor at random when long.
TRANSIENT_STATUSES = {
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600),
} - {
    HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}  # fmt: skip


class PassingError(Exception):
    """What failed for now and may be otherwise next time.

    Args:
        reason: what happened; it may quote a server.
        wait: the seconds that the server asks to wait before the next time.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(one_line(reason))
        self.wait = wait


def without_frames(error: BaseException) -> BaseException | None:
    """Return what of a library's error says whether to try again: that it may pass, or that memory ran out; else None.

    Whatever asks a hub or a server has tokens in its frames, and those of a cause are shown.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, PassingError):
        found = found.__cause__ or found.__context__
    found = found or find_no_memory(error)
    if found is not None:
        found.__cause__ = found.__context__ = found.__traceback__ = None
    return found


def may_pass(error: BaseException | None) -> bool:
    """Return whether an error comes from what may be otherwise next time."""
    while error is not None and not isinstance(error, PassingError):
        error = error.__cause__
    return error is not None


def retry_after(said: str | None) -> float:
    """Return the seconds that a header ``Retry-After`` says, as a number or a date; 0 for none or what is neither."""
    said = (said or "").strip()
    try:
        date = parsedate_tz(said)
        seconds = float(said) if said.isdecimal() else mktime_tz(date) - time.time() if date else 0.0
    except (ValueError, OverflowError):  # dates that no calendar has
        return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)


def backoff(failures: int) -> float:
    """Return seconds to wait: doubled each time, and half of it random, so that threads do not come back together."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
    return random.uniform(longest / 2, longest)
