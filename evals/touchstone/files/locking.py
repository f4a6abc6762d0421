"""Locks between processes, on existing files or folders: a killed process leaves nothing behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Lock a file or folder for the time of the context; yield False if another process has the lock, without waiting.

    A system or file system without locks yields True: each caller documents what two processes at once can do.

    Args:
        path: the file or folder, which is only opened.
        shared: whether other processes may have a shared lock at the same time.
        wait: whether to wait for the lock.
    """
    has_lock, descriptor = True, None
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        has_lock = False
    except (ImportError, OSError):
        pass
    try:
        yield has_lock
    finally:
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
