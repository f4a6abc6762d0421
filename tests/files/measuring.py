"""What a bomb costs, measured in a process of its own."""

import os
import resource
import sys
import time
from collections.abc import Callable

from tests.slowness import slowness
from touchstone.errors import TouchstoneError

SECONDS, BYTES = 10, 1 << 30


def assert_cheap(read: Callable[[], object], *, refused: bool = True) -> str:
    """Read something in a child; it must end in a sentence, in ten usual seconds and a gigabyte more than before."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        os.write(sending, _measure(read).encode(errors="replace"))
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    verdict, seconds, more, message = said.split("\n", 3)
    assert verdict == ("refused" if refused else "read"), said
    assert float(seconds) <= SECONDS * slowness(), said
    assert int(more) <= BYTES, said
    assert "\n" not in message
    assert len(message) <= 500
    return message


def _measure(read: Callable[[], object]) -> str:
    unit = 1 if sys.platform == "darwin" else 1024
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        read()
        verdict, message = "read", ""
    except TouchstoneError as error:
        verdict, message = "refused", str(error)
    except BaseException as error:
        verdict, message = "raised", repr(error)[:300]
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    return f"{verdict}\n{time.process_time() - began}\n{more}\n{message}"
