"""Locks between processes, on a file or folder that is there anyway: nothing is left behind by one that was killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Lock a file or folder as long as the context; give False where another process has it and none is waited for.

    A system or a file system without locks gives True: there, each caller says what two at once can do.

    Args:
        path: what to lock; it is only opened.
        shared: others may have it too, who want it shared.
        wait: for whoever has it.
    """
    got, place = True, None
    try:
        import fcntl

        place = os.open(path, os.O_RDONLY)
        fcntl.flock(place, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        got = False
    except (ImportError, OSError):
        pass
    try:
        yield got
    finally:
        if place is not None:
            with suppress(OSError):
                os.close(place)
